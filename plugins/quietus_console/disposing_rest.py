"""Tasks of a shutdown that dispose of what goes to nobody: two people let exactly these figures go, each as themselves."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task_group
from airflow.sdk.exceptions import AirflowFailException
from quietus_console.asking import Ask
from quietus_console.questions import person
from quietus_console.work import DONE, desk, now, step, today

from include.cases.shutdown import breaker, orders
from include.handover.stages import Handover

PAGE = "[/quietus/shutdown/{n}](/quietus/shutdown/{n})"
ORDER = "{{ ti.xcom_pull(task_ids='take_up') }}"
APPROVERS = ("first", "second")


def to_nobody(number: Any) -> Any:
    """Both approvers of the order say so; then it goes, in pieces with receipts, and is proved gone."""

    @task_group(group_id="rest")
    def rest() -> None:
        approved = [
            approve.override(task_id=f"approve_{who}")(number, _ask(n, who).output)
            for n, who in enumerate(APPROVERS)
        ]
        approved >> dispose(number)

    return rest()


@step
def approve(number: str, answer: dict[str, Any]) -> str:
    """An approver of the order lets the figures of T0 go. Nobody else may, and one does not count twice."""
    if "known" in answer:
        return str(answer["known"])
    name = person(answer, "").removeprefix("/")
    with desk().book() as conn:
        of = orders.order(conn, number)
    actor = next((a for a in of.approvers if a.partition("/")[2] == name), None)
    if actor is None:
        raise AirflowFailException(
            f"{number}: only those who approved the order approve this. Next: clear the question, and let one of them answer"
        )
    found, missing = breaker.approve(desk(), number, as_of=today(), actor=actor)
    return f"{sum(found.values())} items may go at most; {len(missing)} of two did not say so yet"


@step(pool="disposals")
def dispose(number: str) -> str:
    """Erased, anonymised or unlinked, and then what of the bags waited for that, by turns, until nothing more may go."""
    gone = Handover.of(desk(), number).dispose(as_of=today(), actor=now()["actor"])
    return (
        f"{sum(gone.values())} items of {len(gone)} datasets went to nobody"
        if gone
        else "nothing is left that may go"
    )


def _ask(n: int, who: str) -> Ask:
    return Ask(
        task_id=f"ask_{who}",
        case_of="take_up",
        answered=lambda number: _said(number, n),
        subject=f"{ORDER}: 请批准人确认删除 ({n + 1}/2) · an approver of the order lets it go",
        body="All that goes to nobody is erased, anonymised or unlinked; nothing brings it back. Each of the two people who "
        f"approved the order answers one of the two questions. 订单的两位批准人各答一次;删除后不可恢复。 {PAGE.format(n=ORDER)}",
        options=[DONE],
    )


def _said(number: str, n: int) -> str | None:
    """Whether so many of the approvers have let today's figures go already."""
    with desk().book() as conn:
        figures = breaker.figures(conn, number)
        said = {
            e["actor"] for e in orders.history(conn, number)
            if e["what"] == breaker.APPROVED and e["detail"]["figures"] == figures
        }  # fmt: skip
    return f"{len(said)} of two approvers said so" if len(said) > n else None
