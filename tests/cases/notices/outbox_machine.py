"""Any interleaving of kills, retries, duplicates and callbacks out of order, on the real server, as a machine.

Each notice reaches its recipient at least once or a person, is acted on once, and no answer is lost. What the book says of
itself is not believed: the machine keeps its own books of what it handed over and of what the recipient saw.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from include.cases import book
from include.cases.keys import FileKeyStore
from include.cases.notices import answering, errands, outbox, telling
from include.cases.rooms import Desk
from include.model.errors import NotReachable
from include.model.notices import Answer, AnswerCode, Notice, Part, Pending
from include.model.times import observed_now, prc_date
from tests.cases.notices.making import ACTOR, Body, Killed, desk, noticed, recipient

HOW = [
    "takes",
    "dies_after",
    "reply_lost",
    "dies_after",
    "dies_before",
    "busy",
    "breaks",
    "unreachable",
    "refuses",
]
MEANWHILE = [None, "it answers", "another sender comes"]
ENDS = ["DELETED", "NOTHING_HELD", "RETAINED_BY_LAW", "PARTIAL"]
CODES = {c.value: c for c in AnswerCode}
MOST = 10  # notices of one walk: more of the same finds nothing more
# At which commit it is killed, and whether before it or after. A pass commits what a dead sender left, what was asked, then
# each claim and how it ended: the first message is sent between the third and the fourth.
FUSES = st.none() | st.tuples(st.sampled_from([3, 2, 5, 4, 1, 0]), st.booleans())
TROUBLE: dict[str, Any] = {
    "how": st.lists(st.sampled_from(HOW), min_size=1, max_size=4),
    "meanwhile": st.sampled_from(MEANWHILE),
    "fuse": FUSES,
}


class World:
    """What every walk shares: a server, a way to look at it, keys, and the tally of what happened."""

    writer: str
    watch: book.Conn
    repeatable: bool  # whether sending twice is one notice to the recipient: a request, not a letter
    keys: FileKeyStore
    numbers = itertools.count()
    tally: Counter[str] = Counter()


class Outbox(RuleBasedStateMachine):
    """The model keeps its own books: what it handed over, and what the recipient saw."""

    def __init__(self) -> None:
        super().__init__()
        self.real_deed = book.deed
        self.fuse: tuple[int, bool] | None = None
        book.deed = self.deed  # type: ignore[assignment]

    @contextmanager
    def deed(self, conn: Any, about: str):
        """Every commit point: a kill comes just before one, or just after."""
        with self.real_deed(conn, about):
            yield conn
            self._burn(before=True)
        self._burn(before=False)

    def _burn(self, *, before: bool) -> None:
        if self.fuse is None or self.fuse[1] is not before:
            return
        left, _ = self.fuse
        self.fuse = (left - 1, before) if left else None
        if left == 0:
            World.tally["killed before a commit" if before else "killed after a commit"] += 1
            raise Killed

    @initialize(**TROUBLE)
    def begin(self, how: list[str], meanwhile: str | None, fuse: tuple[int, bool] | None) -> None:
        self.as_of: date = prc_date(observed_now())  # of days that are over nothing falls due later
        self.body = Body(f"r{next(World.numbers)}", repeatable=World.repeatable)
        self.at: Desk = desk(World.writer, World.keys, [self.body], [recipient(self.body.id)])
        self.written: dict[str, UUID] = {}
        self.given: list[Answer] = []
        self.carried: set[UUID] = set()
        self.ended: set[UUID] = set()
        self.others: list[telling.Told] = []  # what a sender did who found somebody else at it
        self.a_pass_tells(how, meanwhile, fuse)  # so that every walk has something to call back about

    def _mine(self) -> list[dict]:
        return World.watch.execute(
            "SELECT * FROM casebook.outbox WHERE recipient = %s ORDER BY notice_id", (self.body.id,)
        ).fetchall()

    def _timeline(self) -> int:
        (row,) = World.watch.execute(
            "SELECT count(*) AS n FROM casebook.event WHERE case_no = ANY(%s)", (list(self.written),)
        ).fetchall()
        return int(row["n"])

    def _maybe_dying(self, what: str, act, fuse: tuple[int, bool] | None) -> bool:
        self.fuse = fuse
        try:
            act()
        except Killed:
            World.tally[f"{what}: killed"] += 1
            return False
        except NotReachable:
            World.tally[f"{what}: out of reach"] += 1
            return False
        finally:
            self.fuse = None
        World.tally[what] += 1
        return True

    @precondition(lambda self: len(self.written) < MOST)
    @rule(cases=st.integers(1, 3))
    def decisions_are_made(self, cases: int) -> None:
        for _ in range(cases):
            number = noticed(self.at, as_of=self.as_of)
            (one,) = [r for r in self._mine() if r["case_no"] == number]
            self.written[number] = one["request_id"]
            World.tally["written"] += 1

    @rule(**TROUBLE)
    def a_pass_tells(self, how: list[str], meanwhile: str | None, fuse: tuple[int, bool] | None) -> None:
        if len(self.written) < MOST and not self._due():
            self.decisions_are_made(2)  # a pass with nothing to send meets nothing
        before = len(self.body.seen)
        self.body.plan, self.body.after = list(how), partial(self._under_way, meanwhile)
        self._maybe_dying("tell", self._tell, fuse)
        World.tally.update(f"meets: {h}" for h in how[: len(how) - len(self.body.plan)])
        World.tally["messages"] += len(self.body.seen) - before
        self.body.plan, self.body.after = [], None

    @rule(**TROUBLE)
    def a_pass_tells_again(self, **trouble: Any) -> None:
        """Beside the other, since rules are chosen alike: what a pass meets is what this is about."""
        self.a_pass_tells(**trouble)

    def _due(self) -> bool:
        return self.body.id in telling.due(self.at, now=observed_now(), as_of=self.as_of)

    def _tell(self) -> telling.Told:
        return telling.tell(self.at, self.body.id, as_of=self.as_of, actor=ACTOR)

    def _under_way(self, meanwhile: str | None, notice: Notice) -> None:
        """What happens between a message's arrival and our knowing of it. The sender catches whatever its channel
        raises, so nothing is asserted here."""
        self.body.after = None
        if meanwhile is None:
            return
        World.tally[f"under way: {meanwhile}"] += 1
        fuse, self.fuse = self.fuse, None
        if meanwhile == "it answers":
            self._take(self._answer(notice.request_id, "DELETED"))
            self.ended |= self._over()
        else:
            self.others.append(self._tell())
        self.fuse = fuse

    def _over(self) -> set[UUID]:
        return {r["request_id"] for r in self._mine() if r["state"] != "tp_notified"}

    def _answer(self, request: UUID, code: str) -> Answer:
        n = len(self.given)
        until = self.as_of + timedelta(days=400 + n) if code == "RETAINED_BY_LAW" else None
        said = Answer(
            request_id=request, recipient=self.body.id, via="callback",
            digest=hashlib.sha256(f"{self.body.id} {n}".encode()).hexdigest(),
            parts=(Part(code=CODES[code], until=until, remains=f"{n}"),),
        )  # fmt: skip
        self.given.append(said)
        return said

    @precondition(lambda self: self.body.acted)
    @rule(data=st.data(), code=st.sampled_from(ENDS), fuse=FUSES)
    def a_callback_comes(self, data, code: str, fuse: tuple[int, bool] | None) -> None:
        said = self._answer(data.draw(st.sampled_from(list(self.body.acted))), code)
        done = self._maybe_dying("callback", lambda: self._take(said), fuse and (0, fuse[1]))
        if done:
            self._again(said)
        else:  # who got no answer to its callback calls again
            self._take(said)

    def _take(self, said: Answer) -> None:
        answering.take(self.at, said, as_of=self.as_of, actor=ACTOR)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def an_old_callback_comes_again(self, data) -> None:
        self._again(data.draw(st.sampled_from(self.given)))

    def _again(self, said: Answer) -> None:
        before = self._mine(), self._timeline()
        self._take(said)
        assert (self._mine(), self._timeline()) == before, "the same answer again changes nothing"
        World.tally["callback again"] += 1

    @precondition(lambda self: self.body.acted)
    @rule(data=st.data(), days=st.integers(1, 20))
    def it_says_that_it_is_not_done(self, data, days: int) -> None:
        request = data.draw(st.sampled_from(list(self.body.acted)))
        ended = {r["request_id"]: r["state"] for r in self._mine()}
        said = Pending(
            request_id=request,
            recipient=self.body.id,
            status="pending",
            expected_on=self.as_of + timedelta(days=days),
        )
        answering.pending(self.at, said, as_of=self.as_of, actor=ACTOR)
        assert {r["request_id"]: r["state"] for r in self._mine()} == ended
        World.tally["pending"] += 1

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def it_is_asked_and_says_what_it_said(self, data) -> None:
        said = data.draw(st.sampled_from(self.given))
        self.body.says[said.request_id] = said.model_copy(update={"via": "poll"})

    @rule(days=st.sampled_from([1, 5, 8, 40]))
    def time_passes(self, days: int) -> None:
        self.as_of += timedelta(days=days)

    @rule()
    def the_clocks_look(self) -> None:
        with self.at.book() as conn, self.real_deed(conn, "clocks"):
            found = outbox.escalate_silent(conn, self.as_of, ACTOR)
        World.tally["escalated"] += sum(r == self.body.id for _, r in found)

    @rule()
    def a_person_finds_out(self) -> None:
        with self.at.book() as conn:
            open_ = [e for e in errands.listing(conn) if e["recipient"] == self.body.id]
        for errand in open_[:1]:
            errands.carried(self.at, errand["request_id"], proof=b"note", as_of=self.as_of, actor="errand/li")
            self.carried.add(errand["request_id"])
            World.tally[f"errand: {errand['why']}"] += 1

    @invariant()
    def nothing_is_doubled_and_no_answer_lost(self) -> None:
        if not hasattr(self, "body"):
            return
        mine = self._mine()
        self._what_is_said_was_done(mine)
        assert {r["case_no"]: r["request_id"] for r in mine if r["round"] == 1} == self.written
        assert set(self.body.acted) <= {r["request_id"] for r in mine}, "no request that we do not know of"
        if not self.body.repeatable:
            first = Counter(n.request_id for n in self.body.seen if not n.reminder)
            assert all(n == 1 for n in first.values()), "a letter is not sent twice by a machine"
        kept = {(r["request_id"], r["digest"]) for r in World.watch.execute(
            "SELECT request_id, digest FROM casebook.answer WHERE recipient = %s", (self.body.id,))}  # fmt: skip
        assert {(a.request_id, a.digest) for a in self.given} <= kept, "an answer is lost"

    def _what_is_said_was_done(self, mine: list[dict]) -> None:
        sent = {r["request_id"] for r in mine if r["sent_at"] is not None}
        assert sent <= {*self.body.acted, *self.carried}, "sent, says the book, and nobody has it"
        over = self._over()
        assert self.ended <= over, "what has come to its end is open again"
        self.ended = over
        assert self.others == [telling.Told()] * len(self.others), (
            "who finds somebody else at it does nothing"
        )

    def teardown(self) -> None:
        book.deed = self.real_deed
        if not hasattr(self, "body"):
            return
        World.tally["walks"] += 1
        self.body.plan, self.body.says = [], {}
        for _ in range(4):  # no more trouble: whatever is due goes out
            self.as_of += timedelta(days=8)
            if self._due():
                self._tell()
        with self.at.book() as conn:
            with_a_person = {e["request_id"] for e in errands.listing(conn)}
        for r in self._mine():
            assert r["delivery"] != "sending"
            reached = r["request_id"] in self.body.acted or r["receipt"] is not None
            assert reached or r["request_id"] in with_a_person, (r["delivery"], r["state"], r["why"])
        self.nothing_is_doubled_and_no_answer_lost()
        World.tally["notices brought to their recipient or a person"] += len(self.written)


def walk(
    writer: str, keys: FileKeyStore, *, repeatable: bool, walks: int, steps: int, **more: Any
) -> Counter[str]:
    """Walk the machine; what happened, counted. Raises what a walk finds wrong."""
    World.writer, World.keys, World.repeatable = writer, keys, repeatable
    World.tally.clear()
    with book.connect(writer) as World.watch:
        run_state_machine_as_test(
            Outbox,
            settings=settings(
                max_examples=walks, stateful_step_count=steps, deadline=None,
                suppress_health_check=list(HealthCheck), **more,
            ),
        )  # fmt: skip
    return World.tally
