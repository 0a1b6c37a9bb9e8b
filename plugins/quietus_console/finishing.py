"""Recording is doing: an errand that is recorded on its page has its question in Airflow answered, too.

It is answered through Airflow's own API, as the user who recorded it and with what their browser sent along, so that
Airflow checks what they may and its audit log has their name. The other way round, *Done* pressed without a record is
refused before Airflow hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
from quietus_console.errand_numbers import open_errand, run_name
from quietus_console.work import DONE, ERRANDS, desk

log = logging.getLogger(__name__)

QUESTION = "ask"
WHOLE = "quietus.airflow"
"""Under this name the intake leaves the whole application, itself included, in each request's scope."""
PRESSED = re.compile(rf"/api/v2/dags/{ERRANDS}/dagRuns/([^/]+)/taskInstances/{QUESTION}/.*hitlDetails/?")
WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)  # seconds between looks at a question that is not asked yet
TIMEOUT = 30.0
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Finishing:
    """The questions of some errands, answered with the log-in of one request."""

    def __init__(self, scope: Scope, errands: Sequence[Mapping[str, Any]]) -> None:
        self._app: App | None = scope.get(WHOLE)
        self._left = [run_name(e) for e in errands]
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope.get("headers") or ()}
        self._with = {k: v for k, v in headers.items() if k.lower() in ("authorization", "cookie", "host")}

    async def now(self) -> bool:
        """Answer what is asked already; whether nothing is left to answer. Never raises: what was recorded stays so, and
        the question can still be answered by hand."""
        if self._app is None:
            return not self._left
        try:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app, raise_app_exceptions=False),
                base_url="http://airflow",
                headers=self._with,
                timeout=TIMEOUT,
            ) as client:
                self._left = [name for name in self._left if not await self._answered(client, name)]
        except httpx.HTTPError as broken:
            log.warning("an errand's question could not be answered (%s)", type(broken).__name__)
        return not self._left

    async def later(self) -> None:
        """Go on for a minute: a question may be about to be asked while its errand is recorded."""
        for wait in WAITS:
            if not self._left or self._app is None:
                return
            await asyncio.sleep(wait)
            await self.now()

    async def _answered(self, client: httpx.AsyncClient, base: str) -> bool:
        """Whether a run of that name needs nothing any more. Its runs are counted: the last one is the open one."""
        runs = f"/api/v2/dags/{ERRANDS}/dagRuns"
        name, n = base, 1
        while True:
            found = await client.get(f"{runs}/{quote(name, safe='')}")
            if found.status_code != 200:
                return (
                    found.status_code == 404
                )  # a run that is begun later finds the record, and asks nothing
            if found.json()["state"] in ("queued", "running"):
                break
            name, n = f"{base}.{n + 1}", n + 1
        said = await client.patch(
            f"{runs}/{quote(name, safe='')}/taskInstances/{QUESTION}/-1/hitlDetails",
            json={"chosen_options": [DONE], "params_input": {}},
        )
        if said.status_code == 404:
            return False  # not asked yet
        if said.status_code not in (200, 409):
            log.warning("an errand's question was not taken as answered (%s)", said.status_code)
        return said.status_code in (200, 409)


def pressed(method: str, path: str) -> str | None:
    """The name of the run of which somebody answers the errand's question by this request; None if it does not."""
    found = PRESSED.fullmatch(path) if method == "PATCH" else None
    return found[1] if found else None


def not_recorded(run_id: str) -> str | None:
    """The number of the errand that this run asks about, while nothing is recorded of it. Raises NotReachable."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        conf = session.scalar(select(DagRun.conf).where(DagRun.dag_id == ERRANDS, DagRun.run_id == run_id))
    number = str((conf or {}).get("errand") or "")
    if not number:
        return None
    with desk().book() as conn:
        return None if open_errand(conn, number) is None else number
