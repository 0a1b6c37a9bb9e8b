"""The whole house on this machine: every server and Airflow's four components, started once for these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest

from include.backups.opening import expire_set
from include.cases import book, papers
from include.cases.assembling import desk as make_desk
from include.cases.book import Case
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.flow import Plan
from include.model.times import observed_now, prc_date
from include.model.words import Role
from include.sandbox import demo
from include.sandbox import seed as seeding
from include.sandbox.answering import Answer, Answering
from include.sandbox.api import ENDED, AirflowUser, wait
from include.sandbox.backups import take
from include.sandbox.company import environment, make_ready
from include.sandbox.stack import objects
from include.sandbox.stack.process import Process
from include.sandbox.stack.stack import COMPANY, RECORDS, Stack
from tests.e2e.relay import Relay
from tests.room import ROOM

DAG = demo.DAG
PEOPLE = 400
BY_THE_CLOCK = (
    "airflow_hygiene", "backup_purge", "handover_notices", "hold_reviews", "proof_audit", "restore_drill", "restore_replay",
    "table_scrub", "yearly_duties",
)  # fmt: skip
"""What begins at its hour, or at once in a house that missed it: in these houses only when a test says so."""
PATIENCE = 420.0  # seconds for a run to end: three such houses may share two cores
SEED = 7
APPROVE = {
    "verify_identity.ask": demo.ANSWERS["verify_identity.ask"],
    "decide.ask": demo.ANSWERS["decide.ask"],
}


SETTINGS = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0",  # what is tried again is tried again at once
    # A killed scheduler takes its tasks along. The next one misses them after this silence (300 s unless said), and looks
    # for those that were only queued this often (300 s).
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    # Nobody edits a DAG here. To read all of them every 30 s was a sixth of the house's processor time.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}


class Reached(Stack):
    """The sandbox, with the roads to its S3 servers through relays: they keep objects in memory, and to stop one
    would lose them."""

    @cached_property
    def objects(self) -> Process:
        return self._behind("objects")

    @cached_property
    def anchors(self) -> Process:
        return self._behind("anchors")

    @cached_property
    def roads(self) -> dict[str, Relay]:
        return {}

    def _behind(self, name: str) -> Process:
        port = self._port(f"{name}-itself", name)
        self.roads[name] = Relay(self._port(name), port)
        return objects.process(self.places, port, name)


@dataclass
class House:
    """The running stack, and what a test does with it."""

    stack: Reached
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

    def through(self, dag: str, run_id: str, answers: Mapping[str, Answer]) -> set[str]:
        """A run to its end, each of these questions answered if it is asked; which were."""
        admin, asked = self.user("admin"), Answering(dag, run_id, answers)
        answered: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while admin.run_state(dag, run_id) not in ENDED:
            tasks = admin.tasks(dag, run_id)
            assert time.monotonic() < deadline, f"{dag} {run_id}: still {tasks}"
            answered |= asked.look(tasks).keys()
            time.sleep(0.5)
        return answered

    def one_pass(self, dag: str) -> dict[str, str | None]:
        """A DAG that runs by itself, once more and now: how each of its tasks ended."""
        admin = self.user("admin")
        admin.unpause(dag)
        run_id = admin.trigger(dag, {})["dag_run_id"]
        wait(lambda: s if (s := admin.run_state(dag, run_id)) in ENDED else None, PATIENCE, dag)
        return {t.task_id: t.state for t in admin.tasks(dag, run_id)}

    def passes(self, dag: str) -> None:
        """One pass, all green; else what its red tasks said."""
        admin = self.user("admin")
        admin.unpause(dag)
        run_id = admin.trigger(dag, {})["dag_run_id"]
        wait(lambda: s if (s := admin.run_state(dag, run_id)) in ENDED else None, PATIENCE, dag)
        red = [t for t in admin.tasks(dag, run_id) if t.state != "success"]
        said = [
            f"{t.task_id} {t.state}: {' '.join(admin.log(dag, run_id, t.task_id, t.tries, t.map_index))[-800:]}"
            for t in red
            if t.tries
        ]
        assert not red, "\n".join(said)

    def backups_expire(self) -> None:
        """The company takes a base backup, and lets go all that its retention would have let go by then."""
        take(self.stack.company, self.stack.backups)
        for declared in (b for b in load().backups if b.restored):
            done = expire_set(
                declared, environment(self.stack), last=lambda made: made, yes=True,
                today=prc_date(observed_now()) + timedelta(days=1),
            )  # fmt: skip
            assert done.as_planned, done

    def command(self, *words: str) -> str:
        """What ``quietus`` says to whoever types it on this machine; its error if it ends with one."""
        done = subprocess.run(
            [sys.executable, "-m", "include.commands", *words], env={**os.environ, **self.stack.shell()},
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def resume(self, case_no: str) -> Run:
        said = self.user("support").trigger(DAG, {"case": case_no})
        return Run(self, said["dag_run_id"], case_no)


@dataclass(eq=False)
class Run:
    """One run of the promise."""

    house: House
    run_id: str
    case_no: str
    answers: dict[str, Answer] = field(default_factory=dict)

    @cached_property
    def asked(self) -> Answering:
        return Answering(DAG, self.run_id, self.answers)

    def tasks(self) -> dict[str, str | None]:
        return {t.task_id: t.state for t in self.house.user("admin").tasks(DAG, self.run_id)}

    def until(
        self, done: Callable[[dict[str, str | None]], bool], seconds: float = PATIENCE
    ) -> dict[str, str | None]:
        """Wait until the tasks are in a state that the test waits for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            tasks = self.house.user("admin").tasks(DAG, self.run_id)
            self.asked.look(tasks)
            if done(states := {t.task_id: t.state for t in tasks}):
                return states
            time.sleep(0.5)
        raise AssertionError(f"{self.case_no}: still {self.tasks()}")

    def state(self) -> str:
        return self.house.user("admin").run_state(DAG, self.run_id)

    def answer(self, task: str, who: str, chosen: str, given: Mapping[str, Any] | None = None) -> None:
        """Once it is asked; and again whenever it is asked again while a test waits for this run."""
        self.answers[task] = Answer(self.house.user(who), chosen, given)
        deadline = time.monotonic() + PATIENCE
        while task not in self.asked.look(self.house.user("admin").tasks(DAG, self.run_id)):
            assert time.monotonic() < deadline, f"{self.case_no}: still {self.tasks()}"
            time.sleep(0.5)

    def approved(self) -> Run:
        """Identity matched by one colleague, the plan approved by another."""
        for task, (who, chosen, given) in APPROVE.items():
            self.answer(task, who, chosen, given)
        return self

    def ended(self, seconds: float = PATIENCE) -> str:
        """How the run ended. A task that waits for its next try is tried at once."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (state := self.state()) in ENDED:
                return state
            self.asked.look(self.house.user("admin").tasks(DAG, self.run_id))
            time.sleep(1.0)  # the API server has better things to do, and a run takes a minute
        raise AssertionError(f"{self.case_no}: still {self.tasks()}")

    def said(self, task: str) -> str:
        """Everything that the last try of a task logged."""
        found = {t.task_id: t for t in self.house.user("admin").tasks(DAG, self.run_id)}[task]
        return "\n".join(self.house.user("admin").log(DAG, self.run_id, task, found.tries))

    def why(self) -> str:
        """What the tasks that did not succeed said at last: for whoever reads a red test."""
        return "\n".join(
            f"{task} {state}: " + self.said(task)[-600:]
            for task, state in self.tasks().items()
            if state in ("failed", "up_for_retry")
        )

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


@pytest.fixture(scope="package")
def house() -> Iterator[House]:
    """Stopped as soon as the last of these tests is done: its components cost a tenth of a core while nothing runs."""
    home = Path(tempfile.mkdtemp(prefix="quietus-e2e-", dir=ROOM))
    stack = Reached(home, durable=False, airflow=SETTINGS)

    def quiet(_line: str) -> None:
        pass

    try:
        # What processes leave behind lies in a directory of their own, and is searched with everything else.
        (home / "tmp").mkdir()
        with mock.patch.dict(os.environ, TMPDIR=str(home / "tmp")):
            stack.up(quiet)
        found = House(stack, seeding.hard_cases(SEED))
        for dag in BY_THE_CLOCK:
            found.user("admin").unpause(dag)  # waits until it is known
            found.user("admin").pause(dag)
        make_ready(stack, quiet, people=PEOPLE, seed=SEED)
        found.user("admin").unpause(DAG)
        yield found
    finally:
        stack.down(quiet, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/e2e/"):
            item.add_marker("e2e")
            item.add_marker(pytest.mark.timeout(900))
