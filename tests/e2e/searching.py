"""Looks for people's own values in bytes, in whatever way they may have been written there.

A value is written in a character set or an escape, and that is carried as it is, in hex (a ``bytea`` in a dump) or in
base64 at any of its three alignments. All writings times all carriers of all values are sought in one pass. What it
cannot see through is compression and encryption: what may hold those is opened first, or is not said to be searched.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import ahocorasick

Writing = Callable[[str], bytes]


def _backslashed(value: str, digits: Callable[[int], str]) -> bytes:
    """The bytes of UTF-8 above ASCII as backslash escapes, as Python's repr and PostgreSQL's ``escape`` write them."""
    return "".join(chr(b) if b < 0x80 else "\\" + digits(b) for b in value.encode()).encode()


def _escaped_upper(value: str) -> bytes:
    return "".join(c if ord(c) < 0x80 else f"\\u{ord(c):04X}" for c in value).encode()


WRITINGS: Mapping[str, Writing] = {
    "UTF-8": lambda v: v.encode(),
    "UTF-16 little-endian": lambda v: v.encode("utf-16-le"),
    "UTF-16 big-endian": lambda v: v.encode("utf-16-be"),
    "GB 18030": lambda v: v.encode("gb18030"),
    "JSON escapes": lambda v: json.dumps(v)[1:-1].encode(),
    "JSON escapes, upper case": _escaped_upper,
    "JSON escapes, doubled": lambda v: json.dumps(json.dumps(v)[1:-1])[
        1:-1
    ].encode(),  # JSON in JSON, or in COPY
    "hexadecimal escapes": lambda v: _backslashed(v, lambda b: f"x{b:02x}"),
    "octal escapes": lambda v: _backslashed(v, lambda b: f"{b:03o}"),
    "percent": lambda v: quote(v, safe="").encode(),
    "percent, lower case": lambda v: quote(v, safe="").lower().encode(),
}


def _base64(data: bytes, shift: int, alphabet: Callable[[bytes], bytes]) -> bytes:
    """The characters that depend on nothing but ``data``, ``shift`` bytes after a multiple of three."""
    text = alphabet(b"\0" * shift + data)
    return text[math.ceil(shift * 8 / 6) : (shift + len(data)) * 8 // 6]


CARRIERS: Mapping[str, Callable[[bytes], bytes]] = {
    "as it is": lambda b: b,
    "hex": lambda b: b.hex().encode(),
    "hex, upper case": lambda b: b.hex().upper().encode(),
    **{f"base64 +{n}": (lambda b, n=n: _base64(b, n, base64.b64encode)) for n in range(3)},  # type: ignore[misc]
    **{f"base64 of URLs +{n}": (lambda b, n=n: _base64(b, n, base64.urlsafe_b64encode)) for n in range(3)},  # type: ignore[misc]
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Hit:
    """Whose value, which one, how it is written, and where it is. Never the value."""

    person: str
    what: str
    how: str
    place: str


class Sought:
    """The values of several people: person -> name of the value -> value."""

    def __init__(self, people: Mapping[str, Mapping[str, str]]) -> None:
        self._found = ahocorasick.Automaton()
        for person, values in people.items():
            for what, value in values.items():
                for how, form in forms(value):
                    self._found.add_word(form.decode("latin-1"), (person, what, how))
        self._found.make_automaton()

    def hits(self, place: str, content: bytes) -> set[Hit]:
        """Every value in ``content``, in any writing and carrier."""
        found = self._found.iter(content.decode("latin-1"))
        return {Hit(person, what, how, place) for _, (person, what, how) in found}

    def in_all(self, places: Iterable[tuple[str, bytes]]) -> set[Hit]:
        return {hit for place, content in places for hit in self.hits(place, content)}


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """(how, bytes) of each way of writing a value; each bytes once, under the first name that it has."""
    seen: set[bytes] = set()
    for writing, write in WRITINGS.items():
        for carrier, carry in CARRIERS.items():
            form = carry(write(value))
            if form not in seen:
                seen.add(form)
                yield f"{writing}, {carrier}", form
