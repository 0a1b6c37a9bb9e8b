"""What a task of a promise stands on: a desk over Airflow's connections, today, and errors said in one sentence.

A task is handed a case number and nothing else. What it returns are counts and dates, for they are stored.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from quietus_console.connections import AirflowConnections

from include.cases.decisions import askable
from include.cases.rooms import Desk
from include.cases.rooms import desk as make_desk
from include.cases.shelf import Shelf
from include.catalogue import load
from include.model.errors import NotReachable, QuietusError
from include.model.times import observed_now, prc_date
from include.model.words import Role

ROBOT = "system/airflow"
CHECKOUT = Path(__file__).resolve().parents[2]


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


def keep_ledger() -> str:
    """Sequence what writers queued, and have the head signed; how many entries the log has."""
    from include.cases.book import RECORDS
    from include.ledger import log
    from include.ledger.sequencer import publish, sequence
    from include.ledger.signer import SignerClient

    connections = AirflowConnections()
    with log.connect(connections.postgres(RECORDS, Role.SEQUENCER)) as conn:
        sequence(conn)
        size, _ = publish(conn, SignerClient(connections.text("ledger_signer")))
    return f"{size} entries"


def registration_fields() -> dict[str, str]:
    """What registration collects, and so may be compared: category -> its name, in Chinese and English."""
    catalogue = load()
    allowed = askable(catalogue)
    return {c.id: f"{c.id} {c.zh} {c.en}" for c in catalogue.categories if c.id in allowed}


def person(response: dict[str, Any], role: str) -> str:
    """Who answered a question, as an actor ``role/user``. Raises AirflowFailException if nobody did."""
    user = (response.get("responded_by_user") or {}).get("name")
    if not user:
        raise AirflowFailException("nobody answered: an answer needs a person. Next: clear the question")
    return f"{role}/{user}"


def step(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``@task``, with failures that say what happened, to which case, and what to do next.

    What may pass by itself (a server that is down, items that moved) is tried again; a refusal is not. An
    error that nobody foresaw is named by its kind and place only: its message may quote a person's data.
    """
    if function is None:
        return functools.partial(step, **options)

    @functools.wraps(function)
    def plainly(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except NotReachable as passing:
            raise AirflowException(str(passing)) from None
        except QuietusError as said:
            raise AirflowFailException(str(said)) from None
        except AirflowException:
            raise
        except Exception as unforeseen:
            raise AirflowException(_kind_and_place(unforeseen)) from None

    return task(show_return_value_in_logs=False, **options)(plainly)


def _kind_and_place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if Path(f.filename).is_relative_to(CHECKOUT) and ".venv" not in f.filename]
    place = ""
    if ours:
        place = f" at {Path(ours[-1].filename).relative_to(CHECKOUT)}:{ours[-1].lineno} ({ours[-1].name})"
    return (
        f"an unforeseen {type(error).__name__}{place}; its message is left out, for it may hold personal data. "
        "Next: it is tried again; if it stays, report the place"
    )
