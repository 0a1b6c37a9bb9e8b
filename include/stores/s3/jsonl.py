"""Gzipped JSON lines. Other people's lines are copied as bytes and never parsed or written anew.

A scan looks for the link field with one regular expression over a megabyte at a time and parses only
lines that can be a hit, so its speed is that of decompression. Memory: one block, or the longest line.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from include.model.errors import QuietusError
from include.model.estate import Cut
from include.stores.s3.formats import Changes, Found, Rewritten, content_of, print_of, to_the_minute

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1 << 20
_ABSENT = object()


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    """Decompressed blocks of whole lines; only the last may lack its newline."""
    source.seek(0)
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as plain:
            held: list[bytes] = []
            while piece := plain.read(BLOCK):
                end = piece.rfind(b"\n") + 1
                if not end:
                    held.append(piece)
                    continue
                yield b"".join((*held, piece[:end]))
                held = [piece[end:]] if end < len(piece) else []
            if held:
                yield b"".join(held)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise QuietusError(
            "a record file is not readable gzip to its end",
            next_step="repair or remove the file; until then nothing of it is disposed",
        ) from None


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    row = 0
    for block in _blocks(source):
        for line in block.split(b"\n")[: None if not block.endswith(b"\n") else -1]:
            yield row, line
            row += 1


def at_path(record: Any, path: str) -> Any:
    """The value of a field, by its plain name or by a dotted path into nested objects."""
    if isinstance(record, dict) and path in record:
        return record[path]
    for part in path.split("."):
        if not isinstance(record, dict) or part not in record:
            return _ABSENT
        record = record[part]
    return record


def text_of(value: Any) -> str | None:
    """A field as text: strings as they are, numbers in JSON form; None for null, absent or nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    return None


def _suspects(link: str) -> re.Pattern[bytes]:
    """Where a link value may stand: ``"link": value`` (groups 1 and 2), or an escape that may hide it."""
    name = link.rsplit(".", 1)[-1]
    spelled = {json.dumps(n, ensure_ascii=a).encode() for n in (name, link) for a in (True, False)}
    names = b"|".join(re.escape(s) for s in sorted(spelled))
    hidden = rb"\\u00|\\/" if name.isascii() else rb"\\u|\\/"
    return re.compile(
        rb"(?:" + names + rb')[ \t\r]*:[ \t\r]*(?:"([^"\\\n]*)"|(-?[0-9][0-9.eE+-]*)|")|(?:' + hidden + rb")"
    )


def _plainly(field: str) -> re.Pattern[bytes]:
    """A field whose value is a text without escapes or a number."""
    name = re.escape(json.dumps(field, ensure_ascii=False).encode())
    return re.compile(name + rb"""[ \t]*:[ \t]*"?((?<=")[ -!#-\[\]-~]*(?=")|-?[0-9][0-9.]*(?=[ \t]*[,}]))""")


def _field(line: bytes, field: str) -> str | None:
    try:
        value = text_of(at_path(json.loads(line), field))
    except (ValueError, RecursionError):
        return None
    return None if value is None else to_the_minute(value)


