"""Rows that were disposed of already and are still there, as SQL about one row."""

from __future__ import annotations

from psycopg import sql

from include.model.catalogue import Dataset
from include.stores.postgres.live import Live
from include.stores.postgres.server import joined, name


def is_cut(dataset: Dataset) -> sql.Composed:
    """Whether row ``t`` is as the dataset's cut leaves it."""
    return joined(
        " AND ",
        (
            sql.SQL("t.{} IS NOT DISTINCT FROM {}").format(name(c), sql.Literal(v))
            for c, v in (dataset.cut.set if dataset.cut else {}).items()
        ),
    )


def not_yet_disposed(live: Live, dataset: Dataset) -> sql.Composable:
    """Whether row ``t`` is not: one that was cut is done, unless what is left of it has an end of its own; where rows of the kind
    are to be erased it stays bare only while others refer to it."""
    if dataset.cut is None or dataset.cut.ends is not None:
        return sql.SQL("true")
    done = is_cut(dataset)
    if dataset.action != "erase":
        return sql.SQL("NOT ({})").format(done)
    referring = [
        sql.SQL("EXISTS (SELECT FROM {} AS r WHERE {})").format(
            name(k.child),
            joined(" AND ", (sql.SQL("r.{} = t.{}").format(name(c), name(p))
                             for c, p in zip(k.child_columns, k.parent_columns, strict=True))),
        )
        for k in live.foreign_keys
        if k.parent == dataset.address
    ]  # fmt: skip
    return sql.SQL("NOT ({} AND ({}))").format(
        done, joined(" OR ", referring) if referring else sql.SQL("false")
    )
