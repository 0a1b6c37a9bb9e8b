"""The main job on embedded parts: one person's account is cancelled through the real scheduler, and it is shown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from include.cases import book, papers
from include.cases.notices import outbox
from include.cases.shelf import Shelf
from include.catalogue import load
from include.ledger.verify import verify
from include.model.errors import NotProved, Refused
from include.model.times import observed_now
from include.model.words import Role
from include.sandbox import seed as seeding
from include.sandbox import story
from include.sandbox.answering import Answer, Answering
from include.sandbox.api import ENDED, AirflowUser, wait
from include.sandbox.company import SEED, environment, make_ready
from include.sandbox.recipients.truth import truth
from include.sandbox.recipients.world import World
from include.sandbox.stack.stack import COMPANY, Stack

DAG = "account_cancellation"
CLOCKS = "case_clocks"
NOTICES = "recipient_notices"
ROUNDS = 3  # of telling and asking: most bodies answer within seconds, and some never
PATIENCE = 600.0  # seconds for the whole run
ANSWERS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "verify_identity.ask": (
        "ops", "Matched 相符", {"method": "signed_in_session", "fields": ["PI-001", "PI-004"]}
    ),
    "decide.ask": ("reviewer", "Approve 批准", {}),
}  # fmt: skip
"""Who answers what: nobody who triggered the run decides on it."""


def run(people: int, *, ends: bool = False) -> str:
    """Make the company ready, cancel one account, show what became of it; the case's number. ``ends``: of somebody whose case
    ends one day. Raises if it did not go well."""
    console, begun = Console(highlight=False), time.monotonic()
    if not console.is_terminal:
        console.width = story.WIDTH

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  {line}", soft_wrap=True)

    stack = Stack()
    make_ready(stack, say, people=people)
    account = somebody(stack, ends=ends)
    say("support triggers the promise [bold]account_cancellation[/bold] for one opaque account id")
    done = cancel(stack, account, say)
    show(console, stack, done)
    tell_recipients(stack, say)
    show_recipients(console, stack, done.case_no, account)
    return done.case_no


@dataclass(frozen=True)
class Done:
    """A run that ended: its case, its run in Airflow, and how long people and machines took, in seconds."""

    case_no: str
    run_id: str
    state: str
    waited_for_people: float
    whole: float


def somebody(stack: Stack, *, ends: bool = False) -> str:
    """A customer who is still one: the ordinary one at first, then others who hold a certificate. ``ends``: one of whom
    everything has a date; a contract that was signed with somebody else goes with its last party, whenever that leaves."""
    with psycopg.connect(stack.company.superuser_conninfo(COMPANY)) as connection:
        row = connection.execute(
            "SELECT a.account_id FROM account.account AS a JOIN cert.certificate AS c USING (account_id)"
            " WHERE a.cancelled_at IS NULL AND a.kind = 'person' AND c.status = 'valid'"
            " AND (a.account_id = %(first)s OR NOT a.account_id = ANY(%(special)s))"
            " AND NOT (%(ends)s AND EXISTS (SELECT FROM sign.contract_party p WHERE p.account_id = a.account_id))"
            " ORDER BY a.account_id <> %(first)s, a.account_id LIMIT 1",
            {
                "first": seeding.hard_cases(SEED)["ordinary"],
                "ends": ends,
                "special": list(seeding.hard_cases(SEED).values()),
            },
        ).fetchone()
    if row is None:
        raise Refused(
            "nobody is left to cancel", about="sandbox", next_step="quietus sandbox down --purge, then again"
        )
    return str(row[0])


def cancel(stack: Stack, account: str, say: Any) -> Done:
    """Trigger the promise as support would, answer its questions as two others would, and wait for its end."""
    users = {
        name: AirflowUser(stack.airflow.url, name, stack.airflow.password(name))
        for name in ("support", "ops", "reviewer", "admin")
    }
    for dag in (DAG, CLOCKS):
        users["admin"].unpause(dag)
    began = time.monotonic()
    triggered = users["support"].trigger(
        DAG, {"account_id": account, "ground": "cancellation", "channel": "app", "requester": "self"}
    )
    run_id, case_no = str(triggered["dag_run_id"]), str(triggered["conf"]["case"])
    say(f"Airflow knows it as [bold]{case_no}[/bold] and nothing more")
    seen: dict[str, str | None] = {}
    asked = Answering(
        DAG,
        run_id,
        {task: Answer(users[who], chosen, given) for task, (who, chosen, given) in ANSWERS.items()},
    )
    waited = 0.0
    while time.monotonic() - began < PATIENCE:
        tasks = users["admin"].tasks(DAG, run_id)
        for task in tasks:
            if task.state != seen.get(task.task_id):
                seen[task.task_id] = task.state
                if task.state in ("success", "failed", "awaiting_input", "up_for_retry"):
                    say(f"{task.task_id:26} {task.state.replace('_', ' ')}")
        for task_id, seconds in asked.look(tasks).items():
            waited += seconds
            say(f"{task_id:26} {asked.answers[task_id].who.user} answers: {asked.answers[task_id].chosen}")
        state = users["admin"].run_state(DAG, run_id)
        if state in ENDED:
            return Done(case_no, run_id, state, waited, time.monotonic() - began)
        time.sleep(0.5)
    raise NotProved(
        "the run did not end in time", about=case_no, next_step=f"look at it: {stack.airflow.url}"
    )


def tell_recipients(stack: Stack, say: Any) -> None:
    """What runs by itself every five minutes, now: whoever was given the data is told, and asked what became of it."""
    admin = AirflowUser(stack.airflow.url, "admin", stack.airflow.password("admin"))
    admin.unpause(NOTICES)
    for n in range(ROUNDS):
        run_id = str(admin.trigger(NOTICES, {})["dag_run_id"])
        say(f"{NOTICES}: {'recipients are told' if n == 0 else 'recipients are asked'}")
        wait(lambda run=run_id: _ended(admin, run), PATIENCE, NOTICES)  # type: ignore[misc]


def _ended(admin: AirflowUser, run_id: str) -> str | None:
    state = admin.run_state(NOTICES, run_id)
    return state if state in ENDED else None


def show_recipients(console: Console, stack: Stack, case_no: str, account: str) -> None:
    """The 26 recipients of table 4.4, the state of each notice, and what the outside world really still has: in life
    nobody can look into a recipient's memory, here the sandbox does."""
    with book.connect(environment(stack).postgres(book.RECORDS, Role.READER)) as conn:
        notices = outbox.listing(conn, case_no)
    console.print()
    still = {known.body: known.still for known in truth(World(stack.outside), account)}
    console.print(story.recipients(notices, load(), still))
    console.print(f"  each round and date   {stack.airflow.url}/quietus/cases/{case_no}", soft_wrap=True)
    console.print(f"  what only a person can do   {stack.airflow.url}/quietus/errands", soft_wrap=True)


