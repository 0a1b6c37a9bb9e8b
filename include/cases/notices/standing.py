"""What all answers to one notice give together. Pure: no clock, no book.

The last word counts for each kind of data. A notice has come to its end when something accepted was said of all that it
asked for; anything kept keeps it until the last date, and what no chain can erase ends it only once our side unlinked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from include.model.declared import CategoryId
from include.model.notices import AnswerCode
from include.model.words import UnitState

KEPT = frozenset({AnswerCode.RETAINED_BY_LAW, AnswerCode.RETAINED_INDEPENDENT, AnswerCode.HELD_DISPUTE})
GONE = frozenset({AnswerCode.DELETED, AnswerCode.NOTHING_HELD})
OPEN = frozenset({AnswerCode.PARTIAL, AnswerCode.INCOMPLETE, AnswerCode.REJECTED_IDENTITY})


@dataclass(frozen=True)
class Said:
    """One part, with what was decided of it. No categories: all. ``message``: of which it was a part; ``on``: the day
    on which that came."""

    code: AnswerCode
    categories: tuple[CategoryId, ...]
    until: date | None
    accepted: bool
    message: str | None = None
    on: date | None = None
    law: str | None = None


@dataclass(frozen=True)
class Standing:
    """``state``: what the track has come to. ``code``: the one that says most of it. ``until``: the last date of what
    is kept, None if nothing that is kept has one. ``back``: what was said to be gone, and then not to be. ``kept``: what
    is kept, and the words that keep it."""

    state: UnitState
    code: AnswerCode | None
    until: date | None = None
    back: frozenset[CategoryId] = frozenset()
    kept: Mapping[CategoryId, Said] = field(default_factory=dict)


def last_words(every: Iterable[CategoryId], said: Iterable[Said]) -> dict[CategoryId, Said]:
    """The last word on each kind of data, of those that can change anything. Of what one message says of one kind the
    weightiest counts: what is open before what is kept, and that before what went."""
    about = tuple(every)
    last: dict[CategoryId, Said] = {}
    for part in said:
        if not part.accepted and part.code not in OPEN:
            continue
        for category in part.categories or about:
            before = last.get(category)
            same = before is not None and before.message is not None and before.message == part.message
            if category in about and not (same and before and _weight(part) < _weight(before)):
                last[category] = part
    return last


def _weight(part: Said) -> int:
    if part.code in OPEN:
        return 2
    return 0 if part.code in GONE else 1


def standing(
    erase: Sequence[CategoryId], preserve: Sequence[CategoryId], said: Sequence[Said], *, unlinked: bool
) -> Standing:
    """``said`` in the order in which it came. Of what is to be preserved nothing need be said where there is something
    to erase."""
    every = (*erase, *preserve)
    last = last_words(every, said)
    back = frozenset(c for c, p in last.items() if p.code not in GONE and _was_gone(c, p, said))
    accepted = [p for p in last.values() if p.accepted and p.code not in OPEN]
    kept = {c: p for c, p in last.items() if p.accepted and p.code in KEPT}
    asked = erase or preserve
    open_ = next((p.code for p in last.values() if not p.accepted or p.code in OPEN), None)
    if not accepted or open_ is not None or any(c not in last for c in asked):
        code = open_ or next((p.code for p in accepted), None)
        return Standing(UnitState.TP_NOTIFIED, code, back=back)
    if any(p.code is AnswerCode.CANNOT_ERASE_IMMUTABLE for p in accepted) and not unlinked:
        return Standing(UnitState.TP_NOTIFIED, AnswerCode.CANNOT_ERASE_IMMUTABLE, back=back)
    keeping = [p for p in accepted if p.code in KEPT]
    if keeping:
        until = max((p.until for p in keeping if p.until is not None), default=None)
        return Standing(UnitState.TP_RETAINED, keeping[0].code, until, back, kept)
    if any(p.code is AnswerCode.CANNOT_ERASE_IMMUTABLE for p in accepted):
        return Standing(UnitState.TP_UNLINKED, AnswerCode.UNLINKED, back=back)
    return Standing(UnitState.TP_ACKED, accepted[0].code, back=back)


def _was_gone(category: CategoryId, now: Said, said: Sequence[Said]) -> bool:
    """Whether another message said before that it was gone."""
    return any(
        p.accepted and p.code in GONE and (category in p.categories or not p.categories)
        and (p.message is None or p.message != now.message)
        for p in said
    )  # fmt: skip
