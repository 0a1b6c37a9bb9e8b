"""Record files at night: what is due goes with its file if nothing else is in it, else the file is rewritten without it.

    whole      every version of the key holds nothing but what is due: all of them go, the oldest first, then the markers
    rewritten  something stays: records that are not due, or whose owner a hold names. The current version is put over itself
               without what is due; once that is durable, the versions that held it go

A file is never removed whole while it holds a record that somebody must keep, and nobody's record is lost with an old version:
one goes only if all that stays of it is in the current file.

What is due is found by what the eraser remembers of the versions that it read; but nothing is destroyed by memory alone: what
goes is read once more before it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_
from typing import TYPE_CHECKING, TypeGuard

from include.model.errors import NotReachable, QuietusError, Refused
from include.model.words import Disposition
from include.stores.s3.aged import Aged, Aging, Key, Logs
from include.stores.s3.clearing.chunk import CHANGED, LOCKED, NEEDED, NOT_DUE, Chunk, Numbered
from include.stores.s3.clearing.finding import by_key
from include.stores.s3.fate import settle
from include.stores.s3.items import Item
from include.stores.s3.once import Once
from include.stores.s3.rewriting import replace
from include.stores.s3.server import Superseded
from include.stores.shared import nowhere

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = 16  # between two journal entries
PRINTS = 8 << 20  # of records, of 8 bytes each, that are kept for a chunk


def due_records(logs: Logs) -> Iterator[Item]:
    """Everything that is due of a dataset: unfinished uploads first, then per key its versions, the oldest first, each as a
    ``file`` row and a row for each fate of its records, and its markers, if all of the key goes."""
    for upload, clocks in logs.uploads():
        fate = logs.fate(clocks) if logs.aging.nobody_held else None
        if fate is not None:
            yield settle(upload, Disposition.ERASE, *fate)
    for key in logs.listed():
        yield from _rows(logs, key)


def _rows(logs: Logs, key: Key) -> Iterator[Item]:
    """The rows of a key of which something is due."""
    if not key.due:
        return
    for version in key.versions or ():
        entry, mixed = version.entry, bool(version.stays and version.due)
        file = Item("file", entry.key, entry.version, entry.current, entry.etag, entry.size, entry.modified)
        file.records, file.stays = version.records, version.stays
        if mixed:
            file.content = version.sum_of_stays
        yield file
        for fate, n in sorted(version.due.items()):
            row = Item("record", entry.key, entry.version, entry.current, entry.etag, 0, entry.modified)
            row.records, row.content = n, version.sums[fate] if mixed else ""
            yield settle(row, Disposition.ERASE, *fate)
    if key.whole:
        for marker in key.markers:
            yield settle(marker, Disposition.ERASE, *key.last()[1])


@dataclass(frozen=True)
class Made:
    """A version that we put over another: ``of``, which it was made of and read back against; and its own version and ETag."""

    of: Aged
    version: str
    etag: str


@dataclass
class Files(Chunk):
    """Whole keys of record files that are dealt with together. ``aging``: the question, with the holds of now; ``once``: what the
    eraser read before."""

    aging: Aging = field(kw_only=True)
    once: Once | None = None
    at: Callable[[str], None] = nowhere

    def __post_init__(self) -> None:
        self.logs = Logs(self.site.client, self.aging, self.once)
        self._made: dict[str, Made] = {}  # by key
        self._printed: dict[tuple[object, ...], NDArray[np.uint64]] = {}
        self._read: set[tuple[str, ...]] = set()  # versions, by this chunk

    # --- what stays ----------------------------------------------------------------------------------

    def decide(self, *, begun: bool) -> None:
        for group in self._open():
            if group[0][1].kind == "upload":
                self._uploads(group, begun=begun)
            elif why := self._why_it_stays(group, begun=begun):
                self.passed |= {n: why for n, _ in group}

    def _open(self) -> Iterator[Numbered]:
        """Rows by key, those keys left out of which all is passed over."""
        for group in by_key(self.rows):
            if any(n not in self.passed for n, item in group if item.kind != "file"):
                yield group

    def _uploads(self, group: Numbered, *, begun: bool) -> None:
        now = {(u.key, u.version): self.logs.fate(clocks) for u, clocks in self.logs.uploads()}
        for n, item in group:
            id_ = item.key, item.version
            gone = begun and id_ not in now  # by us
            if not gone and (now.get(id_) is None or not self.logs.aging.nobody_held):
                self.passed[n] = NOT_DUE

    def _why_it_stays(self, group: Numbered, *, begun: bool) -> str | None:
        """Why nothing of a key goes tonight; None: it goes."""
        if begun:  # it may be half done: what is still there of it goes if that is safe (``_safe``)
            return None
        planned = [item for _, item in group if item.kind == "file"]
        now = self.logs.files.versions(group[0][1].key)
        there = {_id(v) for v in now if v.kind == "version"}
        if not there & {_id(f) for f in planned}:
            return NOT_DUE  # it went with somebody's own case, or by a rule of the bucket
        if {(_id(v), v.current) for v in now if v.kind == "version"} != {
            (_id(f), f.current) for f in planned
        }:
            return CHANGED
        if self._look_at_locks([(n, item) for n, item in group if item.kind == "record"]):
            return LOCKED  # of one version: then none of the key goes
        if any(f.stays for f in planned) or self.logs.aging.may_change:
            return self._by_what_it_holds(group, planned)
        return self._whole(planned)

    def _whole(self, planned: Sequence[Item]) -> str | None:
        """Whether versions that go whole hold what was located, and nothing else; read before they go."""
        for file in planned:
            try:
                aged = self._of(file)
            except (NotReachable, Refused):
                raise
            except QuietusError:  # it was readable once: the next look names it, and the others go
                self.logs.forget([file])
                return CHANGED
            if aged is not None and (aged.stays or aged.records != file.records):
                return CHANGED
        return None

    def _of(self, version: Item) -> Aged | None:
        """A version as it is, fetched if this chunk did not yet; None: it is gone."""
        id_ = version.key, *_id(version)
        aged = self.logs.version(version) if id_ in self._read else self.logs.anew(version)
        self._read.add(id_)
        return aged

    def _by_what_it_holds(self, group: Numbered, planned: Sequence[Item]) -> str | None:
        key = self.logs.key(group[0][1].key)
        if not key.due:
            return NOT_DUE
        if not _as_located(group, key):
            return CHANGED
        if key.whole:
            return self._whole(planned)
        return NEEDED if self._would_lose(key) else None

    def _would_lose(self, key: Key) -> bool:
        """Whether something that stays is in an old version alone, or would come to light again with it."""
        current = next((v for v in key.versions or () if v.entry.current), None)
        if current is None or not current.stays:  # under a marker; or what is below it would come to light
            return True
        old = [v for v in key.versions or () if v.due and v.stays and not v.entry.current]
        return any(self._only_there(v.entry, current.entry) for v in old)

    def _only_there(self, old: Item, current: Item) -> bool:
        """Whether an old version holds a record that stays and that the current one lacks."""
        of_old, of_current = self._prints(old, stays=True), self._prints(current)
        return of_old is None or of_current is None or self.logs.files.lost(of_old, of_current) > 0

    def _prints(self, entry: Item, *, stays: bool = False) -> NDArray[np.uint64] | None:
        """Prints of a version's records, or of those that stay; None: it is gone. A version is fetched for it once, unless it is
        so large that its prints are not kept."""
        id_ = (entry.key, *_id(entry), stays)
        if id_ in self._printed:
            return self._printed[id_]
        file = self.logs.files.fetch(entry)
        if file is None:
            return None
        with file.body:
            if stays:
                self.logs.of(entry, file)
                self._read.add((entry.key, *_id(entry)))
            without = frozenset(self.logs.due_rows(file)) if stays else frozenset[int]()
            return self._keep_prints(id_, self.logs.files.format.prints(file.body, without))

    def _keep_prints(self, id_: tuple[object, ...], made: NDArray[np.uint64]) -> NDArray[np.uint64]:
        if sum(map(len, self._printed.values())) + len(made) <= PRINTS:
            self._printed[id_] = made
        return made

    # --- the deed ------------------------------------------------------------------------------------

    def carry_out(self) -> None:
        doomed: list[tuple[int, Item]] = []
        for group in self._open():
            if group[0][1].kind == "upload":
                self._delete("upload", [(n, item) for n, item in group if n not in self.passed])
            elif not self._rewritten(group):
                self.passed |= {n: CHANGED for n, _ in group}
            else:
                self.at("clearing.rewritten")
                doomed += self._doomed(group)
        self._delete("version", [(n, item) for n, item in doomed if item.kind != "marker"])
        self.logs.forget(item for n, item in doomed if item.kind == "file" and n not in self.passed)
        refused = {item.key for n, item in doomed if n in self.passed}
        # Without its marker a version that was refused would come to light again.
        self._delete("marker", [(n, i) for n, i in doomed if i.kind == "marker" and i.key not in refused])
        self.passed |= {
            n: next(self.passed[m] for m, x in doomed if x.key == i.key and m in self.passed)
            for n, i in doomed if i.kind == "marker" and i.key in refused
        }  # fmt: skip

    def _rewritten(self, group: Numbered) -> bool:
        """Put the current version over itself without what is due, if something stays. False: somebody else wrote it just now,
        and it is as he left it."""
        planned = next((i for _, i in group if i.kind == "file" and i.current and i.stays), None)
        holds_due = any(i.kind == "record" and i.current for _, i in group)
        files = self.logs.files
        versions = files.versions(planned.key) if planned is not None and holds_due else []
        now = next((v for v in versions if v.current), None)
        if planned is None or now is None or _id(now) != _id(planned):
            return True  # nothing to do, done before, or written since: what may go of the old versions is seen by itself
        file = files.fetch(now)
        if file is None:
            return False
        with file.body:
            due, of = self.logs.due_rows(file), self.logs.of(now, file)
            if len(due) != sum(i.records for _, i in group if i.kind == "record" and i.current):
                return False  # it was not located by what it holds
            stay = frozenset(row for row, _ in files.format.bodies(file.body) if row not in due)
            try:
                version, etag, how = replace(files, file, now, dict.fromkeys(due), stay, self.site.area)
            except Superseded:
                return False
            self._made[now.key] = Made(of, version, etag)
            self._read.add((now.key, *_id(now)))
            if any(i.kind == "file" and not i.current and i.stays for _, i in group):
                made = replace_(
                    now, version=version, etag=etag
                )  # old ones are held against it before they go
                self._keep_prints(
                    (made.key, *_id(made), False), files.format.prints(file.body, frozenset(due))
                )
        return self._nobody_between(now, version, how)

    def _nobody_between(self, now: Item, version: str, how: str) -> bool:
        """Whether ours lies right upon what it was made of. Asked where the server keeps no precondition."""
        if how == "compared" and version != "null":
            files = self.logs.files
            below = [v for v in files.versions(now.key) if v.kind == "version"]
            at = next((n for n, v in enumerate(below) if v.version == version), len(below))
            if at + 1 < len(below) and _id(below[at + 1]) != _id(now):
                # Somebody wrote between our look and our write. Ours hid his, and goes.
                self._asked("version", [(now.key, version)])
                return False
        return True

    def _doomed(self, group: Numbered) -> Numbered:
        """The rows of what may be deleted now: versions that hold something due, and nothing that the current one lacks."""
        files, key = self.logs.files, group[0][1].key
        there = {_id(v): v for v in files.versions(key)}
        planned = {_id(i): i for _, i in group if i.kind == "file"}
        whole = not any(f.stays for f in planned.values())
        current = next((v for v in there.values() if v.kind == "version" and v.current), None)
        if self._ours(current):
            self.logs.wrote(current, self._made[key].of)
        if whole and not (there.keys() <= planned.keys() | {_id(i) for _, i in group}):
            whole = False  # something came since
        found: list[tuple[int, Item]] = []
        for id_, rows in _by_version(group).items():
            if id_ not in there:
                continue
            safe = whole if self.logs.aging.nobody_held else False
            if not safe and (whole or not there[id_].current):
                safe = self._safe(there[id_], current, whole=whole)
            if safe:
                found += rows
            else:
                self.passed |= {n: CHANGED for n, _ in rows}
        return found

    def _ours(self, current: Item | None) -> TypeGuard[Item]:
        """Whether the current version is the one that we just put."""
        made = self._made.get(current.key) if current is not None else None
        return (
            current is not None
            and made is not None
            and (current.version, current.etag) == (made.version, made.etag)
        )

    def _safe(self, version: Item, current: Item | None, *, whole: bool) -> bool:
        if version.kind == "marker":
            return whole
        aged = self._of(version)
        if aged is None:
            return True
        if not aged.stays:
            return whole or (current is not None and _id(current) != _id(version))
        if current is None or _id(current) == _id(version):
            return False
        if self._ours(current) and _id(self._made[current.key].of.entry) == _id(version):
            return True  # all that stays of it was read back from what we put
        return not self._only_there(version, current)


def _id(item: Item) -> tuple[str, str]:
    """What names a version for good: without versioning the ETag does."""
    return item.version, item.etag if item.version == "null" else ""


def _by_version(group: Numbered) -> Mapping[tuple[str, str], Sequence[tuple[int, Item]]]:
    """The rows of each version that holds something due, and of each marker; of a key that goes whole, of all versions."""
    whole = not any(item.stays for _, item in group if item.kind == "file")
    found: dict[tuple[str, str], list[tuple[int, Item]]] = {}
    for n, item in group:
        found.setdefault(_id(item), []).append((n, item))
    return {id_: rows for id_, rows in found.items() if whole or any(i.kind == "record" for _, i in rows)}


def _as_located(group: Numbered, key: Key) -> bool:
    """Whether the same of each version is due, and as much stays, as was located."""
    located: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    stays: dict[tuple[str, str], int] = {}
    for _, item in group:
        if item.kind == "file":
            stays[_id(item)] = item.stays
            located.setdefault(_id(item), {})
        elif item.kind == "record":
            located.setdefault(_id(item), {})[item.rule, item.law] = item.records
    return all(_same(v, located.get(_id(v.entry)), stays.get(_id(v.entry))) for v in key.versions or ())


def _same(version: Aged, located: Mapping[tuple[str, str], int] | None, stays: int | None) -> bool:
    return dict(version.due) == located and version.stays == stays
