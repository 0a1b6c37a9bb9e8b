"""At a successor: whom the authority had deleted, and whose tombstone came along, is found by the nightly look as people are whom
we deleted ourselves; what came with the handover is there by right, and nobody's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException
from psycopg import sql
from quietus_console import restoring, work
from typer.testing import CliRunner

from include.cases import adopted, adopted_back, came_back, sealing, subjects, suppressing
from include.cases.adopted import Adopted
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.commands import _common as common
from include.commands import suppression as command
from include.handover.custody import prepare
from include.model.errors import QuietusError, Refused
from include.model.estate import Accounts
from tests.cases.restoring import ON, PERSON, SHOP, Restorable
from tests.cases.small import TODAY
from tests.cases.test_put_back import FACES, at_work, bucket, looking, put
from tests.cases.test_suppressing import NEW, registers
from tests.conftest import PgServer
from tests.stores.postgres.conftest import new_company

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.postgres
__all__ = ["at_work", "bucket", "new_company"]  # fixtures

ORDER, CASE, KEY = "Old CA/SO-000001", "CASE-000007", "tombstone-of-another"
OF = f"{ORDER} {CASE}"
MADE = TODAY - timedelta(days=30)
CLOCK = '{"running": [], "earliest": null, "due": "2031-01-01", "by": "RS-03/main", "law": "ESL 24"}'
TABLES = [d for d in SHOP.datasets if d.sole_owner is not None]


@pytest.fixture
def successor(at_work: Restorable, pg_server: PgServer) -> Restorable:
    """The shop as one that took over; its own look has nothing to say of all this."""
    pg_server.add_role("custodian", "BYPASSRLS")
    prepare(at_work.shop.conninfo("quietus_admin"), SHOP, "company")
    at_work.desk.keys.keep(KEY, "handed over by Old CA", Purpose.TOMBSTONE, b"t" * 32)
    return at_work


def adopt(it: Restorable, kind: str = subjects.KIND, *values: str, case: str = CASE) -> None:
    keys = it.desk.keys
    (ref,) = keys.versions(KEY)
    clear = [v if kind == subjects.KIND else suppressing.normal(kind, v) for v in values]
    stones = [
        Adopted(kind, t, KEY, case, MADE, date(2090, 1, 1))
        for t in sealing.digest_each(keys, ref, kind, clear)
    ]
    with it.desk.book() as conn:
        assert adopted.adopt(conn, keys, ORDER, stones, TODAY) == len(stones)
        conn.commit()


def look(desk: Desk, **more: Any) -> came_back.Looked:
    return adopted_back.look(desk, **(ON | more))


def found(desk: Desk) -> list[tuple[str, str, str, int | None]]:
    with desk.book() as conn:
        rows = adopted_back.findings(conn)
    said = [f"{r['of_case']} {r['dataset']} {r['what']} {r['next_step']}" for r in rows]
    assert not any(x in text for text in said for x in ("acct_", "DOC-", "doc-", "138", "139"))
    return sorted((r["of_case"], r["code"], r["dataset"], r["items"]) for r in rows)


def bag(conn: psycopg.Connection[Any], dataset: str, kind: str = "rows") -> None:
    conn.execute(
        "INSERT INTO quietus_handover.bag (order_no, bag, kind, dataset, sender, statement, salt, clocks, described, stored_at)"
        " VALUES (%s, %s, %s, %s, 'Old CA', 's', '\\x00', ARRAY[%s], '{}', now()) ON CONFLICT DO NOTHING",
        (ORDER, dataset, kind, dataset, CLOCK),
    )


def came(it: Restorable, person: str) -> None:
    """All that is here of a person came with the handover."""
    with psycopg.connect(it.shop.conninfo("quietus_admin")) as conn:
        for dataset in TABLES:
            bag(conn, dataset.id)
            key = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(k)) for k in dataset.key)
            conn.execute(
                sql.SQL(
                    "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf) SELECT {o}, {d},"
                    " {first} + row_number() OVER (), {d}, ARRAY[{key}], 0, '', '\\x00' FROM {table} WHERE {owner}::text = {who}"
                ).format(
                    o=sql.Literal(ORDER), d=sql.Literal(dataset.id), key=key, who=sql.Literal(person),
                    table=sql.Identifier(*dataset.address.split(".")), owner=sql.Identifier(str(dataset.sole_owner)),
                    first=sql.Literal(100 * int(person[-1])),
                )
            )  # fmt: skip


def session(it: Restorable, person: str, number: int) -> None:
    it.shop.sql("INSERT INTO account.session VALUES (%s, %s, '10.0.0.9')", number, person)


def test_rows_of_an_account_that_was_deleted_there_are_found_and_what_came_is_not(
    successor: Restorable,
) -> None:
    desk, who = successor.desk, PERSON(3)
    assert look(desk) == came_back.Looked(0, 0, 0, ()), "without such tombstones nothing is read"
    came(successor, who)
    adopt(successor, subjects.KIND, who)
    assert look(desk).back == 0 and found(desk) == [], "by right"
    session(successor, who, 9001)
    session(successor, who, 9002)
    session(successor, PERSON(4), 9003)
    assert look(desk).back == 0, "a table that tells no number is gone through once a day"
    tomorrow = {"as_of": TODAY + timedelta(days=1)}
    looked = look(desk, **tomorrow)
    assert (looked.back, looked.cases) == (1, (OF,))
    assert found(desk) == [(OF, "re_ingested", "account.session", 2)]
    assert came_back.look(desk, **ON).back == 0, "no case of its own"
    successor.shop.sql("DELETE FROM account.session WHERE id IN (9001, 9002)")
    assert look(desk, **tomorrow).back == 0 and found(desk) == []


def test_who_comes_back_under_another_account_is_known_by_number(successor: Restorable) -> None:
    desk = successor.desk
    came(successor, PERSON(3))
    adopt(successor, subjects.KIND, PERSON(3))
    adopt(successor, "document", "DOC-3", "doc-77")
    adopt(successor, "phone", "139 0000 0077")
    assert look(desk).back == 0, "what the law keeps of a deleted account names it still"
    registers(successor, NEW, "DOC-77", "1", datetime.now(UTC) + timedelta(days=1))
    assert look(desk).cases == (), "it consented since"
    registers(successor, "acct_bbbbbbbbbbb2", "doc-77", "2")
    registers(successor, "acct_bbbbbbbbbbb3", None, "13900000077")
    looked = look(desk)
    assert (looked.back, looked.review) == (1, 1)
    assert {(c, d) for _, c, d, _ in found(desk)} == {
        ("re_ingested", "account.identity"), ("re_ingested_perhaps", "account.identity"),
    }  # fmt: skip
    # A person answers that one is a customer of our own: it is not found again, and another is.
    with desk.book() as conn:
        (mine,) = [f["finding"] for f in adopted_back.findings(conn) if f["code"] == "re_ingested"]
    with pytest.raises(Refused, match="no document"):
        adopted_back.answer(desk, mine, document=" ", actor="legal/zhao")
    adopted_back.answer(desk, mine, document="KH-1", actor="legal/zhao")
    with pytest.raises(Refused, match="not open"):
        adopted_back.answer(desk, mine, document="KH-1", actor="legal/zhao")
    assert look(desk).back == 0
    registers(successor, "acct_bbbbbbbbbbb4", "doc-77", "3")
    assert look(desk).back == 1


def test_who_was_found_under_an_older_key_is_the_same_finding(successor: Restorable) -> None:
    desk = successor.desk
    adopt(successor, "document", "doc-77")
    registers(successor, NEW, "DOC-77", "1")
    registers(successor, "acct_bbbbbbbbbbb2", "DOC-77", "2")
    assert look(desk).back == 2
    with desk.book() as conn:
        answered, still = (f["finding"] for f in adopted_back.findings(conn))
    adopted_back.answer(desk, answered, document="KH-1", actor="legal/zhao")
    desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    assert look(desk).back == 1, "what was answered for is"
    with desk.book() as conn:
        assert [f["finding"] for f in adopted_back.findings(conn)] == [still], "open as it was"
        rows = conn.execute("SELECT count(*) AS n FROM casebook.adopted_finding").fetchone()
    assert rows is not None and rows["n"] == 2


def test_a_tombstone_that_is_adopted_later_has_everything_looked_through_again(successor: Restorable) -> None:
    desk = successor.desk
    adopt(successor, "document", "doc-1234")
    first = look(desk)
    assert (first.rows, first.back) == (8, 0)
    assert look(desk).rows <= 1, "only what is new"
    adopt(successor, "document", "DOC-5", case="CASE-000009")
    looked = look(desk)
    assert (looked.rows, looked.back, looked.cases) == (8, 1, (f"{ORDER} CASE-000009",))
    with desk.book() as conn:
        adopted.expire(conn, date(2091, 1, 1))
        conn.commit()
    assert look(desk).back == 0 and found(desk) == [], "its tombstone ended"
    with desk.book() as conn:
        places = conn.execute("SELECT place FROM casebook.adopted_finding").fetchall()
    assert [r["place"] for r in places] == ["account.identity"], "and nothing says any more whose row it was"


def test_objects_of_such_an_account_are_found_too(successor: Restorable, bucket: S3Client) -> None:
    put(bucket, 2, 3)
    put(bucket, 2, name="came.jpg")
    key = f"face/{PERSON(2)}/came.jpg"
    for person in (2, 3):
        came(successor, PERSON(person))
    with psycopg.connect(successor.shop.conninfo("quietus_admin")) as conn:
        bag(conn, FACES.id, "objects")
        conn.execute(
            "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf, path)"
            " VALUES (%s, %s, 0, %s, ARRAY[%s, '0'], 0, '', '\\x00', ARRAY[%s])",
            (ORDER, FACES.id, FACES.id, key, PERSON(2)),
        )
    adopt(successor, subjects.KIND, PERSON(2))
    desk = looking(successor, bucket)
    home = SHOP.dataset("account.account").model_copy(update={"accounts": Accounts(ended="ended")})
    datasets = tuple(home if d.id == home.id else d for d in desk.catalogue.datasets)
    desk = replace(desk, catalogue=desk.catalogue.model_copy(update={"datasets": datasets}))
    assert look(desk).back == 1 and found(desk) == [(OF, "re_ingested", FACES.id, 1)]
    bucket.delete_object(Bucket=FACES.address, Key=f"face/{PERSON(2)}/1.jpg")
    assert look(desk).back == 0 and found(desk) == []


def test_what_was_found_is_kept_though_a_later_store_does_not_answer(
    successor: Restorable, bucket: S3Client
) -> None:
    adopt(successor, "document", "doc-77")
    desk = looking(successor, bucket)
    home = SHOP.dataset("account.account").model_copy(update={"accounts": Accounts(ended="ended")})
    datasets = tuple(home if d.id == home.id else d for d in desk.catalogue.datasets)
    desk = replace(desk, catalogue=desk.catalogue.model_copy(update={"datasets": datasets}))
    assert look(desk).back == 0
    registers(successor, NEW, "DOC-77", "1")
    gone = FACES.model_copy(update={"id": "faces_away", "address": "put-back-no-such-bucket"})
    lost = replace(desk, catalogue=desk.catalogue.model_copy(update={"datasets": (*datasets, gone)}))
    with pytest.raises(QuietusError):
        look(lost)
    assert found(desk) == [(OF, "re_ingested", "account.identity", None)]
    assert look(desk).cases == (OF,), "it is new no more, and told of all the same"


def test_the_nightly_task_is_red_and_names_the_authoritys_case(
    successor: Restorable, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(successor, "document", "DOC-5")
    monkeypatch.setattr(restoring, "desk", lambda: successor.desk)
    monkeypatch.setattr(restoring, "now", lambda: ON)
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    with pytest.raises(
        AirflowFailException, match=rf"1 bring somebody back, .*\({OF}\).*quietus suppression found"
    ):
        restoring.nobody_came_back.function()
    monkeypatch.setattr(common, "reader", successor.desk.book)
    shown = CliRunner().invoke(command.app, ["found", "--json"], catch_exceptions=False)
    assert shown.exit_code == 3 and OF in shown.output and "DOC-5" not in shown.output
