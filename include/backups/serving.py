"""A server that we started for ourselves alone: waited for until it serves, and stopped in order, or at once."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from include.backups import lockfile
from include.model.errors import NotReachable

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""Nothing of ours: it may hold secrets."""
START_SECONDS = 3600.0  # recovery takes as long as its log is
STOP_SECONDS = 300.0
PORT = 5432  # a name within a private directory, no port
_READY = "ready"  # "standby" is still recovering


def await_ready(
    child: subprocess.Popen[bytes], data: Path, seconds: float, *, about: str, ended: Callable[[], NotReachable], late: str
) -> None:  # fmt: skip
    """Until it serves. Raises NotReachable if it ends before (``ended``), or takes longer (``late``: what to do then)."""
    until = time.monotonic() + seconds
    while lockfile.status(data) != _READY:
        if child.poll() is not None:
            raise ended()
        if time.monotonic() > until:
            raise NotReachable(f"its recovery takes longer than {seconds:.0f} s", about=about, next_step=late)
        time.sleep(0.05)


def stop(
    child: subprocess.Popen[bytes], how: signal.Signals = signal.SIGINT, seconds: float = STOP_SECONDS
) -> None:
    """In order (its files are then whole), or by ``how``; what does not end in that time is made to."""
    for what in (how, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            child.send_signal(what)
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            return
