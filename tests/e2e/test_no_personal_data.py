"""People with unmistakable values are cancelled; then every place that Airflow and we ourselves write is searched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from include.model.words import CaseState
from tests.e2e.conftest import House

# Unmistakable, and of nobody: each value is searched for as it is, and as bytes in a dump.
VALUES = {
    "full_name": "欧阳鹮鹮",
    "document_no": "110105194912310021",
    "mobile": "13912340987",
    "email": "huanhuan.ouyang@canary.example",
    "user_name": "ouyang_huanhuan_canary",
}


def plant(house: House, account: str) -> None:
    with house.company() as conn:
        conn.execute(
            "UPDATE account.person SET full_name = %(full_name)s, document_no = %(document_no)s, mobile = %(mobile)s,"
            " email = %(email)s WHERE account_id = %(id)s",
            VALUES | {"id": account},
        )
        conn.execute(
            "UPDATE account.account SET user_name = %(user_name)s WHERE account_id = %(id)s",
            VALUES | {"id": account},
        )


def dumped(house: House, database: str) -> bytes:
    cluster = house.stack.records
    program = cluster.binaries / "pg_dump"
    return subprocess.run(
        [str(program), "--dbname", cluster.superuser_conninfo(database)],
        capture_output=True, check=True, timeout=300, env={**os.environ, "PGCLIENTENCODING": "UTF8"},
    ).stdout  # fmt: skip


def test_nothing_of_a_person_is_left_in_airflow_in_our_books_or_in_any_log(house: House) -> None:
    account = house.somebody()
    plant(house, account)
    run = house.trigger(account).approved()
    assert run.ended() == "success", run.tasks()
    assert run.case().state is CaseState.WAITING

    places = {
        "Airflow's metadata": dumped(house, "airflow"),
        "case book and ledger": dumped(house, "quietus"),
    }
    home = house.stack.places.home
    for directory in (home / "airflow", home / "logs", home / "certificates", home / "ledger"):
        for file in Path(directory).rglob("*"):
            if file.is_file() and file.stat().st_size < 200 * 2**20:
                places[str(file.relative_to(home))] = file.read_bytes()
    assert any("task_id=dispose" in place for place in places), "the tasks' logs were not found"
    sought = {name: value.encode() for name, value in VALUES.items()} | {"account_id": account.encode()}
    hits = {
        (name, place)
        for place, content in places.items()
        for name, value in sought.items()
        if value in content or value.decode().encode("unicode_escape") in content
    }
    # The company's own server log is the company's; the issue is Airflow, our records and our files.
    assert {(n, p) for n, p in hits if "company" not in Path(p).name} == set()
