"""Nothing leads to a closed case's people once both periods are over, and until then all of it does."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from include.cases import book, subjects, tombstones, verbs
from include.cases.keys import FileKeyStore, Purpose
from include.cases.retention import stopping
from include.cases.retention.held import held_people
from include.cases.shutdown import orders, whereabouts, who_asked
from include.cases.yearly import ledger_keys
from include.cases.yearly.ended import RECORDS, Periods
from include.cases.yearly.ledger_keys import Done, destroy_due, left, nothing_is_left
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, NotProved, Refused, Stopped
from include.model.policy import Basis, OwnRecords, Period, Proposal, RetentionRule
from include.model.words import LegalRank
from tests.cases.small import LI, TODAY, WANG, World, catalogue, world
from tests.cases.test_verbs import BOSS, on, verified

pytestmark = pytest.mark.postgres

OVER = date(2029, 11, 25)  # three years after TODAY, and a day
VETTED = date(2032, 7, 1)  # the vetting file is kept until 2029-06-30
SAID = (Basis(cite="PIPL 69", rank=LegalRank.LAW),)


def rule(**more: Any) -> RetentionRule:
    return RetentionRule(
        id="RS-24", title="ledger", starts="closed", basis=SAID, at_end="erase", stays="counts",
        periods=(
            Period(duration="P3Y", kind="floor", basis=SAID, **more),
            Period(name="claims", duration="P3Y", kind="ceiling", basis=SAID, **more),
        ),
    )  # fmt: skip


OWN = OwnRecords(id=RECORDS, rule="RS-24", period="claims", after="RS-03", what="keys")


def policy(of: RetentionRule | None = None, own: tuple[OwnRecords, ...] = (OWN,)) -> Catalogue:
    return catalogue(rules=(*catalogue().rules, of or rule()), own_records=own)


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.fixture
def w(writer: str, keys: FileKeyStore) -> World:
    return world(writer, keys, policy)


def closed(w: World, account: str = LI, *, planned: bool = False, buried: bool = True) -> str:
    """A refused case, closed today, with a tombstone; ``planned``: a plan says until when the vetting file is kept."""
    case_no = verified(w, account=account)
    if planned:
        verbs.rehearse(w.desk, case_no, **on())
    verbs.refuse(
        w.desk, case_no, ground="11.4(5)", article="PIPL 50", reasons="again", scope=["everything"], reviewer=BOSS,
        second_reviewer="approver/zhao", as_of=TODAY,
    )  # fmt: skip
    verbs.told(w.desk, case_no, **on())
    verbs.close(w.desk, case_no, **on())
    if buried:
        with w.desk.book() as conn:
            tombstones.bury_values(conn, w.desk.keys, case_no, [account], TODAY, subjects.KIND)
    return case_no


def due(w: World, as_of: date, **more: Any) -> Done:
    return destroy_due(w.desk, **on(as_of), **more)


def leads(w: World, case_no: str) -> tuple[bool, bool, bool]:
    """Whether the case's key lives, a token is there, a tombstone."""
    with w.desk.book() as conn:
        case = book.case(conn, case_no)
        return (
            bool(w.desk.keys.versions(case.key_id.rpartition(".")[0])),
            any(subjects.tokens(conn, case)),
            any(case_no in c for c in tombstones.buried_among(conn, w.desk.keys, [LI, WANG]).values()),
        )


EVERYTHING, NOTHING = (True, True, True), (False, False, False)


def test_on_the_last_day_it_leads_to_its_people_and_the_day_after_to_nobody(w: World) -> None:
    case_no = closed(w)
    assert due(w, date(2029, 11, 24)).cases == 0 and leads(w, case_no) == EVERYTHING
    done = due(w, OVER)
    assert (done.cases, done.tokens, done.tombstones, done.left) == (1, 1, 1, ()) and leads(
        w, case_no
    ) == NOTHING
    assert nothing_is_left(done).startswith("1 cases lead to nobody")
    kind, about, body = next(s for s in w.said.values() if s[1] == case_no)
    assert (kind, about, body["key"]) == ("key_destroyed", case_no, f"{case_no.lower()}.v1")
    assert due(w, OVER).cases == 0, "nothing is done twice"
    with w.desk.book() as conn, pytest.raises(Refused, match="was destroyed"):
        subjects.ids(conn, w.desk.keys, book.case(conn, case_no))


