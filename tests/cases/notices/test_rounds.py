"""Further notices: a hold released, a retained answer that ended, a late "not deleted", a case that is reopened."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.cases import book, papers, verbs, watch
from include.cases.keys import FileKeyStore
from include.cases.notices import answering, holes, keeping, outbox, rounds, saying, stopping, telling, truth
from include.cases.notices.whom import Used
from include.cases.retention import stopping as emergency
from include.model.errors import Refused
from include.model.notices import AnswerCode, Part
from include.model.words import CaseState
from tests.cases.notices.making import ACTOR, Body, answer, desk, noticed, recipient, row, rows
from tests.cases.small import LI, TODAY, WANG, Row, Transfers, World, catalogue, world
from tests.cases.test_verbs import hold, issued, on, rested, state, verified

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.fixture
def body() -> Body:
    return Body()


@pytest.fixture
def w(writer: str, keys: FileKeyStore, body: Body) -> World:
    one = recipient(categories=("PI-001", "PI-060"))
    return world(writer, keys, lambda: catalogue(recipients=(one,)), channel=lambda r: body)


def decided(w: World, case_no: str, as_of: date = TODAY) -> str:
    plan = verbs.rehearse(w.desk, case_no, **on(as_of))
    verbs.approve(w.desk, case_no, approver="approver/wang", as_of=as_of, plan=plan.fingerprint())
    return case_no


def said(w: World, request: dict, code: str, as_of: date = TODAY, **evidence) -> None:
    part = Part(code=AnswerCode(code), **evidence)
    message = f"{request['request_id']} {part.canonical()!r}"
    answering.take(w.desk, answer(request, part, message=message), as_of=as_of, actor=ACTOR)


def test_what_is_held_is_preserved_and_goes_with_the_next_notice_once_it_is_released(
    w: World, body: Body
) -> None:
    case_no = verified(w)
    number = hold(w, case_no, datasets=frozenset({"web.log"}), confidential=True)
    decided(w, case_no)
    telling.tell(w.desk, "sms", **on())
    (first,) = body.seen
    assert (first.erase, first.preserve) == (("PI-001",), ("PI-060",))
    assert number not in first.model_dump_json() and "policy 5.2" not in first.model_dump_json()
    rested(w, case_no)
    said(w, row(w.desk, case_no), "DELETED", categories=("PI-001",))
    assert row(w.desk, case_no)["state"] == "tp_acked", "of what is preserved nothing need be said"
    verbs.release_hold(w.desk, number, document="(2026) 2", **on(TODAY + DAY))
    verbs.release_hold(w.desk, number, document="(2026) 2", **on(TODAY + DAY))
    _, second = rows(w.desk, case_no)
    assert (second["round"], second["because"], second["erase"], second["preserve"]) == (
        2,
        "hold_released",
        ["PI-060"],
        [],
    )
    telling.tell(w.desk, "sms", **on(TODAY + DAY))
    assert body.seen[1].erase == ("PI-060",) and body.seen[1].request_id != first.request_id
    assert body.seen[1].references == first.references


def test_what_a_recipient_retained_is_asked_for_again_when_its_last_day_is_over(w: World) -> None:
    case_no = decided(w, verified(w))
    until = TODAY + 90 * DAY
    telling.tell(w.desk, "sms", **on())
    said(w, row(w.desk, case_no), "RETAINED_BY_LAW", until=until, article="x")
    assert row(w.desk, case_no)["retained_until"] == until
    assert watch.look(w.desk, as_of=until, actor="system/clocks").again == ()
    assert watch.look(w.desk, as_of=until + DAY, actor="system/clocks").again == (case_no,)
    assert watch.look(w.desk, as_of=until + DAY, actor="system/clocks").again == (), "once"
    _, second = rows(w.desk, case_no)
    assert (second["because"], second["state"], second["erase"]) == (
        "retention_ended",
        "tp_notified",
        ["PI-001", "PI-060"],
    )


def closed(w: World, body: Body, code: str, **evidence) -> str:
    """A case of which nothing is kept by us, closed after its recipient's answer."""
    for store in (w.main, w.files):
        for items in store.rows.values():
            for n in [n for n, r in items.items() if r.started not in ("-", date(2020, 1, 1))]:
                del items[n]
    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    assert rested(w, case_no) is CaseState.WAITING
    issued(w, case_no)
    verbs.told(w.desk, case_no, **on())
    with pytest.raises(Refused, match="a recipient is silent"):
        verbs.close(w.desk, case_no, **on())
    said(w, row(w.desk, case_no), code, **evidence)
    w.backups_expire(TODAY + 36 * DAY)
    assert verbs.close(w.desk, case_no, **on(TODAY + 36 * DAY)).state is CaseState.CLOSED
    return case_no


