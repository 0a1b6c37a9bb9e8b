"""A PostgreSQL of one bench's own, made, started, and gone with it; and what it works."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from include.sandbox.stack.places import Places
from include.sandbox.stack.ports import free_port
from include.sandbox.stack.postgres import Cluster, binaries_for
from include.sandbox.stack.vault import Vault


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """The embedded server with these settings, running; its own home is ``places.home``."""
    with tempfile.TemporaryDirectory(prefix="quietus-bench-", dir="/tmp") as home:
        places = Places.of(Path(home))
        places.make()
        made = Cluster(
            "bench",
            binaries_for(places),
            places,
            Vault(places.home / "secrets.json"),
            free_port(),
            settings or {},
        )
        try:
            made.create()
            made.start()
            made.wait()
            yield made
        finally:
            made.stop()
            places.purge()


def processor(cluster: Cluster) -> float:
    """Seconds of processor time that the server, every connection that it has or had, and this process have taken. Unlike the
    clock's it says the same whatever else the machine does."""
    time.sleep(0.2)  # whoever has just hung up is waited for by then
    (postmaster, *_) = (cluster.data / "postmaster.pid").read_text().split()
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    ticks = sum(_ticks(postmaster)) + sum(sum(_ticks(child)[:2]) for child in children)
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


def _ticks(pid: str) -> list[int]:
    """Of a process: user, system, and both of the children that it has waited for; none, if it ended meanwhile."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(x) for x in stat.rpartition(")")[2].split()[11:15]]
