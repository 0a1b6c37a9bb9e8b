"""The pages of data rooms: which deal showed what to whom, until when, and what became of the copies.

Read from the case book alone. A deal, and with whom, is a secret before it is anything else: that, the agreement and the
certificate are for those whose work is to look; everybody else reads how each room stands, and what is overdue.
"""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, Response
from quietus_console.connections import AirflowConnections
from quietus_console.rendering import HEADERS, page
from quietus_console.roles import audits

from include.cases import book
from include.handover import dataroom
from include.ledger import attest
from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.model.words import Role

router = APIRouter()
Lang = Annotated[str, Query(pattern="^(zh|en)$")]
Number = Annotated[str, PathParameter(pattern=r"^DR-\d{6,}$")]


def _reader() -> book.Conn:
    return book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER))


@router.get("/datarooms")
def every_room(user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """Every data room, the newest first."""
    with _reader() as conn:
        found = dataroom.rooms(conn)
    return page(
        "datarooms.html.j2", lang=lang, rooms=found, today=prc_date(observed_now()), auditor=audits(user)
    )


@router.get("/datarooms/{number}")
def one_room(number: Number, user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """One room: its agreement, what was in it, and both sides' copies."""
    with _reader() as conn:
        room, bags = dataroom.of(conn, number), dataroom.bags(conn, number)
    return page(
        "dataroom.html.j2", lang=lang, room=room, bags=bags, today=prc_date(observed_now()), auditor=audits(user),
        statement=attest.digest(bytes(room.said_envelope)) if room.said_envelope is not None else "",
    )  # fmt: skip


@router.get("/datarooms/{number}/certificate.json")
def certificate(number: Number, user: GetUserDep) -> Response:
    """The certificate as a file, once it was issued; for those whose work is to look."""
    with _reader() as conn:
        envelope = dataroom.of(conn, number).certificate_envelope
    if envelope is None or not audits(user):
        raise Refused(
            "there is no certificate of it here", about=number, next_step="see `quietus dataroom certificate`"
        )
    name = {"Content-Disposition": f'attachment; filename="{number}.json"'}
    return Response(envelope, media_type="application/json", headers=HEADERS | name)
