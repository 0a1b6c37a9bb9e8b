"""That nobody else was touched: every row that the disposing transactions wrote is one of the step's own items.

In its transaction the eraser compares *numbers* of rows with the plan; a trigger that updates one row of somebody
else instead of one of ours makes the numbers agree. So the prover asks afterwards which rows there are, in every
table, declared or not, that bear one of those transactions' ids (``xmin``):

    touched     rows that are no item of the step to be de-identified or unlinked: none                       R0
    declared    in a table that the catalogue says a disposal writes to: no more rows than it says         R0
    savepoints  the rows of a subtransaction bear another id, and the server keeps no time of commit       R0

What this cannot see: a row that was wrongly *deleted* leaves nothing to look at; the numbers, and byte digests of
a quiesced company (``pictures.py``), are what there is. Ids are 32 bits: a row of four thousand million
transactions ago may be taken for ours, and would be a false alarm, never a false peace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset, Effect
from include.model.flow import Check, Evidence, Plan, Step
from include.model.words import Disposition, Rung, Verdict
from include.proofs.asking import Question, Questionnaire, evidence
from include.proofs.everybody import everybodys, still_there
from include.proofs.relational import each_store
from include.proofs.run import ask
from include.proofs.server import Connection, Reader
from include.proofs.tables import Tables, equal, quoted

WRITTEN = (Disposition.DEIDENTIFY, Disposition.UNLINK)

_RECEIPTS = """
SELECT xid::xid::text,
       CASE WHEN current_setting('track_commit_timestamp') = 'on'
            THEN pg_catalog.pg_xact_commit_timestamp(xid::xid)::text END
  FROM quietus.receipt WHERE step = %s AND verb = 'dispose' ORDER BY xid::text::bigint
