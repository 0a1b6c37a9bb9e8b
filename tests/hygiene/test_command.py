"""``quietus airflow``: what would go and why the rest stays, said before anything is done; and the janitor's rights."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from include.cases.keys import FileKeyStore
from include.commands import build
from tests.hygiene.conftest import Metadata
from tests.hygiene.making import run, runs
from tests.hygiene.test_tidying import connections


@pytest.fixture
def environment(metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kek = base64.b64encode(b"k" * 32).decode()
    FileKeyStore.from_text(str(tmp_path / "keys"), kek, begin=True)
    for name, said in {
        **connections(metadata, tmp_path),
        "QUIETUS_CONN_KEY_STORE": json.dumps({"extra": {"text": str(tmp_path / "keys")}}),
        "QUIETUS_CONN_KEY_STORE_KEK": json.dumps({"extra": {"text": kek}}),
    }.items():
        monkeypatch.setenv(name, said)
    return tmp_path


def quietus(*arguments: str) -> str:
    done = CliRunner().invoke(build(), list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_a_dry_run_says_what_goes_and_why_the_rest_stays(metadata: Metadata, environment: Path) -> None:
    (environment / "logs" / "dag_id=d" / "run_id=over").mkdir(parents=True)
    (environment / "logs" / "dag_id=d" / "run_id=over" / "a.log").write_text("x", "utf-8")
    with psycopg.connect(metadata.owner, autocommit=True) as owner:
        run(owner, "d", "old")
        run(owner, "d", "waits", state="running", tasks=("awaiting_input",))
        said = json.loads(
            quietus("airflow", "hygiene", "--dry-run", "--json", "--logs", str(environment / "logs"))
        )
        assert runs(owner) == {"old", "waits"}
    told = {(row["what"], row["fate"]): row["rows"] for row in said}
    assert told[("dag_run", "goes")] == 1 and told[("dag_run", "stays: it lives")] == 1
    assert told[("disk", "stays: its limit has not come")] == 1
    plain = quietus("airflow", "hygiene", "--dry-run")
    assert "not looked at" in plain and "stays: it lives" in plain


def test_the_janitors_rights_are_given_at_airflows_own_address(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = psycopg.conninfo.conninfo_to_dict(metadata.airflow)
    monkeypatch.setenv(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        f"postgresql+psycopg://{said['user']}:{said['password']}@{said['host']}:{said['port']}/{said['dbname']}",
    )
    assert "janitor may read" in quietus("airflow", "install")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite:///x")
    assert CliRunner().invoke(build(), ["airflow", "install"]).exit_code == 1
