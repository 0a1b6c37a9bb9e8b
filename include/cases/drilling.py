"""The restore drill: the oldest copy of a backup set that can be restored is, and everybody who was deleted is looked for in it.

A night of which nothing is to be in the set any more must not be found, neither by the links nor in the bytes; whoever is still
within the copy's reach must be, or it is not the copy that it is said to be, or the look is blind. Each drill is one entry of the
ledger, in counts. What comes up that should be gone is a finding of its case, and a closed case is opened again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from include.backups.horizon import Shown
from include.backups.restoring.opening import open_place, open_restorer
from include.backups.restoring.scratch import Scratch, scratch
from include.cases import book, came_up, drill_cohort, drill_looks, drills, replaying
from include.cases.came_up import CameUp
from include.cases.drill_cohort import Cohort
from include.cases.drill_looks import Copied, Seen
from include.cases.rooms import Desk
from include.model.backups import BackupCopy, Copies, written
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.estate import BackupSet
from include.model.times import observed_now
from include.model.words import Verdict

Replay = Callable[[Desk, Copied, str, date, str], dict[str, int]]
"""Cleans a restored store again, in the copy alone; what it did, in counts."""


@dataclass
class Drilled:
    """What one drill came to, in whole numbers. ``copy``: None if only archived log is left, or nothing at all."""

    backup_set: str
    store: str
    copy: str | None = None
    position: str | None = None
    system: str | None = None
    restored_in: float = 0.0  # seconds
    looked_in: float = 0.0
    beyond: Seen = field(default_factory=Seen)
    within: Seen = field(default_factory=Seen)
    forgotten: int = 0  # cases whose keys are destroyed: looked for by their tombstones, and not in the bytes
    unsearchable: int = 0
    unread: int = 0
    replayed: dict[str, int] | None = None
    left_after_replay: int | None = None
    why: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """FAILED if somebody came up who should be gone; UNVERIFIED if the look was not whole."""
        if self.beyond.failed or self.left_after_replay:
            return Verdict.FAILED
        return Verdict.UNVERIFIED if self.why else Verdict.PASSED

    def body(self, as_of: date) -> dict[str, Any]:
        """For the ledger. It names nobody, and no case."""
        return {
            "set": self.backup_set, "store": self.store, "copy": self.copy, "position": self.position, "system": self.system,
            "seconds": {"restore": round(self.restored_in), "look": round(self.looked_in)},
            "beyond": self.beyond.counts(), "within": self.within.counts(),
            "forgotten": self.forgotten, "unsearchable": self.unsearchable, "unread": self.unread,
            "replayed": self.replayed, "left_after_replay": self.left_after_replay,
            "verdict": self.verdict.value, "why": self.why, "as_of": as_of.isoformat(),
            "observed_at": observed_now().isoformat(),
        }  # fmt: skip

    def __str__(self) -> str:
        what = f"copy {self.copy}" if self.copy else "archived log"
        said = (
            f"{self.backup_set}, {what}: {self.verdict.value}; of {self.beyond.cases} cases that should be gone"
            f" {len(self.beyond.failed)} come up; of {self.within.cases} still within reach {self.within.known} are found"
        )
        return "; ".join([said, *self.why])


def sets(catalogue: Catalogue) -> tuple[BackupSet, ...]:
    """The backup sets that a drill restores: versions of objects, or a server's own log, are no set of files to restore."""
    return tuple(b for b in catalogue.backups if b.restored)


def declared(catalogue: Catalogue, id: str) -> BackupSet:
    """Raises Refused for a set that is not restored by a drill."""
    known = {b.id: b for b in sets(catalogue)}
    if id not in known:
        raise Refused(
            "there is no such backup set, or it is none that is restored", about=id,
            next_step=f"name one of: {', '.join(known)}",
        )  # fmt: skip
    return known[id]


def drill(
    desk: Desk, backup: BackupSet, *, as_of: date, actor: str, replay: Replay | None = None,
    at: Callable[[str], None] = lambda _point: None,
) -> Drilled:  # fmt: skip
    """Drill one set. Whatever it comes to is in the ledger when this returns or raises; the scratch is destroyed.

    ``replay``: how the copy is cleaned again (default: as a restored store would be). ``at``: called at each point between two
    commits, for tests. What a drill before this one found and left, for it was killed, is taken first.

    Raises Refused for a set that is not restored, NotReachable if its repository, the scratch's place or a server is away.
    """
    came_up.take_left(desk, as_of=as_of, actor=actor)
    done = Drilled(backup.id, backup.store)
    copies = Copies(())
    try:
        copies = desk.backup_tool(backup).look()
        done.why += [f"not known: {problem}" for problem in copies.problems]
        copy = oldest(copies)
        if copy is None:
            _archive_alone(desk, backup, copies, done)
        else:
            _restored(desk, backup, copy, done, as_of, actor, replay)
    except QuietusError as error:
        done.why.append(error.what)
        raise
    except BaseException:  # killed, or by a fault of ours: what was not looked at is not clean
        done.why.append("it was broken off")
        raise
    finally:
        _say(desk, done, copies, as_of, at)
    came_up.take_left(desk, as_of=as_of, actor=actor, at=at)
    return done


def _shown(copies: Copies, drilled: str | None) -> Shown:
    """What speaks against a set in which somebody came up. A copy that was made after the one that was looked into may hold them
    too: until it is gone it is taken for that."""
    if drilled is None:
        return Shown(log=None if copies.archive is None else copies.archive.newest)
    start = next(c.start for c in copies.copies if c.name == drilled)
    return Shown(frozenset(
        c.name for c in copies.copies if c.name == drilled or start is None or c.start is None or c.start >= start
    ))  # fmt: skip


