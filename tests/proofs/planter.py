"""Plants residue where a disposal left none: random values, tables, columns and places.

What is planted is random, so that no proof can know it beforehand. It lives in the tests, where the proofs cannot
import it.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field

from tests.stores.postgres.making import Company

AREAS = ("110101", "310104", "440305", "510107")


@dataclass
class Planter:
    """Plants into one company as its owner, past triggers and row security."""

    company: Company
    seed: int
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def word(self, length: int = 10) -> str:
        """A random name for a table or column."""
        return "x" + "".join(self.dice.choices(string.ascii_lowercase, k=length - 1))

    def mobile(self) -> str:
        return "139" + "".join(self.dice.choices(string.digits, k=8))

    def email(self) -> str:
        return f"{self.word()}@{self.word(6)}.example"

    def document_no(self) -> str:
        """A resident ID number with a right check digit (GB 11643)."""
        body = f"{self.dice.choice(AREAS)}{self.dice.randint(1960, 2005)}0{self.dice.randint(1, 9)}15"
        body += f"{self.dice.randint(0, 999):03d}"
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
        return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]

    def table(self, kind: str, value: str, *, rows: int = 1) -> str:
        """An undeclared table of a random name with a column of this kind that holds the value somewhere."""
        schema, name, column = self.dice.choice(("account", "sign", "log")), self.word(), self.word()
        self.company.sql(f"CREATE TABLE {schema}.{name} (id int, {column} {kind})")
        self.company.sql(
            f"INSERT INTO {schema}.{name} SELECT i, %s::text::{kind} FROM generate_series(1, %s) AS i",
            value,
            rows,
        )
        return f"{schema}.{name}"

    def late_row(self, subject: str) -> tuple[str, int]:
        """Rows for the person in a random mapped table, as a restore or a bulk load would bring them."""
        n = self.dice.randint(1, 4)
        table, insert = self.dice.choice(
            (
                ("account.session", "SELECT 90000 + i, %s, 'x' FROM generate_series(1, %s) AS i"),
                ("log.access", "SELECT '2026-11-20', 90000 + i, %s, '/x' FROM generate_series(1, %s) AS i"),
                ("sign.folder", "SELECT 90000 + i, %s, NULL, 'x' FROM generate_series(1, %s) AS i"),
            )
        )
        self.company.sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        self.company.sql(f"INSERT INTO {table} {insert}", subject, n)
        self.company.sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return table, n
