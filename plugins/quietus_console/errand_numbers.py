"""An errand by number: the notice's, and for a judgement the answer's, too. As an address and as a run's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any
from uuid import UUID

from include.cases.book import Conn, Rows
from include.cases.notices import errands

PATTERN = r"^[0-9a-f]{32}(-[0-9]{1,18})?$"


def number_of(errand: Mapping[str, Any]) -> str:
    """Without hyphens inside, so that it never looks like a card's or a phone's number."""
    answer = errand["answer_id"]
    return UUID(str(errand["request_id"])).hex + (f"-{answer}" if answer is not None else "")


def run_name(errand: Mapping[str, Any]) -> str:
    """How the first run of an errand is called; the next ones are that with .2, .3 …"""
    number = number_of(errand)
    return f"{errand['case_no']}.{errand['recipient']}.{number[:8]}{number[32:]}"


def request_of(number: str) -> UUID:
    return UUID(number.partition("-")[0])


def open_of_request(conn: Conn, request_id: UUID) -> list[dict[str, Any]]:
    """All that is open about one notice: it may be to be carried, and have answers to judge."""
    return [e for e in errands.listing(conn) if UUID(str(e["request_id"])) == request_id]


def open_errand(conn: Conn, number: str) -> dict[str, Any] | None:
    """An errand as the case book lists it, while it is open."""
    return next((e for e in errands.listing(conn) if number_of(e) == number), None)


def without_a_run(waiting: Rows, runs: Callable[..., int]) -> Iterator[dict[str, Any]]:
    """The run that each errand still needs. ``runs``: counts runs by id and state.

    An errand that came to its end and came back (a reminder is to be carried, too) needs another run, and one whose run
    was lost needs that one again. A run that failed is left to who reads why.
    """
    for errand in waiting:
        number, base = number_of(errand), run_name(errand)
        for n in count(1):
            run_id = base if n == 1 else f"{base}.{n}"
            if not runs(run_ids=[run_id]):
                yield {"trigger_run_id": run_id, "conf": {"errand": number}}
                break
            if not runs(run_ids=[run_id], states=["success"]):
                break
