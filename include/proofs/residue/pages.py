"""What the pages of relations hold compressed, wherever in the page it lies: in rows, dead rows or the hole between.

No schema is asked and no line pointer believed, since neither leads to what VACUUM left behind. A compressed value begins with
its own length and that of what it was; whatever looks so is tried, and what is none does not decompress.

Source: postgres.h, ``varattrib_4b`` ("va_compressed"), of a little-endian server.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from include.proofs.residue import pglz

PAGE = 8192
LARGEST = 1 << 30  # a value's size
_LEAST = 12  # a header of 8 bytes and something
_RATIO = 300  # neither compression makes more of less

Bytes = bytes | bytearray | memoryview
Words = npt.NDArray[np.uint32]


def words(buffer: Bytes, at: int = 0) -> Words:
    """The buffer from ``at`` on as little-endian words of 4 bytes; what is left over at its end is left out."""
    return np.frombuffer(buffer, dtype="<u4", offset=at, count=(len(buffer) - at) // 4)


def compressed(buffer: Bytes, *, anywhere: bool = False) -> Iterator[tuple[int, bytes]]:
    """Each compressed value in whole pages: where it begins, and what it says.

    In a page it lies on a border of 4 bytes; ``anywhere``: on any byte, as in the records of WAL.
    """
    for phase in range(4 if anywhere else 1):
        if len(buffer) - phase >= _LEAST:
            for at, size, raw, method in _look_so(buffer, phase, pages=not anywhere):
                said = pglz.decompressed(bytes(buffer[at + 8 : at + size]), raw, method)
                if said is not None:
                    yield at, said


def _look_so(buffer: Bytes, phase: int, *, pages: bool) -> Iterator[tuple[int, int, int, int]]:
    """Where, length, size decompressed and method of what has the form of a compressed value."""
    head = words(buffer, phase)
    size, info = head[:-1] >> 2, head[1:]
    raw, method = info & (LARGEST - 1), info >> 30
    at = np.arange(len(size), dtype=np.int64) * 4 + phase
    room = PAGE - at % PAGE if pages else np.minimum(len(buffer) - at, PAGE * 4)
    fits = (
        (head[:-1] & 3 == 2) & (size >= _LEAST) & (size <= room)
        & (method <= pglz.LZ4) & (raw > size - 8) & (raw <= size.astype(np.int64) * _RATIO)
    )  # fmt: skip
    for no in np.flatnonzero(fits):
        yield int(at[no]), int(size[no]), int(raw[no]), int(method[no])
