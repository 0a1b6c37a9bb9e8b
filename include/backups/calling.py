"""Calling a backup tool: no shell, a time-out, a clean environment; and nothing of what it says in an error.

A tool's output may hold connection strings with passwords (Barman's ``show-server`` does), so it goes to its parser only.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from include.model.errors import NotReachable

SECONDS = 120.0
HOURS = 6 * 3600.0  # seconds, for what reads or removes whole backups
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def called(arguments: Sequence[str], *, about: str, seconds: float = SECONDS) -> str:
    """What a tool prints. Raises NotReachable if it is not installed, fails, or takes too long."""
    tool = arguments[0].rpartition("/")[2]
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=seconds, check=False, env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
    except FileNotFoundError:
        raise NotReachable(
            f"{tool} is not installed here",
            about=about,
            next_step="install it, or run this where the backups are",
        ) from None
    except (OSError, subprocess.TimeoutExpired):
        raise NotReachable(
            f"{tool} does not answer", about=about, next_step=f"run it by hand: {' '.join(arguments)}"
        ) from None
    if done.returncode != 0:
        raise NotReachable(
            f"{tool} fails with status {done.returncode}", about=about,
            next_step=f"run it by hand: {' '.join(arguments)}",
        )  # fmt: skip
    return done.stdout


def said(arguments: Sequence[str], *, about: str) -> Any:
    """The JSON that a tool prints. Raises NotReachable."""
    try:
        return json.loads(called(arguments, about=about))
    except ValueError:
        raise NotReachable(
            f"{arguments[0]} does not print JSON",
            about=about,
            next_step="see whether its version is one that does",
        ) from None
