"""Whoever was deleted does not come back by an import; whoever registers again, or was given a phone number, is let in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases import came_back, papers, provers, suppressing, tombstones
from include.cases.keys import FileKeyStore, Purpose
from include.cases.suppressing import KINDS, STRONG, Brought, Buried, Verdict, judge, normal
from include.model.times import PRC
from tests.cases.restoring import ON, PEOPLE, PERSON, SHOP, Restorable
from tests.cases.small import TODAY, world
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

__all__ = ["new_company"]

dates = st.dates(date(2020, 1, 1), date(2030, 1, 1))
moments = dates.map(lambda d: datetime(d.year, d.month, d.day, 12, tzinfo=PRC))
buried = st.builds(Buried, st.just("CASE-000001"), dates)
rows = st.builds(
    Brought, st.just(1), st.none() | st.just("acct"), st.dictionaries(st.sampled_from(KINDS), st.just("x")),
    st.none() | moments,
)  # fmt: skip
found = st.dictionaries(st.sampled_from(KINDS), st.lists(buried, min_size=1, max_size=3))


def within(row: Brought, matched: dict[str, list[Buried]]) -> dict[str, list[Buried]]:
    """Only what the row has can have matched."""
    return {kind: of for kind, of in matched.items() if kind in row.identifiers}


@given(rows, found)
def test_a_phone_never_holds_anybody_back(row: Brought, matched: dict[str, list[Buried]]) -> None:
    judged = judge(row, {k: v for k, v in within(row, matched).items() if k == "phone"})
    assert judged.verdict is not Verdict.HOLD_BACK
    if any(k in row.identifiers for k in STRONG):
        assert judged.verdict is Verdict.LET_IN, "it has a new owner"


@given(rows, found)
def test_a_strong_identifier_holds_back_until_its_holder_consents(
    row: Brought, matched: dict[str, list[Buried]]
) -> None:
    matched = within(row, matched)
    judged = judge(row, matched)
    newest = max((b.since for k in STRONG for b in matched.get(k, ())), default=None)
    consented = row.consented_at and row.consented_at.astimezone(PRC).date()
    assert (judged.verdict is Verdict.HOLD_BACK) == (
        newest is not None and (consented is None or consented < newest)
    )


@given(rows, found, buried)
def test_the_account_itself_never_comes_back(
    row: Brought, matched: dict[str, list[Buried]], own: Buried
) -> None:
    judged = judge(row, {**matched, "account_id": [own]})
    assert (judged.verdict, judged.by) == (Verdict.HOLD_BACK, "account_id")


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("phone", "+86 138-0000-0001", "１３８００００0001"),
        ("phone", "008613800000001", "138 0000 0001"),
        ("document", "11010519491231002x", " 110105 19491231 002X"),
        ("credit_code", "91350211m000100y43", "91350211M000100Y43"),
    ],
)
def test_a_number_that_is_written_otherwise_is_the_same(kind: str, one: str, other: str) -> None:
    assert normal(kind, one) == normal(kind, other) != ""


# --- on a real server -----------------------------------------------------------------------------


@pytest.fixture
def at_work(writer: str, tmp_path, new_company: Callable[..., Company], pg_server: PgServer) -> Restorable:
    shop = new_company(SHOP, making.SCHEMA + PEOPLE, "shop8_restorable")
    return Restorable(
        pg_server, shop, world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), lambda: SHOP)
    )


NEW = "acct_bbbbbbbbbbbb"


def registers(
    it: Restorable, account: str, document: str | None, phone: str, consented: datetime | None = None
) -> None:
    it.shop.sql("INSERT INTO account.account VALUES (%s, 'somebody', NULL)", account)
    if consented:
        it.shop.sql(
            "INSERT INTO account.consent SELECT 1 + max(id), %s, %s FROM account.consent", account, consented
        )
    it.shop.sql("INSERT INTO account.identity VALUES (%s, %s, %s)", account, document, phone)


def findings(it: Restorable, case_no: str) -> Sequence[tuple[str, str]]:
    with it.desk.book() as conn:
        return [(f["code"], f["dataset"]) for f in papers.open_findings(conn, case_no)]


@pytest.mark.postgres
def test_an_import_under_a_new_account_is_found_and_settles_itself_once_it_is_gone(
    at_work: Restorable,
) -> None:
    case_no = at_work.erase(2)
    first = came_back.look(at_work.desk, **ON)
    assert (first.rows, first.back, first.review) == (7, 0, 0)
    assert came_back.look(at_work.desk, **ON).rows <= 1, "only what is new"
    registers(at_work, NEW, "doc-2", "139")
    looked = came_back.look(at_work.desk, **ON)
    assert (looked.back, looked.cases) == (1, (case_no,))
    assert findings(at_work, case_no) == [("re_ingested", "account.identity")]
    with at_work.desk.book() as conn:
        (said,) = papers.open_findings(conn, case_no)
        assert not re.search(f"{NEW}|doc-2", str(said), re.IGNORECASE)
        assert papers.in_the_way(conn, case_no)
    at_work.desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    assert came_back.look(at_work.desk, **ON).back == 1
    with at_work.desk.book() as conn:
        assert papers.open_findings(conn, case_no) == [said], "under another key it is the same finding"
    at_work.shop.sql("DELETE FROM account.identity WHERE account_id = %s", NEW)
    assert came_back.look(at_work.desk, **ON).back == 0
    assert findings(at_work, case_no) == []


@pytest.mark.postgres
def test_who_registers_again_and_who_got_the_phone_are_let_be(at_work: Restorable) -> None:
    case_no = at_work.erase(2)
    registers(at_work, "acct_bbbbbbbbbbb1", "DOC-2", "139", datetime.now(UTC) + timedelta(days=1))
    registers(at_work, "acct_bbbbbbbbbbb2", "DOC-77", "13800000002")
    assert came_back.look(at_work.desk, **ON).cases == ()
    registers(at_work, "acct_bbbbbbbbbbb3", None, "138-0000-0002")
    looked = came_back.look(at_work.desk, **ON)
    assert (looked.back, looked.review, looked.cases) == (0, 1, (case_no,))
    with at_work.desk.book() as conn:
        assert not papers.in_the_way(conn, case_no)
    for account in ("acct_bbbbbbbbbbb1", "acct_bbbbbbbbbbb2", "acct_bbbbbbbbbbb3"):
        read = at_work.shop.value(
            "SELECT count(*) FROM account.identity WHERE account_id = %s", account, user="shop_app"
        )
        assert read == 1, "it serves"


@pytest.mark.postgres
def test_rows_for_a_deleted_account_are_refused_and_found_where_nothing_refused_them(
    at_work: Restorable,
) -> None:
    case_no = at_work.erase(2)
    provers.prove_gone(at_work.desk, case_no, **ON)
    account = "INSERT INTO account.account VALUES (%s, 'again', NULL)"
    session = "INSERT INTO account.session VALUES (9001, %s, '10.0.0.9')"
    for user in ("shop_app", "shop_batch", at_work.shop.admin):
        with pytest.raises(psycopg.Error, match=r"restricted|row-level security|foreign key"):
            at_work.shop.sql(session, PERSON(2), user=user)
    assert came_back.look(at_work.desk, **ON).back == 0
    there = at_work.shop.value("SELECT count(*) FROM account.account WHERE id = %s", PERSON(2))
    for table in ("account.account", "account.session"):
        at_work.shop.sql(f"ALTER TABLE {table} DISABLE TRIGGER quietus_restriction")
    if not there:
        at_work.shop.sql(account, PERSON(2))
    at_work.shop.sql(session, PERSON(2))
    assert came_back.look(at_work.desk, **ON).cases == (case_no,)
    assert ("re_ingested", "account.session") in findings(at_work, case_no)


@pytest.mark.postgres
def test_tombstones_of_numbers_expire_with_the_others(at_work: Restorable, database: str) -> None:
    at_work.erase(2)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE casebook.tombstone SET expires_on = %s", [TODAY - timedelta(days=1)])
    with at_work.desk.book() as conn:
        assert tombstones.expire(conn, TODAY) == 3, "the account's, the document's and the phone's"
        (judged,) = suppressing.check(conn, at_work.desk.keys, [Brought(1, PERSON(2), {"document": "DOC-2"})])
    assert judged.verdict is Verdict.LET_IN
