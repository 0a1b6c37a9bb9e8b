"""At a successor: what came with a clock that waits for the end of an account which did not come. The account stayed with an
authority whose service ended; so the clock counts from that day, and the row goes, and is told why."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases.discretion import EVERYTHING
from include.cases.keys import FileKeyStore
from include.cases.retention import night as nightly
from include.cases.retention import why
from include.handover.custody import prepare
from include.model.carried import WITHOUT_ITS_ACCOUNT
from include.model.catalogue import Catalogue
from include.model.estate import Bound
from include.model.words import LegalRank, Ownership
from tests.cases.retention import house as houses
from tests.cases.retention.house import SHOP, House
from tests.cases.small import rule
from tests.conftest import PgServer
from tests.stores.postgres.making import Company, catalogue, dataset, own, via

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
T0, ENDED = date(2026, 6, 1), date(2026, 9, 1)
"""On which the authority's service ended; and an account that is here."""
OWN = 1000
"""A visit that did not come, of somebody without an account."""
OTHERS = Ownership.SHARED
SCHEMA = houses.SCHEMA.partition("-- Ten people")[0].replace("REFERENCES a.account", "").replace(
    "REFERENCES s.ticket", ""
).replace("account_id text , at date);", "account_id text, other text, at date);") + """
INSERT INTO a.account VALUES ('acct_000000000002', 'lives', NULL), ('acct_000000000003', 'left', '2026-09-01');
INSERT INTO u.visit SELECT i, 'acct_'||lpad(i::text, 12, '0'), '2020-01-01', '/' FROM generate_series(1, 3) i;
INSERT INTO u.visit VALUES (4, NULL, '2020-01-01', '/'), (1000, 'acct_000000000001', '2020-01-01', '/');
INSERT INTO s.ticket SELECT i, 'acct_'||lpad(i::text, 12, '0'), '2020-01-01', 'b' FROM generate_series(1, 3) i;
INSERT INTO s.note SELECT i, i, '2020-01-01' FROM generate_series(1, 4) i;
INSERT INTO u.click SELECT row_number() OVER (), 'acct_'||a, 'acct_'||b, '2020-01-01' FROM (VALUES
  ('000000000001', '000000000004'), ('000000000001', '000000000002'), ('000000000001', '000000000003'), (NULL, NULL)) AS v(a, b);
"""  # fmt: skip
BINDS = (Bound(rule="RS-01"),)
CAME = {"u.visit": 4, "s.note": 4, "u.click": 4}


def shop(kind: str) -> Catalogue:
    return catalogue(
        SHOP.dataset("a.account"),
        dataset("u.visit", "id", own("account_id"), binds=BINDS),
        dataset("u.click", "id", own("account_id", OTHERS), own("other", OTHERS), binds=BINDS),
        dataset("s.ticket", "id", own("account_id"), binds=BINDS),
        dataset("s.note", "id", via("s.ticket", ticket_id="id"), binds=BINDS),
    ).model_copy(update={"rules": (rule("RS-01", "P30D", kind, LegalRank.LAW, "PIPL 47"),)})


@pytest.fixture(params=["ceiling", "both"])
def came(
    request: pytest.FixtureRequest, new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path
) -> House:  # fmt: skip
    """Rows that came, each with a clock that waits for its owner's account: of one it is not here, of one it lives, of one it
    ended, and one is nobody's."""
    company = new_company(shop(request.param), SCHEMA, "came")
    pg18.add_role("custodian", "BYPASSRLS")
    admin = company.conninfo("quietus_admin")
    prepare(admin, company.catalogue, "company")
    running = {"rule": "RS-01", "period": "main", "started": None, "ends": None, "floor": request.param == "both",
               "ceiling": True, "law": "PIPL 47", "company": False}  # fmt: skip
    clocks: dict[str, Any] = {
        "running": [running], "earliest": None, "due": None, "by": "RS-01/main", "law": "PIPL 47"
    }  # fmt: skip
    with psycopg.connect(admin) as conn:
        for table, rows in CAME.items():
            conn.execute(
                "INSERT INTO quietus_handover.bag (order_no, bag, kind, dataset, sender, statement, salt, clocks, described,"
                " as_of, stored_at) VALUES ('old/SO-1', %s, 'rows', %s, 'Old CA', 's', '\\x00', ARRAY[%s], '{}', %s, now())",
                (table, table, json.dumps(clocks), T0),
            )
            conn.execute(
                "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf)"
                " SELECT 'old/SO-1', %s, i, %s, ARRAY[i::text], 0, '', '\\x00' FROM generate_series(1, %s) AS i",
                (table, table, rows),
            )
    return House(
        company, lambda role: pg18.conninfo(case_book, role), FileKeyStore(tmp_path / "k", b"k" * 32)
    )


