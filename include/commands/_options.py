"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Auditor = Annotated[
    bool, typer.Option("--auditor", help="Confidential holds too: not for the person, nor support.")
]
