"""Values that were cut into chunks: put together again from live and dead chunks alike.

A chunk's row has one form in every TOAST table (value, number, bytes), so it is recognised wherever in a page it lies. Only
where each chunk lies is remembered, not what it says: 24 bytes for 2,000.

Source: access/heaptoast.h; htup_details.h, ``HeapTupleHeaderData``; varatt.h, "va_tcinfo".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from include.proofs.residue import pglz
from include.proofs.residue.pages import LARGEST, Bytes, words

_MOST = 8192  # bytes in a chunk; 1,996 unless the server was built otherwise
_ATTRIBUTES, _VARIABLE, _NULLS = 3, 0x0002, 0x0001
_INFOMASK2, _INFOMASK, _HOFF, _DATA = 18, 20, 22, 24  # within a row's header, and where its data begins
_ROW = _DATA + 12
_LARGEST_TO_SEEK = 256 << 20  # bytes: more of one value is looked through in its chunks alone

Read = Callable[[int, int], bytes]
"""So many bytes of a relation from a position on."""

_CHUNK = np.dtype([("value", "<u4"), ("number", "<u4"), ("at", "<i8"), ("size", "<i4")])


@dataclass
class Chunks:
    """Where the chunks of one TOAST relation lie."""

    _found: list[npt.NDArray[np.void]] = field(default_factory=list)

    def look(self, buffer: Bytes, at: int) -> None:
        """Note every chunk in a buffer of whole pages that begins at this position of the relation."""
        word = words(buffer)
        # Rows lie on borders of 8 bytes: every second word may be the first of one.
        rows = np.arange(0, max(0, len(word) - _ROW // 4), 2)
        mask = word[rows + _INFOMASK // 4]  # infomask, and t_hoff in the third byte
        natts = word[rows + _INFOMASK2 // 4] >> 16 & 0x07FF
        size = word[rows + (_DATA + 8) // 4]
        length = size >> 2
        fits = (
            (natts == _ATTRIBUTES) & (mask >> 16 & 0xFF == _DATA) & (mask & (_VARIABLE | _NULLS) == _VARIABLE)
            & (size & 3 == 0) & (length > 4) & (length <= _MOST)
            & (word[rows + _DATA // 4] != 0)
        )  # fmt: skip
        rows = rows[fits]
        found = np.empty(len(rows), dtype=_CHUNK)
        found["value"] = word[rows + _DATA // 4]
        found["number"] = word[rows + _DATA // 4 + 1]
        found["at"] = at + rows * 4 + _ROW
        found["size"] = (word[rows + _DATA // 4 + 2] >> 2) - 4
        self._found.append(found)

    def values(self, read: Read) -> Iterator[tuple[int, bytes]]:
        """Each value that can be put together, or the beginning of it: where its first chunk lies, what it says."""
        if not self._found:
            return
        chunks = np.concatenate(self._found)
        chunks = chunks[np.lexsort((chunks["at"], chunks["number"], chunks["value"]))]
        borders = np.flatnonzero(np.diff(chunks["value"])) + 1
        for value in np.split(chunks, borders):
            # Of a chunk that is there twice (VACUUM FULL and dead rows leave such) the first and the last may differ.
            for several in {tuple(_one_of_each(value, last)) for last in (False, True)}:
                if several:
                    yield several[0][0], _said([read(at, size) for at, size in several])


def _one_of_each(value: npt.NDArray[np.void], last: bool) -> Sequence[tuple[int, int]]:
    """Positions and lengths of the chunks 0, 1, 2 … as far as they go without a gap."""
    by_number: dict[int, tuple[int, int]] = {}
    for chunk in value:
        number = int(chunk["number"])
        if last or number not in by_number:
            by_number[number] = (int(chunk["at"]), int(chunk["size"]))
    found: list[tuple[int, int]] = []
    total = 0
    while (place := by_number.get(len(found))) is not None and total < _LARGEST_TO_SEEK:
        found.append(place)
        total += place[1]
    return found


def _said(chunks: Sequence[bytes]) -> bytes:
    """What they say together: decompressed if they begin as what is compressed does, else as they are."""
    whole = b"".join(chunks)
    (info,) = struct.unpack_from("<I", whole) if len(whole) > 4 else (0,)
    raw, method = info & (LARGEST - 1), info >> 30
    if method <= pglz.LZ4 and len(whole) - 4 < raw <= len(whole) * 300:
        said = pglz.decompressed(whole[4:], raw, method)
        if said is None:
            said = pglz.beginning(whole[4:], raw, method)
        if said:
            return said
    return whole