def due(house: House, day: date) -> dict[str, int]:
    found = {r.dataset: r.due for r in nightly.look(house.desk, day).rows}
    return {d: found[d] for d in CAME if found.get(d)}


def test_it_counts_from_the_day_on_which_the_authoritys_service_ended(came: House) -> None:
    over = T0 + timedelta(days=30)
    assert due(came, over) == {}, "not a day before"
    # Visits: without an account, and nobody's; notes: likewise; clicks of two, none of whom has an account, and nobody's.
    gone = {"u.visit": 2, "s.note": 2, "u.click": 2}
    assert due(came, over + DAY) == gone
    # Whose account is here is waited for, until that ends; of several the last counts.
    later = ENDED + timedelta(days=30)
    assert due(came, later) == gone
    assert due(came, later + DAY) == {"u.visit": 3, "s.note": 3, "u.click": 3}
    assert due(came, date(2090, 1, 1)) == {"u.visit": 3, "s.note": 3, "u.click": 3}, (
        "whose account lives stays"
    )
    night = came.night(later + DAY)
    counts = came.counts(night)
    assert {d: counts[d] for d in CAME} == {d: {"erased": 3} for d in CAME}
    left = came.company.sql("SELECT id FROM u.visit ORDER BY 1")
    assert left == [(2,), (OWN,)], "what did not come is judged as before"


def test_it_is_told_why(came: House) -> None:
    (stands,) = why.of_row(came.desk, "u.visit", ("1",), EVERYTHING, T0).stands
    assert stands.latest == T0 + timedelta(days=30)
    assert stands.by_then == f"RS-01/main: PIPL 47; {WITHOUT_ITS_ACCOUNT}"
    (ended,) = why.of_row(came.desk, "u.visit", ("3",), EVERYTHING, T0).stands
    assert ended.latest == ENDED + timedelta(days=30), "the words are of both, the day is of its own account"
    (waits,) = why.of_row(came.desk, "u.visit", ("2",), EVERYTHING, T0).stands
    assert waits.latest is None and "its clock has not started" in waits.by_then


def test_of_two_owners_one_that_is_nobody_says_nothing_of_the_other(came: House) -> None:
    """Each alone would end it: an empty link is no owner whose account did not come."""
    clicks = came.company.catalogue.dataset("u.click")
    alone = clicks.model_copy(
        update={"links": tuple(x.model_copy(update={"ownership": Ownership.SOLE}) for x in clicks.links)}
    )
    datasets = tuple(alone if d.id == "u.click" else d for d in came.company.catalogue.datasets)
    came.company.catalogue = came.company.catalogue.model_copy(update={"datasets": datasets})
    came.company.sql(
        "UPDATE u.click SET account_id = 'acct_000000000002', other = NULL WHERE id = 1"
    )  # who lives
    came.company.sql(
        "UPDATE u.click SET account_id = NULL, other = 'acct_000000000009' WHERE id = 2"
    )  # who is not here
    over = T0 + timedelta(days=31)
    # Of four: who lives stays; the others are somebody's who is not here, the same beside somebody who left, and nobody's.
    assert due(came, over)["u.click"] == 3
    assert due(came, date(2090, 1, 1))["u.click"] == 3


def test_what_came_before_its_day_was_noted_counts_from_the_day_it_came(came: House) -> None:
    admin = came.company.conninfo("quietus_admin")
    with psycopg.connect(admin) as conn:
        conn.execute("UPDATE quietus_handover.bag SET as_of = NULL, began_at = '2026-07-15 20:00+00'")
        conn.execute("UPDATE quietus_handover.bag_clock SET since = NULL")
    prepare(admin, came.company.catalogue, "company")
    over = date(2026, 7, 16) + timedelta(days=30)  # in China
    assert due(came, over) == {} and due(came, over + DAY)["u.visit"] == 2
