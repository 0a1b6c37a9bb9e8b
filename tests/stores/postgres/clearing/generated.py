"""Companies nobody thought of, with limits of their own: rules, starting points and holds over the tables that
:mod:`tests.stores.postgres.generated` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hypothesis import strategies as st

from include.cases.retention.held import HeldPeople
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.catalogue import (
    Accounts,
    Basis,
    Bound,
    Catalogue,
    Period,
    RetentionRule,
    Start,
)
from include.model.words import LegalRank
from tests.stores.postgres.generated import ACCOUNT, Company, Table, companies
from tests.stores.postgres.making import TODAY

LAW, OURS = LegalRank.LAW, LegalRank.COMPANY
LATER = date(2033, 3, 1)  # by when every period of an account that ends is over

PALETTE = (
    ("RS-01", "P0D", "ceiling", LAW), ("RS-02", "P30D", "ceiling", OURS), ("RS-03", "P5Y", "both", LAW),
    ("RS-04", "P6M", "floor", LAW), ("RS-05", "P6M", "ceiling", LAW), ("RS-06", "P5Y", "floor", LAW),
    ("RS-07", "P6M", "both", OURS), ("RS-08", "P30D", "floor", OURS),
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
    starting_points: dict[str, str]
    holds: tuple[Ordered, ...]
    piece: int  # items of one
    page: int  # rows of one statement

    def __repr__(self) -> str:
        said = [f"{t}: {[(b.rule, b.start and (b.start.column or b.start.query), b.gives_way) for b in of]}"
                for t, of in self.binds.items()]  # fmt: skip
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
                            "accounts": Accounts(ended="at") if d.id == ACCOUNT else None,
                        }
                    )
                    for d in of.datasets
                ),
            }
        )

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
        has = {
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


@st.composite
def limited(draw: st.DrawFn) -> Limited:
    """A company of 1 to 8 tables beside the accounts, each bound by 1 to 3 rules; up to two holds."""
    company = draw(companies(flawed=False))
    # An account whose end is cut off says no more that anything of it is over: no catalogue may do that.
    company.tables[ACCOUNT].cut.pop("at", None)
    starting_points: dict[str, str] = {}
    binds = {t.id: _binds(draw, t, starting_points) for t in company.tables.values()}
    holds = tuple(_hold(draw, company) for _ in range(draw(st.sampled_from((0, 0, 1, 2)))))
    return Limited(
        company, binds, starting_points, holds,
        draw(st.sampled_from((1, 2, 2_000))), draw(st.sampled_from((2, 50_000))),
    )  # fmt: skip


def _binds(draw: st.DrawFn, t: Table, starting_points: dict[str, str]) -> tuple[Bound, ...]:
    rules = draw(st.lists(st.sampled_from([r[0] for r in PALETTE]), min_size=1, max_size=3, unique=True))
    made = []
    for r in rules:
        others = [o for o in rules if o != r]
        way = tuple(others) if others and draw(st.booleans()) else ()
        made.append(Bound(rule=r, start=_start(draw, t, starting_points), gives_way=way))
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


def _hold(draw: st.DrawFn, company: Company) -> Ordered:
    tables: Sequence[str] = tuple(company.tables)
    datasets = draw(st.lists(st.sampled_from(tables), max_size=2, unique=True))
    everybody = bool(datasets) and draw(st.booleans())
    people = draw(st.lists(st.sampled_from(company.people), min_size=1, max_size=2, unique=True))
    return Ordered(None if everybody else tuple(people), tuple(datasets))


__all__ = ["LATER", "TODAY", "Limited", "Ordered", "limited"]