def test_a_closed_case_waits_again_when_what_was_retained_has_ended(w: World, body: Body) -> None:
    until = TODAY + 90 * DAY
    case_no = closed(w, body, "RETAINED_BY_LAW", until=until)
    watch.look(w.desk, as_of=until + DAY, actor="system/clocks")
    assert state(w, case_no) is CaseState.WAITING
    with pytest.raises(Refused, match="a recipient is silent"):
        verbs.close(w.desk, case_no, **on(until + DAY))
    telling.tell(w.desk, "sms", **on(until + DAY))
    said(w, rows(w.desk, case_no)[1], "DELETED", until + 2 * DAY)
    assert verbs.close(w.desk, case_no, **on(until + 2 * DAY)).state is CaseState.CLOSED


def test_a_late_not_deleted_reopens_and_an_old_message_does_not(w: World, body: Body) -> None:
    case_no = closed(w, body, "DELETED")
    late = TODAY + 50 * DAY
    said(w, row(w.desk, case_no), "DELETED")
    assert state(w, case_no) is CaseState.CLOSED and len(rows(w.desk, case_no)) == 1, "said before"
    said(w, row(w.desk, case_no), "PARTIAL", late, remains="a backup")
    first, second = rows(w.desk, case_no)
    assert state(w, case_no) is CaseState.WAITING
    assert (first["state"], second["state"], second["because"]) == ("tp_acked", "tp_notified", "not_deleted")


def test_a_recipient_that_said_deleted_and_still_knows_is_a_finding_that_names_it(
    w: World, body: Body
) -> None:
    case_no = closed(w, body, "DELETED")
    with w.desk.book() as conn, book.deed(conn, case_no):
        rounds.lied(w.desk, conn, row(w.desk, case_no)["request_id"], **on(TODAY + 40 * DAY))
    assert [r["because"] for r in rows(w.desk, case_no)] == ["decision", "not_deleted"]
    with pytest.raises(Refused):
        verbs.close(w.desk, case_no, **on(TODAY + 40 * DAY))
    with w.desk.book() as conn:
        (place,) = [
            r["place"] for r in conn.execute("SELECT place FROM casebook.finding WHERE settled_at IS NULL")
        ]
    assert place == "recipient sms"
    for wrong in ({"reason": " "}, {"reason": "called 13900001234"}, {"recipient": "vetting", "reason": "r"}):
        with pytest.raises(Refused):
            truth.confronted(w.desk, case_no, **({"recipient": "sms"} | wrong), **on(TODAY + 41 * DAY))
    truth.confronted(w.desk, case_no, "sms", reason="its cache was emptied", **on(TODAY + 41 * DAY))
    said(w, rows(w.desk, case_no)[-1], "DELETED", TODAY + 42 * DAY)
    assert verbs.close(w.desk, case_no, **on(TODAY + 42 * DAY)).state is CaseState.CLOSED


def test_a_case_that_is_reopened_and_decided_tells_its_recipients_anew(w: World, body: Body) -> None:
    case_no = closed(w, body, "DELETED")
    back = TODAY + 50 * DAY
    w.main.rows["account.account"][90] = Row(LI)
    verbs.reopen(w.desk, case_no, because="probe_hit", **on(back))
    decided(w, case_no, back)
    assert [(r["round"], r["because"]) for r in rows(w.desk, case_no)] == [(1, "decision"), (2, "reopened")]


def test_who_is_escalated_is_given_nothing_more_until_somebody_lifts_that(w: World) -> None:
    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    with w.desk.book() as conn:
        assert "no answer that counts yet" in saying.sentences(conn, w.desk.catalogue, case_no, "en")[0]
    look = watch.look(w.desk, as_of=TODAY + 30 * DAY, actor="system/clocks")
    with w.desk.book() as conn:
        assert "已停止向其提供任何数据" in saying.sentences(conn, w.desk.catalogue, case_no, "zh")[0]
    assert (look.silent, look.stopped) == (1, ("sms",)) and "given nothing more (sms)" in str(look)
    said(w, row(w.desk, case_no), "DELETED", TODAY + 31 * DAY)
    assert row(w.desk, case_no)["state"] == "tp_acked", "an answer that comes late is an answer"
    with w.desk.book() as conn:
        assert [s["recipient"] for s in stopping.listing(conn)] == ["sms"], "a person lifts it"
    with pytest.raises(Refused, match="reason"):
        stopping.lift(w.desk, "sms", reason=" ", as_of=TODAY, actor="ops/li")
    with pytest.raises(Refused, match="mobile"):
        stopping.lift(w.desk, "sms", reason="13812345678", as_of=TODAY, actor="ops/li")
    stopping.lift(w.desk, "sms", reason="answered, and has somebody for it now", as_of=TODAY, actor="ops/li")
    with w.desk.book() as conn:
        assert stopping.listing(conn) == []
    with pytest.raises(Refused, match="not stopped"):
        stopping.lift(w.desk, "sms", reason="again", as_of=TODAY, actor="ops/li")


