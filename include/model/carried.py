"""Clocks that were carried over: what a successor's items are judged by, since they run on and never start again.

Each item of a bag came with its clocks (``include.model.handover.Clocks``). What has started is judged by the last day that came;
what has not (a certificate that lives) by the catalogue's own starting point, once that sets it off. A :class:`Carried` is one
limit that some item of a dataset came with; its days are the items' own, and are read beside them (``quietus_handover.clock``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from include.model.declared import Declared

DELETED_BY_ITS_SENDER = "PIPL 21, 22, 47; policy 5.6(3)"
"""Why something goes as soon as nothing forbids it: its sender, who had to, deleted it and said so."""


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


class Taken(Declared):
    """What came along with all that was taken over. ``limits``: by dataset; ``unread``: datasets of which nobody could say
    what came, and why."""

    limits: Mapping[str, tuple[Carried, ...]] = {}
    unread: Mapping[str, str] = {}

    def of(self, dataset: str) -> tuple[Carried, ...]:
        return self.limits.get(dataset, ())
