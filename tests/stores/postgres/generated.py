"""Companies nobody thought of: random tables, foreign keys, links, rows and people, as Hypothesis draws them.

:func:`companies` draws a :class:`Company`: the schema as SQL, its rows, the catalogue that maps it, who is to go
and what is provided for each dataset. The shape is drawn piece by piece, so that a failure shrinks to few tables;
the rows are filled from one drawn seed. Some companies carry one :class:`~tests.stores.postgres.flaws.Flaw` that
preflight must name.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import networkx as nx
from hypothesis import strategies as st

from include.model.catalogue import Catalogue
from include.model.estate import Cut, Link, Start
from include.model.flow import Floor, Held, Provision
from include.model.times import Counting
from include.model.words import Disposition, Ownership
from tests.stores.postgres import making
from tests.stores.postgres.flaws import Flaw, flaws
from tests.stores.postgres.making import TODAY

Row = dict[str, Any]

ACCOUNT = "co.account"
SOLE, SHARED, ACCESS_ONLY = Ownership.SOLE, Ownership.SHARED, Ownership.ACCESS_ONLY
# Long over, over yesterday and today of five years and of six months, fresh, and unknown.
DATES = (
    date(2001, 2, 28), date(2021, 11, 23), date(2021, 11, 24), date(2026, 5, 23), date(2026, 5, 24),
    date(2026, 10, 31), None,
)  # fmt: skip
PERIODS = ("P5Y", "P6M", "P30D")
ON_DELETE = ("NO ACTION", "NO ACTION", "CASCADE", "RESTRICT", "SET NULL")
DEFERRABLE = ("", "", "DEFERRABLE INITIALLY IMMEDIATE", "DEFERRABLE INITIALLY DEFERRED")


@dataclass(frozen=True)
class Reference:
    """Columns that hold another row's key. ``declared``: the database knows it as a foreign key."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    declared: bool = True
    on_delete: str = "NO ACTION"
    deferrable: str = ""


@dataclass
class Table:
    """One table and what the catalogue says about it. ``id`` is both its address and its dataset."""

    id: str
    columns: dict[str, str]  # name -> type
    key: tuple[str, ...]
    required: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)  # columns that hold an account id
    partitioned: str = ""
    links: list[Link] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    action: str = "erase"
    cut: dict[str, str | int | bool | None] = field(default_factory=dict)
    floors: list[Floor] = field(default_factory=list)
    held: tuple[int, ...] = ()
    size: int = 0

    @property
    def name(self) -> str:
        return self.id.split(".")[1]

    def indexes(self) -> dict[str, tuple[str, ...]]:
        """One for every link and reference: name -> columns."""
        led = {(x.column,) if x.column else tuple(x.on) for x in self.links}
        led |= {r.columns for r in self.references}
        return {f"{self.name}_{'_'.join(c)}": c for c in sorted(led) if c != self.key}

    def key_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[c] for c in self.key)


