"""A letter by e-mail, over our own mail server, in Chinese.

SMTP cannot promise "once": if the connection breaks after the letter was handed over and before the server said that
it took it, nobody knows whether it went out. Such a letter is in doubt, and is not sent again by itself. Whatever
breaks earlier changed nothing. Answers come as letters, too, and a person records them.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from collections.abc import Mapping
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit
from uuid import UUID

from include.model.catalogue import CategoryId, Recipient
from include.model.doors import Endpoint
from include.model.errors import Refused
from include.model.notices import Answer, Delivery, Notice, Pending
from include.model.times import observed_now
from include.recipients.letters import letter, subject

SILENCE = 30.0  # seconds
ENOUGH = 3  # broken connections, after which the rest of the batch is not tried
AGAIN, TURNED_AWAY = 300, 3600  # seconds until it is worth trying again
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def address_in(url: str) -> str | None:
    """The address of a ``mailto:`` URL; None if it is none, or more than an address."""
    parts = urlsplit(url)
    address = unquote(parts.path)
    return address if parts.scheme == "mailto" and _ADDRESS.fullmatch(address) and not parts.query else None


class Mail:
    """The channel to one recipient's letter box. ``server``: ours; its ``login`` is the address letters come from."""

    repeatable = False

    def __init__(
        self, recipient: Recipient, to: str, server: Endpoint, *,
        names: Mapping[CategoryId, str] | None = None, silence: float = SILENCE,
    ) -> None:  # fmt: skip
        for address, whose in ((to, f"recipient_{recipient.id}"), (server.login, "mail")):
            if not _ADDRESS.fullmatch(address):
                raise Refused(
                    "the connection names no address for letters", about=whose,
                    next_step='set the login of "mail" to ours, and the url of the recipient to mailto:…',
                )  # fmt: skip
        self._recipient, self._to, self._server = recipient, to, server
        self._names, self._silence = names, silence
        self._smtp: smtplib.SMTP | None = None
        self._down: Delivery | None = None  # what the rest of the batch is told
        self._breaks = 0

    def send(self, notice: Notice) -> Delivery:
        if self._down is not None:
            return self._down
        data = self._message(notice)
        try:
            smtp = self._connected()
        except (OSError, smtplib.SMTPException) as error:
            self._down = _no_server(error)  # and so it is for the rest of the batch
            return self._down
        try:
            code = self._announced(smtp)
        except (OSError, smtplib.SMTPException):
            self._hang_up()
            self._breaks += 1
            broken = _later("the connection broke off before the letter was handed over")
            self._down = broken if self._breaks >= ENOUGH else None
            return broken
        return self._handed_over(smtp, data) if code == 354 else self._turned_down(code)

    def _handed_over(self, smtp: smtplib.SMTP, data: bytes) -> Delivery:
        """From the first byte of the letter on, only a clear word of the server ends the doubt."""
        try:
            smtp.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
            code, _ = smtp.getreply()
        except (OSError, smtplib.SMTPException):
            code = 0
        if 200 <= code < 300:
            return Delivery(outcome="delivered", receipt=hashlib.sha256(data).hexdigest())
        if 400 <= code < 600:
            return self._turned_down(code)
        self._hang_up()
        # Each doubt costs a person a telephone call: what breaks one letter is not let break a thousand.
        self._down = _later("the connection broke off on the letter before this one")
        return Delivery(
            outcome="in_doubt",
            why="the connection broke off after the letter was handed over: ask whether it arrived",
        )

    def ask(self, request_id: UUID) -> Answer | Pending | None:
        """Letters cannot be asked."""
        return None

    def cancel(self, request_id: UUID) -> bool:
        """Nor taken back."""
        return False

    def knows(self, reference: str) -> bool | None:
        return None

    def close(self) -> None:
        if self._smtp is not None:
            try:
                self._smtp.quit()
            except (OSError, smtplib.SMTPException):
                self._smtp.close()
            self._smtp = None

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

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is not None:
            return self._smtp
        where = urlsplit(self._server.url)
        host, own = where.hostname or "", self._server.login.rpartition("@")[2]
        if where.scheme == "smtps":
            context = ssl.create_default_context()
            if self._server.authority:
                context.load_verify_locations(self._server.authority)
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                host, where.port or 465, local_hostname=own, timeout=self._silence, context=context
            )
        else:
            smtp = smtplib.SMTP(host, where.port or 25, local_hostname=own, timeout=self._silence)
        try:
            smtp.ehlo_or_helo_if_needed()
            if self._server.secret:
                smtp.login(self._server.login, self._server.secret)
        except BaseException:
            smtp.close()
            raise
        self._smtp = smtp
        return smtp

    def _announced(self, smtp: smtplib.SMTP) -> int:
        """354 if the server waits for the letter, else what it said instead."""
        code, _ = smtp.mail(self._server.login)
        if code != 250:
            return code
        code, _ = smtp.rcpt(self._to)
        if code not in (250, 251):
            return code
        return smtp.docmd("DATA")[0]

    def _turned_down(self, code: int) -> Delivery:
        try:
            if self._smtp is not None:
                self._smtp.rset()
        except (OSError, smtplib.SMTPException):
            self._hang_up()
        if 500 <= code < 600:
            return Delivery(outcome="refused", why=f"the mail server does not take the letter ({code})")
        return _later(f"the mail server does not take the letter now ({code})")

    def _hang_up(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


def _later(why: str, again_in: int = AGAIN) -> Delivery:
    return Delivery(outcome="later", why=why, again_in=again_in)


def _no_server(error: Exception) -> Delivery:
    if isinstance(error, ssl.SSLError):
        return _later("TLS: no protected connection to the mail server could be made", TURNED_AWAY)
    if isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPNotSupportedError):
        return _later("the mail server turned us away: check the secret of its connection", TURNED_AWAY)
    return _later("the mail server does not answer")
