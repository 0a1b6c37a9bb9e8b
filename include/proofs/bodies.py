"""Reading inside objects: records of shared files by their subject, and the text of any body.

Compressed data hides what it holds from a search over bytes, so gzip is unpacked and Parquet decoded.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

PIECE = 1 << 20  # bytes
ROWS = 20_000
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


def texts(body: IO[bytes], key: str) -> Iterator[bytes]:
    """The body in pieces, as bytes of UTF-8, unpacked and decoded as far as its first bytes say how.

    Pieces overlap by nothing: the caller carries over what a match may straddle. Raises Unreadable.
    """
    with spooled(body) as file:
        head = file.read(4)
        file.seek(0)
        try:
            if head[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    yield from iter(lambda: unpacked.read(PIECE), b"")
            elif head == b"PAR1":
                for batch in pq.ParquetFile(file).iter_batches(ROWS):
                    for column in batch.columns:
                        yield "\n".join(str(v) for v in column.to_pylist() if v is not None).encode() + b"\n"
            else:
                yield from iter(lambda: file.read(PIECE), b"")
        except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException):
            raise Unreadable from None
