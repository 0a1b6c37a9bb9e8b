"""The first policy's map held against the sandbox's database, and against one that drifted."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import psycopg
import pytest
from typer.testing import CliRunner

from include.catalogue.database import SAMPLE_PAGES, differences
from include.catalogue.loader import ITRUS, load
from include.catalogue.problems import Problem
from include.commands import catalogue as command
from include.model.errors import CatalogueError, NotReachable
from include.model.flow import Step
from include.model.words import Role
from include.stores.postgres import PostgresStore, install

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.conftest import PgServer, S3Server

LI = "acct_000000000001"


def found(company: tuple[PgServer, str], change: str = "") -> tuple[Problem, ...]:
    server, name = company
    if change:
        with psycopg.connect(server.conninfo(name)) as conn:
            conn.execute(change.encode())
    return differences(ITRUS, load(), "company", server.conninfo(name, "prover")).problems


def said(problems: tuple[Problem, ...]) -> list[str]:
    return [f"{p.file}: {p.key}: {p.what}" for p in problems]


def test_the_map_is_that_of_the_sandbox(company: tuple[PgServer, str]) -> None:
    assert said(found(company)) == []


def test_what_quietus_keeps_there_is_no_finding(company: tuple[PgServer, str]) -> None:
    server, name = company
    for role in load().store("company").business_roles:
        server.add_role(role)
    install(server.conninfo(name), load(), "company")
    with psycopg.connect(server.conninfo(name)) as conn:
        conn.execute(f"GRANT CREATE ON DATABASE {name} TO eraser")
    step = Step(id="s1", case_no="CASE-000001", as_of=date(2026, 11, 24), restricting=True, subjects=(LI,))
    PostgresStore(load(), "company", Roles(server, name)).open(step)
    assert said(found(company)) == []


class Roles:
    """Connections to the company's database alone."""

    def __init__(self, server: PgServer, name: str) -> None:
        self.server, self.name = server, name

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.name, role.value)

    def s3(self, connection: str, role: Role) -> S3Client:
        raise AssertionError(connection)

    def text(self, name: str) -> str:
        raise AssertionError(name)


def test_a_table_that_nobody_mapped_is_named(company: tuple[PgServer, str]) -> None:
    (problem,) = found(company, "CREATE TABLE support.side_list (who text)")
    assert problem.file == "datasets/support.yaml"
    assert "support.side_list is a table that nobody mapped" in problem.what


def test_a_new_schema_is_named_too(company: tuple[PgServer, str]) -> None:
    (problem,) = found(company, "CREATE SCHEMA crm; CREATE TABLE crm.lead (who text)")
    assert (problem.file, problem.what) == ("not_personal.yaml", "crm.lead is a table that nobody mapped")


def test_a_detached_partition_is_an_unmapped_table(company: tuple[PgServer, str]) -> None:
    server, name = company
    with psycopg.connect(server.conninfo(name)) as conn:
        row = conn.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage.access_log'::regclass LIMIT 1"
        ).fetchone()
    assert row is not None
    problems = found(company, f"ALTER TABLE usage.access_log DETACH PARTITION {row[0]}")
    assert any(f"{row[0]} is a table that nobody mapped" in p.what for p in problems)


def test_an_unmapped_materialised_view_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(company, "CREATE MATERIALIZED VIEW support.copy AS SELECT * FROM support.ticket")
    assert any("support.copy is a materialised view that nobody mapped" in p.what for p in problems)


def test_a_column_that_nobody_mapped_is_named(company: tuple[PgServer, str]) -> None:
    (problem,) = found(company, "ALTER TABLE account.person ADD COLUMN nickname text")
    assert (problem.file, problem.key) == ("datasets/account.yaml", "account.person.columns")
    assert "account.person.nickname is not mapped" in problem.what


def test_a_mapped_column_that_is_gone_is_named_on_its_line(company: tuple[PgServer, str]) -> None:
    (problem,) = found(company, "ALTER TABLE usage.location DROP COLUMN map_tile")
    line = (ITRUS / problem.file).read_text("utf-8").splitlines()[problem.line - 1]
    assert "map_tile" in line


