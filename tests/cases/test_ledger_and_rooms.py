"""The desk over the real ledger and the real key store, as it stands in production."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from include.cases import assembling, rooms, verbs
from include.cases.accounts import CatalogueAccounts, Standing, home
from include.cases.keys import FileKeyStore
from include.cases.notices.register import Company, register
from include.ledger import log
from include.model.errors import CatalogueError, NotReachable, Refused
from include.model.estate import Accounts, Bound, Column, Transfers
from include.model.words import CaseState, Role
from tests.cases.small import GHOST, GONE, LI, TODAY, WANG, catalogue, table, world
from tests.cases.test_verbs import approved, carried_out, on, proved
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres


class Servers:
    """Connections to the records database and to a small company database."""

    def __init__(self, pg: PgServer, records: str, company: str) -> None:
        self.pg, self.records, self.company = pg, records, company

    def postgres(self, connection: str, role: Role) -> str:
        return self.pg.conninfo(self.records if connection == "records" else self.company, role.value)

    def s3(self, connection: str, role: Role):
        raise AssertionError

    def text(self, name: str) -> str:
        raise AssertionError


@pytest.fixture
def servers(pg18: PgServer, case_book: str) -> Servers:
    company = pg18.fresh_database()
    pg18.add_role("ledger_writer")
    log.install(pg18.conninfo(case_book))
    with psycopg.connect(pg18.conninfo(case_book)) as conn:
        conn.execute("GRANT quietus_ledger_writer TO ledger_writer")
    with psycopg.connect(pg18.conninfo(company)) as conn:
        conn.execute(
            "CREATE SCHEMA account CREATE TABLE account (account_id text PRIMARY KEY, ended_on date)"
        )
        conn.execute("CREATE SCHEMA ext CREATE TABLE transfer (account_id text, body text, its_number text)")
        conn.execute("INSERT INTO account.account VALUES (%s, null), (%s, '2026-01-01')", (LI, GONE))
        conn.execute("INSERT INTO ext.transfer VALUES (%s, 'sms', 't1'), (%s, 'sms', 't2'), (%s, 'vetting', 't3')",
                     (LI, LI, WANG))  # fmt: skip
        for schema in ("account", "ext"):
            conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {0} TO prover").format(sql.Identifier(schema)))
            conn.execute(
                sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO prover").format(sql.Identifier(schema))
            )
    return Servers(pg18, case_book, company)


def company_catalogue():
    account = table("account.account", "账户", (Bound(rule="RS-01"),), (), key=("account_id",))
    account = account.model_copy(
        update={"columns": account.columns | {"ended_on": Column()}, "accounts": Accounts(ended="ended_on")}
    )
    sent = table("ext.transfer", "提供记录", (Bound(rule="RS-01"),), ())
    sent = sent.model_copy(
        update={
            "columns": sent.columns | {"body": Column(), "its_number": Column()},
            "transfers": Transfers(recipient="body", reference="its_number"),
        }
    )
    return catalogue(datasets=(account, sent))


def test_accounts_are_asked_of_the_table_that_is_declared_to_be_them(servers: Servers) -> None:
    accounts = CatalogueAccounts(company_catalogue(), servers)
    assert [accounts.standing(i) for i in (LI, GONE, GHOST)] == [
        Standing.LIVE,
        Standing.CANCELLED,
        Standing.UNKNOWN,
    ]


def test_a_catalogue_naming_a_missing_table_or_none_is_said_plainly(servers: Servers) -> None:
    with pytest.raises(CatalogueError, match="no dataset is declared to be the accounts"):
        home(catalogue(datasets=()))
    missing = table("account.gone", "x", (Bound(rule="RS-01"),), (), key=("account_id",), accounts=Accounts())
    with pytest.raises(CatalogueError, match="42P01"):
        CatalogueAccounts(catalogue(datasets=(missing,)), servers).standing(LI)


def test_the_transfer_register_tells_each_recipient_only_its_own_numbers(servers: Servers) -> None:
    cat = company_catalogue()
    found = register(cat)
    assert found is not None and found.id == "ext.transfer"
    given = Company(cat, servers).given((LI,))
    assert given is not None and set(given) == {"sms"}
    assert (given["sms"].items, given["sms"].references) == (2, ("t1", "t2"))
    assert "t1" not in repr(given["sms"])
    assert register(catalogue()) is None


def test_evidence_goes_into_the_real_ledger_once_and_can_be_found_again(servers, writer, tmp_path) -> None:
    def append(evidence, key):
        return assembling.append_evidence(servers, evidence, key)

    w = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), append=append)
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
    with psycopg.connect(servers.pg.conninfo(servers.records)) as conn:
        queued = conn.execute("SELECT kind, case_no, leaf FROM ledger.queue").fetchall()
        referred = conn.execute("SELECT ledger_key FROM casebook.evidence_ref").fetchall()
        keys = conn.execute("SELECT key FROM ledger.queue").fetchall()
    assert len(queued) == 3 and set(keys) == set(referred)
    assert not any(LI.encode() in bytes(q[2]) for q in queued)


def test_a_desk_without_its_connections_says_which_one_is_missing() -> None:
    from include.connections import Environment

    with pytest.raises(Refused, match="key_store"):
        assembling.desk(Environment({}), catalogue())


def test_no_store_at_all_is_not_an_empty_survey() -> None:
    with pytest.raises(NotReachable, match="no store is declared"):
        rooms.reachable(())
    assert TODAY
