"""Parquet. One row group in memory at a time; a scan reads only the link column, and skips row groups
whose statistics rule the cohort out. A rewritten file keeps schema, metadata, row groups and compression.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.model.errors import QuietusError
from include.stores.s3.formats import Changes, Found, Rewritten, content_of, print_of, to_the_minute

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _open(source: IO[bytes]) -> Any:
    source.seek(0)
    try:
        return pq.ParquetFile(source)
    except (pa.ArrowException, OSError):
        raise QuietusError(
            "a record file is not readable Parquet",
            next_step="repair or remove the file; until then nothing of it is disposed",
        ) from None


def _column(table: Any, path: str) -> Any:
    """A column by its plain name or by a dotted path into structs; None if it is not there."""
    if path in table.column_names:
        return table.column(path)
    head, *rest = path.split(".")
    if head not in table.column_names:
        return None
    column = table.column(head)
    for part in rest:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
            return None
        column = pc.struct_field(column, part)
    return column


def _as_text(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool | dict | list):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _ruled_out(group: Any, link: str, wanted: Sequence[str]) -> bool:
    """Whether the row group's least and greatest link value exclude every wanted one (sorted)."""
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema != link:
            continue
        stats = column.statistics
        if stats is None or not stats.has_min_max or not isinstance(stats.min, str):
            return False
        at = int(np.searchsorted(np.asarray(wanted, dtype=object), stats.min))
        return at >= len(wanted) or wanted[at] > stats.max
    return False


def _rows(table: Any) -> Iterator[bytes]:
    """Every row as bytes: equal rows give equal bytes. Field order is the schema's."""
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            yield repr(row).encode("utf-8", "surrogatepass")