def test_the_later_of_the_two_periods_decides(w: World) -> None:
    case_no = closed(w, planned=True)
    for day in (OVER, date(2032, 6, 30)):
        assert due(w, day).cases == 0 and leads(w, case_no) == EVERYTHING
    assert due(w, VETTED).cases == 1 and leads(w, case_no) == NOTHING


def test_a_hold_on_the_case_or_its_person_keeps_it_and_its_release_lets_it_go(w: World) -> None:
    case_no = closed(w)
    order = {
        "basis": "court",
        "document_no": "1",
        "issuing_body": "b",
        "law": "l",
        "as_of": TODAY,
        "actor": "legal/sun",
    }
    numbers = [
        verbs.open_hold(w.desk, **order, case_nos=frozenset({case_no})),
        verbs.open_hold(w.desk, **order, account_ids=frozenset({LI})),
    ]
    w.desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    numbers.append(verbs.open_hold(w.desk, **order, account_ids=frozenset({LI})))  # under another version
    for number in numbers:
        assert due(w, OVER).cases == 0 and leads(w, case_no) == EVERYTHING
        verbs.release_hold(w.desk, number, document="(2029) 9", **on(OVER))
    assert due(w, OVER).cases == 1 and leads(w, case_no) == NOTHING


def test_a_hold_on_a_case_that_leads_to_nobody_is_refused_and_nights_go_on(w: World) -> None:
    case_no = closed(w)
    due(w, OVER)
    with pytest.raises(Refused, match=f"{case_no}.*whom this case was about") as refusal:
        verbs.open_hold(
            w.desk,
            basis="court",
            document_no="1",
            issuing_body="b",
            law="l",
            case_nos=frozenset({case_no}),
            **on(OVER),
        )
    assert "name the accounts" in str(refusal.value)
    assert held_people(w.desk).orders == (), "and so nothing that nights could not read"


def test_another_case_of_the_same_person_keeps_it(w: World) -> None:
    case_no = closed(w, buried=False)
    w.desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    other = closed(w, WANG)
    again = verified(w)
    done = due(w, OVER)
    assert done.cases == 1 and leads(w, other) == NOTHING
    assert leads(w, case_no) == (True, True, False), f"{again} is about the same person"


def test_notices_that_are_still_kept_keep_the_key(w: World) -> None:
    case_no = closed(w)
    with w.desk.book() as conn:
        conn.execute(
            "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key, request_id, sealed_payload, items, state,"
            " written_at, remind_on, target_on, escalate_on) VALUES (%s, 'sms', 'opendsr', 'k', %s, 'x', 1, 'tp_acked', now(),"
            " %s, %s, %s)",
            (case_no, str(uuid4()), TODAY, TODAY, TODAY),
        )
        assert due(w, OVER).cases == 0 and leads(w, case_no) == EVERYTHING


@pytest.mark.parametrize(
    "point", ["yearly.key_destroyed", "yearly.key_recorded", "yearly.case_ended", "yearly.version_destroyed"]
)
def test_killed_anywhere_the_next_run_does_the_rest_and_each_key_is_in_the_ledger(
    w: World, point: str
) -> None:
    cases = [closed(w, LI), closed(w, WANG)]
    due(w, date(2028, 1, 5))  # from now on somebody else is buried under another version

    def dies(at: str) -> None:
        if at == point:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        due(w, OVER, at=dies)
    nothing_is_left(due(w, OVER))
    assert [leads(w, c) for c in cases] == [NOTHING, NOTHING]
    recorded = sorted(b["key"] for k, _, b in w.said.values() if k == ledger_keys.ONE)
    assert recorded == [*sorted(f"{c.lower()}.v1" for c in cases), "tombstone.v1"]


