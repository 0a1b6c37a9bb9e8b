"""Histories of runs, and the audit log, as files: one a batch, named by the digest of what is in it. A second time changes
nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import rfc8785

from include.model.errors import NotReachable, Refused

_NAME = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})-(?P<digest>[0-9a-f]{64})\.jsonl\.gz")


@dataclass(frozen=True)
class Export:
    """A file of histories, a line a run or an entry. ``digest``: SHA-256 of its lines, unpacked."""

    name: str
    digest: str
    lines: int


class Exports:
    """A directory of them. Raises Refused if it is not there: one that is not mounted is no empty one."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        if not directory or not self._directory.is_dir():
            raise Refused(
                "the directory of run histories is not there", about="run_history",
                next_step="make it, or mount it, and name it in the connection run_history",
            )  # fmt: skip

    def keep(self, told: Sequence[dict[str, Any]], day: date) -> Export:
        """Written and synced when it returns. A file that has the same histories is not written again."""
        lines = b"".join(rfc8785.dumps(one) + b"\n" for one in told)
        digest = hashlib.sha256(lines).hexdigest()
        for known in self._directory.glob(f"*-{digest}.jsonl.gz"):
            self._sync()  # whoever wrote it may have been killed before that
            return Export(known.name, digest, len(told))
        path = self._directory / f"{day.isoformat()}-{digest}.jsonl.gz"
        fresh = path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(gzip.compress(lines, mtime=0))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            self._sync()
        except OSError as error:
            raise NotReachable(
                f"the history could not be written ({error.strerror})", about="run_history",
                next_step="see to the directory; nothing was deleted that is not in a file",
            ) from None  # fmt: skip
        return Export(path.name, digest, len(told))

    def clear(self) -> None:
        """Remove what was half written by somebody who was killed; nothing was deleted that was to be in it."""
        for left in self._directory.glob("*.new"):
            left.unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[Path, date]]:
        """Each file and the day on which it was made, the oldest first."""
        for path in sorted(self._directory.iterdir()):
            if found := _NAME.fullmatch(path.name):
                yield path, date.fromisoformat(found["day"])

    def whole(self, name: str) -> bool:
        """Whether the file is there and still has what its name says."""
        try:
            lines = gzip.decompress((self._directory / name).read_bytes())
        except (OSError, EOFError, gzip.BadGzipFile):
            return False
        found = _NAME.fullmatch(name)
        return found is not None and hashlib.sha256(lines).hexdigest() == found["digest"]

    def drop(self, before: date) -> tuple[str, ...]:
        """Remove those that were made before a day; their names."""
        gone = [path for path, day in self.all() if day < before]
        for path in gone:
            path.unlink(missing_ok=True)
        if gone:
            self._sync()
        return tuple(path.name for path in gone)

    def _sync(self) -> None:
        handle = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
