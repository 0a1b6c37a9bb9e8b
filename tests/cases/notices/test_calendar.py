"""Sixty days, by logical dates, with the 26 recipients of the catalogue and the real judge: every one comes to its end."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from include.cases import book, watch
from include.cases.keys import FileKeyStore
from include.cases.notices import errands, outbox, record, stopping, telling
from include.cases.rooms import judged
from include.catalogue import load
from include.model.errors import Refused
from include.model.notices import Answer, AnswerCode, Part, Pending
from include.model.times import observed_now
from tests.cases.notices.making import ACTOR, Body, noticed
from tests.cases.small import TODAY, Places, catalogue, world

pytestmark = pytest.mark.postgres
POLICY = load()
SILENT, PARTIAL_FIRST, UNPROVED_FIRST, SLOW, BUSY = (
    "shujubao",
    "juhe",
    "yizhengtong",
    "jinshi",
    "zhongshuzhihui",
)
BY_LAW = {"article": "CSL 23(3)", "until": TODAY + timedelta(days=120)}


def good(recipient, day: date) -> tuple[Part, ...]:
    """What each kind of body answers in the end."""
    gone = Part(
        code=AnswerCode.DELETED, count=3, at=observed_now(), method="overwritten", transactions=("t",),
        sub_recipients=("a partner",) if recipient.names_partners else (),
    )  # fmt: skip
    if recipient.role.value == "L":
        return (Part(code=AnswerCode.CANNOT_ERASE_IMMUTABLE),)
    if recipient.role.value == "I":
        return (Part(code=AnswerCode.RETAINED_INDEPENDENT, authorisation="仲裁档案管理"),)
    if recipient.id in ("emay", "weilai", "chuanglan"):
        return (Part(code=AnswerCode.RETAINED_BY_LAW, **BY_LAW),)
    return (gone,)


def by_poll(request: dict, parts: tuple[Part, ...], day: date) -> Answer:
    said = f"{request['request_id']} {parts}".encode()
    return Answer(
        request_id=request["request_id"], recipient=request["recipient"], parts=parts, via="poll",
        digest=hashlib.sha256(said).hexdigest(),
    )  # fmt: skip


def answers(bodies: dict[str, Body], requests: list[dict], day: int, as_of: date) -> None:
    """What the bodies that are asked over OpenDSR say on a day."""
    for request in requests:
        recipient = next(r for r in POLICY.recipients if r.id == request["recipient"])
        body, n = bodies[recipient.id], request["request_id"]
        if recipient.channel != "opendsr" or recipient.id == SILENT or not body.seen:
            continue
        if recipient.id == SLOW and day < 12:
            body.says[n] = Pending(
                request_id=n, recipient=recipient.id, status="in_progress", expected_on=as_of
            )
        elif recipient.id == PARTIAL_FIRST and not any(m.reminder for m in body.seen):
            body.says[n] = by_poll(request, (Part(code=AnswerCode.PARTIAL, remains="a backup"),), as_of)
        elif recipient.id == UNPROVED_FIRST and not any(m.reminder for m in body.seen):
            body.says[n] = by_poll(request, (Part(code=AnswerCode.DELETED),), as_of)
        elif recipient.id == "jinlianhuitong" and day < 3:
            body.says[n] = Refused("its signature does not verify", about="x", next_step="ask again")
        elif day >= 2 and n not in {
            k for k, v in body.says.items() if isinstance(v, Answer) and v.parts[0].count
        }:
            body.says[n] = by_poll(request, good(recipient, as_of), as_of)


def test_sixty_days_bring_every_recipient_to_its_end(writer: str, database: str, tmp_path: Path) -> None:
    bodies = {r.id: Body(r.id, repeatable=r.channel == "opendsr") for r in POLICY.recipients}
    for r in POLICY.recipients:
        if r.channel == "manual":
            bodies[r.id].plan = ["person"] * 9
    bodies[BUSY].plan = ["busy", "unreachable", "reply_lost"]
    at = world(
        writer, FileKeyStore(tmp_path / "keys", b"k" * 32),
        lambda: catalogue(recipients=POLICY.recipients, laws=POLICY.laws),
        channel=lambda r: bodies[r.id], judge=judged,
    ).desk  # fmt: skip
    assert isinstance(at.connections, Places)
    case_no = noticed(at)
    ended_on: dict[str, int] = {}
    carried: set[str] = set()
    for day in range(61):
        as_of = TODAY + timedelta(days=day)
        with at.book() as conn:
            requests = outbox.listing(conn, case_no)
        answers(bodies, requests, day, as_of)
        for name in telling.due(at, now=observed_now(), as_of=as_of):
            try:
                telling.tell(at, name, as_of=as_of, actor=ACTOR)
            except Exception as error:
                assert "no answer" in str(error)
        with at.book() as conn:
            waiting = errands.listing(conn)
        for errand in waiting:
            errands.carried(at, errand["request_id"], proof=b"a call", as_of=as_of, actor="errand/li")
            carried.add(errand["recipient"])
        if day >= 8:  # letters come back, and somebody records them
            for request in requests:
                one = next(r for r in POLICY.recipients if r.id == request["recipient"])
                if one.channel != "opendsr" and request["state"] == "tp_notified" and not request["codes"]:
                    errands.answered(
                        at, request["request_id"], good(one, as_of), b"letter", as_of=as_of, actor="errand/li"
                    )
        if day == 40:  # our own dates are over: what stands on a chain cannot be computed again
            with psycopg.connect(database) as conn:
                conn.execute(
                    "INSERT INTO casebook.evidence_ref VALUES ('k', %s, 's', 'gone', NULL, 'passed', 'f', %s, now())",
                    (case_no, Jsonb({"checks": [{"name": "unlinkable.sign.anchor", "verdict": "passed"}]})),
                )
        watch.look(at, as_of=as_of, actor="system/clocks")
        with at.book() as conn:
            for r in outbox.listing(conn, case_no):
                if r["state"] != "tp_notified":
                    ended_on.setdefault(r["recipient"], day)

    with at.book() as conn:
        found = {r["recipient"]: r for r in outbox.listing(conn, case_no)}
        table = record.record(conn)
        stopped = [s["recipient"] for s in stopping.listing(conn)]
        said = [e["what"] for e in book.timeline(conn, case_no)]
    print()  # noqa: T201
    for name, r in found.items():
        until = r["retained_until"] or ""
        told = f"{name:16} {r['channel']:12} day {ended_on.get(name, '-'):>3}  {r['state']:13}"
        print(told, r["answer_code"], until)  # noqa: T201
    assert len(found) == 26 and set(ended_on) == set(found)
    states = {name: r["state"] for name, r in found.items()}
    assert states[SILENT] == "tp_escalated" and found[SILENT]["answer_code"] == "NO_REPLY"
    assert stopped == [SILENT] and ended_on[SILENT] == 30
    assert {n for n, s in states.items() if s == "tp_unlinked"} == {
        "webank_chain",
        "zhixinlian",
        "sse_infonet",
    }
    assert all(ended_on[n] == 40 for n, s in states.items() if s == "tp_unlinked"), (
        "not before our side unlinked"
    )
    for name in ("emay", "weilai", "chuanglan"):
        assert (states[name], found[name]["retained_until"]) == ("tp_retained", BY_LAW["until"])
    assert all(states[r.id] == "tp_retained" for r in POLICY.recipients if r.role.value == "I")
    assert all(states[n] == "tp_acked" for n in (PARTIAL_FIRST, UNPROVED_FIRST, SLOW, BUSY, "jinlianhuitong"))
    for name, why in ((PARTIAL_FIRST, "尚有部分数据留存"), (UNPROVED_FIRST, "条数、时间和方式")):
        told_why = next(m for m in bodies[name].seen if m.reminder)
        assert why in told_why.text and told_why.request_id == found[name]["request_id"], (
            "the sender is told why"
        )
    assert sum(m.reminder for m in bodies[SILENT].seen) == 1, "one reminder, on the tenth day"
    assert carried >= {r.id for r in POLICY.recipients if r.channel == "manual"}
    assert {"notice sent", "reminder sent", "answer", "recipient"} <= set(said)
    assert {t["recipient"]: t["open"] for t in table} == dict.fromkeys(found, 0)
    quiet = next(t for t in table if t["recipient"] == SILENT)
    assert (quiet["answer_rate"], quiet["escalated"], quiet["median_days"], quiet["codes"]) == (
        0,
        1,
        None,
        {},
    )
    loud = next(t for t in table if t["recipient"] == SLOW)
    assert loud["answer_rate"] == 1 and loud["codes"] == {"DELETED": 1} and loud["median_days"] is not None
