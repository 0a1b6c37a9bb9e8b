"""OpenDSR 2.0 over HTTPS, as the controller speaks it: send, ask, cancel, and look whether a number is still known.

A request that is sent again under the same id is the same request to the recipient, so whatever was cut off is sent
again. A receipt counts only if the recipient signed it and it is for the very bytes that we sent; those bytes come
back in it, and are compared and forgotten.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from uuid import UUID

from cryptography import x509

from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.model.notices import Answer, Delivery, Notice, Pending
from include.model.policy import Recipient
from include.recipients import forms, signing
from include.recipients.calling import TURNED_AWAY, Caller, NotAnswered, Patience, Said

ENOUGH = 3  # calls in a row without an answer, after which the rest of the batch is not tried


@dataclass(frozen=True)
class _Rest:
    """Why, and until when on the monotonic clock, it is left alone."""

    why: NotAnswered
    until: float


class OpenDSR:
    """The channel to one recipient. Whom it cannot reach it asks once, not once a notice."""

    repeatable = True

    def __init__(
        self, recipient: Recipient, endpoint: Endpoint, *,
        callback_url: str | None = None, patience: Patience | None = None,
    ) -> None:  # fmt: skip
        if not recipient.domain:
            raise Refused(
                "nothing says whose certificate signs its answers", about=recipient.id,
                next_step="give its `domain` in recipients.yaml",
            )  # fmt: skip
        self._recipient, self._domain, self._authority = recipient, recipient.domain, endpoint.authority
        self._callback_url = callback_url
        self._caller = Caller(endpoint, patience or Patience())
        self._found: x509.Certificate | Refused | NotAnswered | None = None
        self._rest: _Rest | None = None
        self._unanswered = 0

    def send(self, notice: Notice) -> Delivery:
        body = forms.request(notice, self._domain, self._callback_url)
        about = self._about(notice.request_id)
        try:
            certificate = self._signer()
            said = self._call("POST", "/requests", body)
            if said.status != 201:
                return _not_taken(said)
            signing.verify(said.headers, said.body, certificate, self._domain, about)
            expected = forms.expected_by_receipt(said.body, body, notice.request_id, about)
        except NotAnswered as silence:
            return Delivery(
                outcome="refused" if silence.refused else "later", why=silence.why,
                again_in=None if silence.refused else silence.again_in,
            )  # fmt: skip
        except Refused as wrong:  # it may have been taken; as the same request it can be sent again
            return Delivery(outcome="later", why=wrong.what, again_in=TURNED_AWAY)
        return Delivery(
            outcome="delivered", receipt=hashlib.sha256(said.body).hexdigest(), expected_on=expected
        )

    def ask(self, request_id: UUID) -> Answer | Pending | None:
        about = self._about(request_id)
        said = self._asked("GET", f"/requests/{request_id}", about)
        if said is None or said.status != 200:
            return None
        signing.verify(said.headers, said.body, self.certificate(), self._domain, about)
        told = forms.object_of(said.body, about)
        forms.this_request(told, request_id, about)
        return forms.status(self._recipient, told, said.body, "poll", about)

    def cancel(self, request_id: UUID) -> bool:
        about = self._about(request_id)
        said = self._asked("DELETE", f"/requests/{request_id}", about)
        if said is None or said.status != 202:
            return False
        signing.verify(said.headers, said.body, self.certificate(), self._domain, about)
        forms.taken_back(said.body, request_id, about)
        return True

    def knows(self, reference: str) -> bool | None:
        """A 404 of somebody whom it was never seen to know proves nothing: ask before, too."""
        said = self._asked("GET", f"/people/{quote(reference, safe='')}", self._recipient.id)
        if said is None or said.status not in (200, 404):
            return None
        if said.status == 404:
            return False
        try:
            return forms.object_of(said.body, self._recipient.id).get("known") is True or None
        except Refused:
            return None

    def certificate(self) -> x509.Certificate:
        """What it signs with, fetched and checked once for this channel. Raises Refused if it is not to be trusted,
        NotReachable if it cannot be had."""
        try:
            return self._signer()
        except NotAnswered as silence:
            raise _not_reachable(silence, self._recipient.id) from None

    def close(self) -> None:
        self._caller.close()

    def _signer(self) -> x509.Certificate:
        if self._found is None:
            try:
                self._found = self._discovered()
            except (Refused, NotAnswered) as wrong:
                self._found = wrong
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    def _discovered(self) -> x509.Certificate:
        about = f"{self._recipient.id} discovery"
        said = forms.object_of(self._page("/discovery", about), about)
        types, identities = said.get("supported_subject_request_types"), said.get("supported_identities")
        if not isinstance(types, list) or "erasure" not in types:
            raise Refused("it takes no requests to erase", about=about, next_step="tell it another way")
        if not isinstance(identities, list) or not any(
            isinstance(i, dict) and i.get("identity_type") == "controller_customer_id" for i in identities
        ):
            raise Refused("it does not take its own numbers", about=about, next_step="tell it another way")
        where = said.get("processor_certificate")
        if not isinstance(where, str) or not _one_origin(where, self._caller.base):
            raise Refused(
                "its signing certificate lies elsewhere than its endpoint", about=about,
                next_step="ask its operators to serve it from the same host",
            )  # fmt: skip
        return signing.trusted(self._page(where, about), self._domain, self._authority, about)

    def _page(self, where: str, about: str) -> bytes:
        said = self._call("GET", where)
        if said.status != 200:
            raise Refused(
                f"what it signs with cannot be found there ({said.status})", about=about,
                next_step="check the address of its connection, which ends in /v2",
            )  # fmt: skip
        return said.body

    def _asked(self, method: str, path: str, about: str) -> Said | None:
        """An answer to a question; None if just this one went wrong. Raises NotReachable if all would."""
        try:
            return self._call(method, path)
        except NotAnswered as silence:
            if not (silence.unreachable or silence.rest or silence.refused):
                return None
            raise _not_reachable(silence, about) from None

    def _call(self, method: str, path: str, body: bytes | None = None) -> Said:
        if self._rest is not None and (left := self._rest.until - time.monotonic()) > 0:
            raise NotAnswered(self._rest.why.why, max(1, round(left)), rest=True)
        try:
            said = self._caller.call(method, path, body)
        except NotAnswered as silence:
            self._unanswered = self._unanswered + 1 if silence.unreachable else 0
            if silence.rest or self._unanswered >= ENOUGH:
                self._rest = _Rest(silence, time.monotonic() + silence.again_in)
            raise
        self._unanswered = 0
        return said

    def _about(self, request_id: UUID) -> str:
        return f"{self._recipient.id} {request_id}"


def read_callback(
    recipient: Recipient, headers: Mapping[str, str], body: bytes, certificate: x509.Certificate, *,
    callback_url: str | None = None,
) -> Answer | Pending:  # fmt: skip
    """What a recipient called us to say. Signature first, then the contents. Raises Refused.

    ``certificate``: from :meth:`OpenDSR.certificate`, however long ago: that it has not expired since is looked at
    here. ``callback_url``: our own; a callback that was meant for another is none (section 8.8).
    """
    about = f"{recipient.id} callback"
    domain = recipient.domain or ""
    signing.check(certificate, domain, about)
    signing.verify(headers, body, certificate, domain, about)
    said = forms.object_of(body, about)
    if callback_url is not None and said.get("status_callback_url") != callback_url:
        raise Refused("it was meant for somebody else", about=about, next_step="nothing: it is not ours")
    return forms.status(recipient, said, body, "callback", about)


def _not_taken(said: Said) -> Delivery:
    """Neither a receipt nor a failure: 400 and its like refuse the notice, anything else is not the agreed form."""
    if said.status in (400, 409, 410, 413, 415, 422):
        return Delivery(outcome="refused", why=f"it does not take the notice as it is ({said.status})")
    return Delivery(outcome="later", why=f"its answer is no receipt ({said.status})", again_in=TURNED_AWAY)


def _not_reachable(silence: NotAnswered, about: str) -> NotReachable:
    return NotReachable(
        silence.why,
        about=about,
        next_step=f"it is asked again, in {silence.again_in} seconds at the earliest",
    )


def _one_origin(one: str, other: str) -> bool:
    """Whether two URLs are of one scheme, host and port; False for one that carries a name or a secret."""
    try:
        a, b = urlsplit(one), urlsplit(other)
        usual = {"https": 443, "http": 80}
        return a.username is None and (a.scheme, a.hostname, a.port or usual.get(a.scheme)) == (
            b.scheme, b.hostname, b.port or usual.get(b.scheme),
        )  # fmt: skip
    except ValueError:
        return False
