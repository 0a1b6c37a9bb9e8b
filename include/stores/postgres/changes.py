"""What de-identifying and unlinking set in a row, and whether a foreign key still holds afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from include.model.estate import Cut, Dataset
from include.model.words import Ownership
from include.stores.postgres.area import Area
from include.stores.postgres.server import name


@dataclass(frozen=True)
class Change:
    """One UPDATE: which weighed rows (``where``, over key table ``k``), and column -> new value (over the row)."""

    where: sql.Composable
    set: dict[str, sql.Composable]

    def frees(self, columns: tuple[str, ...]) -> sql.Composable | None:
        """When it nulls one of these columns, so that a foreign key over them no longer refers; None: never."""
        nulled = [
            sql.SQL("{} IS NULL").format(self.set[c])
            for c in columns
            if c in self.set and (self.set[c] is NULL or isinstance(self.set[c], Unless))
        ]
        return sql.SQL("(({}) AND ({}))").format(self.where, sql.SQL(" OR ").join(nulled)) if nulled else None

    def differs(self) -> sql.Composed:
        """Whether row ``t`` is not yet as this change makes it."""
        if not self.set:
            return sql.SQL("false").format()
        return sql.SQL("({})").format(
            sql.SQL(" OR ").join(
                sql.SQL("{} IS DISTINCT FROM {}").format(name("t", c), v) for c, v in self.set.items()
            )
        )


NULL = sql.SQL("NULL")


class Unless(sql.Composed):
    """Null where the column names a subject of the cohort, else as it is."""


def changes(
    area: Area, dataset: Dataset, cut: Cut | None, row: str = "t", *, people: bool = True
) -> tuple[Change, ...]:
    """The updates that a dataset's dispositions can call for. ``row``: the alias of the row itself. ``people``: whether the step
    is about some; without them, as at night, a row is cut whole, and nobody is unlinked from it.

    A row reached by access only is somebody else's: only the link columns that name the cohort are nulled.
    The cut serves there only if the dataset has no such column and nobody in it is an owner.
    """
    constants = {c: (NULL if v is None else sql.Literal(v)) for c, v in cut.set.items()} if cut else {}
    whole = Change(
        sql.SQL(
            "k.disposition = 'deidentify' OR (k.disposition = 'unlink' AND k.ownership <> 'access_only')"
        ),
        dict(constants),
    )
    if dataset.part_of is not None:
        return (Change(sql.SQL("k.disposition = 'erase'"), dict(constants)),)
    if not people:
        return (whole,)
    links: dict[str, sql.Composable] = {}
    for link in dataset.links:
        if link.ownership is Ownership.ACCESS_ONLY and link.column:
            mine = name(row, link.column)
            links[link.column] = Unless(
                [
                    sql.SQL(
                        "CASE WHEN EXISTS (SELECT FROM {} AS uc WHERE uc.subject_id = {}::text) THEN NULL ELSE {} END"
                    ).format(area.cohort, mine, mine)
                ]
            )
    only_access = all(link.ownership is Ownership.ACCESS_ONLY for link in dataset.links)
    access = links or (constants if only_access else {})
    return (
        whole,
        Change(sql.SQL("k.disposition = 'unlink' AND k.ownership = 'access_only'"), dict(access)),
    )
