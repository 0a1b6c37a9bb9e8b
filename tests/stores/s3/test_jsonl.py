"""Gzipped JSON lines: what is removed is what a plain filter would remove; every other byte stays."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.model.errors import QuietusError
from include.model.estate import Cut
from include.stores.s3 import formats, jsonl
from include.stores.s3.formats import lost
from include.stores.s3.jsonl import JsonLines

PEOPLE = ["acct_1", "acct_10", "张伟", 'q"uote\\', "a/b", "e\u0301"]
values = st.one_of(
    st.sampled_from(PEOPLE), st.none(), st.integers(-9, 9), st.text(max_size=5), st.lists(st.text(max_size=3))
)
records = st.dictionaries(st.sampled_from(["account_id", "path", "n", "user"]), values, max_size=4)


@st.composite
def lines(draw: Any) -> bytes:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(
            st.sampled_from([b"", b"  ", b"not json", b'{"account_id": "acct_1"', b"\xff\xfe", b"[]"])
        )
    record = draw(records)
    if kind == 1:
        record["pad"] = "x" * 3000
    if kind == 2:
        record = {"user": record}
    text = json.dumps(
        record,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", " : ")])),
    )
    if kind == 3:  # a legal spelling that no byte search finds
        text = text.replace("account_id", "account\\u005fid").replace("acct_1", "\\u0061cct_1")
    return text.encode() + draw(st.sampled_from([b"", b"\r"]))


def packed(body: bytes, members: int = 1) -> io.BytesIO:
    size = -(-len(body) // members) or 1
    return io.BytesIO(b"".join(gzip.compress(body[i : i + size]) for i in range(0, len(body) or 1, size)))


def named(line: bytes) -> str | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("account_id") if isinstance(record, dict) else None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(lines(), max_size=12),
    st.booleans(),
    st.sets(st.sampled_from(PEOPLE), min_size=1),
    st.sampled_from([7, 64, 1 << 20]),
    st.integers(1, 3),
)
def test_rewriting_is_filtering(
    content: list[bytes], ends: bool, due: set[str], block: int, members: int
) -> None:
    body = b"\n".join(content) + (b"\n" if ends and content else b"")
    whole = _keepends(body)
    wanted = [i for i, x in enumerate(whole) if isinstance(named(x), str) and named(x) in due]
    before, jsonl.BLOCK = jsonl.BLOCK, block
    try:
        source, form, sink = packed(body, members), JsonLines(), io.BytesIO()
        found = [f for f in form.scan(source, "account_id", frozenset(due), ["n"]) if f.subject is not None]
        assert [f.row for f in found] == wanted
        changes: dict[int, Cut | None] = {f.row: None for f in found}
        done = form.rewrite(source, sink, changes)
        assert (done.before, done.dropped) == (len(whole), len(wanted))
        expected = b"".join(x for i, x in enumerate(whole) if i not in wanted)
        assert gzip.decompress(sink.getvalue()) == expected
        assert form.verify(source, sink, changes)
        assert not lost(form.prints(source, frozenset(wanted)), form.prints(sink, frozenset()))
    finally:
        jsonl.BLOCK = before


def _keepends(body: bytes) -> list[bytes]:
    parts = body.split(b"\n")
    return [p + b"\n" for p in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@pytest.mark.parametrize("harm", ["drop", "change", "swap", "add"])
def test_a_copy_with_one_other_difference_is_not_accepted(harm: str) -> None:
    rows = [json.dumps({"account_id": f"a{n}", "n": n}).encode() + b"\n" for n in range(9)]
    source, form = packed(b"".join(rows)), JsonLines()
    out = [r for n, r in enumerate(rows) if n != 4]
    assert form.verify(source, packed(b"".join(out)), {4: None})
    at = random.Random(harm).randrange(len(out) - 1)
    if harm == "drop":
        del out[at]
    elif harm == "change":
        out[at] = out[at].replace(b" ", b"  ", 1)
    elif harm == "swap":
        out[at], out[at + 1] = out[at + 1], out[at]
    else:
        out.insert(at, rows[4])
    assert not form.verify(source, packed(b"".join(out)), {4: None})


def test_a_cut_changes_only_the_named_fields_of_the_named_record() -> None:
    rows = [b'{"account_id": "a",  "ip": "1.1.1.1", "n": 1}\r\n', b'{"account_id": "b",  "ip": "2.2.2.2"}\n']
    source, sink, form = packed(b"".join(rows)), io.BytesIO(), JsonLines()
    changes = {0: Cut(set={"account_id": None, "ip": "0.0.0.0"})}  # noqa: S104
    assert form.rewrite(source, sink, changes).cut == 1
    got = _keepends(gzip.decompress(sink.getvalue()))
    assert json.loads(got[0]) == {"account_id": None, "ip": "0.0.0.0", "n": 1}  # noqa: S104
    assert got[0].endswith(b"\r\n")
    assert got[1] == rows[1]
    assert form.verify(source, sink, changes)


def test_a_nested_link_is_found_by_its_path() -> None:
    rows = [{"user": {"id": "a"}}, {"user": {"id": "b"}}, {"id": "a"}, {"user.id": "a"}]
    source = packed(b"".join(json.dumps(r).encode() + b"\n" for r in rows))
    assert [f.row for f in JsonLines().scan(source, "user.id", frozenset({"a"}), [])] == [0, 3]


def test_a_record_that_names_a_subject_and_cannot_be_read_is_told() -> None:
    source = packed(b'{"account_id": "a", broken\n{"account_id": "b", broken\n')
    assert [(f.row, f.subject) for f in JsonLines().scan(source, "account_id", frozenset({"a"}), [])] == [
        (0, None)
    ]


def test_a_truncated_file_is_an_error_that_quotes_nothing() -> None:
    whole = packed(b'{"account_id": "secret"}\n' * 999).getvalue()
    with pytest.raises(QuietusError) as error:
        list(JsonLines().scan(io.BytesIO(whole[:-20]), "account_id", frozenset({"a"}), []))
    assert "secret" not in str(error.value)


def test_the_level_and_time_of_the_gzip_header_are_kept() -> None:
    source = io.BytesIO(gzip.compress(b'{"account_id":"a"}\n{"n":1}\n', 1, mtime=12345))
    sink = io.BytesIO()
    JsonLines().rewrite(source, sink, {0: None})
    assert sink.getvalue()[4:9] == source.getvalue()[4:9]


MOMENTS = st.one_of(
    st.sampled_from(
        ["2026-01-05T10:00:59.123456+08:00", "2026-01-05 10:00:01Z", "2026-01-05", "", "soon", 'q"']
    ),
    st.integers(1_700_000_000, 1_800_000_000),
    st.none(),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["at", "account_id", "in"]), MOMENTS), max_size=8), st.booleans()
)
def test_the_times_of_all_records_are_told_to_the_minute(records: list[dict[str, Any]], nested: bool) -> None:
    written = [{"in": r, "x": 1} if nested else r for r in records]
    source = packed(b"".join(json.dumps(r).encode() + b"\n" for r in written))
    told = set(JsonLines().times(source, "in.at" if nested else "at"))
    said = [jsonl.text_of(r.get("at")) for r in records]
    assert told - {None, ""} == {formats.to_the_minute(v) for v in said if v}
    assert (None in told or "" in told) == any(not v for v in said)


def test_others_are_everybody_but_these_rows() -> None:
    source = packed(b'{"account_id": "a"}\n\n{"account_id": "b"}\nnoise\n')
    assert JsonLines().others(source, frozenset({0, 2}))
    assert not JsonLines().others(source, frozenset({0, 2, 3}))
