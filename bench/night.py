"""What a night costs: a million due rows go, against the same rows deleted in batches by hand.

    python -m bench.night [--rows 20000000] [--due 1000000] [--rounds 3] [--scale 20]

Two tables of the policy's network logs (RS-12: six months by law, gone after twelve), a quarter visits and three quarters
clicks that refer to them, the due ones oldest as logs are. The floor is what a good engineer writes who has looked the date
up: by the index on it, ``DELETE`` by key, a commit a batch, children first, and no look at anything else. Both as the eraser, in
turns, each on a fresh copy of the same database; its batches are as large as ours were. Then the same in a table a tenth as big.
Told by the clock and by processor time (server and client), which says the same whatever else the machine does.
``--scale`` divides all sizes. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from bench.clusters import processor, running
from include.cases import planner
from include.cases.retention.asking import Asking
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import question
from include.catalogue import load
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable
from include.model.estate import Bound, Column, Dataset, Link, Start
from include.model.flow import Plan, Step
from include.model.times import PRC
from include.model.words import DatasetKind, Role, Verdict
from include.proofs import limits
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from include.stores.postgres import install
from include.stores.postgres.clearing import Clearing

AS_OF = date(2026, 11, 24)
T = TypeVar("T")
SETTINGS = {
    "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off",
    "wal_level": "replica",
}  # fmt: skip
SCHEMA = """
CREATE SCHEMA account; CREATE SCHEMA usage;
CREATE TABLE account.account (
  account_id text PRIMARY KEY, kind text, user_name text, country text, policy_version text, registered_at timestamptz,
  last_login_at timestamptz, cancelled_at timestamptz, dormancy_noticed_at timestamptz);
CREATE TABLE usage.visit (
  visit_id bigint PRIMARY KEY, account_id text NOT NULL, ip inet NOT NULL, agent text NOT NULL,
  visited_at timestamptz NOT NULL);
CREATE TABLE usage.click (
  click_id bigint PRIMARY KEY, visit_id bigint NOT NULL REFERENCES usage.visit, page text NOT NULL,
  clicked_at timestamptz NOT NULL);
"""
INDEXES = """
CREATE INDEX ON usage.visit (visited_at); CREATE INDEX ON usage.visit (account_id);
CREATE INDEX ON usage.click (clicked_at); CREATE INDEX ON usage.click (visit_id);
GRANT USAGE ON SCHEMA account, usage TO eraser, prover;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA account, usage TO eraser;
GRANT SELECT ON ALL TABLES IN SCHEMA account, usage TO prover;
"""
VISITS = """
INSERT INTO usage.visit
SELECT i, 'A' || i * 7919 %% %(people)s, '10.0.0.0'::inet + i %% 65536, 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15)',
       CASE WHEN i <= %(due)s THEN %(edge)s::timestamptz - (%(due)s - i + 1) * %(due_step)s
            ELSE %(edge)s::timestamptz + (i - %(due)s) * %(step)s END
  FROM generate_series(1::bigint, %(visits)s) AS i
"""
CLICKS = """
INSERT INTO usage.click
SELECT visit_id * 3 + n, visit_id, '/certificates/apply/step/' || n, visited_at
  FROM usage.visit, generate_series(0, 2) AS n ORDER BY 1
"""
STEP = Step(id="case_000001_s1", case_no="CASE-000001", as_of=AS_OF, restricting=False, subjects=())
TABLES = (
    ("usage.click", "click_id", "clicked_at"),
    ("usage.visit", "visit_id", "visited_at"),
)  # children first


class Company:
    """One database on a server of its own."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        self.cluster, self.database = cluster, database

    def postgres(self, connection: str, role: Role) -> str:
        return self.cluster.conninfo(role.value, self.database)

    def s3(self, connection: str, role: Role) -> Any:
        raise NotReachable("a bench without buckets", about=connection)


def policy() -> Catalogue:
    """The first policy's rules, over the accounts and these two tables."""
    whole = load()

    def logs(id: str, key: str, at: str, link: Link, *columns: str) -> Dataset:
        start = Start(column=at)
        return Dataset(
            id=id, store="company", kind=DatasetKind.TABLE, title=id, address=id, key=(key,), links=(link,),
            binds=(Bound(rule="RS-12", start=start), Bound(rule="RS-12", period="cap", start=start)),
            columns={c: Column() for c in (key, at, *columns)},
        )  # fmt: skip

    datasets = (
        whole.dataset("account.account"),
        logs("usage.visit", "visit_id", "visited_at", Link(column="account_id"), "account_id", "ip", "agent"),
        logs("usage.click", "click_id", "clicked_at", Link(via="usage.visit", on={"visit_id": "visit_id"}), "visit_id", "page"),
    )  # fmt: skip
    stores = tuple(s.model_copy(update={"business_roles": ()}) for s in whole.stores if s.id == "company")
    return whole.model_copy(
        update={
            "datasets": datasets,
            "stores": stores,
            "derived": (),
            "not_personal": (),
            "measures": (),
            "releases": (),
        }
    )


