"""One small family of errors. Each says what happened, to which case or dataset, and what to do next.

No message may hold a personal value: wrap a driver's exception with ``from None`` and say what it
meant, never what it quoted. The command line, the DAGs and the console print ``str(error)`` as it is.
"""

from __future__ import annotations


class QuietusError(Exception):
    """What happened, to what, and what the operator can do about it."""

    def __init__(self, what: str, *, about: str = "", next_step: str = "") -> None:
        self.what = what
        self.about = about
        self.next_step = next_step
        head = f"{about}: {what}" if about else what
        super().__init__(f"{head}. Next: {next_step}" if next_step else head)


class CatalogueError(QuietusError):
    """The catalogue does not load, contradicts itself, or does not fit the live store."""


class Refused(QuietusError):
    """A request or an answer that must not be acted on. Nothing was changed."""


class Stopped(Refused):
    """Somebody stopped what is under way. What was done so far has its receipts."""


class NoRoom(Refused):
    """A disk, database or bucket is full. What was finished is kept; make room, and go on."""


class NotReachable(QuietusError):
    """A store, server or key could not be reached in time. Safe to try again."""


class Drifted(QuietusError):
    """What was surveyed or planned is no longer what is there; survey and plan again."""


class BooksDoNotBalance(QuietusError):
    """Located and accounted-for differ, or more was touched than planned. The case stays open."""


class NotProved(QuietusError):
    """A proof failed or could not be made. The case stays open; nothing is called gone."""


class Unopened(QuietusError):
    """A sealed object or a wrapped key does not open with the key that was tried, or is not whole."""


class LedgerError(QuietusError):
    """The ledger, a checkpoint or a certificate is not what it claims to be."""
