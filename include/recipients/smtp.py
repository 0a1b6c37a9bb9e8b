"""Our own mail server: a letter handed over once, or how far that went.

SMTP cannot promise "once": if the connection breaks after the letter was handed over and before the server said that
it took it, nobody knows whether it went out. Such a letter is in doubt, and is not sent again by itself. Whatever
breaks earlier changed nothing.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from urllib.parse import urlsplit

from include.model.doors import Endpoint
from include.model.errors import Refused
from include.model.notices import Delivery

SILENCE = 30.0  # seconds
ENOUGH = 3  # broken connections, after which the rest of the batch is not tried
AGAIN, TURNED_AWAY = 300, 3600  # seconds until it is worth trying again
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def is_address(text: str) -> bool:
    """Whether it is an address, and no more than that: what else could be in it would be a command to the server."""
    return _ADDRESS.fullmatch(text) is not None


class Post:
    """One batch of letters over our server, whose ``login`` is the address they come from. Connects when it is first used."""

    def __init__(self, server: Endpoint, *, silence: float = SILENCE) -> None:
        if not is_address(server.login):
            raise Refused(
                "the connection names no address for letters", about="mail", next_step='set the login of "mail" to ours'
            )  # fmt: skip
        self._server, self._silence = server, silence
        self._smtp: smtplib.SMTP | None = None
        self.down: Delivery | None = None  # what the rest of the batch is told
        self._breaks = 0

    @property
    def sender(self) -> str:
        return self._server.login

    def deliver(self, to: str, data: bytes) -> Delivery:
        """Hand one letter over, or say how far that went."""
        if self.down is not None:
            return self.down
        try:
            smtp = self._connected()
        except (OSError, smtplib.SMTPException) as error:
            self.down = _no_server(error)  # and so it is for the rest of the batch
            return self.down
        try:
            code = self._announced(smtp, to)
        except (OSError, smtplib.SMTPException):
            self._hang_up()
            self._breaks += 1
            broken = _later("the connection broke off before the letter was handed over")
            self.down = broken if self._breaks >= ENOUGH else None
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
        self.down = _later("the connection broke off on the letter before this one")
        return Delivery(
            outcome="in_doubt",
            why="the connection broke off after the letter was handed over: ask whether it arrived",
        )

    def close(self) -> None:
        if self._smtp is not None:
            try:
                self._smtp.quit()
            except (OSError, smtplib.SMTPException):
                self._smtp.close()
            self._smtp = None

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

    def _announced(self, smtp: smtplib.SMTP, to: str) -> int:
        """354 if the server waits for the letter, else what it said instead."""
        code, _ = smtp.mail(self._server.login)
        if code != 250:
            return code
        code, _ = smtp.rcpt(to)
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
