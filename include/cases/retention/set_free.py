"""What is due since a night took something else, was not when it began, and is the next night's.

    bare rows    they were cut once and stayed for others, which the night took
    log lines    of an account that the night took: it says no more that its holder accepted a longer period, so that the
                 shortest counts that was promised. A statute's floor is as it was: it starts by the line's own date

Nothing else may be due that the night did not say it left. So the prover counts these by what they are, and lets nothing pass for
its number alone: neither a row that is whole, nor a line whose account says what was accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import sql

from include.cases.accounts import home
from include.cases.retention import counted, records
from include.cases.retention.accepted import Asked
from include.cases.retention.asking import Asking
from include.cases.retention.due import judge
from include.cases.retention.limits import binds
from include.cases.rooms import Desk
from include.model.errors import NotReachable
from include.model.estate import Dataset
from include.model.interval import Standing
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bare import is_cut
from include.stores.postgres.server import Server, one


def set_free(
    desk: Desk, about: Asking, datasets: Sequence[Dataset], due: Mapping[str, int], took: counted.Words
) -> dict[str, int]:
    """Of each of these datasets, how many items that are due (``due``) and not held the night set free. ``took``: what it says
    that it did. What cannot be asked is in none of them: that it is due and was not said to be left stands."""
    if not counted.gone(took):
        return {}
    found = _bare(desk, about, [d for d in datasets if _may_be_bare(d)])
    if about.at is None and home(desk.catalogue).id in took and took[home(desk.catalogue).id]["erased"]:
        for dataset in datasets:
            if dataset.kind is DatasetKind.RECORDS and any(b.unless for b in binds(about.catalogue, dataset)):
                found[dataset.id] = max(0, due[dataset.id] - _due_whoever_left(desk, about, dataset))
    return found


def _bare(desk: Desk, about: Asking, datasets: Sequence[Dataset]) -> dict[str, int]:
    found: dict[str, int] = {}
    for store in sorted({d.store for d in datasets}):
        declared = desk.catalogue.store(store)
        server = Server(lambda c=declared.connection: desk.connections.postgres(c, Role.PROVER), store)  # type: ignore[misc]
        try:
            with server.connect() as connection, server.reaching(store):
                connection.execute("SET default_transaction_read_only = on")
                looks = about.looks(server, connection, Live.read(connection))
                for dataset in (d for d in datasets if d.store == store and d.id in looks):
                    rows = looks[dataset.id].due_rows(is_cut(dataset))
                    query = sql.SQL("SELECT count(*) FROM ({}) AS w").format(rows)
                    found[dataset.id] = int(one(connection.execute(query))[0])
        except NotReachable:
            continue
    return found


def _may_be_bare(dataset: Dataset) -> bool:
    """Whether its rows stay bare for others, and go with the last of those."""
    return (
        dataset.kind is DatasetKind.TABLE
        and dataset.cut is not None
        and dataset.cut.ends is None
        and dataset.part_of is None
        and dataset.action == "erase"
    )


def _due_whoever_left(desk: Desk, about: Asking, dataset: Dataset) -> int:
    """How many records would be due if everybody of whom no account says a version had accepted the newest."""
    asked, newest = Asked(desk.catalogue, desk.connections), desk.catalogue.versions[-1].id

    def accepted(accounts: Collection[str]) -> Mapping[str, str]:
        return dict.fromkeys(accounts, newest) | dict(asked(accounts))

    aging = records.aging(about.catalogue, dataset, about.as_of, about.held(), accepted)
    groups, _ = records.groups(records.logs(about.catalogue, desk.connections, aging))
    judged = judge(about.catalogue, dataset, about.as_of, groups, everything=True)
    return sum(it.items for it in judged if it.interval.stands(about.as_of) is Standing.DUE and not it.held)
