"""Parquet: the same schema, metadata, compression and order; only the due rows are missing."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.model.errors import QuietusError
from include.model.estate import Cut
from include.stores.s3.formats import lost
from include.stores.s3.parquet import Parquet

SCHEMA = pa.schema(
    [
        pa.field("account_id", pa.string()),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("score", pa.float64()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("path", pa.dictionary(pa.int32(), pa.string())),
    ],
    metadata={b"owner": b"web"},
)
row = st.fixed_dictionaries(
    {
        "account_id": st.sampled_from(["acct_1", "acct_10", "张伟", "", None]),
        "at": st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1)).map(lambda d: d.replace(tzinfo=UTC)),  # noqa: DTZ001
        "score": st.one_of(st.none(), st.floats()),
        "tags": st.one_of(st.none(), st.lists(st.text(max_size=3), max_size=2)),
        "path": st.one_of(st.none(), st.text(max_size=3)),
    }
)


def written(rows: list[dict[str, Any]], schema: Any = SCHEMA, **how: Any) -> io.BytesIO:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out, **how)
    out.seek(0)
    return out


def plain(rows: list[dict[str, Any]]) -> str:
    return repr(rows)  # not a number equals itself this way


@settings(max_examples=80, deadline=None)
@given(st.lists(row, max_size=20), st.integers(1, 8), st.sampled_from(["zstd", "snappy", "none", "gzip"]))
def test_rewriting_is_filtering(rows: list[dict[str, Any]], group: int, codec: str) -> None:
    source, form = written(rows, row_group_size=group, compression=codec), Parquet()
    due = [i for i, r in enumerate(rows) if r["account_id"] in ("acct_1", "张伟")]
    found = list(form.scan(source, "account_id", frozenset({"acct_1", "张伟"}), ["at"]))
    assert [f.row for f in found] == due
    assert [f.values["at"] for f in found] == [rows[i]["at"].isoformat() for i in due]
    sink, changes = io.BytesIO(), dict.fromkeys(due)
    assert form.rewrite(source, sink, changes).dropped == len(due)
    before, after = pq.ParquetFile(source), pq.ParquetFile(sink)
    kept = [r for r in before.read().to_pylist() if r["account_id"] not in ("acct_1", "张伟")]
    assert plain(after.read().to_pylist()) == plain(kept)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    if after.num_row_groups:
        a, b = after.metadata.row_group(0), before.metadata.row_group(0)
        assert [a.column(i).compression for i in range(a.num_columns)] == [
            b.column(i).compression for i in range(b.num_columns)
        ]
    assert form.verify(source, sink, changes)
    assert not lost(form.prints(source, frozenset(due)), form.prints(sink, frozenset()))
    if due:
        assert not form.verify(source, source, changes)


def test_the_file_keeps_how_it_was_written() -> None:
    rows = [
        {"account_id": f"a{n % 5}", "at": datetime(2026, 1, 1, tzinfo=UTC), "score": n / 3} for n in range(50)
    ]
    source = written(
        rows, row_group_size=20, compression={"account_id": "zstd", "at": "none"},
        use_dictionary=["account_id"],
        version="1.0", store_schema=False, sorting_columns=[pq.SortingColumn(1)],
        use_deprecated_int96_timestamps=True,
    )  # fmt: skip
    sink = io.BytesIO()
    Parquet().rewrite(source, sink, {0: None, 21: None})
    a, b = pq.ParquetFile(sink).metadata, pq.ParquetFile(source).metadata
    assert (a.num_row_groups, a.num_rows, a.format_version) == (b.num_row_groups, 48, b.format_version)
    assert (b"ARROW:schema" in (a.metadata or {})) is False
    assert a.row_group(0).sorting_columns == b.row_group(0).sorting_columns
    for i in range(b.num_columns):
        x, y = a.row_group(0).column(i), b.row_group(0).column(i)
        assert (x.compression, x.physical_type, x.has_dictionary_page) == (
            y.compression, y.physical_type, y.has_dictionary_page,
        )  # fmt: skip


@pytest.mark.parametrize("harm", ["value", "order", "metadata", "missing"])
def test_a_copy_with_one_other_difference_is_not_accepted(harm: str) -> None:
    rows = [{"account_id": f"a{n}", "score": math.nan if n == 2 else n} for n in range(6)]
    copy, schema = [dict(r) for n, r in enumerate(rows) if n != 4], SCHEMA
    assert Parquet().verify(written(rows), written(copy), {4: None})
    if harm == "value":
        copy[1]["score"] = 7.5
    elif harm == "order":
        copy[0], copy[1] = copy[1], copy[0]
    elif harm == "metadata":
        schema = schema.with_metadata({b"owner": b"else"})
    else:
        del copy[3]
    assert not Parquet().verify(written(rows), written(copy, schema), {4: None})


def test_row_groups_that_cannot_hold_the_cohort_are_not_read() -> None:
    rows = [{"account_id": f"a{n:04d}"} for n in range(100)]
    source, read = written(rows, row_group_size=10), []
    original = pq.ParquetFile.read_row_group

    def counting(self: Any, i: int, **how: Any) -> Any:
        read.append(i)
        return original(self, i, **how)

    pq.ParquetFile.read_row_group = counting
    try:
        assert [f.row for f in Parquet().scan(source, "account_id", frozenset({"a0055", "zzz"}), [])] == [55]
    finally:
        pq.ParquetFile.read_row_group = original
    assert set(read) == {5}


def test_a_cut_changes_only_the_named_columns_of_the_named_row() -> None:
    rows = [{"account_id": f"a{n}", "path": f"/{n}", "score": 1.0 * n} for n in range(4)]
    source, sink = written(rows), io.BytesIO()
    changes = {2: Cut(set={"account_id": None, "path": "-"})}
    assert Parquet().rewrite(source, sink, changes).cut == 1
    got = pq.read_table(sink).to_pylist()
    assert (got[2]["account_id"], got[2]["path"], got[2]["score"]) == (None, "-", 2.0)
    assert [r["account_id"] for r in got] == ["a0", "a1", None, "a3"]
    assert Parquet().verify(source, sink, changes)


def test_a_nested_link_and_integer_ids_are_found() -> None:
    kind = pa.schema([("user", pa.struct([("id", pa.int64())]))])
    source = written([{"user": {"id": n}} for n in range(5)], kind)
    assert [f.row for f in Parquet().scan(source, "user.id", frozenset({"3"}), [])] == [3]


def test_a_file_without_the_link_or_that_is_no_parquet_is_an_error() -> None:
    with pytest.raises(QuietusError, match="no field"):
        list(Parquet().scan(written([{"account_id": "a"}]), "subject", frozenset({"a"}), []))
    with pytest.raises(QuietusError, match="not readable"):
        list(Parquet().scan(io.BytesIO(b"PAR1 nonsense"), "account_id", frozenset({"a"}), []))


def test_the_youngest_time_of_all_rows_is_told_and_whether_some_have_none() -> None:
    days = [datetime(2026, 1, d, tzinfo=UTC) for d in (3, 5, 4)]
    rows = [{"account_id": "a", "at": d} for d in days]
    assert set(Parquet().times(written(rows, row_group_size=2), "at")) == {d.isoformat() for d in days[1:]}
    assert None in set(Parquet().times(written([*rows, {"account_id": "b", "at": None}]), "at"))
    assert list(Parquet().times(written(rows), "no_such_field")) == [None]
    texts = pa.schema([("at", pa.string())])
    source = written([{"at": "2026-01-05T10:00:59+08:00"}, {"at": "2026-01-05T10:00:01+08:00"}], texts)
    assert set(Parquet().times(source, "at")) == {"2026-01-05T10:00+08:00"}


def test_others_are_more_rows_than_these() -> None:
    source = written([{"account_id": "a"}, {"account_id": "b"}])
    assert Parquet().others(source, frozenset({0}))
    assert not Parquet().others(source, frozenset({0, 1}))
