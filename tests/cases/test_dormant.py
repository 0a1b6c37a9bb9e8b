"""Accounts that nobody uses: told first, given time, and cancelled; whoever comes back, is held or has a certificate stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import psycopg
import pytest

from include.cases import book, dormant, unasked, verbs
from include.cases.keys import FileKeyStore
from include.catalogue import load
from include.model.errors import NotReachable, Refused
from include.model.estate import Accounts, Consents, Dormancy
from include.model.policy import Period, Proposal
from include.model.times import PRC
from include.model.versions import PolicyVersion
from include.model.words import CaseState, Channel, Disposition, Ground, Requester, Role
from tests.cases.small import LI, WANG, World, catalogue, world
from tests.cases.test_verbs import carried_out, on
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres

TODAY = date(2026, 11, 24)
DAY = timedelta(days=1)

COMPANY = """
CREATE SCHEMA account; CREATE SCHEMA cert;
CREATE TABLE account.account (account_id text PRIMARY KEY, registered_at timestamptz NOT NULL, last_login_at timestamptz,
                              cancelled_at timestamptz, noticed_at timestamptz, policy_version text);
CREATE TABLE account.consent (account_id text, purpose text, given_at timestamptz, withdrawn_at timestamptz);
CREATE TABLE cert.certificate (account_id text, not_after timestamptz, revoked_at timestamptz);
GRANT USAGE ON SCHEMA account, cert TO prover;
GRANT SELECT ON ALL TABLES IN SCHEMA account, cert TO prover;
"""


def at(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), PRC) + timedelta(hours=12)


def sleepy(owner: str | None = None):
    """The small catalogue, in which accounts sleep after 24 months; ``owner``: of that period."""

    def made(**changes):
        base = catalogue()
        rules = []
        for rule in base.rules:
            if rule.id == "RS-01":
                proposal = Proposal(until_then="sandbox only", owner=owner, approved_on=owner and TODAY)
                period = Period(
                    name="dormant", duration="P24M", kind="ceiling", basis=rule.basis, proposal=proposal
                )
                rules.append(rule.model_copy(update={"periods": (*rule.periods, period)}))
            else:
                rules.append(rule)
        said = Dormancy(period="dormant", last_use="account_last_used", noticed="noticed_at", notice="P30D")
        datasets = [
            d.model_copy(update={"accounts": Accounts(ended="cancelled_at", dormancy=said)})
            if d.id == "account.account" else d for d in base.datasets
        ]  # fmt: skip
        consents = base.datasets[1].model_copy(
            update={"id": "account.consent", "address": "account.consent",
                    "consents": Consents(given="given_at", purpose="purpose", withdrawn="withdrawn_at")}
        )  # fmt: skip
        starts = {"account_last_used": load().starting_points["account_last_used"]}
        return catalogue(
            rules=tuple(rules), datasets=(*datasets, consents), starting_points=starts, **changes
        )

    return made


@dataclass
class Places:
    records: str
    company: str
    texts: dict[str, str] = field(default_factory=lambda: {"sandbox": "yes"})

    def postgres(self, connection: str, role: Role) -> str:
        if role is Role.CASE_WRITER:
            return self.records
        if (connection, role) != ("company", Role.PROVER):
            raise NotReachable("there is no such server here", about=connection)
        return self.company

    def text(self, name: str) -> str:
        if name not in self.texts:
            raise Refused("it is not declared", about=name)
        return self.texts[name]


@dataclass
class House:
    w: World
    owner: str

    def says(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.owner) as conn:
            conn.execute(statement.encode(), values)

    def used(self, who: str, day: date, noticed: date | None = None) -> None:
        self.says("UPDATE account.account SET last_login_at = %s, noticed_at = %s WHERE account_id = %s",
                  at(day), noticed and at(noticed), who)  # fmt: skip

    def look(self, as_of: date = TODAY) -> dormant.Asleep:
        return unasked.look(self.w.desk, as_of).asleep

    def open_cases(self, as_of: date = TODAY) -> unasked.Opened:
        return unasked.open_cases(self.w.desk, as_of=as_of, actor="system/airflow")


@pytest.fixture
def house(pg18: PgServer, writer: str, tmp_path) -> Iterator[House]:
    name = pg18.fresh_database()
    with psycopg.connect(pg18.conninfo(name)) as conn:
        conn.execute(COMPANY)
        conn.execute(
            "INSERT INTO account.account (account_id, registered_at, last_login_at) VALUES (%s, %s, %s), (%s, %s, %s)",
            (LI, at(date(2020, 1, 1)), at(TODAY), WANG, at(date(2020, 1, 1)), at(TODAY)),
        )
    w = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), sleepy(),
              connections=Places(writer, pg18.conninfo(name, "prover")))  # fmt: skip
    w.main.rows["account.consent"] = {}
    yield House(w, pg18.conninfo(name))
    pg18.drop_database(name)


LAST_USED = date(2024, 11, 23)  # 24 months end on 23 November 2026


@pytest.mark.parametrize(
    ("last", "noticed", "stands"),
    [
        (date(2024, 11, 23), date(2026, 10, 24), "due"),  # both are over yesterday
        (date(2024, 11, 24), date(2026, 10, 24), "told"),  # the months end today
        (date(2024, 11, 23), date(2026, 10, 25), "told"),  # the notice ends today
        (date(2020, 5, 1), date(2020, 4, 1), "to_tell"),  # told before the last use
        (date(2020, 5, 1), None, "to_tell"),
        (date(2024, 12, 23), None, "to_tell"),  # told today, both would end together
        (date(2024, 12, 24), None, None),
        (date(2026, 11, 1), date(2026, 10, 1), None),
    ],
)
def test_an_account_is_told_first_and_goes_when_both_times_are_over(
    house: House, last: date, noticed: date | None, stands: str | None
) -> None:
    house.used(LI, last, noticed)
    seen = house.look()
    assert {"due": len(seen.due), "told": seen.told, "to_tell": len(seen.to_tell)} == {
        what: int(what == stands) for what in ("due", "told", "to_tell")
    }
    assert len(house.open_cases().cases) == (stands == "due")


@pytest.mark.parametrize(("accepted", "sleeps_long"), [("1", False), ("2", True), (None, False)])
def test_who_did_not_accept_a_longer_sleep_goes_by_the_shorter(
    house: House, accepted: str | None, sleeps_long: bool
) -> None:
    base = sleepy()()
    rules = [
        r.model_copy(update={"periods": tuple(
            p.model_copy(update={"duration": "P36M"}) if p.name == "dormant" else p for p in r.periods
        )})
        for r in base.rules
    ]  # fmt: skip
    datasets = [
        d.model_copy(update={"accounts": d.accounts.model_copy(update={"accepted": "policy_version"})})
        if d.accounts
        else d
        for d in base.datasets
    ]
    said = {"1": "P24M", "2": "P36M"}
    versions = tuple(PolicyVersion(id=id, says={"RS-01/dormant": d}) for id, d in said.items())
    changes = {"rules": tuple(rules), "datasets": tuple(datasets), "versions": versions}
    desk = replace(house.w.desk, catalogue=base.model_copy(update=changes))
    house.says("UPDATE account.account SET policy_version = %s WHERE account_id = %s", accepted, LI)
    house.used(LI, LAST_USED, date(2026, 10, 1))
    assert dormant.look(desk, TODAY).due == ([] if sleeps_long else [LI])
    assert dormant.sleeps(desk, LI, TODAY) is not sleeps_long
    assert dormant.look(desk, date(2027, 11, 24)).due == [LI]
    # Whose holder is to be told, too.
    house.used(LI, LAST_USED)
    assert dormant.look(desk, TODAY).to_tell == ([] if sleeps_long else [LI])


def test_it_runs_as_any_cancellation_of_our_own_and_is_opened_once(house: House) -> None:
    house.used(LI, LAST_USED, date(2026, 10, 1))
    (case_no,) = house.open_cases().cases
    assert house.open_cases().cases == (case_no,)
    carried_out(house.w, case_no, TODAY)
    with house.w.desk.book() as conn:
        case = book.case(conn, case_no)
    assert (case.ground, case.own_initiative, case.state) == (Ground.DORMANT, True, CaseState.ACTING)
    assert LI in house.w.main.restricted and 1 not in house.w.main.rows["account.account"]
    assert set(house.w.main.rows["account.account"]) == {2}
    assert any(x.disposition is Disposition.RETAIN and x.until for x in house.w.main_plan(case_no).lines)
    assert house.look().due == [], "it has its case"


def test_a_use_in_between_stops_it_and_ends_the_case(house: House) -> None:
    house.used(LI, LAST_USED, date(2026, 10, 1))
    (case_no,) = house.open_cases().cases
    house.says("UPDATE account.account SET last_login_at = %s WHERE account_id = %s", at(TODAY), LI)
    with pytest.raises(Refused, match="reaches nothing any more"):
        verbs.restrict(house.w.desk, case_no, **on(TODAY))
    assert not house.w.main.restricted and "restrict" not in house.w.main.calls
    assert house.open_cases().closed == (case_no,)
    with house.w.desk.book() as conn:
        assert book.case(conn, case_no).state is CaseState.CLOSED


@pytest.mark.parametrize(("not_after", "revoked", "due"), [
    (TODAY + DAY, None, 0), (date(2030, 1, 1), date(2022, 1, 1), 1), (date(2025, 6, 1), None, 0),
    (date(2022, 1, 1), None, 1),
])  # fmt: skip
def test_a_certificate_that_lives_or_ended_of_late_keeps_it_awake(
    house: House, not_after: date, revoked: date | None, due: int
) -> None:
    house.used(LI, LAST_USED, date(2026, 10, 1))
    house.says("INSERT INTO cert.certificate VALUES (%s, %s, %s)", LI, at(not_after), revoked and at(revoked))
    assert len(house.look().due) == due
    assert len(house.open_cases().cases) == due


def test_who_is_held_and_who_has_a_case_is_left_alone(house: House) -> None:
    for who in (LI, WANG):
        house.used(who, LAST_USED, date(2026, 10, 1))
    verbs.open_hold(
        house.w.desk, basis="court", document_no="1", issuing_body="court", law="CPL 106",
        account_ids=frozenset({LI}), datasets=frozenset({"web.log"}), **on(TODAY),
    )  # fmt: skip
    verbs.open_case(
        house.w.desk, WANG, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="support/li", received_at=at(TODAY), as_of=TODAY,
    )  # fmt: skip
    seen = house.look()
    assert (seen.due, seen.held, seen.taken_along) == ([], 1, 1)
    assert house.open_cases().cases == ()


def test_outside_a_sandbox_it_is_off_until_somebody_owns_the_period(house: House) -> None:
    house.used(LI, LAST_USED, date(2026, 10, 1))
    earnest = replace(house.w.desk.connections, texts={})
    off = dormant.look(replace(house.w.desk, connections=earnest), TODAY)
    assert off.due == [] and off.off is not None and "RS-01/dormant" in off.off
    owned = replace(house.w.desk, connections=earnest, catalogue=sleepy("privacy officer")())
    assert dormant.look(owned, TODAY).due == [LI]


def test_who_cancelled_does_not_sleep(house: House) -> None:
    house.used(LI, LAST_USED, date(2026, 10, 1))
    house.says("UPDATE account.account SET cancelled_at = now() WHERE account_id = %s", LI)
    assert house.look() == dormant.Asleep()


def test_every_account_is_looked_at_whatever_the_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dormant, "PAGE", 1)
    for who in (LI, WANG):
        house.used(who, LAST_USED, date(2026, 10, 1))
    assert sorted(house.look().due) == sorted([LI, WANG])
    assert LI not in repr(house.look())


def test_nobody_can_ask_for_it(house: House) -> None:
    with pytest.raises(Refused, match="by ourselves"):
        verbs.open_case(
            house.w.desk, LI, ground=Ground.DORMANT, channel=Channel.APP, requester=Requester.SELF,
            trigger_user="support/li", received_at=at(TODAY),
        )  # fmt: skip
