"""Write-ahead log as one stream: what its records say across the borders of pages, and the pages within them.

A segment that was recycled keeps what it said until it is written over, so each run of pages that follow one another is read for
itself, whatever its file is called. Source: access/xlogrecord.h, access/xlog_internal.h, of PostgreSQL 15 to 18.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from include.proofs.residue import pglz
from include.proofs.residue.pages import PAGE

MAGIC = {0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}
_HEADER, _LONG = 24, 40
_CONTINUES, _IS_LONG = 0x0001, 0x0002
_RECORD = struct.Struct("<IIQBBxxI")  # length, transaction, the record before, info, manager, checksum
_LARGEST = 1 << 30
_HAS_IMAGE, _SAME_RELATION = 0x10, 0x80
_HOLE, _PGLZ, _LZ4, _ZSTD = 0x01, 0x04, 0x08, 0x10
_FOUR_BYTES, _LSN = 4, 8
_CODECS = {_LZ4: pa.Codec("lz4_raw"), _ZSTD: pa.Codec("zstd")}


@dataclass(frozen=True)
class Piece:
    """A part of a run: records one after another (``page`` False), or one page that a record holds."""

    position: int
    text: bytes = field(repr=False)
    page: bool = False


@dataclass
class Unread:
    """What could not be read: pages of a version that we do not know, records of another form, images that do not
    decompress."""

    pages: int = 0
    records: int = 0
    images: int = 0


@dataclass
class Stream:
    """Reads segments in the order in which they are fed. ``unread`` counts what it could not make sense of."""

    unread: Unread = field(default_factory=Unread)
    systems: set[int] = field(default_factory=set)  # identifiers of the clusters that wrote it
    _next: int = -1  # the address of the page that would follow
    _start: int = 0  # the position of the first byte of what is pending
    _pending: bytearray = field(default_factory=bytearray)
    _skip: int = 0  # bytes that end a record of which the beginning is not here
    _lost: bool = True  # whether it is unknown where a record begins

    def feed(self, pages: Iterable[bytes]) -> Iterator[Piece]:
        """Pages, of 8 KB each. Every byte of a run comes once, except for the headers of pages."""
        for page in pages:
            magic, info, _line, address, rest = struct.unpack_from("<HHIQI", page)
            if magic not in MAGIC:
                yield from self.end()
                if any(page):
                    # A page that was never written is empty; another may be of a version that is not read here.
                    self.unread.pages += 1
                    yield Piece(0, page)
                continue
            if address != self._next:
                yield from self.end()
            head = _LONG if info & _IS_LONG else _HEADER
            if info & _IS_LONG:
                self.systems.add(struct.unpack_from("<Q", page, _HEADER)[0])
            if self._lost and not self._skip:
                yield from self._found_again(address + head, rest if info & _CONTINUES else 0)
            self._next = address + PAGE
            self._pending += page[head:]
            yield from self._records()

    def end(self) -> Iterator[Piece]:
        """What is pending goes out as it is: nothing follows it."""
        if self._pending:
            yield Piece(self._start, bytes(self._pending))
        self._pending.clear()
        self._next, self._skip, self._lost = -1, 0, True

    def _found_again(self, position: int, rest: int) -> Iterator[Piece]:
        if self._pending:
            yield Piece(self._start, bytes(self._pending))
            self._pending.clear()
        self._start, self._skip, self._lost = position, _aligned(rest), False

    def _records(self) -> Iterator[Piece]:
        """Give out the records that are whole, all together, and the pages in them."""
        at = 0
        if self._skip:
            if len(self._pending) < self._skip:
                return
            at, self._skip = self._skip, 0
        images: list[bytes] = []
        while len(self._pending) - at >= _RECORD.size:
            length, _xid, _before, _info, _manager, _sum = _RECORD.unpack_from(self._pending, at)
            if (
                not _RECORD.size <= length <= _LARGEST
            ):  # 0: what is left of the segment is empty, or of before
                self._lost = True
                break
            if len(self._pending) - at < length:
                break
            images += self._images(memoryview(self._pending)[at : at + length])
            at += _aligned(length)
        if self._lost:
            at = len(self._pending)
        at = min(at, len(self._pending))
        if at:
            yield Piece(self._start, bytes(self._pending[:at]))
            for image in images:
                yield Piece(self._start, image, page=True)
            del self._pending[:at]
            self._start += at

    def _images(self, record: memoryview) -> list[bytes]:
        """The pages in a record, each as it was, its hole filled with zeros."""
        try:
            found = list(_headers(record))
        except (struct.error, ValueError, IndexError):  # its bytes are looked at, but for a page in it
            self.unread.records += 1
            return []
        at = len(record) - sum(x.image + x.data for x in found)
        images = []
        for block in found:
            if block.image:
                image = _page(bytes(record[at : at + block.image]), block)
                if image is None:
                    self.unread.images += 1
                else:
                    images.append(image)
            at += block.image + block.data
        return images


@dataclass(frozen=True)
class _Block:
    image: int = 0
    data: int = 0
    hole_at: int = 0
    hole: int = 0
    info: int = 0


def _headers(record: memoryview) -> Iterator[_Block]:
    """The headers of a record's parts. Raises ValueError or struct.error if they do not add up."""
    at, total = _RECORD.size, 0
    while len(record) - at > total:
        kind = record[at]
        at += 1
        if kind == 255:
            block, at = _Block(data=record[at]), at + 1
        elif kind == 254:
            block, at = _Block(data=struct.unpack_from("<I", record, at)[0]), at + 4
        elif kind == 253:
            at += 2
            continue
        elif kind == 252:
            at += 4
            continue
        elif kind <= 32:
            block, at = _block(record, at)
        else:
            raise ValueError(kind)
        total += block.image + block.data
        yield block
    if len(record) - at != total:
        raise ValueError(total)


def _block(record: memoryview, at: int) -> tuple[_Block, int]:
    flags, data = struct.unpack_from("<BH", record, at)
    at += 3
    image = hole_at = hole = info = 0
    if flags & _HAS_IMAGE:
        image, hole_at, info = struct.unpack_from("<HHB", record, at)
        at += 5
        if info & _HOLE and info & (_PGLZ | _LZ4 | _ZSTD):
            (hole,) = struct.unpack_from("<H", record, at)
            at += 2
        elif info & _HOLE:
            hole = PAGE - image
    at += (0 if flags & _SAME_RELATION else 12) + _FOUR_BYTES
    return _Block(image, data, hole_at, hole, info), at


def _page(image: bytes, block: _Block) -> bytes | None:
    size = PAGE - block.hole
    if block.info & _PGLZ:
        said = pglz.decompressed(image, size, pglz.PGLZ)
    elif codec := next((c for flag, c in _CODECS.items() if block.info & flag), None):
        try:
            said = bytes(codec.decompress(image, decompressed_size=size, asbytes=True))
        except (OSError, ValueError, pa.ArrowException):
            said = None
    else:
        said = image
    if said is None or len(said) != size:
        return None
    return said[: block.hole_at] + b"\0" * block.hole + said[block.hole_at :]


def _aligned(length: int) -> int:
    return (length + _LSN - 1) // _LSN * _LSN
