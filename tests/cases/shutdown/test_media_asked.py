"""The two questions of `service_shutdown` about media, by its own tasks over a real case book: what is open is asked once, of two
people, and a run that is started anew asks nothing that the book has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from quietus_console import asking_media, work
from quietus_console.waits import Waits

from include.cases.shutdown import half_said, media, orders
from include.cases.shutdown.told import Custodian, Paper
from include.model.errors import Refused
from include.model.estate import BackupSet
from include.model.media import Becomes
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, house, new_company
from tests.cases.shutdown.test_media_end import STORE, WORD, sanitised, say, there
from tests.cases.shutdown.test_orders import TOLD

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures
ONE, TWO = (a.partition("/")[2] for a in TOLD.approvers)
NIGHTLY = "backup_set:nightly"
GIVEN = {"document": WORD.number, "digest": WORD.digest, "stays": [], "later": [], "until": None}


@dataclass
class Run:
    """A run of the DAG, as far as media go; what its questions showed is what their answers are told."""

    ended: Ended
    asked: list[str]

    def __call__(self, first: Any = None, second: Any = None) -> str:
        """To its end; what a question is answered with, or that it must not be asked."""
        number, run = self.ended.number, asking_media
        shown = run.still_open.function(number)
        told = run.say.function(number, self._ask(run._ask_first(), first), shown)
        half = run.said.function(number)
        return f"{told} | {run.agree.function(number, self._ask(run._ask_second(), second), half)}"

    def _ask(self, ask: Any, answer: Any) -> Any:
        if known := ask.answered(self.ended.number):
            return {"known": known}
        assert answer is not None, f"{ask.task_id} is asked"
        self.asked.append(ask.task_id)
        who, chosen, given = answer
        return {
            "chosen_options": [chosen],
            "responded_by_user": {"id": "1", "name": who},
            "params_input": {**GIVEN, **given},
        }

    def settled(self) -> bool:
        context = {"ti": SimpleNamespace(xcom_pull=lambda **_: self.ended.number)}
        return bool(Waits(task_id="wait", waiting=asking_media.settled).poke(context))


@pytest.fixture
def run(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Of a shop that has a backup set, too: two media."""
    nightly = BackupSet(
        id="nightly", store="company", tool="dump", region="CN", location="x", keep="P7D", description="dumps"
    )
    told = ended.house.company.catalogue.model_copy(update={"backups": (nightly,)})
    ended.house.company = replace(ended.house.company, catalogue=told)
    monkeypatch.setattr(asking_media, "desk", lambda: ended.desk)
    monkeypatch.setattr(asking_media, "today", lambda: T0)
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    return Run(ended, [])


def done(who: str, **given: Any) -> tuple[str, str, dict[str, Any]]:
    return who, work.DONE, given


def same(who: str, **given: Any) -> tuple[str, str, dict[str, Any]]:
    return who, asking_media.SAME, given


def test_both_are_asked_once_and_a_run_started_anew_asks_nothing(run: Run) -> None:
    assert not run.settled()
    later = T0 + timedelta(days=9)
    said = run(done(ONE, stays=[STORE], later=[NIGHTLY], until=later.isoformat()), same(TWO))
    assert said == (
        f"2 are answered for; {TOLD.approvers[1].partition('/')[0]} is asked next"
        f" | both approvers say what becomes of {NIGHTLY}, {STORE}"
    )
    assert run.asked == ["ask_first", "ask_second"] and run.settled()
    words = {name: s.word for name, s in there(run.ended).items()}
    assert all(w and w.by.document == "BR-90" and len(w.by.events) == 2 for w in words.values())
    assert {n: (w.becomes, w.until) for n, w in words.items() if w} == {
        STORE: ("stays", None), NIGHTLY: ("later", later),
    }  # fmt: skip
    run()
    assert run.asked == ["ask_first", "ask_second"], "the book has it"


def test_a_run_that_was_stopped_between_the_two_asks_the_second_alone(run: Run) -> None:
    number = run.ended.number
    shown = asking_media.still_open.function(number)
    assert shown["media"] == [NIGHTLY, STORE] and f"- `{NIGHTLY}`, dumps: no record" in shown["told"]
    first = run._ask(asking_media._ask_first(), done(ONE, stays=["everything"]))
    asking_media.say.function(number, first, shown)
    assert "both approvers" in run(None, same(TWO)) and run.settled()


def test_what_is_recorded_or_said_on_the_command_line_is_not_asked(run: Run) -> None:
    assert say(
        run.ended, TOLD.approvers[1], Becomes.RENTED, names=[STORE, NIGHTLY], provider="Rent-a-disk Co"
    )
    half = asking_media.said.function(run.ended.number)
    assert half["told"].endswith(
        f"rented from Rent-a-disk Co (BR-90); asked: {TOLD.approvers[0].partition('/')[0]}"
    )
    assert run(None, same(ONE)).startswith("nothing is open that nobody spoke of | both")
    assert run.asked == ["ask_second"] and run.settled()


def test_of_what_nobody_names_a_record_is_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(done(ONE, stays=[STORE]), same(TWO))
    assert said.startswith("1 are answered for") and f"a record is waited for of {NIGHTLY}" in said
    assert not run.settled()
    sanitised(run.ended, store=None, backup_set="nightly")
    monkeypatch.setattr(asking_media.media, "_gone", lambda events: frozenset(there_is(run.ended)))
    assert run.settled()
    run()
    assert run.asked == ["ask_first", "ask_second"]


