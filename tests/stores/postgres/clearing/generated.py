"""Companies nobody thought of, with limits of their own: rules, starting points and holds over the tables that
:mod:`tests.stores.postgres.generated` draws."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hypothesis import strategies as st

from include.cases.retention.held import HeldPeople
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.catalogue import Catalogue
from include.model.estate import Accounts, Bound, Part, Start
from include.model.policy import Basis, Period, RetentionRule
from include.model.words import LegalRank
from tests.stores.postgres.generated import ACCOUNT, Company, Row, Table, companies, prune
from tests.stores.postgres.making import TODAY

LAW, OURS = LegalRank.LAW, LegalRank.COMPANY
LATER = date(2033, 3, 1)  # by when every period of an account that ends is over

PALETTE = (
    ("RS-01", "P0D", "ceiling", LAW), ("RS-02", "P30D", "ceiling", OURS), ("RS-03", "P5Y", "both", LAW),
    ("RS-04", "P6M", "floor", LAW), ("RS-05", "P6M", "ceiling", LAW), ("RS-06", "P5Y", "floor", LAW),
    ("RS-07", "P6M", "both", OURS), ("RS-08", "P30D", "floor", OURS), ("RS-09", "P5Y", "ceiling", OURS),
)  # fmt: skip
"""Rules: period, what it is, and of whom. A floor of the company's own restrains nothing."""


@dataclass(frozen=True)
class Ordered:
    """A hold: of whom (None: whosever it is), and over which datasets (none named: over all)."""

    people: tuple[str, ...] | None
    datasets: tuple[str, ...]

    def covers(self, table: str) -> bool:
        return not self.datasets or table in self.datasets


@dataclass
class Limited:
    """A company with its limits."""

    company: Company
    binds: dict[str, tuple[Bound, ...]]
    parts: dict[str, tuple[Part, ...]]  # columns that end before their row
    ends: dict[str, Bound]  # by what goes what is left of cut rows
    starting_points: dict[str, str]
    holds: tuple[Ordered, ...]
    piece: int  # items of one
    page: int  # rows of one statement

    def __repr__(self) -> str:
        def told(binds: Sequence[Bound]) -> str:
            return str([(b.rule, b.start and (b.start.column or b.start.query), b.gives_way) for b in binds])

        said = [f"{t}: {told(of)}" for t, of in self.binds.items()]
        said += [f"{t}.{p.id}: {p.set} {told(p.binds)}" for t, of in self.parts.items() for p in of]
        said += [f"{t}, the rest: {told([b])}" for t, b in self.ends.items()]
        return "\n".join(
            [repr(self.company), *said, f"{self.holds} pieces of {self.piece}, pages of {self.page}"]
        )

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))

    def catalogue(self) -> Catalogue:
        of = self.company.catalogue()
        return of.model_copy(
            update={
                "rules": tuple(rule(*r) for r in PALETTE),
                "starting_points": self.starting_points,
                "datasets": tuple(
                    d.model_copy(
                        update={
                            "binds": self.binds[d.id],
                            "parts": self.parts.get(d.id, ()),
                            "cut": d.cut and d.cut.model_copy(update={"ends": self.ends.get(d.id)}),
                            "accounts": Accounts(ended="at") if d.id == ACCOUNT else None,
                        }
                    )
                    for d in of.datasets
                ),
            }
        ).in_parts

    def held(self) -> HeldPeople:
        """As the case book would resolve the holds. Tokens are not what is tried here."""
        orders = tuple(
            HoldOrder(
                f"HOLD-{n:06d}", HoldBasis.COURT, "law",
                Scope(subjects=frozenset({"t"} if o.people is not None else ()), datasets=frozenset(o.datasets)),
            )
            for n, o in enumerate(self.holds)
        )  # fmt: skip
        return HeldPeople(
            orders, {f"HOLD-{n:06d}": frozenset(o.people or ()) for n, o in enumerate(self.holds)}
        )

    def kinds(self) -> set[str]:
        """What the company is an example of, as far as a night can meet it, and what of limits there is."""
        rules = {r[0]: r for r in PALETTE}
        of = [(t, b) for t, binds in self.binds.items() for b in binds]
        tables = self.company.tables
        parts = [(tables[t], p) for t, of_it in self.parts.items() for p in of_it]
        has = {
            "a part": bool(parts),
            "several parts": any(len(of_it) > 1 for of_it in self.parts.values()),
            "a part of a composite key": any(len(t.key) > 1 for t, _ in parts),
            "a part of a partitioned table": any(t.partitioned for t, _ in parts),
            "a part of a table that is referred to": any(
                r.declared and r.parent == t.id
                for t, _ in parts
                for c in tables.values()
                for r in c.references
            ),
            "a part that refers": any(
                r.declared and not set(r.columns).isdisjoint(p.set) for t, p in parts for r in t.references
            ),
            "a part that the cut leaves": any(t.cut and not set(p.set) & set(t.cut) for t, p in parts),
            "a part that the cut sets, too": any(set(p.set) & set(t.cut) for t, p in parts),
            "a law of the row's over a part": any(
                rules[b.rule][2] != "ceiling" and rules[b.rule][3] is LAW
                for t, _ in parts
                for b in self.binds[t.id]
            ),
            "a hold over a part's rows": any(o.covers(t.id) for t, _ in parts for o in self.holds),
            "a rest with an end": bool(self.ends),
            "a rest that is there already": any(
                is_cut(tables[t], r) for t in self.ends for r in self.company.rows[t]
            ),
            "starts by a column": any(b.start and b.start.column for _, b in of),
            "starts by a query": any(b.start and b.start.query for _, b in of),
            "starts by the account's end": any(b.start is None for _, b in of),
            "a floor": any(rules[b.rule][2] != "ceiling" and rules[b.rule][3] is LAW for _, b in of),
            "several binds": any(len(binds) > 1 for binds in self.binds.values()),
            "gives way": any(b.gives_way for _, b in of),
            "hold over people": any(o.people is not None for o in self.holds),
            "hold over datasets": any(o.people is None for o in self.holds),
            "small pieces": self.piece < 10,
            "references that are not declared": any(
                not r.declared for t in self.company.tables.values() for r in t.references
            ),
        }
        ours = self.company.kinds() - STEPS
        return ours | {kind for kind, is_so in has.items() if is_so}