def test_each_year_buries_under_a_version_of_its_own_and_it_goes_with_its_last_tombstone(w: World) -> None:
    case_no = closed(w)
    assert due(w, date(2026, 12, 31)).made is None, "the year is not over"
    assert due(w, date(2027, 1, 5)).made == "tombstone.v2"
    assert due(w, date(2027, 1, 5)).made is None, "nobody was buried since"
    assert [r.id for r in w.desk.keys.versions("tombstone")] == ["tombstone.v1", "tombstone.v2"]
    assert leads(w, case_no)[2], "found under the older version, too"
    done = due(w, OVER)
    assert done.versions == ("tombstone.v1",) and nothing_is_left(done)
    assert [r.id for r in w.desk.keys.versions("tombstone")] == ["tombstone.v2"]


def test_what_should_be_gone_and_is_there_is_named_whatever_a_run_says(w: World, database: str) -> None:
    case_no = closed(w)
    due(w, date(2027, 1, 5))
    periods = Periods.of(w.desk.catalogue, w.desk.connections)

    def seen() -> list[str]:
        with w.desk.book() as conn:
            return left(conn, w.desk.keys, periods, OVER)

    assert seen() == [f"{case_no} still leads to its people"]
    due(w, OVER)
    assert seen() == []
    with w.desk.book() as conn:
        tombstones.bury_values(conn, w.desk.keys, case_no, [LI], TODAY, subjects.KIND)
    w.desk.keys.make(case_no.lower(), case_no, Purpose.SEALING)
    w.desk.keys.make("tombstone", "case book", Purpose.TOMBSTONE)
    w.desk.keys.make("tombstone", "case book", Purpose.TOMBSTONE)
    assert seen() == [
        f"{case_no} has ended, and tokens or tombstones of it are there", f"{case_no} has ended, and its key lives",
        "tombstone.v3 lives, and no tombstone needs it",
    ]  # fmt: skip


def test_a_key_that_is_lost_is_trouble_and_keeps_no_other_from_its_end(w: World, tmp_path: Path) -> None:
    lost, other = closed(w), closed(w, WANG)
    (tmp_path / "keys" / f"{lost.lower()}.v1.key").unlink()
    done = due(w, OVER)
    assert done.cases == 1 and leads(w, other) == NOTHING
    with pytest.raises(NotProved, match=f"the key of {lost} is not destroyed.*{lost} still leads"):
        nothing_is_left(done)


def test_periods_that_nobody_owns_destroy_nothing_outside_a_sandbox(writer: str, keys: FileKeyStore) -> None:
    w = world(writer, keys, lambda: policy(rule(proposal=Proposal())))
    case_no = closed(w)
    with pytest.raises(Refused, match=r"no owner.*RS-24/main, RS-24/claims"):
        due(w, OVER)
    assert leads(w, case_no) == EVERYTHING
    w = world(writer, keys, lambda: policy(rule(proposal=Proposal(owner="counsel", approved_on=TODAY))))
    assert due(w, OVER).cases == 1


@pytest.mark.parametrize(
    "own", [(), (OWN.model_copy(update={"after": None}),), (OWN.model_copy(update={"period": "main"}),)]
)
def test_without_both_periods_nothing_is_destroyed(
    writer: str, keys: FileKeyStore, own: tuple[OwnRecords, ...]
) -> None:
    w = world(writer, keys, lambda: policy(own=own))
    case_no = closed(w)
    with pytest.raises(CatalogueError):
        due(w, OVER)
    assert leads(w, case_no) == EVERYTHING


def test_while_disposing_is_stopped_no_key_is_destroyed(w: World) -> None:
    case_no = closed(w)
    with w.desk.book() as conn:
        stopping.stop(conn, "an incident", actor="ops/zhao")
    with pytest.raises(Stopped):
        due(w, OVER)
    with pytest.raises(Stopped):
        verbs.destroy_key(w.desk, case_no, **on(OVER))
    assert leads(w, case_no) == EVERYTHING
    with w.desk.book() as conn:
        stopping.lift(conn, actor="ops/zhao")
    assert due(w, OVER).cases == 1 and leads(w, case_no) == NOTHING


