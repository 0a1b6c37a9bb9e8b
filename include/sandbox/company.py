"""The sandbox's company made ready: schema, people, buckets, and what Quietus installs in its stores. Twice is once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import psycopg

from include.catalogue import load
from include.connections import PREFIXES, Environment
from include.model.times import observed_now, prc_date
from include.model.words import DatasetKind, Role, StoreKind
from include.sandbox import seed as seeding
from include.sandbox.stack.stack import COMPANY, Stack
from include.stores.postgres import install
from include.stores.s3 import S3Store

SEED = 1
PEOPLE = 2000


def environment(stack: Stack) -> Environment:
    """Connections to the stack's servers, for what runs outside Airflow."""
    return Environment({f"{PREFIXES[0]}{i.upper()}": said for i, said in stack.connections().items()})


def make_ready(
    stack: Stack,
    say: Callable[[str], None],
    *,
    people: int = PEOPLE,
    seed: int = SEED,
    today: date | None = None,
) -> bool:
    """Schema, people and buckets if they are not there yet, and Quietus in both stores. True if people were made."""
    owner = stack.company.superuser_conninfo(COMPANY)
    connections = environment(stack)
    seeding.apply_schema(owner)
    buckets = connections.s3("objects", Role.ERASER)
    fresh = not _has_people(owner)
    if fresh:
        seeding.make_buckets(buckets)
        seeding.seed(
            owner, buckets, people=people, seed=seed, today=today or prc_date(observed_now()), progress=say
        )
    put_in_place(stack)
    say("company: restriction, receipts and step areas are in place")
    return fresh


def put_in_place(stack: Stack) -> None:
    """What Quietus installs in each store of the catalogue."""
    catalogue = load()
    owner = stack.company.superuser_conninfo(COMPANY)
    connections = environment(stack)
    for store in catalogue.stores:
        if store.kind is StoreKind.POSTGRES:
            install(owner, catalogue, store.id)
        elif catalogue.of_store(store.id, DatasetKind.OBJECTS, DatasetKind.RECORDS):
            S3Store(catalogue, store.id, connections).install()


def _has_people(owner: str) -> bool:
    with psycopg.connect(owner) as connection:
        return connection.execute("SELECT FROM account.account LIMIT 1").fetchone() is not None
