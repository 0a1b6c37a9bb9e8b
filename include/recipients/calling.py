"""Calling another company over HTTPS: one connection, limited in time and size, nothing followed, nothing quoted, no
cookie kept, no proxy.

A call comes to an answer or to :class:`NotAnswered`, which says what to do with the notice. TLS is verified against
the public authorities and the endpoint's own, and cannot be switched off.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from include.model.doors import Endpoint
from include.model.errors import Refused
from include.recipients import authorities
from include.recipients.waiting import pools

LARGEST = 256 * 1024  # bytes of one answer
UNREACHABLE, BROKEN, TURNED_AWAY = 300, 300, 3600  # seconds until it is worth trying again
SLOW_DOWN = 60
DAY = 86_400


@dataclass(frozen=True)
class Patience:
    """Seconds: to connect, without a word inside an answer, and for a whole answer however slowly it drips."""

    connect: float = 10
    silence: float = 30
    whole: float = 60


@dataclass(frozen=True)
class Said:
    status: int
    headers: Mapping[str, str]
    body: bytes


class NotAnswered(Exception):
    """There is no answer that counts. ``refused``: trying again would be the same. ``unreachable``: it did not get
    as far as a status. ``rest``: the other side asks to be left alone for ``again_in`` seconds."""

    def __init__(
        self, why: str, again_in: int, *, refused: bool = False, unreachable: bool = False, rest: bool = False
    ) -> None:
        super().__init__(why)
        self.why, self.again_in = why, again_in
        self.refused, self.unreachable, self.rest = refused, unreachable, rest


class _Adapter(HTTPAdapter):
    """Trusts the public authorities and those of a file, read once a process, and waits for a whole answer only so long."""

    def __init__(self, authority: str | None, whole: float) -> None:
        self._authority, self._whole = authority, whole
        self._connection: Any = None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=authorities.context(self._authority))
        self.poolmanager.pool_classes_by_scheme = pools(self._whole)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """One endpoint has one connection: which, requests would work out anew for each call."""
        if self._connection is None:
            self._connection = super().get_connection_with_tls_context(*args, **kwargs)
        return self._connection

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """As requests builds it, without a jar of cookies."""
        made = requests.Response()
        made.status_code, made.headers, made.raw, made.request = resp.status, resp.headers, resp, req
        return made

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """requests would read the public authorities into the context again for each connection: it has them."""
        conn.cert_reqs = "CERT_REQUIRED"


class Caller:
    """One endpoint. Used by one thread.

    Its adapter is spoken to directly. What a session does beside is what must not be done here (cookies, redirects, a
    ``.netrc`` that would replace our secret, a proxy that would read along), and costs a third of a notice.
    """

    def __init__(self, endpoint: Endpoint, patience: Patience) -> None:
        self.base, self._timeout = endpoint.url, (patience.connect, patience.silence)
        if not endpoint.secret.isascii() or (endpoint.secret and not endpoint.secret.isprintable()):
            raise Refused(
                "the secret of its connection has characters that cannot be sent", about=endpoint.url,
                next_step="set the secret again, as the recipient gave it",
            )  # fmt: skip
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "quietus"}
        if endpoint.secret:
            headers["Authorization"] = f"Bearer {endpoint.secret}"
        self._adapter = _Adapter(endpoint.authority, patience.whole)
        self._sample: requests.PreparedRequest | None
        try:
            self._sample = requests.Request("GET", self.base, headers).prepare()
        except (requests.RequestException, ValueError):
            self._sample = None  # its address is none
        else:
            scheme, host, *_ = urlsplit(str(self._sample.url))
            self._origin = f"{scheme}://{host}"
            self._sample = self._sample if scheme in ("https", "http") else None

    def call(self, method: str, where: str, body: bytes | None = None) -> Said:
        """One request to a path under the endpoint, or to a URL of the same host, and the whole answer. Raises NotAnswered
        for everything that is no statement of the other side: no connection, a redirect, 401, 403, 408, 429 and 5xx."""
        if self._sample is None:
            raise NotAnswered("its address is none", TURNED_AWAY, refused=True)
        try:
            response = self._adapter.send(
                self._request(self._sample, method, where, body),
                stream=True,
                timeout=self._timeout,
                proxies={},
            )
            with response:
                said = Said(response.status_code, response.headers, b"".join(_pieces(response.raw)))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from None
        if trouble := _trouble(said):
            raise trouble
        return said

    def close(self) -> None:
        self._adapter.close()

    def _request(
        self, sample: requests.PreparedRequest, method: str, where: str, body: bytes | None
    ) -> requests.PreparedRequest:
        """As requests would prepare it: all but method, path and body is the sample's."""
        made = requests.PreparedRequest()
        made.method, made.url, made.headers = method, self._target(where), sample.headers.copy()
        if body is not None:
            made.body = body
            made.headers["Content-Type"] = "application/json"
            made.headers["Content-Length"] = str(len(body))
        return made

    def _target(self, where: str) -> str:
        """A path under the endpoint; of a URL its path and query, on the endpoint's own host."""
        if "://" not in where:
            return self.base + where
        found = urlsplit(where)
        return self._origin + (f"{found.path or '/'}?{found.query}" if found.query else found.path or "/")


