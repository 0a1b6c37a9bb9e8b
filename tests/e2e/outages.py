"""Each server of the house, taken away and brought back; and a run that is walked through task by task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import psycopg
from psycopg import sql

from include.sandbox.api import SETTLED
from include.sandbox.stack.stack import RECORDS
from tests.e2e.conftest import APPROVE, DAG, House, Run

COMPANY, OBJECTS, BOOK, KEYS, SIGNER, ANCHORS = SERVERS = (
    "the company's database", "the S3 server", "the records database", "the key store", "the signer", "the anchors",
)  # fmt: skip


class Outages:
    """Which servers are down. Airflow's own database, which lies beside the records, never is."""

    def __init__(self, house: House) -> None:
        self._stack = stack = house.stack
        self.down: frozenset[str] = frozenset()
        away = stack.key_store.with_name("keys-away")
        self._hands: Mapping[str, tuple[Callable[[], object], Callable[[], object]]] = {
            COMPANY: (stack.company.stop, self._start_company),
            OBJECTS: (stack.roads["objects"].cut, stack.roads["objects"].mend),
            BOOK: (lambda: self._let_in(False), lambda: self._let_in(True)),
            KEYS: (lambda: stack.key_store.rename(away), lambda: away.rename(stack.key_store)),
            SIGNER: (stack.signer.stop, self._start_signer),
            ANCHORS: (stack.roads["anchors"].cut, stack.roads["anchors"].mend),
        }

    def exactly(self, *names: str) -> None:
        """These are down from now on, and no others."""
        for name in self.down - {*names}:
            self._hands[name][1]()
        for name in {*names} - self.down:
            self._hands[name][0]()
        self.down = frozenset(names)

    def _start_company(self) -> None:
        self._stack.company.start()
        self._stack.company.wait()

    def _start_signer(self) -> None:
        self._stack.signer.start()
        self._stack.signer.wait(self._stack.places.socket("signer").is_socket, 30)

    def _let_in(self, anybody: bool) -> None:
        with psycopg.connect(self._stack.records.superuser_conninfo("postgres"), autocommit=True) as conn:
            conn.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(RECORDS), sql.SQL("true" if anybody else "false")
                )
            )
            if not anybody:
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [RECORDS]
                )


class Walk:
    """A run of which one task at a time is tried: between two tries its promise is paused."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._admin = run.house.user("admin")

    def attempt(self, task: str, number: int) -> str:
        """Let a task have that try; its state afterwards. Nothing else of the run begins meanwhile."""
        asked = False
        self._admin.unpause(DAG)
        try:
            self._until(task, number, lambda state: state not in (None, "scheduled", "up_for_retry"))
        finally:
            self._admin.pause(DAG)
        while True:
            state = self._until(
                task,
                number,
                lambda s: s in ("success", "up_for_retry", "failed", "awaiting_input", "skipped"),
            )
            if state != "awaiting_input" or asked:
                return state
            asked = True
            time.sleep(SETTLED)
            who, chosen, given = APPROVE[task]
            self.run.house.user(who).answer(DAG, self.run.run_id, task, chosen, given)
            self._admin.unpause(DAG)
            self._until(task, number, lambda s: s != "awaiting_input")
            self._until(task, number, lambda s: s not in ("scheduled", None))
            self._admin.pause(DAG)

    def _until(self, task: str, number: int, done: Callable[[str | None], bool], seconds: float = 120) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = {t.task_id: t for t in self._admin.tasks(DAG, self.run.run_id)}[task]
            if found.tries >= number and done(found.state):
                return str(found.state)
            time.sleep(0.1)
        raise AssertionError(f"{self.run.case_no}: {task} is still {found.state}, try {found.tries}")

    def tries(self, task: str) -> int:
        return {t.task_id: t.tries for t in self._admin.tasks(DAG, self.run.run_id)}[task]

    def said(self, task: str, number: int) -> str:
        """What one try of a task said."""
        return "\n".join(self._admin.log(DAG, self.run.run_id, task, number))
