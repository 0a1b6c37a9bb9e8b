"""Clocks that were carried over: what a successor's items are judged by, since they run on and never start again.

Each item of a bag came with its clocks (``include.model.handover.Clocks``). What has started is judged by the last day that came;
what has not (a certificate that lives) by the catalogue's own starting point, once that sets it off. A :class:`Carried` is one
limit that some item of a dataset came with; its days are the items' own, and are read beside them (``quietus_handover.clock``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

from include.model.declared import Declared
from include.model.errors import CatalogueError
from include.model.estate import Dataset

DELETED_BY_ITS_SENDER = "PIPL 21, 22, 47; policy 5.6(3)"
"""Why something goes as soon as nothing forbids it: its sender, who had to, deleted it and said so."""

WITHOUT_ITS_ACCOUNT = (
    "of what came without its account: PIPL 47 para. 1 (2), from the end of its authority's service"
)
"""Why a clock starts that waits for the end of an account: the account stayed with an authority that serves nobody any more, so
the relation with it was over on that day at the latest."""


class Side(StrEnum):
    """What of an item's clocks a limit is."""

    FLOOR = "floor"  # a statute's last day: it may not go before that is over
    DUE = "due"  # the last day on which it may still be there
    WAITS = "waits"  # its clock had not started: the catalogue's own starting point sets it off


class Carried(Declared):
    """One limit that came along with items of a dataset: whose it is, and on which law it rests. ``company``: a figure of their
    sender's, and no law."""

    rule: str
    period: str
    law: str
    side: Side
    company: bool = False

    @property
    def name(self) -> str:
        return f"{self.rule}/{self.period}"


class Came(Declared):
    """With what the objects under one path came. ``floors``: of each its name (rule/period), law and last day, the latest of all;
    None: its clock had not started. ``holds``: numbers of holds, each with its order."""

    floors: Mapping[str, tuple[str, date | None]] = {}
    holds: frozenset[str] = frozenset()

    def with_(self, running: Sequence[Mapping[str, Any]], holds: Sequence[str]) -> Came:
        """With those of one more object. One that did not start outweighs all."""
        floors = dict(self.floors)
        for clock in running:
            if not clock["floor"]:
                continue
            name = f"{clock['rule']}/{clock['period']}"
            ends = None if clock["ends"] is None else date.fromisoformat(clock["ends"])
            before = floors.get(name, (clock["law"], date.min))[1]
            floors[name] = clock["law"], None if ends is None or before is None else max(before, ends)
        return Came(floors=floors, holds=self.holds.union(holds))


class Taken(Declared):
    """What came along with all that was taken over. ``limits``: by dataset; ``unread``: datasets of which nobody could say
    what came, and why."""

    limits: Mapping[str, tuple[Carried, ...]] = {}
    unread: Mapping[str, str] = {}

    def of(self, dataset: str) -> tuple[Carried, ...]:
        return self.limits.get(dataset, ())


def unstarted(dataset: Dataset, limits: Sequence[Carried]) -> tuple[str, ...]:
    """Names of clocks that came with items of a dataset and had not started. Raises CatalogueError for one that no bind of it
    starts: it would keep them for ever, and nobody would know."""
    waits = tuple(dict.fromkeys(x.name for x in limits if x.side is Side.WAITS))
    for name in sorted(set(waits) - {f"{b.rule}/{b.period}" for b in dataset.all_binds}):
        raise CatalogueError(
            f"items came with a clock of {name} that had not started, and nothing here starts it", about=dataset.id,
            next_step=f"bind {name} with its starting point, as the authority had it",
        )  # fmt: skip
    return waits
