"""Looking into record files: which fields they have, and a few values of each."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.model.errors import CatalogueError
from include.model.estate import Dataset

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_FILES = 5
MOST_RECORDS = 500  # of each file
WHOLE = (
    16 << 20
)  # a Parquet file up to this size is read whole; of a larger one the end, which has its schema
START = 256 << 10  # so much of a compressed file is read
UNPACKED = 1 << 20  # and unpacked to at most so much

File = tuple[datetime, str, int]  # when it was written, its key, its size


def chosen(files: Sequence[File]) -> tuple[File, ...]:
    """The newest, the oldest, and some between: a field may have come or gone on the way."""
    ordered = sorted(files)
    if len(ordered) <= MOST_FILES:
        return tuple(ordered)
    return tuple(ordered[i * (len(ordered) - 1) // (MOST_FILES - 1)] for i in range(MOST_FILES))


def sample(client: S3Client, dataset: Dataset, key: str, size: int) -> Mapping[str, list[object]]:
    """Field -> values, of the first records. Raises CatalogueError if the file has another format."""
    if dataset.format == "parquet":
        return _parquet(client, dataset, key, size)
    body = client.get_object(Bucket=dataset.address, Key=key, Range=f"bytes=0-{START - 1}")["Body"].read()
    found: dict[str, list[object]] = {}
    for record in _lines(body, dataset):
        for name, value in record.items():
            nested = isinstance(value, dict | list)
            found.setdefault(name, []).append(json.dumps(value, ensure_ascii=False) if nested else value)
    return found


def _lines(body: bytes, dataset: Dataset) -> Iterable[dict[str, object]]:
    try:
        unpacking = zlib.decompressobj(wbits=31)
        text = unpacking.decompress(body, UNPACKED)
        *lines, rest = text.split(b"\n")
        if unpacking.eof and not unpacking.unconsumed_tail:
            lines.append(rest)
        made = [json.loads(line) for line in islice(filter(None, lines), MOST_RECORDS)]
    except (zlib.error, ValueError):
        raise _other(dataset) from None
    if not all(isinstance(record, dict) for record in made):
        raise _other(dataset)
    return made


def _parquet(client: S3Client, dataset: Dataset, key: str, size: int) -> Mapping[str, list[object]]:
    part = "bytes=0-" if size <= WHOLE else f"bytes=-{1 << 20}"
    body = client.get_object(Bucket=dataset.address, Key=key, Range=part)["Body"].read()
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        found: dict[str, list[object]] = {name: [] for name in file.schema_arrow.names}
        if size <= WHOLE:
            batch = next(file.iter_batches(batch_size=MOST_RECORDS), None)
            for name in found if batch is not None else ():
                found[name] = batch.column(name).to_pylist() if batch is not None else []
    except (pa.ArrowException, OSError):
        raise _other(dataset) from None
    return found


def _other(dataset: Dataset) -> CatalogueError:
    return CatalogueError(f"a file is not {dataset.format}", about=dataset.id)
