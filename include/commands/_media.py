"""``quietus yearly sanitised | media``: what became of media that held personal data, as ops and a second person say."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from include.cases.yearly.sanitising import Medium, Method
from include.commands import _common as common
from include.commands._options import AsJson

COLUMNS = ("record_no", "medium", "label", "method", "technique", "sanitised_on", "operator", "verifier", "verified_by",
           "document", "backup_set", "copies", "copies_seen_gone", "key_id", "corrects")  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add these commands to ``quietus yearly``."""
    app.command("sanitised")(sanitised)
    app.command("media")(media)


def sanitised(
    medium: Annotated[Medium, typer.Argument(help="What it is.")],
    label: Annotated[str, typer.Argument(help="Its name in the inventory, or the bucket's, or the key's.")],
    method: Annotated[
        Method, typer.Option(help="erase, crypto_erase (every copy of its key is gone), or physical.")
    ],
    technique: Annotated[str, typer.Option(help="How, and with which tool.")],
    on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day.")],
    operator: Annotated[str, typer.Option(help="Who did it, as role/name.")],
    verifier: Annotated[str, typer.Option(help="Who checked it, as role/name: somebody else.")],
    checked: Annotated[str, typer.Option(help="How it was seen that nothing can be read any more.")],
    document: Annotated[str, typer.Option(help="The paper's number.")],
    backup_set: Annotated[str | None, typer.Option(help="The backup set that it held copies of.")] = None,
    copy: Annotated[
        list[str] | None, typer.Option(help="A copy that went with it; may be given again.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The key of an encrypted medium.")] = None,
    corrects: Annotated[int | None, typer.Option(help="The record that this one takes the place of.")] = None,
) -> None:
    """Record that a medium was sanitised. Refused if it can be seen not to be so: a copy that is still in its set, a key
    that lives, one person alone."""
    from include.cases.yearly.sanitising import Told, record

    told = Told(
        medium, label, method, technique, on.date(), operator, verifier, checked, document, backup_set,
        tuple(copy or ()), key, corrects,
    )  # fmt: skip
    number = record(common.desk(), told, as_of=common.today(), actor=common.me("ops"))
    common.say(f"record {number} is kept, and said in the ledger")


def media(as_json: AsJson = False) -> None:
    """Every record in force, oldest first."""
    from include.cases.yearly.sanitising import in_force

    with common.reader() as conn:
        rows = [asdict(r) for r in in_force(conn)]
    common.table(rows, COLUMNS, as_json)
