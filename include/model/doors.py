"""The Protocols at the doors. A new kind of store or channel is one new file that implements one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from uuid import UUID

from include.model.errors import Refused
from include.model.flow import Finding, Line, Plan, Provision, Receipt, Step, Survey
from include.model.notices import Answer, Delivery, Notice, Pending
from include.model.words import Role

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Endpoint:
    """Where another company is reached, and how we show who we are. ``authority``: a file of certificates that we
    trust there beside the public ones."""

    url: str  # https://…, smtps://…, mailto:…; plain http and smtp only on loopback
    login: str = ""
    secret: str = field(default="", repr=False)
    authority: str | None = None


class Connections(Protocol):
    """Where secrets come from: Airflow's connections inside tasks, the environment elsewhere.

    Each call hands out one role's secret. Raises Refused for a connection that is not declared.
    """

    def postgres(self, connection: str, role: Role) -> str:
        """A libpq conninfo string with time-outs and an application name set."""

    def s3(self, connection: str, role: Role) -> S3Client:
        """An S3 client with time-outs, standard retries and TLS verification on."""

    def text(self, name: str) -> str:
        """A plain connection such as a socket path or a base URL."""

    def endpoint(self, name: str) -> Endpoint:
        """Where another company, or our own mail server, is reached."""


SANDBOX = "sandbox"
"""A plain connection that only a sandbox declares."""


def in_sandbox(connections: Connections) -> bool:
    """Whether these connections say that they are a sandbox's. Silence means no."""
    try:
        return bool(connections.text(SANDBOX))
    except Refused:
        return False


@runtime_checkable
class BusinessKeys(Protocol):
    """Connections that also hand out the keys of the company's own applications, by which a restriction is tried."""

    def s3_as(self, connection: str, business_role: str) -> S3Client:
        """An S3 client with the key of a business role. Raises Refused if none is declared."""


class Store(Protocol):
    """One company store, in the five verbs' order. Every method may be called again after a crash.

    All raise NotReachable when the store does not answer in time, and never quote a value.
    """

    id: str

    def preflight(self) -> Sequence[Finding]:
        """What would make a step fail or be unsafe: an unindexed subject link, a missing table."""

    def open(self, step: Step) -> None:
        """Make the step area and put the cohort in it. The same step again is a no-op."""

    def survey(self, step: Step) -> Survey:
        """Locate every item of the cohort, and keep the item keys in the step area."""

    def weigh(self, step: Step, provisions: Sequence[Provision]) -> Sequence[Line]:
        """Give each surveyed item exactly one disposition, set-based, and return the groups."""

    def restrict(self, step: Step) -> Receipt:
        """Stop all use of the cohort's items but storage; revoke what can act for them."""

    def settle(self, step: Step) -> None:
        """Return when no transaction or upload older than the restriction is still open."""

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Carry out the plan. Raises Drifted if the items are no longer those that were weighed,
        BooksDoNotBalance if the store touched more or less than planned (and then changed nothing)."""

    def begun_under(self, step: Step) -> str | None:
        """The fingerprint of the plan that this store can only go on with; None while what is left of the step
        may be planned (again). A store without transactions says so from the first intent on, before there is a
        receipt. One that commits chunk by chunk says so after the last; until then its survey finds, beside
        what is done and stays counted, what is left, and only that is weighed anew."""

    def receipts(self, step: Step) -> Sequence[Receipt]:
        """What was done for this step so far."""

    def close(self, step: Step) -> None:
        """Drop the step area. The receipts and the restriction stay."""


class Clearing(Protocol):
    """One company store at night: items that are due by their own dates, whosever they are (PIPL 47 para. 1).

    The step has no subjects; its area names items. Every method may be called again after a crash. All raise
    NotReachable when the store does not answer in time, and never quote a value.
    """

    id: str
    left: dict[str, str]
    """Datasets that could not be asked or finished, and why."""
    by_rows: dict[str, str]
    """Datasets of which a whole partition was due and went row by row, and why. A partition that went is named by its receipt's
    position."""

    @property
    def waited(self) -> Mapping[str, Mapping[str, int]]:
        """What is told of waiting, by whom it was waited for (standbys, others' work): seconds, pieces, how often in vain;
        nothing, if there was none."""

    def locate(self, step: Step) -> Survey:
        """Find everything that is due and not held, and keep its keys, each with its fate, in the step area. Again replaces
        what was found before, while nothing of it was disposed of."""

    def lines(self, step: Step) -> Sequence[Line]:
        """The groups of equal fate: what the night's plan is made of."""

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Carry out the plan, bounded piece by piece, each with its receipt. An item that is no longer due, is held by now, or
        that something which stays still needs, is passed over and leaves the area; the receipt counts it apart."""

    def settled(self, step: Step) -> Survey:
        """What the area names after the disposal: the located items without those that were passed over, or not come to; of each
        copy of which something was located, if only that it is none."""

    def begun_under(self, step: Step) -> str | None:
        """The fingerprint of the plan under which something was, or may have been, disposed of; None while nothing was. A
        store without transactions says so from the first intent on, before there is a receipt."""

    def receipts(self, step: Step) -> Sequence[Receipt]:
        """What was done for this step so far."""

    def close(self, step: Step) -> None:
        """Drop the step area. The receipts stay."""


class Channel(Protocol):
    """One way to one recipient. Made for one batch, used by one task at a time, closed at its end.

    It raises NotReachable only for what concerns the whole batch; what concerns one notice is its delivery.
    """

    repeatable: bool
    """Whether a notice that is sent twice is one notice to the recipient. If not, an attempt that was cut off is
    in doubt, and a person finds out."""

    def send(self, notice: Notice) -> Delivery:
        """Deliver one notice, or say how far that went."""

    def ask(self, request_id: UUID) -> Answer | Pending | None:
        """What the recipient says of a notice by now; None where it cannot be asked, or says nothing that counts.
        Raises Refused for an answer that is not signed as agreed, or is about something else."""

    def cancel(self, request_id: UUID) -> bool:
        """Take a notice back that the recipient has not acted on; whether it was taken back."""

    def knows(self, reference: str) -> bool | None:
        """Whether the recipient still knows one of its own numbers; None where it cannot be asked."""

    def close(self) -> None:
        """Hang up."""
