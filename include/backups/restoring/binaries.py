"""The server programs of a major version: by the connection ``postgres_<version>_bin``, else where they usually lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from include.model.doors import Connections
from include.model.errors import NotReachable, Refused

_OLDEST, _NEWEST = 12, 40
_NEEDED = ("postgres", "initdb", "pg_controldata")


class Binaries:
    """Where the programs of each version are, on this machine."""

    def __init__(self, connections: Connections | None = None) -> None:
        self._connections = connections

    def of(self, version: int, about: str) -> Path:
        """The directory with the programs of one major version. Raises NotReachable."""
        for place in self._candidates(version):
            if all((place / name).exists() for name in _NEEDED) and version_of(place) == version:
                return place
        raise NotReachable(
            f"the server programs of PostgreSQL {version} are not here, and the copy is of that version", about=about,
            next_step=f"install them, or say where they are in the connection postgres_{version}_bin",
        )  # fmt: skip

    def newest(self, about: str) -> Path:
        """The directory with the newest programs that are here: they read what older ones wrote. Raises NotReachable."""
        for version in range(_NEWEST, _OLDEST - 1, -1):
            for place in self._candidates(version):
                if (place / "pg_restore").exists() and version_of(place) == version:
                    return place
        raise NotReachable(
            "no programs of PostgreSQL are here", about=about,
            next_step="install them, or say where they are in a connection such as postgres_18_bin",
        )  # fmt: skip

    def _candidates(self, version: int) -> list[Path]:
        found = []
        if self._connections is not None:
            with suppress(Refused):  # it need not be declared
                found.append(Path(self._connections.text(f"postgres_{version}_bin")))
        found += [Path(f"/usr/lib/postgresql/{version}/bin"), Path(f"/usr/pgsql-{version}/bin")]
        if (on_path := shutil.which("postgres")) is not None:
            found.append(Path(on_path).resolve().parent)
        return found


def version_of(place: Path) -> int | None:
    """The major version of the programs in a directory; None if they do not say."""
    try:
        said = subprocess.run(
            [place / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True, cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath}, stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else None
