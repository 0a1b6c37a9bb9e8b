"""`quietus sandbox demo-shutdown`, whole: killed while bags are on their way and run again, it comes to a certificate that
verifies offline. Through the scheduler: tests/e2e/test_zz_shutdown.py."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from include.ledger import verify_service
from include.ledger.verify_service_said import ENDS
from include.sandbox.stack.places import CHECKOUT
from include.sandbox.stack.stack import COMPANY, RECORDS, Stack
from tests.room import ROOM

pytestmark = [pytest.mark.postgres, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1500)]
DEMO = """
import sys
from pathlib import Path
from include.sandbox import shutting_down
from include.sandbox.stack.stack import Stack
shutting_down.run(60, stack=Stack(Path(sys.argv[1]), durable=False))
"""
SENT = "bags are sent"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="quietus-stops-", dir=ROOM))
    made = Stack(home, durable=False)
    try:
        made.up(lambda _: None, airflow=False, successor=True)
        yield made
    finally:
        made.down(lambda _: None, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def begun(stack: Stack, out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-c", DEMO, str(stack.places.home)], cwd=CHECKOUT, stdout=said, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


def test_killed_and_run_again_it_comes_to_a_certificate_and_the_successor_goes_on(
    stack: Stack, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    child, end = begun(stack, first), time.monotonic() + 600
    try:
        while SENT not in first.read_text("utf-8"):
            assert child.poll() is None and time.monotonic() < end, first.read_text("utf-8")[-2000:]
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert "every receipt is verified" not in first.read_text("utf-8")
    again = begun(stack, second)
    try:
        assert again.wait(900) == 0, second.read_text("utf-8")[-3000:]
    finally:
        again.kill()
    told = second.read_text("utf-8")
    assert "is opened" not in told and "filed, with its document" not in told, (
        "what was done is not done again"
    )
    (certificate,) = (Path(stack.certificates) / "service").glob("SO-*.json")
    offline = subprocess.run(
        [sys.executable, verify_service.__file__, str(certificate), "--key", str(Path(stack.ledger_home) / "pub.pem")],
        env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert offline.returncode == 0, offline.stdout
    with psycopg.connect(stack.records.superuser_conninfo(RECORDS)) as conn:
        row = conn.execute("SELECT number, ended_on IS NOT NULL FROM casebook.shutdown_order").fetchall()
    assert [ended for _, ended in row] == [True], "one order, and it is ended"


def test_who_is_left_in_our_stores_is_who_the_certificate_says(stack: Stack) -> None:
    """What the books call deleted or transferred is counted anew, by the server's superuser."""
    (certificate,) = (Path(stack.certificates) / "service").glob("SO-*.json")
    books = json.loads(base64.b64decode(json.loads(certificate.read_text("utf-8"))["payload"]))["books"]
    assert all(x["located"] == sum(x[w] for w in ENDS) for x in books)
    counted = 0
    with psycopg.connect(stack.company.superuser_conninfo(COMPANY)) as conn:
        for x in books:
            schema, _, table = x["dataset"].partition(".")
            if conn.execute("SELECT to_regclass(%s)", (f"{schema}.{table}",)).fetchone() == (None,):
                continue  # objects, and records in files
            row = conn.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
            ).fetchone()
            assert row == (x["retained"] + x["anonymised"],), x
            counted += x["located"] > row[0]
    assert counted > 10, "so many tables lost something"
