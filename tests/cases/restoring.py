"""A shop whose database can be put back to what it was, as a snapshot of its machine would be."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from uuid import uuid4

import psycopg

from include.cases import opening, provers, upstream, verbs
from include.cases.replaying import Place, place
from include.cases.rooms import Desk
from include.model.estate import Bound, Column, Consents, Start, Supplied
from include.model.policy import Upstream
from include.model.words import LegalRank, Role
from tests.cases.resting import begun_unasked
from tests.cases.small import TODAY, World, catalogue, rule
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.making import PATIENCE, Company, Fixed

ON: dict[str, Any] = {"as_of": TODAY, "actor": "system/dag"}
PERSON = "acct_00000000000{}".format
LAW = LegalRank.LAW
CHAIN = Start(query="chain_end", on={"serial": "serial"})
FIVE_YEARS = {"binds": (Bound(rule="RS-03", start=CHAIN),)}
IDENTITY = making.dataset(
    "account.identity", "account_id", making.own("account_id"),
    columns={"account_id": Column(), "document": Column(identifies="document"), "phone": Column(identifies="phone")},
)  # fmt: skip
CONSENT = making.dataset(
    "account.consent", "id", making.own("account_id"), consents=Consents(given="given_at"),
    columns={"id": Column(), "account_id": Column(), "given_at": Column()},
)  # fmt: skip
SUPPLIED = making.dataset(
    "account.supplied", "id", making.own("account_id"), supplied=Supplied(partner="partner", reference="reference"),
    columns={c: Column() for c in ("id", "account_id", "partner", "reference")},
)  # fmt: skip
SHOP = making.SHOP.model_copy(
    update={
        "rules": (
            rule("RS-01", "P0D", "ceiling", LAW, "PIPL 47"), rule("RS-03", "P5Y", "both", LAW, "ESL 24"),
            rule("RS-04", "P5Y", "both", LAW, "ESL 24", "deidentify", register="P20Y"),
        ),
        "datasets": (
            *(
                d.model_copy(update=FIVE_YEARS if d.id in ("cert.certificate", "cert.application") else {})
                for d in making.REGISTERED
            ),
            IDENTITY, CONSENT, SUPPLIED,
        ),
        "categories": catalogue().categories,
        "upstream": (Upstream(id="bank", name="银行", partner="bank", region="CN"),),
    }
)  # fmt: skip
PEOPLE = (
    making.PEOPLE.format(n=8).replace("'A'||", f"'{PERSON('')}'||")
    + """
CREATE TABLE account.identity (account_id text PRIMARY KEY REFERENCES account.account, document text, phone text);
CREATE TABLE account.consent (id int PRIMARY KEY, account_id text REFERENCES account.account, given_at timestamptz);
CREATE INDEX ON account.consent (account_id);
INSERT INTO account.identity SELECT id, 'DOC-' || right(id, 1), '138 0000 000' || right(id, 1) FROM account.account;
INSERT INTO account.consent SELECT row_number() OVER (ORDER BY id), id, '2026-01-01' FROM account.account;
CREATE TABLE account.supplied (id int PRIMARY KEY, account_id text REFERENCES account.account, partner text, reference text);
CREATE INDEX ON account.supplied (account_id);
INSERT INTO account.supplied SELECT row_number() OVER (), id, p, p || right(id, 1)
  FROM account.account, unnest('{bank,insurer}'::text[]) AS p;
GRANT SELECT, INSERT, UPDATE, DELETE ON account.identity, account.consent, account.supplied TO shop_app, shop_batch;
"""
)
TABLES = tuple(d.address for d in SHOP.datasets)


class Both(Fixed):
    """Connections to the shop, and to the case book."""

    def __init__(self, shop: Callable[[str], str], records: str) -> None:
        super().__init__(shop)
        self._records = records

    def postgres(self, connection: str, role: Role) -> str:
        return self._records if connection == "records" else super().postgres(connection, role)


_numbers = count(1)


@dataclass
class Restorable:
    """The shop, the desk that works on it, and the server that copies databases."""

    server: PgServer
    shop: Company
    world: World

    @property
    def desk(self) -> Desk:
        records = self.world.desk.connections.postgres("records", Role.CASE_WRITER)
        return replace(
            self.world.desk,
            stores=lambda: (self.shop.store(),),
            connections=Both(self.shop.conninfo, records),
        )

    @property
    def name(self) -> str:
        return psycopg.conninfo.conninfo_to_dict(self.shop.conninfo("eraser"))["dbname"]  # type: ignore[return-value]

    def place(self, **options: object) -> Place:
        return place(SHOP, "company", Fixed(self.shop.conninfo), patience=PATIENCE, **options)

    def restricted(self, *people: int) -> str:
        """A case about these people that has just been restricted."""
        return begun_unasked(self.desk, [PERSON(n) for n in people], (verbs.rehearse, verbs.restrict), **ON)

    def erase(self, *people: int) -> str:
        """A case about these people, as far as the disposal and its books."""
        case_no = self.restricted(*people)
        for verb in (verbs.settle_and_plan, verbs.dispose, verbs.balance):
            verb(self.desk, case_no, **ON)
        return case_no

    def erase_supplied(self, person: int) -> str:
        """A case on what the bank supplied about somebody, who goes on being a customer."""
        desk = self.desk
        request = upstream.receive(
            desk, SHOP.upstream[0], uuid4(), f"bank{person}", calls_back=False, as_of=TODAY
        )
        assert request.case_no is not None
        opening.ask_identity_if_due(desk, request.case_no, as_of=TODAY, actor="system/t")
        opening.record_identity(
            desk, request.case_no, outcome="matched", method="written_request_compared", fields=("PI-001",),
            as_of=TODAY, actor="identity/chen",
        )  # fmt: skip
        verbs.rehearse(desk, request.case_no, **ON)
        verbs.approve(desk, request.case_no, approver="approver/wang", as_of=TODAY)
        for verb in (verbs.restrict, verbs.settle_and_plan, verbs.dispose, verbs.balance):
            verb(desk, request.case_no, **ON)
        return request.case_no

    def come_to_rest(self, case_no: str) -> None:
        """What an erased case does next: it is proved, and waits."""
        provers.prove_gone(self.desk, case_no, **ON)
        verbs.rest(self.desk, case_no, **ON)

    def snapshot(self) -> str:
        """A copy of the database as it is: it has its identifier, its timeline and its counter."""
        made = f"{self.name}_snapshot_{next(_numbers)}"
        # What a prover's pool keeps open would keep it from being copied.
        end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{self.name}'"
        self._admin(end, f"CREATE DATABASE {made} TEMPLATE {self.name}")
        return made

    def restore(self, snapshot: str) -> None:
        """The database is that copy again."""
        self._admin(
            f"DROP DATABASE {self.name} (FORCE)", f"CREATE DATABASE {self.name} TEMPLATE {snapshot}",
            f"GRANT CREATE ON DATABASE {self.name} TO eraser",
        )  # fmt: skip

    def picture(self) -> dict[str, tuple[int, str]]:
        """Rows and bytes of every table."""
        return {table: self.shop.digest(table) for table in TABLES}

    def _admin(self, *statements: str) -> None:
        with psycopg.connect(self.server.superuser_conninfo, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]


def killed_at(point: str, deed: Callable[[Callable[[str], None]], object]) -> bool:
    """Do it in a process that is killed at the first such point; whether it came there."""

    def at(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            deed(at)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def differences(was: dict[str, tuple[int, str]], now: dict[str, tuple[int, str]]) -> Sequence[str]:
    return [table for table in was if was[table] != now[table]]