def show(console: Console, stack: Stack, done: Done) -> None:
    """What went, what stayed, on which law and until when; where to look; and the certificate, verified."""
    catalogue = load()
    run_page = f"{stack.airflow.url}/dags/{DAG}/runs/{done.run_id}"
    if done.state != "success":
        raise NotProved(
            f"the run ended as {done.state}", about=done.case_no, next_step=f"read its red task: {run_page}"
        )
    with book.connect(environment(stack).postgres(book.RECORDS, Role.READER)) as conn:
        case = book.case(conn, done.case_no)
        plan = papers.latest_plan(conn, case)
    console.print(f"\n[bold]{done.case_no}[/bold] is {case.state.value}: the live work is done and proved.")
    console.print(f"{story.summary(plan)}\n")
    console.print(story.went(plan, catalogue))
    console.print()
    console.print(story.stays(plan, catalogue))
    shelf = Shelf(stack.certificates)
    name = [n for n in shelf.names(done.case_no) if n.endswith(".person.json")][-1]
    public = stack.ledger_home / "pub.pem"
    report = verify(shelf.get(name), public.read_bytes())
    if report.problems:
        raise NotProved(f"the certificate does not verify: {report.problems[0]}", about=done.case_no)
    _where(console, stack, done, run_page, shelf.directory / name, public)


def _where(
    console: Console, stack: Stack, done: Done, run_page: str, certificate: Path, public: Path
) -> None:
    console.print("\n[bold]Where to look[/bold]")
    console.print(f"  the run         {run_page}", soft_wrap=True)
    console.print(f"  the evidence    {stack.airflow.url}/quietus/cases/{done.case_no}", soft_wrap=True)
    for user in ("support", "reviewer", "auditor"):
        console.print(f"  log in as       {user} / {stack.airflow.password(user)}", soft_wrap=True)
    console.print(f"  certificate     {certificate}", soft_wrap=True)
    console.print(
        f"                  verified offline at {observed_now():%H:%M:%S}; do it yourself, anywhere:"
    )
    console.print(f"  quietus verify {certificate} --key {public}", soft_wrap=True)
    console.print(f"  quietus case show {done.case_no}        quietus case explain {done.case_no}")
    console.print(f"  its next 60 days  quietus sandbox play {done.case_no}")
    console.print(
        f"\n[dim]{done.whole:.0f} s in all, {done.waited_for_people:.0f} s of them waiting for two people's answers. "
        "make down stops everything.[/dim]"
    )
