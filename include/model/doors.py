"""The Protocols at the doors. A new kind of store or channel is one new file that implements one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from include.model.flow import Finding, Line, Plan, Provision, Receipt, Step, Survey
from include.model.words import Role

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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

    def receipts(self, step: Step) -> Sequence[Receipt]:
        """What was done for this step so far."""

    def close(self, step: Step) -> None:
        """Drop the step area. The receipts and the restriction stay."""
