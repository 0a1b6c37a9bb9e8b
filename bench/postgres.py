"""What a cohort costs in PostgreSQL: the verbs over the whole catalogue, against reading and deleting the same rows.

    python -m bench.postgres [--people 100000] [--cohort 1000] [--rounds 5]

Each round takes another cohort of the same company. The floor is what no tool can do without, and knows already
which rows they are: every item's row read by its key, then one ``UPDATE … FROM`` or ``DELETE … USING`` a table over
the items that are cut or go, with triggers and foreign keys as they are, in one transaction that is rolled back.
The same is done in a company a tenth as big, and with cohorts a tenth and ten times as big. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from include import proofs
from include.cases import planner
from include.catalogue import load
from include.model.flow import Plan, Step
from include.model.times import observed_now, prc_date
from include.model.words import Disposition, Ground, Role, StoreKind
from include.sandbox import seed as seeding
from include.sandbox.company import environment, put_in_place
from include.sandbox.stack.stack import COMPANY, Stack
from include.stores.postgres.store import PostgresStore

Seconds = dict[str, float]
Round = tuple[Seconds, Seconds, int]  # ours, the floor's, rows that went
CUT = (Disposition.DEIDENTIFY, Disposition.UNLINK)


def timed(into: Seconds, name: str, work: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    found = work()
    into[name] = into.get(name, 0.0) + time.perf_counter() - began
    return found


def cohort(owner: str, size: int, round_: int) -> tuple[str, ...]:
    with psycopg.connect(owner) as conn:
        rows = conn.execute(
            "SELECT account_id FROM account.account WHERE cancelled_at IS NULL AND NOT account_id = ANY(%s)"
            " ORDER BY hashtextextended(account_id, %s) LIMIT %s",
            [list(seeding.hard_cases(1).values()), round_, size],
        ).fetchall()
    return tuple(sorted(r[0] for r in rows))


def verbs(bed: Bed, subjects: tuple[str, ...], round_: int, today: date) -> Round:
    """(ours, floor, rows that went) for one cohort."""
    ours: Seconds = {}
    step = Step(
        id=f"bench_{round_}_{len(subjects)}",
        case_no=f"CASE-{900000 + round_:06d}",
        as_of=today,
        restricting=True,
        subjects=subjects,
    )
    store = bed.store
    provided = planner.provide(
        bed.catalogue, Ground.CANCELLATION, today, case_no=step.case_no, tokens=(), holds=()
    )
    provisions = provided.of_store(bed.catalogue, store.id)
    timed(ours, "survey", lambda: store.open(step))
    timed(ours, "survey", lambda: store.survey(step))
    timed(ours, "restrict", lambda: store.restrict(step))
    timed(ours, "settle", lambda: store.settle(step))
    survey = timed(ours, "survey again", lambda: store.survey(step))
    lines = timed(ours, "plan", lambda: store.weigh(step, provisions))
    plan = planner.plan(step, survey.located, lines, bed.catalogue.digest, "bench")
    floor = bed.floor(step, plan)
    bed.reached.clear()
    began = time.perf_counter()
    store.dispose(step, plan)
    ended = time.perf_counter()
    ours["locate and weigh again"] = bed.reached["dispose.weighed"] - began
    ours["deed"] = bed.reached["dispose.after_commit"] - bed.reached["dispose.weighed"]
    ours["derived copies"] = ended - bed.reached["dispose.after_commit"]
    timed(ours, "prove", lambda: proofs.gone(bed.only, bed.connections, step, plan))
    store.close(step)
    went = sum(x.items for x in plan.lines if x.disposition is Disposition.ERASE)
    return ours, floor, went


def estate(bed: Bed, subjects: tuple[str, ...], round_: int, today: date) -> Seconds:
    """What is looked at once a night for all cases, whatever their number, beside one sequential scan."""
    spent: Seconds = {}
    step = Step(
        id=f"bench_{round_}_estate", case_no=f"CASE-{900000 + round_:06d}", as_of=today, restricting=True,
        subjects=subjects,
    )  # fmt: skip
    store, only, at = bed.store, bed.only, bed.connections
    provided = planner.provide(
        bed.catalogue, Ground.CANCELLATION, today, case_no=step.case_no, tokens=(), holds=()
    )
    store.open(step)
    store.restrict(step)
    located = store.survey(step).located
    lines = store.weigh(step, provided.of_store(bed.catalogue, store.id))
    plan = planner.plan(step, located, lines, bed.catalogue.digest, "bench")
    values = timed(
        spent, "the people's own values, read to be looked for", lambda: proofs.collect_values(only, at, step)
    )
    before = timed(spent, "picture of everybody else", lambda: proofs.picture(only, at, step, plan))
    store.dispose(step, plan)
    proofs.picture(only, at, step, plan, like=before)
    timed(spent, "rows that the disposal wrote, in every table", lambda: proofs.touched(only, at, step, plan))
    timed(spent, "dragnet", lambda: proofs.dragnet(only, at, step, plan, values))
    with psycopg.connect(bed.owner) as conn:
        tables = conn.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema$|quietus$|q_)'"
        ).fetchall()

        def scan() -> None:
            for table in tables:
                conn.execute(
                    sql.SQL("SELECT count(t.*::text) FROM ONLY {} AS t").format(sql.Identifier(*table))
                )

        scan()  # warm
        timed(spent, "scan", scan)
    store.close(step)
    return spent


class Bed:
    """A company on a server of its own."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.owner = stack.company.superuser_conninfo(COMPANY)
        self.connections = environment(stack)
        self.catalogue = load()
        self.reached: Seconds = {}  # when the store last passed each of its named points
        self.store = PostgresStore(
            self.catalogue,
            COMPANY,
            self.connections,
            at=lambda point: self.reached.update({point: time.perf_counter()}),
        )
        self.only = self.catalogue.model_copy(
            update={"stores": tuple(s for s in self.catalogue.stores if s.kind is StoreKind.POSTGRES)}
        )

    def floor(self, step: Step, plan: Plan) -> Seconds:
        """The least: read every item's row by its key, delete the rows that go; rolled back."""
        spent: Seconds = {}
        order = list(self.store.datasets)
        with psycopg.connect(self.owner) as conn:
            # The eraser's own rights in the bench: the trigger that refuses writes lets it pass.
            conn.execute("SET ROLE eraser")
            area = f"q_{step.id}"

            def read() -> None:
                for d in order:
                    conn.execute(
                        sql.SQL("SELECT count(t.*::text) FROM {} AS k JOIN {} AS t USING ({})").format(
                            sql.Identifier(area, d.id),
                            sql.Identifier(*d.address.split(".")),
                            sql.SQL(", ").join(map(sql.Identifier, d.key)),
                        )
                    )

            def delete() -> None:
                for d in order:  # a certificate that is cut lets go of its application
                    if d.cut and any(x.disposition in CUT for x in plan.lines_of(d.id)):
                        conn.execute(_cut(area, d))
                left = [
                    d for d in order if any(x.disposition is Disposition.ERASE for x in plan.lines_of(d.id))
                ]
                while left:
                    again = []
                    for d in left:
                        try:
                            with conn.transaction():
                                conn.execute(_delete(area, d))
                        except psycopg.errors.ForeignKeyViolation:
                            again.append(d)
                    if len(again) == len(left):  # a circle of foreign keys goes in one statement
                        parts = [
                            sql.SQL("{} AS ({})").format(sql.Identifier(d.id), _delete(area, d)) for d in left
                        ]
                        conn.execute(sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(parts)))
                        return
                    left = again

            timed(spent, "read", read)
            order = _order(conn, order)
            timed(spent, "delete", delete)
            conn.rollback()
        return spent


