"""Reading inside objects: records of shared files by their subject, and the text of any body.

Compressed data hides what it holds from a search over bytes. What can be unpacked is (gzip, bzip2, xz, zip with the
office documents, Parquet, one in another), wide characters are decoded; what cannot be is said to be unreadable.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import json
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

PIECE = 1 << 20  # bytes
ROWS = 20_000
DEEPEST = 4  # an archive in an archive in …
SPOOL = 32 << 20  # bytes kept in memory before a body goes to an unnamed file


class Unreadable(Exception):
    """A body is not what its name says. Carries nothing of it."""


def spooled(body: IO[bytes]) -> IO[bytes]:
    """A seekable copy of a streamed body."""
    sink = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(body, sink, PIECE)
    sink.seek(0)
    return sink


def records_of(body: IO[bytes], format: str, field: str, subjects: frozenset[str]) -> int:
    """How many records of a shared file belong to the subjects. Raises Unreadable."""
    try:
        if format == "parquet":
            with spooled(body) as file:
                return _parquet(file, field, subjects)
        return sum(1 for _ in _lines(body, field, subjects))
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException):
        raise Unreadable from None


def others_of(
    body: IO[bytes], format: str, field: str, subjects: frozenset[str], cut: Mapping[str, Any]
) -> Iterator[bytes]:
    """The records of a shared file that are not the subjects' and do not bear the cut: a line as it is written,
    a row of Parquet as names and values. Raises Unreadable."""

    def others(record: object) -> bool:
        if not isinstance(record, dict):
            return True
        bears = bool(cut) and all(c in record and record[c] == v for c, v in cut.items())
        return not bears and str(record.get(field)) not in subjects

    try:
        with spooled(body) as file:
            if format == "parquet":
                for batch in pq.ParquetFile(file).iter_batches(ROWS):
                    yield from (repr(sorted(r.items())).encode() for r in batch.to_pylist() if others(r))
                return
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield from (x.rstrip(b"\r\n") for x in unpacked if x.strip() and others(json.loads(x)))
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException):
        raise Unreadable from None


def summed(body: IO[bytes], format: str) -> tuple[int, int]:
    """How many records a shared file has, and the sum of their digests: the order does not matter, and a byte more or less in
    any of them changes it. Raises Unreadable."""
    count = total = 0
    try:
        with spooled(body) as file:
            for record in _every(file, format):
                count, total = count + 1, total + int.from_bytes(hashlib.sha256(record).digest())
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException):
        raise Unreadable from None
    return count, total % 2**256


def _every(file: IO[bytes], format: str) -> Iterator[bytes]:
    if format == "parquet":
        for batch in pq.ParquetFile(file).iter_batches(ROWS):
            yield from (repr(row).encode("utf-8", "surrogatepass") for row in batch.to_pylist())
        return
    with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        yield from (line.removesuffix(b"\n") for line in unpacked if line.strip())


def _lines(body: IO[bytes], field: str, subjects: frozenset[str]) -> Iterator[dict[str, Any]]:
    with spooled(body) as file, gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        for line in unpacked:
            if not line.strip():
                continue
            record = json.loads(line)
            if isinstance(record, dict) and str(record.get(field)) in subjects:
                yield record


def _parquet(file: IO[bytes], field: str, subjects: frozenset[str]) -> int:
    table = pq.ParquetFile(file)
    if field not in table.schema_arrow.names:
        raise Unreadable
    return sum(
        sum(1 for value in batch.column(0).to_pylist() if value is not None and str(value) in subjects)
        for batch in table.iter_batches(ROWS, columns=[field])
    )


def texts(body: IO[bytes], depth: int = 0) -> Iterator[bytes]:
    """What a body says, in pieces of UTF-8: unpacked and decoded as far as its first bytes say how.

    Pieces overlap by nothing: the caller carries over what a match may straddle. Raises Unreadable, which may
    come after some pieces: of an image there are the bytes, but nobody can say that they say nothing.
    """
    with spooled(body) as file:
        head = file.read(16)
        file.seek(0)
        try:
            if depth > DEEPEST:
                raise Unreadable
            if opener := next((o for magic, o in PACKED.items() if head.startswith(magic)), None):
                with cast("IO[bytes]", opener(file)) as unpacked:
                    yield from texts(unpacked, depth + 1)
            elif head.startswith(b"PK\x03\x04"):
                yield from _members(file, depth)
            elif head.startswith(b"PAR1"):
                for batch in pq.ParquetFile(file).iter_batches(ROWS):
                    for column in batch.columns:
                        yield "\n".join(str(v) for v in column.to_pylist() if v is not None).encode() + b"\n"
            elif wide := next((name for bom, name in WIDE.items() if head.startswith(bom)), None):
                decoder = codecs.getincrementaldecoder(wide)("replace")
                for piece in iter(lambda: file.read(PIECE), b""):
                    yield decoder.decode(piece).encode()
            else:
                yield from iter(lambda: file.read(PIECE), b"")
                if opaque(head):
                    raise Unreadable
        except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, pa.ArrowException):
            raise Unreadable from None
        except (zipfile.BadZipFile, NotImplementedError):
            raise Unreadable from None


def _members(file: IO[bytes], depth: int) -> Iterator[bytes]:
    """The names and the contents of a zip's members: office documents are zips. One under a password is unreadable."""
    unreadable = False
    with zipfile.ZipFile(file) as packed:
        for member in packed.infolist():
            yield member.filename.encode() + b"\n"
            if member.is_dir():
                continue
            try:
                with packed.open(member) as unpacked:
                    yield from texts(unpacked, depth + 1)
            except Unreadable:
                unreadable = True
            yield b"\n"
    if unreadable:
        raise Unreadable


PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
WIDE = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}  # the four-byte marks first: the two-byte one begins the same
# What a search over bytes does not see into: pictures, sound, films, PDF, archives of other kinds, ciphertext. Most
# others show themselves by control characters among their first bytes.
_OPAQUE = (
    b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"%PDF", b"\xff\xfb", b"OggS", b"fLaC", b"RIFF", b"Rar!", b"PGDMP",
    b"SQLite format 3", b"age-encryption", b"-----BEGIN PGP",
)  # fmt: skip


def opaque(head: bytes) -> bool:
    """Whether a body, by its first bytes, holds more than a search over its bytes can see."""
    return head.startswith(_OPAQUE) or any(b < 9 or 13 < b < 32 for b in head)
