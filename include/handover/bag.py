"""A bag on disk (RFC 8493), written in one pass: each payload file is digested while it is written, by a thread beside.

The Library of Congress's ``bagit`` judges every bag that arrives (``fetching``). It does not write them: it would read each
payload again. SM3 (GB/T 32905) is not among the algorithms that it knows, so the SM3 manifest is a tag file of ours,
``quietus-sm3.txt``, in the same form as a manifest.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO, Protocol

import bagit

from include.model.errors import LedgerError

SM3_MANIFEST = "quietus-sm3.txt"
DESCRIPTION = "data/bag.json"
BLOCK, RECORD = 512, 10240  # POSIX ustar
CHUNK = 1 << 20
WAITING = 8  # blocks that are not digested yet


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def tell(self) -> int: ...


class Digest(Protocol):
    """As ``hashlib`` makes them."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


Digests = tuple[Digest, Digest]
"""SHA-256 and SM3."""


class Digesting:
    """SHA-256 and SM3 beside whoever writes: ``hashlib`` lets others work meanwhile. By one thread, so that the blocks of a file
    are digested in their order; of few blocks at a time, so that memory does not grow."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._room = BoundedSemaphore(WAITING)
        self._failed: list[BaseException] = []

    def update(self, digests: Digests, block: bytes) -> None:
        self._room.acquire()
        self._pool.submit(self._both, digests, block)

    def _both(self, digests: Digests, block: bytes) -> None:
        try:
            for digest in digests:
                digest.update(block)
        except BaseException as error:  # told to whoever waits for the digest
            self._failed.append(error)
        finally:
            self._room.release()

    def finish(self) -> None:
        """Wait for everything that was given. Afterwards digests are whole. May be called again."""
        self._pool.shutdown(wait=True)
        if self._failed:
            raise self._failed[0]


class PayloadFile:
    """One file below ``data/``, while it is written."""

    def __init__(self, file: IO[bytes], digesting: Digesting) -> None:
        self._file, self._digesting = file, digesting
        self.digests = hashlib.sha256(), hashlib.new("sm3")
        self._waiting: list[bytes] = []
        self._held = 0
        self.size = 0

    def write(self, data: bytes) -> int:
        """Small pieces are put together first: to digest a row by itself costs more than the row."""
        self._waiting.append(data)
        self._held += len(data)
        self.size += len(data)
        if self._held >= CHUNK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        whole = b"".join(self._waiting)
        self._waiting.clear()
        self._held = 0
        if whole:
            self._digesting.update(self.digests, whole)
            self._file.write(whole)


class BagWriter:
    """A new bag in an empty directory of its name."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "data").mkdir(parents=True, mode=0o700)
        self._manifest: dict[str, tuple[str, str]] = {}
        self._written: dict[str, Digests] = {}
        self._digesting = Digesting()
        self._octets = 0

    @contextmanager
    def payload(self, name: str) -> Iterator[PayloadFile]:
        """Write ``data/<name>``."""
        path = self.home / "data" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as raw:
            file = PayloadFile(raw, self._digesting)
            yield file
            file.flush()
        self._written[f"data/{name}"] = file.digests
        self._octets += file.size

    def whole(self, name: str, content: bytes, digests: tuple[str, str]) -> None:
        """Write ``data/<name>`` at once. ``digests``: SHA-256 and SM3 of it, that somebody made already."""
        path = self.home / "data" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as raw:
            raw.write(content)
        self._manifest[f"data/{name}"] = digests
        self._octets += len(content)

    def discard(self) -> None:
        """It is not finished: nobody digests for it any more."""
        self._digesting.finish()

    def finish(self, info: dict[str, str]) -> None:
        """The tag files. ``info``: lines of ``bag-info.txt``; a colon or a line's end in them is refused."""
        if any(c in v for v in info.values() for c in "\r\n"):
            raise ValueError("a line of bag-info.txt has one line")
        self._digesting.finish()
        for name, of in self._written.items():
            self._manifest[name] = of[0].hexdigest(), of[1].hexdigest()
        told = {**info, "Payload-Oxum": f"{self._octets}.{len(self._manifest)}"}
        files = {
            "bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": "".join(f"{k}: {v}\n" for k, v in told.items()),
            "manifest-sha256.txt": self._listed(0),
            SM3_MANIFEST: self._listed(1),
        }
        for name, text in files.items():
            (self.home / name).write_text(text, encoding="utf-8")
        (self.home / "tagmanifest-sha256.txt").write_text(
            "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in files.items()),
            encoding="utf-8",
        )

    def _listed(self, which: int) -> str:
        return "".join(f"{digests[which]}  {name}\n" for name, digests in sorted(self._manifest.items()))


def files_of(home: Path) -> list[Path]:
    """The files of a bag, in the order in which they are packed."""
    return sorted(p for p in home.rglob("*") if p.is_file())


def tar_size(home: Path) -> int:
    """How many bytes :func:`tar` will write."""
    size = sum(BLOCK + -(-p.stat().st_size // BLOCK) * BLOCK for p in files_of(home)) + 2 * BLOCK
    return -(-size // RECORD) * RECORD


def tar(home: Path, out: Sink) -> None:
    """The bag as one ustar file, in a stream: the same files give the same bytes."""
    # Not tarfile's own stream: that one copies everything once more, in pieces of 10 KiB.
    with tarfile.TarFile(mode="w", fileobj=out, format=tarfile.USTAR_FORMAT, copybufsize=CHUNK) as archive:  # type: ignore[arg-type]
        for path in files_of(home):
            info = tarfile.TarInfo(f"{home.name}/{path.relative_to(home)}")
            info.size, info.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                archive.addfile(info, file)


def untar(source: IO[bytes], into: Path, name: str) -> Path:
    """Unpack a bag of this name from a stream. Raises LedgerError for anything else than plain files below that name."""
    try:
        with tarfile.open(mode="r|", fileobj=source) as archive:
            for member in archive:
                if not member.isreg() or not member.name.startswith(f"{name}/"):
                    raise _other(name)
                archive.extract(member, into, set_attrs=False, filter="data")
    except tarfile.TarError:
        raise _other(name) from None
    return into / name


def validate(home: Path) -> None:
    """By ``bagit``, then by our SM3 manifest. Raises LedgerError: it names files, never what is in them."""
    try:
        bagit.Bag(str(home)).validate(processes=1)
    except bagit.BagError as error:
        details = getattr(error, "details", None) or [type(error).__name__]
        what = getattr(details[0], "path", None) or type(details[0]).__name__
        raise LedgerError(
            f"the bag is not valid ({what})", about=home.name, next_step="have it packed and sent again"
        ) from None  # fmt: skip
    listed = {}
    try:
        for line in (home / SM3_MANIFEST).read_text("utf-8").splitlines():
            digest, path = line.split("  ", 1)
            listed[path] = digest
    except (OSError, ValueError):
        raise LedgerError(
            "its SM3 manifest is missing or damaged", about=home.name, next_step="have it packed again"
        ) from None  # fmt: skip
    there = {str(p.relative_to(home)) for p in files_of(home / "data")}
    for path in sorted(there | listed.keys()):
        if path not in there or listed.get(path) != _sm3(home / path):
            raise LedgerError(
                f"{path} is not what the SM3 manifest says", about=home.name, next_step="have it packed again"
            )  # fmt: skip


def _sm3(path: Path) -> str:
    found = hashlib.new("sm3")
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            found.update(data)
    return found.hexdigest()


def _other(name: str) -> LedgerError:
    return LedgerError("the sealed file is no bag of this name", about=name, next_step="have it packed again")