def there_is(ended: Ended) -> list[str]:
    return [d.id for d in ended.desk.catalogue.datasets]


Answers = Callable[[], tuple[Any, Any]]


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (done("wu", stays=[STORE]), None, "not one of the two who approved"),
        (done(ONE, stays=[STORE], later=[STORE], until="2030-01-01"), None, f"two things are said of {STORE}"),
        (done(ONE, stays=[STORE], until="2030-01-01"), None, "what is sanitised later has a day"),
        (done(ONE, stays=[STORE], later=[NIGHTLY]), None, "what is sanitised later has a day"),
        (done(ONE, stays=["keys:u.click"]), None, "nothing of the order's is on keys:u.click"),
        (done(ONE, stays=[STORE], document=None), None, "the document number is missing"),
        (done(ONE, stays=[STORE]), same(ONE), "the other of the two approvers is asked"),
        (done(ONE, stays=[STORE]), same("wu"), "the other of the two approvers is asked"),
        (done(ONE, stays=[STORE]), same(TWO, document="BR-91"), "it was said by another document, BR-90"),
        (done(ONE, stays=[STORE]), same(TWO, digest="1" * 64), "it was said by another document, BR-90"),
        (done(ONE, stays=[STORE]), (TWO, asking_media.NOT_SAME, {}), "the other approver does not say the same"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_is_refused_and_says_nothing(
    run: Run, first: Any, second: Any, why: str
) -> None:
    with pytest.raises(AirflowFailException, match=why):
        run(first, second)
    assert not any(s.word for s in there(run.ended).values()) and not run.settled()
    with run.ended.desk.book() as conn:
        words = [e for e in orders.history(conn, run.ended.number) if e["what"] == "media answered for"]
    assert len(words) == (0 if second is None else 1), "all of an answer, or nothing"


def test_the_second_answers_for_what_was_shown_and_for_nothing_that_came_since(run: Run) -> None:
    ended = run.ended
    say(ended, TOLD.approvers[0])
    shown = asking_media.said.function(ended.number)
    say(ended, TOLD.approvers[0], Becomes.LATER, until=T0 + timedelta(days=3))
    answer = run._ask(asking_media._ask_second(), same(TWO))
    with pytest.raises(AirflowFailException, match=r"not any more what was shown.*clear `end.media.said`"):
        asking_media.agree.function(ended.number, answer, shown)
    newer = asking_media.said.function(ended.number)
    assert len(newer["events"]) == 1 and f"sanitised by {T0 + timedelta(days=3)}" in newer["told"]
    assert "both approvers" in asking_media.agree.function(ended.number, answer, newer)


def test_a_word_that_would_count_no_more_is_not_shown_to_the_other(run: Run) -> None:
    ended = run.ended
    say(ended, TOLD.approvers[0])
    attic = Custodian("Attic Co", "attic@example.com")
    orders.name_custodian(ended.desk, ended.number, attic, paper=PAPER, as_of=T0, actor="legal/zhao")
    assert asking_media.said.function(ended.number)["events"] == []
    assert STORE in asking_media.still_open.function(ended.number)["media"], "so it is asked anew"
    with pytest.raises(Refused, match="the document number is missing"):
        half_said.agree(
            ended.desk, ended.number, [], paper=replace(WORD, number=" "), as_of=T0, actor=TOLD.approvers[1]
        )


def test_what_was_said_by_another_paper_or_waits_for_the_other_is_another_question(run: Run) -> None:
    """One store is rented by a contract of its own: nobody can agree to both by one document."""
    ended, other = run.ended, Paper("BR-91", "1" * 64)
    say(ended, TOLD.approvers[0], names=[STORE])
    say(ended, TOLD.approvers[0], Becomes.LATER, names=[NIGHTLY], until=T0 + timedelta(days=3), paper=other)
    shown = asking_media.said.function(ended.number)
    assert len(shown["events"]) == 1 and shown["told"].endswith(
        f"Of {NIGHTLY} by `quietus shutdown media`: by another document, or the other is waited for."
    )
    assert run(None, same(TWO)).endswith(f"both approvers say what becomes of {STORE}")
    assert not run.settled()
    again = asking_media.said.function(ended.number)
    assert "BR-91" in again["told"] and again["events"] != shown["events"]
    say(ended, TOLD.approvers[1], Becomes.LATER, names=[NIGHTLY], until=T0 + timedelta(days=3), paper=other)
    assert run.settled()


def test_a_word_of_one_that_both_have_said_something_newer_than_is_none(run: Run) -> None:
    """Once that ends, nobody is asked to agree to what was given up."""
    ended, day = run.ended, T0 + timedelta(days=3)
    say(ended, TOLD.approvers[0], names=[STORE])
    for who in TOLD.approvers:
        say(ended, who, Becomes.LATER, names=[STORE], until=day)
    with ended.desk.book() as conn:
        of = orders.order(conn, ended.number)
        later = day + timedelta(days=1)
        standing = media.standing(ended.desk.catalogue, conn, of, later)
        assert any(s.open and s.carrier.name == STORE for s in standing), "it was not wiped by its day"
        assert half_said.halves(conn, of, standing, later) == ()