def edge(catalogue: Catalogue) -> datetime:
    """The moment before which a log is due: what the engineer looked up."""
    asked = question(catalogue, catalogue.dataset("usage.visit"), AS_OF)
    (cap,) = (x for x in asked.limits if x.ceiling)
    return datetime.combine(cap.over + timedelta(days=1), clock(), PRC)


def fill(cluster: Cluster, catalogue: Catalogue, database: str, rows: int, due: int) -> None:
    cluster.ensure_database(database)
    visits, gone = rows // 4, due // 4
    year = timedelta(days=360)
    with psycopg.connect(cluster.superuser_conninfo(database), cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute(SCHEMA.encode())
        people = max(100, rows // 1000)
        conn.execute(
            "INSERT INTO account.account SELECT 'A' || i, 'person', 'user', 'CN', '1', '2020-01-01', '2026-11-01'"
            " FROM generate_series(0, %s - 1) AS i", [people],
        )  # fmt: skip
        conn.execute(
            VISITS.encode(),
            {"people": people, "due": gone, "visits": visits, "edge": edge(catalogue), "due_step": year / gone,
             "step": year / max(1, visits - gone)},
        )  # fmt: skip
        conn.execute(CLICKS.encode())
        conn.execute(INDEXES.encode())
    install(cluster.superuser_conninfo(database), catalogue, "company")
    with psycopg.connect(cluster.superuser_conninfo(database), autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE, FREEZE)")


@contextmanager
def copied(cluster: Cluster, database: str) -> Iterator[Company]:
    """A fresh copy, its pages on disk and none of them in the server's memory but by reading."""
    name, copy = sql.Identifier(f"{database}_copy"), f"{database}_copy"
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                name, sql.Identifier(database)
            )
        )
        conn.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO eraser").format(name))
        with psycopg.connect(cluster.superuser_conninfo(copy), autocommit=True) as inside:
            # Both find the tables warm, as a company in use has them.
            inside.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            inside.execute(
                "SELECT pg_prewarm(c.oid, 'read') FROM pg_class AS c WHERE c.relnamespace = 'usage'::regnamespace"
                " AND c.relkind IN ('r', 'i')"
            )
        conn.execute("CHECKPOINT")
        try:
            yield Company(cluster, copy)
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@dataclass
class Ours:
    """Seconds, rows and pieces of one night."""

    locate: float
    dispose: float
    deed: float  # of it: the pieces, from the look for a stop to the commit
    proofs: float
    rows: int
    pieces: int
    cpu: float  # processor seconds of the night
    cpu_proofs: float

    @property
    def night(self) -> float:
        return self.locate + self.dispose


@dataclass
class Bare:
    """Seconds, processor seconds and rows of the batches by hand."""

    seconds: float
    cpu: float
    rows: int


