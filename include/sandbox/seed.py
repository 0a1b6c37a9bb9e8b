"""The sandbox's data: a company's schema, its made-up people, their objects. Same seed and day, same data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from include.model.errors import NotReachable, Refused
from include.sandbox.buckets import make_buckets
from include.sandbox.loading import derive, load, make_partitions
from include.sandbox.objects_seed import Putting
from include.sandbox.people import ops
from include.sandbox.people.cases import ORDER, hard_cases
from include.sandbox.people.everybody import makings, rows_of
from include.sandbox.people.files import files_of, open_upload
from include.sandbox.people.logs import Logs
from include.sandbox.people.making import Row
from include.sandbox.people.person import source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = Path(__file__).with_name("schema")
GRANTS = SCHEMA / "99_grants.sql"
LEAST_PEOPLE = 50  # the hard cases, and enough others for a count that statistics may show
MOST_PEOPLE = 1_000_000
TELL_EVERY = 10_000  # people
LOGGED = 2000  # so many people are in the shared logs, and all who have objects
Say = Callable[[str], None]


@dataclass(frozen=True)
class Seeded:
    """What was made: rows by table, objects by bucket, and the account ids of the hard cases by name."""

    counts: Mapping[str, int]
    objects: Mapping[str, int]
    cases: dict[str, str]


def apply_schema(conninfo: str) -> None:
    """The company's schemas, tables and roles, in the superuser's database. Twice is once. Raises NotReachable."""
    with _connect(conninfo) as connection:
        row = connection.execute("SELECT to_regnamespace('account') IS NOT NULL").fetchone()
        if row is None or not row[0]:
            for file in sorted(SCHEMA.glob("*.sql")):
                connection.execute(file.read_text("utf-8").encode())


def seed(
    conninfo: str,
    s3: S3Client,
    *,
    people: int = 2000,
    seed: int = 1,
    today: date,
    objects_share: float = 0.01,
    progress: Say = lambda line: None,
) -> Seeded:
    """Make so many people, the hard cases first: rows for all, objects for the hard cases and a share of the others.

    One transaction: a company is there with everybody in it, or with nobody. Raises Refused if somebody is there
    already or the numbers make no sense, NotReachable if the database does not answer.
    """
    if not LEAST_PEOPLE <= people <= MOST_PEOPLE or not 0 <= objects_share <= 1:
        raise Refused(
            f"{people} people with objects for {objects_share:.0%} of them cannot be made",
            about="sandbox",
            next_step=f"ask for {LEAST_PEOPLE} to {MOST_PEOPLE:,} people and a share from 0 to 1",
        )
    with _connect(conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM (SELECT FROM account.account LIMIT 1) AS a").fetchone()
        if row is None or row[0]:
            raise Refused(
                "there are people already", about="sandbox", next_step="quietus sandbox down --purge, then up"
            )
        make_partitions(connection, today)
        with Putting(s3) as putting:
            everything = _everything(people, seed, today, objects_share, putting, progress)
            counts = load(connection, everything)
            counts += derive(connection, today)
    with _connect(conninfo) as connection:
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")
    progress(
        f"{sum(counts.values()):,} rows and {sum(putting.counts.values()):,} objects of {people:,} people"
    )
    return Seeded(counts, putting.counts, hard_cases(seed))


def _everything(
    people: int, seed: int, today: date, share: float, putting: Putting, say: Say
) -> Iterator[Row]:
    """All rows; their objects are put as they come, and the shared logs last."""
    logs = Logs(seed, today)
    yield from ops.incidents(today)
    for making in makings(people, seed, today):
        rows = list(rows_of(making))
        yield from rows
        number = making.person.number
        with_objects = number < len(ORDER) or source(seed, number, "objects").random() < share
        if with_objects:
            putting.put(files_of(making, rows), open_upload(making))
        if with_objects or number < LOGGED:
            logs.add(making)
        if (number + 1) % TELL_EVERY == 0:
            say(f"{number + 1:,} people")
    putting.put(logs.files())


def _connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(conninfo, connect_timeout=10)
    except psycopg.OperationalError:
        raise NotReachable(
            "the company's database does not answer", about="company", next_step="quietus sandbox up"
        ) from None


__all__ = ["ORDER", "Seeded", "apply_schema", "hard_cases", "make_buckets", "seed"]
