"""Over companies that nobody thought of, the store does what a naive reading of the catalogue says, and no more.

``QUIETUS_EXAMPLES`` raises the number of companies per server; ``--hypothesis-show-statistics`` prints how they
were distributed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings, target
from psycopg.rows import dict_row

from include.model.flow import Plan, Provision, Receipt, Step
from tests.conftest import PgServer
from tests.stores.postgres import making, oracle
from tests.stores.postgres.generated import Company, Row, companies, dangling
from tests.stores.postgres.making import BUSINESS, TODAY, step

EXAMPLES = int(os.environ.get("QUIETUS_EXAMPLES", "60"))
ADMIN = "quietus_admin"
QUIET = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    **({"phases": [Phase.generate]} if os.environ.get("NOSHRINK") else {}),
    suppress_health_check=list(HealthCheck),
)

Written = dict[
    str, dict[tuple[Any, ...], tuple[str, Row]]
]  # table -> key -> (who wrote the row last, the row)


@dataclass
class Arena:
    """One database in which company after company is set up."""

    server: PgServer
    name: str
    connection: psycopg.Connection[Any]

    def settle_in(self, company: Company) -> making.Company:
        """The company's schema, Quietus installed in it, and its rows."""
        self.connection.execute("DROP SCHEMA IF EXISTS co CASCADE; DROP SCHEMA IF EXISTS quietus CASCADE")
        self.connection.execute(company.ddl())  # type: ignore[arg-type]
        made = making.Company(lambda role: self.server.conninfo(self.name, role), company.catalogue(), ADMIN)
        made.install()
        self.fill(company)
        return made

    def fill(self, company: Company) -> None:
        """The company's rows and nobody restricted, whatever was there before."""
        self.connection.execute(
            f"TRUNCATE {', '.join(company.tables)}, quietus.restriction, quietus.receipt, quietus.denied"
        )
        with self.connection.transaction():
            # Rows that refer to each other in a circle have no order in which they could be written.
            self.connection.execute("SET LOCAL session_replication_role = replica")
            for table in company.tables.values():
                columns = ", ".join(table.columns)
                with self.connection.cursor().copy(f"COPY {table.id} ({columns}) FROM STDIN") as copy:
                    for row in company.rows[table.id]:
                        copy.write_row([row[c] for c in table.columns])

    def rows(self, company: Company) -> Written:
        found: Written = {}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            for table in company.tables.values():
                cursor.execute(f'SELECT xmin::text AS "#xmin", * FROM {table.id}')
                found[table.id] = {table.key_of(r): (r.pop("#xmin"), r) for r in cursor.fetchall()}
        return found

    def sweep(self, *steps: Step) -> None:
        for it in steps:
            self.connection.execute(f"DROP SCHEMA IF EXISTS q_{it.id} CASCADE")


@pytest.fixture(scope="module")
def arena(pg_server: PgServer) -> Iterator[Arena]:
    for role in BUSINESS:
        pg_server.add_role(role)
    name = pg_server.fresh_database()
    with psycopg.connect(pg_server.conninfo(name), autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        yield Arena(pg_server, name, connection)
    pg_server.drop_database(name)


def plain(rows: Written) -> dict[str, list[Row]]:
    return {table: [row for _, row in of.values()] for table, of in rows.items()}


def judged(company: Company, rows: Written, departed: Sequence[str]) -> dict[str, dict[Any, oracle.Fate]]:
    return oracle.Oracle(company, plain(rows), company.cohort, departed, TODAY).fates()


def check_plan(company: Company, plan: Plan, fates: Mapping[str, Mapping[Any, oracle.Fate]]) -> None:
    """Each located row has the one fate that the oracle gives it, and the books balance."""
    said: Counter[tuple[str, str, Any]] = Counter()
    for line in plan.lines:
        said[line.dataset, line.disposition.value, line.until] += line.items
    assert said == oracle.tally(company, fates)
    for located in plan.located:
        of = sum(x.items for x in plan.lines_of(located.dataset))
        assert located.items == of
        if located.dataset in company.provided:
            assert of == len(fates[located.dataset])


def check_rows(before: Written, after: Written, fates: Mapping[str, Mapping[Any, oracle.Fate]]) -> None:
    """What goes is gone, what is cut is cut in just these columns, and nothing else was even written."""
    for table, rows in before.items():
        expected = {}
        for key, (xmin, row) in rows.items():
            fate = fates[table].get(key)
            becomes = row if fate is None else fate.after
            if becomes is not None:
                expected[key] = (xmin if becomes == row else "written", becomes)
        now = {
            key: (xmin if key in rows and rows[key][0] == xmin else "written", row)
            for key, (xmin, row) in after[table].items()
        }
        assert now == expected, table


def check_receipt(company: Company, receipt: Receipt, fates: Mapping[str, Mapping[Any, oracle.Fate]]) -> None:
    assert receipt.counts == oracle.done(company, fates)


def tell(company: Company, fates: Mapping[str, Mapping[Any, oracle.Fate]]) -> None:
    for kind in sorted(company.kinds()):
        event(kind)
    target(float(sum(len(of) for of in fates.values())), label="located rows")
    for word in sorted({f.disposition for of in fates.values() for f in of.values()}):
        event(f"fate {word}")


def run(
    made: making.Company, it: Step, provisions: Sequence[Provision], **options: Any
) -> tuple[Plan, Receipt]:
    return made.cancel(it, provisions, made.store(**options))


@given(company=companies())
@settings(QUIET, max_examples=EXAMPLES)
def test_a_step_does_what_the_oracle_says_and_no_more(arena: Arena, company: Company) -> None:
    made = arena.settle_in(company)
    assert list(made.store().preflight()) == []
    if company.earlier:
        gone = step(*company.earlier)
        run(made, gone, company.provisions(everything=True))
        arena.sweep(gone)
    before = arena.rows(company)
    fates = judged(company, before, company.earlier)
    tell(company, fates)

    it = step(*company.cohort, restricting=company.restricting)
    plan, receipt = run(made, it, company.provisions())
    after = arena.rows(company)
    check_plan(company, plan, fates)
    check_rows(before, after, fates)
    check_receipt(company, receipt, fates)
    assert dangling(company.tables, plain(after)) == []

    again = step(*company.cohort, restricting=company.restricting)
    run(made, again, company.provisions())
    assert arena.rows(company) == after, "the same step again changed something"
    arena.sweep(it, again)


@given(company=companies())
@settings(QUIET, max_examples=300, phases=[Phase.generate])
def test_sample(company: Company) -> None:
    SEEN.update(company.kinds())


SEEN: Counter[str] = Counter()
