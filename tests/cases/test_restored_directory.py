"""A data directory that was restored, and is cleaned before it is started for anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from include.backups.private import started
from include.backups.serving import PORT
from include.cases.elsewhere import Elsewhere, over_socket
from include.cases.keys import FileKeyStore
from include.cases.replaying import place
from include.cases.restored import go_forward, recover
from include.model.errors import Refused
from include.model.words import Role
from tests.backups.making import OnServer
from tests.cases.restoring import ON, PEOPLE, PERSON, SHOP, TABLES, Restorable
from tests.cases.small import world
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import PATIENCE, Company, Fixed

__all__ = ["new_company"]
pytestmark = pytest.mark.postgres
OURS = ("eraser", "prover")


@pytest.fixture
def backup(pg_server: PgServer) -> Iterator[OnServer]:
    made = OnServer(pg_server, "restored")
    yield made
    made.close()


def test_it_is_clean_and_open_again_before_anybody_can_have_seen_it(
    writer: str, tmp_path: Path, new_company: Callable[..., Company], pg_server: PgServer, backup: OnServer
) -> None:
    shop = new_company(SHOP, making.SCHEMA + PEOPLE, "shop8_restorable")
    it = Restorable(pg_server, shop, world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), lambda: SHOP))
    go_forward(it.desk, it.place().past, actor="system/dag")
    data = backup.home / "data"
    backup.run(
        pg_server.cluster.binaries / "pg_basebackup", "--pgdata", data, "--checkpoint=fast", "--no-sync",
        "--dbname", pg_server.superuser_conninfo,
    )  # fmt: skip
    case_no = it.erase(2, 5)
    was = it.picture()

    with started(data, pg_server.cluster.binaries, OURS) as sockets:
        there = Elsewhere(Fixed(shop.conninfo), "company", over_socket(str(sockets), PORT))
        where = place(SHOP, "company", there, patience=PATIENCE)
        with (
            pytest.raises(Refused, match="a server runs there already"),
            started(data, pg_server.cluster.binaries, ()),
        ):
            pass
        as_application = Elsewhere(
            Fixed(lambda _role: shop.conninfo("shop_app")), "company", over_socket(str(sockets), PORT)
        )
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
            psycopg.connect(as_application.postgres("company", Role.ERASER))
        outcome = recover(it.desk, where, said=True, **ON)
    assert outcome.replayed is not None and [c.case_no for c in outcome.replayed.cases] == [case_no]

    everybody = (*OURS, "shop_app", shop.admin)
    with started(data, pg_server.cluster.binaries, everybody) as sockets:

        def cleaned(role: str) -> str:
            return psycopg.conninfo.make_conninfo(shop.conninfo(role), host=str(sockets), port=PORT)

        copy = Company(cleaned, SHOP, shop.admin)
        assert {t: copy.digest(t) for t in TABLES} == was
        assert (
            copy.value("SELECT count(*) FROM account.account WHERE id = %s", PERSON(2), user="shop_app") == 0
        )
