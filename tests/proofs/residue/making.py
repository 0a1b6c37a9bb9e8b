"""A cluster with a person in it, written in every form that hides something."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from include.proofs.residue.files import sources
from include.proofs.residue.scan import Residue, scan
from include.proofs.values import Values
from tests.conftest import PgServer

PERSON, OTHER = 1, 2


@dataclass(frozen=True)
class Human:
    """Made-up values of somebody."""

    phone: str
    document: str
    account: str
    uuid: str
    number: int

    @classmethod
    def made(cls, seed: int) -> Human:
        dice = random.Random(seed)
        return cls(
            phone=f"139{dice.randrange(10**8):08}",
            document=f"E{dice.randrange(10**8):08}",
            account=f"acct_{dice.getrandbits(64):016x}",
            uuid=str(UUID(int=dice.getrandbits(128), version=4)),
            number=dice.randrange(10**14, 10**15),
        )

    @property
    def values(self) -> Values:
        return Values(frozenset({self.phone, self.document, self.account, self.uuid, str(self.number)}))


PEOPLE = {PERSON: Human.made(1), OTHER: Human.made(2)}


def prose(seed: int, words: int, *, holding: str = "") -> str:
    """Text that compresses, with a value in its middle, so that no literal run has the whole of it."""
    dice = random.Random(seed)
    stems = [hashlib.sha256(str(n).encode()).hexdigest()[:5] for n in range(60)]
    said = [dice.choice(stems) for _ in range(words)]
    # A value of which parts stood before: a compressor then writes it as references.
    for n in range(0, len(holding), 4):
        said.insert(words // 4 + n, holding[n : n + 4])
    said.insert(3 * words // 4, holding)
    return " ".join(said)


@contextmanager
def database(server: PgServer, name: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of its own, with one connection to it, as the superuser."""
    with psycopg.connect(server.superuser_conninfo, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    try:
        with psycopg.connect(server.cluster.superuser_conninfo(name), autocommit=True) as conn:
            yield conn
    finally:
        with psycopg.connect(server.superuser_conninfo, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def looked(root: Path, people: Mapping[int, Human] = PEOPLE) -> Residue:
    """A scan for these people."""
    return scan({n: human.values for n, human in people.items()}, sources(root))


def how(residue: Residue, person: int) -> set[str]:
    return {place.how for place in residue.found.get(person, ())}
