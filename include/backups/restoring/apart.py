"""A network of its own for the scratch's server: one without any way out. Only root can make one, and not in every container."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from include.backups.restoring.room import Account


def apart(account: Account) -> list[str]:
    """What a command is put behind, so that it runs as this account and reaches nobody; nothing where that cannot be had.

    Then the quarantine's settings alone keep the server from reaching out.
    """
    if not _possible():
        return []
    return [
        "unshare", "--net", "--", "setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--",
    ]  # fmt: skip


@cache
def _possible() -> bool:
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")):
        return False
    try:
        tried = subprocess.run(
            ["unshare", "--net", "--", "true"], capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
