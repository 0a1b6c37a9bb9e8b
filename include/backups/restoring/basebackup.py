"""Backups of ``pg_basebackup``: plain, tar, compressed tar, and increments put together by ``pg_combinebackup``.

Each backup is checked against its manifest (``pg_verifybackup``) before anything is made of it.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from include.backups.basebackup import MANIFEST, BaseBackups
from include.backups.restoring.binaries import Binaries
from include.backups.restoring.room import Room, trouble
from include.backups.restoring.segments import needed, segment_size
from include.backups.restoring.tool import Restored, Until
from include.model.backups import SEGMENT, BackupCopy
from include.model.errors import NotReachable, Refused

_TAR = re.compile(r"(?P<what>base|pg_wal|\d+)\.tar(?P<packed>(?:\.(?:gz|lz4|zst))?)")
_WAL = re.compile(r"(?P<segment>[0-9A-F]{24}|[0-9A-F]{8}\.history)(?P<packed>(?:\.(?:gz|lz4|zst))?)")
_PACKED = 5  # times that a packed file may grow
_PIECE = 1 << 20


class RestoreBaseBackup:
    """Restores from the directory that :class:`BaseBackups` reads."""

    def __init__(self, id: str, directory: str, binaries: Binaries) -> None:
        self._id, self._directory, self._binaries = id, Path(directory), binaries

    def need(self, copy: BackupCopy, until: Until) -> int:
        chain = [self._place(name) for name in (copy.name, *copy.leans_on)]
        try:
            whole = sum(_unpacked_size(path) for path in chain)
            log = sum(SEGMENT for _ in self._archived(copy, until, SEGMENT))
        except OSError as error:
            raise trouble(error, f"{self._id} {copy.name}") from None
        return whole * (2 if len(chain) > 1 else 1) + log

    def restore(self, copy: BackupCopy, room: Room, until: Until) -> Restored:
        if copy.broken:
            raise Refused(
                f"the copy is broken: {copy.broken}", about=room.about, next_step="restore another copy"
            )
        try:
            chain = [self._plain(name, room) for name in (*reversed(copy.leans_on), copy.name)]
            binaries = self._binaries.of(_version(chain[-1], room), room.about)
            for place in chain:
                _verify(place, room, binaries)
            _assemble(chain, room, binaries)
            shutil.rmtree(room.staging)
            room.give()
            self._fetch(copy, room, until, segment_size(room, binaries))
            room.give()
        except OSError as error:
            raise trouble(error, room.about) from None
        return Restored(binaries)

    def _place(self, name: str) -> Path:
        return self._directory / name

    def _plain(self, name: str, room: Room) -> Path:
        """A backup as a directory: where it lies or, of archives, unpacked."""
        place = self._place(name)
        if (place / "PG_VERSION").is_file():
            return place
        plain = room.staging / name
        plain.mkdir(mode=0o700)
        for archive in sorted(place.iterdir(), key=lambda path: not path.name.startswith("base.")):
            if (found := _TAR.fullmatch(archive.name)) is None:
                if archive.name == MANIFEST:
                    shutil.copy(archive, plain / MANIFEST)
                continue
            into = {"base": plain, "pg_wal": plain / "pg_wal"}.get(
                found["what"], room.staging / f"{name}-{found['what']}"
            )
            into.mkdir(mode=0o700, exist_ok=True)
            _unpack(archive, into, room)
            if found["what"].isdigit():
                link = plain / "pg_tblspc" / found["what"]
                link.unlink(missing_ok=True)
                link.symlink_to(into)
        return plain

    def _fetch(self, copy: BackupCopy, room: Room, until: Until, size: int) -> None:
        for path, name, packed in self._archived(copy, until, size):
            with _opened(path, packed) as source, (room.wal / name).open("wb") as sink:
                shutil.copyfileobj(source, sink, _PIECE)

    def _archived(self, copy: BackupCopy, until: Until, size: int) -> Iterator[tuple[Path, str, str]]:
        """What of the archive the recovery may ask for: file, name, how it is packed."""
        backups = {self._place(p.name) for p in BaseBackups.places(self._directory)}
        for directory, below, files in os.walk(self._directory):
            below[:] = [b for b in below if Path(directory, b) not in backups]
            for file in files:
                found = _WAL.fullmatch(file)
                if found and needed(found["segment"], copy, until, size):
                    yield Path(directory, file), found["segment"], found["packed"]


def _verify(place: Path, room: Room, binaries: Path) -> None:
    try:
        room.run(binaries / "pg_verifybackup", "--no-parse-wal", "--exit-on-error", place)
    except NotReachable:
        raise NotReachable(
            f"backup {place.name} is not what its manifest says, or cannot be read", about=room.about,
            next_step=f"run pg_verifybackup {place.name} by hand; restore another copy",
        ) from None  # fmt: skip


def _assemble(chain: list[Path], room: Room, binaries: Path) -> None:
    """Make ``data`` of a backup, or of one and what it leans on, oldest first; tablespaces inside the scratch."""
    spaces = {link.name: link.resolve() for link in (chain[-1] / "pg_tblspc").glob("*") if link.is_symlink()}
    if len(chain) > 1:
        maps = [f"--tablespace-mapping={path}={room.tablespaces / oid}" for oid, path in spaces.items()]
        room.run(binaries / "pg_combinebackup", "--no-sync", *maps, "-o", room.data, *chain)
        return
    if chain[0].is_relative_to(room.staging):
        chain[0].rename(room.data)
    else:
        shutil.copytree(chain[0], room.data, symlinks=True)
    for oid, path in spaces.items():
        link, into = room.data / "pg_tblspc" / oid, room.tablespaces / oid
        if path.is_relative_to(room.staging):
            path.rename(into)
        else:
            shutil.copytree(path, into, symlinks=True)
        link.unlink()
        link.symlink_to(into)


def _version(place: Path, room: Room) -> int:
    try:
        return int((place / "PG_VERSION").read_text().split(".")[0])
    except (OSError, ValueError):
        raise NotReachable(
            "the backup does not say of which version it is",
            about=room.about,
            next_step="restore another copy",
        ) from None


def _unpack(archive: Path, into: Path, room: Room) -> None:
    packed = archive.name.partition(".tar")[2]
    try:
        with _opened(archive, packed) as file, tarfile.open(fileobj=file, mode="r|") as found:
            found.extractall(into, filter="tar")
    except (tarfile.TarError, EOFError, pa.ArrowException, gzip.BadGzipFile):
        raise NotReachable(
            f"archive {archive.name} of the backup is cut off",
            about=room.about,
            next_step="restore another copy",
        ) from None


def _opened(path: Path, packed: str) -> Any:
    """The plain bytes of a file, to be closed."""
    match packed:
        case "":
            return path.open("rb")
        case ".gz":
            return gzip.open(path)
        case _:
            kind = "zstd" if packed == ".zst" else "lz4"
            return pa.CompressedInputStream(pa.OSFile(str(path)), kind)


def _unpacked_size(place: Path) -> int:
    size = 0
    for directory, _, files in os.walk(place, followlinks=True):
        for file in files:
            found = _TAR.fullmatch(file)
            size += Path(directory, file).stat().st_size * (_PACKED if found and found["packed"] else 1)
    return size
