"""The certificates that senders sign with, kept: a stranger's message must not make us call anybody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.x509 import Certificate

from include.model.errors import QuietusError
from include.model.policy import Recipient

KEPT = 3600.0  # seconds
AT_MOST_EVERY = 600.0  # seconds between two fetches for one recipient, whatever strangers send


@dataclass
class _Kept:
    certificate: Certificate | None
    fetched: float


class Certificates:
    """``fetch`` gets one from the recipient's discovery, and checks it. It is called at most every ten minutes for each
    recipient of the catalogue; until then a failure is remembered as one."""

    def __init__(
        self, fetch: Callable[[Recipient], Certificate], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self._clock = fetch, clock
        self._kept: dict[str, _Kept] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._turn = threading.Lock()

    def of(self, recipient: Recipient, *, newer_than: Certificate | None = None) -> Certificate | None:
        """The certificate, or None if it cannot be had now.

        ``newer_than``: the one that did not fit a signature. If it was kept for long enough to have been replaced, it
        is fetched once more; else None.
        """
        with self._turn:
            turn = self._turns.setdefault(recipient.id, threading.Lock())
        with turn:
            kept, now = self._kept.get(recipient.id), self._clock()
            age = now - kept.fetched if kept else float("inf")
            if kept and kept.certificate is not None and newer_than is None and age < KEPT:
                return kept.certificate
            if (
                kept
                and kept.certificate is not None
                and newer_than is not None
                and kept.certificate is not newer_than
            ):
                return kept.certificate
            if age < AT_MOST_EVERY:
                return None
            try:
                fetched = self._fetch(recipient)
            except QuietusError:
                fetched = None
            # One that worked an hour ago and cannot be fetched now is no longer relied on.
            self._kept[recipient.id] = _Kept(fetched, now)
            return fetched