def test_a_mapped_table_that_was_renamed_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(company, "ALTER TABLE usage.cookie RENAME TO biscuit")
    assert {p.what for p in problems} == {
        "there is no table usage.cookie in the database",
        "usage.biscuit is a table that nobody mapped",
    }


def test_another_primary_key_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(
        company, "ALTER TABLE usage.location DROP CONSTRAINT location_pkey; ALTER TABLE usage.location"
        " ADD PRIMARY KEY (account_id, location_id)")  # fmt: skip
    assert said(problems) == [
        "datasets/usage.yaml: usage.location.key: the primary key is account_id, location_id"
    ]


def test_a_reference_to_a_person_without_a_link_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(company, "ALTER TABLE support.ticket ADD CONSTRAINT asked_by FOREIGN KEY (contact)"
                              " REFERENCES account.account")  # fmt: skip
    assert any("contact points at account.account" in p.what for p in problems)


def test_what_is_declared_impersonal_and_names_accounts_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(company, "ALTER TABLE ops.incident ADD COLUMN account_id text")
    assert said(problems) == [
        "not_personal.yaml: ops.incident.address: it has a column 'account_id', as people have",
        "not_personal.yaml: ops.incident.columns: nobody said what 'account_id' is",
    ]


def test_what_is_declared_impersonal_and_points_at_people_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(company, "ALTER TABLE ops.incident ADD COLUMN reporter text REFERENCES account.account,"
                              " ADD COLUMN reporter_name text")  # fmt: skip
    assert said(problems) == [
        "not_personal.yaml: ops.incident.address: reporter points at account.account, which leads to people",
        "not_personal.yaml: ops.incident.columns: nobody said what 'reporter' is",
        "not_personal.yaml: ops.incident.columns: nobody said what 'reporter_name' is",
    ]


def test_what_is_declared_impersonal_and_lost_a_column_is_named(company: tuple[PgServer, str]) -> None:
    problems = found(company, "ALTER TABLE ops.incident RENAME what TO happened")
    assert set(said(problems)) == {
        "not_personal.yaml: ops.incident.columns.3: ops.incident has no column 'what'",
        "not_personal.yaml: ops.incident.columns: nobody said what 'happened' is",
    }


def test_a_reference_over_two_columns_is_seen(company: tuple[PgServer, str]) -> None:
    problems = found(
        company,
        "ALTER TABLE support.ticket ADD CONSTRAINT about FOREIGN KEY (ticket_id, contact)"
        " REFERENCES sign.contract_party (contract_id, account_id)",
    )
    assert said(problems) == [
        "datasets/support.yaml: support.ticket.links: contact points at sign.contract_party, and no link says whose such a row is"
    ]


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("word", "'1380013' || (8000 + n)", "a mobile number"),  # a domain of a domain
        ("number bigint", "13800138000 + n", "a mobile number"),
        ("number numeric", "13800138000 + n", "a mobile number"),
        ("pair", "row(n, 'a' || n || '@mail.example')::pair", "an e-mail address"),  # of a composite type
        ("words varchar[]", "ARRAY['x', 'a' || n || '@mail.example']::varchar[]", "an e-mail address"),
    ],
)
def test_values_are_looked_at_whatever_their_type(
    company: tuple[PgServer, str], column: str, value: str, kind: str
) -> None:
    """A new column of a table that is passed over; that nobody said what it is is a finding of its own."""
    name, type_ = (*column.split(), column)[:2] if " " in column else (column, column)
    problems = found(
        company,
        "CREATE DOMAIN longer AS text; CREATE DOMAIN word AS longer; CREATE TYPE pair AS (n bigint, t text);"
        f" ALTER TABLE ops.incident ADD COLUMN {name} {type_};"
        f" INSERT INTO ops.incident (reported_on, what, {name}) SELECT '2026-01-01', 'x', {value}"
        " FROM generate_series(1, 9) AS n",
    )
    assert any(f"{name}: 9 of 9 values look like {kind}" in p.what for p in problems), said(problems)


