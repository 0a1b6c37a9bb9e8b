"""Who takes back one consent keeps everything else: on real stores, with every proof."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from include.cases import book, papers, planner, provers, unasked, units, verbs, withdrawals
from include.cases.became import told as became
from include.cases.retention import breaker, stopping
from include.model.errors import Refused, Stopped
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Channel, Disposition, Ground, Requester, UnitState
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import House

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PEOPLE = 120
NOW = observed_now()
TODAY = prc_date(NOW)
ON = {"as_of": TODAY, "actor": "system/airflow"}
FACES, PLACES = "face recognition", "location"
OF_FACES = {"ra.biometric", "ra.video_key", "ca-face-video", "ca-fingerprints"}


@pytest.fixture(scope="module")
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for login in ROLES:
        pg18.add_role(login)
    yield House.made(
        pg18, pg18.fresh_database("case_book", build), empty_moto, tmp_path_factory.mktemp("keys"), PEOPLE
    )


@pytest.fixture(autouse=True)
def undone(house: House) -> Iterator[None]:
    """Consents as they were: what one test took back is no business of the next."""
    yield
    with house.company() as conn:
        conn.execute(
            "UPDATE account.consent c SET withdrawn_at = NULL FROM account.account a"
            " WHERE a.account_id = c.account_id AND a.cancelled_at IS NULL"
        )
        conn.execute("DELETE FROM account.consent WHERE policy_version = 'again'")


def withdraw(house: House, account: str, *purposes: str, at: datetime = NOW - timedelta(hours=1)) -> None:
    with house.company() as conn:
        done = conn.execute(
            "UPDATE account.consent SET withdrawn_at = %s WHERE account_id = %s AND purpose = ANY(%s)",
            (at, account, list(purposes)),
        )
        assert done.rowcount == len(purposes)


def give(house: House, account: str, purpose: str) -> None:
    with house.company() as conn:
        conn.execute(
            "INSERT INTO account.consent (account_id, policy_version, purpose, given_at) VALUES (%s, 'again', %s, %s)",
            (account, purpose, NOW - timedelta(minutes=5)),
        )


def somebody(house: House) -> list[str]:
    """Customers of whom places are there, and who consented to that."""
    with house.company() as conn:
        rows = conn.execute(
            "SELECT DISTINCT a.account_id FROM account.account a JOIN usage.location USING (account_id)"
            " JOIN account.consent c USING (account_id) WHERE c.purpose = %s AND a.cancelled_at IS NULL"
            " AND a.account_id <> ALL(%s) ORDER BY 1",
            # A hard case may lie where nobody declared, which is another test's.
            (PLACES, [*_used, *house.names.values()]),
        ).fetchall()
    return [str(r[0]) for r in rows]


_used: list[str] = []


def one(house: House) -> str:
    """Somebody whom no test before took; a place is made up where the seed has none left."""
    if not somebody(house):
        with house.company() as conn:
            conn.execute(
                "INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at)"
                " SELECT account_id, 116.4, 39.9, 1, now() FROM account.consent JOIN account.account USING (account_id)"
                " WHERE purpose = %s AND cancelled_at IS NULL AND account_id <> ALL(%s)",
                (PLACES, [*_used, *house.names.values()]),
            )
    found = somebody(house)[0]
    _used.append(found)
    return found


def opened(house: House) -> tuple[str, ...]:
    return unasked.open_cases(house.desk, **ON).cases


def carried_out(house: House, case_no: str) -> CaseState:
    verbs.restrict(house.desk, case_no, **ON)
    assert "nobody is restricted" in provers.prove_restricted(house.desk, case_no, **ON)
    verbs.settle_and_plan(house.desk, case_no, **ON)
    provers.prove_baseline(house.desk, case_no, **ON)
    provers.carry_out(house.desk, case_no, **ON)
    provers.prove_gone(house.desk, case_no, **ON)
    provers.prove_undeclared(house.desk, case_no, **ON)
    verbs.balance(house.desk, case_no, **ON)
    verbs.open_backup_track(house.desk, case_no, **ON)
    return verbs.rest(house.desk, case_no, **ON).state


def test_what_rested_on_that_consent_alone_goes_and_nothing_else_is_touched(house: House) -> None:
    account = house.names["ordinary"]
    _used.append(account)
    house._last = None
    withdraw(house, account, FACES)
    before = house.now()
    mine = {k for k in before.items if k[0] in OF_FACES and account in house.owners_of(k)}
    assert {place for place, _ in mine} >= {"ra.biometric", "ca-face-video"}
    (case_no,) = opened(house)
    assert carried_out(house, case_no) is CaseState.WAITING
    house._last = None
    after = house.now()
    changed = {
        k for k in before.items.keys() | after.items.keys() if before.items.get(k) != after.items.get(k)
    }
    assert changed == mine and not any(k in after.items for k in mine)
    assert before.logs == after.logs
    with house.desk.book() as conn:
        case = book.case(conn, case_no)
        plan = papers.latest_plan(conn, case)
        assert papers.open_findings(conn, case_no) == []
        (tombstone,) = conn.execute(
            "SELECT kind FROM casebook.tombstone WHERE case_no = %s", (case_no,)
        ).fetchall()
    assert (case.ground, case.own_initiative) == (Ground.WITHDRAWN_CONSENT, True)
    assert tombstone["kind"] == "part", "who goes on is held back nowhere"
    stays = [x for x in plan.lines if not x.disposition.changes_data]
    assert stays and all(x.not_reached and x.law == planner.NOT_BY_CONSENT for x in stays)
    assert {x.dataset for x in plan.lines if x.disposition is Disposition.ERASE} <= {
        d.id for d in withdrawals.resting(house.desk.catalogue)[FACES]
    }
    assert unasked.look(house.desk, TODAY).withdrawn.followed == 1
    assert opened(house) == (), "it is followed once"


def test_withdrawn_and_given_again_no_case_follows(house: House) -> None:
    account = one(house)
    withdraw(house, account, PLACES)
    give(house, account, PLACES)
    assert unasked.look(house.desk, TODAY).withdrawn.to_follow == []
    assert opened(house) == ()


def test_withdrawn_tomorrow_or_before_it_was_given_is_not_withdrawn(house: House) -> None:
    account, other = one(house), one(house)
    withdraw(house, account, PLACES, at=NOW + timedelta(days=1))
    withdraw(house, other, PLACES, at=datetime.fromisoformat("2001-01-01T00:00:00+08:00"))
    seen = unasked.look(house.desk, TODAY).withdrawn
    assert (seen.to_follow, seen.unclear) == ([], 1)


def test_what_nothing_rests_on_alone_stays_and_so_does_who_left(house: House) -> None:
    account = one(house)
    before = unasked.look(house.desk, TODAY).withdrawn
    withdraw(house, account, "real-name certificate")
    seen = unasked.look(house.desk, TODAY).withdrawn
    assert (seen.to_follow, seen.needed) == ([], before.needed + 1)
    with house.company() as conn:
        (left,) = conn.execute(
            "SELECT count(*) FROM account.consent WHERE withdrawn_at IS NOT NULL AND purpose = ANY(%s)",
            ([FACES, PLACES],),
        ).fetchone() or (0,)
    assert left > 0, (
        "people who cancelled took their consents back, and their cancellation took everything along"
    )


def test_given_again_before_anything_went_the_case_ends_with_nothing_done(house: House) -> None:
    account = one(house)
    withdraw(house, account, PLACES)
    (case_no,) = opened(house)
    give(house, account, PLACES)
    house._last = None
    before = house.now()
    later = {**ON, "as_of": TODAY + timedelta(days=1)}  # a rehearsal of the same day is the same
    done = unasked.open_cases(house.desk, **later)
    assert done.closed == (case_no,) and done.cases == ()
    house._last = None
    assert house.now() == before
    with house.desk.book() as conn:
        assert book.case(conn, case_no).state is CaseState.CLOSED


def test_given_again_after_it_was_restricted_nothing_goes_and_the_case_comes_to_rest(house: House) -> None:
    account = one(house)
    withdraw(house, account, PLACES)
    (case_no,) = opened(house)
    verbs.restrict(house.desk, case_no, **ON)
    give(house, account, PLACES)
    house._last = None
    before = house.now()
    plan = verbs.settle_and_plan(house.desk, case_no, **ON)
    assert not any(x.disposition.changes_data for x in plan.lines)
    provers.prove_baseline(house.desk, case_no, **ON)
    provers.carry_out(house.desk, case_no, **ON)
    provers.prove_gone(house.desk, case_no, **ON)
    provers.prove_undeclared(house.desk, case_no, **ON)
    verbs.balance(house.desk, case_no, **ON)
    verbs.open_backup_track(house.desk, case_no, **ON)
    assert verbs.rest(house.desk, case_no, **ON).state is CaseState.WAITING
    with house.desk.book() as conn:
        assert {u.state for u in units.of_case(conn, case_no)} == {UnitState.LIVE_AGAIN}
    (told,) = became(plan, (), house.desk.catalogue, dataset="usage.location", own=True, language="en")
    assert "the consent was given again, and we go on by it (PIPL 13(1)(1), 15)" in told
    house._last = None
    assert house.now() == before


def test_withdrawn_again_after_it_was_given_again_is_followed_again(house: House) -> None:
    account = one(house)
    withdraw(house, account, PLACES, at=NOW - timedelta(days=9))
    (first,) = opened(house)
    carried_out(house, first)
    withdraw(house, account, PLACES, at=NOW - timedelta(hours=2))
    with house.company() as conn:
        conn.execute(
            "INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at)"
            " VALUES (%s, 116.4, 39.9, 2, now())",
            (account,),
        )
    (second,) = opened(house)
    assert second != first
    assert carried_out(house, second) is CaseState.WAITING


def test_a_case_about_the_whole_person_takes_it_along(house: House) -> None:
    account = one(house)
    verbs.open_case(
        house.desk, account, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="support/li", received_at=NOW, as_of=TODAY,
    )  # fmt: skip
    withdraw(house, account, PLACES)
    seen = unasked.look(house.desk, TODAY).withdrawn
    assert (seen.to_follow, seen.taken_along) == ([], 1)
    assert opened(house) == ()


def test_what_is_held_waits_with_its_reason(house: House) -> None:
    account = one(house)
    withdraw(house, account, PLACES)
    verbs.open_hold(
        house.desk, basis="court", document_no="(2026) 京 12", issuing_body="court", law="Civil Procedure Law 106",
        account_ids=frozenset({account}), datasets=frozenset({"usage.location"}), **ON,
    )  # fmt: skip
    (case_no,) = opened(house)
    assert carried_out(house, case_no) is CaseState.HELD
    with house.company() as conn:
        assert conn.execute("SELECT FROM usage.location WHERE account_id = %s", (account,)).rowcount > 0


def test_more_than_ever_waits_for_a_persons_word(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        withdraw(house, one(house), PLACES)
    monkeypatch.setattr(breaker, "FEW", 2)
    monkeypatch.setattr(unasked, "_nights_before", lambda conn: [])
    assert unasked.look(house.desk, TODAY).needs_word
    with pytest.raises(Refused, match="a person has to look"):
        opened(house)
    made = unasked.open_cases(house.desk, as_of=TODAY, actor="ops/zhao", at_most=1)
    assert (len(made.cases), made.left) == (1, 2)
    with house.desk.book() as conn:
        assert book.case(conn, made.cases[0]).opened_by == "ops/zhao"


def test_while_nights_are_stopped_nothing_is_opened(house: House) -> None:
    withdraw(house, one(house), PLACES)
    with house.desk.book() as conn:
        stopping.stop(conn, "an incident", actor="ops/zhao")
        with pytest.raises(Stopped):
            opened(house)
        stopping.lift(conn, actor="ops/zhao")
