"""A body's book of requests: each is taken once and acted on once, however often it is sent and whoever is killed.

A change of status is one transaction with what was done and with the callbacks that it owes.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from include.sandbox.recipients.bodies import Manner, bodies
from include.sandbox.recipients.deeds import Asked, answer
from include.sandbox.recipients.reading import API_VERSION, BadRequest, Request
from include.sandbox.recipients.world import World

CONTROLLER = "quietus-sandbox"  # what the bodies call the company
MONTH = 30 * 86_400.0  # seconds that a silent body says it will take


@dataclass(frozen=True)
class Seen:
    """What became of one request, for tests."""

    status: str
    arrivals: int
    acts: int


class Book:
    """The requests of all bodies. ``completes_after``: seconds that a prompt one takes."""

    def __init__(self, world: World, completes_after: float) -> None:
        self.world = world
        self._completes_after = completes_after

    def ask(self, body: str, request: Request, raw: bytes) -> dict[str, Any]:
        """Take a request. The same id again changes nothing. Raises BadRequest."""
        how = self.world.behaviour(body)
        match how.manner:
            case Manner.SLOW:
                takes = how.seconds
            case Manner.SILENT:
                takes = MONTH
            case _:
                takes = self._completes_after
        now = time.time()
        with self.world.state.change() as db:
            db.execute(
                "INSERT INTO request (body, id, status, received_at, due_at, next_at, asked, callbacks)"
                " VALUES (?, ?, 'pending', ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET arrivals = arrivals + 1",
                (
                    body,
                    request.id,
                    now,
                    now + takes,
                    now + (takes / 2 if how.manner is Manner.SLOW else takes),
                    str(request.asked),
                    json.dumps(request.callbacks),
                ),
            )
            received, due = db.execute(
                "SELECT received_at, due_at FROM request WHERE body = ? AND id = ?", (body, request.id)
            ).fetchone()
        return {
            "controller_id": CONTROLLER,
            "expected_completion_time": rfc3339(due),
            "received_time": rfc3339(received),
            "encoded_request": base64.b64encode(raw).decode(),
            "subject_request_id": request.id,
        }

    def status(self, body: str, rid: str) -> dict[str, Any] | None:
        """None: there is no such request."""
        self.carry_on()
        row = self.world.state.row(
            "SELECT status, due_at, answers, results FROM request WHERE body = ? AND id = ?", (body, rid)
        )
        return None if row is None else _status(body, rid, *row)

    def cancel(self, body: str, rid: str) -> dict[str, Any] | None:
        """None: there is no such request. Raises BadRequest if it is past cancelling."""
        self.carry_on()
        with self.world.state.change() as db:
            row = db.execute("SELECT status FROM request WHERE body = ? AND id = ?", (body, rid)).fetchone()
            if row is None:
                return None
            if row[0] not in ("pending", "cancelled"):
                raise BadRequest("only a pending request can be cancelled")
            if row[0] == "pending":
                self._move(db, body, rid, "cancelled")
        return {
            "controller_id": CONTROLLER,
            "subject_request_id": rid,
            "received_time": rfc3339(time.time()),
            "api_version": API_VERSION,
        }

    def carry_on(self) -> None:
        """Do what is due. On every access and every moment; the status of a request that is silent never changes."""
        now = time.time()
        for body, rid in self.world.state.rows(
            "SELECT body, id FROM request WHERE status IN ('pending', 'in_progress') AND next_at <= ?", (now,)
        ):
            if self.world.behaviour(body).manner is not Manner.SILENT:
                self._advance(body, rid, now)

    def _advance(self, body: str, rid: str, now: float) -> None:
        with self.world.state.change() as db:
            row = db.execute(
                "SELECT status, due_at, next_at, asked FROM request WHERE body = ? AND id = ?"
                " AND status IN ('pending', 'in_progress')",
                (body, rid),
            ).fetchone()
            if row is None:
                return  # somebody else did it meanwhile
            status, due, begins, asked = row
            if status == "pending" and begins < due:  # also if nobody looked before it was due
                db.execute("UPDATE request SET next_at = due_at WHERE body = ? AND id = ?", (body, rid))
                self._move(db, body, rid, "in_progress")
            if due > now:
                return
            parts = answer(db, self.world.behaviour(body), Asked.of(asked), self.world.today)
            db.execute(
                "UPDATE request SET acts = acts + 1, asked = NULL, answers = ?, results = ? WHERE body = ? AND id = ?",
                (json.dumps(parts, ensure_ascii=False), sum(p.get("count", 0) for p in parts), body, rid),
            )
            self._move(db, body, rid, "completed")

    def _move(self, db: sqlite3.Connection, body: str, rid: str, status: str) -> None:
        """To another status, and the callbacks that this owes."""
        db.execute(
            "UPDATE request SET status = ?, asked = CASE ? WHEN 'in_progress' THEN asked END WHERE body = ? AND id = ?",
            (status, status, body, rid),
        )
        due, answers, results, urls = db.execute(
            "SELECT due_at, answers, results, callbacks FROM request WHERE body = ? AND id = ?", (body, rid)
        ).fetchone()
        for url in json.loads(urls):
            said = _status(body, rid, status, due, answers, results) | {"status_callback_url": url}
            db.execute(
                "INSERT INTO callback (body, request, url, said, next_at) VALUES (?, ?, ?, ?, ?)",
                (body, rid, url, encoded(said), time.time()),
            )

    def seen(self, body: str, rid: str) -> Seen | None:
        row = self.world.state.row(
            "SELECT status, arrivals, acts FROM request WHERE body = ? AND id = ?", (body, rid)
        )
        return Seen(*row) if row else None


def _status(
    body: str, rid: str, status: str, due: float, answers: str | None, results: int | None
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "controller_id": CONTROLLER,
        "expected_completion_time": rfc3339(due),
        "subject_request_id": rid,
        "request_status": status,
        "api_version": API_VERSION,
    }
    if status == "completed":
        said["results_count"] = results or 0
        parts = json.loads(answers or "[]")
        if parts:
            said["extensions"] = {bodies()[body].domain: {"answers": parts}}
    return said


def encoded(said: dict[str, Any]) -> bytes:
    """The bytes that are sent, and signed."""
    return json.dumps(said, ensure_ascii=False).encode()


def rfc3339(seconds: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