STEPS = {
    "hold",
    "floor",
    "cohort is everybody",
    "somebody left earlier",
    "some datasets only",
    "not restricting",
}
"""Kinds of companies that say something of a step over people, and nothing of a night."""


def rule(id_: str, duration: str, kind: Any, rank: LegalRank) -> RetentionRule:
    basis = (Basis(cite=id_, rank=rank),)
    return RetentionRule(
        id=id_, title=id_, starts="as told", basis=basis, at_end="erase", stays="nothing",
        periods=(Period(duration=duration, kind=kind, basis=basis),),
    )  # fmt: skip


def is_cut(t: Table, row: Row) -> bool:
    """Whether a row is as its table's cut leaves one."""
    return bool(t.cut) and all(row[c] == v for c, v in t.cut.items())


@st.composite
def limited(draw: st.DrawFn) -> Limited:
    """A company of 1 to 8 tables beside the accounts, each bound by 1 to 3 rules; up to two holds, and two tables with parts."""
    company = draw(companies(flawed=False))
    # An account whose end is cut off says no more that anything of it is over: no catalogue may do that.
    company.tables[ACCOUNT].cut.pop("at", None)
    starting_points: dict[str, str] = {}
    ends = {t.id: bound for t in company.tables.values() if (bound := _ends(draw, t)) is not None}
    company.rows = prune(company.tables, _cut_before(company, ends, draw(st.integers(0, 2**32))))
    binds = {t.id: _binds(draw, t, starting_points) for t in company.tables.values()}
    parts = {}
    most = draw(st.sampled_from((1, 0, 2, 1)))
    for t in draw(st.permutations([*company.tables.values()])):
        if len(parts) == most:
            break
        if of_it := _parts(draw, company, t, binds[t.id], t.id in ends, starting_points):
            parts[t.id] = of_it
    holds = tuple(_hold(draw, company, parts) for _ in range(draw(st.sampled_from((0, 0, 1, 2)))))
    return Limited(
        company, binds, parts, ends, starting_points, holds,
        draw(st.sampled_from((1, 2, 2_000))), draw(st.sampled_from((2, 50_000))),
    )  # fmt: skip


def _ends(draw: st.DrawFn, t: Table) -> Bound | None:
    """By what is left of its cut rows goes, from a date that stays: a ceiling."""
    if t.action != "deidentify" or draw(st.integers(0, 2)) == 0:
        return None
    t.cut.pop("at", None)
    rules = [r[0] for r in PALETTE if r[2] == "ceiling"]
    return Bound(rule=draw(st.sampled_from(rules)), start=Start(column="at"))


