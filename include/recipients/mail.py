"""A letter by e-mail, over our own mail server (:mod:`include.recipients.smtp`), in Chinese. Answers come as letters, too, and
a person records them."""

from __future__ import annotations

from collections.abc import Mapping
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit
from uuid import UUID

from include.model.declared import CategoryId
from include.model.doors import Endpoint
from include.model.errors import Refused
from include.model.notices import Answer, Delivery, Notice, Pending
from include.model.policy import Recipient
from include.model.times import observed_now
from include.recipients.letters import letter, subject
from include.recipients.smtp import SILENCE, Post, is_address


def address_in(url: str) -> str | None:
    """The address of a ``mailto:`` URL; None if it is none, or more than an address."""
    parts = urlsplit(url)
    address = unquote(parts.path)
    return address if parts.scheme == "mailto" and is_address(address) and not parts.query else None


class Mail:
    """The channel to one recipient's letter box. ``server``: ours; its ``login`` is the address letters come from."""

    repeatable = False

    def __init__(
        self, recipient: Recipient, to: str, server: Endpoint, *,
        names: Mapping[CategoryId, str] | None = None, silence: float = SILENCE,
    ) -> None:  # fmt: skip
        for address, whose in ((to, f"recipient_{recipient.id}"), (server.login, "mail")):
            if not is_address(address):
                raise Refused(
                    "the connection names no address for letters", about=whose,
                    next_step='set the login of "mail" to ours, and the url of the recipient to mailto:…',
                )  # fmt: skip
        self._recipient, self._to, self._server = recipient, to, server
        self._names, self._post = names, Post(server, silence=silence)

    def send(self, notice: Notice) -> Delivery:
        if self._post.down is not None:
            return self._post.down
        return self._post.deliver(self._to, self._message(notice))

    def ask(self, request_id: UUID) -> Answer | Pending | None:
        """Letters cannot be asked."""
        return None

    def cancel(self, request_id: UUID) -> bool:
        """Nor taken back."""
        return False

    def knows(self, reference: str) -> bool | None:
        return None

    def close(self) -> None:
        self._post.close()

    def _message(self, notice: Notice) -> bytes:
        """The letter as it goes out. The headers know no name and no number but the case's and the notice's."""
        domain = self._server.login.rpartition("@")[2]
        first = f"<{notice.request_id}@{domain}>"
        made = EmailMessage(policy=policy.SMTP)
        made["From"] = Address(addr_spec=self._server.login)
        made["To"] = Address(" ".join(self._recipient.name.split()), addr_spec=self._to)
        made["Subject"] = subject(notice)
        made["Date"] = format_datetime(observed_now())
        made["Message-ID"] = f"<{notice.request_id}.reminder@{domain}>" if notice.reminder else first
        if notice.reminder:
            made["In-Reply-To"] = made["References"] = first
        made.set_content(letter(self._recipient, notice, names=self._names), charset="utf-8", cte="base64")
        return made.as_bytes()