@dataclass
class Company:
    """Everything drawn. ``cohort`` and ``earlier`` are subject ids; who is in ``earlier`` left before."""

    tables: dict[str, Table]
    rows: dict[str, list[Row]]
    people: tuple[str, ...]
    cohort: tuple[str, ...]
    earlier: tuple[str, ...]
    restricting: bool
    provided: tuple[str, ...]  # datasets that this step works on
    starting_points: dict[str, str]
    flaw: Flaw | None = None

    def __repr__(self) -> str:
        """What a person needs to see of a failing company."""
        lines = [
            f"cohort {self.cohort} earlier {self.earlier} restricting {self.restricting} {self.flaw}"
            f" provided {self.provided}"
        ]
        for t in self.tables.values():
            links = [f"{x.ownership.value} {x.column or f'via {x.via} on {x.on}'}" for x in t.links]
            lines.append(
                f"{t.id} {t.columns} key {t.key} {t.partitioned} links {links} {t.action} cut {t.cut}"
                f" floors {[(f.duration, f.start and (f.start.column or f.start.query)) for f in t.floors]} held {t.held}"
            )
            lines += [f"    {r}" for r in t.references]
            lines += [f"    {r}" for r in self.rows[t.id]]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Hypothesis prints by this."""
        printer.text(repr(self))

    # --- as the store sees it ------------------------------------------------------------------------

    def catalogue(self) -> Catalogue:
        return making.catalogue(
            *(
                making.dataset(
                    t.id,
                    " ".join(t.key),
                    *t.links,
                    action=t.action,
                    cut=Cut(set=t.cut) if t.cut else None,
                )
                for t in self.tables.values()
            ),
            starting_points=self.starting_points,
        )

    def provisions(self, *, everything: bool = False) -> tuple[Provision, ...]:
        """As the planner would make them. ``everything``: each dataset, no holds, as for an earlier step."""
        return tuple(
            Provision(
                dataset=t.id,
                disposition=Disposition(t.action),
                rule="RS-01",
                law="PIPL 47",
                cut=Cut(set=t.cut) if t.cut else None,
                floors=tuple(t.floors),
                holds=(Held(hold="HOLD-000001", subject_nos=t.held, law="Arb. Law 58"),)
                if t.held and not everything
                else (),
            )
            for t in self.tables.values()
            if everything or t.id in self.provided
        )

    def ddl(self) -> str:
        """The schema: tables and partitions, an index for every link and reference, foreign keys last."""
        made = ["CREATE SCHEMA co"]
        for t in self.tables.values():
            columns = [f"{c} {k}{' NOT NULL' if c in t.required else ''}" for c, k in t.columns.items()]
            unique = ", UNIQUE (code)" if "code" in t.columns else ""
            by = {"range": " PARTITION BY RANGE (at)", "hash": " PARTITION BY HASH (id)", "": ""}[
                t.partitioned
            ]
            made.append(
                f"CREATE TABLE {t.id} ({', '.join(columns)}, PRIMARY KEY ({', '.join(t.key)}){unique}){by}"
            )
            if t.partitioned == "range":
                made.append(
                    f"CREATE TABLE {t.id}_old PARTITION OF {t.id} FOR VALUES FROM (MINVALUE) TO ('2022-01-01')"
                )
                made += [
                    f"CREATE TABLE {t.id}_mid PARTITION OF {t.id} FOR VALUES FROM ('2022-01-01') TO ('2026-05-24')"
                    " PARTITION BY HASH (id)",
                    f"CREATE TABLE {t.id}_mid_0 PARTITION OF {t.id}_mid FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
                    f"CREATE TABLE {t.id}_mid_1 PARTITION OF {t.id}_mid FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
                    f"CREATE TABLE {t.id}_rest PARTITION OF {t.id} DEFAULT",
                ]
            if t.partitioned == "hash":
                made += [
                    f"CREATE TABLE {t.id}_{i} PARTITION OF {t.id} FOR VALUES WITH (MODULUS 3, REMAINDER {i})"
                    for i in range(3)
                ]
            made += [f"CREATE INDEX {i} ON {t.id} ({', '.join(c)})" for i, c in t.indexes().items()]
        for t in self.tables.values():
            made += [
                f"ALTER TABLE {t.id} ADD FOREIGN KEY ({', '.join(r.columns)}) REFERENCES {r.parent}"
                f" ({', '.join(r.parent_columns)}) ON DELETE {r.on_delete} {r.deferrable}"
                for r in t.references
                if r.declared
            ]
        return ";\n".join(made)

    # --- what it is an example of -----------------------------------------------------------------

    def kinds(self) -> set[str]:
        """The words for what is special about it: the classes whose distribution is printed."""
        tables = self.tables.values()
        declared = [(t, r) for t in tables for r in t.references if r.declared]
        links = [link for t in tables for link in t.links]
        graph = nx.DiGraph([(t.id, r.parent) for t, r in declared if t.id != r.parent])
        dispositions = {t.action for t in tables}
        has = {
            "cycle": not nx.is_directed_acyclic_graph(graph),
            "self-reference": any(t.id == r.parent for t, r in declared),
            "composite key": any(len(r.columns) > 1 for _, r in declared),
            "reference to a unique column": any(r.parent_columns == ("code",) for _, r in declared),
            "cascade": any(r.on_delete == "CASCADE" for _, r in declared),
            "deferrable": any(r.deferrable for _, r in declared),
            "range partitions": any(t.partitioned == "range" for t in tables),
            "hash partitions": any(t.partitioned == "hash" for t in tables),
            "shared": any(x.ownership is SHARED for x in links),
            "access only": any(x.ownership is ACCESS_ONLY for x in links),
            "via": any(x.via for x in links),
            "floor": any(t.floors for t in tables),
            "hold": any(t.held for t in tables),
            "cohort is everybody": set(self.cohort) == set(self.people),
            "somebody left earlier": bool(self.earlier),
            "some datasets only": len(self.provided) < len(self.tables),
            "not restricting": not self.restricting,
            "refused": self.flaw is not None,
        }
        return {kind for kind, is_so in has.items() if is_so} | {f"action {a}" for a in dispositions}


# --- drawing ------------------------------------------------------------------------------------------


def _reference(
    draw: st.DrawFn,
    child: Table,
    parent: Table,
    label: str,
    *,
    by: Sequence[str] = (),
    required: bool = False,
) -> Reference:
    """A reference from the child, through new columns or, where it fits, a column that holds an account id."""
    wanted = tuple(by) or parent.key
    columns = []
    spare = [c for c in sorted(child.people) if c not in child.key and c in ("viewer", "partner")]
    for c in wanted:
        if c in parent.people and spare and parent.id != ACCOUNT and draw(st.booleans()):
            columns.append(spare.pop())
            continue
        mine = f"{label}_{c}"
        child.columns[mine] = parent.columns[c]
        if required:
            child.required.add(mine)
        columns.append(mine)
    on_delete = draw(st.sampled_from(ON_DELETE))
    if on_delete == "SET NULL" and child.required & set(columns):
        on_delete = "NO ACTION"
    return Reference(tuple(columns), parent.id, wanted, True, on_delete, draw(st.sampled_from(DEFERRABLE)))


def _table(draw: st.DrawFn, n: int, id_type: str) -> Table:
    shape = draw(st.sampled_from(("id", "id", "pair", "owned", "range", "hash")))
    t = Table(f"co.t{n}", {}, ())
    if shape == "owned":
        t.columns = {"owner": id_type, "no": "int"}
        t.people = {"owner"}
        t.key = ("owner", "no")
    elif shape == "pair":
        t.columns, t.key = {"id": "int", "no": "int"}, ("id", "no")
    elif shape == "range":
        t.columns, t.key, t.partitioned = {"at": "date", "id": "int"}, ("at", "id"), "range"
    else:
        t.columns, t.key = {"id": "int"}, ("id",)
        if shape == "hash":
            t.partitioned = "hash"
        elif draw(st.booleans()):
            t.columns["code"] = "text"
            t.required.add("code")
    t.required |= set(t.key)
    t.columns |= {"memo": "text", "note": "text"}
    t.required.add("note")
    t.columns.setdefault("at", "date")
    t.size = draw(st.integers(0, 7))
    return t


def _person_link(t: Table, column: str, id_type: str, ownership: Ownership) -> None:
    t.columns.setdefault(column, id_type)
    t.people.add(column)
    t.links.append(Link(column=column, ownership=ownership))


def _via_link(draw: st.DrawFn, t: Table, parents: Sequence[Table], ownership: Ownership, label: str) -> None:
    """Through an earlier table: by columns of mine that hold its key, or by columns of its that hold mine."""
    parent = draw(st.sampled_from(parents))
    if draw(st.booleans()) or parent.id == ACCOUNT:
        by = ("code",) if "code" in parent.columns and draw(st.booleans()) else ()
        ref = _reference(draw, t, parent, label, by=by, required=draw(st.booleans()))
        on = dict(zip(ref.columns, ref.parent_columns, strict=True))
        t.references.append(_perhaps_soft(draw, ref))
    else:
        ref = _reference(draw, parent, t, f"{t.name}{label}")
        on = dict(zip(ref.parent_columns, ref.columns, strict=True))
        parent.references.append(_perhaps_soft(draw, ref))
    t.links.append(Link(via=parent.id, on=on, ownership=ownership))


def _perhaps_soft(draw: st.DrawFn, ref: Reference) -> Reference:
    declared = draw(st.sampled_from((True, True, True, False)))
    return ref if declared else Reference(ref.columns, ref.parent, ref.parent_columns, declared=False)


def _belongs(draw: st.DrawFn, t: Table, earlier: Sequence[Table], id_type: str) -> None:
    """Whose its rows are. Shared and sole do not mix: the catalogue's lint refuses it."""
    whose = draw(st.sampled_from((SOLE, SOLE, SHARED, SHARED, ACCESS_ONLY)))
    if whose is ACCESS_ONLY and "owner" in t.people:
        whose = SOLE
    if whose is not ACCESS_ONLY:
        ways = draw(st.sampled_from(("column", "via", "both", "columns")))
        if ways != "via" or "owner" in t.people:
            _person_link(t, "owner", id_type, whose)
        if ways == "columns" or (ways == "column" and whose is SHARED):
            _person_link(t, "partner", id_type, whose)
        if ways in ("via", "both"):
            _via_link(draw, t, earlier, whose, "up")
    if whose is ACCESS_ONLY or draw(st.integers(0, 3)) == 0:
        if draw(st.booleans()):
            _person_link(t, "viewer", id_type, ACCESS_ONLY)
        else:
            _via_link(draw, t, earlier, ACCESS_ONLY, "seen")
    if whose is ACCESS_ONLY:
        t.action = "unlink"
    for column in sorted(t.people):
        if draw(st.booleans()):
            t.references.append(
                Reference((column,), ACCOUNT, ("id",), True, draw(st.sampled_from(ON_DELETE[:3])))
            )


