"""One run of pytest in a process of its own, forked from one that has imported what takes longest: of others only, so that
whoever takes something out of ours does so before anybody has it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

_DEAR = ["pytest", "hypothesis", "faker", "schemathesis.pytest", "psycopg", "boto3", "alembic", "sqlalchemy",
         "great_expectations", "pyarrow", "requests", "typer"]  # fmt: skip
_PATIENCE = 240  # seconds
_context = get_context("forkserver")
_context.set_forkserver_preload(_DEAR)


@dataclass(frozen=True)
class Ended:
    """``status``: pytest's own, or what ended the process. ``pid``: the process that it was."""

    status: int | None
    said: str
    pid: int


def run(arguments: list[str], environment: Mapping[str, str], said: Path) -> Ended:
    """Run pytest with this environment besides ours; what it says goes to a file."""
    process = _context.Process(target=_pytest, args=(arguments, {**os.environ, **environment}, str(said)))
    process.start()
    process.join(_PATIENCE)
    if process.is_alive():
        process.terminate()  # it stops its servers
        process.join(30)
    return Ended(process.exitcode, said.read_text("utf-8"), process.pid or 0)


def _pytest(arguments: list[str], environment: dict[str, str], said: str) -> None:
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    gc.freeze()  # what was imported stays: pytest collects five times at its end
    import pytest

    status = int(pytest.main(arguments))
    sys.stdout.flush()
    sys.exit(status)
