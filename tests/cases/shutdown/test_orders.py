"""An order in the book: by a document and two people, one at a time, its T0 by what was filed, everything in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path as File
from typing import Any

import psycopg
import pytest

from include.cases.keys import FileKeyStore
from include.cases.shutdown import approving, orders
from include.cases.shutdown.dates import Days, Gate, Path
from include.cases.shutdown.orders import KIND
from include.cases.shutdown.told import Custodian, Paper, Successor, Told
from include.model.errors import Refused
from tests.cases.small import TODAY, World, world

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
PAPER = Paper("BR-2026-009", "a" * 64)
NEXT = Successor("Example CA Co", "privacy@example.com", "b" * 64)
TOLD = Told(
    path=Path.VOLUNTARY, reason="the business is given up", decided_on=TODAY, t0=TODAY + 100 * DAY, paper=PAPER,
    approvers=("legal/zhao", "board/qian"), successor=NEXT, custodian=Custodian("Archive Co", "archive@example.com"),
)  # fmt: skip


@pytest.fixture
def w(writer: str, tmp_path: File) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def opened(w: World, **more: Any) -> str:
    number = orders.open_order(w.desk, replace(TOLD, **more), as_of=TODAY, actor="legal/zhao")
    approving.approve(w.desk, number, as_of=TODAY, actor="board/qian")
    return number


def gate(w: World, number: str, which: Gate, on: date, digest: str = "c" * 64) -> orders.Order:
    return orders.pass_gate(
        w.desk, number, which, on=on, paper=Paper("N-1", digest), as_of=on, actor="legal/zhao"
    )


def of(w: World, number: str) -> orders.Order:
    with w.desk.book() as conn:
        return orders.order(conn, number)


def said(w: World) -> list[str]:
    said = [str(body["what"]) for kind, _, body in w.said.values() if kind == KIND]
    return [s for s in said if s != approving.APPROVED]


def test_an_order_is_kept_and_said_without_contact_and_names(w: World) -> None:
    number = opened(w)
    found = of(w, number)
    assert (number, found.scope, found.t0, found.state, found.successor) == (
        "SO-000001",
        "company",
        TODAY + 100 * DAY,
        "open",
        "Example CA Co",
    )
    body, approval = (b for _, _, b in w.said.values())
    assert approval["as"] == "board" and "qian" not in repr(approval)
    assert body["successor"] == "Example CA Co" and body["approvers"] == ["legal", "board"]
    assert not {"zhao", "qian", "privacy@example.com", "archive@example.com"} & set(repr(body).split("'"))


def test_an_order_is_in_force_once_each_approved_it_under_a_log_in_of_their_own(w: World) -> None:
    number = orders.open_order(w.desk, TOLD, as_of=TODAY, actor="ops/wu")
    assert of(w, number).state == "waits for approval"
    waits = "it waits for the approval of legal and board"
    with pytest.raises(Refused, match=waits):
        gate(w, number, Gate.NOTIFIED, TODAY)
    with pytest.raises(Refused, match="an order is in force already"):
        orders.open_order(w.desk, TOLD, as_of=TODAY, actor="ops/wu")
    for stranger in ("ops/wu", "legal/qi", "board/zhaoo"):
        with pytest.raises(Refused, match="not one of the two"):
            approving.approve(w.desk, number, as_of=TODAY, actor=stranger)
    for _ in range(2):
        assert approving.approve(w.desk, number, as_of=TODAY, actor="legal/zhao").waits_for == ("board/qian",)
    with pytest.raises(Refused, match="waits for the approval of board"):
        gate(w, number, Gate.NOTIFIED, TODAY)
    assert approving.approve(w.desk, number, as_of=TODAY, actor="ceo/qian").state == "open"
    gate(w, number, Gate.NOTIFIED, TODAY)
    roles = [b["as"] for _, _, b in w.said.values() if b["what"] == approving.APPROVED]
    assert roles == ["legal", "board"], "once each"


def test_a_second_order_is_refused_with_the_number_of_the_first(w: World) -> None:
    first = opened(w)
    with pytest.raises(Refused, match=f"{first}: an order is in force already"):
        opened(w, services=("reg",))
    with w.desk.book() as conn, pytest.raises(psycopg.errors.UniqueViolation), conn.transaction():
        conn.execute(
            "INSERT INTO casebook.shutdown_order (number, scope, path, reason, decided_on, document, digest, approvers,"
            " t0_announced, t0, opened_on, opened_by) SELECT 'SO-000009', scope, path, reason, decided_on, document,"
            " digest, approvers, t0_announced, t0, opened_on, opened_by FROM casebook.shutdown_order"
        )  # fmt: skip
    assert said(w) == ["opened"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"approvers": ("legal/zhao", "board/zhao")}, "two people approve"),
        ({"approvers": ("zhao", "board/qian")}, "not of the form role/user"),
        ({"t0": TODAY + 89 * DAY}, "it can stop on 2027-02-22 at the earliest"),
        ({"decided_on": TODAY + DAY}, "has not been taken yet"),
        ({"services": ("nothing",)}, "no service nothing.*cert, log, reg"),
        ({"successor": None}, "somebody takes over, or the ministry"),
        ({"ministry_asked_on": TODAY}, "somebody takes over, or the ministry"),
        ({"successor": replace(NEXT, certificate="x")}, "certificate is no SHA-256"),
        ({"successor": replace(NEXT, contact="call 13812345678")}, "contact holds a mobile number"),
        ({"successor": replace(NEXT, contact=" ")}, "contact is missing"),
        ({"reason": "because of acct_0123456789ab"}, "the reason holds"),
        ({"paper": Paper("BR-1", "12")}, "digest is no SHA-256"),
        ({"paper": Paper(" ", "a" * 64)}, "document number is missing"),
        ({"path": Path.LICENCE_REVOKED, "t0": TODAY - DAY}, "at the earliest"),
    ],
)
def test_what_cannot_be_so_is_refused_and_nothing_is_kept(w: World, more: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        opened(w, **more)
    with w.desk.book() as conn:
        assert orders.orders(conn) == [] and w.said == {}


def test_a_service_is_what_the_catalogue_says_it_is(w: World) -> None:
    number = opened(w, services=("cert",))
    assert [d.id for d in of(w, number).datasets(w.desk.catalogue)] == ["ra.application", "ca.certificate"]


def test_a_late_gate_moves_t0_and_says_so(w: World) -> None:
    number = opened(w)
    assert gate(w, number, Gate.NOTIFIED, TODAY + 10 * DAY).t0 == TODAY + 100 * DAY
    assert gate(w, number, Gate.REPORTED, TODAY + 45 * DAY).t0 == TODAY + 105 * DAY
    assert said(w) == ["opened", "gate", "gate", "T0 moved"]
    assert [b["late"] for _, _, b in w.said.values() if b["what"] == "gate"] == [False, True]
    with w.desk.book() as conn:
        assert [e["what"] for e in orders.history(conn, number) if e["what"] != approving.APPROVED] == said(w)


def test_the_same_gate_again_changes_nothing_and_a_later_day_takes_its_place(w: World) -> None:
    number = opened(w)
    for _ in range(2):
        gate(w, number, Gate.NOTIFIED, TODAY + 5 * DAY)
    assert said(w) == ["opened", "gate"]
    assert gate(w, number, Gate.NOTIFIED, TODAY + 20 * DAY).t0 == TODAY + 110 * DAY
    with w.desk.book() as conn:
        assert [(g["gate"], g["done_on"]) for g in orders.gates(conn, number)] == [
            ("notified", TODAY + 20 * DAY)
        ]
    with pytest.raises(Refused, match="a correction never makes it earlier"):
        gate(w, number, Gate.NOTIFIED, TODAY + 19 * DAY)


def test_an_order_that_waits_for_an_approval_alarms_once_a_day_of_it_has_passed_and_names_who(
    w: World,
) -> None:
    number = orders.open_order(w.desk, TOLD, as_of=TODAY, actor="legal/zhao")
    with w.desk.book() as conn:
        assert orders.alarms(conn, TODAY + 10 * DAY) == ()
        (alarm,) = orders.alarms(conn, TODAY + 11 * DAY)
        assert (
            alarm
            == f"{number}: notified was due on {TODAY + 10 * DAY}, and board/qian did not approve the order"
        )
        assert len(orders.alarms(conn, TODAY + 101 * DAY)) == 4, "all of it can pass, but not silently"
    approving.approve(w.desk, number, as_of=TODAY, actor="board/qian")
    with w.desk.book() as conn:
        assert "approve" not in orders.alarms(conn, TODAY + 11 * DAY)[0]


def test_of_a_revoked_licence_that_nobody_approved_the_day_does_not_pass_silently(w: World) -> None:
    told = replace(TOLD, path=Path.LICENCE_REVOKED, decided_on=TODAY, t0=TODAY)
    orders.open_order(w.desk, told, as_of=TODAY, actor="ops/wu")
    with w.desk.book() as conn:
        said = orders.alarms(conn, TODAY + DAY)
    assert any(
        "closed was due" in a and a.endswith("legal/zhao and board/qian did not approve the order")
        for a in said
    )


def test_overdue_gates_are_alarms(w: World) -> None:
    number = opened(w)
    with w.desk.book() as conn:
        assert orders.alarms(conn, TODAY + 10 * DAY) == ()
        assert orders.alarms(conn, TODAY + 11 * DAY) == (f"{number}: notified was due on {TODAY + 10 * DAY}",)
        assert len(orders.alarms(conn, TODAY + 101 * DAY)) == 4


def test_t0_moves_by_a_document_and_not_before_what_was_filed(w: World) -> None:
    number = opened(w)
    later = orders.move(w.desk, number, TODAY + 150 * DAY, paper=PAPER, as_of=TODAY + DAY, actor="legal/zhao")
    assert later.t0 == TODAY + 150 * DAY and later.t0_announced == TODAY + 100 * DAY
    with pytest.raises(Refused, match="T0 cannot be"):
        orders.move(w.desk, number, TODAY + 90 * DAY, paper=PAPER, as_of=TODAY + 2 * DAY, actor="legal/zhao")
    orders.move(w.desk, number, TODAY + 92 * DAY, paper=PAPER, as_of=TODAY + 2 * DAY, actor="legal/zhao")
    assert said(w) == ["opened", "T0 moved", "T0 moved"]


def test_a_successor_that_withdraws_takes_the_notice_that_named_it_along(w: World) -> None:
    number = opened(w)
    gate(w, number, Gate.NOTIFIED, TODAY + DAY)
    gate(w, number, Gate.REPORTED, TODAY + DAY)
    after = orders.successor_withdrew(
        w.desk, number, paper=PAPER, ministry_asked=False, as_of=TODAY + 50 * DAY, actor="legal/zhao"
    )
    assert after.successor is None and after.t0 == TODAY + 100 * DAY
    with w.desk.book() as conn:
        assert [g["gate"] for g in orders.gates(conn, number)] == ["reported"]
        assert any("nobody takes over" in a for a in orders.alarms(conn, TODAY + 50 * DAY))
    named = orders.name_successor(
        w.desk, number, NEXT, paper=PAPER, as_of=TODAY + 55 * DAY, actor="legal/zhao"
    )
    assert named.successor_since == TODAY + 55 * DAY
    with pytest.raises(Refused, match=f"true no more since {TODAY + 50 * DAY}"):
        orders.pass_gate(
            w.desk,
            number,
            Gate.NOTIFIED,
            on=TODAY + DAY,
            paper=PAPER,
            as_of=TODAY + 55 * DAY,
            actor="legal/zhao",
        )
    assert gate(w, number, Gate.NOTIFIED, TODAY + 55 * DAY, "d" * 64).t0 == TODAY + 145 * DAY
    assert said(w)[3:] == ["successor withdrew", "successor named", "gate", "T0 moved"]


def test_who_the_ministry_arranges_is_named_later_and_people_are_told(w: World) -> None:
    number = opened(w, successor=None, ministry_asked_on=TODAY)
    gate(w, number, Gate.NOTIFIED, TODAY + DAY)
    orders.name_successor(w.desk, number, NEXT, paper=PAPER, as_of=TODAY + 30 * DAY, actor="legal/zhao")
    with w.desk.book() as conn:
        assert Gate.SUCCESSOR_TOLD in orders.days(conn, orders.order(conn, number)).open
    gate(w, number, Gate.SUCCESSOR_TOLD, TODAY + 31 * DAY)
    with pytest.raises(Refused, match="it has a successor"):
        orders.name_successor(w.desk, number, NEXT, paper=PAPER, as_of=TODAY + 32 * DAY, actor="legal/zhao")


def test_a_custodian_is_named_later(w: World) -> None:
    number = opened(w, custodian=None)
    named = orders.name_custodian(
        w.desk, number, Custodian("Archive Co", "archive@example.com"), paper=PAPER, as_of=TODAY, actor="legal/zhao"
    )  # fmt: skip
    assert (named.custodian, said(w)[-1]) == ("Archive Co", "custodian named")
    with pytest.raises(Refused, match="contact is missing"):
        orders.name_custodian(
            w.desk, number, Custodian("Archive Co", ""), paper=PAPER, as_of=TODAY, actor="legal/zhao"
        )


def test_history_cannot_be_changed(w: World) -> None:
    opened(w)
    with w.desk.book() as conn, pytest.raises(psycopg.Error):
        conn.execute("UPDATE casebook.shutdown_event SET what = 'x'")


def test_an_entry_that_the_ledger_does_not_take_leaves_nothing_in_the_book(w: World) -> None:
    def full(*_: Any) -> None:
        raise Refused("no", about="ledger")

    with pytest.raises(Refused, match="ledger"):
        orders.open_order(replace(w.desk, record=full), TOLD, as_of=TODAY, actor="legal/zhao")
    with w.desk.book() as conn:
        assert orders.orders(conn) == []


def test_an_order_of_certificates_for_e_government_has_a_gate_more(w: World) -> None:
    with pytest.raises(Refused, match="it can stop on"):
        opened(w, t0=TODAY + 99 * DAY, e_government=True)
    number = opened(w, e_government=True)
    with w.desk.book() as conn:
        assert Gate.REPORTED_E_GOVERNMENT in orders.days(conn, of(w, number)).gates
    gate(w, number, Gate.REPORTED_E_GOVERNMENT, TODAY)
    with w.desk.book() as conn:
        assert orders.gate_done(conn, number, Gate.REPORTED_E_GOVERNMENT)
    assert [b["e_government"] for _, _, b in w.said.values() if b.get("what") == "opened"] == [True]
    plain = Days(Path.VOLUNTARY, TODAY, TODAY + 100 * DAY)
    assert Gate.REPORTED_E_GOVERNMENT not in plain.gates
