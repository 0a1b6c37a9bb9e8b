"""What the end of collection is made of: rights to write that are taken, what a store looked like at T0, what grew since."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.model.flow import Flow


@dataclass(frozen=True, order=True)
class Right:
    """One right to write, as its server says it. ``place``: a table or bucket; ``part``: a column, else empty; ``grantee``:
    empty is everybody."""

    place: str
    part: str
    privilege: str  # INSERT, UPDATE; of a bucket PUT
    grantor: str
    grantee: str
    grantable: bool = False


class Picture(Flow):
    """A store at T0. ``system``, ``database`` and ``snapshot``: of a database, whose snapshot tells of every row version whether
    it was there; ``timeline`` and ``counter``: of its history, by the server and by us. ``tables``: by oid. ``moment``: of a
    bucket's server, by its own clock; ``unenforced``: why that server may let writes through all the same."""

    system: int | None = None
    database: int | None = None
    snapshot: str | None = None
    timeline: int | None = None
    counter: int | None = None
    tables: dict[str, int] = {}
    moment: datetime | None = None
    unenforced: str = ""


@dataclass(frozen=True)
class Looked:
    """What another role saw of a store after T0. ``grew``: place -> rows or objects that were written since; ``writers``: who
    could still write, and where; ``mighty``: superusers, whom no right stops; ``unasked``: what could not be seen, and why."""

    store: str
    grew: dict[str, int] = field(default_factory=dict)
    writers: tuple[tuple[str, str], ...] = ()
    mighty: tuple[str, ...] = ()
    unasked: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Counts and names of places and roles."""
        return {
            "store": self.store, "grew": dict(sorted(self.grew.items())),
            "writers": [list(w) for w in self.writers], "superusers": len(self.mighty), "unasked": dict(self.unasked),
        }  # fmt: skip