def _cut(area: str, d: Any) -> sql.Composed:
    return sql.SQL(
        "UPDATE {} AS t SET {} FROM {} AS k WHERE {} AND k.disposition IN ('deidentify', 'unlink')"
    ).format(
        sql.Identifier(*d.address.split(".")),
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(c), sql.Literal(v)) for c, v in d.cut.set.items()
        ),
        sql.Identifier(area, d.id),
        sql.SQL(" AND ").join(sql.SQL("t.{0} = k.{0}").format(sql.Identifier(c)) for c in d.key),
    )


def _delete(area: str, d: Any) -> sql.Composed:
    return sql.SQL("DELETE FROM {} AS t USING {} AS k WHERE {} AND k.disposition = 'erase'").format(
        sql.Identifier(*d.address.split(".")),
        sql.Identifier(area, d.id),
        sql.SQL(" AND ").join(sql.SQL("t.{0} = k.{0}").format(sql.Identifier(c)) for c in d.key),
    )


def _order(conn: Any, datasets: list[Any]) -> list[Any]:
    """Children before parents, so that the timed deletes never fail."""
    edges = conn.execute(
        "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
    ).fetchall()
    rank = {d.address: 0 for d in datasets}
    for _ in datasets:
        for child, parent in edges:
            if child in rank and parent in rank and child != parent and rank[parent] <= rank[child] < 40:
                rank[parent] = rank[child] + 1
    return sorted(datasets, key=lambda d: rank[d.address])


