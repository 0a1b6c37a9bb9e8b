"""The person's own values, which scans look for: read before the disposal, sealed by the caller, never logged.

Only *strong* identifiers are sought: those whose form tells what they are (mobile and document numbers, e-mail
addresses, credit codes, cards) and the account id. A name or a town has no form and is everybody's: it would accuse
strangers. A value may be written in other ways than ours, so each is sought in its usual spellings and digests.
"""

from __future__ import annotations

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
_WORD = frozenset(string.ascii_letters + string.digits)
_FULL_WIDTH = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}
_HAS_FULL_WIDTH = re.compile("[\uff01-\uff5e]")


@dataclass(frozen=True)
class Values:
    """What to look for. Its representation shows how many there are, and nothing of them."""

    found: frozenset[str] = field(default=frozenset(), repr=False)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return f"Values({len(self.found)})"

    def to_text(self) -> str:
        """As a text to be sealed."""
        return json.dumps(sorted(self.found), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Values:
        """From a text that was sealed. Raises Refused if it is not one."""
        try:
            return cls(frozenset(str(v) for v in json.loads(text)))
        except (ValueError, TypeError):
            raise Refused("what was sealed is not a list of values", about="sought values") from None

    @cached_property
    def net(self) -> Net:
        """The automaton over all of them."""
        return Net(self.found)


class Net:
    """Finds any of many values in a text, in one pass."""

    def __init__(self, values: Iterable[str]) -> None:
        self._automaton: Any = ahocorasick.Automaton()
        for no, value in enumerate(sorted(values)):
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

    def _found(self, text: str) -> Iterator[int]:
        if self.empty:
            return
        seen = plain(text)
        for end, (length, no) in self._automaton.iter(seen):
            start = end - length + 1
            before = seen[start - 1] if start else ""
            after = seen[end + 1] if end + 1 < len(seen) else ""
            if before not in _WORD and after not in _WORD:
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


def strong(value: str) -> bool:
    """Whether a whole value is an identifier by its form."""
    text = value.strip()
    if not LEAST <= len(text) <= LONGEST_VALUE or any(c.isspace() for c in text.replace(" ", "")):
        return False
    if "@" in text:
        return screening.EMAIL.search(text) is not None and " " not in text
    wholes = (screening.MOBILE, screening.RESIDENT_ID, screening.CREDIT_CODE, screening.CARD)
    return any(w.fullmatch(text) for w in wholes) and screening.kind_of_identifier(text) is not None
