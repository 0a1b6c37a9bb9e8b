"""``quietus verify``: check a certificate with nothing but the file and the authority's public key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.ledger import verify as offline


def command(
    file: Annotated[Path, typer.Argument(help="The certificate.", exists=True, dir_okay=False)],
    key: Annotated[Path, typer.Option(help="The public key, in PEM.", exists=True, dir_okay=False)],
) -> None:
    """Say what a certificate is about, and whether it is valid; or everything that is wrong with it."""
    raise typer.Exit(offline.main([str(file), "--key", str(key)]))