def test_who_asked_goes_with_an_order_of_which_nothing_is_passed_on_any_more(w: World) -> None:
    """Of those that were over before this was so, too."""
    with w.desk.book() as conn, conn.transaction():
        for number in ("SO-000001", "SO-000002"):
            conn.execute(
                "INSERT INTO casebook.shutdown_order (number, scope, path, reason, decided_on, document, digest, approvers,"
                " t0_announced, t0, opened_on, opened_by, ended_on) VALUES (%s, 'company', 'voluntary', 'x', '2026-11-24',"
                " 'BR-1', repeat('a', 64), '{legal/a,board/b}', '2026-11-24', '2026-11-24', '2026-11-24', 'legal/a',"
                " '2026-11-24')",
                (number,),
            )
            conn.execute(
                "WITH r AS (INSERT INTO casebook.shutdown_request (number, asked_on, channel, method, fields, recorded_by)"
                " VALUES (%(n)s, '2026-11-24', 'letter', 'x', '{PI-001}', 'support/li') RETURNING request) INSERT INTO"
                " casebook.shutdown_request_token (number, token, request) SELECT %(n)s, 't', request FROM r",
                {"n": number},
            )
            conn.execute(
                "INSERT INTO casebook.handover_bag (order_no, bag, consignment, dataset, kind, shard, last, items, root, salt,"
                " bytes, sha256, statement) VALUES (%s, 'b', 'c', 'd', 'rows', 1, true, 1, 'r', decode(repeat('00', 32), 'hex'),"
                " 1, 's', 's')",
                (number,),
            )
            conn.execute(
                "INSERT INTO casebook.handover_owner (order_no, bag, token, leaves) VALUES (%s, 'b', 't', '')",
                (number,),
            )
        orders.say(w.desk, conn, "SO-000001", whereabouts.HANDED, TODAY, "ops/wu", {})
    with w.desk.book() as conn:
        assert len(left(conn, w.desk.keys, Periods.of(w.desk.catalogue, w.desk.connections), TODAY)) == 1
    done = due(w, TODAY)
    assert (done.tokens, done.left) == (2, ())
    with w.desk.book() as conn:
        for table, of in (("handover_owner", "order_no"), ("shutdown_request_token", "number")):
            rows = conn.execute(f"SELECT {of} AS n FROM casebook.{table}").fetchall()  # type: ignore[arg-type]
            assert [r["n"] for r in rows] == ["SO-000002"], "of this one requests are passed on yet"
        with pytest.raises(psycopg.Error, match="append-only"):
            who_asked.forget(conn, "SO-000002")


def test_of_a_settled_finding_nothing_leads_to_its_person_once_the_adopted_tombstone_ended(w: World) -> None:
    with w.desk.book() as conn, conn.transaction():
        conn.execute("INSERT INTO casebook.adopted_key (key_name, order_no) VALUES ('k', 'Old CA/SO-1')")
        for case, ends in (("CASE-1", OVER), ("CASE-2", TODAY)):
            conn.execute(
                "INSERT INTO casebook.adopted_tombstone (order_no, kind, token, key_name, case_ref, made_on, ends_on)"
                " VALUES ('Old CA/SO-1', 'account_id', %s, 'k', %s, %s, %s)",
                (case.encode(), case, TODAY, ends),
            )
            conn.execute(
                "INSERT INTO casebook.adopted_finding (of_case, code, dataset, place, what, next_step, settled_at, settled_by,"
                " document) VALUES (%s, 're_ingested', 'a.b', 'a.b:0123', '', '', now(), 'legal/zhao', 'KH-1')",
                (f"Old CA/SO-1 {case}",),
            )
    tomorrow = TODAY + timedelta(days=1)
    assert due(w, tomorrow).left == ()
    with w.desk.book() as conn:
        rows = conn.execute("SELECT of_case, place FROM casebook.adopted_finding ORDER BY 1").fetchall()
    assert [(r["of_case"][-1], r["place"]) for r in rows] == [("1", "a.b:0123"), ("2", "a.b")]