class Watch:
    """Seconds and processor seconds of one thing after the other."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.seconds, self.cpu = cluster, dict[str, float](), dict[str, float]()

    def __call__(self, what: str, work: Callable[[], T]) -> T:
        cpu, began = processor(self.cluster), time.perf_counter()
        found = work()
        self.seconds[what] = time.perf_counter() - began
        self.cpu[what] = processor(self.cluster) - cpu
        return found


def ours(catalogue: Catalogue, company: Company) -> Ours:
    asking = Asking(catalogue, AS_OF, held=HeldPeople)
    moments: list[float] = []

    def note(point: str = "") -> None:
        if point in ("", "clearing.after_commit"):
            moments.append(time.perf_counter())

    room = Clearing(catalogue, "company", company, asking.looks, asking.fates, may_go_on=note, at=note)  # type: ignore[arg-type]

    def located() -> Plan:
        survey = room.locate(STEP)
        return planner.plan(STEP, survey.located, room.lines(STEP), catalogue.digest, "bench")

    def settled() -> Plan:
        return planner.plan(STEP, room.settled(STEP).located, room.lines(STEP), catalogue.digest, "bench")

    watch = Watch(company.cluster)
    plan = watch("locate", located)
    due = {x.dataset: x.items for x in plan.located}
    there = watch("before", lambda: limits.baseline(catalogue, company, STEP, plan, due))  # type: ignore[arg-type]
    receipt = watch("dispose", lambda: room.dispose(STEP, plan))
    after = watch("settled", settled)
    gone = watch("gone", lambda: limits.gone(catalogue, company, STEP, after))  # type: ignore[arg-type]
    wrong = [c for e in (*there, *gone) for c in e.checks if c.verdict is Verdict.FAILED]
    if wrong or room.left:
        raise SystemExit(f"{wrong} {room.left}")
    took, cpu = watch.seconds, watch.cpu
    return Ours(
        locate=took["locate"], dispose=took["dispose"] + took["settled"], deed=sum(moments[1::2]) - sum(moments[::2]),
        proofs=took["before"] + took["gone"], rows=sum(n["erased"] for n in receipt.counts.values()),
        pieces=len([r for r in room.receipts(STEP) if r.verb == "dispose"]),
        cpu=cpu["locate"] + cpu["dispose"] + cpu["settled"], cpu_proofs=cpu["before"] + cpu["gone"],
    )  # fmt: skip


def floor(company: Company, before: datetime, batch: int) -> Bare:
    rows = 0

    def by_hand() -> None:
        nonlocal rows
        with psycopg.connect(company.postgres("", Role.ERASER), autocommit=True) as conn:
            conn.execute("SET random_page_cost = 1.1; SET jit = off")
            for table, key, at in TABLES:
                statement = (
                    f"DELETE FROM {table} WHERE {key} = ANY(ARRAY("
                    f"SELECT {key} FROM {table} WHERE {at} < %s ORDER BY {at} LIMIT {batch}))"
                )
                while n := conn.execute(statement.encode(), [before]).rowcount:
                    rows += n

    watch = Watch(company.cluster)
    watch("floor", by_hand)
    return Bare(watch.seconds["floor"], watch.cpu["floor"], rows)


def measured(cluster: Cluster, rows: int, due: int, rounds: int) -> list[tuple[Ours, Bare]]:
    catalogue, database = policy(), f"company_{rows}"
    before = edge(catalogue)
    fill(cluster, catalogue, database, rows, due)
    found: list[tuple[Ours, Bare]] = []
    with copied(cluster, database) as company:
        warm = ours(catalogue, company)  # Great Expectations, plans and pages
    batch = max(1, warm.rows // warm.pieces)
    for n in range(rounds):
        mine: Ours | None = None
        bare: Bare | None = None
        for who in ("floor", "ours") if n % 2 else ("ours", "floor"):
            with copied(cluster, database) as company:
                if who == "ours":
                    mine = ours(catalogue, company)
                else:
                    bare = floor(company, before, batch)
        assert mine is not None and bare is not None
        if mine.rows != bare.rows:
            raise SystemExit(f"the floor deleted {bare.rows:,} rows, ours {mine.rows:,}")
        found.append((mine, bare))
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)))
    return found


def middle(of: list[tuple[Ours, Bare]], what: Callable[[Ours, Bare], float]) -> float:
    return statistics.median(what(mine, bare) for mine, bare in of)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=20_000_000)
    options.add_argument("--due", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--scale", type=int, default=20)
    given = options.parse_args()
    rows, due = given.rows // given.scale, given.due // given.scale
    with running(SETTINGS) as cluster:
        ensure_our_roles(cluster)
        small = measured(cluster, rows // 10, due, given.rounds)
        large = measured(cluster, rows, due, given.rounds)
    print(
        f"PostgreSQL 18, {due:,} due rows, median of {given.rounds} rounds, the floor and ours in turns. Targets with"
        " 1,000,000 of 20,000,000: a night ÷ floor ≤ 1.3, with keyed proofs ≤ 1.6, ten times the rows ≤ 1.2 times as long.\n"
    )
    heads = ("of rows", "floor, s", "locate, s", "dispose, s", "of it the deed, s", "**night ÷ floor**",
             "keyed proofs, s", "**with proofs ÷ floor**", "both by processor", "pieces")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---:|' * len(heads)}")
    for n, of in ((rows // 10, small), (rows, large)):
        figures = (
            f"{n:,}", f"{middle(of, lambda _, b: b.seconds):.2f}", f"{middle(of, lambda m, _: m.locate):.2f}",
            f"{middle(of, lambda m, _: m.dispose):.2f}", f"{middle(of, lambda m, _: m.deed):.2f}",
            f"**{middle(of, lambda m, b: m.night / b.seconds):.2f}**", f"{middle(of, lambda m, _: m.proofs):.2f}",
            f"**{middle(of, lambda m, b: (m.night + m.proofs) / b.seconds):.2f}**",
            f"{middle(of, lambda m, b: m.cpu / b.cpu):.2f}, "
            f"{middle(of, lambda m, b: (m.cpu + m.cpu_proofs) / b.cpu):.2f}", str(of[0][0].pieces),
        )  # fmt: skip
        print(f"| {' | '.join(figures)} |")
    times = middle(large, lambda m, _: m.night) / middle(small, lambda m, _: m.night)
    bare = middle(large, lambda _, b: b.seconds) / middle(small, lambda _, b: b.seconds)
    print(
        f"\nThe same due rows of ten times as many: **{times:.2f}** times as long (the floor: {bare:.2f} times)."
    )
    print(
        "\nThe deed asks again and deletes in one statement with books and receipt. The rest is what the floor does not have: the"
        " look itself, keys (by the thousand), written and committed before anything goes so that whoever proves can count them"
        " before and after, a look whether any is named twice, fates and digest; and the statistics of the tables renewed, which"
        " costs the same for any number of rows, as the small first pieces do. The proofs join every key with the tables twice."
        " Where no index leads by the date, or a row falls due with its owner's account, the whole table is read besides, and"
        " every key has a row of its own."
    )


if __name__ == "__main__":
    main()
