"""How each recipient answers, over all cases: who is prompt, who is silent, who lied, and who is given nothing more."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from quietus_console.connections import AirflowConnections
from quietus_console.rendering import page

from include.cases import book
from include.cases.notices.record import record, truthfulness
from include.cases.notices.stopping import listing as stopped
from include.catalogue import load
from include.model.words import Role

router = APIRouter()


@router.get("/recipients")
def recipients(lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh") -> HTMLResponse:
    """A row for each recipient of the catalogue, and for who is no longer in it but was told."""
    with book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER)) as conn:
        records = {r["recipient"]: r for r in record(conn)}
        stops = {s["recipient"]: s for s in stopped(conn)}
    declared = {r.id: r.name for r in load().recipients}
    rows = [
        _row(id_, declared.get(id_, id_), records.get(id_), stops.get(id_), lang)
        for id_ in (*declared, *sorted(records.keys() - declared.keys()))
    ]
    return page("recipients.html.j2", lang=lang, rows=rows)


def _row(
    id_: str, name: str, said: dict[str, Any] | None, stop: dict[str, Any] | None, lang: str
) -> dict[str, Any]:
    codes = dict(said["codes"]) if said else {}
    true = truthfulness(said, lang) if said else ""
    return {"id": id_, "name": name, "said": said, "codes": codes, "true": true, "stop": stop}