KEYED = ("survey", "restrict", "settle", "plan", "locate and weigh again", "deed", "prove")
BESIDES = ("survey again", "derived copies")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--cohort", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    small, _, _ = measured(options.people // 10, [options.cohort] * options.rounds)
    sizes = [options.cohort // 10] * options.rounds + [options.cohort] * options.rounds
    rounds, peaks, looks = measured(options.people, [*sizes, options.cohort * 10])
    few, many = rounds[: options.rounds], rounds[options.rounds : -1]
    report(options, many)
    print(
        f"\nThe keyed path of the same cohort size in a company of {options.people // 10:,}: {keyed(small):.2f} s; "
        f"so ten times the people cost **{keyed(many) / keyed(small):.2f}** times as much. "
        f"A cohort of {options.cohort // 10:,}: {keyed(few):.2f} s; of {options.cohort * 10:,}: "
        f"{keyed(rounds[-1:]):.2f} s. Peak memory of the client after cohorts of {options.cohort // 10:,}, "
        f"{options.cohort:,} and {options.cohort * 10:,}: {peaks[options.rounds - 1]}, {peaks[-2]} and {peaks[-1]} MiB."
    )
    scan = looks.pop("scan")
    print(
        f"\nLooks at the whole database, once a night for all cases of the day (here {options.cohort // 10:,} people);"
        f" one sequential scan of all rows as text takes {scan:.2f} s:\n\n| look | seconds | ÷ one scan |\n|---|---:|---:|"
    )
    for name, seconds in looks.items():
        print(f"| {name} | {seconds:.2f} | {seconds / scan:.2f} |")


def measured(people: int, cohorts: list[int]) -> tuple[list[Round], list[int], Seconds]:
    """A round for each cohort size in a new company, the peak memory in MiB after each, and the looks at the whole."""
    today = prc_date(observed_now())
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-", dir="/tmp"))
    stack = Stack(home)
    silent: Callable[[str], None] = lambda _line: None  # noqa: E731
    try:
        stack.up(silent, airflow=False)
        owner = stack.company.superuser_conninfo(COMPANY)
        seeding.apply_schema(owner)
        s3 = environment(stack).s3("objects", Role.ERASER)
        seeding.make_buckets(s3)
        seeding.seed(owner, s3, people=people, today=today, objects_share=0.0)
        with psycopg.connect(owner, autocommit=True) as conn:
            conn.execute("VACUUM ANALYZE")  # as a company's tables are, that were not filled a minute ago
        put_in_place(stack)
        bed = Bed(stack)
        verbs(bed, cohort(owner, 50, 99), 99, today)  # warm: plans, caches, Great Expectations
        rounds, peaks = [], []
        for n, size in enumerate(cohorts):
            rounds.append(verbs(bed, cohort(owner, size, n), n, today))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return rounds, peaks, estate(bed, cohort(owner, cohorts[0], 98), 98, today)
    finally:
        stack.down(silent, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def keyed(rounds: list[Round]) -> float:
    return statistics.median(sum(r[0][k] for k in KEYED) for r in rounds)


def report(options: argparse.Namespace, rounds: list[Round]) -> None:
    def ours(name: str) -> float:
        return statistics.median(r[0][name] for r in rounds)

    floor = statistics.median(sum(r[1].values()) for r in rounds)
    went = statistics.median(r[2] for r in rounds)
    print(
        f"Cohorts of {options.cohort:,} of {options.people:,} people, {went:,.0f} rows erased each,"
        f" median of {options.rounds}.\n"
    )
    print("| | seconds | ÷ floor |\n|---|---:|---:|")
    for name in KEYED:
        print(f"| {name} | {ours(name):.2f} | {ours(name) / floor:.2f} |")
    print(f"| **the keyed path** | {keyed(rounds):.2f} | **{keyed(rounds) / floor:.2f}** |")
    for name in BESIDES:
        print(f"| besides: {name} | {ours(name):.2f} | {ours(name) / floor:.2f} |")
    for name, label in (("read", "keyed read"), ("delete", "`UPDATE … FROM`, `DELETE … USING`")):
        print(f"| floor: {label} | {statistics.median(r[1][name] for r in rounds):.2f} | |")
    deed = statistics.median(r[0]["deed"] / r[1]["delete"] for r in rounds)
    again = statistics.median(
        (r[0]["deed"] + r[0]["locate and weigh again"]) / r[1]["delete"] for r in rounds
    )
    print(
        f"\nThe deed (changes, books, receipt, commit) ÷ the floor's deletes: **{deed:.2f}**; with the second look in"
        f" the same snapshot, without which a row may go that somebody changed since: {again:.2f}. *Survey again* is the"
        " one after the restriction settled; *derived copies* are the materialised view refreshed and the statistics of"
        " every table with an item renewed, which costs the same for one person as for a thousand."
    )


if __name__ == "__main__":
    main()
