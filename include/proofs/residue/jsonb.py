"""How PostgreSQL keeps an array of numbers within ``jsonb``: as no text, so a scan for its text would find nothing.

Source: src/include/utils/jsonb.h (``JsonbContainer``, ``JEntry``), src/backend/utils/adt/jsonb_util.c (``convertJsonbArray``),
src/backend/utils/adt/numeric.c ("struct NumericShort"); little-endian servers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from decimal import Decimal

_ARRAY = 0x40000000
_HAS_OFFSET = 0x80000000
_NUMERIC, _CONTAINER = 0x10000000, 0x50000000
_STRIDE = 32  # every so many entries say where they end, the others how long they are
_GROUP = 4  # decimal digits in one of a numeric's


def stretches(text: str) -> Iterator[bytes]:
    """Of a JSON text all that its bytes on disk are known of: the elements of each array of numbers, or of arrays of numbers.
    Strings are left out: most are words of the application, which many rows have. Nothing for what is no JSON."""
    try:
        yield from _stretches(json.loads(text, parse_int=Decimal, parse_float=Decimal))
    except ValueError:
        return


def _stretches(value: object) -> Iterator[bytes]:
    if isinstance(value, list) and (made := _elements(value)) is not None:
        yield made[1]
        return
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _stretches(one)


def _elements(of: list[object]) -> tuple[list[tuple[int, int]], bytes] | None:
    """Types and lengths of the elements, and what they are one after the other; None for what is not made of numbers only."""
    body, entries = bytearray(), list[tuple[int, int]]()
    for one in of:
        begin = len(body)
        body += b"\0" * (-begin % 4)
        match one:
            case Decimal():
                kind, text = _NUMERIC, _numeric(one)
            case list():
                kind, text = _CONTAINER, _array(one)
            case _:
                return None
        if text is None:
            return None
        body += text
        entries.append((kind, len(body) - begin))
    return entries, bytes(body)


def _array(of: list[object]) -> bytes | None:
    if (made := _elements(of)) is None:
        return None
    entries, body = made
    words, end = [_ARRAY | len(entries)], 0
    for no, (kind, length) in enumerate(entries):
        end += length
        words.append(kind | (_HAS_OFFSET | end if no % _STRIDE == 0 else length))
    return struct.pack(f"<{len(words)}I", *words) + body


def _numeric(number: Decimal) -> bytes | None:
    """With its length before it. None for what has no short header."""
    whole, _, part = format(number.copy_abs(), "f").partition(".")
    scale = len(part)
    whole = whole.zfill(-(-len(whole) // _GROUP) * _GROUP)
    part = part.ljust(-(-len(part) // _GROUP) * _GROUP, "0")
    text = whole + part
    digits = [int(text[n : n + _GROUP]) for n in range(0, len(text), _GROUP)]
    weight = len(whole) // _GROUP - 1
    while digits and digits[0] == 0:
        del digits[0]
        weight -= 1
    while digits and digits[-1] == 0:
        del digits[-1]
    if not digits:
        weight = 0
    if scale > 0x3F or not -0x40 <= weight <= 0x3F:
        return None
    sign = 0x2000 if digits and number < 0 else 0
    header = 0x8000 | sign | scale << 7 | (0x40 if weight < 0 else 0) | weight & 0x3F
    body = struct.pack(f"<H{len(digits)}H", header, *digits)
    return struct.pack("<I", (len(body) + 4) << 2) + body
