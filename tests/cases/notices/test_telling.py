"""One recipient's batch: never more than it takes, never two senders, nothing lost when it is away."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from include.cases.keys import FileKeyStore
from include.cases.notices import answering, errands, sending, telling
from include.model.errors import NotReachable, Refused
from include.model.notices import Instruction, Judgement
from include.model.times import observed_now, prc_date
from tests.cases.notices.making import ACTOR, PHONE, Body, answer, desk, noticed, recipient, row, rows
from tests.cases.small import TODAY

pytestmark = pytest.mark.postgres


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


def tell(at, as_of=TODAY, **more) -> telling.Told:
    return telling.tell(at, "sms", as_of=as_of, actor=ACTOR, **more)


def seconds_until_due(at, case_no: str) -> float:
    return (row(at, case_no)["due_at"] - observed_now()).total_seconds()


def test_a_recipient_is_sent_no_more_in_a_minute_than_it_takes(
    writer: str, keys: FileKeyStore, database: str
) -> None:
    body = Body()
    at = desk(writer, keys, [body], [recipient(per_minute=3)])
    for _ in range(8):
        noticed(at)
    with psycopg.connect(database, autocommit=True) as conn:  # the minute does not turn meanwhile
        conn.execute(
            "INSERT INTO casebook.pace VALUES ('sms', date_trunc('minute', clock_timestamp() + interval '30 s'), 0)"
        )
    sent = tell(at).sent + tell(at).sent
    assert sent in (3, 6) and len(body.seen) == sent, "a minute at a time; two if it turned"
    minutes = sorted((r["due_at"] - observed_now()).total_seconds() for r in rows(at) if r["sent_at"] is None)
    assert minutes[0] > 0 and (sent == 6 or minutes[-1] - minutes[0] > 59), (
        "the rest is spread over those that follow"
    )


def test_retry_after_is_kept_and_trouble_backs_off_and_loses_nothing(writer: str, keys: FileKeyStore) -> None:
    body = Body(plan=["busy"])
    at = desk(writer, keys, [body])
    case_no = noticed(at)
    assert tell(at).again == 1 and tell(at).sent == 0, "not before it asked to be told"
    assert 85 <= seconds_until_due(at, case_no) <= 95
    waits = []
    for n in range(4):
        with at.book() as conn:
            conn.execute("UPDATE casebook.outbox SET due_at = now()")
        body.plan = ["unreachable"] if n % 2 else ["breaks"]
        if body.plan == ["unreachable"]:
            with pytest.raises(NotReachable):
                tell(at)
        else:
            tell(at)
            assert PHONE not in row(at, case_no)["why"] and "ValueError" in row(at, case_no)["why"]
        waits.append(seconds_until_due(at, case_no))
    assert waits[-1] > waits[0] and row(at, case_no)["attempts"] == 5
    with at.book() as conn:
        conn.execute("UPDATE casebook.outbox SET due_at = now()")
    assert tell(at).sent == 1 and len(body.seen) == 1


def test_when_it_is_away_everything_that_is_due_waits_and_one_message_found_out(
    writer: str, keys: FileKeyStore
) -> None:
    body = Body(plan=["unreachable"] * 9)
    at = desk(writer, keys, [body])
    for _ in range(5):
        noticed(at)
    with pytest.raises(NotReachable):
        tell(at)
    assert len(body.plan) == 8 and {r["delivery"] for r in rows(at)} == {"waiting"}
    assert telling.due(at, now=observed_now(), as_of=TODAY) == ()


def test_two_senders_at_once_are_one(writer: str, keys: FileKeyStore) -> None:
    body = Body()
    at = desk(writer, keys, [body])
    noticed(at)
    with at.book() as conn, sending.only_sender(conn, "sms") as ours:
        assert ours and str(tell(at)) == "nothing was due" and body.seen == []
    assert str(tell(at)) == "1 sent"


def test_a_notice_has_what_the_recipient_has_and_its_payload_is_sealed(
    writer: str, keys: FileKeyStore, database: str
) -> None:
    body = Body()
    at = desk(writer, keys, [body])
    case_no = noticed(at, preserved=("PI-005",))
    tell(at)
    (told,) = body.seen
    assert (told.instruction, told.erase, told.preserve) == (Instruction.ERASE, ("PI-001",), ("PI-005",))
    assert told.references == ("txn-1", "txn-2") and told.identities[0].value == PHONE
    assert "hold" not in told.model_dump_json().lower(), "no reason is given"
    with psycopg.connect(database) as conn:
        (text,) = conn.execute("SELECT row_to_json(o)::text FROM casebook.outbox o").fetchone()
    assert PHONE not in text and "txn-1" not in text and PHONE.encode().hex() not in text
    assert PHONE in errands.what_to_say(at, row(at, case_no)["request_id"]).letter


def test_everything_under_a_hold_is_preserved_and_nothing_deleted(writer: str, keys: FileKeyStore) -> None:
    at = desk(writer, keys, [Body()])
    found = row(at, noticed(at, preserved=("PI-001", "PI-005")))
    assert (found["instruction"], found["erase"]) == ("preserve", [])


def test_an_answer_that_is_not_signed_as_agreed_is_told_to_its_sender_once_a_day(
    writer: str, keys: FileKeyStore
) -> None:
    body = Body()
    at = desk(writer, keys, [body])
    today = prc_date(observed_now())  # of days that are over, the machine's clock is now
    case_no = noticed(at, as_of=today)
    tell(at, today)
    request = row(at, case_no)["request_id"]
    body.says[request] = Refused("its signature does not verify", about="x", next_step="sign it")
    for day in (2, 2, 3):
        tell(at, today + timedelta(days=day))
    assert [answering.NOT_AS_AGREED in n.text for n in body.seen] == [False, True, True]
    assert body.seen[1].reminder
    with at.book() as conn:
        assert conn.execute("SELECT count(*) AS n FROM casebook.answer").fetchone() == {"n": 0}


def test_an_answer_to_somebody_elses_request_is_refused(writer: str, keys: FileKeyStore) -> None:
    at = desk(writer, keys, [Body(), Body("vetting")])
    case_no = noticed(at)
    request = next(r for r in rows(at, case_no) if r["recipient"] == "sms")
    with pytest.raises(Refused, match="no such notice"):
        answering.take(at, answer(request, "DELETED", to="vetting"), as_of=TODAY, actor=ACTOR)


def test_an_answer_comes_before_we_know_that_it_was_sent(writer: str, keys: FileKeyStore) -> None:
    body = Body()
    at = desk(writer, keys, [body])
    case_no = noticed(at)
    body.after = lambda n: answering.take(at, answer(n.request_id, "DELETED"), as_of=TODAY, actor=ACTOR)
    tell(at)
    found = row(at, case_no)
    assert (found["state"], found["delivery"], found["due_at"]) == ("tp_acked", "delivered", None)
    assert found["sent_at"] is not None


def test_what_the_machine_cannot_judge_a_person_decides_once(writer: str, keys: FileKeyStore) -> None:
    def unsure(recipient, categories, answer, **more):
        return tuple(
            Judgement(part=p, accepted=False, why="read it", for_a_person=True) for p in answer.parts
        )

    at = desk(writer, keys, [Body()], judge=unsure)
    case_no = noticed(at)
    tell(at)
    answering.take(at, answer(row(at, case_no), "HELD_DISPUTE"), as_of=TODAY, actor=ACTOR)
    with at.book() as conn:
        (errand,) = errands.listing(conn)
    assert errand["why"] == "judge" and row(at, case_no)["state"] == "tp_notified"
    decided = {"accepted": True, "why": "arbitration law 52", "as_of": TODAY, "actor": "legal/sun"}
    assert answering.decide(at, errand["answer_id"], **decided) == "tp_retained"
    with pytest.raises(Refused, match="decided already"):
        answering.decide(at, errand["answer_id"], **decided)
    with at.book() as conn:
        assert errands.listing(conn) == []


def test_answers_are_append_only_and_shut_to_the_reader(
    writer: str, reader: str, keys: FileKeyStore, database: str
) -> None:
    at = desk(writer, keys, [Body()])
    answering.take(at, answer(row(at, noticed(at)), "DELETED"), as_of=TODAY, actor=ACTOR)
    with psycopg.connect(database, autocommit=True) as conn:
        for deed in ("UPDATE casebook.answer SET code = 'PARTIAL'", "DELETE FROM casebook.answer",
                     "TRUNCATE casebook.answer CASCADE"):  # fmt: skip
            with pytest.raises(psycopg.Error, match="append-only"):
                conn.execute(deed)
        conn.execute("UPDATE casebook.answer SET sealed_evidence = NULL")
    with psycopg.connect(reader, autocommit=True) as conn:
        conn.execute("SELECT code, until, why FROM casebook.answer")
        conn.execute("SELECT * FROM casebook.stopped_recipient")
        for sealed in ("sealed_evidence FROM casebook.answer", "sealed_proof FROM casebook.outbox"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"SELECT {sealed}")


@pytest.mark.sessions_end
def test_a_pass_looks_at_nothing_of_what_only_waits(writer: str, keys: FileKeyStore, database: str) -> None:
    at = desk(writer, keys, [Body(), Body("vetting")])
    case_no = noticed(at)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key, sealed_payload, items, state,"
            " written_at, remind_on, target_on, escalate_on, request_id, round, delivery, sent_at, due_at)"
            " SELECT %s, 'sms', 'opendsr', 'k' || n, '', 0, 'tp_notified', now(), '2027-01-01', '2027-01-01',"
            " '2027-01-01', gen_random_uuid(), n + 1, 'delivered', now(), now() + interval '1 day'"
            " FROM generate_series(1, 20000) AS n",
            (case_no,),
        )
        conn.execute("UPDATE casebook.outbox SET due_at = now() + interval '1 day'")
        conn.execute("VACUUM ANALYZE casebook.outbox")
        conn.execute("SELECT pg_stat_force_next_flush()")
        before = conn.execute(
            "SELECT seq_scan, seq_tup_read FROM pg_stat_user_tables WHERE relname = 'outbox'"
        ).fetchone()
        assert telling.due(at, now=observed_now(), as_of=TODAY) == ()
        assert str(tell(at)) == "nothing was due"
        conn.execute("SELECT pg_stat_force_next_flush()")
        after = conn.execute(
            "SELECT seq_scan, seq_tup_read FROM pg_stat_user_tables WHERE relname = 'outbox'"
        ).fetchone()
        conn.execute("UPDATE casebook.outbox SET due_at = now() WHERE recipient = 'vetting'")
    assert after == before, "a pass read the whole table"
    assert telling.due(at, now=observed_now(), as_of=TODAY) == ("vetting",)


def test_nobody_writes_of_a_recipient_whom_the_catalogue_lost(writer: str, keys: FileKeyStore) -> None:
    at = desk(writer, keys, [Body()])
    noticed(at)
    other = desk(writer, keys, [Body("vetting")])
    assert telling.due(other, now=observed_now(), as_of=TODAY) == ("sms",), "it is not silently left out"
    with pytest.raises(Refused, match="the catalogue does not know"):
        tell(other)
