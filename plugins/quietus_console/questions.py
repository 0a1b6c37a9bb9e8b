"""The questions that promises put to people: who asks, what is to happen, and whether a refusal stands.

Each is one of Airflow's own human-in-the-loop tasks (:class:`~quietus_console.asking.Ask`); :mod:`quietus_console.steps`
records what was answered. The words of the buttons are what Airflow stores, so they are compared here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from quietus_console import forms, notifying
from quietus_console.asking import Ask
from quietus_console.work import DONE, desk

from include.cases import progress
from include.cases.retention import night

IDENTITY_DAYS = 15
MATCHED, MISMATCHED = "Matched 相符", "Not matched 不相符"
APPROVE, REFUSE = "Approve 批准", "Refuse 拒绝"
CONFIRM, RETURN = "Confirm refusal 确认拒绝", "Return 退回"

CASE = "{{ ti.xcom_pull(task_ids='take_up') }}"


def who_asks() -> Ask:
    """Is the requester who they say? Asked until somebody answers, at most for the days that the law gives."""
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=lambda case_no: progress.identified(desk(), case_no),
        subject=f"{CASE}: 请核实身份 · check who asks",
        body="Compare only what registration collected. The answer records the *method* and *which* fields were "
        "compared, never what they said. 只核对注册时收集的信息;只记录方式与所核对的项目,不记录内容。",
        options=[MATCHED, MISMATCHED],
        params=forms.identity_check(),
        response_timeout=timedelta(days=IDENTITY_DAYS),
    )


def what_is_to_happen() -> Ask:
    """Approve the plan that was rehearsed, or refuse it: for another person than the requester."""
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=lambda case_no: progress.decided(desk(), case_no),
        subject=f"{CASE}: 请审批 · decide (another person than the requester)",
        body="{{ ti.xcom_pull(task_ids='rehearse')['briefing'] }}",
        options=[APPROVE, REFUSE],
        params=forms.refusal(),
    )


def does_the_refusal_stand() -> Ask:
    """A refusal needs a second reviewer, a third person."""
    return Ask(
        task_id="ask_second_reviewer",
        case_of="take_up",
        answered=lambda case_no: None,
        subject=f"{CASE}: 请复核拒绝决定 · review the refusal (a third person)",
        body="{% set given = ti.xcom_pull(task_ids='decide.ask')['params_input'] %}"
        "Ground {{ given['refusal_ground'] }}, scope {{ given['refusal_scope'] | join(', ') }}, "
        "reasons in {{ given['reasons_document'] }}. Until it is confirmed the clock runs on.",
        options=[CONFIRM, RETURN],
    )


def an_errand() -> Ask:
    """Something about a recipient that only a person can do. It is recorded on its page, which answers this; *Done* alone
    is refused (:mod:`quietus_console.finishing`), and what came past that is caught by the task after."""
    told = "{% set e = ti.xcom_pull(task_ids='take_up') %}"
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=notifying.no_longer_open,
        subject=told + "{{ e.case }} · {{ e.recipient }}: {{ e.why }}",
        body=told + "电话 phone {{ e.phone }} · 期限 due {{ e.due }}\n\n"
        "说明、信函与凭证上传 what to say, the letter, and where the proof goes: [/quietus/errands/{{ e.errand }}]"
        "(/quietus/errands/{{ e.errand }})\n\n"
        "在该页记录后,本问题自动完成;未记录时无法点已办理。 Recorded on that page, this is answered by itself; Done is refused "
        "before. Never write about the person here 请勿在此填写个人信息。",
        options=[DONE],
    )


GO_ON, NOT_TONIGHT = "Go on 执行", "Not tonight 今晚不执行"


def may_the_night_go_on(*, as_planned: bool = False) -> Ask:
    """A night of retention limits that is out of line, as the first one is: a person looks before anything goes. ``as_planned``:
    asked once more, if the plan has more than was seen when the night began."""
    told = "{% set n = ti.xcom_pull(task_ids='look') %}{% set why = ti.xcom_pull(task_ids='ASKER')['why'] %}"
    told = told.replace("ASKER", "plan" if as_planned else "look")
    return Ask(
        task_id="ask_again" if as_planned else "ask",
        case_of="look",
        answered=lambda found: night.needs_nobody(desk(), found["case"]),
        subject=told + "{{ n.case }}: 到期数据数量异常,请确认 · the size of this night is out of line",
        body=told
        + "{{ why }}\n\nSee what would go with `quietus retention due`, and the nights to come with `quietus"
        " retention forecast`. *at_most*: so many items tonight, and the next night asks again; empty: all of it. "
        "For a backlog in stages, approve a plan with `quietus retention backlog`. "
        "填写 at_most 可限制今晚条数,余下的次日再行确认;留空则全部执行。分批清理积压请用 quietus retention backlog。",
        options=[GO_ON, NOT_TONIGHT],
        params=forms.night(),
    )


# --- what an answer says --------------------------------------------------------------------------


def chose(answer: Mapping[str, Any], option: str) -> bool:
    """Whether that button was pressed, and no other."""
    return bool(answer.get("chosen_options") == [option])


def answered_at(answer: Mapping[str, Any]) -> datetime | None:
    """When the person pressed the button: clocks start then, not when a task records it."""
    said = answer.get("responded_at")
    return datetime.fromisoformat(said) if isinstance(said, str) else said


def person(answer: Mapping[str, Any], role: str) -> str:
    """Who answered a question, as an actor ``role/user``. Raises AirflowFailException if nobody did."""
    user = (answer.get("responded_by_user") or {}).get("name")
    if not user:
        raise AirflowFailException("nobody answered: an answer needs a person. Next: clear the question")
    return f"{role}/{user}"
