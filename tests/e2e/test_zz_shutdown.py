"""A whole company stops through the real scheduler, with a successor on servers of its own. The last file of its house: what is
left afterwards is no company that another test could use."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from include.cases.shutdown import orders
from include.handover import register
from include.handover.stages import CERTIFICATE, RECEIPT_KEY
from include.model import sealed
from include.model.errors import Unopened
from include.model.handover import BagState
from include.model.keks import Keks
from include.model.times import observed_now, prc_date
from include.sandbox.answering import PARKED, Answer, Answering
from include.sandbox.api import ENDED
from include.sandbox.days import locks, playing
from include.sandbox.objects_seed import LOCKED_FOR
from include.sandbox.shutting_down import Stopping
from include.sandbox.stack.successor import ESTATE
from tests.e2e.conftest import PATIENCE, House

DAG = "service_shutdown"
TODAY = prc_date(observed_now())
DIGEST = "a" * 64


def filed(days: int) -> Mapping[str, Any]:
    return {
        "document": f"BR-2026-{days:03}",
        "digest": DIGEST,
        "done_on": (TODAY - timedelta(days=days)).isoformat(),
    }


def signed(number: int) -> Mapping[str, Any]:
    return {"document": f"BR-{number}", "digest": DIGEST}


def _every_key_opens(house: House) -> None:
    """One of this house may not open. Such a key is left and named, and
    the books wait for a person (tests/handover/test_sealed_travels.py); here everything is to go."""
    keks = Keks.of(house.desk.connections)
    with house.company() as conn:
        for key_id, kek, wrapped in conn.execute(
            "SELECT key_id, kek, wrapped FROM sign.evidence_key"
        ).fetchall():
            try:
                keks.unwrap(kek, key_id, bytes(wrapped))
            except Unopened:
                made = keks.wrap(key_id, sealed.new_key())
                conn.execute("UPDATE sign.evidence_key SET wrapped = %s WHERE key_id = %s", [made, key_id])


def test_one_order_goes_from_its_gates_to_the_books(house: House) -> None:
    stack, said = house.stack, list[str]()
    stack.successor.up(said.append)
    stopping = Stopping(stack, house.desk, TODAY, said.append)
    number = stopping.opened()
    _every_key_opens(house)
    stopping.told(number)  # ninety days ago: letters of today would move T0
    papers = stack.bags / number
    papers.mkdir(mode=0o700)
    shutil.copyfile(stack.successor.certificate, papers / CERTIFICATE)
    shutil.copyfile(stack.successor.receipt_key, papers / RECEIPT_KEY)
    key = hashlib.sha256(stack.successor.receipt_key.read_bytes()).hexdigest()
    answers = {
        "notified.ask": ("Done 已办理", filed(90)), "reported.ask": ("Done 已办理", filed(60)),
        "announced.ask": ("Done 已办理", filed(30)), "t0.ask": ("Done 已办理", filed(0)),
        "t0.ask_unseen": ("I answer for it 同意继续", signed(7)),
        "handover.ask": ("Done 已办理", {**signed(8), "digest": key}), "source.ask": ("Done 已办理", signed(9)),
        "rest.ask_first": ("Done 已办理", {}), "rest.ask_second": ("Done 已办理", {}),
        "end.media.ask_first": ("Done 已办理", {**signed(10), "stays": ["everything"]}),
        "end.media.ask_second": ("I say the same 同意", signed(10)),
    }  # fmt: skip
    who = {
        "rest.ask_first": "reviewer",
        "rest.ask_second": "admin",
        "end.media.ask_first": "admin",
        "end.media.ask_second": "reviewer",
    }  # the order's approvers, each as themselves
    admin = house.user("admin")
    admin.unpause(DAG)
    run_id = admin.trigger(DAG, {"order": number})["dag_run_id"]
    asked = Answering(
        DAG, run_id, {task: Answer(house.user(who.get(task, "ops")), *said) for task, said in answers.items()}
    )
    received: list[str] = []
    decided = False
    deadline = time.monotonic() + 1.5 * PATIENCE  # it is the longest run of all
    while True:
        tasks = admin.tasks(DAG, run_id)
        states = {t.task_id: t.state for t in tasks}
        # From there on it waits for recipients, for days, and holds no slot.
        waits = (
            states["end.answers"] == "up_for_reschedule"
            and states["end.successor_told.record"] == "success"
            and states["end.media.settled"] == "success"
        )
        if admin.run_state(DAG, run_id) in ENDED or waits:
            break
        assert time.monotonic() < deadline, states
        if states["t0.ask"] == PARKED and not decided:
            # Before anything is packed disputes are decided, and the last day of every lock is over, as on a calendar
            # that is played: a lock or hold that ends later leaves a bag that is another than was packed.
            stopping.decided()
            locks.shorten(playing.eraser(stack), TODAY + LOCKED_FOR + timedelta(days=2))
            decided = True
        asked.look(tasks)
        if states["handover.receipts"] == "up_for_reschedule" and not received:
            received = stopping.receive(number)  # it waits, and holds no slot
        time.sleep(0.5)
    ended = {t.task_id: t for t in admin.tasks(DAG, run_id)}
    red = [i for i, t in ended.items() if t.state not in ("success", None) and i != "end.answers"]
    # Of what the others wait for only those that failed themselves say why.
    why = [
        f"{i}: " + "\n".join(admin.log(DAG, run_id, i, ended[i].tries))[-1500:]
        for i in red
        if ended[i].state != "upstream_failed"
    ]
    if red:
        pytest.fail("\n".join([*red, *why]))
    assert received and "0 of them with differences" in " ".join(received)
    assert ended["end.answers"].state == "up_for_reschedule" and ended["balance"].state == "success"
    with house.desk.book() as conn:
        of, bags = orders.order(conn, number), register.bags(conn, number)
        history = orders.history(conn, number)
        whats = [e["what"] for e in history]
    assert of.closed_on == TODAY and all(b.state is BagState.RECEIVED for b in bags) and len(bags) > 5
    assert whats.count("consigned") == 1 and {"source deletion begun", "disposal begun", "books"} < set(whats)
    let = [e for e in history if e["what"] == "source deletion approved"]
    assert [(e["detail"]["document"], e["actor"]) for e in let] == [("BR-9", "ops/ops")], (
        "who let it begin, and by what"
    )
    assert whats.index("source deletion approved") < whats.index("source deletion begun")
    assert [e["detail"]["document"] for e in history if e["what"] == "consigned"] == ["BR-8"]
    media = [e for e in history if e["what"] == "media answered for"]
    assert [(e["detail"]["document"], e["detail"]["becomes"]) for e in media] == [("BR-10", "stays")] * 2
    assert [e["actor"] for e in media] == ["legal/admin", "legal/reviewer"], "two people, each as themselves"
    assert "store:company" in media[0]["detail"]["media"]
    assert "recipients told" in whats[-3:]
    sent = sum(b.statement.items for b in bags if b.statement.dataset == "cert.issuance_log")
    with (
        house.company() as ours,
        psycopg.connect(stack.successor.cluster.superuser_conninfo(ESTATE)) as theirs,
    ):
        assert theirs.execute("SELECT count(*) FROM cert.issuance_log").fetchone() == (sent,) and sent > 50
        there = [r[0] for r in theirs.execute("SELECT issuance_log_id FROM cert.issuance_log")]
        left = ours.execute(
            "SELECT count(*) FROM cert.issuance_log WHERE issuance_log_id = ANY(%s)", (there,)
        ).fetchone()
        assert left == (0,), "what the successor signed for is gone here"