def oldest(copies: Copies) -> BackupCopy | None:
    """The copy that reaches back furthest of those that can be restored with all that they lean on."""
    broken = {c.name for c in copies.copies if c.broken}
    whole = [c for c in copies.copies if c.name not in broken and not broken & set(c.leans_on)]
    known = [c for c in whole if c.start is not None]
    if known:
        return min(known, key=lambda c: (c.start or 0, c.name))
    dated = [c for c in whole if c.started_at is not None]
    return min(dated, key=lambda c: (c.started_at, c.name)) if dated else None


def _restored(
    desk: Desk, backup: BackupSet, copy: BackupCopy, done: Drilled, as_of: date, actor: str, replay: Replay | None
) -> None:  # fmt: skip
    done.copy = copy.name
    tool, place = open_restorer(backup, desk.connections), open_place(desk.connections)
    with scratch(tool, copy, place, about=backup.id) as found:
        done.restored_in, done.position = found.took, written(found.position)
        began = time.monotonic()
        at = Copied.of(desk, backup.store, found)
        _is_of(desk, backup, copy, found, done)
        cohort = drill_cohort.of(desk, backup, copy)
        done.unsearchable, done.forgotten = cohort.unsearchable, cohort.forgotten
        found.checkpoint()
        done.beyond, done.within, done.unread = drill_looks.look(
            at, cohort, backup.store, (found.room.data, found.room.wal)
        )
        _judge(done, cohort, done.within.present)
        if cohort.within and found.database is None:
            done.replayed = (replay or rehearsed)(desk, at, backup.store, as_of, actor)
            done.left_after_replay = drill_looks.still_there(at, cohort.within, backup.store)
        done.looked_in = time.monotonic() - began


def rehearsed(desk: Desk, at: Copied, store: str, as_of: date, actor: str) -> dict[str, int]:
    """The replay of deletions, as a rehearsal: it changes the copy alone. Raises as :func:`include.cases.replaying.replay`."""
    place = replaying.place(desk.catalogue, store, at.desk.connections)
    return replaying.replay(desk, place, as_of=as_of, actor=actor, rehearsal=True).counts()


def _is_of(desk: Desk, backup: BackupSet, copy: BackupCopy, found: Scratch, done: Drilled) -> None:
    """A copy of files bears the identifier of the cluster that it is of; a dump is of none."""
    if found.database is not None:
        return
    done.system = f"{found.system:016x}"
    try:
        live = drill_looks.system_of(desk, backup.store)
    except NotReachable:
        done.why.append("the store does not answer, so that it is not known whether the copy is its own")
        return
    if live != found.system:
        raise Refused(
            "the copy is of another cluster than the store", about=f"{backup.id} {copy.name}",
            next_step="see what the backup tool is pointed at; of the store's own backups this proves nothing",
        )  # fmt: skip


def _judge(done: Drilled, cohort: Cohort, found: int) -> None:
    """What keeps the look from being whole. ``found``: how many are there of those who should be."""
    if done.unread:
        done.why.append(f"{done.unread} files or questions were not read")
    if done.beyond.doubtful:
        done.why.append(
            f"of {done.beyond.doubtful} cases something may be left, or it is a part of another number"
        )
    if done.beyond.untold:
        done.why.append(
            f"of {done.beyond.untold} cases whose bytes were to go, log or statistics say what may be what is kept, or not"
        )
    if done.within.cases and not found:
        done.why.append(
            "nobody is found who should still be in it: it may be another copy than its tool says"
        )
    if cohort.unsearchable:
        done.why.append(f"of {cohort.unsearchable} cases nothing was kept that could be looked for")


def _archive_alone(desk: Desk, backup: BackupSet, copies: Copies, done: Drilled) -> None:
    """Without a copy the archived log restores nothing, but holds the rows in its own bytes: it is read file by file."""
    if copies.copies:
        raise Refused(
            "no copy of the set can be restored", about=backup.id,
            next_step="see why with `quietus backups list`: this set would not help in a disaster",
        )  # fmt: skip
    if copies.archive is None:
        return
    if backup.tool != "basebackup":
        raise Refused(
            "the set has archived log only, in a form that its own tool alone reads", about=backup.id,
            next_step="make a backup, or let the tool expire the log",
        )  # fmt: skip
    began = time.monotonic()
    cohort = drill_cohort.of(desk, backup, None)
    done.unsearchable, done.forgotten = cohort.unsearchable, cohort.forgotten
    place = Path(desk.connections.text(f"backup_{backup.id}"))
    done.beyond, done.within, done.unread = drill_looks.scan(desk, cohort, backup.store, (place,))
    _judge(done, cohort, done.within.known)  # rows cannot be asked of a log
    done.looked_in = time.monotonic() - began


def _say(desk: Desk, done: Drilled, copies: Copies, as_of: date, at: Callable[[str], None]) -> None:
    """Who came up into the book, if anybody did; then what it came to into the ledger."""
    body = done.body(as_of)
    key = f"{drills.KIND}:{done.backup_set}:{body['observed_at']}"
    if done.beyond.failed:
        up = CameUp(
            done.backup_set, done.store, done.beyond.failed, done.copy or "archived log", _shown(copies, done.copy), key, body
        )  # fmt: skip
        with desk.book() as conn, book.deed(conn, f"backup set {done.backup_set}"):
            came_up.keep(conn, up)
    at("drill.found")
    drills.say(desk, body, key)
    at("drill.said")
