"""The bodies' letter boxes: our mail server takes letters for them, and their people read and answer.

One SMTP server over TLS stands for our own, which we log in to, and for everybody's whom it delivers to.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from include.model.errors import Refused
from include.sandbox.recipients.authority import Authority
from include.sandbox.recipients.bodies import Door, Manner, by_domain
from include.sandbox.recipients.deeds import Asked, Part, answer
from include.sandbox.recipients.places import LOGIN, MAIL
from include.sandbox.recipients.world import World

PEOPLE = ("mail.example", "post.example", "inbox.example")  # of the made-up people's addresses
MAX_LETTER = 1024 * 1024  # bytes
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KINDS = re.compile(r"^(.*)（信息种类）：\n((?:[ \t]+\S.*\n|[ \t]*\n(?=[ \t]))*)", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z0-9._~-]{6,128}")


@dataclass(frozen=True)
class Letter:
    """A letter as it lies in a body's box. ``text`` names a person: for tests and for who reads it, never logged."""

    number: int
    body: str
    sender: str
    message: EmailMessage
    answered: bool

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain", "html"))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""

    @property
    def requests(self) -> tuple[str, ...]:
        """The request ids that it names, each once."""
        whole = "\n".join([*map(str, self.message.values()), self.text])
        return tuple(dict.fromkeys(_UUID.findall(whole)))


@dataclass(frozen=True)
class Reply:
    """What a body's people answer, on paper or by telephone: the parts as our people would enter them, and the letter."""

    request_id: str | None
    parts: tuple[Part, ...]
    text: str


class Post:
    """The letters of all bodies."""

    def __init__(self, world: World) -> None:
        self.world = world

    def keep(self, body: str, sender: str, raw: bytes) -> None:
        with self.world.state.change() as db:
            db.execute(
                "INSERT INTO letter (body, sender, arrived_at, raw) VALUES (?, ?, ?, ?)",
                (body, sender, time.time(), raw),
            )

    def letters(self, body: str | None = None) -> list[Letter]:
        """In the order of their arrival."""
        return [
            Letter(n, b, sender, message_from_bytes(raw, _class=EmailMessage, policy=policy.default), done is not None)
            for n, b, sender, raw, done in self.world.state.rows(
                "SELECT number, body, sender, raw, answered FROM letter WHERE ?1 IS NULL OR body = ?1 ORDER BY number",
                (body,),
            )
        ]  # fmt: skip

    def answer(self, letter: Letter) -> Reply:
        """The body's people read it, act and write back; the same letter again gets the same answer."""
        row = self.world.state.row("SELECT answered FROM letter WHERE number = ?", (letter.number,))
        if row is None:
            raise Refused("there is no such letter", about=letter.body, next_step="list the letters")
        if row[0] is not None:
            said = json.loads(row[0])
            return Reply(said["request_id"], tuple(said["parts"]), said["text"])
        reply = self.told(letter.body, letter.text, letter.requests[0] if letter.requests else None)
        with self.world.state.change() as db:
            db.execute(
                "UPDATE letter SET answered = ? WHERE number = ?",
                (json.dumps(vars(reply), ensure_ascii=False), letter.number),
            )
        return reply

    def told(self, body: str, text: str, request_id: str | None = None) -> Reply:
        """A body is told something, by a letter or by a person: its people look for whatever they know in it."""
        how = self.world.behaviour(body)
        if how.manner is Manner.SILENT:
            raise Refused("it does not answer", about=body, next_step="wait, remind, escalate")
        words = tuple(dict.fromkeys(_WORD.findall(text)))
        if request_id is None:
            request_id = next(iter(_UUID.findall(text)), None)
        asked = Asked(words, words, _kinds(text, keeps=False), _kinds(text, keeps=True))
        if asked.preserve and not asked.erase:
            asked = replace(asked, instruction="preserve")
        with self.world.state.change() as db:
            parts = tuple(answer(db, how, asked, self.world.today))
        return Reply(request_id, parts, _paper(how.body.name, request_id, parts))


def _kinds(text: str, *, keeps: bool) -> tuple[str, ...]:
    """The kinds of data under the letter's headings: those to be kept, or the others. None: it names no kinds."""
    found: list[str] = []
    for heading, listed in _KINDS.findall(text):
        if ("不得删除" in heading) is keeps:
            found += re.findall(r"^\s+(PI-\d{3})\b", listed, re.MULTILINE)
    return tuple(dict.fromkeys(found))


def _paper(name: str, request_id: str | None, parts: tuple[Part, ...]) -> str:
    """What would be scanned as the proof."""
    lines = [f"{name}答复", f"贵方通知编号：{request_id or '（未注明）'}", ""]
    lines += [json.dumps(part, ensure_ascii=False) for part in parts]
    return "\n".join([*lines, "", "（盖章）", ""])


class Box:
    """What aiosmtpd asks of a handler."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 log in first"
        if address.rpartition("@")[2] in PEOPLE:
            envelope.rcpt_tos.append(address)
            return "250 OK"
        body = by_domain(address.rpartition("@")[2])
        if body is None or self._post.world.behaviour(body.id).door is not Door.MAIL:
            return "550 5.1.1 nobody here of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        said = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            body = by_domain(address.rpartition("@")[2])
            if body is None:
                continue  # a made-up person, whose letters nobody reads
            manner = self._post.world.behaviour(body.id).manner
            if manner is Manner.FLAKY and self._post.world.call(body.id, "letter") % 2:
                return "451 4.3.0 come again later"
            self._post.keep(body.id, envelope.mail_from or "", said)
            if manner is Manner.CLOSING and isinstance(server.transport, asyncio.Transport):
                server.transport.abort()  # it has the letter, and nobody will ever know
        return "250 OK"


class MailServer:
    """The server in a thread of its own. Port 0: any free one."""

    def __init__(self, port: int, world: World, authority: Authority) -> None:
        self._world, self._box, self._context = world, Box(Post(world)), authority.context()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(self._session, "127.0.0.1", port, ssl=self._context)
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _session(self) -> SMTP:
        return SMTP(
            self._box,
            hostname="localhost",
            loop=self._loop,
            enable_SMTPUTF8=True,
            data_size_limit=MAX_LETTER,
            authenticator=self._check,
            auth_require_tls=False,  # means STARTTLS; here everything is inside TLS from the first byte
        )

    def _check(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        known = (
            isinstance(given, LoginPassword)
            and given.login == LOGIN.encode()
            and self._world.may(MAIL, given.password.decode("utf-8", "surrogateescape"))
        )
        return AuthResult(success=known, handled=False)
