"""Over companies that nobody thought of, the store does what a naive reading of the catalogue says, and no more.

``QUIETUS_EXAMPLES`` raises the number of companies per server; ``--hypothesis-show-statistics`` prints how they
were distributed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings, target
from psycopg.rows import dict_row

from include.model.errors import QuietusError
from include.model.flow import Plan, Step
from tests.conftest import PgServer
from tests.stores.postgres import making, oracle
from tests.stores.postgres.flaws import Flaw
from tests.stores.postgres.generated import Company, Row, companies, dangling, multiplied
from tests.stores.postgres.making import BUSINESS, TODAY, step

EXAMPLES = int(os.environ.get("QUIETUS_EXAMPLES", "24"))
ADMIN = "quietus_admin"
QUIET = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    phases=[Phase.generate] if os.environ.get("QUIETUS_NO_SHRINK") else list(Phase),
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
        self.connection.execute(company.ddl())
        if company.flaw is not None:
            self.connection.execute(company.flaw.installed)  # type: ignore[arg-type]
        made = making.Company(lambda role: self.server.conninfo(self.name, role), company.catalogue(), ADMIN)
        made.install()
        self.fill(company)
        return made

    def fill(self, company: Company) -> None:
        """The company's rows and nobody restricted, whatever was there before."""
        self.connection.execute(
            f"TRUNCATE {', '.join(company.tables)}, quietus.restriction, quietus.receipt, quietus.denied CASCADE"
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

    def everything(self) -> dict[str, list[tuple[str, str]]]:
        """Every row of every table as text, with who wrote it last, whatever the tables are called by now."""
        tables = self.connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = to_regnamespace('co') AND relkind = 'r'"
        ).fetchall()
        return {
            t: sorted(self.connection.execute(f"SELECT xmin::text, t::text FROM {t} AS t").fetchall())
            for (t,) in tables
        }

    def see_off(self, made: making.Company, company: Company) -> None:
        """Those who left in an earlier step."""
        if company.earlier:
            gone = step(*company.earlier)
            made.cancel(gone, company.provisions(everything=True))
            self.sweep(gone)

    def sweep(self, *steps: Step) -> None:
        for it in steps:
            self.connection.execute(f"DROP SCHEMA IF EXISTS q_{it.id} CASCADE")


