"""A consignment is made after T0, to the successor of the order and nobody else, of what the law hands over and nothing more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path as File

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from include.cases.shutdown import closing, orders
from include.cases.shutdown.consigning import consign, consignment
from include.catalogue import load
from include.model.errors import Refused
from include.model.handover import Consignment
from tests.cases.retention.house import House
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper, ready
from tests.cases.shutdown.test_command import run, today
from tests.cases.shutdown.test_orders import NEXT

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "today"]  # fixtures


def certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA Co")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=9)
    )
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def fingerprint(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA256()).hex()


SHOWN, OTHER = certificate(), certificate()
KEY = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def test_what_is_handed_over_is_consigned_after_t0(house: House, today: list[object], tmp_path: File) -> None:
    number = ready(house, successor=replace(NEXT, certificate=fingerprint(SHOWN)))
    pems = {
        "certificate": SHOWN, "receipt_key": KEY, "sender": "Old CA", "document": "BR-8", "as_of": T0, "actor": "ops/wu"
    }  # fmt: skip
    with pytest.raises(Refused, match="collection is not closed"):
        consign(house.desk, number, **pems)  # type: ignore[arg-type]
    closing.close(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    with pytest.raises(Refused, match="not the certificate that the order names"):
        consign(house.desk, number, **(pems | {"certificate": OTHER}))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="cannot be read"):
        consign(house.desk, number, **(pems | {"receipt_key": "none"}))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="document number is missing"):
        consign(house.desk, number, **(pems | {"document": " "}))  # type: ignore[arg-type]
    made = consign(house.desk, number, **pems)  # type: ignore[arg-type]
    # Not the notes: raw biometrics, though RS-03 binds them, too.
    assert [(d.dataset, d.rule) for d in made.datasets] == [("u.visit", "RS-03")]
    assert (made.order, made.as_of, made.successor.name) == (number, T0, "Example CA Co")
    kind, body, _ = house.ledger[-1]
    assert (kind, body["what"], body["consignment"]) == (orders.KIND, "consigned", made.fingerprint())
    assert body["document"] == "BR-8", "by which paper the keys were compared"
    for name, text in (("c.pem", SHOWN), ("k.pem", KEY)):
        (tmp_path / name).write_text(text, "ascii")
    today[0] = T0
    out = tmp_path / "consignment.json"
    arguments = (
        "consign", number, "--sender", "Old CA", "--certificate", str(tmp_path / "c.pem"), "--receipt-key",
        str(tmp_path / "k.pem"), "--document", "BR-8", "--out", str(out),
    )  # fmt: skip
    assert "1 datasets to Example CA Co" in run(*arguments).output
    assert Consignment.model_validate_json(out.read_text("utf-8")) == made
    said = len(house.ledger)
    with pytest.raises(Refused, match="there already"):
        run(*arguments)
    assert len(house.ledger) == said, "what was not written was not consigned"
    unread = out.with_name("other.json")
    with pytest.raises(Refused, match="not the certificate"):
        (tmp_path / "c.pem").write_text(OTHER, "ascii")
        run(*arguments[:-1], str(unread))
    assert not unread.exists() and Consignment.model_validate_json(out.read_text("utf-8")) == made


def test_of_the_first_policy_goes_what_the_law_hands_over(house: House) -> None:
    number = ready(house, successor=replace(NEXT, certificate=fingerprint(SHOWN)))
    closing.close(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    with house.desk.book() as conn:
        of = orders.order(conn, number)
    assert {d.dataset for d in consignment(load(), of, "Old CA", SHOWN, KEY).datasets} == {
        "ra.application", "ra.id_card", "ra.image", "ra.match_result", "ra.other_evidence", "ra.operator_record",
        "objects.id_photos", "cert.certificate", "cert.crl_entry", "cert.crl", "cert.crl_listed",
        "cert.issuance_log", "sign.signature", "sign.evidence_key", "sign.chain_anchor", "objects.locked_evidence",
    }  # fmt: skip
