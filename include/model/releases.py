"""A release: what of a dataset may stay once it names nobody, as declared.

Each column of the dataset is one of four things. ``drop``: it identifies, and goes. ``quasi``: somebody may know it, so it is
made coarser until nobody stands alone. ``sensitive``: what nobody knows and nobody shall learn. ``plain``: it stays as it is, and
counts like a quasi-identifier that has one level.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from include.model.declared import DatasetId, Declared, Ident, RuleId


class Quasi(Declared):
    """How a column is made coarser, from fine to coarse. Exactly one of the four; above the last level everything is one.

    ``date``: parts that a moment is cut to, in Beijing. ``band``: widths of bands of a number, each a multiple of the one before.
    ``prefix``: how many characters stay. ``map``: of each value, its ancestors; what is not named has none.
    ``at_least``: the finest level that may be published; 0 is the value itself.
    """

    date: tuple[Literal["day", "month", "quarter", "year"], ...] = ()
    band: tuple[Annotated[int, Field(gt=0)], ...] = ()
    prefix: tuple[Annotated[int, Field(gt=0)], ...] = ()
    map: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    at_least: Annotated[int, Field(ge=0)] = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of hierarchy that are declared: rightly one."""
        return tuple(k for k in ("date", "band", "prefix", "map") if getattr(self, k))

    @property
    def steps(self) -> int:
        """Levels between the value itself and the top."""
        if self.map:
            return max(len(up) for up in self.map.values())
        return len(self.date or self.band or self.prefix)

    @property
    def top(self) -> int:
        """The level at which everything is one."""
        return self.steps + 1


class Sensitive(Declared):
    """What nobody shall learn. ``l``: distinct values in each class at least; ``t``: how far a class may be from the whole, as
    earth mover's distance, by ranks if it is ``ordered``, else with all values equally far from each other."""

    ordered: bool = False
    l: Annotated[int, Field(ge=1)] = 2  # noqa: E741 - its name in the literature
    t: Annotated[float, Field(gt=0, le=1)] | None = None


class Threshold(Declared):
    """Where the numbers come from. ``risk``: the risk that somebody is identified again which a set must be below; it decides
    about the grade."""

    cite: str
    text: str
    owner: str | None = None  # whose numbers they are, and since when: without, they are a proposal
    approved_on: date | None = None
    risk: Annotated[float, Field(gt=0, le=1)] | None = None


Grade = Literal[1, 2, 3, 4]


class Grading(Declared):
    """How the company reads a standard that grades sets without their people: of each grade what it means, in its own words.
    Without ``owner`` and ``approved_on`` it holds in a sandbox only."""

    id: Ident
    cite: str
    text: str
    grades: dict[Grade, str]
    owner: str | None = None
    approved_on: date | None = None

    @property
    def owned(self) -> bool:
        return bool(self.owner and self.approved_on)


class Release(Declared):
    """What becomes of a dataset's rows instead of being erased.

    ``claims``: *deidentified* stays personal (PIPL 73(3)) and is never called anonymous, whatever is measured; ``why`` says
    what keeps it so. ``into``: the table that takes the rows; none: they are changed in place, and ``marker`` is the dropped
    column that is null from then on. ``person``: the column that tells one person's rows from another's; of several rows of a
    person that with the highest ``latest`` is taken. ``small``: what becomes of rows in classes that are too small;
    ``suppress_at_most``: of which share that may happen. ``pseudonyms``: datasets that lead from it to people; they go first.
    ``grade``: the one that it must reach by the catalogue's reading of a standard. ``every``: how often all that is there is
    released without being asked for; none: only when somebody does by hand.
    """

    id: Ident
    title: str
    dataset: DatasetId
    rule: RuleId
    claims: Literal["anonymised", "deidentified"]
    why: str = ""
    into: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")] | None = None
    marker: str | None = None
    person: str
    latest: str | None = None
    drop: tuple[str, ...]
    quasi: dict[str, Quasi] = Field(default_factory=dict)
    sensitive: dict[str, Sensitive] = Field(default_factory=dict)
    plain: dict[str, str] = Field(default_factory=dict)  # column: why it may stay as it is
    k: Annotated[int, Field(ge=2)]
    threshold: Threshold
    grade: Grade | None = None
    suppress_at_most: Annotated[float, Field(ge=0, le=1)] = 0.05
    small: Literal["delete", "generalise"] = "delete"
    pseudonyms: tuple[DatasetId, ...] = ()
    readers: dict[str, str] = Field(
        default_factory=dict
    )  # database role: why it may read what the set is made of
    every: Annotated[str, Field(pattern=r"^P[1-9]\d*[DMY]$")] | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """The columns that make a class, in order: what somebody may know of a person."""
        return (*self.quasi, *self.plain)

    @property
    def published(self) -> tuple[str, ...]:
        """Every column that stays."""
        return (*self.known, *self.sensitive)

    @property
    def nodes(self) -> int:
        """How many ways there are to generalise."""
        n = 1
        for quasi in self.quasi.values():
            n *= quasi.top + 1 - min(quasi.at_least, quasi.top)
        return n