@pytest.fixture(scope="module")
def arena(pg_server: PgServer) -> Iterator[Arena]:
    for role in BUSINESS:
        pg_server.add_role(role)
    name = pg_server.fresh_database()
    with pg_server.memberships_apart():
        with psycopg.connect(pg_server.conninfo(name), autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            yield Arena(pg_server, name, connection)
        pg_server.drop_database(name)


def plain(rows: Written) -> dict[str, list[Row]]:
    return {table: [row for _, row in of.values()] for table, of in rows.items()}


def judged(company: Company, rows: Written) -> dict[str, dict[Any, oracle.Fate]]:
    departed = () if company.flaw else company.earlier
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


def tell(company: Company, fates: Mapping[str, Mapping[Any, oracle.Fate]]) -> None:
    for kind in sorted(company.kinds()):
        event(kind)
    target(float(sum(len(of) for of in fates.values())), label="located rows")
    for word in sorted({f.disposition for of in fates.values() for f in of.values()}):
        event(f"fate {word}")


def by_text(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[str]]:
    return {table: sorted(map(str, of)) for table, of in rows.items()}


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """How many statements are sent to the server meanwhile."""
    found: Counter[str] = Counter()
    execute = psycopg.ClientCursor.execute

    def counted(self: Any, *arguments: Any, **more: Any) -> Any:
        found["all"] += 1
        return execute(self, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.ClientCursor, "execute", counted)
        yield found


@given(company=companies())
@settings(QUIET, max_examples=EXAMPLES)
def test_a_step_does_what_the_oracle_says_and_no_more(arena: Arena, company: Company) -> None:
    made = arena.settle_in(company)
    if company.flaw is not None:
        refused(arena, made, company, company.flaw)
        return
    assert list(made.store().preflight()) == []
    arena.see_off(made, company)
    before = arena.rows(company)
    fates = judged(company, before)
    tell(company, fates)

    it = step(*company.cohort, restricting=company.restricting)
    plan, receipt = made.cancel(it, company.provisions())
    after = arena.rows(company)
    check_plan(company, plan, fates)
    check_rows(before, after, fates)
    assert receipt.counts == oracle.done(company, fates)
    assert dangling(company.tables, plain(after)) == []

    again = step(*company.cohort, restricting=company.restricting)
    made.cancel(again, company.provisions())
    assert arena.rows(company) == after, "the same step again changed something"
    arena.sweep(it, again)


def refused(arena: Arena, made: making.Company, company: Company, flaw: Flaw) -> None:
    """Preflight names the flaw, and only it. A step that is tried all the same is refused with nothing changed, or
    does what is right."""
    event("refused")
    event(f"refused: {flaw.code}")
    arena.connection.execute(flaw.filled)  # type: ignore[arg-type]
    before = arena.everything()
    findings = made.store().preflight()
    assert arena.everything() == before
    assert flaw.code in {f.code for f in findings if f.place.startswith(flaw.place)}
    assert {f.code for f in findings} <= {flaw.code, *flaw.also}
    it = step(*company.cohort, restricting=company.restricting)
    rows = arena.rows(company) if not flaw.undo else {}
    try:
        made.cancel(it, company.provisions())
    except QuietusError as error:
        event(f"refused with {type(error).__name__}")
        assert arena.everything() == before
    else:
        event("refused, and done rightly all the same")
        if flaw.undo:
            arena.connection.execute(flaw.undo)  # type: ignore[arg-type]
            assert company.provided != tuple(company.tables)
        else:
            check_rows(rows, arena.rows(company), judged(company, rows))
    arena.sweep(it)


@given(company=companies(flawed=False))
@settings(QUIET, max_examples=max(1, EXAMPLES // 3))
def test_in_chunks_of_any_size_a_step_comes_to_the_same_end(arena: Arena, company: Company) -> None:
    made = arena.settle_in(company)
    ends = []
    for size in (None, 1, 2):
        if size is not None:
            arena.fill(company)
        arena.see_off(made, company)
        it = step(*company.cohort, restricting=company.restricting)
        _, receipt = made.cancel(it, company.provisions(), made.store(chunk_subjects=size))
        ends.append((plain(arena.rows(company)), receipt.counts))
        chunks = sum(r.verb == "dispose" for r in made.store().receipts(it))
        event(f"{'more than one chunk' if chunks > 1 else 'one chunk'} of {size or 'all'}")
        arena.sweep(it)
    for rows, counts in ends[1:]:
        assert counts == ends[0][1]
        assert by_text(rows) == by_text(ends[0][0])


@given(company=companies(flawed=False))
@settings(QUIET, max_examples=max(1, EXAMPLES // 10))
def test_three_times_the_people_take_not_one_statement_more(arena: Arena, company: Company) -> None:
    counts = []
    for times in (1, 3):
        crowd = multiplied(company, times)
        assert dangling(crowd.tables, crowd.rows) == []
        made = arena.settle_in(crowd)
        it = step(*crowd.cohort, restricting=crowd.restricting)
        store = made.store()
        store.open(it)
        store.restrict(it)
        store.settle(it)  # asks again until it has settled
        with counting() as statements:
            plan, _ = made.prepare(it, crowd.provisions(), store)
            store.dispose(it, plan)
        counts.append((statements["all"], sum(x.items for x in plan.located) / times))
        arena.sweep(it)
    assert counts[1] == counts[0]


KINDS = {
    "cycle", "self-reference", "composite key", "reference to a unique column", "cascade", "deferrable",
    "range partitions", "hash partitions", "shared", "access only", "via", "floor", "hold", "cohort is everybody",
    "somebody left earlier", "some datasets only", "not restricting", "refused",
    "action erase", "action deidentify", "action unlink",
}  # fmt: skip
SAMPLE = 300


def test_the_generator_makes_companies_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    seen: Counter[str] = Counter()
    flaws: Counter[str] = Counter()
    sizes: list[int] = []

    @given(company=companies())
    @settings(QUIET, max_examples=SAMPLE, phases=[Phase.generate])
    def look(company: Company) -> None:
        seen.update(company.kinds())
        flaws.update([company.flaw.code] if company.flaw else [])
        sizes.append(sum(map(len, company.rows.values())))

    look()
    with capsys.disabled():
        of = len(sizes)
        print(f"\n{of} companies of {min(sizes)} to {max(sizes)} rows, {sum(sizes) / of:.0f} on average")  # noqa: T201
        for name, found in (("", seen), ("refused: ", flaws)):
            print("  " + ", ".join(f"{name}{k} {n / of:.0%}" for k, n in found.most_common()))  # noqa: T201
    assert seen.keys() == KINDS
    assert len(flaws) >= 12
    assert seen["refused"] < 0.4 * of