class Parquet:
    """See :class:`include.stores.s3.formats.RecordFormat`."""

    def scan(
        self, source: IO[bytes], link: str, wanted: frozenset[str], fields: Sequence[str]
    ) -> Iterator[Found]:
        file, base, ordered = _open(source), 0, sorted(wanted)
        values = pa.array(ordered, pa.string())
        for g in range(file.num_row_groups):
            group = file.metadata.row_group(g)
            if not _ruled_out(group, link, ordered):
                column = _column(file.read_row_group(g, columns=[link]), link)
                if column is None:
                    raise QuietusError(
                        f"a record file has no field {link!r}", next_step="correct the link in the catalogue"
                    )
                text = _as_text(column)
                hits = pc.indices_nonzero(pc.is_in(text, value_set=values))
                if len(hits):
                    table = file.read_row_group(g).take(hits)
                    extra = [_column(table, f) for f in fields]
                    for n, (at, subject, row) in enumerate(
                        zip(hits.to_pylist(), text.take(hits).to_pylist(), _rows(table), strict=True)
                    ):
                        yield Found(
                            base + at,
                            subject,
                            content_of(row),
                            {f: _text(c[n].as_py()) if c is not None else None
                             for f, c in zip(fields, extra, strict=True)},
                        )  # fmt: skip
            base += group.num_rows

    def prints(self, source: IO[bytes], without: frozenset[int]) -> NDArray[np.uint64]:
        file, out, row = _open(source), array("Q"), 0
        for g in range(file.num_row_groups):
            for record in _rows(file.read_row_group(g)):
                if row not in without:
                    out.append(print_of(record))
                row += 1
        return np.sort(np.frombuffer(out, dtype=np.uint64)) if out else np.empty(0, dtype=np.uint64)

    def others(self, source: IO[bytes], rows: frozenset[int]) -> bool:
        return bool(_open(source).metadata.num_rows > len(rows))

    def times(self, source: IO[bytes], field: str) -> Iterator[str | None]:
        file, said = _open(source), set[str | None]()
        for g in range(file.num_row_groups):
            column = _column(file.read_row_group(g, columns=[field]), field)
            if column is None:
                yield None
                return
            if column.null_count:
                yield None
            if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
                youngest = _text(pc.max(column).as_py())
                said |= {youngest} if youngest else set()
                continue
            said |= {to_the_minute(v) for v in map(_text, pc.unique(column).to_pylist()) if v is not None}
        yield from said

    def each(self, source: IO[bytes], fields: Sequence[str]) -> Iterator[tuple[int, tuple[str | None, ...]]]:
        file, base = _open(source), 0
        heads = sorted({f if f in file.schema_arrow.names else f.partition(".")[0] for f in fields})
        there = [h for h in heads if h in file.schema_arrow.names]
        for g in range(file.num_row_groups):
            size = file.metadata.row_group(g).num_rows
            table = file.read_row_group(g, columns=there)
            columns = [_column(table, f) for f in fields]
            said = [c.to_pylist() if c is not None else [None] * size for c in columns]
            for n in range(size):
                yield base + n, tuple(_text(of[n]) for of in said)
            base += size

    def bodies(self, source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        file, row = _open(source), 0
        for g in range(file.num_row_groups):
            for record in _rows(file.read_row_group(g)):
                yield row, record
                row += 1

    def rewrite(self, source: IO[bytes], sink: IO[bytes], changes: Changes) -> Rewritten:
        file, done = _open(source), Rewritten(0, 0, 0)
        with pq.ParquetWriter(sink, file.schema_arrow, **_settings(file)) as writer:
            for table in _changed(file, changes, done):
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        return done

    def verify(self, source: IO[bytes], copy: IO[bytes], changes: Changes) -> bool:
        before, after, seen = _open(source), _open(copy), Rewritten(0, 0, 0)
        if not after.schema_arrow.equals(before.schema_arrow, check_metadata=True):
            return False
        if _notes(after) != _notes(before):
            return False
        g = 0
        for want in _changed(before, changes, seen):
            if g >= after.num_row_groups or not _same(want, after.read_row_group(g)):
                return False
            g += 1
        return g == after.num_row_groups and seen.dropped + seen.cut == len(changes)


def _notes(file: Any) -> dict[bytes, bytes]:
    """The file's own key-value metadata, without Arrow's copy of the schema (compared by itself)."""
    return {k: v for k, v in (file.metadata.metadata or {}).items() if k != b"ARROW:schema"}


def _changed(file: Any, changes: Changes, count: Rewritten) -> Iterator[Any]:
    """The row groups with the changes made; a group that loses all its rows is left out."""
    rows = np.fromiter(sorted(changes), dtype=np.int64, count=len(changes))
    for g in range(file.num_row_groups):
        size = file.metadata.row_group(g).num_rows
        first, last = np.searchsorted(rows, (count.before, count.before + size))
        table = file.read_row_group(g)
        here = rows[first:last]
        drop = np.array([r - count.before for r in here if changes[int(r)] is None], dtype=np.int64)
        for r in here:
            cut = changes[int(r)]
            if cut is not None:
                table = _cut(table, int(r) - count.before, cut.set)
                count.cut += 1
        if len(drop):
            keep = np.ones(size, dtype=bool)
            keep[drop] = False
            table = table.filter(pa.array(keep))
            count.dropped += len(drop)
        count.before += size
        if table.num_rows or not size:
            yield table


def _cut(table: Any, row: int, cut: dict[str, Any]) -> Any:
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[row] = True
    for name, value in cut.items():
        i = table.schema.get_field_index(name)
        if i < 0:
            continue
        kind = table.schema.field(i)
        plain = table.column(i)
        if pa.types.is_dictionary(kind.type):
            plain = plain.cast(kind.type.value_type)
        new = pc.if_else(pa.array(mask), pa.scalar(value, plain.type), plain).cast(kind.type)
        table = table.set_column(i, kind, new)
    return table


def _settings(file: Any) -> dict[str, Any]:
    """How the file was written, as far as it tells."""
    meta = file.metadata
    settings: dict[str, Any] = {
        "version": {"1.0": "1.0", "2.4": "2.4", "2.6": "2.6"}.get(meta.format_version, "2.6"),
        "store_schema": b"ARROW:schema" in (meta.metadata or {}),
        "write_statistics": True,
    }
    if not meta.num_row_groups:
        return settings
    group = meta.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    codec = {c.path_in_schema: c.compression for c in columns}
    settings["compression"] = {p: "NONE" if k == "UNCOMPRESSED" else k for p, k in codec.items()}
    settings["use_dictionary"] = [c.path_in_schema for c in columns if c.has_dictionary_page] or False
    settings["write_statistics"] = [c.path_in_schema for c in columns if c.is_stats_set] or False
    settings["use_deprecated_int96_timestamps"] = any(c.physical_type == "INT96" for c in columns)
    if group.sorting_columns:
        settings["sorting_columns"] = group.sorting_columns
    return settings


def _same(a: Any, b: Any) -> bool:
    if a.equals(b):
        return True
    # Floats that are not a number never equal themselves; compare such tables by their written rows.
    return a.num_rows == b.num_rows and _sum(a) == _sum(b)


def _sum(table: Any) -> bytes:
    sha = hashlib.sha256()
    for row in _rows(table):
        sha.update(row + b"\n")
    return sha.digest()
