"""A case book with its ledger in a database of a cluster, and a log-in role for each duty."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from include.model.words import Role
from include.sandbox.stack.postgres import Cluster

RECORD_ROLES: Mapping[Role, str] = {
    Role.CASE_WRITER: "quietus_case_writer",
    Role.LEDGER_WRITER: "quietus_ledger_writer",
    Role.SEQUENCER: "quietus_sequencer",
    Role.READER: "quietus_reader",
}
"""A log-in role, and the group that its schemas grant to."""


def make_roles(cluster: Cluster, database: str) -> None:
    """The roles, and the database that they alone may connect to."""
    for role in RECORD_ROLES:
        cluster.ensure_role(role.value)
    cluster.ensure_database(database, open_to=tuple(role.value for role in RECORD_ROLES))


def make_tables(cluster: Cluster, database: str) -> None:
    """Case book and ledger, made or brought up to date."""
    from include.cases.migrate import migrate
    from include.ledger import log

    owner = cluster.superuser_conninfo(database)
    migrate(owner)
    log.install(owner)
    with psycopg.connect(owner, autocommit=True) as conn:
        for role, group in RECORD_ROLES.items():
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role.value)))


def make_records(cluster: Cluster, database: str) -> None:
    make_roles(cluster, database)
    make_tables(cluster, database)
