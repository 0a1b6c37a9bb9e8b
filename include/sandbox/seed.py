"""The sandbox's data: a company's schema, its made-up people, their objects. Same seed and day, same data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from include.model.errors import NotReachable, Refused
from include.model.keks import Keks
from include.sandbox.buckets import make_buckets
from include.sandbox.loading import derive, load, make_partitions
from include.sandbox.objects_seed import LOCKED_FOR, Putting
from include.sandbox.people import ops, synthetic
from include.sandbox.people.authority import Published
from include.sandbox.people.cases import ORDER, hard_cases
from include.sandbox.people.everybody import makings, rows_of
from include.sandbox.people.files import files_of, open_upload
from include.sandbox.people.logs import Logs
from include.sandbox.people.making import Row
from include.sandbox.people.person import source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = Path(__file__).with_name("schema")
LEAST_PEOPLE = 50  # the hard cases, and enough others for a count that statistics may show
MOST_PEOPLE = synthetic.FIRST
TELL_EVERY = 10_000  # people
LOGGED = 2000  # so many people are in the shared logs, and all who have objects
Say = Callable[[str], None]


@dataclass(frozen=True)
class Seeded:
    """What was made: rows by table, objects by bucket, and the account ids of the hard cases by name."""

    counts: Mapping[str, int]
    objects: Mapping[str, int]
    cases: dict[str, str]


@dataclass(frozen=True)
class Made:
    """What a company was made with; kept as its schema's comment, so that its objects can be made again."""

    people: int
    seed: int
    today: str  # ISO 8601
    share: float
    synthetic: int = 0


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
    synthetic_people: int = 0,
    keks: Keks | None = None,
    progress: Say = lambda line: None,
    locked_for: timedelta = LOCKED_FOR,
) -> Seeded:
    """Make so many people, the hard cases first: rows for all, objects for the hard cases and a share of the others.
    And so many ``synthetic_people`` beside them, whom every body with an interface knows. ``keks``: what wraps their data
    keys; without them nobody can open what is sealed.

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
        with Putting(s3, locked_for) as putting:
            made = Made(people, seed, today.isoformat(), objects_share, synthetic_people)
            counts = load(connection, _everything(made, putting, progress, keks=keks))
            counts += derive(connection, today)
            connection.execute(
                sql.SQL("COMMENT ON SCHEMA account IS {}").format(sql.Literal(json.dumps(asdict(made))))
            )
    with _connect(conninfo) as connection:
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")
    progress(
        f"{sum(counts.values()):,} rows and {sum(putting.counts.values()):,} objects of {people:,} people"
    )
    return Seeded(counts, putting.counts, hard_cases(seed))


def synthetic_accounts(conninfo: str) -> tuple[str, ...]:
    """The account ids of a company's synthetic people; none where it was made without."""
    made = _made(conninfo)
    return synthetic.accounts(made.synthetic, made.seed)


def _made(conninfo: str) -> Made:
    """What a company was made with. Raises Refused if it was not made by :func:`seed`."""
    with _connect(conninfo) as connection:
        row = connection.execute(
            "SELECT obj_description(to_regnamespace('account'), 'pg_namespace')"
        ).fetchone()
    try:
        return Made(**json.loads(str(row[0] if row else "")))
    except (ValueError, TypeError):
        raise Refused(
            "nobody knows what its people were made with", about="sandbox",
            next_step="start anew: quietus sandbox down --purge, then up",
        ) from None  # fmt: skip


def put_again(conninfo: str, s3: S3Client, progress: Say = lambda line: None) -> Mapping[str, int]:
    """Put the objects of a company that is there already, after an S3 server lost them. Returns versions by bucket.

    Not those of anybody who is restricted or gone: what a case has deleted must not come back with the rest.
    Raises Refused if the company was not made by :func:`seed`.
    """
    made = _made(conninfo)
    with _connect(conninfo) as connection:
        here = {a for (a,) in connection.execute("SELECT account_id FROM account.account")}
        if connection.execute("SELECT to_regclass('quietus.restriction')").fetchone() != (None,):
            here -= {a for (a,) in connection.execute("SELECT subject_id FROM quietus.restriction")}
    with Putting(s3) as putting:
        for _row in _everything(made, putting, progress, lambda account: account in here):
            pass
    return putting.counts


def _everything(
    made: Made,
    putting: Putting,
    say: Say,
    wanted: Callable[[str], bool] = lambda account: True,
    keks: Keks | None = None,
) -> Iterator[Row]:
    """All rows; objects of those who are wanted are put as they come, and the shared logs last."""
    today = date.fromisoformat(made.today)
    logs, published = Logs(made.seed, today), Published(made.seed, today)
    yield from ops.incidents(today)
    for making in makings(made.people, made.seed, today, keks):
        rows = list(rows_of(making))
        yield from rows
        published.add(making)
        number = making.person.number
        with_objects = (
            number < len(ORDER) or source(made.seed, number, "objects").random() < made.share
        ) and wanted(making.person.account_id)
        if with_objects:
            putting.put(files_of(making, rows), open_upload(making))
        if with_objects or (number < LOGGED and wanted(making.person.account_id)):
            logs.add(making)
        if (number + 1) % TELL_EVERY == 0:
            say(f"{number + 1:,} people")
    yield from published.rows()
    putting.put(logs.files())
    yield from synthetic.rows(made.synthetic, made.seed, today)


def _connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(conninfo, connect_timeout=10)
    except psycopg.OperationalError:
        raise NotReachable(
            "the company's database does not answer", about="company", next_step="quietus sandbox up"
        ) from None


__all__ = ["ORDER", "Seeded", "apply_schema", "hard_cases", "make_buckets", "put_again", "seed"]