"""

_FUNCTIONS = """
SELECT p.proname, p.prosrc, l.lanname,
       EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
                 JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
                 JOIN pg_catalog.pg_namespace AS t ON t.oid = c.relnamespace
                WHERE g.tgfoid = p.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
                  AND t.nspname || '.' || c.relname = ANY(%s))
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'quietus')
"""
_CATCHES = re.compile(r"\bexception\s+when\b", re.IGNORECASE)
_PLAIN = ("sql", "plpgsql", "internal", "c")


@dataclass(frozen=True)
class Deed:
    """The transactions that disposed of something in this step, by the store's receipts: under the plan in force and
    under plans that it replaced half-way, whose items the step area keeps."""

    xids: tuple[str, ...]
    stamps: tuple[str, ...]  # when they committed, where the server keeps that

    @classmethod
    def read(cls, connection: Connection, step: Step) -> Deed:
        found = connection.execute(_RECEIPTS, [step.id]).fetchall()
        return cls(tuple(xid for xid, _ in found), tuple(stamp for _, stamp in found if stamp))

    def wrote(self) -> sql.Composed:
        """Whether row ``t`` was written by one of these, or committed at the moment of one."""
        ours = sql.SQL("t.xmin = ANY({}::xid[])").format(sql.Literal("{" + ",".join(self.xids) + "}"))
        if not self.stamps:
            return ours
        return sql.SQL(
            "({} OR (pg_catalog.age(t.xmin) < pg_catalog.age({}::xid)"
            " AND pg_catalog.pg_xact_commit_timestamp(t.xmin) = ANY({}::timestamptz[])))"
        ).format(
            ours,
            sql.Literal(self.xids[0]),
            sql.Literal("{" + ",".join(f'"{s}"' for s in self.stamps) + "}"),
        )


def touched(catalogue: Catalogue, connections: Connections, step: Step, plan: Plan) -> list[Evidence]:
    """After the disposal, in every PostgreSQL store: one scan of each table for rows that we wrote.

    A store in which nothing was to change, and nothing did, is in no evidence. Raises NotReachable if a store
    does not answer.
    """
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        if checks := _checks(reader, tables, plan):
            found.append(evidence("bystanders", step, plan, reader.store, checks))
    return found


def _checks(reader: Reader, tables: Tables, plan: Plan) -> tuple[Check, ...]:
    with reader.connect() as connection, reader.reaching():
        deed = Deed.read(connection, tables.step)
        there = everybodys(connection)
        catches = _may_catch(connection, _written_tables(tables, plan))
    if not deed.xids:
        if not _written_tables(tables, plan):
            return ()
        return (
            _unverified(f"touched.{reader.store}", "the store has no receipt of a disposal in this step"),
        )
    questions: list[Question] = []
    more: list[Check] = []
    for address, kind, _ in there:
        if kind == "f":
            more.append(
                _unverified(
                    f"touched.{address}", "it is a foreign table: what was written there is not seen here"
                )
            )
            continue
        questions += _about(tables, plan, deed, address, kind)
    if catches and not deed.stamps:
        more.append(
            _unverified(
                f"savepoints.{reader.store}",
                f"{', '.join(catches)} can open a subtransaction, whose rows bear another transaction id:"
                " set track_commit_timestamp = on, so that they can be told",
            )
        )
    return (*_there(reader, ask(Questionnaire("bystanders", reader.store, tuple(questions)), reader)), *more)


def _there(reader: Reader, checks: Sequence[Check]) -> list[Check]:
    """All but those about tables that nobody declared and that were dropped meanwhile."""
    unsure = {c.name.partition(".")[2] for c in checks if c.verdict is Verdict.UNVERIFIED and not c.dataset}
    if not unsure:
        return list(checks)
    with reader.connect() as connection, reader.reaching():
        dropped = unsure - still_there(connection, unsure)
    return [c for c in checks if c.name.partition(".")[2] not in dropped]


def _unverified(name: str, why: str) -> Check:
    return Check(name=name, dataset=None, rung=Rung.R0, verdict=Verdict.UNVERIFIED, why=why)


def _about(tables: Tables, plan: Plan, deed: Deed, address: str, kind: str) -> Iterator[Question]:
    datasets = [d for d in tables.datasets if d.address == address]
    dataset = next((d for d in datasets if d.part_of is None), None)
    effects = effects_on(tables, plan, address)
    rows = _rows(tables, datasets, address, kind, deed.wrote())
    if effects:
        most = sum(n for _, n in effects)
        yield Question(
            f"declared.{address}", dataset.id if dataset else None, Rung.R0, most, rows,
            "more rows were written than the declared effects write: "
            + "; ".join(e.reason for e, _ in effects),
            at_most=True,
        )  # fmt: skip
    elif most := released_into(tables, plan, address):
        yield Question(
            f"declared.{address}", None, Rung.R0, most, rows,
            "more rows were written than were released", at_most=True,
        )  # fmt: skip
    else:
        yield Question(
            f"touched.{address}", dataset.id if dataset else None, Rung.R0, 0, rows,
            "the disposal wrote rows that are not of the step: somebody else's were touched",
        )  # fmt: skip


def _rows(
    tables: Tables, datasets: Sequence[Dataset], address: str, kind: str, wrote: sql.Composable
) -> sql.Composed:
    """Rows that we wrote and that are no item we were to write, as a whole or in a part of their columns."""
    # A child table by inheritance is listed by itself; a partition is not.
    source = sql.SQL("SELECT FROM {}{} AS t WHERE {}").format(
        sql.SQL("" if kind == "p" else "ONLY "), quoted(address), wrote
    )
    for dataset in datasets:
        written = WRITTEN if dataset.part_of is None else (Disposition.ERASE,)
        source = sql.SQL("{} AND NOT EXISTS (SELECT FROM {} AS k WHERE {} AND k.disposition IN ({}))").format(
            source,
            tables.items(dataset.id),
            equal("k", "t", dataset.key),
            sql.SQL(", ").join(sql.Literal(d.value) for d in written),
        )
    return source


def effects_on(tables: Tables, plan: Plan, address: str) -> list[tuple[Effect, int]]:
    """The declared effects of this plan on a table, each with how many rows it may write at most."""
    found = []
    for dataset in tables.datasets:
        disposed = sum(x.items for x in plan.lines_of(dataset.id) if x.disposition.changes_data)
        for effect in dataset.effects:
            if effect.table == address and effect.operation != "delete" and disposed:
                found.append((effect, disposed if effect.per_row else 1))
    return found


def released_into(tables: Tables, plan: Plan, address: str) -> int:
    """How many rows a release of this plan writes to a table that takes them."""
    return sum(
        x.items
        for r in tables.catalogue.releases
        if r.into == address
        for x in plan.lines_of(r.dataset)
        if x.disposition is Disposition.ANONYMISE
    )


# --- subtransactions ------------------------------------------------------------------------------


def _written_tables(tables: Tables, plan: Plan) -> list[str]:
    mine = [
        d for d in tables.datasets if any(x.disposition.changes_data for x in plan.lines_of(d.id) if x.items)
    ]
    return sorted({d.address for d in mine} | {e.table for d in mine for e in d.effects})


def _may_catch(connection: psycopg.Connection[tuple[object, ...]], addresses: list[str]) -> list[str]:
    """Triggers' functions on these tables, and what they call by name, that can open a subtransaction."""
    source: dict[str, list[tuple[str, str]]] = {}
    todo: list[str] = []
    for name, text, language, fires in connection.execute(_FUNCTIONS, [addresses]):
        source.setdefault(str(name), []).append((str(text), str(language)))
        todo += [str(name)] if fires else []
    reached: set[str] = set()
    while todo:
        here = todo.pop()
        if here in reached:
            continue
        reached.add(here)
        words = {w for text, _ in source[here] for w in re.findall(r"\w+", text)}
        todo += [name for name in source if name in words]
    return sorted(
        name
        for name in reached
        if any(language not in _PLAIN or _CATCHES.search(text) for text, language in source[name])
    )


__all__ = ["effects_on", "touched"]
