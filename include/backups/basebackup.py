"""Directories of ``pg_basebackup``, full and incremental, and an archive of WAL as files.

A base backup's manifest is written last, so a directory without one is half a backup: it cannot be restored by the rules, and
holds what was written so far. An incremental names the position of the backup before it, and no name.

Source: PostgreSQL's "Backup Manifest Format" and ``backup_label``.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from include.backups.aside import INTERRUPTED, is_aside
from include.backups.mounted import missing
from include.model.backups import SEGMENT, BackupCopy, Copies, CopyOf, WalArchive, lsn, segment
from include.model.errors import NotReachable, QuietusError

MANIFEST, LABEL = "backup_manifest", "backup_label"
_WAL = re.compile(r"[0-9A-F]{24}(?:\.partial)?(\.(?:gz|lz4|zst))?")
_LINE = re.compile(r"^([A-Z ]+): (.+)$", re.MULTILINE)
_LARGEST_LABEL = 64 << 10  # bytes


class BaseBackups:
    """A directory: a backup in each directory below it that looks like one, and archived WAL anywhere else in it.
    ``archive``: where below it the server archives its WAL, so that it is noticed if that is not there."""

    def __init__(self, id: str, directory: str, archive: str | None = None) -> None:
        self._id, self._directory, self._archive = id, Path(directory), archive

    @staticmethod
    def places(directory: Path) -> list[Path]:
        """Where its backups are, whole or not."""
        return sorted(p for p in directory.iterdir() if p.is_dir() and (_is_backup(p) or is_aside(p)))

    def look(self) -> Copies:
        try:
            places = self.places(self._directory)
            found = [_copy(p) for p in places]
            archive = _archive(self._directory, places)
            problems = list(self._not_there(bool(found)))
        except OSError as error:
            raise NotReachable(
                f"the backups cannot be read ({error.strerror})", about=self._id,
                next_step="mount the directory, or give it back to who runs this",
            ) from None  # fmt: skip
        systems = {system for _, system, _ in found if system is not None}
        problems += [f"backup {copy.name}: {copy.broken}" for copy, _, _ in found if copy.start is None]
        if len(systems) > 1:
            problems.append("there are backups of more than one cluster")
        return Copies(
            copies=tuple(_chained([(copy, before) for copy, _, before in found])),
            archive=archive,
            system=systems.pop() if len(systems) == 1 else None,
            problems=tuple(problems),
        )

    def _not_there(self, has_copies: bool) -> Iterator[str]:
        if why := missing(self._directory):
            yield why
        if self._archive is None:
            return
        home = self._directory / self._archive
        # Every copy needs the log from its start on, so an archive beside one is never empty.
        if not home.is_dir() or (has_copies and not any(home.iterdir())):
            yield f"its archive of the log is not there, or empty ({self._archive}): mount it"


def _is_backup(place: Path) -> bool:
    """Whether it is one, or the beginning of one."""
    return any((place / name).exists() for name in (MANIFEST, LABEL, "PG_VERSION", "global")) or any(
        place.glob("base.tar*")
    )


def _copy(place: Path) -> tuple[BackupCopy, int | None, int | None]:
    """A backup, the identifier of its cluster, and the position of the backup that it builds on."""
    label = _label(place)
    start = lsn(label["START WAL LOCATION"].split(" ")[0]) if "START WAL LOCATION" in label else None
    before = lsn(label["INCREMENTAL FROM LSN"]) if "INCREMENTAL FROM LSN" in label else None
    copy = BackupCopy(
        name=place.name,
        kind=CopyOf.FULL if before is None else CopyOf.INCREMENTAL,
        start=start,
        stop=None,
        timeline=int(label["START TIMELINE"]) if "START TIMELINE" in label else None,
        started_at=_instant(label.get("START TIME")),
        stopped_at=None,
        location=str(place),
        broken=INTERRUPTED if is_aside(place) else None,
    )
    manifest = place / MANIFEST
    try:
        said = json.loads(manifest.read_text("utf-8"))
        ranges = said["WAL-Ranges"]
        stop = max(lsn(r["End-LSN"]) for r in ranges)
        system = int(said["System-Identifier"]) if "System-Identifier" in said else None  # since version 17
        stopped = datetime.fromtimestamp(manifest.stat().st_mtime, UTC)
    except FileNotFoundError:
        return replace(copy, broken=copy.broken or "it has no manifest, so it was not finished"), None, before
    except (ValueError, KeyError, TypeError, QuietusError):
        return replace(copy, broken=copy.broken or "its manifest cannot be read"), None, before
    if start is None:
        copy = replace(copy, start=min(lsn(r["Start-LSN"]) for r in ranges))
    touched = "a file in it is newer than its manifest" if _touched(place, manifest) else None
    return replace(copy, stop=stop, stopped_at=stopped, broken=copy.broken or touched), system, before


def _label(place: Path) -> dict[str, str]:
    """The backup label's lines, from the directory or from its archive; nothing where there is none."""
    plain = place / LABEL
    if plain.is_file():
        return dict(_LINE.findall(plain.read_text("utf-8")))
    for archive in sorted(place.glob("base.tar*")):
        try:
            with tarfile.open(archive) as found:
                file = found.extractfile(LABEL)
                return (
                    dict(_LINE.findall(io.TextIOWrapper(file, "utf-8").read(_LARGEST_LABEL))) if file else {}
                )
        except (tarfile.TarError, KeyError, EOFError):
            continue
    return {}


