"""A database that was put back to an older state loses again what had been deleted, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import psycopg
import pytest

from include.cases import book, histories, verbs
from include.cases.keys import FileKeyStore
from include.cases.replaying import replay
from include.cases.restored import faithful, go_forward, recover
from include.cases.retention import stopping
from include.model.errors import NotProved, NotReachable, Refused, Stopped
from include.model.words import CaseState, Verdict
from tests.cases.restoring import ON, PEOPLE, PERSON, SHOP, Restorable, differences, killed_at
from tests.cases.small import world
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

__all__ = ["new_company"]
pytestmark = pytest.mark.postgres


@pytest.fixture
def at_work(writer: str, tmp_path, new_company: Callable[..., Company], pg_server: PgServer) -> Restorable:
    shop = new_company(SHOP, making.SCHEMA + PEOPLE, "shop8_restorable")
    made = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), lambda: SHOP)
    it = Restorable(pg_server, shop, made)
    go_forward(it.desk, it.place().past, actor="system/dag")
    return it


def test_what_was_deleted_goes_again_and_the_database_is_what_it_was(at_work: Restorable) -> None:
    earlier = at_work.erase(1)
    old = at_work.snapshot()
    first, second = at_work.erase(2, 5), at_work.erase(3)
    was = at_work.picture()
    at_work.restore(old)
    assert differences(was, at_work.picture()), "the restore brought them back"

    outcome = recover(at_work.desk, at_work.place(), **ON)
    assert outcome.replayed is not None
    assert [c.case_no for c in outcome.replayed.cases] == [first, second] != [earlier]
    assert not differences(was, at_work.picture())
    for case in outcome.replayed.cases:
        assert case.evidence is not None
        assert case.evidence.kind == "replay" and case.evidence.verdict is not Verdict.FAILED
    (said,) = [body for kind, _, body in at_work.world.said.values() if kind == "replay"]
    assert said["counts"]["cases"] == 2 and said["because"]
    with at_work.desk.book() as conn:
        assert "replayed" in [e["what"] for e in book.timeline(conn, second)]
        assert "replayed" not in [e["what"] for e in book.timeline(conn, earlier)]
    assert recover(at_work.desk, at_work.place(), **ON).replayed is None, "it is the database that we know"


def test_while_disposing_is_stopped_a_restored_database_stays_closed(at_work: Restorable) -> None:
    old = at_work.snapshot()
    at_work.erase(2)
    was = at_work.picture()
    at_work.restore(old)
    back = at_work.picture()
    with at_work.desk.book() as conn:
        stopping.stop(conn, "restored on purpose", actor="ops/zhao")
    with pytest.raises(Stopped):
        recover(at_work.desk, at_work.place(), **ON)
    assert at_work.picture() == back, "what came back is there, for nobody but us"
    with pytest.raises(Refused):
        faithful(at_work.desk, [at_work.place().past])
    with at_work.desk.book() as conn:
        stopping.lift(conn, actor="ops/zhao")
    recover(at_work.desk, at_work.place(), **ON)
    assert not differences(was, at_work.picture())


POINTS = (
    "recover.noticed", "recover.quarantined", "restrict.before_commit", "restrict.after_commit", "survey.after_commit",
    "weigh.after_commit", "dispose.before_commit", "dispose.after_commit", "recover.replayed", "recover.counted",
    "recover.released",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_it_comes_to_the_same_end(at_work: Restorable, point: str) -> None:
    old = at_work.snapshot()
    case_no = at_work.erase(2, 5)
    rests = (
        at_work.server.version == 18
    )  # then it is replayed by a step of its own, else by the one that is at work
    if rests:
        at_work.come_to_rest(case_no)
    was = at_work.picture()
    at_work.restore(old)
    assert killed_at(point, lambda at: recover(at_work.desk, at_work.place(at=at), at=at, **ON)), (
        f"{point} never came"
    )
    if point != "recover.released":
        with pytest.raises(Refused, match="it was restored"):
            faithful(at_work.desk, [at_work.place().past])
    outcome = recover(at_work.desk, at_work.place(), **ON)
    assert outcome.replayed is not None and not outcome.replayed.failed
    assert not differences(was, at_work.picture())
    faithful(at_work.desk, [at_work.place().past])
    with at_work.desk.book() as conn:
        done = conn.execute(
            "SELECT count(*) AS n FROM casebook.step WHERE kind = 'replay' AND closed_at IS NULL"
        )
        assert done.fetchone() == {"n": 0}
        assert [e["what"] for e in book.timeline(conn, case_no)].count("replayed") == 1
    assert at_work.shop.value("SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'q_')") == (
        0 if rests else 1
    ), "the open step's"


def test_one_replays_a_store_at_a_time(at_work: Restorable) -> None:
    with at_work.desk.book() as other:
        # Shared, so that a replay that did not want to be alone would be let in.
        other.execute("SELECT pg_advisory_lock_shared(hashtextextended('casebook.restoration company', 0))")
        with pytest.raises(NotReachable, match="somebody else is replaying it"):
            recover(at_work.desk, at_work.place(), **ON)


def test_nobody_connects_until_it_is_given_back(at_work: Restorable) -> None:
    old = at_work.snapshot()
    at_work.erase(2)
    at_work.restore(old)
    application = psycopg.connect(at_work.shop.conninfo("shop_app"), autocommit=True)
    assert killed_at("recover.quarantined", lambda at: recover(at_work.desk, at_work.place(), at=at, **ON))
    with pytest.raises(psycopg.OperationalError):
        application.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(at_work.shop.conninfo("shop_app"))
    with pytest.raises(Refused, match="nothing was replayed"):
        at_work.place().past.release()
    recover(at_work.desk, at_work.place(), **ON)
    with psycopg.connect(at_work.shop.conninfo("shop_app")) as again:
        assert again.execute(
            "SELECT count(*) FROM account.account WHERE id = %s", [PERSON(2)]
        ).fetchone() == (0,)


def test_what_cannot_be_proved_keeps_it_closed(at_work: Restorable) -> None:
    old = at_work.snapshot()
    case_no = at_work.erase(2)
    at_work.restore(old)
    at_work.shop.sql("""
        CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE ON account.session FOR EACH ROW EXECUTE FUNCTION public.keep()""")
    with pytest.raises(NotProved, match=case_no):
        recover(at_work.desk, at_work.place(), **ON)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(at_work.shop.conninfo("shop_app"))
    at_work.shop.sql("DROP FUNCTION public.keep() CASCADE")
    assert recover(at_work.desk, at_work.place(), **ON).replayed is not None


def test_a_hold_that_came_since_keeps_what_came_back(at_work: Restorable) -> None:
    old = at_work.snapshot()
    case_no = at_work.erase(2)
    verbs.open_hold(at_work.desk, basis="court", document_no="1", issuing_body="b", law="Civil Procedure Law 84",
                    case_nos=frozenset({case_no}), datasets=frozenset({"account.session"}), **ON)  # fmt: skip
    at_work.restore(old)
    recover(at_work.desk, at_work.place(), **ON)
    left = "SELECT count(*) FROM {} WHERE account_id = %s"
    assert at_work.shop.value(left.format("account.session"), PERSON(2)) == 3
    assert at_work.shop.value(left.format("log.access"), PERSON(2)) == 0


def test_once_a_case_is_closed_and_its_key_destroyed_the_tombstone_finds_the_person(
    at_work: Restorable,
) -> None:
    old = at_work.snapshot()
    case_no = at_work.erase(2, 5)
    was = at_work.picture()
    with at_work.desk.book() as conn:
        key = book.case(conn, case_no).key_id
    at_work.desk.keys.destroy(key)
    at_work.restore(old)
    outcome = recover(at_work.desk, at_work.place(), **ON)
    assert outcome.replayed is not None and outcome.replayed.buried == 2
    assert not differences(was, at_work.picture())


def test_a_rehearsal_in_a_copy_leaves_the_book_and_the_ledger_as_they_are(
    at_work: Restorable, database: str
) -> None:
    old = at_work.snapshot()
    at_work.erase(2, 5)
    was = at_work.picture()
    at_work.restore(old)
    said, logged = dict(at_work.world.said), dict(at_work.world.logged)
    book_was = whole_book(database)
    found = replay(at_work.desk, at_work.place(), rehearsal=True, **ON)
    assert [len(found.cases), len(found.failed)] == [1, 0]
    assert found.cases[0].evidence is not None and found.cases[0].items["erased"]
    assert not differences(was, at_work.picture())
    assert (at_work.world.said, at_work.world.logged, whole_book(database)) == (said, logged, book_was)


def test_what_the_guard_says_of_a_failover_and_of_a_book_that_went_back(
    at_work: Restorable, database: str
) -> None:
    past = at_work.place().past
    faithful(at_work.desk, [past])
    set_ = "UPDATE casebook.store_history SET "
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(set_ + "counter = counter - 1, intended = intended - 1")
        with pytest.raises(Refused, match="the case book, and not this store"):
            faithful(at_work.desk, [past])
        conn.execute(set_ + "counter = counter + 1, intended = intended + 1")
        faithful(at_work.desk, [past])
        conn.execute(set_ + "timeline = 42")
    with pytest.raises(Refused, match="another timeline"):
        faithful(at_work.desk, [past])
    outcome = recover(at_work.desk, at_work.place(), **ON)
    assert outcome.replayed is not None and outcome.replayed.cases == (), "nothing was lost"
    faithful(at_work.desk, [past])


def test_a_counter_that_was_killed_between_store_and_book_is_no_restore(at_work: Restorable) -> None:
    past = at_work.place().past
    with at_work.desk.book() as conn:
        now = past.history()
        histories.remember(conn, "company", now, now.counter + 1)
    past.go_forward("nightly")
    faithful(at_work.desk, [past])
    assert go_forward(at_work.desk, past, actor="system/dag") == now.counter + 2


def test_a_partners_case_loses_what_the_partner_supplied_and_the_customer_stays_one(
    at_work: Restorable,
) -> None:
    old = at_work.snapshot()
    case_no = at_work.erase_supplied(4)
    was = at_work.picture()
    with at_work.desk.book() as conn:
        key = book.case(conn, case_no).key_id
    at_work.desk.keys.destroy(key)
    at_work.restore(old)
    outcome = recover(at_work.desk, at_work.place(), **ON)
    assert outcome.replayed is not None
    assert [(c.case_no, c.items["erased"]) for c in outcome.replayed.cases] == [(case_no, 1)]
    assert not differences(was, at_work.picture())
    assert at_work.shop.value("SELECT count(*) FROM quietus.restriction") == 0


def test_a_case_at_rest_stays_at_rest_and_one_at_work_goes_on(at_work: Restorable) -> None:
    old = at_work.snapshot()
    resting = at_work.erase(1)
    at_work.come_to_rest(resting)
    proving, restricted = at_work.erase(2, 5), at_work.restricted(3)
    was = at_work.picture()
    at_work.restore(old)
    recover(at_work.desk, at_work.place(), **ON)
    assert not differences(was, at_work.picture())
    assert at_work.shop.value(
        "SELECT array_agg(subject_id ORDER BY subject_id) FROM quietus.restriction"
    ) == [PERSON(n) for n in (1, 2, 3, 5)]
    at_work.come_to_rest(proving)
    for verb in (verbs.settle_and_plan, verbs.dispose, verbs.balance):
        verb(at_work.desk, restricted, **ON)
    at_work.come_to_rest(restricted)
    with at_work.desk.book() as conn:
        states = {book.case(conn, no).state for no in (resting, proving, restricted)}
    assert states == {CaseState.WAITING}


def test_restored_again_before_it_was_given_back_it_is_cleaned_again(at_work: Restorable) -> None:
    old = at_work.snapshot()
    at_work.erase(2, 5)
    was = at_work.picture()
    at_work.restore(old)
    assert killed_at("recover.released", lambda at: recover(at_work.desk, at_work.place(), at=at, **ON))
    at_work.restore(old)
    recover(at_work.desk, at_work.place(), **ON)
    assert not differences(was, at_work.picture())


def test_restored_to_after_a_replay_nothing_is_replayed_and_to_before_it_all_is(at_work: Restorable) -> None:
    old = at_work.snapshot()
    case_no = at_work.erase(2, 5)
    at_work.come_to_rest(case_no)
    was = at_work.picture()
    at_work.restore(old)
    recover(at_work.desk, at_work.place(), **ON)
    after = at_work.snapshot()
    for snapshot, again in ((after, 0), (old, 1)):
        at_work.restore(snapshot)
        outcome = recover(at_work.desk, at_work.place(), said=True, **ON)
        assert outcome.replayed is not None and len(outcome.replayed.cases) == again
        assert not differences(was, at_work.picture())


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_done_before_and_after_the_copy_everybody_else_is_left_alone(
    at_work: Restorable, seed: int
) -> None:
    """Random cases, some before the copy, some with something under a hold: what is there afterwards is what was."""
    random = Random(seed)
    people = random.sample(range(1, 9), 6)
    cohorts = [people[:1], people[1:3], people[3:4], people[4:]]
    before = random.randrange(3)
    for cohort in cohorts[:before]:
        at_work.erase(*cohort)
    old = at_work.snapshot()
    for cohort in cohorts[before:]:
        case_no = at_work.erase(*cohort)
        if random.random() < 0.5:
            at_work.come_to_rest(case_no)
    was = at_work.picture()
    at_work.restore(old)
    outcome = recover(at_work.desk, at_work.place(), **ON)
    assert outcome.replayed is not None and len(outcome.replayed.cases) == len(cohorts) - before
    assert not differences(was, at_work.picture())


def whole_book(database: str) -> dict[str, str]:
    with psycopg.connect(database) as conn:
        tables = conn.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'casebook' ORDER BY 1"
        ).fetchall()
        digest = "SELECT coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM casebook.{} t"
        return {t: conn.execute(digest.format(t)).fetchone()[0] for (t,) in tables}  # type: ignore[arg-type, index]
