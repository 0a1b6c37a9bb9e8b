"""The outside world as a process: killed at any moment it forgets nothing and does nothing twice; it logs nobody."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from include.sandbox.recipients.book import Book, Seen
from include.sandbox.recipients.deeds import Asked
from include.sandbox.recipients.places import answering
from include.sandbox.recipients.reading import Request
from include.sandbox.recipients.world import Record, World
from include.sandbox.stack.places import CHECKOUT
from include.sandbox.stack.ports import free_port
from include.sandbox.stack.process import wait_until
from tests.sandbox.outside import BODY, NAME, TOKENS, Company, Ear, asked, running


@dataclass
class Far:
    """The process, started and killed."""

    home: Path
    port: int = field(default_factory=free_port)
    mail_port: int = field(default_factory=free_port)
    child: subprocess.Popen[bytes] | None = None

    def start(self, completes_after: float) -> None:
        World(self.home).admit(TOKENS)
        with (self.home.parent / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "include.sandbox.recipients", "--home", self.home, "--port", str(self.port),
                 "--mail-port", str(self.mail_port), "--completes-after", str(completes_after)],
                cwd=CHECKOUT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            )  # fmt: skip
        assert wait_until(lambda: answering(self.home, self.port), 20)

    def end(self, how: signal.Signals) -> int:
        assert self.child is not None
        self.child.send_signal(how)
        return self.child.wait(timeout=15)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    made = Far(tmp_path / "outside")
    yield made
    if made.child is not None and made.child.poll() is None:
        made.child.kill()
        made.child.wait()


class At:
    """What ``Company`` needs of a world that runs elsewhere."""

    def __init__(self, far: Far) -> None:
        from include.sandbox.recipients.authority import Authority
        from include.sandbox.recipients.places import authority_in

        self.url = f"https://127.0.0.1:{far.port}"
        self.world = World(far.home)
        self.authority = Authority(authority_in(far.home).parent)
        self.book = Book(self.world, 0.0)


def test_killed_between_promise_and_deed_it_does_it_once_and_says_so(far: Far) -> None:
    far.start(completes_after=1.5)
    company = Company(At(far))  # type: ignore[arg-type]
    company.hand_over("stays-1", account="acc-2")
    company.hand_over("goes-1")
    rid = str(uuid.uuid4())
    with Ear() as ear:
        said = asked("goes-1", rid=rid, callbacks=(ear.url,))
        assert company.call("POST", "requests", said).status_code == 201
        assert far.end(signal.SIGKILL) == -signal.SIGKILL
        assert company.knows("goes-1") and ear.heard == []
        far.start(completes_after=1.5)
        company.session.close()
        call = ear.hears(1)[0]
        assert call.said["request_status"] == "completed"
        assert company.call("POST", "requests", said).status_code == 201, "asked again by who did not hear"
        assert not company.knows("goes-1") and company.knows("stays-1")
        assert company.outside.book.seen(BODY, rid) == Seen("completed", arrivals=2, acts=1)
        assert company.certificate().public_bytes  # the same keys: signed before, valid after
        assert far.end(signal.SIGKILL) == -signal.SIGKILL
    far.start(completes_after=1.5)
    company.session.close()
    assert company.status(rid)["request_status"] == "completed"


def test_what_it_owed_when_it_was_killed_is_said_when_it_is_back(far: Far) -> None:
    deaf = free_port()  # nobody listens there yet
    far.start(completes_after=0.0)
    company = Company(At(far))  # type: ignore[arg-type]
    company.ask("x", callbacks=(f"http://127.0.0.1:{deaf}/",))
    world = World(far.home)
    assert wait_until(lambda: (world.state.row("SELECT max(tries) FROM callback") or (0,))[0] or 0, 10)
    far.end(signal.SIGKILL)
    with Ear(port=deaf) as ear:
        far.start(completes_after=0.0)
        assert ear.hears(1)[0].said["request_status"] == "completed"


def test_it_ends_when_told_and_its_log_names_nobody(far: Far) -> None:
    far.start(completes_after=0.0)
    company = Company(At(far))  # type: ignore[arg-type]
    company.hand_over("canary-ref")
    company.ask("canary-ref", callbacks=("http://127.0.0.1:9/canary-callback",))
    company.call("GET", "people/canary-ref")
    company.call("POST", "requests", {"canary": "canary"})
    company.call("POST", "requests", raw=b"canary")
    assert far.end(signal.SIGTERM) == 0
    log = (far.home.parent / "log").read_bytes()
    assert b"canary" not in log and b"Traceback" not in log


def test_what_it_was_given_is_for_its_owners_eyes_and_what_is_deleted_is_in_no_byte(tmp_path: Path) -> None:
    home = tmp_path / "outside"
    with running(home) as company:
        company.hand_over("sms-1", body="juhe", value="13912345678")
        company.hand_over("sms-2", body="juhe", value="13987654321")
        assert b"13912345678" in (home / "world.sqlite").read_bytes()
        assert company.parts("sms-1", body="juhe", identities=[]).keys() == {"DELETED"}
        found = b"".join(p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file())
        assert b"13912345678" not in found and b"13987654321" in found
    assert home.stat().st_mode & 0o777 == 0o700
    for file in home.rglob("*.pem"):
        assert file.name == "ca.pem" or file.stat().st_mode & 0o777 == 0o600, file.name
    assert (home / "world.sqlite").stat().st_mode & 0o777 == 0o600
    assert all(t.encode() not in found for t in TOKENS.values()), "of tokens there are digests only"
    assert sqlite3.connect(home / "world.sqlite").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_deed_that_breaks_off_did_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deleted, what is answered and what is owed are one: none without the others."""
    world = World(tmp_path / "outside")
    book = Book(world, 0.0)
    world.register([Record(BODY, "half-1", "acc-1", (NAME,), world.today)])
    rid = str(uuid.uuid4())
    book.ask(BODY, Request(rid, Asked(("half-1",)), ("http://127.0.0.1:9/",)), b"{}")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Book, "_move", killed)
        with pytest.raises(KeyboardInterrupt):
            book.carry_on()
    assert world.knows(BODY, "half-1") and book.seen(BODY, rid) == Seen("pending", 1, 0)
    book.carry_on()
    assert not world.knows(BODY, "half-1") and book.seen(BODY, rid) == Seen("completed", 1, 1)
    assert world.state.rows("SELECT count(*) FROM callback") == [(1,)]


def test_a_fault_of_its_own_is_logged_by_its_place_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("canary")

    with running(tmp_path / "outside") as company:
        monkeypatch.setattr(company.outside.book, "status", broken)
        with pytest.raises(requests.ConnectionError):
            company.status("canary")
    said, until = "", time.monotonic() + 10
    while "ValueError at" not in said and time.monotonic() < until:  # it hangs up first, and writes then
        time.sleep(0.05)
        said += capfd.readouterr().err
    assert "ValueError at" in said and "canary" not in said
