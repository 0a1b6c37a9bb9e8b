"""Key templates such as ``id-photos/{account_id}/{application_id}/``: from subject to prefix and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter

from include.model.errors import CatalogueError


@dataclass(frozen=True)
class Template:
    """A declared key template. A variable stands for one run of characters without a slash."""

    text: str

    @cached_property
    def parts(self) -> tuple[tuple[str, str | None], ...]:
        """(literal, variable after it) in order. Raises CatalogueError for a malformed template."""
        try:
            found = tuple((lit, name) for lit, name, _, _ in Formatter().parse(self.text))
        except ValueError:
            raise CatalogueError(f"the key template {self.text!r} is malformed") from None
        names = [name for _, name in found if name is not None]
        if len(set(names)) != len(names) or not all(re.fullmatch(r"[a-z][a-z0-9_]*", n) for n in names):
            raise CatalogueError(f"the key template {self.text!r} repeats or misnames a variable")
        return found

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.parts if name is not None)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = [
            re.escape(lit) + (f"(?P<{name}>[^/]+)" if name is not None else "") for lit, name in self.parts
        ]
        # A template that ends in a variable ends at a slash or at the end of the key, else
        # ``seals/{account_id}`` would take acct_10 for acct_1.
        end = "(?=/|$)" if self.parts and self.parts[-1][1] is not None else ""
        return re.compile("".join(pieces) + end, re.DOTALL)

    def match(self, key: str) -> dict[str, str] | None:
        """The variables of a key under this template, or None if it is not under it."""
        found = self._pattern.match(key)
        return found.groupdict() if found else None

    def prefix(self, known: Mapping[str, str]) -> str:
        """The longest prefix of all keys with these variables (up to the first unknown one)."""
        out = ""
        for lit, name in self.parts:
            out += lit
            if name is None:
                continue
            if name not in known:
                break
            out += known[name]
        return out