@pytest.mark.parametrize("extension", ["citext", "hstore"])
def test_values_of_types_that_extensions_add_are_looked_at(
    company: tuple[PgServer, str], extension: str
) -> None:
    server, name = company
    with psycopg.connect(server.conninfo(name)) as conn:
        if conn.execute("SELECT FROM pg_available_extensions WHERE name = %s", [extension]).rowcount == 0:
            pytest.skip(f"this server has no {extension}")
    value = {"citext": "'A@mail.example'::citext", "hstore": "hstore('to', 'a@mail.example')"}[extension]
    problems = found(
        company,
        f"CREATE EXTENSION {extension}; ALTER TABLE ops.incident ADD COLUMN said {extension};"
        f" INSERT INTO ops.incident (reported_on, what, said) VALUES ('2026-01-01', 'x', {value})",
    )
    assert any("said: 1 of 1 values look like an e-mail address" in p.what for p in problems), said(problems)


def test_one_person_among_many_rows_is_seen_and_numbers_that_look_so_by_chance_are_not(
    company: tuple[PgServer, str],
) -> None:
    problems = found(
        company,
        "INSERT INTO ops.incident (reported_on, what) SELECT date '2026-01-01', (13800138000 + n)::text"
        " FROM generate_series(1, 40) AS n UNION ALL SELECT '2026-01-01', (23800138000 + n)::text"
        " FROM generate_series(1, 260) AS n UNION ALL SELECT '2026-01-01', 'told a@mail.example'",
    )
    assert [p.what for p in problems] == ["what: 1 of 301 values look like an e-mail address"]


def test_the_newest_rows_are_looked_at_too_and_what_was_not_is_said(company: tuple[PgServer, str]) -> None:
    server, name = company
    with psycopg.connect(server.conninfo(name), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO ops.incident (reported_on, what) SELECT '2026-01-01', repeat('x', 800)"
            " || CASE WHEN n > 4000 THEN ' a@mail.example' ELSE '' END FROM generate_series(1, 5000) AS n"
        )
    compared = differences(ITRUS, load(), "company", server.conninfo(name, "prover"))
    (problem,) = compared.problems
    assert "values look like an e-mail address" in problem.what
    (said_,) = compared.unverified
    assert f"only those of {SAMPLE_PAGES} pages each were looked at" in said_
    assert "ops.incident" in said_


def test_a_column_said_to_be_impersonal_that_holds_numbers_of_people_is_named(
    company: tuple[PgServer, str],
) -> None:
    problems = found(company, "INSERT INTO ops.incident (reported_on, what) SELECT '2026-01-01',"
                              " 'call 1380013' || (8000 + n) FROM generate_series(1, 9) AS n")  # fmt: skip
    (problem,) = problems
    assert "9 of 9 values look like a mobile number" in problem.what
    assert "138" not in str(problem)


def test_a_server_that_is_down_is_not_reachable_and_quotes_nothing() -> None:
    with pytest.raises(NotReachable) as error:
        differences(
            ITRUS, load(), "company", "host=127.0.0.1 port=1 user=prover password=hush connect_timeout=2"
        )
    assert "hush" not in str(error.value)


def test_the_command_line_compares_with_every_store(
    company: tuple[PgServer, str], empty_moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, name = company
    with psycopg.connect(server.conninfo(name)) as conn:
        conn.execute("DROP TABLE usage.cookie")

    class Sandbox:
        def postgres(self, connection: str, role: Role) -> str:
            assert (connection, role) == ("company", Role.PROVER)
            return server.conninfo(name, role.value)

        def s3(self, connection: str, role: Role) -> S3Client:
            assert (connection, role) == ("objects", Role.PROVER)
            return empty_moto.client()

    monkeypatch.setattr(command, "_connections", Sandbox)
    result = CliRunner().invoke(command.app, ["lint", "--database"])
    assert isinstance(result.exception, CatalogueError)
    assert "there is no table usage.cookie in the database" in result.output
    assert "there is no bucket ca-seals" in result.output
