"""After T0 nobody writes, what was written is found whatever hides it, and rights come back exactly as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from include.catalogue import load
from include.model.errors import NotProved, Refused
from include.model.shutdown import Looked, Picture, Right
from include.sandbox.seed import apply_schema
from include.sandbox.stack.postgres import ensure_gatekeeper
from include.stores.postgres.collection import Writing
from include.stores.postgres.server import Patience, Server
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.making import BUSINESS, Company

OURS = ("eraser", "prover", "maintainer", "gatekeeper")
OWNED = """
ALTER SCHEMA account OWNER TO shop_owner; ALTER SCHEMA sign OWNER TO shop_owner; ALTER SCHEMA cert OWNER TO shop_owner;
ALTER SCHEMA log OWNER TO shop_owner;
DO $$ DECLARE t record; BEGIN
  FOR t IN SELECT oid::regclass AS r FROM pg_class WHERE relkind IN ('r', 'p')
    AND relnamespace::regnamespace::text IN ('account', 'sign', 'cert', 'log') LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO shop_owner', t.r);
  END LOOP; END $$;
SET ROLE shop_owner;
GRANT INSERT ON account.session TO shop_batch WITH GRANT OPTION;
GRANT UPDATE (label) ON sign.folder TO shop_batch;
RESET ROLE; SET ROLE shop_batch; GRANT INSERT ON account.session TO shop_temp; RESET ROLE;
"""


@pytest.fixture
def company(new_company: Callable[..., Company], pg_server: PgServer) -> Iterator[Company]:
    pg_server.add_role("gatekeeper")
    pg_server.add_role("shop_temp")
    with psycopg.connect(pg_server.superuser_conninfo, autocommit=True) as conn:
        if not conn.execute("SELECT FROM pg_roles WHERE rolname = 'shop_owner'").rowcount:
            conn.execute("CREATE ROLE shop_owner NOLOGIN")
        conn.execute("ALTER ROLE gatekeeper NOINHERIT; GRANT shop_owner, shop_batch TO gatekeeper")
    yield new_company(making.SHOP, making.SCHEMA + making.PEOPLE.format(n=8) + OWNED, "collection")


def writing(company: Company, role: str = "gatekeeper") -> Writing:
    server = Server(lambda: company.conninfo(role), "company", Patience(statement=60, lock=2, attempts=3))
    return Writing(server, OURS)


def sql(company: Company, statement: str, role: str = "quietus_admin") -> list[tuple[object, ...]]:
    with psycopg.connect(company.conninfo(role), autocommit=True) as conn:
        cursor = conn.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


ACLS = (
    "SELECT c.oid::regclass::text, (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(relacl) x),"
    " (SELECT array_agg(attname || attacl::text ORDER BY attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND attacl IS"
    " NOT NULL) FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|info)' ORDER BY 1"
)


def closed(company: Company) -> tuple[tuple[Right, ...], Picture]:
    gate = writing(company)
    rights = gate.rights()
    return rights, gate.take(rights)


def look(company: Company, picture: Picture) -> Looked:
    return writing(company, "prover").look(picture, BUSINESS)


def test_nobody_writes_any_more_and_rights_come_back_exactly_as_they_were(company: Company) -> None:
    before = sql(company, ACLS)
    rights, picture = closed(company)
    assert Right("account.session", "", "INSERT", "shop_batch", "shop_temp") in rights
    assert Right("sign.folder", "label", "UPDATE", "shop_owner", "shop_batch") in rights
    for role in BUSINESS:
        for statement in ("INSERT INTO sign.contract VALUES (99, 'x')", "UPDATE sign.folder SET label = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sql(company, statement, role)
        assert sql(company, "SELECT count(*) FROM sign.contract", role)  # to read is no collection
    assert look(company, picture) == Looked("company", mighty=("quietus_admin",))
    writing(company).give_back(rights)
    writing(company).give_back(rights)
    assert sql(company, ACLS) == before
    sql(company, "INSERT INTO sign.contract VALUES (99, 'x')", "shop_app")


@pytest.mark.parametrize("lender", ["aa_lender", "zz_lender"])  # before its giver by name, and after
def test_what_was_passed_on_is_taken_and_given_back_of_tables_and_views(
    company: Company, pg_server: PgServer, lender: str
) -> None:
    pg_server.add_role(lender)
    with psycopg.connect(pg_server.superuser_conninfo, autocommit=True) as conn:
        conn.execute(f"GRANT {lender} TO gatekeeper")  # type: ignore[arg-type]
    sql(
        company,
        f"GRANT USAGE ON SCHEMA account TO {lender}; CREATE VIEW account.seen AS SELECT * FROM account.session",
    )
    sql(company, "ALTER VIEW account.seen OWNER TO shop_owner")
    for place in ("account.session", "account.seen"):
        sql(company, f"SET ROLE shop_owner; GRANT INSERT ON {place} TO {lender} WITH GRANT OPTION")
        sql(company, f"SET ROLE {lender}; GRANT INSERT ON {place} TO shop_temp")
    rights, _ = closed(company)
    assert sum(r.grantor == lender for r in rights) == 2
    writing(company).give_back(rights)
    assert writing(company).rights() == rights


def test_a_right_that_could_not_be_given_back_is_said(company: Company, pg_server: PgServer) -> None:
    rights, _ = closed(company)
    gate, alone = writing(company), [r for r in rights if r.grantor == "shop_batch"]
    assert alone
    with pytest.raises(Refused, match=r"account\.session"):
        gate.give_back(alone)  # who passed it on has it no more
    assert gate.rights() == ()


@pytest.mark.parametrize(
    ("planted", "place"),
    [
        ("INSERT INTO sign.contract VALUES (99, 'x')", "sign.contract"),
        ("UPDATE account.account SET name = 'x' WHERE id = 'A1'", "account.account"),
        ("INSERT INTO log.access VALUES ('2026-11-02', 99, 'A1', '/x')", "log.access_new"),
        # As many as before, and no statistics.
        ("DELETE FROM sign.folder WHERE id = 1; INSERT INTO sign.folder VALUES (1, 'A1', 'A2', 'x');"
         " SELECT pg_stat_reset()", "sign.folder"),
        ("INSERT INTO sign.contract VALUES (99, 'x')\\gx VACUUM (FREEZE) sign.contract", "sign.contract"),
        ("CREATE TABLE account.new_here AS SELECT 1 AS x", "account.new_here"),
    ],
)  # fmt: skip
def test_what_is_written_after_t0_is_found(company: Company, planted: str, place: str) -> None:
    _, picture = closed(company)
    for statement in planted.split("\\gx"):
        sql(company, statement)
    assert look(company, picture).grew == {place: 1}


def test_a_transaction_that_began_before_t0_is_found_when_it_writes_after(company: Company) -> None:
    with psycopg.connect(company.conninfo("quietus_admin")) as early:
        early.execute("SELECT pg_current_xact_id()")
        _, picture = closed(company)
        early.execute("INSERT INTO sign.contract VALUES (99, 'x')")
        early.commit()
    assert look(company, picture).grew == {"sign.contract": 1}


def test_what_a_receipt_of_ours_names_is_no_collection(company: Company) -> None:
    _, picture = closed(company)
    with psycopg.connect(company.conninfo("quietus_admin")) as conn:
        conn.execute("UPDATE account.account SET name = NULL WHERE id = 'A1'")
        conn.execute(
            "INSERT INTO quietus.receipt (step, verb, chunk, plan, counts, epoch) VALUES ('s', 'dispose', 1, 'p', '{}', 1)"
        )
    assert look(company, picture).grew == {}


def test_who_can_still_write_is_named_by_whatever_way(company: Company, pg_server: PgServer) -> None:
    _, picture = closed(company)
    sql(company, "GRANT INSERT ON sign.page TO PUBLIC")
    assert {a for _, a in look(company, picture).writers} == {"sign.page"}
    sql(
        company,
        "REVOKE INSERT ON sign.page FROM PUBLIC; GRANT shop_owner TO shop_temp; ALTER ROLE shop_temp NOINHERIT",
    )
    try:
        assert {r for r, _ in look(company, picture).writers} == {"shop_temp"}
    finally:
        sql(company, "REVOKE shop_owner FROM shop_temp")


def test_a_right_that_was_not_written_down_is_not_taken(company: Company) -> None:
    gate = writing(company)
    before = sql(company, ACLS)
    with pytest.raises(Refused, match="somebody was given a right"):
        gate.take(gate.rights()[1:])
    assert sql(company, ACLS) == before


def test_a_write_that_is_under_way_is_waited_for_and_not_cut_in_two(company: Company) -> None:
    gate = writing(company)
    rights = gate.rights()
    with psycopg.connect(company.conninfo("shop_app")) as busy:
        busy.execute("INSERT INTO sign.contract VALUES (99, 'x')")
        with pytest.raises(Exception, match="in the way"):
            gate.take(rights)
        busy.commit()
    picture = gate.take(rights)
    assert look(company, picture).grew == {}


def test_what_was_found_is_told_though_another_table_cannot_be_asked(company: Company) -> None:
    _, picture = closed(company)
    sql(company, "INSERT INTO sign.contract VALUES (99, 'x')")
    with psycopg.connect(company.conninfo("quietus_admin")) as busy:
        busy.execute("LOCK TABLE account.session IN ACCESS EXCLUSIVE MODE")
        looked = look(company, picture)
    assert looked.grew == {"sign.contract": 1} and list(looked.unasked) == ["account.session"]


def test_another_database_proves_nothing(company: Company) -> None:
    _, picture = closed(company)
    with pytest.raises(NotProved, match="another database"):
        look(company, picture.model_copy(update={"database": 1}))
    far = f"{int(str(picture.snapshot).split(':')[0]) - 2**31}:{str(picture.snapshot).split(':', 1)[1]}"
    with pytest.raises(NotProved, match="too many transactions"):
        look(company, picture.model_copy(update={"snapshot": far}))


def test_a_history_that_went_back_proves_nothing(company: Company) -> None:
    """Restored to before T0, or a standby that had not all of it: identifiers stay, and transactions bear old numbers."""
    _, picture = closed(company)
    counted = picture.model_copy(update={"counter": writing(company, "prover").counter()})
    assert picture.timeline == 1 and counted.counter == 1
    sql(company, "SELECT quietus.go_forward('nightly', 0)")
    look(company, counted)
    ahead = str(int(str(picture.snapshot).split(":")[1]) + 1000)
    for went_back in ({"timeline": 2}, {"snapshot": f"{ahead}:{ahead}:"}, {"counter": 3}):
        with pytest.raises(NotProved, match="another history"):
            look(company, counted.model_copy(update=went_back))
    sql(company, "SELECT quietus.go_forward('replayed', 0)")
    with pytest.raises(NotProved, match="another history"):
        look(company, counted)


def test_the_sandbox_has_whom_it_takes_on_its_own_schema(pg18: PgServer) -> None:
    """Partitions, triggers, views and 113 grants of four applications; one lock, one transaction."""
    name = pg18.fresh_database()
    admin, catalogue = pg18.conninfo(name), load()
    try:
        apply_schema(admin)
        making.install(admin, catalogue, "company")
        ensure_gatekeeper(pg18.cluster, name)
        company = Company(lambda role: pg18.conninfo(name, role), catalogue, "quietus_admin")
        before = sql(company, ACLS)
        rights, picture = closed(company)
        assert {r.grantee for r in rights} == {"app_portal", "app_ra", "app_sign", "app_support"}
        looked = writing(company, "prover").look(picture, catalogue.store("company").business_roles)
        assert looked == Looked("company", mighty=("quietus_admin",))
        writing(company).give_back(rights)
        assert sql(company, ACLS) == before
    finally:
        pg18.drop_database(name)
