"""The sandbox's secrets: made once at random, kept in one file that only its owner may read.

In production they live in a secrets back end; here they must be as real as there, so that a step which
asks for the wrong role's secret fails on a laptop too.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from include.model.errors import Refused


class Vault:
    """Named secrets. Asking for one that does not exist yet makes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secrets: dict[str, str] = {}
        if path.exists():
            if path.stat().st_mode & 0o077:
                raise Refused(
                    "the file of secrets is open to others", about=str(path), next_step=f"chmod 600 {path}"
                )
            try:
                self._secrets = dict(json.loads(path.read_text("utf-8")))
            except ValueError:
                raise Refused(
                    "the file of secrets is damaged",
                    about=str(path),
                    next_step="start anew: quietus sandbox down --purge",
                ) from None

    def __contains__(self, name: str) -> bool:
        return name in self._secrets

    def get(self, name: str, length: int = 24) -> str:
        """The secret of that name: URL-safe text with ``length`` random bytes in it."""
        return self.keep(name, lambda: secrets.token_urlsafe(length))

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """The secret of that name; ``make()`` gives its value if there is none yet."""
        if name not in self._secrets:
            self._secrets[name] = make()
            self._save()
        return self._secrets[name]

    def _save(self) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self._secrets, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
