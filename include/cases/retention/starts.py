"""What a night leaves in the case book of clocks that have not begun, by dataset and the column that starts them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from include.cases.book import Conn
from include.cases.retention.nights import Night
from include.stores.postgres.retention.begun import Begun


@dataclass(frozen=True)
class Start:
    """Rows of a dataset that a night saw without a date in the column that starts their clock (``not_started``), or with one that
    lies ``ahead``. ``never``: those of them that nobody is left to give a date, or whose date is of a far year: they are never
    due and would stay for ever, so that the night is red."""

    dataset: str
    start: str
    rules: tuple[str, ...]
    not_started: int
    ahead: int
    never: int


def keep(conn: Conn, night: Night, found: Iterable[Begun]) -> None:
    """Write down what a night saw of them when it began; nothing of columns in which every row has a date that is over."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.night_start (night_id, dataset, start, rules, not_started, ahead, never)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(night.night_id, x.dataset, x.column, list(x.rules), x.none, x.ahead, x.never)
             for x in found if x.none or x.ahead or x.never],
        )  # fmt: skip


def of_night(conn: Conn, night: Night) -> list[Start]:
    """What a night saw, what can never begin first."""
    rows = conn.execute(
        "SELECT dataset, start, rules, not_started, ahead, never FROM casebook.night_start WHERE night_id = %s"
        " ORDER BY never DESC, dataset, start",
        (night.night_id,),
    ).fetchall()
    return [Start(**{**row, "rules": tuple(row["rules"])}) for row in rows]
