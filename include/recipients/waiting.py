"""Waiting for an answer, but not for ever: a time for the whole of it, head and body, however slowly it drips.

A socket's time-out is for one silence. Who sends a byte every few seconds never falls silent, and would hold a task
for days. So the time that is left is set before every read.
"""

from __future__ import annotations

import io
import socket
import time
from functools import partial
from http.client import HTTPResponse
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Reader(io.RawIOBase):
    """The socket's own reader, with the time that is left."""

    def __init__(self, inner: io.RawIOBase, sock: socket.socket, until: float) -> None:
        self._inner, self._sock, self._until = inner, sock, until
        self._silence = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer took too long")
        self._sock.settimeout(left if self._silence is None else min(left, self._silence))
        return self._inner.readinto(into)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, until: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, until))


class _Patient:
    """Beside urllib3's own connection. ``whole``: seconds for one answer."""

    whole: float

    def getresponse(self) -> Any:
        self.response_class = partial(_Response, until=time.monotonic() + self.whole)
        return super().getresponse()  # type: ignore[misc]


def pools(whole: float) -> dict[str, Any]:
    """Connection pools by scheme, whose connections give every answer so many seconds."""
    said = {"whole": whole}
    http = type("PatientHTTP", (_Patient, HTTPConnection), said)
    https = type("PatientHTTPS", (_Patient, HTTPSConnection), said)
    return {
        "http": type("HTTP", (HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("HTTPS", (HTTPSConnectionPool,), {"ConnectionCls": https}),
    }
