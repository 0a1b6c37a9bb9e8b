"""A shutdown as Airflow runs it: gate by gate with its document, nothing closed before all are passed, alarms in data."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from quietus_console import shutting_down as tasks
from quietus_console import work

from include.cases.shutdown import closing, located, orders
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


def test_nothing_is_closed_but_behind_every_gate() -> None:
    dag = importlib.import_module("dags.service_shutdown").service_shutdown()
    found = {t.task_id: t for t in dag.tasks}
    before = {i: t.upstream_task_ids - {"take_up"} for i, t in found.items()}
    filed = {f"{g}.record" for g in ("notified", "reported", "announced")}
    assert before["t0.close"] == {"t0.ask"} and before["t0.prove"] == {"t0.close"}
    assert before["t0.ask"] == {"successor_told.record"} and before["successor_told.ask"] == filed
    assert all(before[f"{g}.ask"] == {"preview"} for g in ("notified", "reported", "announced"))
    asks = [t for i, t in found.items() if i.endswith(".ask")]
    assert len(asks) == 5 and all(t.defaults is None and t.response_timeout is None for t in asks)
    assert dag.params.get_param("order").schema["pattern"] == r"^SO-\d{6,}$" and len(dag.params) == 1


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


def test_t0_that_has_not_come_turns_the_task_red_with_what_to_do(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(*_: Any, **__: Any) -> None:
        raise Refused("T0 is 2027-03-04, and has not come", about="T0", next_step="wait until 2027-03-04")

    monkeypatch.setattr(closing, "close", close)
    with pytest.raises(AirflowFailException, match=r"SO-000001.*has not come.*wait until"):
        tasks.close_collection.function("SO-000001", ANSWER)


@pytest.mark.parametrize(
    ("looked", "red"),
    [(Looked("main"), False), (Looked("main", {"a.b": 1}), True), (Looked("main", unasked={"main": "down"}), False)],
)  # fmt: skip
def test_growth_after_t0_turns_the_proof_red_every_night(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, looked: Looked, red: bool
) -> None:
    monkeypatch.setattr(closing, "prove", lambda desk, number, as_of, actor: Proof(number, (looked,)))
    of = SimpleNamespace(number="SO-000001", closed_on=TODAY)
    monkeypatch.setattr(orders, "in_force", lambda conn: of)
    opened: list[str] = []
    monkeypatch.setattr(located, "locate", lambda desk, number, as_of, actor: opened.append(number))
    for run in (lambda: tasks.prove.function("SO-000001"), tasks.nothing_is_collected.function):
        if red:
            with pytest.raises(AirflowFailException, match=r"a\.b grew by 1"):
                run()
        else:
            assert run().startswith("SO-000001: ")
    monkeypatch.setattr(orders, "in_force", lambda conn: None)
    assert tasks.nothing_is_collected.function() == "no collection is closed"
    assert opened == ["SO-000001"], "the books are opened on T0, whatever was seen"


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
