"""What a task of a promise stands on: a desk over Airflow's connections, today, and errors said in one sentence.

A task is handed a case number and nothing else. What it returns are counts and dates, for they are stored.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from quietus_console.connections import AirflowConnections

from include.cases.assembling import desk as make_desk
from include.cases.rooms import Desk
from include.cases.shelf import Shelf
from include.catalogue import load
from include.model.errors import NotReachable, QuietusError
from include.model.times import observed_now, prc_date

ROBOT = "system/airflow"
ERRANDS = "recipient_errands"
"""The DAG of what only a person can do."""
DONE = "Done 已办理"
"""The one button of its question."""
CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULTS = {
    "owner": "privacy",
    "retries": 5,  # ten minutes from the first to the last: time for a server to come back, or for its standby
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=15),
}
"""Of a promise's tasks: what passes by itself is tried again, later and later, before a person is needed. The first
delay is a setting of the house (Airflow's ``core.default_task_retry_delay``)."""


def desk() -> Desk:
    """The case book, the stores, the key store and the ledger, through Airflow's connections."""
    return make_desk(AirflowConnections(), load())


def today() -> date:
    """The business date of what is done now."""
    return prc_date(observed_now())


def now() -> dict[str, Any]:
    """The two things that every verb is told: the business date, and that the machine acts."""
    return {"as_of": today(), "actor": ROBOT}


def shelf() -> Shelf:
    """Where certificates are laid out for people to fetch."""
    return Shelf(AirflowConnections().text("certificates"))


def step(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``@task``, with failures that say what happened, to which case, and what to do next.

    What may pass by itself (a server that is down) is tried again; a refusal is not. An error that nobody
    foresaw is named by its kind and place only: its message may quote a person's data.
    """
    if function is None:
        return functools.partial(step, **options)

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        # A step is called with the case's number first; the one that takes the case up reads it from the run.
        with plainly(args[0] if args else get_current_context()["params"].get("case")):
            return function(*args, **kwargs)

    # Airflow takes the docstring as the task's documentation by itself, but not of a mapped one.
    about = {"doc_md": inspect.getdoc(function)} | options
    return task(show_return_value_in_logs=False, **about)(told)


@contextmanager
def plainly(case_no: str | None) -> Iterator[None]:
    """Failures of a task as what an operator reads: what happened, to which case, what to do next."""

    def of_case(said: str) -> str:
        return said if not case_no or case_no in said else f"{case_no}: {said}"

    try:
        yield
    except NotReachable as passing:
        raise AirflowException(of_case(f"{passing}. {_tries_left()}")) from None
    except QuietusError as said:
        raise AirflowFailException(of_case(str(said))) from None
    except AirflowException:
        raise
    except Exception as unforeseen:
        raise AirflowException(of_case(f"{_kind_and_place(unforeseen)}. {_tries_left()}")) from None


def tries_left() -> int:
    """How often Airflow would try the task at work again by itself."""
    task = get_current_context()["ti"]
    return int(task.max_tries + 1 - task.try_number)


def _tries_left() -> str:
    """What becomes of a task that failed with something that may pass by itself."""
    if (left := tries_left()) > 0:
        return f"Airflow tries again by itself (tries left: {left}); nothing is done twice"
    return "It was tried often enough: clear this task once that is mended; nothing is done twice"


def _kind_and_place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if Path(f.filename).is_relative_to(CHECKOUT) and ".venv" not in f.filename]
    place = ""
    if ours:
        place = f" at {Path(ours[-1].filename).relative_to(CHECKOUT)}:{ours[-1].lineno} ({ours[-1].name})"
    return (
        f"an unforeseen {type(error).__name__}{place}; its message is left out, for it may hold personal data. "
        "Next: if it stays, report the place"
    )
