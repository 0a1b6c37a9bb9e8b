"""``quietus yearly sanitised | media``: what became of media that held personal data, as ops and a second person say."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.media import Medium, Method

COLUMNS = ("record_no", "medium", "label", "method", "technique", "sanitised_on", "operator", "verifier", "verified_by",
           "document", "store", "backup_set", "datasets", "sensitive", "procedure", "standard", "verified_percent", "copies",
           "copies_seen_gone", "key_id", "corrects")  # fmt: skip
HELD = ("datasets", "sensitive", "procedure", "standard", "verified_percent")
NOT_SAID = "not said"
"""Of a record that was kept before records said what a medium held."""


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
    standard: Annotated[str, typer.Option(help="The standard that was followed, as media.yaml cites it.")],
    verified: Annotated[
        int, typer.Option(help="Of how many percent it was seen: read back, or of the pieces looked at.")
    ],
    store: Annotated[str | None, typer.Option(help="The store whose medium it was.")] = None,
    backup_set: Annotated[str | None, typer.Option(help="The backup set that it held copies of.")] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="A dataset that it held, if it was of no store or set; may be given again."),
    ] = None,
    copy: Annotated[
        list[str] | None, typer.Option(help="A copy that went with it; may be given again.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The key of an encrypted medium.")] = None,
    corrects: Annotated[int | None, typer.Option(help="The record that this one takes the place of.")] = None,
) -> None:
    """Record that a medium was sanitised. Refused if it can be seen not to be so: a copy that is still in its set, a key
    that lives, one person alone; or if it is below the procedure for the most sensitive dataset that the medium held."""
    from include.cases.yearly.sanitising import Told, record

    told = Told(
        medium, label, method, technique, on.date(), operator, verifier, checked, document, standard, verified, store,
        backup_set, tuple(dataset or ()), tuple(copy or ()), key, corrects,
    )  # fmt: skip
    number = record(common.desk(), told, as_of=common.today(), actor=common.me("ops"))
    common.say(f"record {number} is kept, and said in the ledger")


def media(
    missing: Annotated[
        bool,
        typer.Option("--missing", help="The stores, backup sets and keys of which there is no record."),
    ] = False,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="With --missing: only records of that day or later count."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every record in force, oldest first; or what none is about. What is in use has no record, and is listed, too."""
    from include.cases.yearly import unsanitised
    from include.cases.yearly.sanitising import in_force

    with common.reader() as conn:
        records = in_force(conn)
    if missing or since is not None:
        everything = unsanitised.carriers(common.catalogue())
        left = unsanitised.missing(everything, records, since.date() if since else None)
        common.table([{"what": c.name, "title": c.title} for c in left], ("what", "title"), as_json)
        return
    rows = [asdict(r) for r in records]
    if not as_json:
        rows = [{k: NOT_SAID if k in HELD and v is None else v for k, v in row.items()} for row in rows]
    common.table(rows, COLUMNS, as_json)
