"""The sandbox's secrets: made once at random, kept in one file that only its owner may read.

In production they live in a secrets back end; here they must be as real as there, so that a step which
asks for the wrong role's secret fails on a laptop too.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from include.model.errors import Refused


class Vault:
    """Named secrets. Asking for one that does not exist yet makes it, once for all threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._secrets = self._read()

    def _read(self) -> dict[str, str]:
        try:
            open_to_others = self._path.stat().st_mode & 0o077
            said = self._path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        if open_to_others:
            raise Refused(
                "the file of secrets is open to others",
                about=str(self._path),
                next_step=f"chmod 600 {self._path}",
            )
        try:
            return dict(json.loads(said))
        except ValueError:
            raise Refused(
                "the file of secrets is damaged",
                about=str(self._path),
                next_step="start anew: quietus sandbox down --purge",
            ) from None

    def get(self, name: str, length: int = 24) -> str:
        """The secret of that name: URL-safe text with ``length`` random bytes in it."""
        return self.keep(name, lambda: secrets.token_urlsafe(length))

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """The secret of that name; ``make()`` gives its value if there is none yet."""
        with self._turn:
            if name not in self._secrets:
                lock = os.open(
                    self._path.with_name(self._path.name + ".lock"), os.O_WRONLY | os.O_CREAT, 0o600
                )
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    self._secrets = self._read()  # another process may have been here
                    if name not in self._secrets:
                        self._secrets[name] = make()
                        self._save()
                finally:
                    os.close(lock)
            return self._secrets[name]

    def _save(self) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self._secrets, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