def _provide(draw: st.DrawFn, t: Table, starting_points: dict[str, str], cohort_size: int) -> None:
    """Action, cut, floors and holds, once all its columns are there."""
    if t.action == "erase":
        t.action = draw(st.sampled_from(("erase", "erase", "erase", "deidentify", "unlink")))
    seen_by = [x.column for x in t.links if x.ownership is ACCESS_ONLY and x.column]
    # An "at" that starts a clock may be cut as well; a key is never cut.
    candidates = sorted(set(t.columns) - set(t.key) - (t.required - {"note"}) - {"code"})
    if t.action != "erase" or seen_by or draw(st.integers(0, 2)) == 0:
        chosen = {"memo", *seen_by} | set(
            draw(st.lists(st.sampled_from(candidates), max_size=3, unique=True))
        )
        constants: dict[str, str | int | bool | None] = {"note": "", "memo": "removed"}
        t.cut = {c: constants.get(c) for c in sorted(chosen)}
    if draw(st.integers(0, 4)) == 0:
        kinds = draw(
            st.lists(st.sampled_from(("column", "query", "case")), min_size=1, max_size=2, unique=True)
        )
        for kind in kinds:
            start: Start | None = None
            if kind == "column":
                start = Start(column="at")
            elif kind == "query":
                if "owner" not in t.people:
                    continue
                start = Start(query=f"start_{t.name}", on={c: c for c in t.key})
                starting_points[f"start_{t.name}"] = (
                    f"SELECT {', '.join('x.' + c for c in t.key)}, x.at AS started_at FROM {t.id} AS x"
                    " JOIN cohort AS c ON c.subject_id = x.owner::text"
                )
            t.floors.append(
                Floor(
                    rule="RS-03", period="main", duration=draw(st.sampled_from(PERIODS)),
                    counting=Counting.CALENDAR, start=start, law=f"law of {kind}",
                )
            )  # fmt: skip
    if draw(st.integers(0, 23)) == 0:
        t.held = (draw(st.integers(0, cohort_size - 1)),)


