"""The attack that must fail: whoever knows what a person's row was looks for it in what was released.

Before the release the prover keeps the originals of a sample, in memory alone: the rows that fewest share, the first and the last
of every column, and some by chance. Afterwards it computes what each value may have become, by its own reading of the
declared hierarchies, and counts who fits: by everything that is known, by each column, by each two, and by a sensitive value
alone. Fewer than k is a person singled out; one sensitive value among all who fit is a secret learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import combinations
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from include.model.estate import Dataset
from include.model.releases import Quasi, Release
from include.proofs.server import Connection, Reader
from include.proofs.tables import quoted

SAMPLE = 20
TOP = "*"
_BEIJING = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Original:
    """What one row was. ``texts``: its values as the server writes them. ``published``: it is a row of the release itself, of
    which somebody knows whose it is, so that nothing of it becomes coarser."""

    values: dict[str, Any] = field(repr=False)
    texts: dict[str, str | None] = field(repr=False)
    published: bool = False


@dataclass(frozen=True)
class Attack:
    """What came of it: tries, and how many of them singled somebody out or told a sensitive value."""

    tries: int
    singled_out: int
    learned: int


def take(reader: Reader, dataset: Dataset, release: Release, size: int = SAMPLE) -> tuple[Original, ...]:
    """Originals of rows that are still there, to be tried once they are released. Raises NotReachable, Refused."""
    columns = tuple(dict.fromkeys((*release.known, *release.sensitive, *release.drop)))
    there = sql.SQL("{} AS t{}").format(
        quoted(dataset.address),
        sql.SQL(" WHERE t.{} IS NOT NULL").format(sql.Identifier(release.marker)) if release.marker else sql.SQL(""),
    )  # fmt: skip
    return _drawn(reader, release, columns, there, size, as_released=False)


def take_published(
    reader: Reader, dataset: Dataset, release: Release, size: int = SAMPLE
) -> tuple[Original, ...]:
    """Rows of the release itself, drawn in the same way, for whoever knows the whole row of somebody in it. It needs no
    original that was kept, so that it can be tried years later. Raises NotReachable, Refused."""
    there = published(dataset, release)
    return _drawn(reader, release, release.published, there, size, as_released=True)


def _drawn(
    reader: Reader, release: Release, columns: Sequence[str], there: sql.Composed, size: int, *, as_released: bool
) -> tuple[Original, ...]:  # fmt: skip
    known = [sql.Identifier("t", c) for c in release.known]
    both = sql.SQL(", ").join(
        [sql.Identifier("t", c) for c in columns]
        + [sql.SQL("{}::text").format(sql.Identifier("t", c)) for c in columns]
    )
    rows = sql.SQL("SELECT {} FROM {}").format(both, there)
    orders = [
        sql.SQL("count(*) OVER (PARTITION BY {}), random()").format(sql.SQL(", ").join(known)),
        sql.SQL("random()"),
    ]
    limits = [size, size // 2]
    for column in (*release.quasi, *release.sensitive):
        at = sql.Identifier("t", column)
        orders += [
            at,
            sql.SQL("{} DESC NULLS LAST").format(at),
            sql.SQL("count(*) OVER (PARTITION BY {})").format(at),
        ]
        limits += [1, 1, 1]
    found: dict[tuple[str | None, ...], Original] = {}
    with reader.connect() as connection:
        for order, limit in zip(orders, limits, strict=True):
            ordered = sql.SQL("{} ORDER BY {} LIMIT {}").format(rows, order, sql.Literal(limit))
            for row in connection.execute(ordered):
                values, texts = row[: len(columns)], row[len(columns) :]
                found[texts] = Original(
                    dict(zip(columns, values, strict=True)),
                    dict(zip(columns, texts, strict=True)),
                    as_released,
                )
    return tuple(found.values())


def attack(reader: Reader, dataset: Dataset, release: Release, sample: Sequence[Original]) -> Attack:
    """Look for each original of a sample in what was released. Raises NotReachable, Refused."""
    tries = singled = learned = 0
    with reader.connect() as connection:
        for original in sample:
            counts, secrets = _candidates(connection, dataset, release, original)
            tries += len(counts)
            singled += sum(0 < n < release.k for n in counts)
            learned += sum(wanted > 1 and counts[0] > 0 and n == 1 for wanted, n in secrets)
    return Attack(tries, singled, learned)


def _candidates(
    connection: Connection, dataset: Dataset, release: Release, original: Original
) -> tuple[list[int], list[tuple[int, int]]]:
    """How many rows fit by each way of knowing the original (the first: all that may be known); and of each sensitive
    column the wanted and the found number of values among those that fit by all."""
    fits: dict[str, sql.Composable] = {}
    parameters: dict[str, Any] = {}
    for n, column in enumerate(release.known):
        texts = release.into is not None or column in release.plain
        labels = list(may_become(release, column, original))
        at = sql.Identifier("t", column)
        parameters[f"c{n}"] = [x for x in labels if x is not None]
        fits[column] = sql.SQL("({at}{text} = ANY({these}){null})").format(
            at=at, text=sql.SQL("::text" if texts else ""), these=sql.Placeholder(f"c{n}"),
            null=sql.SQL(" OR {} IS NULL").format(at) if None in labels else sql.SQL(""),
        )  # fmt: skip
    everything = sql.SQL(" AND ").join(fits.values())
    ways = [everything, *fits.values()]
    ways += [sql.SQL("{} AND {}").format(a, b) for a, b in combinations(fits.values(), 2)]
    for n, column in enumerate(release.sensitive):
        if original.texts[column] is not None:
            parameters[f"s{n}"] = original.texts[column]
            ways.append(sql.SQL("t.{}::text = {}").format(sql.Identifier(column), sql.Placeholder(f"s{n}")))
    asked = [sql.SQL("count(*) FILTER (WHERE {})").format(way) for way in ways]
    asked += [
        sql.SQL("count(DISTINCT t.{}) FILTER (WHERE {})").format(sql.Identifier(c), everything)
        for c in release.sensitive
    ]
    statement = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(asked), published(dataset, release))
    # Bound by the server, apart from the statement: statements are what logs quote.
    row = psycopg.Cursor(connection).execute(statement, parameters).fetchone() or ()
    counts = [int(n) for n in row[: len(ways)]]
    wanted = [s.l for s in release.sensitive.values()]
    return counts, list(zip(wanted, (int(n) for n in row[len(ways) :]), strict=True))


def published(dataset: Dataset, release: Release) -> sql.Composed:
    """What was released, as ``t``."""
    if release.into:
        return sql.SQL("{} AS t").format(quoted(release.into))
    if release.marker:
        return sql.SQL("{} AS t WHERE t.{} IS NULL").format(
            quoted(dataset.address), sql.Identifier(release.marker)
        )
    return sql.SQL("{} AS t").format(quoted(dataset.address))


def may_become(release: Release, column: str, original: Original) -> Iterator[Any]:
    """Every label that a value may have by now, at whatever level; None is a null."""
    value, text = original.values[column], original.texts[column]
    quasi = release.quasi.get(column)
    if quasi is None:
        yield text
        return
    texts = release.into is not None
    if original.published:
        yield text if texts else value
        return
    yield TOP if texts else None
    yield text if texts else value
    if value is not None:
        yield from _spans(quasi, value, str(text), texts)


def _spans(quasi: Quasi, value: Any, text: str, texts: bool) -> Iterator[Any]:
    for part in quasi.date:
        yield _moment(value, part, texts)
    for width in quasi.band:
        low = floor(Decimal(str(value)) / width) * width
        yield f"[{low}, {low + width})" if texts else low
    for length in quasi.prefix:
        yield text[:length] + TOP if texts else text[:length]
    yield from quasi.map.get(text, ())


def _moment(value: date | datetime, part: str, texts: bool) -> Any:
    local = value.astimezone(_BEIJING) if isinstance(value, datetime) and value.tzinfo else value
    quarter = (local.month - 1) // 3
    if texts:
        return {
            "day": f"{local:%Y-%m-%d}", "month": f"{local:%Y-%m}", "quarter": f"{local:%Y}-Q{quarter + 1}",
            "year": f"{local:%Y}",
        }[part]  # fmt: skip
    began = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0} if isinstance(local, datetime) else {}
    first = {
        "day": {},
        "month": {"day": 1},
        "quarter": {"day": 1, "month": 3 * quarter + 1},
        "year": {"day": 1, "month": 1},
    }
    return local.replace(**{**began, **first[part]})
