"""Plants residue: a row, a value, a table that a disposal should have taken and did not.

What is planted is random, so that no proof can know it beforehand. Lives in the tests: the proofs cannot import it.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field

from tests.stores.postgres.making import Company


@dataclass
class Planter:
    """Plants into one company as its owner, past triggers and row security."""

    company: Company
    seed: int
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def word(self, length: int = 12) -> str:
        """A random word, incompressible enough."""
        return "".join(self.dice.choices(string.ascii_lowercase + string.digits, k=length))

    def as_owner(self, statement: str, *parameters: object) -> None:
        """As the owner, with triggers off: how a bulk load or a restore would bring rows in."""
        self.company.sql(
            "ALTER TABLE account.session DISABLE TRIGGER ALL; ALTER TABLE account.account DISABLE TRIGGER ALL;"
        )
        try:
            self.company.sql(statement, *parameters)
        finally:
            self.company.sql(
                "ALTER TABLE account.session ENABLE TRIGGER ALL; ALTER TABLE account.account ENABLE TRIGGER ALL;"
            )
