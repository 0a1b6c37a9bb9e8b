"""One recipient's whole batch: what a dead sender left, what is to be asked, what is to be sent or reminded of.

What is about to be sent is committed as ``sending`` before, and how it ended after. Where sending twice is one notice to
the recipient, that is done for a chunk at once; where it is two, for each notice, so that a kill leaves one in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import NoReturn

from include.cases import book
from include.cases.book import Case, Conn
from include.cases.notices import answering, outbox, rounds, sending, truth
from include.cases.notices.instants import moment
from include.cases.notices.outbox import Row
from include.cases.notices.sending import Attempt
from include.cases.rooms import Desk
from include.model.doors import Channel
from include.model.errors import NotReachable, Refused
from include.model.notices import Answer, Delivery, Notice, Pending
from include.model.policy import Recipient

CHUNK = 100


@dataclass
class Told:
    """What became of one batch, in numbers."""

    sent: int = 0
    again: int = 0  # to be sent again, as the same notice
    refused: int = 0
    errands: int = 0  # for a person: to carry, or to find out whether it arrived
    asked: int = 0
    answered: int = 0
    pending: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{n} {what}" for what, n in asdict(self).items() if n) or "nothing was due"


def due(desk: Desk, *, now: datetime, as_of: date) -> tuple[str, ...]:
    """The recipients to whom there is something to send, or whom there is something to ask or to remind of."""
    with desk.book() as conn:
        return sending.due(conn, moment(as_of, now))


def tell(desk: Desk, recipient: str, *, as_of: date, actor: str, limit: int = 1000) -> Told:
    """Ask what is to be asked, then send what is due, at most ``limit`` of each. Somebody else at it: nothing happens.

    Raises NotReachable once nothing of the batch gets through; then everything waits its turn, and nothing is lost.
    """
    body = rounds.recipient(desk, recipient)
    told = Told()
    with desk.book() as conn, sending.only_sender(conn, recipient) as ours:
        if not ours:
            return told
        channel = desk.channel(body)
        try:
            batch = _Batch(desk, conn, body, channel, as_of, actor, told)
            batch.take_over()
            batch.ask(limit)
            batch.send(limit)
        finally:
            channel.close()
    return told


@dataclass
class _Batch:
    desk: Desk
    conn: Conn
    body: Recipient
    channel: Channel
    as_of: date
    actor: str
    told: Told

    def take_over(self) -> None:
        with book.deed(self.conn, self.body.id):
            found = sending.take_over(
                self.conn, self.body.id, moment(self.as_of), repeatable=self.channel.repeatable,
                as_of=self.as_of, actor=self.actor,
            )  # fmt: skip
        if self.channel.repeatable:
            self.told.again += found
        else:
            self.told.errands += found

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, limit: int) -> None:
        at = moment(self.as_of)
        rows = sending.to_ask(self.conn, self.body.id, at, limit)
        silent: list[Row] = []
        for n, row in enumerate(rows):
            try:
                said = self._asked(row)
            except NotReachable as gone:
                self._out_of_reach(rows[n:], at, gone)
            self.told.asked += 1
            if isinstance(said, Answer):
                answering.take(self.desk, said, as_of=self.as_of, actor=self.actor)
                self.told.answered += 1
            elif isinstance(said, Pending):
                answering.pending(self.desk, said, as_of=self.as_of, actor=self.actor)
                self.told.pending += 1
            silent.append(
                row | {"expected_on": said.expected_on if isinstance(said, Pending) else row["expected_on"]}
            )
        with book.deed(self.conn, self.body.id):
            sending.asked(self.conn, silent, at, self.as_of)

    def _asked(self, row: Row) -> Answer | Pending | None:
        """None for what does not count: it is said on the notice, told to the recipient, and asked again."""
        try:
            said = self.channel.ask(row["request_id"])
        except Refused as refused:
            objection = answering.Objection(refused.what, answering.NOT_AS_AGREED)
            answering.object_to(self.desk, row["request_id"], objection, as_of=self.as_of, actor=self.actor)
            return None
        if said is not None and (said.request_id, said.recipient) != (row["request_id"], self.body.id):
            answering.object_to(
                self.desk, row["request_id"], answering.ABOUT_ANOTHER, as_of=self.as_of, actor=self.actor
            )  # fmt: skip
            return None
        return said

    # --- sending --------------------------------------------------------------------------------

    def send(self, limit: int) -> None:
        chunk = CHUNK if self.channel.repeatable else 1
        while limit > 0:
            at = moment(self.as_of)
            with book.deed(self.conn, self.body.id):
                rows = sending.claim(
                    self.conn, self.body.id, at, self.as_of, min(chunk, limit), self.body.per_minute
                )
            if not rows:
                return
            limit -= len(rows)
            done: list[Attempt] = []
            gone: NotReachable | None = None
            asked_before = truth.to_ask_before(self.conn, self.body, rows)
            for row, notice in self._notices(rows):
                try:
                    if row["notice_id"] in asked_before and isinstance(notice, Notice):
                        truth.ask_before(self.conn, self.channel, row, notice, as_of=self.as_of)
                    delivery = notice if isinstance(notice, Delivery) else self._sent(notice)
                except NotReachable as unreachable:
                    gone = unreachable
                    break
                done.append(Attempt(row, delivery))
                self._count(delivery)
            with book.deed(self.conn, self.body.id):
                sending.ended(self.conn, done, at, self.as_of, self.actor)
            if gone is not None:
                self._out_of_reach(rows[len(done) :], at, gone)

    def _out_of_reach(self, rows: Sequence[Row], at: datetime, gone: NotReachable) -> NoReturn:
        claimed = [r for r in rows if r.get("delivery") == "sending"]
        with book.deed(self.conn, self.body.id):
            sending.out_of_reach(self.conn, self.body.id, claimed, at, self.as_of, gone.what)
        raise gone

    def _sent(self, notice: Notice) -> Delivery:
        try:
            return self.channel.send(notice)
        except NotReachable:
            raise
        except Exception as broken:
            return Delivery(
                outcome="later" if self.channel.repeatable else "in_doubt",
                why=f"the channel broke ({type(broken).__name__})",
            )

    def _notices(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Notice | Delivery]]:
        """Each row's notice, opened with its case's key; where it cannot be opened, a person has to see to it."""
        cases = _cases(self.conn, rows)
        for row in rows:
            case = cases[row["case_no"]]
            try:
                notice = outbox.unsealed(row, case, self.desk.seal(case), self.body)
            except Refused as shut:
                yield row, Delivery(outcome="refused", why=shut.what)
                continue
            if row["sent_at"] is not None:
                notice = notice.model_copy(
                    update={"reminder": True, "text": _with_objection(notice.text, row)}
                )
            yield row, notice

    def _count(self, delivery: Delivery) -> None:
        match delivery.outcome:
            case "delivered":
                self.told.sent += 1
            case "later":
                self.told.again += 1
            case "refused":
                self.told.refused += 1
            case "in_doubt" | "errand":
                self.told.errands += 1


def _with_objection(text: str, row: Row) -> str:
    """What a reminder says beyond the notice: why what was answered does not count."""
    if not row["objection"]:
        return text
    return f"{text} 贵方此前的答复未予采信。{row['objection_told'] or row['objection']}".strip()


def _cases(conn: Conn, rows: Sequence[Row]) -> dict[str, Case]:
    """The cases of a batch, in one statement."""
    return {c.case_no: c for c in book.some(conn, sorted({r["case_no"] for r in rows}))}
