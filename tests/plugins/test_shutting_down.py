"""A shutdown as Airflow runs it: gate by gate with its document, nothing closed before all are passed, alarms in data."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from quietus_console import disposing_rest, handing_over, work
from quietus_console import shutting_down as tasks

from include.cases.shutdown import (
    accepting,
    approving,
    breaker,
    closing,
    located,
    needles,
    orders,
    people,
    permitting,
)
from include.cases.shutdown import preview as previews
from include.cases.shutdown.closing import Proof
from include.cases.shutdown.dates import Days, Gate, Path
from include.cases.shutdown.preview import Line, Preview
from include.cases.shutdown.told import Paper
from include.model.errors import Refused
from include.model.shutdown import Looked

TODAY = date(2026, 11, 24)
ANSWER = {
    "chosen_options": [work.DONE], "responded_by_user": {"id": "1", "name": "zhao"},
    "params_input": {"document": "BR-1", "digest": "a" * 64, "done_on": "2026-11-20"},
}  # fmt: skip


class Desk:
    @contextmanager
    def book(self) -> Any:
        yield None


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    given: dict[str, Any] = {"order": "SO-000001"}
    context = {"params": given, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    for module in (tasks, work):
        monkeypatch.setattr(module, "get_current_context", lambda: context)
    monkeypatch.setattr(tasks, "desk", Desk)
    monkeypatch.setattr(tasks, "today", lambda: TODAY)
    monkeypatch.setattr(tasks, "now", lambda: {"as_of": TODAY, "actor": "system/airflow"})
    return given


def test_nothing_is_asked_but_in_its_order_and_closing_waits_for_the_book_not_for_a_question() -> None:
    dag = importlib.import_module("dags.service_shutdown").service_shutdown()
    found = {t.task_id: t for t in dag.tasks}
    before = {i: t.upstream_task_ids - {"take_up"} for i, t in found.items()}
    approved = {"approval_1.record", "approval_2.record"}
    filed = {f"{g}.record" for g in ("notified", "reported", "reported_e_government", "announced")}
    assert before["t0.close"] == {"t0.ask"} and before["t0.prove"] == {"t0.close"}
    assert before["t0.unseen"] == {"t0.prove"} and before["t0.ask_unseen"] == {"t0.unseen"}
    assert before["t0.go_on"] == {"t0.ask_unseen", "t0.unseen"}
    assert before["t0.ask"] == {"t0.filed"} and before["t0.filed"] == approved
    assert found["t0.filed"].mode == "reschedule" and found["t0.filed"].reschedule, "it waits without a slot"
    assert before["successor_told.ask"] == filed and before["tell_of_the_last_day"] == {
        "successor_told.record"
    }
    assert all(before[f"{g}.ask"] == approved for g in ("reported", "reported_e_government", "announced"))
    assert before["notified.ask"] == {"tell_people"} and before["tell_people"] == approved
    assert not before["preview"] and all(before[f"approval_{n}.ask"] == {"preview"} for n in (1, 2)), (
        "who approves has read what it would do"
    )
    assert all("task_ids='preview'" in found[f"approval_{n}.ask"].body for n in (1, 2))
    asks = [t for i, t in found.items() if ".ask" in i]
    assert len(asks) == 16 and all(t.defaults is None and t.response_timeout is None for t in asks)
    assert dag.params.get_param("order").schema["pattern"] == r"^SO-\d{6,}$" and len(dag.params) == 1


@pytest.mark.parametrize(
    ("wanting", "said"),
    [({}, True), ({"not done yet: reported": "Record it with its document."}, False)],
    ids=["nothing is wanting, as of a revoked licence", "a gate is"],
)
def test_closing_is_asked_once_nothing_must_come_before(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, wanting: dict[str, str], said: bool
) -> None:
    dag = importlib.import_module("dags.service_shutdown").service_shutdown()
    monkeypatch.setattr(tasks.orders, "order", lambda conn, number: number)
    monkeypatch.setattr(tasks.closing, "missing", lambda desk, conn, of: wanting)
    ti = SimpleNamespace(xcom_pull=lambda task_ids: "SO-000001")
    assert dag.get_task("t0.filed").poke({"ti": ti}) is said


def test_nothing_is_handed_over_before_t0_is_proved_and_nothing_deleted_before_it_is_signed_for() -> None:
    dag = importlib.import_module("dags.service_shutdown").service_shutdown()
    before = {t.task_id: t.upstream_task_ids - {"take_up"} for t in dag.tasks}
    way = ["t0.go_on", "tell_who_came_since", "handover.ask", "handover.consign", "handover.pack", "handover.send",
           "handover.receipts", "handover.verify", "source.consigned_as", "source.ask",
           "source.delete_source"]  # fmt: skip
    assert before["source.delete_source"] == {"source.consigned_as", "source.ask"}
    before["source.delete_source"] -= {"source.consigned_as"}
    for earlier, later in pairwise(way):
        assert before[later] == {earlier}, later
    assert "task_ids='source.consigned_as'" in dag.get_task("source.ask").body, "the question shows it"
    two = {"rest.approve_first", "rest.approve_second"}
    assert before["rest.dispose"] == two and before["balance"] == {"rest.dispose"}
    assert before["end.tell_recipients"] == {"balance"} and before["end.certify"] == {
        "end.backups",
        "end.successor_told.record",
        "end.media.settled",
    }
    media = ["balance", "end.tell_recipients", "end.media.open", "end.media.ask_first", "end.media.say", "end.media.said",
             "end.media.ask_second", "end.media.agree", "end.media.settled"]  # fmt: skip
    assert before["end.media.say"] == {"end.media.ask_first", "end.media.open"}
    assert before["end.media.agree"] == {"end.media.ask_second", "end.media.said"}
    for earlier, later in pairwise(media):
        assert earlier in before[later], later
    for question, told in (("ask_first", "open"), ("ask_second", "said")):
        assert f"task_ids='end.media.{told}'" in dag.get_task(f"end.media.{question}").body, (
            "the question shows it"
        )
    assert before["end.successor_told.ask"] == {"end.tell_recipients"}, (
        "a successor that was named since is told of"
    )
    assert before["end.answers"] == {"end.tell_recipients"} and before["end.backups"] == {"end.answers"}
    assert all(before[f"rest.ask_{n}"] == {"source.delete_source"} for n in ("first", "second"))
    for task in ("handover.receipts", "end.answers", "end.backups", "end.media.settled"):
        waits = dag.get_task(task)
        assert waits.mode == "reschedule" and waits.reschedule, f"{task} waits without a slot"
    assert all(t.trigger_rule == "all_success" for t in dag.tasks)


def test_who_lets_our_copy_go_and_by_which_document_is_recorded_before_anything_goes(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    way = SimpleNamespace(
        delete_source=lambda **_: done.append("gone") or [],
        consign=lambda digest, **said: done.append((digest, said)) or SimpleNamespace(
            datasets=(1,), successor=SimpleNamespace(name="B")
        ),
    )  # fmt: skip
    monkeypatch.setattr(handing_over, "desk", Desk)
    monkeypatch.setattr(handing_over, "today", lambda: TODAY)
    monkeypatch.setattr(handing_over, "now", lambda: {"as_of": TODAY, "actor": "system/airflow"})
    monkeypatch.setattr(handing_over, "Handover", SimpleNamespace(of=lambda *_: way))
    monkeypatch.setattr(permitting, "permit", lambda desk, number, **said: done.append(said))
    run = handing_over.delete_source.function
    assert run("SO-000001", ANSWER, "5ab1e") == "no bag may go now"
    said = {"paper": Paper("BR-1", "a" * 64), "as_of": TODAY, "actor": "ops/zhao", "consignment": "5ab1e"}
    assert done == [said, "gone"]
    run("SO-000001", {"known": "approved by BR-1"}, "5ab1e")
    assert done == [said, "gone", "gone"]
    with pytest.raises(AirflowFailException, match="nobody answered"):
        run("SO-000001", {**ANSWER, "responded_by_user": None}, "5ab1e")
    handing_over.consign.function("SO-000001", ANSWER)
    assert done[3] == ("a" * 64, {"document": "BR-1", "as_of": TODAY, "actor": "ops/zhao"})


def test_each_approver_lets_it_go_as_themselves_and_nobody_else(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def approve(desk: Any, number: str, *, as_of: date, actor: str) -> Any:
        said.append(actor)
        return {"a.b": 7}, tuple({"legal/zhao", "board/qian"} - set(said))

    monkeypatch.setattr(disposing_rest, "desk", Desk)
    monkeypatch.setattr(disposing_rest, "today", lambda: TODAY)
    monkeypatch.setattr(breaker, "approve", approve)
    monkeypatch.setattr(
        orders, "order", lambda conn, number: SimpleNamespace(approvers=("legal/zhao", "board/qian"))
    )
    run = disposing_rest.approve.function
    assert run("SO-000001", ANSWER) == "7 items may go at most; 1 of two did not say so yet"
    with pytest.raises(AirflowFailException, match="only those who approved the order"):
        run("SO-000001", {**ANSWER, "responded_by_user": {"id": "2", "name": "wu"}})
    assert run("SO-000001", {**ANSWER, "responded_by_user": {"id": "3", "name": "qian"}}).endswith(
        "0 of two did not say so yet"
    )
    assert said == ["legal/zhao", "board/qian"]
    events = [{"what": breaker.APPROVED, "actor": a, "detail": {"figures": {"a.b": 7}}} for a in said]
    monkeypatch.setattr(breaker, "figures", lambda conn, number: {"a.b": 7})
    monkeypatch.setattr(orders, "history", lambda conn, number: [*events[:1], events[0]])
    assert disposing_rest._said("SO-000001", 0) and disposing_rest._said("SO-000001", 1) is None, (
        "one counts once"
    )


def test_an_answer_is_recorded_with_its_document_and_who_gave_it(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []

    def pass_gate(desk: Any, number: str, gate: Gate, **said: Any) -> Any:
        kept.append((number, gate, said))
        return SimpleNamespace(t0=date(2027, 3, 4))

    monkeypatch.setattr(orders, "pass_gate", pass_gate)
    assert tasks.record.function("SO-000001", "notified", ANSWER) == "T0 is 2027-03-04"
    ((number, gate, said),) = kept
    assert (number, gate, said["on"], said["actor"]) == (
        "SO-000001",
        Gate.NOTIFIED,
        date(2026, 11, 20),
        "legal/zhao",
    )
    assert said["paper"] == Paper("BR-1", "a" * 64)
    assert tasks.record.function("SO-000001", "notified", {"known": "done"}) == "done" and len(kept) == 1
    wrong = {**ANSWER, "params_input": {**ANSWER["params_input"], "done_on": "2026-13-40"}}  # type: ignore[dict-item]
    with pytest.raises(AirflowFailException, match="no such day"):
        tasks.record.function("SO-000001", "notified", wrong)
    with pytest.raises(AirflowFailException, match="nobody answered"):
        tasks.record.function("SO-000001", "notified", {**ANSWER, "responded_by_user": None})


def test_an_approval_is_of_whoever_answered(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    def approve(desk: Any, number: str, **said: Any) -> Any:
        kept.append((number, said))
        return SimpleNamespace(waits_for=())

    monkeypatch.setattr(approving, "approve", approve)
    answer = {**ANSWER, "responded_at": "2026-11-21T16:30:00+00:00"}
    assert tasks.approve.function("SO-000001", answer) == "approved by both"
    assert kept == [("SO-000001", {"as_of": date(2026, 11, 22), "actor": "legal/zhao"})]
    assert tasks.approve.function("SO-000001", {"known": "approved already"}) == "approved already"
    of = SimpleNamespace(approvers=["legal/zhao", "board/qian"], waits_for=("board/qian",))
    monkeypatch.setattr(orders, "order", lambda conn, number: of)
    assert [tasks._approved("SO-000001", n) for n in (0, 1)] == ["approved already", None]
    with pytest.raises(AirflowFailException, match="nobody answered"):
        tasks.approve.function("SO-000001", {**answer, "responded_by_user": None})


def test_people_are_told_where_they_are_reached_and_counts_are_all_that_is_said(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Desk, "catalogue", None, raising=False)
    monkeypatch.setattr(orders, "reached", lambda catalogue: False)
    assert "by other means" in tasks.tell_people.function("SO-000001")
    monkeypatch.setattr(orders, "reached", lambda catalogue: True)
    run = SimpleNamespace(telling=SimpleNamespace(told=8, unreached=2), stopped="")
    monkeypatch.setattr(people, "notify", lambda *_, **__: run)
    assert tasks.tell_people.function("SO-000001").startswith("8 told, 2 could not be reached")
    run.stopped = "the mail server does not answer"
    with pytest.raises(AirflowException, match="does not answer"):
        tasks.tell_people.function("SO-000001")


def test_without_a_day_it_was_done_when_it_was_answered_however_late_it_is_recorded(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cleared weeks later records the same day, so T0 stays."""
    on: list[date] = []

    def pass_gate(*_: Any, **said: Any) -> Any:
        on.append(said["on"])
        return SimpleNamespace(t0=date(2027, 3, 4))

    monkeypatch.setattr(orders, "pass_gate", pass_gate)
    answer = {
        **ANSWER, "responded_at": "2026-11-21T16:30:00+00:00", "params_input": {**ANSWER["params_input"], "done_on": None}  # type: ignore[dict-item]
    }  # fmt: skip
    for day in (TODAY, date(2026, 12, 30)):
        monkeypatch.setattr(tasks, "today", lambda day=day: day)
        tasks.record.function("SO-000001", "notified", answer)
    assert on == [date(2026, 11, 22)] * 2  # China's day
    with pytest.raises(AirflowFailException, match="does not say when"):
        tasks.record.function("SO-000001", "notified", {**answer, "responded_at": None})


