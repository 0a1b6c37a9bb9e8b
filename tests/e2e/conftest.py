"""The whole house on this machine: every server and Airflow's four components, started once for these tests."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases import book, papers
from include.cases.book import Case
from include.cases.rooms import Desk
from include.cases.rooms import desk as make_desk
from include.catalogue import load
from include.model.flow import Plan
from include.model.words import Role
from include.sandbox import demo
from include.sandbox import seed as seeding
from include.sandbox.api import ENDED, SETTLED, AirflowUser
from include.sandbox.company import environment, make_ready
from include.sandbox.stack.stack import COMPANY, RECORDS, Stack

DAG = demo.DAG
PEOPLE = 250
SEED = 7
APPROVE = {
    "verify_identity.ask": demo.ANSWERS["verify_identity.ask"],
    "decide.ask": demo.ANSWERS["decide.ask"],
}


@dataclass
class House:
    """The running stack, and what a test does with it."""

    stack: Stack
    people: Mapping[str, str]
    users: dict[str, AirflowUser] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def user(self, name: str) -> AirflowUser:
        if name not in self.users:
            self.users[name] = AirflowUser(self.stack.airflow.url, name, self.stack.airflow.password(name))
        return self.users[name]

    @property
    def desk(self) -> Desk:
        return make_desk(environment(self.stack), load())

    def company(self) -> psycopg.Connection[Any]:
        """The company's database as its superuser: what a test plants, and what it counts."""
        return psycopg.connect(self.stack.company.superuser_conninfo(COMPANY), autocommit=True)

    def records(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.stack.records.superuser_conninfo(RECORDS), autocommit=True)

    def somebody(self, where: str = "true") -> str:
        """A live customer with a certificate whom no other test has taken, and who is no hard case."""
        with self.company() as conn:
            row = conn.execute(
                "SELECT a.account_id FROM account.account a WHERE a.cancelled_at IS NULL AND a.kind = 'person'"
                " AND EXISTS (SELECT FROM cert.certificate c WHERE c.account_id = a.account_id AND c.status = 'valid')"
                f" AND NOT a.account_id = ANY(%s) AND {where} ORDER BY a.account_id LIMIT 1",
                [[*self.taken, *self.people.values()]],
            ).fetchone()
        assert row is not None, "the sandbox has nobody like that left"
        self.taken.add(row[0])
        return row[0]

    def trigger(self, account: str, **conf: Any) -> Run:
        said = self.user("support").trigger(
            DAG,
            {"account_id": account, "ground": "cancellation", "channel": "app", "requester": "self", **conf},
        )
        return Run(self, said["dag_run_id"], said["conf"]["case"])

    def resume(self, case_no: str) -> Run:
        said = self.user("support").trigger(DAG, {"case": case_no})
        return Run(self, said["dag_run_id"], case_no)


@dataclass
class Run:
    """One run of the promise."""

    house: House
    run_id: str
    case_no: str

    def tasks(self) -> dict[str, str | None]:
        return {t.task_id: t.state for t in self.house.user("admin").tasks(DAG, self.run_id)}

    def until(
        self, done: Callable[[dict[str, str | None]], bool], seconds: float = 240
    ) -> dict[str, str | None]:
        """Wait until the tasks are in a state that the test waits for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            tasks = self.tasks()
            if done(tasks):
                return tasks
            time.sleep(0.5)
        raise AssertionError(f"{self.case_no}: still {self.tasks()}")

    def state(self) -> str:
        return self.house.user("admin").run_state(DAG, self.run_id)

    def answer(self, task: str, who: str, chosen: str, given: Mapping[str, Any] | None = None) -> None:
        self.until(lambda t: t[task] == "awaiting_input")
        time.sleep(SETTLED)
        self.house.user(who).answer(DAG, self.run_id, task, chosen, given)

    def approved(self) -> Run:
        """Identity matched by one colleague, the plan approved by another."""
        for task, (who, chosen, given) in APPROVE.items():
            self.answer(task, who, chosen, given)
        return self

    def ended(self, seconds: float = 240) -> str:
        """How the run ended. A task that waits for its next try is tried at once."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (state := self.state()) in ENDED:
                return state
            time.sleep(0.5)
        raise AssertionError(f"{self.case_no}: still {self.tasks()}")

    def said(self, task: str) -> str:
        """Everything that the last try of a task logged."""
        found = {t.task_id: t for t in self.house.user("admin").tasks(DAG, self.run_id)}[task]
        return "\n".join(self.house.user("admin").log(DAG, self.run_id, task, found.tries))

    def case(self) -> Case:
        with book.connect(environment(self.house.stack).postgres(book.RECORDS, Role.READER)) as conn:
            return book.case(conn, self.case_no)

    def plan(self) -> Plan:
        with book.connect(environment(self.house.stack).postgres(book.RECORDS, Role.READER)) as conn:
            return papers.latest_plan(conn, book.case(conn, self.case_no))

    def findings(self) -> list[dict[str, Any]]:
        with book.connect(environment(self.house.stack).postgres(book.RECORDS, Role.READER)) as conn:
            return papers.open_findings(conn, self.case_no)

    def certificates(self) -> tuple[str, ...]:
        from include.cases.shelf import Shelf

        return Shelf(self.house.stack.certificates).names(self.case_no)


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="quietus-e2e-", dir="/tmp"))
    stack = Stack(home, durable=False)

    def quiet(_line: str) -> None:
        pass

    try:
        stack.up(quiet)
        make_ready(stack, quiet, people=PEOPLE, seed=SEED)
        found = House(stack, seeding.hard_cases(SEED))
        found.user("admin").unpause(DAG)
        yield found
    finally:
        stack.down(quiet, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "house" in getattr(item, "fixturenames", ()):
            item.add_marker("e2e")
            item.add_marker(pytest.mark.timeout(600))
