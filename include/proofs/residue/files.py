"""Which files a cluster, a base backup, an archive or a repository has, and how each is read.

Compressed files are unpacked into an unnamed temporary file, one at a time; archives are read member by member. What cannot be
opened is told apart, with why.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from include.proofs.bodies import PIECE, SPOOL


class Kind(StrEnum):
    """How a file's bytes are to be understood."""

    RELATION = "relation"  # pages of 8 KB
    WAL = "wal"
    OTHER = "other"  # as they are


Opener = Callable[[], IO[bytes]]


class Sealed(Exception):
    """A file cannot be read into. Says why, and nothing of it."""


@dataclass(frozen=True)
class Part:
    """One file, or one member of an archive. ``open`` gives its plain bytes, seekable, to be closed."""

    name: str
    open: Opener


@dataclass(frozen=True)
class Source:
    """Files that are read as one: the segments of a relation, or the segments of WAL in one directory, or one file."""

    name: str
    kind: Kind
    parts: Sequence[Part]


_PACKED = r"(?:\.(?:gz|bz2|xz|zst|lz4))?"
_RELATION = re.compile(
    r"(?P<relation>(?:^|.*/)(?:base/\d+|global|pg_tblspc/\d+/PG_[^/]+/\d+|PG_\d+_\d+/\d+)/)"
    r"(?:INCREMENTAL\.)?(?P<node>(?:t\d+_)?\d+(?:_fsm|_vm|_init)?)(?:\.(?P<segment>\d+))?" + _PACKED + "$"
)
_WAL = re.compile(r"(?:.*/)?(?P<segment>[0-9A-F]{24})(?:\.partial)?(?:-[0-9a-f]{40})?" + _PACKED + "$")
CONTROL = re.compile(r"(?:.*/)?global/pg_control")
"""A cluster's control file: its first eight bytes identify the cluster (catalog/pg_control.h)."""
_TAR = re.compile(r".*\.t(?:ar" + _PACKED + r"|gz)$")
_BY_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zst"), (b"\x04\x22\x4d\x18", "lz4"),
)  # fmt: skip
_SEALED: tuple[tuple[bytes, str], ...] = (
    (b"Salted__", "it is encrypted"),
    (b"PGDMP", "it is a dump in pg_dump's own format: restore it to text first"),
)


@dataclass(frozen=True)
class Unread:
    """What was not looked into, and why."""

    name: str
    why: str


def sources(root: Path) -> Iterator[Source | Unread]:
    """Everything under a directory (or one file), links followed once: relations and WAL as wholes, the rest singly."""
    yield from grouped(_walk(root))


def grouped(parts: Iterator[Part | Unread]) -> Iterator[Source | Unread]:
    """Segments of one relation together and in order, so those of WAL; everything else by itself."""
    relations: dict[str, list[tuple[int, Part]]] = {}
    wal: dict[str, list[tuple[str, Part]]] = {}
    for part in parts:
        if isinstance(part, Unread):
            yield part
        elif m := _RELATION.fullmatch(part.name):
            relations.setdefault(m["relation"] + m["node"], []).append((int(m["segment"] or 0), part))
        elif m := _WAL.fullmatch(part.name):
            wal.setdefault(part.name.rpartition("/")[0], []).append((m["segment"], part))
        else:
            yield Source(part.name, Kind.OTHER, (part,))
    for name, found in relations.items():
        yield Source(name, Kind.RELATION, [p for _, p in sorted(found, key=lambda x: x[0])])
    for name, segments in wal.items():
        yield Source(name, Kind.WAL, [p for _, p in sorted(segments, key=lambda x: x[0])])


def _walk(root: Path) -> Iterator[Part | Unread]:
    seen: set[tuple[int, int]] = set()
    inside = _inside(root)
    if root.is_file():
        yield from _parts(str(inside if inside.name else root.name), _opening(root))
        return
    denied: list[Unread] = []

    def deny(error: OSError) -> None:
        denied.append(
            Unread(os.path.relpath(str(error.filename), root), f"it cannot be opened ({error.strerror})")
        )

    for directory, below, names in os.walk(root, followlinks=True, onerror=deny):
        try:
            now = Path(directory).stat()
        except OSError as error:
            deny(error)
            continue
        if (now.st_dev, now.st_ino) in seen:
            below.clear()
            continue
        seen.add((now.st_dev, now.st_ino))
        below.sort()
        for name in sorted(names):
            path = Path(directory, name)
            if path.is_file():
                yield from _parts(str(inside / path.relative_to(root)), _opening(path))
    yield from denied


def _inside(root: Path) -> Path:
    """Where in its cluster's directory something lies; nowhere, if it is a whole one, or of none."""
    whole = root.resolve()
    for above in whole.parents:
        if (above / "global" / "pg_control").is_file():
            return whole.relative_to(above)
    return Path()


def _opening(path: Path) -> Opener:
    return lambda: path.open("rb")


def _parts(name: str, opener: Opener) -> Iterator[Part | Unread]:
    """A file as it is, unpacked, or as what an archive holds."""
    try:
        with opener() as file:
            magic = file.read(8)
    except FileNotFoundError:  # a live cluster drops files
        return
    except OSError as error:
        yield Unread(name, f"it cannot be opened ({error.strerror})")
        return
    if why := next((w for m, w in _SEALED if magic.startswith(m)), None):
        yield Unread(name, why)
        return
    if packed := next((packed for begins, packed in _BY_MAGIC if magic.startswith(begins)), None):
        opener = partial(_unpacked, opener, packed)
    if _TAR.fullmatch(name):
        yield from _members(name, opener)
    else:
        yield Part(name, opener)


def _members(name: str, opener: Opener) -> Iterator[Part | Unread]:
    """What an archive holds. It stays open, unpacked once, for as long as a member may be asked for."""
    try:
        archive = opener()
        with tarfile.open(fileobj=archive, mode="r:") as found:
            members = [m for m in found if m.isfile()]
    except (OSError, EOFError, tarfile.TarError, Sealed):
        yield Unread(name, "it is no whole archive")
        return
    for member in members:
        inside = f"{name}/{member.name.removeprefix('./')}"
        yield from _parts(inside, partial(_Slice.of, archive, member.offset_data, member.size))


class _Slice(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: IO[bytes], at: int, size: int) -> None:
        self._file, self._at, self._size, self._position = file, at, size, 0

    @classmethod
    def of(cls, file: IO[bytes], at: int, size: int) -> IO[bytes]:
        return cast(IO[bytes], cls(file, at, size))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + position
        return self._position

    def readinto(self, into: Any) -> int:
        view = memoryview(into).cast("B")
        self._file.seek(self._at + self._position)
        said = self._file.read(max(0, min(len(view), self._size - self._position)))
        view[: len(said)] = said
        self._position += len(said)
        return len(said)


def _unpacked(opener: Opener, packed: str) -> IO[bytes]:
    """The plain bytes of a compressed file, in a file of their own. Raises Sealed if it is cut off."""
    sink: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115
    try:
        with opener() as file, _decompressing(file, packed) as plain:
            shutil.copyfileobj(plain, sink, PIECE)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException):
        sink.close()
        raise Sealed("it is compressed, and not whole") from None
    sink.seek(0)
    return sink


def _decompressing(file: IO[bytes], packed: str) -> Any:
    match packed:
        case "gz":
            return gzip.open(file)
        case "bz2":
            return bz2.open(file)
        case "xz":
            return lzma.open(file)
        case _:
            return pa.CompressedInputStream(pa.PythonFile(file), "zstd" if packed == "zst" else "lz4")
