"""Tell a partner that asked us to delete how its request stands: one signed message to the address that we agreed on."""

from __future__ import annotations

import requests

from include.model.doors import Endpoint
from include.model.errors import NotReachable
from include.recipients.our_signature import OurSignature

TIMEOUT = (5.0, 15.0)  # seconds: to connect, and of silence


def tell(endpoint: Endpoint, signature: OurSignature, body: bytes) -> None:
    """Raises NotReachable unless it was taken: it is told again later. Nothing of the reply is read."""
    try:
        with requests.post(
            endpoint.url, data=body, timeout=TIMEOUT, allow_redirects=False, stream=True,
            verify=endpoint.authority or True,
            headers={"Content-Type": "application/json", **signature.headers(body)},
        ) as reply:  # fmt: skip
            if 200 <= reply.status_code < 300:
                return
            what = f"the partner answered {reply.status_code}"
    except requests.RequestException as error:
        what = f"the partner was not reached ({type(error).__name__})"
    raise NotReachable(what, about="partner", next_step="it is told again with the next run")
