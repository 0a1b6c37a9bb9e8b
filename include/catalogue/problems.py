"""What is wrong with a catalogue, and where: the file, the line and the key that somebody must change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.catalogue.loader import LISTS, files_of, line_of, marked
from include.model.catalogue import Catalogue


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to correct. ``file`` is relative to the catalogue; ``key`` names the entry and the place in it."""

    file: str
    line: int
    key: str
    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.what}. Next: {self.next_step}"


@dataclass
class Report:
    """Collects problems of one catalogue. Lines are looked up only for what is reported."""

    root: Path
    catalogue: Catalogue
    problems: list[Problem] = field(default_factory=list)

    def add(self, of: str, index: int, key: tuple[str | int, ...], what: str, next_step: str) -> None:
        """Report entry ``index`` of the catalogue's field ``of``, at ``key`` inside the entry."""
        file, number = self._entry(of, index)
        name = file.relative_to(self.root).as_posix()
        label = ".".join(str(part) for part in (_name(getattr(self.catalogue, of)[index]), *key))
        self.problems.append(Problem(name, line_of(file, (number, *key)), label, what, next_step))

    def unknown(self, of: str, index: int, key: tuple[str | int, ...], kind: str, name: str) -> None:
        """Report a name that is declared nowhere; ``kind`` is the catalogue's field where it belongs."""
        next_step = f"declare it in {LISTS[kind][0]}, or correct the name"
        self.add(of, index, key, f"'{name}' is declared nowhere", next_step)

    def add_file(self, name: str, what: str, next_step: str) -> None:
        """Report a whole file, such as a query that nobody asks for."""
        self.problems.append(Problem(name, 1, Path(name).stem, what, next_step))

    def _entry(self, of: str, index: int) -> tuple[Path, int]:
        """The file that holds an entry, and its number there. The loader reads the files in this order."""
        for file in files_of(self.root, of):
            count = len(marked(file.read_text("utf-8")))
            if index < count:
                return file, index
            index -= count
        raise IndexError(f"{of} has no such entry")


@dataclass(frozen=True)
class Compared:
    """What came of holding the map against a live store. ``unverified``: what was not looked at, and why."""

    problems: tuple[Problem, ...]
    unverified: tuple[str, ...] = ()

    @classmethod
    def of(cls, report: Report, unverified: Iterable[str]) -> Compared:
        return cls(tuple(sorted(set(report.problems))), tuple(unverified))


def mentions(text: str, word: str) -> bool:
    """Whether SQL speaks of a name, as a whole word."""
    return word in re.findall(r"\w+", text)


def _name(entry: Any) -> str:
    for key in ("id", "no", "address", "dataset"):
        if hasattr(entry, key):
            return str(getattr(entry, key))
    return type(entry).__name__
