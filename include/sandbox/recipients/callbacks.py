"""Telling the company of a change of status, at each address that it gave, until it has heard (specification, 8.5, 8.6)."""

from __future__ import annotations

import sqlite3
import threading
import time

import requests

from include.sandbox.recipients.authority import Authority, stranger
from include.sandbox.recipients.bodies import Manner, bodies
from include.sandbox.recipients.book import Book
from include.sandbox.recipients.world import World

TIMEOUT = (3.0, 10.0)  # seconds to connect, and to be answered
TRIES = 12
LONGEST = 60.0  # seconds between two tries
PULSE = 0.2  # seconds between two looks at what is due
HEARD = range(200, 300)
LATER = (408, 425, 429, *range(500, 600))
STRANGER = stranger()


def headers(authority: Authority, body: str, manner: Manner, said: bytes) -> dict[str, str]:
    """The two that the specification asks for, under its names and those of its first version (10.1)."""
    found = {}
    for name in ("OpenDSR", "OpenGDPR"):
        found[f"X-{name}-Processor-Domain"] = bodies()[body].domain
        if manner is not Manner.UNSIGNED:
            signer = STRANGER if manner is Manner.WRONGLY_SIGNED else authority.signer(bodies()[body])
            found[f"X-{name}-Signature"] = signer.sign(said)
    return found


class Messenger(threading.Thread):
    """Carries on what is due and sends what is owed, until it is stopped."""

    def __init__(self, world: World, book: Book, authority: Authority) -> None:
        super().__init__(name="messenger", daemon=True)
        self._world, self._book, self._authority = world, book, authority
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(PULSE):
            try:
                self._book.carry_on()
                self.send()
            except sqlite3.OperationalError:
                continue  # somebody else wrote for longer than we wait: the next time, then

    def stop(self) -> None:
        self._stopped.set()
        self.join(timeout=sum(TIMEOUT) + 1)

    def send(self) -> None:
        """Everything that is owed by now, once."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy on loopback
            for number, body, url, said, tries in self._world.state.rows(
                "SELECT number, body, url, said, tries FROM callback WHERE next_at <= ? ORDER BY number",
                (time.time(),),
            ):
                if self._stopped.is_set():
                    return
                self._try(session, number, body, url, said, tries + 1)

    def _try(
        self, session: requests.Session, number: int, body: str, url: str, said: bytes, tries: int
    ) -> None:
        manner = self._world.behaviour(body).manner
        try:
            heard = session.post(
                url,
                data=said,
                headers={"Content-Type": "application/json", **headers(self._authority, body, manner, said)},
                timeout=TIMEOUT,
                allow_redirects=False,
                verify=str(self._authority.certificate),
            )
            code: int | None = heard.status_code
        except requests.RequestException:
            code = None
        over = code in HEARD or tries >= TRIES or not (code is None or code in LATER)
        wait = min(0.5 * 2.0 ** (tries - 1), LONGEST)
        with self._world.state.change() as db:
            db.execute(
                "UPDATE callback SET tries = ?, code = ?, next_at = ? WHERE number = ?",
                (tries, code, None if over else time.time() + wait, number),
            )
