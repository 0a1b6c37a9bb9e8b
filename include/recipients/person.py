"""A person carries the notice: by telephone or letter, where the policy gives no other way (docs/recipients.md).

Nothing is sent here. Each notice becomes an errand, which says whom to call and what to say, and ends with a proof.
"""

from __future__ import annotations

from uuid import UUID

from include.model.notices import Answer, Delivery, Notice, Pending
from include.model.policy import Recipient


class Person:
    """The channel to a recipient that only people can reach. ``why``: for whom wonders."""

    repeatable = False

    def __init__(self, recipient: Recipient, why: str = "") -> None:
        by = "by telephone or letter" if recipient.phone else "by letter; the policy gives no telephone"
        self._why = f"a person tells it, {by}" + (f" ({why})" if why else "")

    def send(self, notice: Notice) -> Delivery:
        return Delivery(outcome="errand", why=self._why)

    def ask(self, request_id: UUID) -> Answer | Pending | None:
        """A person records what it answers."""
        return None

    def cancel(self, request_id: UUID) -> bool:
        return False

    def knows(self, reference: str) -> bool | None:
        return None

    def close(self) -> None:
        """There is nothing to hang up."""
