"""Where the tests and their servers keep their files: in memory, where there is enough of it.

A database a test is some three hundred files made, written and removed: on a disk that costs five times the processor time, and
longer still to wait for. Nothing of a test has to outlive the machine.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - shared memory is what is meant
DISK = Path("/tmp")  # noqa: S108 - short: a socket's path has 107 bytes at most
ENOUGH = 8 << 30
"""Bytes that must be free: for every worker's servers, two whole houses, and the processes themselves."""
ENVIRONMENT = "QUIETUS_TESTS_ROOM"


def _memory_fits() -> bool:
    try:
        found = os.statvfs(MEMORY)
        (kilobytes,) = re.findall(
            r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE
        )
    except (OSError, ValueError):
        return False
    may_execute = not found.f_flag & os.ST_NOEXEC  # tests write programs, too
    return may_execute and min(found.f_bavail * found.f_frsize, int(kilobytes) << 10) >= ENOUGH


ROOM = Path(os.environ.get(ENVIRONMENT) or (MEMORY if _memory_fits() else DISK))
"""Chosen once: whoever is started by a test keeps its files in the same place. ``QUIETUS_TESTS_ROOM`` says otherwise."""
os.environ[ENVIRONMENT] = str(ROOM)
os.environ["TMPDIR"] = str(ROOM)  # so does whatever makes a directory of its own
tempfile.tempdir = None  # what was asked before is asked again