def _touched(place: Path, manifest: Path) -> bool:
    """Whether something was written after the backup was finished. WAL may be added to it, to roll it forward."""
    finished = manifest.stat().st_mtime
    for directory, below, files in os.walk(place):
        below[:] = [name for name in below if name != "pg_wal"]
        for name in files:
            # A link that leads nowhere was not written to; there are thousands of files, so none is made a Path.
            with suppress(FileNotFoundError):
                if os.stat(os.path.join(directory, name)).st_mtime > finished + 1:  # noqa: PTH116, PTH118
                    return True
    return False


def _chained(found: list[tuple[BackupCopy, int | None]]) -> Iterator[BackupCopy]:
    """An incremental leans on the backup that began where it continues, and on all that this one leans on."""
    by_start = {copy.start: copy.name for copy, _ in found if copy.start is not None}
    before = {
        copy.name: (by_start.get(position) if position is not None else None) for copy, position in found
    }
    for copy, position in found:
        chain: list[str] = []
        step = before[copy.name]
        while step is not None and step not in chain:
            chain.append(step)
            step = before[step]
        broken = copy.broken
        if position is not None and before[copy.name] is None:
            broken = broken or "the backup that it builds on is not here"
        yield replace(copy, leans_on=tuple(chain), broken=broken)


def _archive(directory: Path, but: Sequence[Path]) -> WalArchive | None:
    positions = sorted(segment(p.name) for p in archived(directory, but))
    return WalArchive(positions[0], positions[-1] + SEGMENT, len(positions)) if positions else None


def archived(directory: Path, but: Sequence[Path] | None = None) -> Iterator[Path]:
    """Every file of archived WAL: one that is in no backup. ``but``: where these are, if it is known already."""
    but = BaseBackups.places(directory) if but is None else but
    for beside in directory.iterdir():
        if beside in but:
            continue
        walked = os.walk(beside, onerror=_refuse) if beside.is_dir() else [(directory, (), (beside.name,))]
        for place, _, files in walked:
            yield from (Path(place, name) for name in files if _WAL.fullmatch(name))


def _refuse(error: OSError) -> None:
    """A place that cannot be read is not one without anything in it."""
    raise error


def archives(directory: Path) -> dict[Path, set[str]]:
    """Each directory here in which WAL is archived, and the suffixes of what compressed it."""
    found: dict[Path, set[str]] = {}
    for path in archived(directory):
        suffixes = found.setdefault(path.parent, set())
        if (match := _WAL.fullmatch(path.name)) and match[1]:
            suffixes.add(match[1])
    return found


def _instant(text: str | None) -> datetime | None:
    """``2026-11-28 12:43:20 UTC``: the server writes its own zone's name, so only UTC is known for sure."""
    if text is None or not text.endswith((" UTC", " GMT")):
        return None
    return datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
