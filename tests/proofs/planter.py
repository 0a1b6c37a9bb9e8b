"""Plants residue where a disposal left none: random values, tables, columns and places.

What is planted is random, so that no proof can know it beforehand. It lives in the tests, where the proofs cannot
import it.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field

from include.model.estate import Dataset
from include.model.flow import Plan, Step
from include.model.words import Disposition
from include.planting import made_up
from tests.stores.postgres.making import Company


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
        return made_up.mobile(self.dice)

    def email(self) -> str:
        return made_up.email(self.dice)

    def document_no(self) -> str:
        return made_up.document_no(self.dice)

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

    # --- into tables that are mapped --------------------------------------------------------------

    def past_everything(self, table: str, statement: str) -> None:
        """As a restore or a repair script would: no trigger of the table, no foreign key, no row security."""
        self.company.sql(
            f"ALTER TABLE {table} DISABLE TRIGGER USER; SET session_replication_role = replica; {statement}"
        )

    def one_of(self, plan: Plan, *dispositions: Disposition, but: tuple[str, ...] = ()) -> Dataset:
        """A random dataset of which the plan gives some items one of these fates."""
        ids = {x.dataset for x in plan.lines if x.items and x.disposition in dispositions} - set(but)
        return self.company.catalogue.dataset(self.dice.choice(sorted(ids)))

    def own_rows(self, step: Step, plan: Plan, disposition: Disposition) -> Dataset:
        """A random dataset of which the person owns some items of this fate alone."""
        shared = {
            x.dataset
            for x in plan.lines
            if not self.company.sql(
                f"SELECT 1 FROM {self.key_table(step, self.company.catalogue.dataset(x.dataset))}"
                f" WHERE disposition = '{disposition}' AND ownership = 'sole'"
            )
        }
        return self.one_of(plan, disposition, but=tuple(shared))

    def key_table(self, step: Step, dataset: Dataset) -> str:
        return f'q_{step.id}."{dataset.id}"'

    def same_key(self, dataset: Dataset) -> str:
        return " AND ".join(f"t.{c} = k.{c}" for c in dataset.key)

    def somebody_elses(self, step: Step, dataset: Dataset) -> str:
        """A condition on ``t``: one random row that is not of the step."""
        return (
            f"t.ctid = (SELECT o.ctid FROM {dataset.address} AS o WHERE o.tableoid = t.tableoid AND NOT EXISTS"
            f" (SELECT FROM {self.key_table(step, dataset)} AS k"
            f" WHERE {self.same_key(dataset).replace('t.', 'o.')})"
            f" ORDER BY md5(o::text || '{self.seed}') LIMIT 1)"
        )
