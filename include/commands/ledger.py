"""``quietus ledger``: whether the log is still the one whose heads were kept outside."""

from __future__ import annotations

import typer

from include.commands._connections import connections

app = typer.Typer(no_args_is_help=True, help="Audit the ledger against the heads that are kept outside.")


@app.command()
def audit() -> None:
    """Compare every entry of the log with every head kept outside. Exit code 1, and what differs, if any does."""
    from include.cases import keeping

    found = keeping.audit(connections())
    typer.echo(str(found))
    if found.findings:
        raise typer.Exit(1)


@app.command()
def begin_anew() -> None:
    """Accept that the heads kept outside are lost, and begin again. The log says so for ever."""
    from include.cases import keeping

    typer.echo(
        f"{keeping.begin_anew(connections())} heads are outside again; the log says that it began anew"
    )
