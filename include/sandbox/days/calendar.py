"""The sandbox's own calendar: its days are played, its copies are real, and each copy is of the day on which it was taken here.

All of it is made within minutes, so that the wall clock would let every copy go on one day. A copy's last day is counted from the
calendar's day instead; whether it is there, what it holds and whether it can be restored is seen, and is never of this file.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from include.cases.periods import last_day
from include.model.backups import BackupCopy, BackupTool, Copies
from include.model.errors import Refused
from include.model.estate import BackupSet
from include.model.times import prc_date

NAME = "calendar.json"


@dataclass(frozen=True)
class Horizon:
    """What was known of a case's horizon from a day on. ``of``: a backup set, or ``all``. ``until``: None while it is open.
    ``over``: nothing that is known of brings the person back."""

    of: str
    day: date
    until: date | None
    because: str
    over: bool = False

    @property
    def where(self) -> str:
        return "none" if self.over else str(self.until or "open")

    @property
    def repeats(self) -> bool:
        """Whether the horizon of all says what that of a backup set says."""
        return self.because.startswith("backup set ")


@dataclass
class Played:
    """One case's play. ``begun``: the day before its first one."""

    begun: date
    horizons: list[Horizon] = field(default_factory=list)

    def last(self, of: str) -> Horizon | None:
        return next((h for h in reversed(self.horizons) if h.of == of), None)

    def saw(self, seen: Horizon) -> bool:
        """Note where a horizon stands; whether that is something else than before."""
        before = self.last(seen.of)
        if before is not None and replace(before, day=seen.day) == seen:
            return False
        self.horizons.append(seen)
        return True


@dataclass
class Calendar:
    """``day``: the last one that was played to its end; ``now``, the one at hand. ``taken``: by set and copy, the day on which
    it was taken."""

    path: Path
    day: date
    taken: dict[str, dict[str, date]] = field(default_factory=dict)
    cases: dict[str, Played] = field(default_factory=dict)
    now: date = date.min

    def __post_init__(self) -> None:
        self.now = max(self.now, self.day)

    @classmethod
    def of(cls, home: Path, today: date) -> Calendar:
        """The calendar of a sandbox; a new one begins today. It never lies behind today. Raises Refused for one that cannot
        be read."""
        path = home / NAME
        try:
            said = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return cls(path, today)
        except (OSError, ValueError):
            raise _unreadable(path) from None
        try:
            return cls(
                path,
                max(date.fromisoformat(said["day"]), today),
                {
                    s: {n: date.fromisoformat(d) for n, d in names.items()}
                    for s, names in said["taken"].items()
                },
                {case_no: _played(one) for case_no, one in said["cases"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _unreadable(path) from None

    def keep(self) -> None:
        """Written whole or not at all."""
        said = {
            "day": self.day,
            "taken": self.taken,
            "cases": {case_no: asdict(one) for case_no, one in self.cases.items()},
        }
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(said, file, default=str, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def note(self, backup: BackupSet, copies: Sequence[BackupCopy]) -> None:
        """What is seen of a set. A copy that was not there before was taken on the day at hand (of a set that was never seen,
        when it was really made); one that is gone is forgotten."""
        known = self.taken.get(backup.id)
        self.taken[backup.id] = {
            copy.name: self.now if known is not None else _made(copy, self.now) for copy in copies
        } | {copy.name: known[copy.name] for copy in copies if known and copy.name in known}

    def skipped(self, days: timedelta) -> bool:
        """Whether more than so many days lie between two copies of a set: their nights were not played."""
        return any(
            after - before > days
            for taken in self.taken.values()
            for before, after in pairwise(sorted(taken.values()))
        )

    def tool(self, backup: BackupSet, tool: BackupTool) -> BackupTool:
        """A set's tool, by whose word a copy's last day is that of this calendar. What it sees is noted. Versions of objects
        go by their bucket's own rule, and a server's log with its checkpoints: nobody takes copies there."""
        if not backup.restored:
            return tool
        return _Dated(tool, lambda seen: self._dated(backup, seen))

    def _dated(self, backup: BackupSet, seen: Copies) -> Copies:
        if not seen.problems:  # what could not be read may still be there
            self.note(backup, seen.copies)
        days = self.taken.get(backup.id, {})
        return replace(
            seen,
            copies=tuple(
                replace(c, until=last_day(days[c.name], backup.keep)) if c.name in days else c
                for c in seen.copies
            ),
        )


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Two plays at once would be two calendars. Raises Refused; the lock goes with the process that holds it."""
    with (home / f"{NAME}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "its days are being played by another command", about="sandbox",
                next_step="wait for it to end, then try again",
            ) from None  # fmt: skip
        yield


@dataclass(frozen=True)
class _Dated:
    """What is there, as its tool sees it; until when it stays, as the calendar has it."""

    tool: BackupTool
    dated: Callable[[Copies], Copies]

    def look(self) -> Copies:
        return self.dated(self.tool.look())


def _made(copy: BackupCopy, day: date) -> date:
    made = copy.stopped_at or copy.started_at
    return day if made is None else min(day, prc_date(made))


def _played(said: dict[str, object]) -> Played:
    horizons = said["horizons"]
    if not isinstance(horizons, list):
        raise TypeError
    return Played(
        date.fromisoformat(str(said["begun"])),
        [
            Horizon(
                h["of"],
                date.fromisoformat(h["day"]),
                date.fromisoformat(h["until"]) if h["until"] else None,
                h["because"],
                h["over"],
            )
            for h in horizons
        ],
    )


def _unreadable(path: Path) -> Refused:
    return Refused(
        "the calendar of the sandbox cannot be read", about=str(path),
        next_step="start anew: quietus sandbox down --purge, then make demo",
    )  # fmt: skip
