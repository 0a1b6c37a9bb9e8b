"""The two compressions of values in pages and WAL: PostgreSQL's own, and LZ4 blocks. Both also of a beginning alone.

A value of which only the first chunks are left is still partly readable, so a decoder that wants all or nothing is not
enough. Source: src/common/pg_lzcompress.c; lz4_Block_format.md.
"""

from __future__ import annotations

import pyarrow as pa

PGLZ, LZ4 = 0, 1  # "enum ToastCompressionId"
_LZ4 = pa.Codec("lz4_raw")


def decompressed(source: bytes, size: int, method: int) -> bytes | None:
    """All of a value of ``size`` bytes; None if the bytes are no such value."""
    if method == PGLZ:
        said = pglz(source, size)
        return said if said is not None and len(said) == size else None
    try:
        said = _LZ4.decompress(source, decompressed_size=size, asbytes=True)
    except (OSError, ValueError, pa.ArrowException):
        return None
    return bytes(said) if len(said) == size else None


def beginning(source: bytes, size: int, method: int) -> bytes | None:
    """As much of a value as its first bytes give; None if they are no such value's."""
    return pglz(source, size, cut=True) if method == PGLZ else lz4(source, size)


def pglz(source: bytes, size: int, *, cut: bool = False) -> bytes | None:
    """PostgreSQL's LZ. ``cut``: the source may end before the value does. None if it breaks the format."""
    out = bytearray()
    at, end = 0, len(source)
    while at < end and len(out) < size:
        control = source[at]
        at += 1
        if control == 0:
            out += source[at : at + 8]
            at += 8
            continue
        for bit in range(8):
            if at >= end or len(out) >= size:
                break
            if not control >> bit & 1:
                out.append(source[at])
                at += 1
                continue
            if at + 1 >= end:
                at = end
                break
            length = (source[at] & 0x0F) + 3
            back = (source[at] & 0xF0) << 4 | source[at + 1]
            at += 2
            if length == 18:
                if at >= end:
                    break
                length += source[at]
                at += 1
            if not 0 < back <= len(out):
                return None
            _again(out, back, length)
    whole = len(out) == size and at >= end
    return bytes(out[:size]) if whole or cut else None


def lz4(source: bytes, size: int) -> bytes | None:
    """What an LZ4 block that may be cut off gives. None if it breaks the format."""
    out = bytearray()
    at, end = 0, len(source)
    while at < end and len(out) < size:
        token = source[at]
        literals, at = _long(source, at + 1, token >> 4)
        out += source[at : at + literals]
        at += literals
        if at + 2 > end:
            break
        back = source[at] | source[at + 1] << 8
        length, at = _long(source, at + 2, token & 15)
        if not 0 < back <= len(out):
            return None
        _again(out, back, length + 4)
    return bytes(out[:size])


def _long(source: bytes, at: int, length: int) -> tuple[int, int]:
    """A length that goes on in further bytes while they are 255; and where what comes after it stands."""
    if length == 15:
        while at < len(source):
            byte = source[at]
            at += 1
            length += byte
            if byte != 255:
                break
    return length, at


def _again(out: bytearray, back: int, length: int) -> None:
    """Append what stood ``back`` bytes ago; what is appended may be repeated itself."""
    start = len(out) - back
    if back >= length:
        out += out[start : start + length]
        return
    piece = bytes(out[start:])
    out += (piece * (length // back + 1))[:length]
