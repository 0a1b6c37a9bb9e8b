"""Whom to tell, and what each has: from a real company database, as the prover."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from psycopg import sql

from include.cases.notices import composing
from include.cases.notices.composing import Given
from include.cases.notices.register import Company
from include.cases.notices.whom import ToTell, whom
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.errors import CatalogueError, NotReachable
from include.model.estate import Accounts, Bound, Column, Link, Transfers
from include.model.flow import Line, Located, Plan
from include.model.policy import KnownBy, RecipientRole
from include.model.words import Disposition, Role
from tests.cases.notices.making import recipient
from tests.cases.small import LI, TODAY, WANG, catalogue, table
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres
RULE = (Bound(rule="RS-12"),)


class Places:
    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo

    def postgres(self, connection: str, role: Role) -> str:
        assert role is Role.PROVER
        return self.conninfo


@pytest.fixture
def places(pg18: PgServer) -> Places:
    pg18.add_role("prover")
    name = pg18.fresh_database()
    with psycopg.connect(pg18.conninfo(name)) as conn:
        conn.execute(
            "CREATE SCHEMA account CREATE TABLE account (account_id text PRIMARY KEY, since date, mobile text)"
        )
        conn.execute(
            "CREATE SCHEMA ext CREATE TABLE transfer (account_id text, body text, its_number text, what text[])"
        )
        conn.execute(
            "CREATE SCHEMA ra CREATE TABLE match (match_id int PRIMARY KEY, account_id text, vendor text, at timestamptz)"
        )
        conn.execute("CREATE TABLE ra.contact (match_id int, mobile text)")
        conn.execute("INSERT INTO account.account VALUES (%s, '2026-05-01', '13900004444'), (%s, '2019-01-01', '13900005555')",
                     (LI, WANG))  # fmt: skip
        conn.execute(
            "INSERT INTO ext.transfer VALUES (%s, 'sms', 't1', '{PI-001}'), (%s, 'sms', 't2', '{PI-001}')",
            (LI, LI),
        )
        conn.execute(
            "INSERT INTO ra.match VALUES (1, %s, 'vetting', '2019-03-01Z'), (2, %s, 'another', '2026-06-01Z')",
            (WANG, LI),
        )
        conn.execute("INSERT INTO ra.contact VALUES (1, '13900005555'), (2, '13900006666')")
        for schema in ("account", "ext", "ra"):
            conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO prover").format(sql.Identifier(schema)))
            conn.execute(
                sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO prover").format(sql.Identifier(schema))
            )
    return Places(pg18.conninfo(name, "prover"))


def policy(since: date | None = date(2020, 1, 1), began: str | None = "since", **more):
    account = table("account.account", "账户", RULE, (), key=("account_id",)).model_copy(
        update={
            "columns": {"account_id": Column(), "since": Column(), "mobile": Column(category="PI-005")},
            "accounts": Accounts(began=began),
        }
    )
    register = table("ext.transfer", "提供记录", RULE, ()).model_copy(
        update={"transfers": Transfers(recipient="body", reference="its_number", fields="what")}
    )
    match = table("ra.match", "比对", RULE, ("PI-028",), key=("match_id",))
    match.columns["at"] = Column()
    contact = table(
        "ra.contact", "联系", RULE, (), links=(Link(via="ra.match", on={"match_id": "match_id"}),)
    )
    contact = contact.model_copy(update={"columns": {"mobile": Column(category="PI-005")}})
    mobile = (
        KnownBy(category="PI-005", dataset="account.account", column="mobile"),
        KnownBy(category="PI-005", dataset="ra.contact", column="mobile"),
    )
    recipients = (
        recipient("sms", known_by=mobile, registered=since),
        recipient(
            "vetting", used_when=("ra.match",), named_in={"ra.match": "vendor"}, dated_by={"ra.match": "at"},
            registered=since,
        ),
        recipient("seals", used_when=("account.account",), registered=since),
        recipient("insurer", used_when=("web.log",), registered=since),
    )  # fmt: skip
    return catalogue(datasets=(account, register, match, contact), recipients=recipients, **more)


def plan(*located: str, lines: tuple[Line, ...] = ()) -> Plan:
    found = tuple(Located(dataset=d, items=1, digest="0" * 64) for d in located)
    return Plan(
        step="s", case_no="CASE-000001", as_of=TODAY, catalogue="c", code="t", located=found, lines=lines
    )


def told(cat, places, account: str, *located: str) -> dict[str, ToTell]:
    return {t.recipient.id: t for t in whom(cat, Company(cat, places), plan(*located), (account,), TODAY)}


def test_who_came_after_the_register_is_told_of_by_the_register_alone(places: Places) -> None:
    cat = policy(rules=tuple(r.model_copy(update={"periods": (r.periods[0].model_copy(update={"duration": "P3Y"}),)})
                             for r in catalogue().rules))  # fmt: skip
    found = told(cat, places, LI, "account.account", "ra.match")
    assert set(found) == {"sms"}
    given = found["sms"].given
    assert (given.references, given.categories(found["sms"].recipient)) == (("t1", "t2"), ("PI-001",))


def test_no_entry_is_not_nobody_where_the_person_was_there_before_the_register(places: Places) -> None:
    found = told(policy(), places, WANG, "account.account", "ra.match")
    assert set(found) == {"vetting", "seals"}, (
        "whose service was used; a row that names another does not count"
    )
    assert found["vetting"].given.references == ()
    assert set(told(policy(), places, LI, "account.account", "ra.match")) == {"sms", "seals"}, (
        "what the register no longer keeps is before it, too"
    )
    assert set(told(policy(began=None), places, LI, "account.account")) == {"sms", "seals"}, (
        "nothing says since when"
    )
    assert set(told(policy(since=None), places, WANG, "account.account")) == {"seals"}, (
        "nothing says since when the register has what it is given"
    )


THREE_YEARS = tuple(
    r.model_copy(update={"periods": (r.periods[0].model_copy(update={"duration": "P3Y"}),)}) for r in catalogue().rules
)  # fmt: skip


@pytest.mark.parametrize(
    ("used_on", "is_told", "hole"),
    [
        ("2025-03-31T15:59:59Z", True, False),  # 31 March in China: the day before
        ("2025-03-31T16:00:00Z", True, True),
        ("2026-06-01Z", True, True),
        (None, False, False),
    ],
    ids=["before", "the_day", "after", "never"],
)
@pytest.mark.parametrize("here_since", ["2019-01-01", "2026-05-01"])
def test_no_entry_is_told_where_the_service_was_used_before_the_register_and_else_a_hole_in_it(
    places: Places, pg18: PgServer, here_since: str, used_on: str | None, is_told: bool, hole: bool
) -> None:
    """By the day of the use, and not by how long the person is here."""
    database = psycopg.conninfo.conninfo_to_dict(places.conninfo)["dbname"]
    with psycopg.connect(pg18.conninfo(database)) as conn:
        conn.execute("UPDATE account.account SET since = %s WHERE account_id = %s", (here_since, WANG))
        conn.execute("DELETE FROM ra.match WHERE account_id = %s", (WANG,))
        if used_on:
            conn.execute("INSERT INTO ra.match VALUES (3, %s, 'vetting', %s)", (WANG, used_on))
    found = told(policy(date(2025, 4, 1), rules=THREE_YEARS), places, WANG, "ra.match")
    assert set(found) == ({"vetting"} if is_told else set())
    assert not is_told or found["vetting"].hole is hole
    assert not is_told or (found["vetting"].given.fields, found["vetting"].given.references) == ((), ())


def test_an_entry_says_no_more_than_it_has_unless_something_went_out_before(
    places: Places, pg18: PgServer
) -> None:
    cat = policy(date(2025, 4, 1), rules=THREE_YEARS)
    database = psycopg.conninfo.conninfo_to_dict(places.conninfo)["dbname"]
    with psycopg.connect(pg18.conninfo(database)) as conn:
        conn.execute("INSERT INTO ext.transfer VALUES (%s, 'vetting', 't3', '{PI-001}')", (WANG,))

    def categories() -> tuple[str, ...]:
        found = told(cat, places, WANG, "ra.match")["vetting"]
        assert not found.hole
        return found.given.categories(found.recipient)

    assert categories() == ("PI-001", "PI-005"), "used in 2019: anything may have gone out"
    with psycopg.connect(pg18.conninfo(database)) as conn:
        conn.execute("UPDATE ra.match SET at = '2026-01-01' WHERE account_id = %s", (WANG,))
    assert categories() == ("PI-001",)


def test_a_value_that_somebody_else_has_too_stays_at_home(places: Places, pg18: PgServer) -> None:
    cat = policy()
    company, sms = Company(cat, places), cat.recipients[0]
    assert sorted(i.value for i in company.identities(sms, (LI,))) == ["13900004444", "13900006666"]
    assert [i.value for i in company.identities(sms, (WANG,))] == ["13900005555"], "both rows are WANG's own"
    database = psycopg.conninfo.conninfo_to_dict(places.conninfo)["dbname"]
    with psycopg.connect(pg18.conninfo(database)) as conn:
        conn.execute(
            "UPDATE ra.contact SET mobile = '13900004444' WHERE match_id = 1"
        )  # WANG's contact has LI's number
    assert [i.value for i in company.identities(sms, (LI,))] == ["13900006666"], (
        "the send-log numbers are enough"
    )


def test_an_unread_register_is_not_an_empty_one(places: Places) -> None:
    with pytest.raises(NotReachable):
        Company(policy(), Places("host=127.0.0.1 port=1")).given((LI,))
    broken = policy().model_copy(update={"datasets": tuple(
        d.model_copy(update={"address": "ext.gone"}) if d.id == "ext.transfer" else d for d in policy().datasets
    )})  # fmt: skip
    with pytest.raises(CatalogueError, match="42P01"):
        Company(broken, places).given((LI,))


def test_somebody_whom_the_catalogue_does_not_know_stops_the_decision(places: Places) -> None:
    cat = policy()
    with pytest.raises(CatalogueError, match="such as sms"):
        told(cat.model_copy(update={"recipients": cat.recipients[1:]}), places, LI, "account.account")


def test_a_hold_is_as_wide_with_the_recipient_as_with_us() -> None:
    cat = catalogue()
    held = Line(
        dataset="account.account",
        disposition=Disposition.HOLD,
        items=1,
        rule="RS-01",
        law="l",
        hold="HOLD-000001",
    )
    kept = Line(dataset="ca.certificate", disposition=Disposition.RETAIN, items=1, rule="RS-04", law="l",
                waits_for="HOLD-000001", kept_for="HOLD-000001")  # fmt: skip
    statute = Line(
        dataset="web.log", disposition=Disposition.RETAIN, items=1, rule="RS-12", law="l", until=TODAY
    )

    def preserved(*lines: Line, categories: frozenset[str] = frozenset()) -> set[str]:
        order = HoldOrder(
            "HOLD-000001", HoldBasis.COURT, "l", Scope(frozenset({"CASE-000001"}), categories=categories)
        )
        return set(composing.held(cat, plan("account.account", lines=lines), (order,)))

    assert preserved(held) == {"PI-001", "PI-004"}
    assert preserved(held, categories=frozenset({"PI-004"})) == {"PI-004"}
    assert preserved(held, kept) == {"PI-001", "PI-004", "PI-029"}
    assert preserved(statute) == set(), "our own statutory period excuses nobody"


@pytest.mark.parametrize(
    ("role", "preserved", "instruction"),
    [("P", (), "erase"), ("P/I", (), "erase"), ("P", ("PI-001", "PI-005"), "preserve"), ("I", (), "inform"),
     ("I", ("PI-001", "PI-005"), "inform"), ("L", (), "stop_anchoring")],
)  # fmt: skip
def test_who_works_for_us_is_instructed_others_are_informed_and_chains_asked_to_stop(
    role, preserved, instruction
) -> None:
    from types import SimpleNamespace
    from uuid import uuid4

    from include.model.times import observed_now
    from include.model.words import Ground

    one = recipient(role=RecipientRole(role), channel="ledger" if role == "L" else "email")
    case = SimpleNamespace(case_no="CASE-000001", ground=Ground.CANCELLATION)
    notice = composing.compose(
        case, one, Given(one.id, 1), preserved, request_id=uuid4(), round_=1, submitted_at=observed_now(),  # type: ignore[arg-type]
        answer_by=TODAY,
    )  # fmt: skip
    assert notice.instruction.value == instruction
    assert notice.text == "说明", "what is said to it is in the language of the notice"
