"""The person's own values, which scans look for: read before the disposal, sealed by the caller, never logged.

*Strong* identifiers are sought everywhere: those whose form tells what they are (mobile and document numbers, e-mail
addresses, credit codes, cards, passports, landlines) and the account id. A name or an address has no form, and alone
it would accuse strangers: such *weak* values count where two of them stand in one row of a table that nobody declared.
A value may be written in other ways than ours, so each is sought in its usual spellings and digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import ahocorasick

from include.model import screening
from include.model.errors import Refused

LEAST = 8  # characters: shorter ones are found in everything
LONGEST_VALUE = 64
DOCUMENT = re.compile(r"[A-Z]{1,2}[0-9]{7,9}")  # passports, permits of Hong Kong, Macao and Taiwan
LANDLINE = re.compile(r"0[0-9]{2,3}[- ]?[0-9]{7,8}")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_NUMBERS = re.compile(r"[\d\s.,:/+TZ-]*")
_WORD = frozenset(string.ascii_letters + string.digits)
_FULL_WIDTH = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}
_HAS_FULL_WIDTH = re.compile("[\uff01-\uff5e]")


@dataclass(frozen=True)
class Piece:
    """Some bytes of one stored value, as a file has them."""

    dataset: str
    column: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Values:
    """What to look for. Its representation shows how many there are, and nothing of them.

    ``weak``: values without a form that nobody else has, such as a name or an address; they count in pairs. ``pieces``: of what
    is to go from files (:mod:`include.proofs.pieces`); ``empty``: datasets of which nothing that was located had such content.
    """

    found: frozenset[str] = field(default=frozenset(), repr=False)
    weak: frozenset[str] = field(default=frozenset(), repr=False)
    pieces: frozenset[Piece] = field(default=frozenset(), repr=False)
    empty: frozenset[str] = field(default=frozenset(), repr=False)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return f"Values({len(self.found)})"

    @property
    def of_somebody(self) -> bool:
        """Whether it tells whose something is, wherever it stands: not so of items that no person leads to."""
        return bool(self.found or self.weak)

    def to_text(self) -> str:
        """As a text to be sealed."""
        pieces = sorted((p.dataset, p.column, p.content.hex()) for p in self.pieces)
        return json.dumps(
            {
                "strong": sorted(self.found),
                "weak": sorted(self.weak),
                "pieces": pieces,
                "empty": sorted(self.empty),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_text(cls, text: str) -> Values:
        """From a text that was sealed. Raises Refused if it is not one."""
        try:
            said = json.loads(text)
            of = (
                said if isinstance(said, dict) else {"strong": said}
            )  # a list: sealed before there were weak ones
            strong, weak, empty = (
                frozenset(str(v) for v in of.get(which, ())) for which in ("strong", "weak", "empty")
            )
            pieces = (Piece(str(d), str(c), bytes.fromhex(content)) for d, c, content in of.get("pieces", ()))
            return cls(strong, weak, frozenset(pieces), empty)
        except (ValueError, TypeError, IndexError):
            raise Refused("what was sealed is not a list of values", about="sought values") from None

    @cached_property
    def net(self) -> Net:
        """The automaton over the strong ones."""
        return Net(self.found)

    @cached_property
    def pairs(self) -> Net:
        """The automaton over the weak ones, as they are written."""
        return Net(self.weak, as_written=True)


class Net:
    """Finds any of many values in a text, in one pass."""

    def __init__(self, values: Iterable[str], *, as_written: bool = False) -> None:
        self._automaton: Any = ahocorasick.Automaton()
        self._values = sorted(values)
        for no, value in enumerate(self._values):
            if as_written:
                self._automaton.add_word(plain(value), (len(plain(value)), no))
                continue
            for core in in_base64(value):
                self._automaton.add_word(core, (len(core), None))
            for spelling in spellings(value):
                self._automaton.add_word(spelling, (len(spelling), no))
        self.empty = len(self._automaton) == 0
        if not self.empty:
            self._automaton.make_automaton()

    def hits(self, text: str) -> bool:
        """Whether a value is in the text, and not as a part of a longer word or number."""
        return next(self._found(text), None) is not None

    def found(self, text: str) -> frozenset[int]:
        """Which values are in the text, by number."""
        return frozenset(self._found(text))

    def several(self, text: str) -> bool:
        """Whether two different values are in the text, neither of them a part of the other."""
        found = {plain(self._values[no]) for no in self._found(text)}
        return sum(not any(v != w and v in w for w in found) for v in found) > 1

    def _found(self, text: str) -> Iterator[int]:
        if self.empty:
            return
        coded = False
        for no in self._words(text):
            coded = coded or no is None
            if no is not None:
                yield no
        # Something looks like a value in base64, but for what it shares with its neighbours: decode, and look again.
        for run in BASE64.finditer(text) if coded else ():
            for start in range(4):
                some = run.group()[start:].rstrip("=").replace("-", "+").replace("_", "/")
                some = some[: len(some) - (len(some) % 4 == 1)]
                said = base64.b64decode(some + "=" * (-len(some) % 4))
                yield from (no for no in self._words(said.decode("utf-8", "replace")) if no is not None)

    def _words(self, text: str) -> Iterator[int | None]:
        """Values that stand in the text as words; None where one may stand in base64."""
        seen = plain(text)
        for end, (length, no) in self._automaton.iter(seen):
            if no is None:
                yield None
                continue
            start = end - length + 1
            # A letter or digit that goes on is another word; a Chinese character begins and ends where it stands.
            goes_on = start > 0 and seen[start] in _WORD and seen[start - 1] in _WORD
            if not goes_on and not (end + 1 < len(seen) and seen[end] in _WORD and seen[end + 1] in _WORD):
                yield no


def plain(text: str) -> str:
    """Lower case, with full-width letters and digits made plain."""
    if not text.isascii() and _HAS_FULL_WIDTH.search(text):
        text = text.translate(_FULL_WIDTH)
    return text.lower()


def spellings(value: str) -> tuple[str, ...]:
    """How a value may be written: with separators, percent-encoded, with a country code, or as a digest."""
    found = [value, value.lower(), quote(value, safe="")]
    if screening.MOBILE.fullmatch(value):
        digits = re.sub(r"\D", "", value)[-11:]
        groups = (digits[:3], digits[3:7], digits[7:])
        found += [digits, "-".join(groups), " ".join(groups), "86" + digits]
    for text in (value, value.lower(), value.upper()):
        for algorithm in ("md5", "sha1", "sha256"):
            found.append(hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest())
    return tuple(dict.fromkeys(plain(text) for text in found if len(text) >= LEAST))


def in_base64(value: str) -> Iterator[str]:
    """What is there of a value in base64 wherever in a longer text it stands: at each of three offsets, without the
    characters that its neighbours have a part in, in lower case."""
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + value.encode()).decode().rstrip("=")
        whole = (offset + len(value.encode())) * 8 // 6
        core = coded[(0, 2, 3)[offset] : whole]
        if len(core) >= LEAST:
            yield core.lower()


def weak(value: str) -> bool:
    """Whether a whole value without a form says something: no number or date, no word of one or two letters."""
    least = 2 if not value.isascii() else 5
    return least <= len(value) <= LONGEST_VALUE and not _NUMBERS.fullmatch(value) and not strong(value)


def strong(value: str) -> bool:
    """Whether a whole value is an identifier by its form."""
    text = value.strip()
    if not LEAST <= len(text) <= LONGEST_VALUE or any(c.isspace() for c in text.replace(" ", "")):
        return False
    if "@" in text:
        return screening.EMAIL.search(text) is not None and " " not in text
    if DOCUMENT.fullmatch(text) or LANDLINE.fullmatch(text):
        return True
    wholes = (screening.MOBILE, screening.RESIDENT_ID, screening.CREDIT_CODE, screening.CARD)
    return any(w.fullmatch(text) for w in wholes) and screening.kind_of_identifier(text) is not None
