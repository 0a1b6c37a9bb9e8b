"""A hold that comes after the recipients were told to erase, and one that goes again."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from include.cases import book, holds, verbs
from include.cases.keys import FileKeyStore, Purpose
from include.cases.notices import answering, outbox, preserving, telling
from include.cases.rooms import Desk
from include.model.errors import NotReachable
from include.model.notices import AnswerCode, Instruction, Part
from include.model.words import CaseState
from tests.cases.notices.making import ACTOR, Body, answer, desk, noticed, recipient, row, rows
from tests.cases.notices.test_rounds import closed, decided, said
from tests.cases.small import LI, TODAY, WANG, World, catalogue, world
from tests.cases.test_verbs import on, state, verified

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
ORDER = {
    "basis": "court", "document_no": "(2026)京0108民初7号", "issuing_body": "北京市海淀区人民法院", "law": "CPL 84",
}  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.fixture
def body() -> Body:
    return Body()


@pytest.fixture
def w(writer: str, keys: FileKeyStore, body: Body) -> World:
    one = recipient(categories=("PI-001", "PI-004", "PI-060"))
    return world(writer, keys, lambda: catalogue(recipients=(one,)), channel=lambda r: body)


def held(at: Desk, *case_nos: str, as_of=TODAY, **scope) -> str:
    return verbs.open_hold(
        at, **ORDER, case_nos=frozenset(case_nos), as_of=as_of, actor="legal/sun",
        **{k: v if isinstance(v, bool) else frozenset(v) for k, v in scope.items()},
    )  # fmt: skip


def asks(found: dict) -> tuple[str, str, set[str], set[str]]:
    return found["because"], found["state"], set(found["erase"]), set(found["preserve"])


EVERY = {"PI-001", "PI-004", "PI-060"}


@pytest.mark.parametrize(
    ("scope", "kept"),
    [({}, EVERY), ({"categories": {"PI-004"}}, {"PI-004"}), ({"datasets": {"account.account"}}, {"PI-001", "PI-004"}),
     ({"datasets": {"web.log"}, "categories": {"PI-001"}}, {"PI-001", "PI-060"}),
     ({"categories": {"PI-028"}}, set())],
    ids=["everything", "category", "dataset", "both", "nothing_of_theirs"],
)  # fmt: skip
@pytest.mark.parametrize("whom", ["case", "account"])
def test_a_hold_that_comes_after_the_notices_is_told_with_its_opening(
    w: World, body: Body, scope: dict, kept: set[str], whom: str
) -> None:
    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    number = held(w.desk, *((case_no,) if whom == "case" else ()), **scope,
                  **({"account_ids": {LI}} if whom == "account" else {}))  # fmt: skip
    if not kept:
        assert len(rows(w.desk, case_no)) == 1
        return
    first, second = rows(w.desk, case_no)
    assert (first["state"], first["due_at"]) == ("tp_superseded", None), (
        "nobody is reminded to erase what is held"
    )
    assert asks(second) == ("hold_opened", "tp_notified", EVERY - kept, kept)
    telling.tell(w.desk, "sms", **on())
    assert [n.round for n in body.seen] == [1, 2]
    notice = body.seen[1]
    assert notice.instruction is (Instruction.ERASE if EVERY - kept else Instruction.PRESERVE)
    assert (set(notice.preserve), notice.references) == (kept, body.seen[0].references)
    assert "停止删除" in notice.text
    for secret in (number, ORDER["document_no"], ORDER["issuing_body"], ORDER["law"]):
        assert secret not in notice.model_dump_json()
    assert state(w, case_no) is CaseState.ASSESSING, "the hold moves no case"


def test_a_confidential_hold_reads_like_any_other(w: World, body: Body) -> None:
    texts = []
    for confidential in (True, False):
        case_no = decided(w, verified(w, account=WANG if confidential else LI))
        telling.tell(w.desk, "sms", **on())
        held(w.desk, case_no, categories={"PI-004"}, confidential=confidential)
        telling.tell(w.desk, "sms", **on())
        notice = body.seen[-1]
        texts.append((notice.text, notice.law, notice.preserve, notice.instruction))
    assert texts[0] == texts[1]


def test_somebody_elses_hold_tells_nobody(w: World) -> None:
    case_no = decided(w, verified(w))
    held(w.desk, account_ids={WANG})
    assert len(rows(w.desk, case_no)) == 1


def test_a_notice_that_has_not_gone_out_never_does(w: World, body: Body) -> None:
    case_no = decided(w, verified(w))
    held(w.desk, case_no)
    assert rows(w.desk, case_no)[0]["delivery"] == "cancelled"
    for day in range(15):
        telling.tell(w.desk, "sms", **on(TODAY + day * DAY))
    assert {n.instruction for n in body.seen} == {Instruction.PRESERVE}
    assert {n.round for n in body.seen} == {2}


@pytest.mark.parametrize(
    ("answers", "kept", "gone"),
    [
        ([("DELETED", ())], set(), {"PI-001", "PI-004"}),
        ([("NOTHING_HELD", ("PI-001",)), ("RETAINED_BY_LAW", ("PI-004", "PI-060"))], {"PI-004"}, {"PI-001"}),
        ([("RETAINED_INDEPENDENT", ())], {"PI-001", "PI-004"}, set()),
        ([("DELETED", ("PI-001",))], {"PI-004"}, {"PI-001"}),
        ([("DELETED", ()), ("PARTIAL", ("PI-004",))], {"PI-004"}, {"PI-001"}),
    ],
    ids=["deleted", "by_law", "independent", "in_part", "not_after_all"],
)
def test_who_has_said_that_it_is_gone_is_left_alone_and_shown_and_who_keeps_it_is_told(
    w: World, answers: list, kept: set[str], gone: set[str]
) -> None:
    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    for code, categories in answers:
        more = {"until": TODAY + 100 * DAY} if code == "RETAINED_BY_LAW" else {}
        said(w, rows(w.desk, case_no)[0], code, categories=categories, **more)
    number = held(w.desk, case_no, datasets={"account.account"})
    found = rows(w.desk, case_no)
    assert set(found[-1]["preserve"]) == kept
    with w.desk.book() as conn:
        (there,) = preserving.standing(conn, w.desk.catalogue, holds.order(conn, number))
    assert (set(there.preserves), set(there.gone)) == (kept, gone)


def test_a_closed_case_waits_again_for_the_recipient_that_keeps_something(w: World, body: Body) -> None:
    case_no = closed(w, body, "RETAINED_BY_LAW", until=TODAY + 400 * DAY)
    later = TODAY + 60 * DAY
    number = held(w.desk, account_ids={LI}, as_of=later)
    assert state(w, case_no) is CaseState.WAITING
    first, second = rows(w.desk, case_no)
    assert (first["state"], asks(second)) == ("tp_retained", ("hold_opened", "tp_notified", set(), EVERY))
    said(w, second, "HELD_DISPUTE", later, dispute="as you ask")
    assert verbs.close(w.desk, case_no, **on(later)).state is CaseState.CLOSED
    verbs.release_hold(w.desk, number, document="(2027) 3", **on(later + DAY))
    third = rows(w.desk, case_no)[2]
    assert asks(third) == ("hold_released", "tp_notified", EVERY, set())
    assert state(w, case_no) is CaseState.WAITING
    assert third["escalate_on"] == later + 31 * DAY, "its clock begins anew"


def test_who_deleted_and_a_closed_case_stay_as_they_are(w: World, body: Body) -> None:
    case_no = closed(w, body, "DELETED")
    held(w.desk, case_no, as_of=TODAY + 60 * DAY)
    assert len(rows(w.desk, case_no)) == 1 and state(w, case_no) is CaseState.CLOSED


def test_a_hold_under_another_version_of_the_token_key_is_told_and_released_all_the_same(
    w: World, keys: FileKeyStore
) -> None:
    case_no = decided(w, verified(w))
    keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    number = held(w.desk, account_ids={LI})
    assert asks(rows(w.desk, case_no)[1]) == ("hold_opened", "tp_notified", set(), EVERY)
    verbs.release_hold(w.desk, number, document="r", **on(TODAY + DAY))
    assert asks(rows(w.desk, case_no)[2]) == ("hold_released", "tp_notified", EVERY, set())


def test_a_release_tells_to_erase_what_no_other_hold_covers_and_says_so_once(w: World, body: Body) -> None:
    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    wide = held(w.desk, case_no)
    narrow = held(w.desk, case_no, categories={"PI-004"})
    assert len(rows(w.desk, case_no)) == 2, "what is to be preserved already is not told twice"
    for _ in range(2):
        verbs.release_hold(w.desk, wide, document="r 1", **on(TODAY + DAY))
    _, second, third = rows(w.desk, case_no)
    assert second["state"] == "tp_superseded"
    assert asks(third) == ("hold_released", "tp_notified", EVERY - {"PI-004"}, {"PI-004"})
    telling.tell(w.desk, "sms", **on(TODAY + DAY))
    assert "不再需要保存" in body.seen[-1].text and body.seen[-1].round == 3
    verbs.release_hold(w.desk, narrow, document="r 2", **on(TODAY + 2 * DAY))
    assert asks(rows(w.desk, case_no)[3]) == ("hold_released", "tp_notified", EVERY, set()), (
        "what was open goes with it"
    )


def test_what_is_retained_under_a_hold_is_not_asked_for_before_its_release(w: World) -> None:
    from include.cases import watch

    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    until = TODAY + 50 * DAY
    said(w, row(w.desk, case_no), "RETAINED_BY_LAW", until=until, article="x")
    number = held(w.desk, case_no, as_of=TODAY + DAY)
    said(w, rows(w.desk, case_no)[1], "HELD_DISPUTE", TODAY + DAY, dispute="as you ask")
    for day in (51, 200, 400):
        watch.look(w.desk, as_of=TODAY + day * DAY, actor="system/clocks")
    assert len(rows(w.desk, case_no)) == 2
    verbs.release_hold(w.desk, number, document="r", **on(TODAY + 401 * DAY))
    assert asks(rows(w.desk, case_no)[2])[0::2] == ("hold_released", EVERY)


def test_a_hold_over_many_cases_takes_a_few_statements_a_case(
    writer: str, keys: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    at = desk(writer, keys, [Body("sms"), Body("vetting")])
    sent: list[int] = []
    execute = psycopg.Cursor.execute

    def counted(cursor, *args, **more):
        sent.append(1)
        return execute(cursor, *args, **more)

    def statements(cases: int) -> int:
        case_nos = [noticed(at) for _ in range(cases)]
        monkeypatch.setattr(psycopg.Cursor, "execute", counted)
        sent.clear()
        held(at, *case_nos)
        monkeypatch.setattr(psycopg.Cursor, "execute", execute)
        assert all([r["because"] for r in rows(at, c)].count("hold_opened") == 2 for c in case_nos)
        return len(sent)

    few, many = statements(2), statements(12)
    # Each case is looked up, has two events on its timeline and one number in the hold's scope; whom to tell, and the
    # notices themselves, cost the same for all.
    assert many - few <= 10 * 6


@pytest.mark.parametrize("verb", ["open", "release"])
@pytest.mark.parametrize("at", ["before", "after"])
def test_killed_there_is_neither_a_hold_nor_a_notice_and_again_there_are_both_once(
    writer: str, keys: FileKeyStore, monkeypatch: pytest.MonkeyPatch, at: str, verb: str
) -> None:
    made = desk(writer, keys, [Body()])
    case_no = noticed(made)
    if verb == "release":
        assert held(made, case_no) == "HOLD-000001"
    before = len(rows(made, case_no))

    def deed() -> None:
        if verb == "open":
            held(made, case_no)
        else:
            verbs.release_hold(made, "HOLD-000001", document="r", **on())

    def dies(*args, **more) -> None:
        if at == "after":
            insert(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    insert = outbox.insert
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(outbox, "insert", dies)
        deed()
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with made.book() as conn:
        assert len(holds.orders(conn)) == (1 if verb == "release" else 0)
    assert len(rows(made, case_no)) == before
    deed()
    assert [asks(r)[0] for r in rows(made, case_no)][before:] == [
        f"hold_{verb}{'d' if verb == 'release' else 'ed'}"
    ]


def test_the_case_book_that_is_away_refuses_the_hold_and_tells_nobody(w: World) -> None:
    case_no = decided(w, verified(w))
    with w.desk.book() as conn, book.deed(conn, "x"):
        conn.execute("SELECT FROM casebook.case_ WHERE case_no = %s FOR UPDATE", (case_no,))
        with pytest.raises(NotReachable):
            _with_short_patience(w, case_no)
    assert len(rows(w.desk, case_no)) == 1
    with w.desk.book() as conn:
        assert holds.orders(conn) == ()


def _with_short_patience(w: World, case_no: str) -> None:
    from unittest.mock import patch

    with patch.object(book, "_TIMEOUTS", "-c lock_timeout=300ms"):
        held(w.desk, case_no)


def test_an_answer_to_a_notice_that_was_replaced_still_counts_for_what_is_gone(w: World) -> None:
    case_no = decided(w, verified(w))
    telling.tell(w.desk, "sms", **on())
    number = held(w.desk, case_no)
    first, second = rows(w.desk, case_no)
    part = Part(code=AnswerCode.DELETED)
    answering.take(w.desk, answer(first, part), as_of=TODAY, actor=ACTOR)
    with w.desk.book() as conn:
        (there,) = preserving.standing(conn, w.desk.catalogue, holds.order(conn, number))
    assert (there.preserves, set(there.gone)) == ((), EVERY)
    assert [r["state"] for r in rows(w.desk, case_no)] == ["tp_superseded", "tp_notified"]
    verbs.release_hold(w.desk, number, document="r", **on())
    assert len(rows(w.desk, case_no)) == 2, "nothing is asked for that is gone"
    assert second["round"] == 2
