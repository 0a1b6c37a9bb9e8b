"""Our own endpoint for other companies, beside Airflow and not behind its log-in: recipients show who they are by their
signature, and partners who gave us data by their token.

    POST /quietus/recipients/callback             a recipient reports on a notice of ours
    …    /quietus/recipients/v2/…                 a partner tells us to delete, asks how that stands, takes it back
    GET  /quietus/recipients/openapi.json         what may be sent, for whoever builds or tests a sender
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from quietus_recipients import callback, house, partners
from quietus_recipients.saying import speak_plainly

PREFIX = "/quietus/recipients"


def make(recipients_desk: Callable[[], callback.Desk], partners_desk: Callable[[], partners.Desk]) -> FastAPI:
    """The app over some house; tests bring a small one."""
    app = FastAPI(title="Quietus, for recipients and partners", docs_url=None, redoc_url=None)
    speak_plainly(app)
    app.include_router(callback.routes(recipients_desk))
    app.include_router(partners.routes(partners_desk))
    return app


recipients = make(house.for_recipients, house.for_partners)
