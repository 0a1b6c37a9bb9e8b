"""Base backups of the company's database, as a job of the company's own would take them. Quietus takes none."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psycopg

from include.backups.basebackup import MANIFEST, BaseBackups
from include.model.backups import BackupCopy, segment_name, written
from include.model.errors import NotReachable, Refused
from include.model.times import observed_now
from include.sandbox.stack.places import unprivileged
from include.sandbox.stack.postgres import BACKUP, Cluster

SECONDS = 600.0
PATIENCE = 60.0  # seconds, for the archive
LOG_PATIENCE = 60.0  # seconds; summaries of the log may be half a minute behind
_KEPT = """
SELECT FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' AND name COLLATE "C" <= %s
   AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE restart_lsn < %s)
"""
"""Whether the server keeps log up to a segment though no slot does from before a position."""


def take(cluster: Cluster, directory: Path, *, incremental: bool = False) -> BackupCopy:
    """Take one, full or building on the newest that is whole, and verify it by its manifest. Raises Refused, NotReachable."""
    before = _newest(directory) if incremental else None
    while (place := _named(directory, incremental)).exists():  # one was taken this very second
        time.sleep(0.1)
    _run(
        cluster, "pg_basebackup", "--pgdata", place, "--no-password", "--checkpoint=fast", "--wal-method=stream",
        "--host=127.0.0.1", f"--port={cluster.port}", f"--username={BACKUP}",
        *([f"--incremental={before.location}/{MANIFEST}"] if before else []),
        *(["--no-sync"] if cluster.settings.get("fsync") == "off" else []),
    )  # fmt: skip
    _run(cluster, "pg_verifybackup", "--quiet", "--exit-on-error", place)
    (made,) = (c for c in BaseBackups("sandbox", str(directory)).look().copies if c.name == place.name)
    _archived(cluster, made)
    _log_let_go(cluster, made)
    return made


def _log_let_go(cluster: Cluster, made: BackupCopy) -> None:
    """The checkpoints of a job that keeps its server's own log short: what is archived up to the backup's end goes, once the
    server needs it no more. What a slot keeps stays, and is not ours to say."""
    last = segment_name((made.stop or 1) - 1, made.timeline or 1)
    deadline = time.monotonic() + LOG_PATIENCE
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        while time.monotonic() < deadline:
            conn.execute("CHECKPOINT")
            kept = conn.execute(_KEPT, (last, written(made.stop or 0))).fetchone()
            if kept is None:
                return
            time.sleep(0.5)


def _named(directory: Path, incremental: bool) -> Path:
    """As pgBackRest names its own."""
    return directory / f"{observed_now():%Y%m%dT%H%M%S}{'I' if incremental else 'F'}"


def _archived(cluster: Cluster, made: BackupCopy) -> None:
    """Wait until the log up to its end is in the archive, which may be behind: nothing older comes there afterwards."""
    last = segment_name((made.stop or 1) - 1, made.timeline or 1)
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        while (
            conn.execute(
                'SELECT FROM pg_stat_archiver WHERE last_archived_wal COLLATE "C" >= %s', (last,)
            ).fetchone()
            is None
        ):
            if time.monotonic() > deadline:
                raise NotReachable(
                    "the log up to the end of the backup is not archived", about="sandbox",
                    next_step="see pg_stat_archiver of the company's cluster",
                )  # fmt: skip
            time.sleep(0.1)


def _newest(directory: Path) -> BackupCopy:
    whole = [c for c in BaseBackups("sandbox", str(directory)).look().copies if not c.broken]
    if not whole:
        raise Refused(
            "there is no backup to build on", about="sandbox", next_step="quietus sandbox backup take"
        )
    return max(whole, key=lambda copy: copy.start or 0)


def _run(cluster: Cluster, program: str, *arguments: object) -> None:
    """The secret goes by the environment, which only its owner reads; what a program says is not repeated."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "PGPASSWORD": cluster.password(BACKUP)}
    try:
        done = subprocess.run(
            [cluster.binaries / program, *map(str, arguments)], env=environment, cwd="/", timeout=SECONDS,
            capture_output=True, stdin=subprocess.DEVNULL, check=False, **unprivileged(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode != 0:
        how = "does not end" if done is None else f"fails with status {done.returncode}"
        raise NotReachable(
            f"{program} {how}", about="sandbox",
            next_step="see whether the company's cluster runs (quietus sandbox status), and its disk has room",
        )  # fmt: skip
