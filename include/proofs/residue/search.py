"""Many byte strings in one pass over a buffer, by Hyperscan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import hyperscan

from include.proofs.residue.needles import LONGEST, Needle
from include.proofs.values import Net

NEAR = 512
"""Bytes between two weak values that are taken for one row's."""
MARGIN = max(NEAR, 2 * LONGEST)
"""Bytes by which two windows of a file overlap, so that nothing is cut in two."""
_DIGITS = frozenset(b"0123456789")
_PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100))
_SHORT = 127  # bytes: a text up to this has its length in one byte


@dataclass(frozen=True)
class Hit:
    """Where a buffer holds something of a subject. ``sure``: else it may be a part of a longer number."""

    subject: int
    at: int
    sure: bool


class Search:
    """Finds needles in buffers. It may be used by one thread at a time."""

    def __init__(self, needles: Sequence[Needle], net: Net) -> None:
        """``net``: the same values as text, by which what looks like base64 is looked at again."""
        self._needles = tuple(needles)
        self._net = net
        self._database: Any = None
        if self._needles:
            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            self._database.compile(
                expressions=[_literally(n.text) for n in self._needles],
                ids=list(range(len(self._needles))),
                elements=len(self._needles),
                flags=[hyperscan.HS_FLAG_CASELESS if n.as_text else 0 for n in self._needles],
            )

    def hits(self, buffer: bytes | memoryview) -> Iterator[Hit]:
        """Everything that is found, in the order of its end; a subject may be named more than once."""
        if self._database is None or not len(buffer):
            return
        found: list[tuple[int, int]] = []

        def note(needle: int, _from: int, end: int, _flags: int, _context: object) -> None:
            found.append((needle, end))

        self._database.scan(buffer, match_event_handler=note)
        weak: list[tuple[int, int]] = []
        for no, end in found:
            needle = self._needles[no]
            at = end - len(needle.text)
            if needle.weak:
                weak.append((no, at))
            elif not needle.coded or self._decodes(buffer, at, end):
                sure = not (needle.as_text and _inside_a_number(buffer, at, end))
                yield from (Hit(subject, at, sure) for subject in needle.owners)
        yield from self._pairs(weak)

    def _decodes(self, buffer: bytes | memoryview, at: int, end: int) -> bool:
        around = bytes(buffer[max(0, at - LONGEST) : end + LONGEST])
        return self._net.hits(around.decode("latin-1"))

    def _pairs(self, weak: Sequence[tuple[int, int]]) -> Iterator[Hit]:
        """Two different weak values of one subject, close together, neither a part of the other."""
        last: dict[int, list[tuple[int, int]]] = {}
        for no, at in weak:
            needle = self._needles[no]
            for subject in needle.owners:
                close = [(n, a) for n, a in last.get(subject, ()) if at - a <= NEAR]
                if any(self._apart(n, no) for n, _ in close):
                    yield Hit(subject, at, True)
                last[subject] = [*(x for x in close if x[0] != no), (no, at)]

    def _apart(self, one: int, other: int) -> bool:
        a, b = self._needles[one].text, self._needles[other].text
        return one != other and a not in b and b not in a


def _literally(text: bytes) -> bytes:
    """An expression for these bytes. The compiler's own mode for literals ends them at a zero byte."""
    return b"".join(b"\\x%02x" % byte for byte in text)


def _inside_a_number(buffer: bytes | memoryview, at: int, end: int) -> bool:
    """Whether digits go on at an end of a match, as digits of one longer number.

    In a page no space parts columns. A byte before a match that looks like a digit may be the length of a text that
    begins here; one after it, the next column's, if a text ends here by its length (postgres.h, ``varattrib_1b``).
    """
    if buffer[at] in _DIGITS and at and buffer[at - 1] in _DIGITS and not _begins(buffer, at, end):
        return True
    goes_on = end < len(buffer) and buffer[end - 1] in _DIGITS and buffer[end] in _DIGITS
    return goes_on and not _ends(buffer, at, end)


def _begins(buffer: bytes | memoryview, at: int, end: int) -> bool:
    """Whether the byte before is the length of this very value, or of a text that begins with it."""
    length = (buffer[at - 1] >> 1) - 1
    if not buffer[at - 1] & 1 or length < end - at:
        return False
    text = bytes(buffer[at : at + length])
    return length == end - at or (at > 1 and buffer[at - 2] not in _PRINTABLE and _PRINTABLE.issuperset(text))


def _ends(buffer: bytes | memoryview, at: int, end: int) -> bool:
    """Whether a text that ends with the match has its length, of one byte or four, where it begins."""
    for start in range(at, max(0, at - _SHORT), -1):
        if start < at and buffer[start] not in _PRINTABLE:
            return False
        length = end - start
        if buffer[start - 1] == ((length + 1) << 1 | 1) & 0xFF and length < _SHORT:
            return True
        if start >= 4 and int.from_bytes(buffer[start - 4 : start], "little") == (length + 4) << 2:
            return True
    return False
