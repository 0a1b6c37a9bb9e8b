"""What we answer another company: OpenDSR's error object, in our own words. Nothing that was sent is repeated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from include.model.errors import QuietusError

log = logging.getLogger(__name__)
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Said(Exception):
    """An answer to give instead of going on."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})

    def response(self) -> JSONResponse:
        said = {"error": {"code": self.status, "message": self.message}}
        return JSONResponse(said, self.status, headers=HEADERS | self.headers)


def speak_plainly(app: FastAPI) -> None:
    """Every error of this app in one form. What nobody foresaw is logged by its kind, for its message may quote."""

    @app.exception_handler(Said)
    async def said(request: Request, said: Said) -> JSONResponse:
        return said.response()

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return Said(422, "the address is not one of ours: a request is named by its UUID").response()

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        return Said(error.status_code, HTTPStatus(error.status_code).phrase, error.headers).response()

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, error: ClientDisconnect) -> JSONResponse:
        return Said(400, "the message ended early").response()

    @app.exception_handler(QuietusError)
    async def not_now(request: Request, error: QuietusError) -> JSONResponse:
        log.warning("a message could not be taken: %s", error)
        return Said(503, "we cannot take this now; send it again later", {"Retry-After": "60"}).response()
