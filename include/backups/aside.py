"""Removing a directory so that a kill leaves no half that looks whole.

It is renamed first: from then on it says itself that it is being removed. What tells what it holds goes last, so that a half
still says since when it holds what is left of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from include.model.durable import sync_directory
from include.model.errors import NotReachable

ASIDE = ".expiring-"
INTERRUPTED = "its expiry was interrupted"


def is_aside(path: Path) -> bool:
    """Whether its removal was begun."""
    return path.name.startswith(ASIDE)


def remove(path: Path, last: Callable[[str], int], *, about: str) -> None:
    """Remove a file, or a directory with all in it: what ``last`` gives a higher number for goes later. Durable; what is
    gone already is no error. Raises NotReachable."""
    try:
        _remove(path, last)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotReachable(
            f"{path.name} cannot be removed ({error.strerror})", about=about,
            next_step="give the directory to who runs this, or mount it for writing; then run it again",
        ) from None  # fmt: skip


def _remove(path: Path, last: Callable[[str], int]) -> None:
    if path.is_dir() and not path.is_symlink():
        path = _put_aside(path)
        for inside in sorted(path.iterdir(), key=lambda p: last(p.name)):
            if inside.is_dir() and not inside.is_symlink():
                shutil.rmtree(inside)
            else:
                inside.unlink()
        path.rmdir()
    else:
        path.unlink()
    sync_directory(path.parent)


def _put_aside(path: Path) -> Path:
    if is_aside(path):
        return path
    aside = path.rename(path.with_name(ASIDE + path.name))
    sync_directory(path.parent)
    return aside