def _pieces(raw: Any) -> Iterator[bytes]:
    """What arrives, as it arrives, up to a size."""
    size = 0
    while piece := raw.read1(8192, decode_content=False):
        size += len(piece)
        if size > LARGEST:
            raise NotAnswered(f"its answer is larger than {LARGEST // 1024} KiB", TURNED_AWAY)
        yield piece


def _unreachable(error: Exception) -> NotAnswered:
    if tls := _tls(error):
        return NotAnswered(tls, TURNED_AWAY, unreachable=True)
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return NotAnswered("it did not answer in time", UNREACHABLE, unreachable=True)
    if isinstance(error, requests.ConnectionError) and _caused_by(
        error, urllib3.exceptions.NewConnectionError
    ):
        return NotAnswered("nobody answers at its address", UNREACHABLE, unreachable=True)
    if isinstance(error, (requests.exceptions.InvalidURL, urllib3.exceptions.LocationParseError)):
        return NotAnswered("its address is none", TURNED_AWAY, refused=True)
    return NotAnswered("the connection broke off", UNREACHABLE, unreachable=True)


_CERTIFICATE = {
    10: "has expired",
    18: "is signed by itself",
    62: "is another host's",
    64: "is another host's",
}


def _tls(error: BaseException) -> str | None:
    """What is wrong with the protection on the way, if that is what is wrong."""
    cause = _caused_by(error, ssl.SSLCertVerificationError)
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = _CERTIFICATE.get(cause.verify_code, "leads to no authority that we trust")
        return f"TLS: its certificate {what}"
    if isinstance(error, requests.exceptions.SSLError) or _caused_by(error, ssl.SSLError):
        return "TLS: no protected connection could be made"
    return None


def _caused_by(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """An exception of this kind among the causes, the contexts and, as urllib3 has it, the reasons of one."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, kind):
            return one
        if id(one) not in seen:
            seen.add(id(one))
            inside = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
            waiting += [e for e in inside if isinstance(e, BaseException)]
    return None


def _trouble(said: Said) -> NotAnswered | None:
    """A status that says nothing about the notice, but about when or how to try again."""
    status = said.status
    if 300 <= status < 400:
        return NotAnswered(
            f"it redirects ({status}), and what is personal follows no redirect", TURNED_AWAY, refused=True
        )
    if status in (401, 403):
        return NotAnswered(
            f"it turned us away ({status}): check the secret of its connection", TURNED_AWAY, rest=True
        )
    if status in (429, 503):
        why = "it asks us to slow down (429)" if status == 429 else "it is out of service (503)"
        asked = _retry_after(said.headers.get("Retry-After"))
        return NotAnswered(why, asked or (SLOW_DOWN if status == 429 else BROKEN), rest=True)
    if status >= 500 or status in (408, 425) or status < 200:
        return NotAnswered(f"it failed ({status})", BROKEN)
    return None


def _retry_after(text: str | None) -> int | None:
    """Seconds, from a number or an HTTP date; within a day, for nobody is left waiting by a slip of theirs."""
    said = (text or "").strip()
    if said.isascii() and said.isdigit():
        seconds = int(said[:9])
    else:
        try:
            moment = parsedate_to_datetime(said)
        except (ValueError, TypeError, IndexError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = round((moment - datetime.now(UTC)).total_seconds())
    return min(max(seconds, 1), DAY)
