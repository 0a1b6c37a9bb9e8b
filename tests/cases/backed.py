"""A shop on a server with base backups and an archive, and the desk that works on it. Shared by the tests and the bench."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from include.backups.basebackup import BaseBackups
from include.cases import backups, book, provers, verbs
from include.cases.drilling import Drilled, drill
from include.cases.keys import FileKeyStore
from include.cases.rooms import Desk
from include.connections import Environment
from include.model.estate import BackupSet
from include.model.words import CaseState, LegalRank, Role
from tests.backups.making import WithBaseBackups
from tests.cases.resting import begun_unasked
from tests.cases.small import TODAY, World, rule, world
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.making import BUSINESS, PATIENCE, Company, Fixed

ON: dict[str, Any] = {"as_of": TODAY, "actor": "system/dag"}
PERSON = "acct_{:012}".format
SET = BackupSet(
    id="nightly", store="company", tool="basebackup", region="CN", location="x", keep="P35D", description="n"
)
SHOP = making.SHOP.model_copy(
    update={
        "rules": (
            rule("RS-01", "P0D", "ceiling", LegalRank.LAW, "PIPL 47"),
            rule("RS-04", "P5Y", "both", LegalRank.LAW, "ESL 24", "deidentify", register="P20Y"),
        ),
        "backups": (SET,),
        "datasets": making.REGISTERED,
    }
)


@dataclass
class Elsewhere(Fixed):
    """The shop, the case book, where the copies lie and where scratches may."""

    of: Any
    records: str
    texts: dict[str, str]

    def postgres(self, connection: str, role: Role) -> str:
        return self.records if connection == "records" else str(self.of(role.value))

    def text(self, name: str) -> str:
        return Environment(
            {f"QUIETUS_CONN_{n.upper()}": json.dumps({"extra": {"text": t}}) for n, t in self.texts.items()}
        ).text(name)


@dataclass
class Backed:
    """A shop with its backups, and the desk that works on it."""

    maker: WithBaseBackups
    shop: Company
    world: World
    desk: Desk
    place: Path

    def erase(self, *people: int) -> str:
        return begun_unasked(
            self.desk, [PERSON(n) for n in people],
            (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, provers.prove_baseline, verbs.dispose, verbs.balance,
             verbs.open_backup_track), **ON,
        )  # fmt: skip

    def drill(self, **more: Any) -> Drilled:
        done = drill(self.desk, SET, **ON, **more)
        assert not list(self.place.glob("scratch-*")), "a scratch was left behind"
        return done

    def expire(self) -> None:
        """All but the newest copy, and the log from before it, go; and that is seen."""
        *old, newest = self.maker.reader.look().copies
        for copy in old:
            shutil.rmtree(copy.location)
        assert newest.start is not None
        first = f"{newest.timeline:08X}{0:08X}{newest.start // (16 << 20):08X}"
        for segment in (self.maker.home / "archive").iterdir():
            if segment.name[:24] < first:
                segment.unlink()
        backups.look(self.desk, **ON)

    def import_again(self, *people: int) -> None:
        """Somebody loads an old list, past what would refuse it."""
        with psycopg.connect(self.shop.conninfo("quietus_admin"), autocommit=True) as live:
            live.execute("ALTER TABLE account.session DISABLE TRIGGER ALL")
            for n in people:
                live.execute("INSERT INTO account.session VALUES (%s, %s, 'ip')", (9000 + n, PERSON(n)))

    def state(self, case_no: str) -> CaseState:
        with self.desk.book() as conn:
            return book.case(conn, case_no).state


@contextmanager
def backed(server: PgServer, writer: str, keys: Path, people: int = 8) -> Iterator[Backed]:
    """A new shop with so many people on a server that archives. ``writer``: of the case book."""
    for role in BUSINESS:
        server.add_role(role)
    name = server.fresh_database()
    conninfo = server.conninfo(name)
    rows = making.PEOPLE.format(n=people).replace("'A'||i", "'acct_'||lpad(i::text, 12, '0')")
    rows = rows.replace("'A'||(i+1)", "'acct_'||lpad((i+1)::text, 12, '0')")
    rows = rows.replace(f"'A'||(i % {people} + 1)", f"'acct_'||lpad((i % {people} + 1)::text, 12, '0')")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute((making.SCHEMA + rows).encode())
    making.install(conninfo, SHOP, "company")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO eraser".encode())
    shop = Company(lambda role: server.conninfo(name, role), SHOP, "quietus_admin", {})
    maker = WithBaseBackups(server)
    place = server.cluster.places.room_for("scratch")
    connections = Elsewhere(
        shop.conninfo, writer,
        {"backup_nightly": str(maker.home), "scratch": str(place), "postgres_18_bin": str(server.cluster.binaries)},
    )  # fmt: skip
    made = world(writer, FileKeyStore(keys, b"k" * 32), lambda: SHOP)
    desk = replace(
        made.desk,
        connections=connections,
        stores=lambda: (shop.store(patience=PATIENCE),),
        backup_tool=lambda backup: BaseBackups(backup.id, str(maker.home)),
    )
    try:
        yield Backed(maker, shop, made, desk, place)
    finally:
        maker.close()
        server.drop_database(name)
        shutil.rmtree(place)