class JsonLines:
    """See :class:`include.stores.s3.formats.RecordFormat`. A record is a line; rows count empty lines too."""

    def scan(
        self, source: IO[bytes], link: str, wanted: frozenset[str], fields: Sequence[str]
    ) -> Iterator[Found]:
        suspects, raw = _suspects(link), {w.encode() for w in wanted}
        base = 0
        for block in _blocks(source):
            counted, row, done = 0, base, -1
            for hit in suspects.finditer(block):
                value = hit[1] if hit[1] is not None else hit[2]
                if hit.start() < done or (value is not None and value not in raw):
                    continue
                start = block.rfind(b"\n", 0, hit.start()) + 1
                end = block.find(b"\n", hit.start())
                end = len(block) if end < 0 else end
                row, counted, done = row + block.count(b"\n", counted, start), start, end
                found = _read(block[start:end], row, link, wanted, fields, certain=value is not None)
                if found is not None:
                    yield found
            base += block.count(b"\n")

    def prints(self, source: IO[bytes], without: frozenset[int]) -> NDArray[np.uint64]:
        out = array("Q", (print_of(line) for row, line in _lines(source) if line and row not in without))
        return np.sort(np.frombuffer(out, dtype=np.uint64)) if out else np.empty(0, dtype=np.uint64)

    def others(self, source: IO[bytes], rows: frozenset[int]) -> bool:
        return any(line.strip() and row not in rows for row, line in _lines(source))

    def times(self, source: IO[bytes], field: str) -> Iterator[str | None]:
        plain, said = _plainly(field) if "." not in field else None, set[str | None]()
        for _, line in _lines(source):
            if not line.strip():
                continue
            # In a flat object, once and plainly, is how loggers write it; only what is written otherwise is parsed.
            hits = plain.findall(line) if plain and line.count(b"{") == 1 else ()
            value = to_the_minute(hits[0].decode()) if len(hits) == 1 else _field(line, field)
            if value not in said:
                said.add(value)
                yield value

    def each(self, source: IO[bytes], fields: Sequence[str]) -> Iterator[tuple[int, tuple[str | None, ...]]]:
        for row, line in self.bodies(source):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            yield row, tuple(text_of(at_path(record, f)) for f in fields)

    def bodies(self, source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        return ((row, line) for row, line in _lines(source) if line.strip())

    def rewrite(self, source: IO[bytes], sink: IO[bytes], changes: Changes) -> Rewritten:
        level, mtime = _header(source)
        done = Rewritten(0, 0, 0)
        with gzip.GzipFile("", "wb", level, sink, mtime) as packed:
            for block in _changed(source, changes, done):
                packed.write(block)
        return done

    def verify(self, source: IO[bytes], copy: IO[bytes], changes: Changes) -> bool:
        def digest(blocks: Iterator[bytes]) -> bytes:
            sha = hashlib.sha256()
            for block in blocks:
                sha.update(block)
            return sha.digest()

        seen = Rewritten(0, 0, 0)
        same = digest(_changed(source, changes, seen)) == digest(_blocks(copy))
        return same and seen.dropped + seen.cut == len(changes)


def _read(
    line: bytes, row: int, link: str, wanted: frozenset[str], fields: Sequence[str], *, certain: bool
) -> Found | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return Found(row, None) if certain else None
    subject = text_of(at_path(record, link))
    if subject is None or subject not in wanted:
        return None
    return Found(row, subject, content_of(line), {f: text_of(at_path(record, f)) for f in fields})


def _changed(source: IO[bytes], changes: Changes, count: Rewritten) -> Iterator[bytes]:
    """The blocks with the changes made. Blocks without one pass through untouched."""
    rows = sorted(changes)
    for block in _blocks(source):
        here = block.count(b"\n") + (not block.endswith(b"\n"))
        first, last = bisect_left(rows, count.before), bisect_left(rows, count.before + here)
        if first == last:
            count.before += here
            yield block
            continue
        # The piece after a final newline is empty and no line; joining puts the newline back.
        pieces: list[bytes | None] = list(block.split(b"\n"))
        for row in rows[first:last]:
            at, cut = row - count.before, changes[row]
            if cut is None:
                pieces[at] = None
                count.dropped += 1
            else:
                pieces[at] = _cut(pieces[at] or b"", cut)
                count.cut += 1
        count.before += here
        yield b"\n".join(p for p in _tidy(pieces, block) if p is not None)


def _tidy(pieces: list[bytes | None], block: bytes) -> list[bytes | None]:
    """When a last line without newline is dropped, the line before it keeps its own newline."""
    if not block.endswith(b"\n") and pieces[-1] is None and any(p is not None for p in pieces):
        pieces[-1] = b""
    return pieces


def _cut(line: bytes, cut: Cut) -> bytes:
    record = json.loads(line)
    for path, value in cut.set.items():
        at = record
        *above, name = [path] if path in record else path.split(".")
        for part in above:
            at = at.get(part) if isinstance(at, dict) else None
        if isinstance(at, dict) and name in at:
            at[name] = value
    ending = b"\r" if line.endswith(b"\r") else b""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + ending


def _header(source: IO[bytes]) -> tuple[int, int]:
    """The compression level hinted at in the gzip header (RFC 1952, XFL) and its time stamp."""
    source.seek(0)
    head = source.read(10)
    if len(head) < 10:
        return 6, 0
    return {2: 9, 4: 1}.get(head[8], 6), int.from_bytes(head[4:8], "little")
