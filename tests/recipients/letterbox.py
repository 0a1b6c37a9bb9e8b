"""A real mail server for the tests, that can break off or turn a letter down at any point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from include.sandbox.stack.ports import free_port


@dataclass
class Letterbox:
    """``mode``: where it breaks off (MAIL, RCPT, before DATA, DATA), or "<where> <code>" for what it says there. What
    is broken off at DATA has arrived."""

    mode: str = ""
    letters: list[tuple[str, str, bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def read(self, at: int = -1) -> EmailMessage:
        return message_from_bytes(self.letters[at][2], _class=EmailMessage, policy=policy.default)  # type: ignore[call-overload, no-any-return]

    def _at(self, server: SMTP, where: str, usual: str) -> str:
        at, _, code = self.mode.partition(" ")
        if at != where:
            return usual
        if code:
            return f"{code} no"
        server.transport.abort()
        return usual

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        envelope.mail_from = address
        return self._at(server, "MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self._at(server, "RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.mode in ("", "DATA"):
            self.letters.append((envelope.mail_from or "", envelope.rcpt_tos[0], envelope.content or b""))
        return self._at(server, "DATA", "250 OK")


class _Server(SMTP):
    async def smtp_DATA(self, arg: str) -> None:
        if self.event_handler.mode == "before DATA":
            self.transport.abort()
        else:
            await super().smtp_DATA(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Server(self.handler, **self.SMTP_kwargs)


@contextmanager
def receiving() -> Iterator[Letterbox]:
    box = Letterbox(port=free_port())
    controller = _Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