def test_a_preview_that_any_reader_of_a_run_sees_says_nothing_of_holds(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        Line("a.b", "retain", "RS-17/tax", "tax", 3, 0, "Archive Co", TODAY, TODAY, 0),
        Line("a.c", "hold", "RS-01/main", "policy 5.2", 2, 2, "Archive Co", None, None, 0),
    )
    found = Preview("SO-000001", TODAY, TODAY, lines, (), (), {})
    monkeypatch.setattr(previews, "preview", lambda *_, **__: found)
    said = tasks.preview.function("SO-000001")
    assert said == "located 5 = 5 retained; 0 to decide; 0 datasets UNVERIFIED"


def test_what_the_book_has_is_not_asked_again(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days(Path.VOLUNTARY, TODAY, date(2027, 3, 4), {Gate.NOTIFIED: TODAY})
    monkeypatch.setattr(orders, "order", lambda conn, number: None)
    monkeypatch.setattr(orders, "days", lambda conn, of: days)
    monkeypatch.setattr(orders, "gate_done", lambda conn, number, gate: "done" if gate in days.done else None)
    known = {g: tasks._known("SO-000001", g) for g in Gate}
    assert known[Gate.NOTIFIED] == "done" and known[Gate.REPORTED] is None and known[Gate.CLOSED] is None
    assert "not needed" in str(known[Gate.SUCCESSOR_TOLD])
    assert known[Gate.REPORTED_E_GOVERNMENT] == "not needed: the order is of no certificates for e-government"
    days = replace(days, e_government=True)
    assert tasks._known("SO-000001", Gate.REPORTED_E_GOVERNMENT) is None, (
        "t0.filed waits for it, so somebody is asked"
    )


def test_t0_that_has_not_come_turns_the_task_red_with_what_to_do(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(*_: Any, **__: Any) -> None:
        raise Refused("T0 is 2027-03-04, and has not come", about="T0", next_step="wait until 2027-03-04")

    monkeypatch.setattr(closing, "close", close)
    with pytest.raises(AirflowFailException, match=r"SO-000001.*has not come.*wait until"):
        tasks.close_collection.function("SO-000001", ANSWER)


UNSEEN = Looked("main", unasked={"main": "down"})


@pytest.mark.parametrize(
    ("looked", "said"),
    [(Looked("main"), ""), (Looked("main", {"a.b": 1}), r"a\.b grew by 1"), (UNSEEN, "UNVERIFIED.*main: down")],
)  # fmt: skip
def test_growth_and_what_nobody_could_see_turn_the_proof_red_every_night(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, looked: Looked, said: str
) -> None:
    monkeypatch.setattr(closing, "prove", lambda desk, number, as_of, actor: Proof(number, (looked,)))
    monkeypatch.setattr(accepting, "open_places", lambda conn, number: sorted(looked.unasked))
    of = SimpleNamespace(number="SO-000001", closed_on=TODAY)
    monkeypatch.setattr(orders, "in_force", lambda conn: of)
    opened: list[str] = []
    monkeypatch.setattr(located, "locate", lambda desk, number, as_of, actor: opened.append(number))
    monkeypatch.setattr(needles, "gather", lambda desk, number, as_of, actor: opened.append("identifiers"))
    if said:
        with pytest.raises(AirflowFailException, match=said):
            tasks.nothing_is_collected.function()
    else:
        assert tasks.nothing_is_collected.function().startswith("SO-000001: passed")
    if looked.grew:
        with pytest.raises(AirflowFailException, match=said):
            tasks.prove.function("SO-000001")
    else:  # what could not be seen is the next task's question
        assert tasks.prove.function("SO-000001").startswith("SO-000001: ")
    # Once a person answers for it the night is green, and says it all the same.
    monkeypatch.setattr(accepting, "open_places", lambda conn, number: [])
    if looked is UNSEEN:
        assert "UNVERIFIED main: down" in tasks.nothing_is_collected.function()
    monkeypatch.setattr(orders, "in_force", lambda conn: None)
    assert tasks.nothing_is_collected.function() == "no collection is closed"
    assert opened == ["identifiers", "SO-000001"], "the books are opened on T0, whatever was seen"


def test_behind_what_nobody_could_see_nothing_goes_on_by_itself(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []

    def accept(desk: Any, number: str, **said: Any) -> list[str]:
        taken.append(said)
        return ["main"]

    monkeypatch.setattr(accepting, "accept", accept)
    last = accepting.Unseen(17, (("main", "main", "down"), ("docs", "papers", "no answer")))
    monkeypatch.setattr(accepting, "shown", lambda conn, number: last)
    shown = tasks.unseen.function("SO-000001")
    asked = importlib.import_module("dags.service_shutdown").service_shutdown().get_task("t0.ask_unseen")
    body = asked.render_template(asked.body, {"ti": SimpleNamespace(xcom_pull=lambda task_ids: shown)})
    assert "(look 17): main: down; papers: no answer" in body, "whoever answers reads what he answers for"
    with pytest.raises(
        AirflowFailException, match=r"SO-000001.*UNVERIFIED.*nobody answers for it.*clear `t0.prove`"
    ):
        tasks.go_on.function("SO-000001", {**ANSWER, "chosen_options": [tasks.NOT_ANSWERED_FOR]}, shown)
    assert not taken
    answer = {**ANSWER, "chosen_options": [tasks.ANSWERED_FOR]}
    assert tasks.go_on.function("SO-000001", answer, shown) == "UNVERIFIED, and answered for: main"
    assert (taken[0]["paper"], taken[0]["actor"]) == (Paper("BR-1", "a" * 64), "legal/zhao")
    assert taken[0]["look"] == 17, "the look that the question showed, however long it was open"
    assert tasks.go_on.function("SO-000001", {"known": "passed"}, shown) == "passed" and len(taken) == 1


def test_an_overdue_gate_turns_the_clocks_red(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: tuple[str, ...] = ()
    monkeypatch.setattr(orders, "alarms", lambda conn, as_of: found)
    assert tasks.no_gate_is_overdue.function() == "no gate is overdue"
    found = ("SO-000001: notified was due on 2026-11-23",)
    with pytest.raises(AirflowFailException, match="notified was due on 2026-11-23"):
        tasks.no_gate_is_overdue.function()
    clocks = importlib.import_module("dags.case_clocks").case_clocks()
    audit = importlib.import_module("dags.proof_audit").proof_audit()
    assert "no_gate_is_overdue" in clocks.task_ids and "nothing_is_collected" in audit.task_ids
    assert not clocks.get_task("no_gate_is_overdue").upstream_task_ids
    assert not clocks.get_task("no_data_room_is_overdue").upstream_task_ids


def test_a_data_room_that_is_overdue_is_red_and_named(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(tasks.dataroom, "alarms", lambda conn, as_of: found)
    assert tasks.no_data_room_is_overdue.function() == "no data room is overdue"
    found.append("DR-000001 (Heron): our copies are not shown to be gone")
    with pytest.raises(AirflowFailException, match="DR-000001"):
        tasks.no_data_room_is_overdue.function()