@st.composite
def companies(draw: st.DrawFn, *, flawed: bool = True) -> Company:
    """A random company of 1 to 8 tables beside the accounts, its people, and one step; now and then with a flaw."""
    id_type = draw(st.sampled_from(("text", "text", "int", "uuid")))
    count = draw(st.integers(2, 6))
    people = tuple(_subject(id_type, n) for n in range(1, count + 1))
    order = draw(st.permutations(people))
    going = count if draw(st.integers(0, 3)) == 0 else draw(st.integers(1, count))
    cohort, others = tuple(order[:going]), tuple(order[going:])
    earlier = others[: draw(st.integers(1, 2))] if draw(st.integers(0, 2)) == 0 else ()

    account = Table(
        ACCOUNT,
        {"id": id_type, "memo": "text", "note": "text", "at": "date"},
        ("id",),
        {"id", "note"},
        {"id"},
    )
    account.links.append(Link(column="id"))
    tables = [account]
    for n in range(1, draw(st.integers(1, 8)) + 1):
        t = _table(draw, n, id_type)
        _belongs(draw, t, tables, id_type)
        tables.append(t)
    for i, t in enumerate(tables):
        for extra in range(draw(st.integers(0, 2 if i else 1))):
            parent = draw(st.sampled_from(tables))
            by = ("code",) if "code" in parent.columns and draw(st.booleans()) else ()
            t.references.append(_reference(draw, t, parent, f"r{extra}", by=by))
    starting_points: dict[str, str] = {}
    for t in tables:
        _provide(draw, t, starting_points, len(cohort))
    provided = [t.id for t in tables]
    if draw(st.integers(0, 5)) == 0:
        provided = draw(st.lists(st.sampled_from(provided), min_size=1, unique=True))
    by_id = {t.id: t for t in tables}
    rows = _rows(by_id, people, id_type, random.Random(draw(st.integers(0, 2**32))))
    flaw = None
    if flawed and draw(st.integers(0, 3)) == 0:
        chance = random.Random(draw(st.integers(0, 2**32)))
        possible = list(flaws(by_id, rows))
        code = chance.choice(sorted({f.code for f in possible}))
        flaw = chance.choice([f for f in possible if f.code == code])
    return Company(
        by_id,
        rows,
        people,
        cohort,
        earlier,
        draw(st.integers(0, 4)) > 0,
        tuple(x for x in by_id if x in provided),
        starting_points,
        flaw,
    )


