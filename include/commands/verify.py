"""``quietus verify``: check a certificate with nothing but the file and the authority's public key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.ledger import verify as offline
from include.ledger import verify_dataroom, verify_service


def command(
    file: Annotated[Path, typer.Argument(help="The certificate.", exists=True, dir_okay=False)],
    key: Annotated[Path, typer.Option(help="The public key, in PEM.", exists=True, dir_okay=False)],
) -> None:
    """Say what a certificate, of a case, of a service that stopped or of a data room, is about, and whether it is valid; or
    everything that is wrong with it."""
    content, options = file.read_bytes(), [str(file), "--key", str(key)]
    for by in (verify_service, verify_dataroom):
        if by.PAYLOAD_TYPE.encode() in content:
            raise typer.Exit(by.main(options))
    raise typer.Exit(offline.main(options))
