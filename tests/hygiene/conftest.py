"""Airflow's own metadata, made by Airflow itself on a real server: one database a test, copied from a template."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from include.hygiene.installing import ROLE, install
from tests.conftest import PgServer

OWNER = "airflow_of_tests"  # as in production: no superuser


def _migrated(pg18: PgServer, home: Path) -> Callable[[str], None]:
    def build(superuser: str) -> None:
        name = str(psycopg.conninfo.conninfo_to_dict(superuser)["dbname"])
        _give(pg18, name)
        conninfo = pg18.conninfo(name, OWNER)
        said = psycopg.conninfo.conninfo_to_dict(conninfo)
        url = f"postgresql+psycopg://{said['user']}:{said['password']}@{said['host']}:{said['port']}/{said['dbname']}"
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env={
                "PATH": os.environ["PATH"], "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url, "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "none"),
            },
            cwd=home, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]

    return build


@dataclass(frozen=True)
class Metadata:
    """Conninfos: ``owner`` as a superuser, ``airflow`` as Airflow itself, which owns its tables, and the janitor's."""

    owner: str
    airflow: str
    janitor: str


@pytest.fixture
def metadata(pg18: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Metadata:
    """Airflow's tables, empty, with the janitor's rights on them."""
    for role in (ROLE, OWNER):
        pg18.add_role(role)
    name = pg18.fresh_database("airflow", _migrated(pg18, tmp_path_factory.mktemp("airflow")))
    _give(pg18, name)
    install(pg18.conninfo(name, OWNER))
    return Metadata(pg18.conninfo(name), pg18.conninfo(name, OWNER), pg18.conninfo(name, ROLE))


def _give(pg18: PgServer, name: str) -> None:
    with psycopg.connect(pg18.superuser_conninfo, autocommit=True) as conn:
        conn.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(OWNER))
        )
