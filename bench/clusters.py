"""A PostgreSQL of one bench's own, made, started, and gone with it."""

from __future__ import annotations

import tempfile
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
