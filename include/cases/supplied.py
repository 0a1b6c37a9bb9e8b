"""Whom a partner means by its own number: asked of the data that it supplied, and of nothing else."""

from __future__ import annotations

from psycopg import sql

from include.cases import book
from include.cases.book import Case
from include.cases.lookups import looking_up
from include.cases.part import Part
from include.cases.planner import OWN_CONTRACT
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.policy import Upstream


def dataset_of(catalogue: Catalogue) -> Dataset:
    """The dataset that says which partner supplied what."""
    for dataset in catalogue.datasets:
        if dataset.supplied is not None:
            return dataset
    raise CatalogueError(
        "no dataset is declared to be what partners supplied", about=catalogue.name,
        next_step="declare `supplied` of the table that names the partner and its reference",
    )  # fmt: skip


def accounts(
    catalogue: Catalogue, connections: Connections, partner: Upstream, reference: str
) -> tuple[str, ...]:
    """The accounts that this partner supplied data about under this number of its own; of no other partner's."""
    dataset = dataset_of(catalogue)
    schema, _, table = dataset.address.partition(".")
    owner = next(link.column for link in dataset.links if link.column)
    supplied = dataset.supplied
    if supplied is None:
        return ()
    query = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} = %s AND {} = %s ORDER BY 1 LIMIT 2").format(
        sql.Identifier(owner), sql.Identifier(schema, table),
        sql.Identifier(supplied.partner), sql.Identifier(supplied.reference),
    )  # fmt: skip
    with looking_up(
        catalogue, connections, dataset, seconds=10, silent="the store does not answer",
        unreadable="what partners supplied cannot be read", about=dataset.store,
    ) as conn:  # fmt: skip
        return tuple(str(row[0]) for row in conn.execute(query, (partner.partner, reference)))


def reach(catalogue: Catalogue, case: Case) -> Part:
    """What a partner's own request reaches: the rows that it supplied. Raises CatalogueError if the partner is not declared
    any more: nothing says then which rows are its own."""
    partner = next((u for u in catalogue.upstream if u.id == book.person(case.opened_by)), None)
    if partner is None:
        raise CatalogueError(
            "the partner whose request this is is not declared", about=case.case_no,
            next_step="declare it in upstream.yaml again until its cases are closed",
        )  # fmt: skip
    dataset = dataset_of(catalogue)
    return Part(
        {dataset.id: (dataset.supplied.partner, partner.partner)} if dataset.supplied else {}, OWN_CONTRACT
    )
