"""What a drill costs beyond restoring the same copy.

    python -m bench.drill [--people 60000] [--erased 20]

A shop with so many people, of whom some are erased; a base backup from before that, then one from after; the drill of each,
against the plain restore of the same copy: copied with ``cp``, recovered and started. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from include.backups.restoring.opening import open_place, open_restorer
from include.backups.restoring.scratch import scratch
from include.cases import drilling
from include.model.backups import BackupCopy
from include.sandbox.stack.places import Places, give, unprivileged
from tests.backups.conftest import archiving
from tests.cases.backed import SET, Backed, backed
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer

ROUNDS = 3


def plain(w: Backed, copy: BackupCopy, server: PgServer, to: Path) -> None:
    """As a person would: copy, recover to the end of the backup, start, ask, stop."""
    data = to / "plain"
    subprocess.run(["cp", "-a", copy.location, data], check=True)
    (data / "recovery.signal").touch()
    (data / "postgresql.auto.conf").write_text(
        f"port = 5433\nlisten_addresses = ''\nunix_socket_directories = '{to}'\narchive_mode = off\nfsync = off\n"
        f"hot_standby = off\nrestore_command = 'cp {w.maker.home}/archive/%f %p'\nrecovery_target = 'immediate'\n"
        f"recovery_target_action = 'promote'\nrecovery_target_timeline = 'current'\n".replace("\\\n", "\n")
    )
    (data / "quietus.conf").write_text("")
    (data / "pg_hba.conf").write_text("local all all trust\n")
    for path in (data, *data.rglob("*")):
        give(path)
    data.chmod(0o700)
    pg_ctl = [server.cluster.binaries / "pg_ctl", "-D", data, "-w", "-l", to / "log"]
    subprocess.run([*pg_ctl, "start"], check=True, capture_output=True, cwd=to, **unprivileged())
    answers(to)
    subprocess.run(
        [*pg_ctl, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=to, **unprivileged()
    )
    shutil.rmtree(data)


def answers(socket: Path) -> None:
    """pg_ctl is content with a server that still recovers."""
    while True:
        try:
            return psycopg.connect(
                host=str(socket), port=5433, user="quietus_admin", dbname="postgres"
            ).close()
        except psycopg.OperationalError:
            time.sleep(0.05)


def seconds(what: Callable[[], object]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began


def restored(w: Backed, copy: BackupCopy) -> None:
    """Our own restore into quarantine, without a look."""
    tool, place = open_restorer(SET, w.desk.connections), open_place(w.desk.connections)
    with scratch(tool, copy, place, about=SET.id):
        pass


def line(w: Backed, server: PgServer, what: str) -> str:
    copy = drilling.oldest(w.maker.reader.look())
    assert copy is not None
    size = sum(p.stat().st_size for p in Path(copy.location).rglob("*") if p.is_file())
    aside = server.cluster.places.room_for("plain")
    times: dict[str, list[float]] = {"plain": [], "ours": [], "drill": []}
    for _ in range(ROUNDS):
        os.sync()
        times["plain"].append(seconds(lambda: plain(w, copy, server, aside)))
        times["ours"].append(seconds(lambda: restored(w, copy)))
        times["drill"].append(seconds(w.drill))
    floor, ours, whole = (statistics.median(t) for t in times.values())
    per = f"{whole / ours:.2f} | {whole / floor:.2f}"
    return f"| {what} | {size / 2**20:,.0f} MiB | {floor:.1f} s | {ours:.1f} s | {whole:.1f} s | {per} |"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--people", type=int, default=60_000)
    arguments.add_argument("--erased", type=int, default=20)
    asked = arguments.parse_args()
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-", dir="/tmp"))
    places = Places.of(home)
    places.make()
    try:
        for server in archiving(places, "drilled", 18):
            for login in ROLES:
                server.add_role(login)
            book = server.fresh_database("case_book", build)
            with backed(server, server.conninfo(book, "case_writer"), home / "keys", asked.people) as w:
                w.maker.full()
                for first in range(1, asked.erased + 1, 10):
                    w.erase(*range(first, first + 10))
                print(
                    f"{asked.people:,} people, {asked.erased} erased in {asked.erased // 10} cases; median of {ROUNDS}.\n"
                )
                print(
                    "| the oldest copy | size | plain restore | restore in quarantine | drill | ÷ quarantine | ÷ plain |"
                )
                print("|---|---|---|---|---|---|---|")
                print(line(w, server, "from before: all are found"), flush=True)
                w.maker.full()
                w.expire()
                print(line(w, server, "from after: nobody is"), flush=True)
                print(
                    "\nWhat the look takes is mostly decompressing in Python what the catalogs' pages hold as pglz."
                )
    finally:
        places.purge()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
