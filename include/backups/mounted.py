"""Whether a directory of backups is really there: a volume that is not mounted leaves an empty one in its place."""

from __future__ import annotations

from pathlib import Path

TRULY = ".empty"
"""A file of this name, left by a person, says that a directory with nothing else in it has nothing in it."""


def missing(directory: Path) -> str | None:
    """Why it cannot be known what is in a directory, as nothing at all is; None if something is. Raises OSError."""
    if any(directory.iterdir()):
        return None
    return f"its directory is empty, as if not mounted: if it truly is, leave a file {TRULY} there"
