"""Mistakes that an outbox can have, each planted through a seam of the real one, for the machine to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from include.cases.notices import answering, outbox, sending

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mistake:
    plant: Plant
    repeatable: bool  # the kind of channel on which it hurts


MISTAKES: dict[str, Mistake] = {}


def _mistake(plant: Plant, *, repeatable: bool = True) -> Plant:
    MISTAKES[plant.__name__.strip("_").replace("_", " ")] = Mistake(plant, repeatable)
    return plant


_with_letters = partial(_mistake, repeatable=False)


def _ids(rows: Any) -> list[int]:
    return [row["notice_id"] for row in rows]


@_mistake
def _marked_as_sent_before_it_is_sent(at: pytest.MonkeyPatch) -> None:
    real = sending.claim

    def claim(conn: Any, *args: Any) -> Any:
        rows = real(conn, *args)
        conn.execute(
            "UPDATE casebook.outbox SET delivery = 'delivered', sent_at = coalesce(sent_at, clock_timestamp()), due_at = NULL"
            " WHERE notice_id = ANY(%s)", (_ids(rows),),
        )  # fmt: skip
        return rows

    at.setattr(sending, "claim", claim)


@_with_letters
def _the_claim_is_not_committed_before_it_is_sent(at: pytest.MonkeyPatch) -> None:
    claim, ended = sending.claim, sending.ended

    def claims_nothing(conn: Any, *args: Any) -> Any:
        rows = claim(conn, *args)
        conn.execute(
            "UPDATE casebook.outbox SET delivery = CASE WHEN sent_at IS NULL THEN 'waiting' ELSE 'delivered' END"
            " WHERE notice_id = ANY(%s)", (_ids(rows),),
        )  # fmt: skip
        return rows

    def ends_what_was_never_claimed(conn: Any, attempts: Any, *args: Any) -> None:
        conn.execute(
            "UPDATE casebook.outbox SET delivery = 'sending' WHERE notice_id = ANY(%s)",
            (_ids(a.row for a in attempts),),
        )
        ended(conn, attempts, *args)

    at.setattr(sending, "claim", claims_nothing)
    at.setattr(sending, "ended", ends_what_was_never_claimed)


@_mistake
def _a_retry_has_a_new_request_id(at: pytest.MonkeyPatch) -> None:
    real = outbox.unsealed

    def unsealed(row: Any, *args: Any) -> Any:
        notice = real(row, *args)
        return notice.model_copy(update={"request_id": uuid4()}) if row["attempts"] > 1 else notice

    at.setattr(outbox, "unsealed", unsealed)


@_with_letters
def _a_letter_in_doubt_is_sent_again(at: pytest.MonkeyPatch) -> None:
    real = sending.take_over
    at.setattr(sending, "take_over", lambda *args, **said: real(*args, **said | {"repeatable": True}))


@_mistake
def _the_lock_is_not_taken(at: pytest.MonkeyPatch) -> None:
    @contextmanager
    def everybody(conn: Any, recipient: str) -> Iterator[bool]:
        yield True

    at.setattr(sending, "only_sender", everybody)


@_mistake
def _an_answer_that_comes_before_the_receipt_is_dropped(at: pytest.MonkeyPatch) -> None:
    real = answering.take

    def take(desk: Any, answer: Any, **said: Any) -> Any:
        with desk.book() as conn:
            row = outbox.of_request(conn, answer.request_id)
        return real(desk, answer, **said) if row["sent_at"] is not None else ()

    at.setattr(answering, "take", take)


@_mistake
def _a_receipt_that_comes_after_the_answer_opens_it_again(at: pytest.MonkeyPatch) -> None:
    real = sending.ended

    def ended(conn: Any, attempts: Any, *args: Any) -> None:
        conn.execute(
            "UPDATE casebook.outbox SET delivery = 'sending', state = 'tp_notified' WHERE notice_id = ANY(%s)",
            (_ids(a.row for a in attempts),),
        )
        real(conn, attempts, *args)

    at.setattr(sending, "ended", ended)


@_mistake
def _a_callback_that_is_repeated_is_acted_on_again(at: pytest.MonkeyPatch) -> None:
    record = answering._record

    def _record(desk: Any, conn: Any, case: Any, answer: Any, *more: Any) -> None:
        known = conn.execute("SELECT FROM casebook.answer WHERE digest = %s", (answer.digest,)).fetchone()
        if known is None:
            record(desk, conn, case, answer, *more)

    at.setattr(answering, "_first", lambda *args: True)
    at.setattr(answering, "_judged_before", lambda conn, answer: ())
    at.setattr(answering, "_said_last", lambda *args: ())
    at.setattr(answering, "_record", _record)


@_mistake
def _what_is_refused_counts_as_delivered(at: pytest.MonkeyPatch) -> None:
    real = sending.ended

    def ended(conn: Any, attempts: Any, *args: Any) -> None:
        for attempt in attempts:
            if attempt.delivery.outcome == "refused":
                object.__setattr__(
                    attempt, "delivery", attempt.delivery.model_copy(update={"outcome": "delivered"})
                )
        real(conn, attempts, *args)

    at.setattr(sending, "ended", ended)


@_mistake
def _who_was_out_of_reach_is_forgotten(at: pytest.MonkeyPatch) -> None:
    real = sending.out_of_reach

    def out_of_reach(conn: Any, recipient: str, *args: Any) -> None:
        real(conn, recipient, *args)
        conn.execute("UPDATE casebook.outbox SET due_at = NULL WHERE recipient = %s", (recipient,))

    at.setattr(sending, "out_of_reach", out_of_reach)
