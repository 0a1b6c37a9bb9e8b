"""Consents that were withdrawn, asked of a company's own tables, the cases that follow them, and cases whose date has come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from include.cases import book, holds, papers, parts, planner, unasked, units, verbs, withdrawals
from include.cases.keys import FileKeyStore, Purpose
from include.model.errors import CatalogueError, Drifted, NotReachable, Refused
from include.model.estate import Accounts, Bound, Column, Consents
from include.model.flow import Reach
from include.model.times import PRC, observed_now, prc_date
from include.model.words import CaseState, Disposition, Ground, Role, UnitState
from tests.cases.small import LI, WANG, Row, World, catalogue, table, world
from tests.cases.test_verbs import approved, carried_out, hold, on, proved
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres

NOW = observed_now()
TODAY = prc_date(NOW)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

COMPANY = """
CREATE SCHEMA account; CREATE SCHEMA usage;
CREATE TABLE account.account (account_id text PRIMARY KEY, cancelled_at timestamptz);
CREATE TABLE account.consent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id text NOT NULL, purpose text NOT NULL,
                              given_at timestamptz NOT NULL, withdrawn_at timestamptz);
CREATE TABLE usage.place (id int PRIMARY KEY, account_id text NOT NULL);
CREATE TABLE usage.face (id int PRIMARY KEY, account_id text NOT NULL);
GRANT USAGE ON SCHEMA account, usage TO prover;
GRANT SELECT ON ALL TABLES IN SCHEMA account, usage TO prover;
"""


@dataclass
class Places:
    """Connections to the case book, and to the company as its prover."""

    records: str
    company: str

    def postgres(self, connection: str, role: Role) -> str:
        if role is Role.CASE_WRITER:
            return self.records
        assert (connection, role) == ("company", Role.PROVER), "a look is the prover's, who cannot write"
        return self.company


@dataclass
class House:
    w: World
    owner: str

    def says(
        self,
        who: str,
        *,
        withdrawn: datetime | None,
        given: datetime = NOW - 9 * DAY,
        purpose: str = "location",
    ) -> None:
        with psycopg.connect(self.owner) as conn:
            conn.execute(
                "INSERT INTO account.consent (account_id, purpose, given_at, withdrawn_at) VALUES (%s, %s, %s, %s)",
                (who, purpose, given, withdrawn),
            )

    def executes(self, statement: str) -> None:
        with psycopg.connect(self.owner) as conn:
            conn.execute(statement)

    def look(self) -> withdrawals.Withdrawn:
        return unasked.look(self.w.desk, TODAY).withdrawn

    def open_cases(self, as_of: date = TODAY) -> unasked.Opened:
        return unasked.open_cases(self.w.desk, as_of=as_of, actor="system/airflow")


def with_consents(**changes):
    """The small catalogue, with consents, and places that rest on one."""
    datasets = [
        d.model_copy(update={"accounts": Accounts(ended="cancelled_at")}) if d.id == "account.account" else d
        for d in catalogue().datasets
    ]
    said = table("account.consent", "同意", (Bound(rule="RS-01"),), ()).model_copy(
        update={"consents": Consents(given="given_at", purpose="purpose", withdrawn="withdrawn_at")}
    )
    said.columns.update(purpose=Column(), given_at=Column(), withdrawn_at=Column())
    place = table("usage.place", "位置", (Bound(rule="RS-01"),), ("PI-060",)).model_copy(
        update={"rests_on": "location"}
    )
    face = table("usage.face", "人脸", (Bound(rule="RS-01"),), ("PI-060",)).model_copy(
        update={"rests_on": "face"}
    )
    return catalogue(datasets=(*datasets, said, place, face), **changes)


@pytest.fixture
def house(pg18: PgServer, writer: str, tmp_path) -> Iterator[House]:
    name = pg18.fresh_database()
    with psycopg.connect(pg18.conninfo(name)) as conn:
        conn.execute(COMPANY)
        conn.execute("INSERT INTO account.account VALUES (%s), (%s)", (LI, WANG))
        conn.execute("INSERT INTO usage.place VALUES (1, %s), (2, %s), (3, %s)", (LI, LI, WANG))
        conn.execute("INSERT INTO usage.face VALUES (1, %s)", (LI,))
    w = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), with_consents,
              connections=Places(writer, pg18.conninfo(name, "prover")))  # fmt: skip
    w.main.rows |= {
        "account.consent": {},
        "usage.face": {},
        "usage.place": {1: Row(LI), 2: Row(LI), 3: Row(WANG)},
    }
    yield House(w, pg18.conninfo(name))
    pg18.drop_database(name)


def rested(house: House, case_no: str) -> CaseState:
    today = {"as_of": TODAY, "actor": "system/airflow"}
    carried_out(house.w, case_no, TODAY)
    proved(house.w, case_no, TODAY)
    verbs.open_backup_track(house.w.desk, case_no, **today)
    return verbs.rest(house.w.desk, case_no, **today).state


def test_who_took_a_consent_back_is_followed_once_and_loses_nothing_else(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    house.says(WANG, withdrawn=None)
    before = {n: dict(rows) for n, rows in house.w.main.rows.items() if n != "usage.place"}
    assert house.look().people == 1
    (case_no,) = house.open_cases().cases
    assert house.open_cases().cases == (case_no,), "the same, which nobody began"
    assert rested(house, case_no) is CaseState.WAITING
    assert set(house.w.main.rows["usage.place"]) == {3}
    assert {n: rows for n, rows in house.w.main.rows.items() if n != "usage.place"} == before
    with house.w.desk.book() as conn:
        case = book.case(conn, case_no)
        plan = papers.latest_plan(conn, case)
    assert (case.ground, case.own_initiative) == (Ground.WITHDRAWN_CONSENT, True)
    assert {(x.dataset, x.disposition) for x in plan.lines if not x.not_reached} == {
        ("usage.place", Disposition.ERASE)
    }
    assert {x.law for x in plan.lines if x.not_reached} == {planner.NOT_BY_CONSENT}
    seen = house.look()
    assert (seen.followed, seen.people) == (1, 0)
    assert house.open_cases().cases == ()


def test_it_is_followed_once_whatever_version_of_the_token_key_named_the_person(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    (case_no,) = house.open_cases().cases
    house.w.desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    assert house.look().followed == 1 and house.open_cases().cases == (case_no,)


@pytest.mark.parametrize(
    ("consents", "to_follow"),
    [
        ([(-9, -1)], 1),
        ([(-9, None)], 0),
        ([(-9, -1), (-0.5, None)], 0),  # given again
        ([(-9, -8), (-7, -1)], 1),  # given again, and taken back again
        ([(-9, 1)], 0),  # from tomorrow on
        ([(-9, -1), (1, None)], 1),  # to be given again tomorrow
        ([(-1, -9)], 0),  # before it was given: nobody knows
    ],
)
def test_what_stands_is_what_was_given_and_not_taken_back(
    house: House, consents: list[tuple[float, float | None]], to_follow: int
) -> None:
    for given, withdrawn in consents:
        house.says(
            LI, given=NOW + given * DAY, withdrawn=None if withdrawn is None else NOW + withdrawn * DAY
        )
    assert len(house.look().to_follow) == to_follow
    assert len(house.open_cases().cases) == to_follow


def test_a_day_ends_at_midnight_in_china(house: House) -> None:
    midnight = datetime.combine(TODAY, datetime.min.time(), PRC)
    house.says(LI, withdrawn=midnight + timedelta(microseconds=1))
    assert withdrawals.look(house.w.desk, TODAY - DAY).to_follow == []
    house.says(WANG, withdrawn=midnight - timedelta(microseconds=1))
    assert [w.account_id for w in withdrawals.look(house.w.desk, TODAY - DAY).to_follow] == [WANG]


def test_one_case_follows_all_that_a_person_took_back_and_another_what_comes_later(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    house.says(LI, withdrawn=NOW - HOUR, purpose="newsletter")
    assert house.look().needed == 1, "nothing rests on a newsletter"
    (first,) = house.open_cases().cases
    rested(house, first)
    again = NOW - timedelta(minutes=1)
    house.executes(f"UPDATE account.consent SET withdrawn_at = '{again}' WHERE purpose = 'location'")
    house.w.main.rows["usage.place"][4] = Row(
        LI
    )  # kept meanwhile, by a consent that was given anew and taken back
    (second,) = house.open_cases().cases
    assert second != first


def test_of_whom_nothing_is_left_and_who_left_no_case_is_opened(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    house.says(WANG, withdrawn=NOW - HOUR)
    house.executes(f"DELETE FROM usage.place WHERE account_id = '{LI}'")
    house.executes(f"UPDATE account.account SET cancelled_at = now() WHERE account_id = '{WANG}'")
    seen = house.look()
    assert (seen.people, seen.nothing_there) == (0, 1)
    assert house.open_cases().cases == ()


def test_what_went_between_the_look_and_the_rehearsal_ends_the_case(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    house.w.main.rows["usage.place"] = {3: Row(WANG)}  # its own period was over this very minute
    made = house.open_cases()
    (case_no,) = made.closed
    assert made.cases == ()
    with house.w.desk.book() as conn:
        case = book.case(conn, case_no)
        assert case.state is CaseState.CLOSED and not case.open
        assert units.of_case(conn, case_no) == ()
    assert house.look().people == 0
    assert "dispose" not in house.w.main.calls


def test_a_case_that_came_to_nothing_before_its_run_is_not_acted_on(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    (case_no,) = house.open_cases().cases
    house.w.main.rows["usage.place"] = {3: Row(WANG)}
    tomorrow = {"as_of": TODAY + DAY, "actor": "system/airflow"}
    verbs.rehearse(house.w.desk, case_no, **tomorrow)
    with pytest.raises(Refused, match="reaches nothing any more"):
        verbs.restrict(house.w.desk, case_no, **tomorrow)
    assert "restrict" not in house.w.main.calls
    assert house.open_cases(TODAY + DAY).closed == (case_no,)


def given_again(house: House) -> None:
    house.says(LI, given=NOW - timedelta(minutes=1), withdrawn=None)


def left_as_it_is(house: House, case_no: str) -> None:
    """The case has come to its end, and what it was to dispose of is in use."""
    with house.w.desk.book() as conn:
        (track,) = units.of_case(conn, case_no)
        told = [e for e in book.timeline(conn, case_no) if e["what"] == "consent given again"]
    assert (track.state, track.ended, len(told)) == (UnitState.LIVE_AGAIN, True, 1)
    proved(house.w, case_no)
    verbs.open_backup_track(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    assert verbs.rest(house.w.desk, case_no, as_of=TODAY, actor="system/airflow").state is CaseState.WAITING


def test_given_again_while_the_case_is_at_work_nothing_more_goes(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    (case_no,) = house.open_cases().cases
    verbs.restrict(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    given_again(house)
    before = dict(house.w.main.rows["usage.place"])
    plan = verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    assert {(x.not_reached, x.law) for x in plan.lines if x.dataset == "usage.place"} == {
        (True, planner.GIVEN_AGAIN)
    }
    verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.dispose(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    assert house.w.main.rows["usage.place"] == before
    left_as_it_is(house, case_no)


def test_given_again_between_plan_and_deed_it_is_planned_again_and_nothing_goes(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    (case_no,) = house.open_cases().cases
    verbs.restrict(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    given_again(house)
    before = dict(house.w.main.rows["usage.place"])
    with pytest.raises(Drifted, match="given again"):
        verbs.dispose(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.dispose(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    assert house.w.main.rows["usage.place"] == before
    left_as_it_is(house, case_no)


def test_given_again_what_a_hold_kept_is_in_use_again_and_the_hold_stands(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    (case_no,) = house.open_cases().cases
    number = hold(house.w, case_no)
    verbs.restrict(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.dispose(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    with house.w.desk.book() as conn:
        assert [u.state for u in units.of_case(conn, case_no)] == [UnitState.HELD]
    given_again(house)
    before = dict(house.w.main.rows["usage.place"])
    verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    verbs.dispose(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    assert house.w.main.rows["usage.place"] == before
    left_as_it_is(house, case_no)
    with house.w.desk.book() as conn:
        assert [h.number for h in holds.orders(conn)] == [number]


def test_what_a_consent_given_again_left_in_use_a_replay_leaves_too(house: House) -> None:
    house.w.main.rows["usage.face"] = {1: Row(LI)}
    for purpose in ("location", "face"):
        house.says(LI, withdrawn=NOW - HOUR, purpose=purpose)
    (case_no,) = house.open_cases().cases
    given_again(house)
    carried_out(house.w, case_no)
    assert not house.w.main.rows["usage.face"] and house.w.main.rows["usage.place"]
    with house.w.desk.book() as conn:
        part = parts.reached(house.w.desk, conn, book.case(conn, case_no))
    assert part is not None
    assert (part.of("usage.face"), part.of("usage.place")) == (
        None,
        Reach(only=None, law=planner.GIVEN_AGAIN),
    )
    house.executes("DELETE FROM account.consent")  # whatever is agreed on later
    with house.w.desk.book() as conn:
        assert parts.reached(house.w.desk, conn, book.case(conn, case_no)) == part


def test_what_went_before_the_consent_came_back_stays_gone(house: House) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    (case_no,) = house.open_cases().cases
    carried_out(house.w, case_no)
    given_again(house)
    assert LI not in {row.owner for row in house.w.main.rows["usage.place"].values()}
    verbs.settle_and_plan(house.w.desk, case_no, as_of=TODAY, actor="system/airflow")
    proved(house.w, case_no)
    with house.w.desk.book() as conn:
        (track,) = units.of_case(conn, case_no)
    assert track.state is UnitState.LIVE_DELETED and track.items


def test_killed_after_it_was_opened_the_next_look_goes_on_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.says(LI, withdrawn=NOW - HOUR)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as at:
        at.setattr(verbs, "rehearse", dies)
        with pytest.raises(KeyboardInterrupt):
            house.open_cases()
    (case_no,) = house.open_cases().cases
    with house.w.desk.book() as conn:
        assert [str(c.case_no) for c in book.cases(conn)] == [case_no]


def test_the_case_book_holds_no_account_id(house: House, database: str) -> None:
    house.says(LI, withdrawn=NOW - HOUR)
    house.open_cases()
    with psycopg.connect(database) as conn:
        (row,) = conn.execute("SELECT w::text FROM casebook.withdrawal w").fetchall()
    assert LI not in row[0] and repr(house.look().to_follow).count(LI) == 0


def test_a_company_that_does_not_answer_is_waited_for(house: House) -> None:
    up: Any = house.w.desk.connections
    down = replace(house.w.desk, connections=Places(up.records, "host=127.0.0.1 port=1"))
    with pytest.raises(NotReachable):
        unasked.look(down, TODAY)


def test_without_a_table_of_consents_there_is_nothing_to_look_at(house: House) -> None:
    bare = replace(house.w.desk, catalogue=catalogue())
    with pytest.raises(CatalogueError, match="withdrawn consents"):
        unasked.look(bare, TODAY)


# --- dates that come ---------------------------------------------------------------------------------


def test_what_the_law_kept_five_years_goes_the_day_after_without_anybody_asking(
    w_at_rest: tuple[World, str],
) -> None:
    """ESL 24: certificate end + 5 years. The account was cancelled, and its file restricted, long before."""
    w, case_no = w_at_rest
    last = date(2029, 6, 30)  # the file of a certificate that ended on 30 June 2024
    goes_on(w, case_no, date(2027, 5, 2))  # a log's six months are over first
    with w.desk.book() as conn:
        assert unasked.woken(conn, last) == ()
        assert unasked.woken(conn, last + DAY) == (case_no,)
    assert set(w.main.rows["ra.application"]) == {2, 3}
    goes_on(w, case_no, last + DAY)
    assert set(w.main.rows["ra.application"]) == {3}, "nobody else's"
    with w.desk.book() as conn:
        assert unasked.woken(conn, last + 2 * DAY) == ()


def goes_on(w: World, case_no: str, day: date) -> None:
    """The run of a case whose date has come."""
    carried_out(w, case_no, day)
    proved(w, case_no, day)
    verbs.open_backup_track(w.desk, case_no, **on(day))
    verbs.rest(w.desk, case_no, **on(day))


@pytest.fixture
def w_at_rest(writer: str, tmp_path) -> tuple[World, str]:
    from tests.cases.test_verbs import rested as comes_to_rest

    w = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))
    case_no = approved(w)
    assert comes_to_rest(w, case_no) is CaseState.WAITING
    return w, case_no