def test_while_disposing_is_stopped_nobody_is_asked_to_delete_and_no_record_is_destroyed(
    w: World, body: Body
) -> None:
    ended = closed(w, body, "DELETED")
    decided(w, verified(w, account=WANG))
    with w.desk.book() as conn:
        emergency.stop(conn, "an incident", actor="ops/zhao")
    told = len(body.seen)
    later = date(TODAY.year + 3, TODAY.month, TODAY.day) + DAY
    assert telling.tell(w.desk, "sms", **on()).sent == 0 and len(body.seen) == told
    assert watch.look(w.desk, as_of=later, actor="system/clocks").destroyed == 0
    assert row(w.desk, ended)["sealed_payload"] is not None
    with w.desk.book() as conn:
        emergency.lift(conn, actor="ops/zhao")
    assert telling.tell(w.desk, "sms", **on()).sent == 1 and len(body.seen) == told + 1


def test_while_disposing_is_stopped_what_is_to_be_preserved_is_still_told(w: World, body: Body) -> None:
    case_no = verified(w)
    hold(w, case_no)
    decided(w, case_no)
    with w.desk.book() as conn:
        emergency.stop(conn, "an incident", actor="ops/zhao")
    (waiting,) = rows(w.desk, case_no)
    assert waiting["erase"] == [] and waiting["preserve"]
    assert telling.tell(w.desk, "sms", **on()).sent == 1


def test_the_records_are_destroyed_after_three_years_and_the_key_lives_as_long(w: World, body: Body) -> None:
    case_no = closed(w, body, "DELETED")
    with pytest.raises(Refused, match="three years"):
        verbs.destroy_key(w.desk, case_no, **on(TODAY + 40 * DAY))
    last = date(TODAY.year + 3, TODAY.month, TODAY.day)
    assert watch.look(w.desk, as_of=last, actor="system/clocks").destroyed == 0
    assert watch.look(w.desk, as_of=last + DAY, actor="system/clocks").destroyed == 1
    found = row(w.desk, case_no)
    assert (
        found["sealed_payload"] is None
        and found["destroyed_on"] == last + DAY
        and found["answer_code"] == "DELETED"
    )
    with w.desk.book() as conn:
        assert conn.execute("SELECT sealed_evidence FROM casebook.answer").fetchall() == [
            {"sealed_evidence": None}
        ]
        assert [e["what"] for e in book.timeline(conn, case_no)][-1] == "notices destroyed"
    verbs.destroy_key(w.desk, case_no, **on(last + DAY))


def test_what_is_retained_longer_is_kept_longer_and_what_is_open_is_kept(
    writer: str, keys: FileKeyStore
) -> None:
    at = desk(writer, keys, [Body()])
    kept, open_ = noticed(at), noticed(at)
    part = Part(code=AnswerCode.RETAINED_BY_LAW, until=date(2040, 1, 1))
    answering.take(at, answer(row(at, kept), part), as_of=TODAY, actor=ACTOR)
    with at.book() as conn, book.deed(conn, "x"):
        assert keeping.destroy(conn, date(2035, 1, 1), ACTOR) == 0
        assert keeping.kept(conn, kept) and keeping.kept(conn, open_)
        assert outbox.unsent(conn) == 1


def test_a_hole_in_the_register_is_a_finding_that_names_the_recipient_and_it_is_told_all_the_same(
    writer: str, keys: FileKeyStore
) -> None:
    class WithoutEntry(Transfers):
        def given(self, subjects):
            return {}

        def since(self, subjects):
            return TODAY

        def forgets(self, day, as_of):
            return False

        def used(self, recipient, subjects, located):
            return Used((TODAY,), named=True)

    one = recipient(registered=date(2021, 11, 1))
    at = world(writer, keys, lambda: catalogue(recipients=(one,)), company=WithoutEntry()).desk
    case_no = verified(SimpleNamespace(desk=at))  # type: ignore[arg-type]
    decided(SimpleNamespace(desk=at), case_no)  # type: ignore[arg-type]
    assert row(at, case_no)["state"] == "tp_notified"
    with at.book() as conn:
        (finding,) = papers.open_findings(conn, case_no)
    assert (finding["code"], finding["place"]) == ("register_hole", "recipient sms")
    with pytest.raises(Refused, match="nobody says"):
        holes.explained(at, case_no, "sms", reason="", **on())
    with pytest.raises(Refused, match="no open finding"):
        truth.confronted(at, case_no, "sms", reason="r", **on())
    holes.explained(at, case_no, "sms", reason="its batch of May was never entered", **on())
    with at.book() as conn:
        assert papers.open_findings(conn, case_no) == []
        assert book.timeline(conn, case_no)[-1]["what"] == "register explained"
