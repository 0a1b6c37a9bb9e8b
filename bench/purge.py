"""What the daily look at backups costs with a million waiting cases: against asking the tools, and against going case by case.

    python -m bench.purge [--cases 1000000]

A case book with so many waiting cases over thirty nights, and three backup sets of real directories: base backups' labels and
manifests, and archived WAL as empty files. One night is beyond reach. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg

from bench.clusters import running
from include.backups.basebackup import BaseBackups
from include.cases import backups, book, settling
from include.cases.keys import FileKeyStore
from include.cases.migrate import migrate
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.backups import SEGMENT, Copies, written
from include.model.estate import BackupSet
from include.model.times import prc_date

NIGHTS, SETS, KEEP = 30, 3, 35
NOW = datetime.now(UTC)
TODAY = prc_date(NOW)
SYSTEM = 7


def position(night: int) -> int:
    return (night + 1) * 100 * SEGMENT


def fill(conninfo: str, cases: int) -> None:
    """Nights, the oldest first, each with its share of the cases, all waiting for every set."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO casebook.case_ (case_no, kind, ground, channel, requester, opened_by, received_at, opened_on, state,"
            " key_id) SELECT 'CASE-' || lpad(n::text, 7, '0'), 'request', 'cancellation', 'app', 'self', 'support/bench', now(),"
            " current_date, 'waiting', 'k' FROM generate_series(1, %s) n", [cases],
        )  # fmt: skip
        conn.execute(
            "INSERT INTO casebook.step (step_id, case_no, kind, step_no, as_of, restricting)"
            " SELECT 'case_' || right(case_no, 7) || '_s1', case_no, 'live', 1, current_date, true FROM casebook.case_"
        )
        for night in range(NIGHTS):
            opened = TODAY - timedelta(days=NIGHTS - night)
            conn.execute(
                "INSERT INTO casebook.epoch (store, opened_on, system, timeline, counter, position, moment)"
                " VALUES ('company', %s, %s, 1, 1, %s, %s)",
                [opened, SYSTEM, position(night), NOW - timedelta(days=NIGHTS - night)],
            )
        conn.execute(
            "INSERT INTO casebook.epoch_step SELECT 1 + mod(right(case_no, 7)::int, %s), step_id, case_no FROM casebook.step",
            [NIGHTS],
        )
        conn.execute(
            "INSERT INTO casebook.epoch_set (epoch_id, backup_set, state, horizon, because)"
            " SELECT epoch_id, 'set' || s, 'backup_pending', current_date, '-' FROM casebook.epoch, generate_series(1, %s) s",
            [SETS],
        )
        conn.execute("ANALYZE")


def repository(place: Path) -> None:
    """A full backup a day since after the first night, and the archived WAL since then."""
    for day in range(1, NIGHTS):
        made = place / f"full-{day:02}"
        made.mkdir(parents=True)
        start = written(position(day) - 50 * SEGMENT)
        at = NOW - timedelta(days=NIGHTS - day)
        (made / "backup_label").write_text(
            f"START WAL LOCATION: {start} (file x)\nSTART TIME: {at:%Y-%m-%d %H:%M:%S} UTC\nSTART TIMELINE: 1\n"
        )
        (made / "PG_VERSION").write_text("18\n")
        (made / "backup_manifest").write_text(
            json.dumps(
                {
                    "System-Identifier": SYSTEM,
                    "WAL-Ranges": [{"Timeline": 1, "Start-LSN": start, "End-LSN": start}],
                }
            )
        )
    wal = place / "wal"
    wal.mkdir()
    for n in range((position(1) - 50 * SEGMENT) // SEGMENT, position(NIGHTS) // SEGMENT):
        (wal / f"{1:08X}{n * SEGMENT >> 32:08X}{n % 256:08X}").touch()


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = what()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    cases = parser.parse_args().cases
    with running({"fsync": "off", "max_wal_size": "4GB"}) as cluster:
        measure(cluster.superuser_conninfo(), cluster.places.home, cases)


def measure(conninfo: str, home: Path, cases: int) -> None:
    migrate(conninfo)
    fill(conninfo, cases)
    catalogue = load()
    sets = tuple(
        BackupSet(id=f"set{n}", store="company", tool="basebackup", region="CN", location="x", keep=f"P{KEEP}D",
                  description="bench")
        for n in range(1, SETS + 1)
    )  # fmt: skip
    for one in sets:
        repository(home / one.id)

    class Places_:
        def postgres(self, *_: object) -> str:
            return conninfo

    desk = Desk(
        catalogue=replace_backups(catalogue, sets), connections=cast(Any, Places_()), keys=cast(FileKeyStore, None),
        stores=lambda: (), accounts=cast(Any, None), append=cast(Any, None), record=lambda *_: None,
        backup_tool=lambda one: BaseBackups(one.id, str(home / one.id)),
    )  # fmt: skip
    on: dict[str, Any] = {"as_of": TODAY, "actor": "system/bench"}
    tools, read = timed(lambda: {one.id: desk.backup_tool(one).look() for one in sets})
    first, looked = timed(lambda: backups.look(desk, **on))
    # The tools' own time apart: what they said is handed in.
    told = replace(desk, backup_tool=lambda one: Said(read[one.id]))
    again = min(timed(lambda: backups.look(told, **on))[0] for _ in range(5))
    with desk.book() as conn:
        due, found = timed(lambda: settling.to_certify(conn))
        one_by_one, _ = timed(lambda: by_case(conn, 1000))
    print(f"{cases:,} waiting cases, {NIGHTS} nights, {SETS} sets of {NIGHTS - 1} copies each: {looked}\n")
    print("| | seconds |\n|---|---:|")
    print(f"| floor: asking the tools | {tools:.3f} |")
    print(f"| **the daily look besides, nothing new** | **{again:.3f}** |")
    print(f"| the day on which a night of {cases // NIGHTS:,} cases goes, tools included | {first:.3f} |")
    print(f"| which cases are to be certified anew ({len(found):,}) | {due:.3f} |")
    print(f"| case by case: the same comparison read for 1,000 cases | {one_by_one:.3f} |")
    print(f"\nPeak memory of the client: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB.")


@dataclass(frozen=True)
class Said:
    """A tool that has said it before."""

    copies: Copies

    def look(self) -> Copies:
        return self.copies


def replace_backups(catalogue: Any, sets: tuple[BackupSet, ...]) -> Any:
    return catalogue.model_copy(update={"backups": sets})


def by_case(conn: book.Conn, cases: int) -> None:
    from include.cases import epochs

    for n in range(1, cases + 1):
        epochs.of_case(conn, f"CASE-{n:07}")


if __name__ == "__main__":
    main()
