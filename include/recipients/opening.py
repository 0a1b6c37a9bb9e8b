"""The channel to one recipient, as the catalogue declares it and the connections make it possible."""

from __future__ import annotations

from collections.abc import Mapping

from include.model.declared import CategoryId
from include.model.doors import Channel, Connections
from include.model.errors import Refused
from include.model.policy import Recipient
from include.recipients.mail import Mail, address_in
from include.recipients.opendsr import OpenDSR
from include.recipients.person import Person

OUR_MAIL_SERVER = "mail"


def open_channel(
    recipient: Recipient, connections: Connections, *,
    callback_url: str | None = None, names: Mapping[CategoryId, str] | None = None,
) -> Channel:  # fmt: skip
    """The channel, which connects when it is first used. Raises Refused if its connection is missing or wrong.

    ``recipient_<id>`` is its address: ``https://…/v2`` for OpenDSR, ``mailto:…`` for letters, which go over our
    ``mail``. Independent handlers and ledgers are told by e-mail if they have an address, else by a person.
    ``names``: what the kinds of data are called in letters.
    """
    where = f"recipient_{recipient.id}"
    match recipient.channel:
        case "opendsr":
            return OpenDSR(recipient, connections.endpoint(where), callback_url=callback_url)
        case "manual":
            return Person(recipient)
        case "email":
            return _mail(recipient, connections.endpoint(where).url, connections, names)
        case "information" | "ledger":
            try:
                url = connections.endpoint(where).url
            except Refused as missing:
                return Person(recipient, missing.what)
            return _mail(recipient, url, connections, names)


def _mail(
    recipient: Recipient, url: str, connections: Connections, names: Mapping[CategoryId, str] | None
) -> Mail:
    to = address_in(url)
    if to is None:
        raise Refused(
            "the connection names no address for letters", about=f"recipient_{recipient.id}",
            next_step='set "url" of its extra to mailto:… with one address',
        )  # fmt: skip
    return Mail(recipient, to, connections.endpoint(OUR_MAIL_SERVER), names=names)