# --- filling --------------------------------------------------------------------------------------------


def _subject(id_type: str, n: int) -> str:
    return {"text": f"A{n}", "int": str(n), "uuid": str(uuid.UUID(int=n))}[id_type]


def _typed(id_type: str, subject: str) -> Any:
    return {"text": str, "int": int, "uuid": uuid.UUID}[id_type](subject)


def _rows(
    tables: Mapping[str, Table], people: Sequence[str], id_type: str, chance: random.Random
) -> dict[str, list[Row]]:
    ids = [_typed(id_type, p) for p in people]
    rows: dict[str, list[Row]] = {}
    for t in tables.values():
        # Everybody has an account, but for one person who is known by links alone.
        mine = ids[: -1 if chance.random() < 0.2 else None] if t.id == ACCOUNT else list(range(t.size))
        rows[t.id] = [_row(t, n, ids, chance) for n in mine]
    for t in tables.values():
        for ref in t.references:
            if ref.parent == ACCOUNT and ref.columns[0] in t.people:
                continue
            for row in rows[t.id]:
                _refer(t, row, ref, rows[ref.parent], chance)
    return prune(tables, rows)


def _row(t: Table, n: Any, ids: Sequence[Any], chance: random.Random) -> Row:
    row: Row = {}
    for column, kind in t.columns.items():
        value: Any = None
        if t.id == ACCOUNT and column == "id":
            value = n
        elif column in ("id", "no") and column in t.key:
            value = n // 2 if (column, len(t.key)) == ("id", 2) and t.key[1] == "no" else n
        elif column in t.people:
            value = None if column not in t.required and chance.random() < 0.2 else chance.choice(ids)
        elif column == "at":
            value = chance.choice(DATES[:-1] if column in t.required else DATES)
        elif column == "code":
            value = f"{t.name} {n}"
        elif column in ("memo", "note"):
            value = None if column == "memo" and chance.random() < 0.2 else f"{column} {n}"
        row[column] = value if kind else None
    return row


def _refer(t: Table, row: Row, ref: Reference, parents: Sequence[Row], chance: random.Random) -> None:
    optional = not t.required & set(ref.columns)
    if not parents or (optional and chance.random() < 0.35):
        return
    parent = chance.choice(parents)
    for mine, theirs in zip(ref.columns, ref.parent_columns, strict=True):
        row[mine] = parent[theirs]


def dangling(tables: Mapping[str, Table], rows: Mapping[str, Sequence[Row]]) -> list[tuple[str, Row]]:
    """Rows that break a foreign key or lack a required value."""
    found = []
    for t in tables.values():
        targets = [
            (r.columns, {tuple(p[c] for c in r.parent_columns) for p in rows[r.parent]})
            for r in t.references
            if r.declared
        ]
        for row in rows[t.id]:
            broken = any(
                None not in (held := tuple(row[c] for c in columns)) and held not in there
                for columns, there in targets
            )
            if broken or any(row[c] is None for c in t.required):
                found.append((t.id, row))
    return found


def prune(tables: Mapping[str, Table], rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Leave out, again and again, what breaks a constraint."""
    while bad := dangling(tables, rows):
        gone = {id(row) for _, row in bad}
        rows = {t: [r for r in of if id(r) not in gone] for t, of in rows.items()}
    return rows


def multiplied(company: Company, times: int) -> Company:
    """The same company with its people, their rows and the cohort there several times over, side by side."""

    def shifted(value: Any, n: int) -> Any:
        match value:
            case int():
                return value + 1000 * n
            case str():
                return f"{value}-{n}" if n else value
            case uuid.UUID():
                return uuid.UUID(int=value.int + 1000 * n)
        return value

    def subject(subject_: str, n: int) -> str:
        for kind in (int, uuid.UUID):
            try:
                return str(shifted(kind(subject_), n))
            except ValueError:
                continue
        return str(shifted(subject_, n))

    size = len(company.cohort)
    return replace(
        company,
        tables={
            t.id: replace(t, held=tuple(no + size * n for n in range(times) for no in t.held))
            for t in company.tables.values()
        },
        rows={
            t: [
                {c: v if c in ("memo", "note") else shifted(v, n) for c, v in row.items()}
                for n in range(times)
                for row in of
            ]
            for t, of in company.rows.items()
        },
        people=tuple(subject(p, n) for n in range(times) for p in company.people),
        cohort=tuple(subject(p, n) for n in range(times) for p in company.cohort),
        earlier=tuple(subject(p, n) for n in range(times) for p in company.earlier),
    )


assert date(2026, 11, 24) == TODAY, "DATES are chosen around the business date"
