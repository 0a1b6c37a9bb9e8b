"""Whether the proofs could see: the last nights of planted controls, and what was missed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from quietus_console.connections import AirflowConnections
from quietus_console.rendering import page

from include.cases import book
from include.cases.controls import nights
from include.model.words import Role

router = APIRouter()


@router.get("/controls")
def controls(lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh") -> HTMLResponse:
    """A row for each of the last nights, and the newest one kind by kind."""
    with book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER)) as conn:
        found = nights.listing(conn)
        ended = next((n for n in found if n["verdict"]), None)
        kinds = nights.results(conn, ended["night_id"]) if ended else []
    return page("controls.html.j2", lang=lang, nights=found, ended=ended, kinds=kinds)
