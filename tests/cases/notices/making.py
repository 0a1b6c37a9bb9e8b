"""A recipient as it may behave, a desk that reaches it, and cases with notices, made without the whole way there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

from include.cases import book
from include.cases.guards import Facts
from include.cases.keys import Purpose
from include.cases.notices import outbox
from include.cases.notices.composing import Given
from include.cases.notices.whom import ToTell
from include.cases.rooms import Desk
from include.model.errors import NotReachable, Refused
from include.model.notices import Answer, AnswerCode, Delivery, Identity, Notice, Part, Pending
from include.model.policy import Recipient, RecipientRole
from include.model.words import Channel, Ground, Requester
from tests.cases.small import TODAY, catalogue, world

ACTOR = "system/notices"
PHONE = "13900004444"


class Killed(BaseException):
    """Nothing catches it: the process is gone."""


def recipient(id_: str = "sms", **said) -> Recipient:
    base = {
        "id": id_, "row": "1", "name": id_, "phone": None, "service": "s", "fields": "姓名、手机号",
        "categories": ("PI-001", "PI-005"), "purpose": "p", "region": "CN", "role": RecipientRole.ENTRUSTED,
        "channel": "opendsr", "notice": "delete", "says": "说明", "expected": ("DELETED",), "per_minute": 10_000,
    }  # fmt: skip
    return Recipient(**(base | said))


@dataclass
class Body:
    """The model recipient: it acts on a request id once, and remembers everything that reached it."""

    id: str = "sms"
    repeatable: bool = True
    plan: list[str] = field(default_factory=list)  # how it meets the next messages; then it takes them
    seen: list[Notice] = field(default_factory=list)
    acted: Counter[UUID] = field(default_factory=Counter)
    says: dict[UUID, Answer | Pending | Refused] = field(default_factory=dict)
    asked: Counter[UUID] = field(default_factory=Counter)
    after: Callable[[Notice], object] | None = None  # what happens while a message is under way

    def _arrives(self, notice: Notice) -> None:
        self.seen.append(notice)
        if notice.request_id not in self.acted:
            self.acted[notice.request_id] = 1
        if self.after is not None:
            self.after(notice)

    def send(self, notice: Notice) -> Delivery:
        how = self.plan.pop(0) if self.plan else "takes"
        if how == "dies_before":
            raise Killed
        if how == "unreachable":
            raise NotReachable("no answer", about=self.id, next_step="try again")
        if how in ("takes", "dies_after", "reply_lost"):
            self._arrives(notice)
        if how == "dies_after":
            raise Killed
        if how == "breaks":
            raise ValueError(PHONE)
        found = {
            "reply_lost": Delivery(
                outcome="later" if self.repeatable else "in_doubt", why="the connection was lost"
            ),
            "busy": Delivery(outcome="later", why="429", again_in=90),
            "refuses": Delivery(outcome="refused", why="400"),
            "person": Delivery(outcome="errand", why="by telephone"),
        }
        return found.get(how) or Delivery(outcome="delivered", receipt="ab" * 32)

    def ask(self, request_id: UUID) -> Answer | Pending | None:
        self.asked[request_id] += 1
        said = self.says.get(request_id)
        if isinstance(said, Refused):
            raise said
        return said

    def cancel(self, request_id: UUID) -> bool:
        return False

    def knows(self, reference: str) -> bool | None:
        return None

    def close(self) -> None:
        pass


def desk(writer: str, keys, bodies: Iterable[Body], recipients: Iterable[Recipient] = (), **more) -> Desk:
    by_id = {b.id: b for b in bodies}
    declared = tuple(recipients) or tuple(recipient(b) for b in by_id)
    return world(
        writer, keys, lambda: catalogue(recipients=declared), channel=lambda r: by_id[r.id], **more
    ).desk


def noticed(at: Desk, *recipients: str, as_of: date = TODAY, preserved: tuple[str, ...] = ()) -> str:
    """A case whose decision has just been made, with a notice to each; its number."""
    told = [
        ToTell(r, Given(r.id, 2, ("txn-1", "txn-2"), (), (Identity(category="PI-005", value=PHONE),)))
        for r in at.catalogue.recipients
        if not recipients or r.id in recipients
    ]
    with at.book() as conn, book.deed(conn, "making"):
        number = book.next_case_no(conn)
        key = at.keys.make(number.lower(), number, Purpose.SEALING)
        case = book.insert(
            conn, case_no=number, kind=book.REQUEST, ground=Ground.CANCELLATION, channel=Channel.APP,
            requester=Requester.SELF, opened_by="support/li", received_at=datetime.now(UTC), as_of=as_of, key_id=key.id,
        )  # fmt: skip
        facts = Facts(
            as_of=as_of, own_initiative=False, identity_matched=True, approved=True, notice_written=True
        )
        outbox.write(conn, case, at.seal(case), told, facts=facts, actor="approver/wang", preserved=preserved)
    return number


def rows(at: Desk, case_no: str | None = None) -> list[dict]:
    with at.book() as conn:
        return conn.execute(
            "SELECT * FROM casebook.outbox WHERE %(no)s::text IS NULL OR case_no = %(no)s ORDER BY notice_id",
            {"no": case_no},
        ).fetchall()


def row(at: Desk, case_no: str) -> dict:
    (only,) = rows(at, case_no)
    return only


def answer(
    request: dict | UUID, *parts: Part | str, message: str = "1", via: str = "callback", to: str = "sms"
) -> Answer:
    request_id = request if isinstance(request, UUID) else request["request_id"]
    said = tuple(Part(code=AnswerCode(p)) if isinstance(p, str) else p for p in parts)
    return Answer(
        request_id=request_id, recipient=to, parts=said, via=via, digest=hashlib.sha256(message.encode()).hexdigest()
    )  # fmt: skip
