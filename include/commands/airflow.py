"""``quietus airflow``: Airflow's own records, and how long they are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.cases.tidying import TaskLogs

app = typer.Typer(help="Airflow's own records: what goes, and why the rest stays.", no_args_is_help=True)
URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
COLUMNS = ("what", "rows", "fate", "oldest")


@app.command()
def hygiene(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing: what would go, and why the rest stays.")
    ] = False,
    logs: Annotated[
        Path | None, typer.Option(help="Where Airflow writes task logs; else as its environment says.")
    ] = None,
    remote: Annotated[str, typer.Option(help="Where it copies them to, as s3://bucket/prefix.")] = "",
    as_json: AsJson = False,
) -> None:
    """What the nightly run does, now. Exit status 1: something was left without a reason, or could not be looked at."""
    from include.cases import tidying

    at, as_of = common.desk(), common.today()
    if dry_run:
        found = tidying.plan(at, _logs(logs, remote), as_of=as_of)
        rows = [
            {"what": f.table, "rows": f.rows, "fate": f"stays: {f.why}" if f.why else "goes",
             "oldest": f.oldest.date().isoformat() if f.oldest else None}
            for fates in found.values() for f in fates
        ]  # fmt: skip
        common.table(rows, COLUMNS, as_json)
        return
    done = tidying.tidy(at, _logs(logs, remote), as_of=as_of)
    common.say(str(done))
    for check in done.checks:
        common.say(f"{check.verdict.value}  {check.name}: {check.said}")
    if done.failed:
        raise typer.Exit(1)


@app.command()
def install(schema: Annotated[str, typer.Option(help="Where Airflow's tables are.")] = "public") -> None:
    """Grant the janitor what it needs, as the owner of Airflow's tables, whose address is taken from Airflow's own setting."""
    from include.hygiene.installing import install as grant

    kind, separator, rest = os.environ.get(URL, "").partition("://")
    if not separator or not kind.startswith("postgresql"):
        raise Refused(
            "Airflow's database is not named",
            about=URL,
            next_step="set it as Airflow has it: postgresql+psycopg://…",
        )
    grant(f"postgresql://{rest}", schema=schema)
    common.say("the janitor may read a few columns of Airflow's tables, and delete")


def _logs(directory: Path | None, remote: str) -> TaskLogs:
    """As Airflow's own environment says, if nothing is said here; a directory that nobody named is UNVERIFIED."""
    from include.cases.tidying import TaskLogs
    from include.hygiene.logfiles import LAYOUT

    home = os.environ.get("AIRFLOW_HOME")
    said = os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER") or (f"{home}/logs" if home else "")
    where = directory or (Path(said) if said else None)
    template = os.environ.get("AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE", LAYOUT)
    copied = remote or (
        os.environ.get("AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER", "")
        if os.environ.get("AIRFLOW__LOGGING__REMOTE_LOGGING", "").lower() in ("true", "1", "t")
        else ""
    )
    return TaskLogs(where or Path("nobody-said-where-task-logs-are"), template, copied)
