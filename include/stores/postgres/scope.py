"""What survey, weigh and dispose share: which datasets a step works on, by what they are judged, and the two passes over
all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.flow import Provision, Step
from include.model.words import Disposition
from include.stores.postgres.area import Area
from include.stores.postgres.closure import close_over_references
from include.stores.postgres.live import Live
from include.stores.postgres.retention.carried import carried
from include.stores.postgres.server import Connection, joined
from include.stores.postgres.survey import survey_dataset
from include.stores.postgres.weigh import Judging, run_starting_points, weigh_dataset

ANALYZE_FROM = 500  # rows; below, the planner's guess from the table's size will do


def needed(datasets: Sequence[Dataset], provided: set[str], live: Live) -> tuple[Dataset, ...]:
    """The datasets provided for, those that refer to them by a foreign key, and all that links lead through."""
    by_id = {d.id: d for d in datasets}
    by_address = {d.address: d for d in datasets}
    todo = [d.id for d in datasets if d.id in provided]
    for key in live.foreign_keys:
        parent, child = by_address.get(key.parent), by_address.get(key.child)
        if parent and child and parent.id in provided:
            todo.append(child.id)
    found: set[str] = set()
    while todo:
        here = todo.pop()
        if here not in found and here in by_id:
            found.add(here)
            todo += [link.via for link in by_id[here].links if link.via]
    return tuple(d for d in datasets if d.id in found)


def judging_of(
    step: Step,
    provisions: Sequence[Provision],
    datasets: Sequence[Dataset],
    all_datasets: Sequence[Dataset],
    shared_law: str,
) -> Judging:
    """What is weighed by. A dataset that is there only for its links or foreign keys stays as it is: idle."""
    of = {p.dataset: p for p in provisions}
    idle = {
        d.id: Provision(
            dataset=d.id,
            disposition=Disposition.RETAIN,
            rule=d.binds[0].rule if d.binds else "none",
            law="not in this step",
        )
        for d in datasets
        if d.id not in of
    }
    return Judging(
        step.case_no,
        step.as_of,
        step.began,
        step.restricting,
        {**of, **idle},
        shared_law,
        frozenset(idle),
        partial=any(d.id not in of for d in all_datasets),
    )


def locate(
    connection: Connection, area: Area, catalogue: Catalogue, live: Live, datasets: Sequence[Dataset]
) -> None:
    """Survey every dataset, parents first, replacing what was surveyed before."""
    if not datasets:
        return
    connection.execute(
        sql.SQL("DROP TABLE IF EXISTS {}").format(joined(", ", (area.table(d.id) for d in datasets)))
    )
    for dataset in datasets:
        n = survey_dataset(connection, area, catalogue, live, dataset)
        if n >= ANALYZE_FROM:
            connection.execute(sql.SQL("ANALYZE {}").format(area.table(dataset.id)))


def weigh_all(
    connection: Connection,
    area: Area,
    catalogue: Catalogue,
    live: Live,
    datasets: Sequence[Dataset],
    judging: Judging,
) -> tuple[set[str], set[str]]:
    """Starting points, then each dataset, then referential closure. Returns whose key tables are new ones, and which
    starting points were asked."""
    judging = replace(judging, taken=carried(connection))
    starts = run_starting_points(connection, catalogue, judging)
    rewritten = set()
    for dataset in datasets:
        n = weigh_dataset(connection, area, live, dataset, judging, starts)
        if n is None:
            continue
        rewritten.add(dataset.id)
        if n >= ANALYZE_FROM:
            connection.execute(sql.SQL("ANALYZE {}").format(area.table(dataset.id)))
    close_over_references(connection, area, live, datasets, judging)
    return rewritten, set(starts)
