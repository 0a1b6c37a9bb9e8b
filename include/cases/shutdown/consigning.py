"""What an order hands over, said once its collection is closed: a consignment, by which bags are packed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from include.cases import keeping
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.fates import is_biometric
from include.cases.shutdown.orders import Order
from include.cases.shutdown.told import checked_text
from include.ledger import attest
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.handover import HANDED_OVER, Consigned, Consignment, Successor

CONSIGNED = "consigned"
"""Of the event."""
ITS_OWN = "ask the successor for the key of its own signer, and compare it by phone"


def consign(
    desk: Desk, number: str, *, sender: str, certificate: str, receipt_key: str, document: str, as_of: date, actor: str
) -> Consignment:  # fmt: skip
    """The consignment of an order, said in the book and the ledger by its fingerprint. ``certificate`` and ``receipt_key``: the
    successor's, as PEM; ``document``: number of the paper that says that both were compared. Raises Refused before collection is
    closed, if the certificate is not the one the order names, if the key is our own, or once something was packed by another."""
    checked_text("document number", document)
    with orders.deed(desk, number) as (conn, of):
        made = consignment(desk.catalogue, of, sender, certificate, receipt_key)
        _not_ours(desk, of, receipt_key)
        if packed_by(conn, number) - {made.fingerprint()}:
            raise Refused(
                "bags of it were packed by another consignment: to another successor, or with another key for receipts",
                about=number,
                next_step="go on with that one: a bag that was packed goes to nobody else. If its successor withdrew: `quietus"
                " shutdown leave-with-former`; if nothing went here by it, withdraw the order and open another",
            )  # fmt: skip
        detail = {
            "consignment": made.fingerprint(), "datasets": [d.dataset for d in made.datasets],
            "clocks_as_of": made.as_of.isoformat(), "receipt_key": _raw(receipt_key),
            "document": document,
        }  # fmt: skip
        orders.say(desk, conn, number, CONSIGNED, as_of, actor, detail)
    return made


def _raw(receipt_key: str) -> str:
    """The key by which the successor signs, in hex: by it a custodian sees, years later, who said that it has the bags."""
    return attest.public_key(receipt_key).public_bytes_raw().hex()


def last_consigned(conn: Conn, number: str) -> str | None:
    """The fingerprint of the consignment that was made last; None: none was."""
    row = conn.execute(
        "SELECT detail ->> 'consignment' AS consignment FROM casebook.shutdown_event WHERE number = %s AND what = %s"
        " ORDER BY event_id DESC LIMIT 1",
        (number, CONSIGNED),
    ).fetchone()
    return None if row is None else str(row["consignment"])


def packed_by(conn: Conn, number: str) -> set[str]:
    """The fingerprints by which bags of an order were packed; without those of who withdrew, once it went on without."""
    rows = conn.execute(
        "SELECT DISTINCT consignment FROM casebook.handover_bag WHERE order_no = %s AND left_items IS NULL",
        (number,),
    ).fetchall()
    return {str(r["consignment"]) for r in rows}


def consignment(
    catalogue: Catalogue, of: Order, sender: str, certificate: str, receipt_key: str
) -> Consignment:
    """Clocks are judged by the day on which collection was closed: until then rows came."""
    if of.closed_on is None:
        raise Refused(
            "collection is not closed, so what is handed over is not all there yet", about=of.number,
            next_step="use `quietus shutdown close-collection` on T0",
        )  # fmt: skip
    if of.successor is None or of.successor_contact is None:
        raise Refused("nobody takes over yet", about=of.number, next_step="use `quietus shutdown successor`")
    checked_text("sender", sender)
    _checked_keys(of, certificate, receipt_key)
    try:
        return Consignment(
            order=of.number, sender=sender.strip(), as_of=of.closed_on, datasets=tuple(consigned(catalogue, of)),
            successor=Successor(
                name=of.successor, contact=of.successor_contact, certificate=certificate, receipt_key=receipt_key
            ),
        )  # fmt: skip
    except ValidationError:
        raise Refused(
            "nothing of what it is about is handed over, or a key is no PEM", about=of.number,
            next_step="see `quietus shutdown preview`",
        ) from None  # fmt: skip


def consigned(catalogue: Catalogue, of: Order) -> Iterator[Consigned]:
    """Each dataset with the first of its floors that is handed over; raw biometrics have none."""
    for dataset in of.datasets(catalogue):
        if is_biometric(catalogue, dataset):
            continue
        for bound in dataset.binds:
            if bound.rule in HANDED_OVER and catalogue.rule(bound.rule).floor(bound.period) is not None:
                yield Consigned(dataset=dataset.id, rule=bound.rule, period=bound.period)
                break


def _not_ours(desk: Desk, of: Order, receipt_key: str) -> None:
    """Where no key of ours is declared, the first envelope that is signed shows it (:func:`include.handover.packing.sign`)."""
    if load_pem_public_key(receipt_key.encode()) == keeping.our_key(desk.connections):
        raise Refused(
            "the key for receipts is our own signer's: we would sign for what we sent", about=of.number, next_step=ITS_OWN
        )  # fmt: skip


def _checked_keys(of: Order, certificate: str, receipt_key: str) -> None:
    try:
        shown = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(SHA256()).hex()
        load_pem_public_key(receipt_key.encode())
    except ValueError:
        raise Refused(
            "the successor's certificate or its key for receipts cannot be read", about=of.number,
            next_step="give both as PEM",
        ) from None  # fmt: skip
    if shown != of.successor_certificate:
        raise Refused(
            "this is not the certificate that the order names", about=of.number,
            next_step="find out which is the successor's, on paper; name it anew if it was changed",
        )  # fmt: skip
