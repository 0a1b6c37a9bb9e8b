"""The sandbox's company made ready: schema, people, buckets, and what Quietus installs in its stores. Twice is once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import psycopg

from include.cases.assembling import desk
from include.catalogue import load
from include.connections import PREFIXES, Environment
from include.model.keks import Keks
from include.model.times import observed_now, prc_date
from include.model.words import DatasetKind, Role, StoreKind
from include.sandbox import seed as seeding
from include.sandbox.backups import take
from include.sandbox.legal import hold_open_disputes
from include.sandbox.objects_seed import LOCKED_FOR
from include.sandbox.registering import register_synthetic_people
from include.sandbox.stack.postgres import ensure_gatekeeper
from include.sandbox.stack.stack import COMPANY, Stack
from include.stores.postgres import install
from include.stores.s3 import S3Store

SEED = 1
PEOPLE = 2000
SYNTHETIC = 3


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
    locked_for: timedelta = LOCKED_FOR,
) -> bool:
    """Schema, people and buckets if they are not there yet, and Quietus in both stores. True if people were made."""
    owner = stack.company.superuser_conninfo(COMPANY)
    connections = environment(stack)
    seeding.apply_schema(owner)
    buckets = connections.s3("objects", Role.ERASER)
    fresh = not _has_people(owner)
    empty = seeding.make_buckets(buckets)
    if fresh:
        seeding.seed(
            owner, buckets, people=people, seed=seed, today=today or prc_date(observed_now()),
            synthetic_people=SYNTHETIC, keks=Keks.of(connections), progress=say,
            locked_for=locked_for,
        )  # fmt: skip
    elif empty:
        say(
            "company: the S3 server keeps objects in memory, and lost them when it stopped; making them again"
        )
        seeding.put_again(owner, buckets, say)
    put_in_place(stack)
    stack.settle_people(say)
    say("company: restriction, receipts and step areas are in place")
    hold_disputes(stack, say)
    register_synthetic(stack, say)
    if fresh:
        back_up(stack, say)
    return fresh


def back_up(stack: Stack, say: Callable[[str], None]) -> None:
    """The company's own backup job, once: what is deleted later is in this copy until it goes."""
    made = take(stack.company, stack.backups)
    say(f"company: base backup {made.name} is taken and verified")


def hold_disputes(stack: Stack, say: Callable[[str], None]) -> None:
    """Holds on the evidence of open arbitrations, as legal would have opened them."""
    opened = hold_open_disputes(desk(environment(stack), load()), as_of=prc_date(observed_now()))
    if opened:
        say(f"case book: legal holds the evidence of {opened} open arbitrations")


def register_synthetic(stack: Stack, say: Callable[[str], None]) -> None:
    """What ops does with the company's synthetic people: says who they are, and under which numbers who has them."""
    accounts = seeding.synthetic_accounts(stack.company.superuser_conninfo(COMPANY))
    new = register_synthetic_people(
        desk(environment(stack), load()), accounts, as_of=prc_date(observed_now())
    )
    if new:
        say(f"case book: {new} synthetic people are registered, by whom recipients' word is tested")


def put_in_place(stack: Stack) -> None:
    """What Quietus installs in each store of the catalogue."""
    catalogue = load()
    owner = stack.company.superuser_conninfo(COMPANY)
    connections = environment(stack)
    for store in catalogue.stores:
        if store.kind is StoreKind.POSTGRES:
            install(owner, catalogue, store.id)
            ensure_gatekeeper(stack.company, COMPANY)
        elif catalogue.of_store(store.id, DatasetKind.OBJECTS, DatasetKind.RECORDS):
            S3Store(catalogue, store.id, connections).install()


def _has_people(owner: str) -> bool:
    with psycopg.connect(owner) as connection:
        return connection.execute("SELECT FROM account.account LIMIT 1").fetchone() is not None
