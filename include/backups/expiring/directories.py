"""Directories of ``pg_basebackup``, which have no tool that expires them, and their archive, which has ``pg_archivecleanup``.

Before a backup is removed it is looked at again who leans on it: an increment may have been begun meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from include.backups import aside
from include.backups.basebackup import LABEL, MANIFEST, BaseBackups, archived, archives
from include.backups.calling import HOURS, called
from include.backups.expiring.planning import bases
from include.backups.restoring.binaries import Binaries
from include.model.backups import SEGMENT, ArchiveCut, BackupCopy, segment, segment_name
from include.model.errors import Drifted, NotReachable, Refused


class ExpireDirectories:
    def __init__(self, id: str, directory: str, binaries: Binaries) -> None:
        self._id, self._directory, self._binaries = id, Path(directory), binaries
        self._reader = BaseBackups(id, directory)

    def check(self, copy: BackupCopy) -> str | None:
        by_name = self._by_name()
        for one in (copy, *(by_name[name] for name in sorted(bases(copy, by_name)))):
            why = self._differs(Path(one.location)) or self._without_wal(one)
            if why is not None:
                return f"{one.name}: {why}"
        return None

    def _differs(self, place: Path) -> str | None:
        """Why ``pg_verifybackup`` does not find every file, each with its checksum."""
        program = self._programs(place) / "pg_verifybackup"
        try:
            called(
                [str(program), "--quiet", "--exit-on-error", "--no-parse-wal", str(place)],
                about=self._id,
                seconds=HOURS,
            )
        except NotReachable as error:
            return error.what
        return None

    def _without_wal(self, copy: BackupCopy) -> str | None:
        """Why it cannot be brought to where it is whole: a segment of WAL is neither in it nor in the archive."""
        place = Path(copy.location)
        if copy.start is None or copy.stop is None or any(place.glob("pg_wal.tar*")):
            return None  # a tar of WAL is in the manifest, and was compared
        with self._reading():
            there = {p.name[:24] for p in (place / "pg_wal").glob("0*")}
            there |= {p.name[:24] for p in archived(self._directory) if ".partial" not in p.name}
        needed = range(copy.start // SEGMENT * SEGMENT, copy.stop, SEGMENT)
        missing = [n for n in (segment_name(at, copy.timeline or 1) for at in needed) if n not in there]
        return (
            f"{len(missing)} segments of WAL that it needs are missing, from {missing[0]} on"
            if missing
            else None
        )

    def _programs(self, place: Path) -> Path:
        """PostgreSQL's programs of a backup's version; where only its archive says that, the newest."""
        try:
            version = int((place / "PG_VERSION").read_text("ascii"))
        except (OSError, ValueError):
            return self._binaries.newest(self._id)
        return self._binaries.of(version, self._id)

    def rehearse(self, names: Sequence[str]) -> frozenset[str]:
        """These, and whatever here leans on one of them now. Raises Refused for one of which a part lies elsewhere."""
        by_name = self._by_name()
        for name in names:
            if name in by_name and _lies_elsewhere(Path(by_name[name].location)):
                raise Refused(
                    f"{name} is a link, or its tablespaces are: removing it would leave them", about=self._id,
                    next_step="remove it by hand with what the links lead to, if no running server uses that",
                )  # fmt: skip
        leaning = {c.name for c in by_name.values() if bases(c, by_name) & set(names)}
        return frozenset((set(names) & by_name.keys()) | leaning)

    def let_go(self, names: Sequence[str]) -> None:
        by_name = self._by_name()
        if others := sorted(self.rehearse(names) - set(names)):
            raise Drifted(
                f"{', '.join(others)} leans by now on what was to go; nothing went", about=self._id,
                next_step="run it again",
            )  # fmt: skip
        for name in names:
            if name in by_name:
                aside.remove(Path(by_name[name].location), _last, about=self._id)

    def rehearse_archive(self, staying: Collection[BackupCopy]) -> tuple[ArchiveCut, ...]:
        cuts = []
        for place, said in self._archive_cleanup(staying, "-n"):
            ends = [segment(name.rpartition("/")[2]) + SEGMENT for name in said.splitlines()]
            if ends:
                cuts.append(ArchiveCut(str(place), max(ends)))
        return tuple(cuts)

    def let_go_archive(self, staying: Collection[BackupCopy]) -> None:
        self._archive_cleanup(staying)

    def _archive_cleanup(self, staying: Collection[BackupCopy], *options: str) -> list[tuple[Path, str]]:
        """What ``pg_archivecleanup`` says in each directory of archived WAL, for each way in which it is compressed."""
        oldest = segment_name(min(c.start for c in staying if c.start is not None))
        program = str(self._programs(Path(next(iter(staying)).location)) / "pg_archivecleanup")
        with self._reading():
            places = archives(self._directory)
        return [
            (place, called([program, *options, *way, str(place), oldest], about=self._id, seconds=HOURS))
            for place, suffixes in places.items()
            for way in [[], *(["-x", suffix] for suffix in sorted(suffixes))]
        ]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NotReachable(
                f"the archive cannot be read ({error.strerror})", about=self._id,
                next_step="mount the directory, or give it back to who runs this",
            ) from None  # fmt: skip

    def _by_name(self) -> dict[str, BackupCopy]:
        return {copy.name: copy for copy in self._reader.look().copies}


def _lies_elsewhere(place: Path) -> bool:
    return place.is_symlink() or any(p.is_symlink() for p in (place / "pg_tblspc").glob("*"))


def _last(name: str) -> int:
    """The label and the manifest say what the rest is of."""
    return {MANIFEST: 3, LABEL: 2}.get(name, 1 if name.startswith("base.tar") else 0)
