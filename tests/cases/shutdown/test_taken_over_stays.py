"""A successor that stops itself: what it took over is judged by the clocks and holds that came, not by its own rules alone."""

from __future__ import annotations

import json

import psycopg
import pytest

from include.cases.shutdown import located, orders, preview
from include.handover.custody import prepare
from include.model.errors import Refused
from include.model.words import Disposition
from tests.cases.shutdown.test_books import Stopped as Shop
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import T0, company, gatekeeper
from tests.cases.shutdown.test_rest_goes import approved, go
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures

LEFT = "acct_000000000010"
"""Who left long ago: by the shop's own rules the account goes to nobody when it stops."""
FLOOR = {"rule": "RS-22", "period": "main", "started": "2026-01-01", "ends": "2040-01-01", "floor": True, "ceiling": True,
         "law": "PIPL 56", "company": False}  # fmt: skip
KEPT = {
    "running": [FLOOR],
    "earliest": "2040-01-02",
    "due": "2040-01-02",
    "by": "RS-22/main",
    "law": "PIPL 56",
}
OVER = {"running": [], "earliest": None, "due": "2026-02-01", "by": "RS-01/main", "law": "PIPL 47"}


def came(shop: Shop, server: PgServer, clocks: dict[str, object], holds: str = "") -> None:
    """The account came from an authority that stopped before, with these clocks, or under these holds."""
    server.add_role("custodian", "BYPASSRLS")
    admin = shop.house.company.conninfo("quietus_admin")
    prepare(admin, shop.house.company.catalogue, "company")
    with psycopg.connect(admin) as conn:
        conn.execute(
            "INSERT INTO quietus_handover.bag (order_no, bag, kind, dataset, sender, statement, salt, clocks, described,"
            " stored_at) VALUES ('old/SO-1', 'b', 'rows', 'a.account', 'Old CA', 's', '\\x00', ARRAY[%s], '{}', now())",
            (json.dumps(clocks),),
        )
        conn.execute(
            "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf)"
            " VALUES ('old/SO-1', 'b', 0, 'a.account', ARRAY[%s], 0, %s, '\\x00')",
            (LEFT, holds),
        )


@pytest.mark.parametrize(("clocks", "holds"), [(KEPT, ""), (OVER, "HOLD-000001")])
def test_what_came_under_a_floor_or_a_hold_stays(
    stopped: Shop, pg18: PgServer, clocks: dict[str, object], holds: str
) -> None:
    shop, desk = approved(stopped), stopped.house.desk
    with desk.book() as conn:
        of = orders.order(conn, shop.number)
    before, _ = located.counted(desk, of)
    assert before["a.account"][Disposition.ERASE] == 1 + 9
    came(shop, pg18, clocks, holds)
    now, unasked = located.counted(desk, of)
    stays = Disposition.HOLD if holds else Disposition.RETAIN
    assert "a.account" not in unasked and now["a.account"][stays] == 1
    shown = preview.preview(desk, shop.number, as_of=T0)
    assert {x.disposition: x.items for x in shown.lines if x.dataset == "a.account"}[stays.value] == 1
    try:
        go(shop)
    except Refused as said:
        assert "nothing that goes to nobody" in str(said)
    assert company(
        shop.house, f"SELECT count(*) FROM a.account WHERE id = '{LEFT}' AND name IS NOT NULL"
    ) == [(1,)]
