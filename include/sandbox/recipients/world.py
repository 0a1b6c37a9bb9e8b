"""What the bodies know, of whom, and how they behave: to be used by the server, the command line and tests alike."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.sandbox.recipients.bodies import Body, Door, Manner, Stance, bodies
from include.sandbox.recipients.state import State

BATCH = 20_000  # records in one transaction


@dataclass(frozen=True)
class Record:
    """What a body was given: its own ``ref`` for it, whose it is, which categories, when, and a value (such as a
    phone number) by which it can find it too."""

    body: str
    ref: str
    account: str
    categories: tuple[str, ...]
    given_on: date
    value: str | None = None


@dataclass(frozen=True)
class Behaviour:
    """How a body behaves now. ``seconds``: how long a slow one takes."""

    body: Body
    door: Door
    manner: Manner
    stance: Stance
    seconds: float


SLOW = 30.0  # seconds, unless somebody says otherwise


def mark(account: str) -> bytes:
    """How the sandbox's own look at the truth finds somebody again."""
    return hashlib.sha256(account.encode()).digest()


class World:
    """All bodies over one memory, in a directory of its own: ``world.sqlite``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = State(home / "world.sqlite")

    def close(self) -> None:
        self.state.close()

    # --- who knows whom ------------------------------------------------------------------------

    def register(self, records: Iterable[Record]) -> int:
        """Give the bodies what they were given; how many were new. The same again is once."""
        new, coming = 0, iter(records)
        while batch := list(islice(coming, BATCH)):
            rows = [
                (r.body, r.ref, mark(r.account), json.dumps(sorted(r.categories)), r.given_on.isoformat(), r.value)
                for r in sorted(batch, key=lambda r: (r.body, r.ref))
            ]  # fmt: skip
            with self.state.change() as db:
                new += db.executemany("INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?)", rows).rowcount
        return new

    def knows(self, body: str, ref: str) -> bool:
        return self.state.row("SELECT 1 FROM record WHERE body = ? AND ref = ?", (body, ref)) is not None

    def known(self) -> dict[str, int]:
        """How many records each body has."""
        return dict(self.state.rows("SELECT body, count(*) FROM record GROUP BY body"))

    # --- how they behave -----------------------------------------------------------------------

    def behaviour(self, body: str) -> Behaviour:
        """How it behaves now. Raises Refused for an unknown body."""
        if body not in bodies():
            raise Refused(
                "there is no such body", about=body, next_step="see `quietus sandbox recipients list`"
            )
        by_default = bodies()[body]
        door, manner, stance, seconds = self.state.row(
            "SELECT door, manner, stance, seconds FROM behaviour WHERE body = ?", (body,)
        ) or (None, None, None, None)
        return Behaviour(
            by_default,
            Door(door) if door else by_default.door,
            Manner(manner) if manner else by_default.manner,
            Stance(stance) if stance else by_default.stance,
            SLOW if seconds is None else seconds,
        )

    def behave(self, body: str, *ways: Door | Manner | Stance, seconds: float | None = None) -> Behaviour:
        """From now on in these ways; whatever is not named is as by default, its calls are counted anew,
        and what it put off is done now. Raises Refused for an unknown body."""
        self.behaviour(body)
        door, manner, stance = (
            next((w.value for w in ways if isinstance(w, kind)), None) for kind in (Door, Manner, Stance)
        )
        with self.state.change() as db:
            db.execute(
                "INSERT OR REPLACE INTO behaviour VALUES (?, ?, ?, ?, ?)",
                (body, door, manner, stance, seconds),
            )
            db.execute("DELETE FROM call WHERE body = ?", (body,))
            if manner not in (Manner.SLOW.value, Manner.SILENT.value):
                db.execute(
                    "UPDATE request SET next_at = min(next_at, ?1), due_at = min(due_at, ?1)"
                    " WHERE body = ?2 AND status IN ('pending', 'in_progress')",
                    (time.time(), body),
                )
        return self.behaviour(body)

    def call(self, body: str, kind: str) -> int:
        """Count one call; how many of the kind there were, this one included."""
        with self.state.change() as db:
            db.execute(
                "INSERT INTO call VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1", (body, kind)
            )
            found = db.execute("SELECT times FROM call WHERE body = ? AND kind = ?", (body, kind)).fetchone()
        return int(found[0])

    def calls(self, body: str, kind: str) -> int:
        found = self.state.row("SELECT times FROM call WHERE body = ? AND kind = ?", (body, kind))
        return int(found[0]) if found else 0

    # --- who may ask ---------------------------------------------------------------------------

    def admit(self, tokens: Mapping[str, str]) -> None:
        """From now on these tokens open these bodies' doors. Only digests of them are kept."""
        with self.state.change() as db:
            db.executemany(
                "INSERT OR REPLACE INTO admitted VALUES (?, ?)",
                [(body, hashlib.sha256(token.encode()).digest()) for body, token in tokens.items()],
            )

    def may(self, body: str, token: str) -> bool:
        found = self.state.row("SELECT digest FROM admitted WHERE body = ?", (body,))
        return found is not None and hmac.compare_digest(
            found[0], hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        )

    # --- the day -------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        """The day by which the bodies count their own legal periods: today, or the day that a simulation set."""
        said = self.fact("today")
        return max(date.fromisoformat(said), prc_date(observed_now())) if said else prc_date(observed_now())

    def set_today(self, day: date) -> None:
        self.set_fact("today", day.isoformat())

    def fact(self, name: str) -> str | None:
        found = self.state.row("SELECT value FROM fact WHERE name = ?", (name,))
        return str(found[0]) if found else None

    def set_fact(self, name: str, value: str) -> None:
        with self.state.change() as db:
            db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
