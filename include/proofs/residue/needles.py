"""How a value is written in the bytes of a database: as text, as a number, as a UUID, as a digest.

The bytes of a page know no types, so a value is looked for in every form that some column type would give it.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from include.proofs.values import Values, in_base64, spellings

LEAST = 6
"""Bytes: what is shorter is found in everything."""
LONGEST = 192
"""Bytes: a longer needle is cut; who finds its beginning has found it."""
_BASE = 10_000  # of a numeric's digits
_INT4 = 1 << 32
_HEX = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True)
class Needle:
    """Some bytes, and whose they are (numbers of subjects; of several, if they share a value).

    ``as_text``: matched in either case, and judged by what stands beside it. ``coded``: base64, of which the ends are
    another's, so that a match is only a suspicion. ``weak``: counts only where another weak one of the same
    subject stands close by.
    """

    text: bytes = field(repr=False)
    owners: frozenset[int]
    as_text: bool = False
    coded: bool = False
    weak: bool = False


@dataclass(frozen=True)
class _Form:
    as_text: bool = False
    coded: bool = False
    weak: bool = False


def needles(sought: Mapping[int, Values], *, digests: bool = True) -> tuple[Needle, ...]:
    """Every byte string to look for, of every subject, each once.

    ``sought``: the values of each subject, under a number that means nothing outside this scan. ``digests``: also
    what plain MD5, SHA-1 and SHA-256 make of a value, which is most of what there is to look for.
    """
    owners: dict[tuple[bytes, _Form], set[int]] = {}
    for subject, values in sought.items():
        for value in values.found:
            for text, form in _forms(value, digests):
                owners.setdefault((text[:LONGEST], form), set()).add(subject)
        for value in values.weak:
            owners.setdefault((value.encode()[:LONGEST], _Form(as_text=True, weak=True)), set()).add(subject)
        for piece in values.pieces:
            owners.setdefault((piece.content[:LONGEST], _Form()), set()).add(subject)
    return tuple(
        Needle(text, frozenset(whose), as_text=form.as_text, coded=form.coded, weak=form.weak)
        for (text, form), whose in sorted(owners.items(), key=lambda x: (x[0][0], repr(x[0][1])))
        if len(text) >= (LEAST if not form.weak else 2)
    )


def _forms(value: str, digests: bool) -> Iterator[tuple[bytes, _Form]]:
    for spelling in spellings(value):
        if digests or not _HEX.fullmatch(spelling):
            yield spelling.encode(), _Form(as_text=True)
    for core in in_base64(value):
        yield core.encode(), _Form(as_text=True, coded=True)
    for text in dict.fromkeys((value, value.lower(), value.upper())) if digests else ():
        for algorithm in ("md5", "sha1", "sha256"):
            yield hashlib.new(algorithm, text.encode(), usedforsecurity=False).digest(), _Form()
    if (uuid := _uuid(value)) is not None:
        yield uuid, _Form()
    for number in _numbers(value):
        yield struct.pack("<q", number), _Form()
        if (digits := numeric(number)) is not None:
            yield digits, _Form()


def _uuid(value: str) -> bytes | None:
    try:
        return UUID(value).bytes
    except ValueError:
        return None


def _numbers(value: str) -> Iterator[int]:
    """What an application that keeps numbers would make of it. Small ones are in every file."""
    for text in {value, *spellings(value)}:
        if text.isascii() and text.isdigit() and not text.startswith("0") and _INT4 <= int(text) < 1 << 63:
            yield int(text)


def numeric(number: int) -> bytes | None:
    """A whole number as a ``numeric`` (and as a number within ``jsonb``) on a little-endian server: its short header
    and base-10,000 digits. None if so many zeros end it that too few bytes are left to look for.

    Source: src/backend/utils/adt/numeric.c, "struct NumericShort".
    """
    digits = []
    while number:
        number, digit = divmod(number, _BASE)
        digits.append(digit)
    weight = len(digits) - 1
    while digits and digits[0] == 0:
        del digits[0]
    text = struct.pack(f"<H{len(digits)}H", 0x8000 | weight, *reversed(digits))
    return text if len(text) >= LEAST + 2 else None
