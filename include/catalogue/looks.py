"""Whether values that are declared to lead to nobody look as if they did. Told by count and kind, never by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from include.model.screening import kind_of_identifier

BY_CHANCE = 0.2
"""Of eleven digits drawn at random one in fourteen looks like a mobile number, of sixteen one in ten like a bank card. So
a column of bare numbers is suspected from this share on. What is written with other characters is not so by chance: there
once is enough."""


def looking_personal(values: Iterable[object]) -> Iterator[str]:
    """What some values look like, in words. Empty ones are not counted."""
    seen = [str(value) for value in values if value not in (None, "")]
    numbers = sum(value.isdecimal() for value in seen)
    bare: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for value in seen:
        kind = kind_of_identifier(value)
        if kind is not None:
            (bare if value.isdecimal() else written)[kind] += 1
    for kind in sorted(bare.keys() | written.keys()):
        if written[kind] or bare[kind] >= BY_CHANCE * numbers:
            yield f"{written[kind] + bare[kind]} of {len(seen)} values look like {kind}"
