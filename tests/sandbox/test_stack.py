"""The sandbox's servers together, Airflow apart: up twice, down, a port that somebody took, a company made ready."""

from __future__ import annotations

import json
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from include.cases import book, holds
from include.cases.notices import synthetic
from include.model.errors import Refused
from include.model.words import Role
from include.sandbox.company import SYNTHETIC, environment, make_ready
from include.sandbox.recipients.bodies import Door, bodies
from include.sandbox.recipients.world import World
from include.sandbox.stack.stack import COMPANY, Stack
from tests.room import ROOM

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
SERVERS = ("postgres-company", "postgres-records", "objects", "anchors", "recipients", "signer")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="quietus-stack-", dir=ROOM))
    yield made
    Stack(made).down(lambda line: None, purge=True)
    shutil.rmtree(made, ignore_errors=True)


def up(home: Path) -> tuple[Stack, list[str]]:
    stack, said = Stack(home, durable=False), list[str]()
    stack.up(said.append, airflow=False)
    return stack, said


def running(stack: Stack) -> dict[str, int | None]:
    return {line.name: line.pid for line in stack.status() if line.running}


def ports(home: Path) -> dict[str, int]:
    return dict(json.loads((home / "ports.json").read_text()))


def test_up_starts_what_is_missing_and_a_second_up_leaves_it_alone(home: Path) -> None:
    stack, said = up(home)
    assert running(stack).keys() == set(SERVERS)
    assert "PostgreSQL company: made and started" in said
    before, chosen = running(stack), ports(home)
    again, said = up(home)
    assert running(again) == before, "the same processes"
    assert ports(home) == chosen
    assert [line for line in said if "started" in line] == []


def test_a_company_is_made_ready_once_and_its_open_disputes_are_held(home: Path) -> None:
    stack, said = Stack(home, durable=False), list[str]()
    assert make_ready(stack, said.append, people=60)
    with psycopg.connect(stack.company.superuser_conninfo(COMPANY)) as connection:
        row = connection.execute(
            "SELECT count(*) FROM support.arbitration WHERE closed_on IS NULL"
        ).fetchone()
    with book.connect(environment(stack).postgres(book.RECORDS, Role.READER)) as conn:
        held = holds.listing(conn)
    assert row is not None and [x["hold"] for x in held] == [f"HOLD-{n:06d}" for n in range(1, row[0] + 1)]
    assert len(held) >= 1
    with book.connect(environment(stack).postgres(book.RECORDS, Role.READER)) as conn:
        assert [r["name"] for r in synthetic.listing(conn)] == ["SYN-000001", "SYN-000002", "SYN-000003"]
    assert not make_ready(stack, said.append, people=60), "nobody is made twice"
    with book.connect(environment(stack).postgres(book.RECORDS, Role.READER)) as conn:
        assert holds.listing(conn) == held and len(synthetic.listing(conn)) == 3


def test_the_people_lie_with_whoever_was_given_their_data_and_are_reached_there(home: Path) -> None:
    stack = Stack(home, durable=False)
    with psycopg.connect(stack.company.superuser_conninfo(COMPANY)) as connection:
        row = connection.execute("SELECT count(*) FROM partner.transfer").fetchone()
        known = connection.execute(
            "SELECT recipient_id, vendor_txn_id FROM partner.transfer WHERE recipient_id = 'juhe' LIMIT 1"
        ).fetchone()
    assert row is not None and known is not None
    world = World(stack.outside)
    assert sum(world.known().values()) == row[0]
    world.close()
    connections = environment(stack)
    juhe = connections.endpoint("recipient_juhe")
    answer = requests.get(
        f"{juhe.url}/people/{known[1]}",
        headers={"Authorization": f"Bearer {juhe.secret}"},
        verify=juhe.authority,
        timeout=10,
    )
    assert answer.json() == {"known": True}
    mail = connections.endpoint("mail")
    context = ssl.create_default_context(cafile=mail.authority)
    where = urlsplit(mail.url)
    with smtplib.SMTP_SSL(where.hostname or "", where.port or 0, context=context, timeout=10) as smtp:
        assert smtp.login(mail.login, mail.secret)[0] == 235
    assert connections.text("callback").endswith("/quietus/recipients/callback")
    for body in bodies().values():
        if body.door is Door.PERSON:
            with pytest.raises(Refused, match="not declared"):
                connections.endpoint(f"recipient_{body.id}")
        else:
            assert connections.endpoint(f"recipient_{body.id}").url


def test_another_command_at_the_same_time_is_refused(home: Path) -> None:
    stack = Stack(home, durable=False)
    with stack._alone(), pytest.raises(Refused, match="by another command"):
        stack.down(lambda line: None)
    assert running(stack).keys() == set(SERVERS)


def test_down_stops_what_was_started_here_and_nothing_else(home: Path) -> None:
    """Nor a process that got the id that one of ours had."""
    stack = Stack(home, durable=False)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        record = home / "run" / "recipients.json"
        ours = json.loads(record.read_text())
        assert stack.recipients.stop()
        record.write_text(json.dumps(ours | {"pid": stranger.pid}))
        said: list[str] = []
        stack.down(said.append)
        assert "recipients: stopped" not in said
        assert {f"PostgreSQL {name}: stopped" for name in ("company", "records")} < set(said)
        assert running(Stack(home)) == {}
        assert stranger.poll() is None, "somebody else's process runs on"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_that_was_taken_meanwhile_is_replaced_and_the_data_is_there(home: Path) -> None:
    before = ports(home)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections of ours linger
        listener.bind(("127.0.0.1", before["company"]))
        listener.listen()
        stack, _ = up(home)
        after = ports(home)
    assert after["company"] != before["company"]
    assert {n: p for n, p in after.items() if n != "company"} == {
        n: p for n, p in before.items() if n != "company"
    }
    with psycopg.connect(environment(stack).postgres("company", Role.PROVER)) as connection:
        assert connection.execute("SELECT count(*) FROM account.account").fetchone() == (60 + SYNTHETIC,)


def test_a_server_that_died_is_started_again_alone(home: Path) -> None:
    stack, _ = up(home)
    before = running(stack)
    identity = stack.recipients.identity
    assert identity is not None
    identity.send(signal.SIGKILL)
    assert identity.ended_within(10)
    _, said = up(home)
    after = running(Stack(home, durable=False))
    assert "recipients: started" in said
    assert {n for n in after if after[n] != before[n]} == {"recipients"}


def test_lost_secrets_beside_data_are_refused(home: Path) -> None:
    secrets = home / "secrets.json"
    kept = secrets.rename(home / "elsewhere.json")
    try:
        with pytest.raises(Refused, match="data but not its secrets"):
            up(home)
    finally:
        kept.rename(secrets)


def test_purge_leaves_no_state_and_down_again_has_nothing_to_do(home: Path) -> None:
    stack, said = Stack(home, durable=False), list[str]()
    stack.down(said.append, purge=True)
    assert said[-1] == "state removed"
    assert not stack.places.servers.exists() and not (home / "secrets.json").exists()
    assert running(Stack(home)) == {}
