"""The sandbox's successor: started on request, with an environment of its own, in which `quietus` is the other company."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.connections import SUCCESSOR_INBOX
from include.model.words import Role
from include.sandbox.company import environment
from include.sandbox.stack.places import CHECKOUT
from include.sandbox.stack.stack import Stack
from include.sandbox.stack.successor import INBOX
from tests.room import ROOM

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
ITS = {"postgres-successor", "successor-objects", "successor-signer"}


def quiet(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="quietus-successor-", dir=ROOM))
    yield made
    Stack(made).down(quiet, purge=True)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def stack(home: Path) -> Stack:
    made = Stack(home, durable=False)
    made.up(quiet, airflow=False, successor=True)
    return made


def running(stack: Stack) -> set[str]:
    return {line.name for line in stack.status() if line.running}


def test_nobody_takes_over_unless_it_is_asked_for(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    assert stack.successor.courier()["extra"]["endpoint_url"], "the way to it is known before it is there"
    assert not stack.successor.exists and stack.successor.processes() == []


def test_it_has_servers_keys_and_a_case_book_of_its_own(stack: Stack) -> None:
    assert running(stack) >= ITS
    other = stack.successor
    for secret in (other.key, other.environment_file, other.home / "secrets.json"):
        assert secret.stat().st_mode & 0o077 == 0, secret.name
    with psycopg.connect(other.environment().postgres("company", Role.CUSTODIAN)) as conn:
        row = conn.execute("SELECT count(*) FROM account.account").fetchone()
        assert row == (0,), "the same schema, and nobody in it"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("TRUNCATE account.account")  # notices delete row by row
    theirs, ours = other.shell(), stack.shell()
    secrets = {json.loads(v).get("password") for v in ours.values() if v.startswith("{")} - {None}
    shared = {n for n, v in theirs.items() if v.startswith("{") and json.loads(v).get("password") in secrets}
    assert shared == {"QUIETUS_CONN_SUCCESSOR_INBOX_COURIER"}, "one key is known on both sides"
    ours_to_inbox = environment(stack).s3(SUCCESSOR_INBOX, Role.COURIER)
    assert environment(stack).text(f"{SUCCESSOR_INBOX}_courier") == INBOX
    assert [b["Name"] for b in ours_to_inbox.list_buckets()["Buckets"]].count(INBOX) == 1


def run(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    """``quietus`` in a shell of the successor's."""
    script = f'. "{stack.successor.environment_file}"; exec "$@"'
    return subprocess.run(
        ["bash", "-c", script, "-", sys.executable, "-m", "include.commands", *words], cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_in_its_environment_quietus_is_the_successor(stack: Stack) -> None:
    said = run(stack, *stack.successor.receiving("SO-000001"))
    assert said.returncode == 0, said.stderr
    assert "SO-000001: 0 bags stored and signed for" in said.stdout


def test_its_nights_go_by_its_own_stores_and_book(stack: Stack) -> None:
    said = run(stack, "retention", "night")
    assert said.returncode == 0, said.stderr or said.stdout
    with psycopg.connect(stack.successor.environment().postgres("records", Role.READER)) as conn:
        assert conn.execute("SELECT count(*), count(ended_at) FROM casebook.night").fetchone() == (1, 1)


def test_started_once_it_comes_and_goes_with_the_sandbox(stack: Stack, home: Path) -> None:
    shown = stack.successor.certificate.read_bytes()
    stopped: list[str] = []
    stack.down(stopped.append)
    assert running(Stack(home)) == set() and "PostgreSQL successor: stopped" in stopped
    again = Stack(home, durable=False)
    again.up(quiet, airflow=False)
    assert running(again) >= ITS
    assert again.successor.certificate.read_bytes() == shown, "an order names it: it stays"
