"""Airflow's REST API as a person uses it: log in, trigger a promise, see what it waits for, answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from include.model.errors import NotReachable, Refused

TIMEOUT = 30.0  # seconds for one answer
SETTLED = 6.0
"""Seconds between a question's parking and its answer: a quicker answer meets a race of Airflow 3.3.2."""

ENDED = frozenset({"success", "failed"})


@dataclass(frozen=True)
class TaskState:
    """One task of a run. ``state`` is None while it waits for others."""

    task_id: str
    state: str | None
    tries: int
    seconds: float
    map_index: int = -1  # of a mapped task, which of them


class AirflowUser:
    """One user, logged in by password."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self.user = user
        self._session = requests.Session()
        said = self._call("POST", "/auth/token", {"username": user, "password": password})
        self._session.headers["Authorization"] = f"Bearer {said['access_token']}"

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run; Airflow's answer. Raises Refused with the reason that a user would read."""
        return self._call(
            "POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf)}
        )

    def unpause(self, dag_id: str, seconds: float = 60.0) -> None:
        """Let a DAG run, once the DAG processor has found it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
            except Refused:
                if time.monotonic() > deadline:
                    raise NotReachable(
                        "Airflow does not know it", about=dag_id, next_step="see import errors in Airflow"
                    ) from None
                time.sleep(1.0)
            else:
                return

    def pause(self, dag_id: str) -> None:
        """Let nothing more of a DAG begin; what runs already goes on."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": True})

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> tuple[TaskState, ...]:
        """Every task of a run, in the order in which they began."""
        said = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")
        rows = sorted(said["task_instances"], key=lambda t: (t["start_date"] is None, t["start_date"] or ""))
        return tuple(
            TaskState(t["task_id"], t["state"], t["try_number"], float(t["duration"] or 0), t["map_index"])
            for t in rows
        )

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int, map_index: int = -1) -> list[str]:
        """What a task said, line by line."""
        said = self._call(
            "GET",
            f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
            f"?full_content=true&map_index={map_index}",
        )
        return [line for entry in said.get("content") or [] for line in _lines(entry)]

    def answer(
        self, dag_id: str, run_id: str, task_id: str, chosen: str, given: Mapping[str, Any] | None = None
    ) -> None:
        """Answer a question that waits for a person. Fields left out keep what the form shows."""
        base = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        form = {k: v.get("value") for k, v in (self._call("GET", base).get("params") or {}).items()}
        self._call("PATCH", base, {"chosen_options": [chosen], "params_input": form | dict(given or {})})

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Run these tasks and all that follow again."""
        self._call(
            "POST", f"/api/v2/dags/{dag_id}/clearTaskInstances",
            {"dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "include_downstream": True,
             "only_failed": False, "reset_dag_runs": True},
        )  # fmt: skip

    def page(self, path: str) -> requests.Response:
        """What this user's browser would be sent, whatever its status."""
        return self._session.get(self.url + path, timeout=TIMEOUT)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            reply = self._session.request(method, self.url + path, json=body, timeout=TIMEOUT)
        except requests.RequestException:
            raise NotReachable(
                "Airflow's API server does not answer", about=self.url, next_step="quietus sandbox status"
            ) from None
        if reply.status_code >= 500:
            raise NotReachable(_reason(reply), about=f"Airflow ({reply.status_code})", next_step="try again")
        if reply.status_code >= 400:
            raise Refused(_reason(reply), about=f"Airflow ({reply.status_code})")
        return dict(reply.json()) if reply.content else {}


def _lines(entry: Any) -> list[str]:
    """A log entry: what was said, and the words of the error that it reports."""
    if not isinstance(entry, Mapping):
        return [str(entry)]
    errors = entry.get("error_detail") or []
    return [
        str(entry.get("event", "")),
        *(str(e.get("exc_value", "")) for e in errors if isinstance(e, Mapping)),
    ]


def _reason(reply: requests.Response) -> str:
    try:
        detail = reply.json().get("detail")
    except ValueError:
        detail = None
    return detail if isinstance(detail, str) else "the request was refused"


def wait(look: Callable[[], str | None], seconds: float, about: str, *, every: float = 0.5) -> str:
    """What ``look`` says, once it says something. Raises NotReachable after a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (seen := look()) is not None:
            return seen
        time.sleep(every)
    raise NotReachable(
        f"nothing happened for {seconds:.0f} s", about=about, next_step="look at it in Airflow"
    )
