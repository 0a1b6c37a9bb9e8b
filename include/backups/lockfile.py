"""What the lock file of a PostgreSQL server says: who runs in a data directory, and how far it has come."""

from __future__ import annotations

from pathlib import Path

_NAME = "postmaster.pid"
_STATUS = 7  # its line, from nought


def postmaster(data: Path) -> int | None:
    """The process that runs there, if the lock file is not somebody else's by now."""
    try:
        pid = abs(int((data / _NAME).read_text().split("\n", 1)[0]))  # negative: single-user
        return pid if Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve() else None
    except (OSError, ValueError):
        return None


def status(data: Path) -> str:
    """The last line of the lock file: starting, standby, ready; nothing where there is none."""
    try:
        lines = (data / _NAME).read_text().splitlines()
    except OSError:
        return ""
    return lines[_STATUS].strip() if len(lines) > _STATUS else ""