def _cut_before(company: Company, ends: dict[str, Bound], seed: int) -> dict[str, list[Row]]:
    """The rows, of which some were cut long ago, where what is left of such has an end."""
    chance = random.Random(seed)
    return {
        t: [{**r, **company.tables[t].cut} if t in ends and chance.random() < 0.2 else r for r in rows]
        for t, rows in company.rows.items()
    }


def _binds(
    draw: st.DrawFn, t: Table, starting_points: dict[str, str], *, most: int = 3, others: Sequence[str] = (), dated: bool = False
) -> tuple[Bound, ...]:  # fmt: skip
    """Some rules, that may give way to each other and to the ``others``. ``dated``: all start by the row's date."""
    rules = draw(st.lists(st.sampled_from([r[0] for r in PALETTE]), min_size=1, max_size=most, unique=True))
    made = []
    for r in rules:
        rest = [o for o in dict.fromkeys((*rules, *others)) if o != r]
        way = tuple(rest) if rest and draw(st.booleans()) else ()
        start = Start(column="at") if dated else _start(draw, t, starting_points)
        made.append(Bound(rule=r, start=start, gives_way=way))
    return tuple(made)


def _parts(
    draw: st.DrawFn, company: Company, t: Table, binds: Sequence[Bound], has_rest: bool, starting_points: dict[str, str]
) -> tuple[Part, ...]:  # fmt: skip
    """Up to two groups of its columns with limits of their own. As in a catalogue they lead to nobody and start no clock of it,
    and what a cut leaves of them starts by a date that it leaves, too; and they never set all that the cut sets."""
    leading = {c for link in t.links for c in ((link.column,) if link.column else link.on)}
    leading |= {c for u in company.tables.values() for x in u.links if x.via == t.id for c in x.on.values()}
    free = set(t.columns) - set(t.key) - leading - (t.required - {"note"}) - {"code", "at"}
    constants = {"memo": draw(st.sampled_from((None, "gone"))), "note": ""} | t.cut
    made = []
    for n in range(draw(st.sampled_from((1, 1, 2)))):
        pool = sorted(draw(st.sampled_from((free, free - set(t.cut)))) or free)
        if not pool:
            break
        chosen = set(draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True)))
        dated = bool(t.cut) and not chosen <= set(t.cut)
        if dated and "at" in t.cut:
            chosen, dated = chosen & set(t.cut), False
        if t.cut and set(t.cut) <= chosen.union(
            *(p.set for p in made)
        ):  # as lint has it: no part makes a row look cut
            chosen.discard(sorted(t.cut)[0])
        free -= chosen  # a column is of one part
        if chosen:
            its = _binds(draw, t, starting_points, most=2, others=[b.rule for b in binds], dated=dated)
            sets = {c: constants.get(c) for c in sorted(chosen)}
            made.append(Part(id=f"p{n}", title="columns", set=sets, binds=its))
    by_row = t.id == ACCOUNT or has_rest or "at" in (*t.key, *t.cut) or any(b.start for b in binds)
    if len(made) == 1 and not by_row and draw(st.booleans()):  # the date by which it began goes with it
        made = [made[0].model_copy(update={"set": {**made[0].set, "at": None}})]
    return tuple(made)


def _start(draw: st.DrawFn, t: Table, starting_points: dict[str, str]) -> Start | None:
    how = draw(st.sampled_from(("account", "column", "column", "query")))
    if how == "column":
        return Start(column="at")
    if how == "query" and "owner" in t.people:
        starting_points[f"begin_{t.name}"] = (
            f"SELECT {', '.join('x.' + c for c in t.key)}, x.at AS started_at FROM {t.id} AS x"
            " JOIN cohort AS c ON c.subject_id = x.owner::text"
        )
        return Start(query=f"begin_{t.name}", on={c: c for c in t.key})
    return None


def _hold(draw: st.DrawFn, company: Company, parts: Collection[str]) -> Ordered:
    tables: Sequence[str] = (*company.tables, *parts)  # those with parts twice as often
    datasets = draw(st.lists(st.sampled_from(tables), max_size=2, unique=True))
    everybody = bool(datasets) and draw(st.booleans())
    people = draw(st.lists(st.sampled_from(company.people), min_size=1, max_size=2, unique=True))
    return Ordered(None if everybody else tuple(people), tuple(datasets))


__all__ = ["LATER", "TODAY", "Limited", "Ordered", "limited"]
