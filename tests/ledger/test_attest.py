"""What the signer attests besides certificates: one statement a bag, receipts, and nothing else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from include.ledger import attest
from include.ledger.signer import Signer, initialise
from include.model.errors import LedgerError, Refused
from include.model.handover import (
    OBJECTION,
    REQUEST,
    BagKind,
    BagNotice,
    BagReceipt,
    BagRequest,
    BagStatement,
    Differences,
    NoticeReceipt,
    RequestReceipt,
)

NOW = datetime(2026, 11, 29, tzinfo=UTC)
STATEMENT = BagStatement(
    order="SO-0001", bag="cert.certificate-00001", kind=BagKind.ROWS, dataset="cert.certificate", sender="a", successor="b",
    recipient="0" * 64, as_of=date(2026, 11, 29), items=1, root="1" * 64, bytes=1, sha256="2" * 64, catalogue="c", packed_at=NOW,
)  # fmt: skip
RECEIPT = BagReceipt(
    order="SO-0001", bag="cert.certificate-00001", statement="3" * 64, items=1, root="1" * 64, differences=Differences(),
    custodian="b", stored_at=NOW,
)  # fmt: skip


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    initialise("ledger.example/quietus", tmp_path / "k", tmp_path / "s", tmp_path / "p")
    return Signer(tmp_path / "k", tmp_path / "s")


def asked(signer: Signer, payload: bytes) -> dict[str, Any]:
    line = json.dumps({"op": "attest", "payload": base64.b64encode(payload).decode()}).encode()
    return signer.answer(line)


def test_a_bag_has_one_statement_for_ever(signer: Signer, tmp_path: Path) -> None:
    first = asked(signer, STATEMENT.canonical())
    assert first["ok"] and asked(signer, STATEMENT.canonical()) == first, "the same again is the same"
    other = STATEMENT.model_copy(update={"root": "9" * 64})
    assert "another statement" in asked(signer, other.canonical())["refused"]
    again = Signer(tmp_path / "k", tmp_path / "s")
    assert "another statement" in asked(again, other.canonical())["refused"], "it remembers on its disk"
    assert asked(signer, STATEMENT.model_copy(update={"order": "SO-0002"}).canonical())["ok"]
    repaired = RECEIPT.model_copy(update={"differences": Differences(missing=("4" * 64,))})
    assert asked(signer, RECEIPT.canonical())["ok"] and asked(signer, repaired.canonical())["ok"]


def test_a_number_is_a_request_or_an_objection_and_never_both(signer: Signer, tmp_path: Path) -> None:
    request = BagRequest(
        order="SO-0001", bag=STATEMENT.bag, request=1, statement="3" * 64, asked=("5" * 64,), people=1, law="PIPL 47",
        as_of=date(2026, 11, 29), answer_by=date(2026, 12, 29), made_at=NOW,
    )  # fmt: skip
    objection = request.model_copy(update={"format": OBJECTION})
    assert asked(signer, objection.canonical())["ok"]
    assert "another request of this number" in asked(signer, request.canonical())["refused"]
    assert asked(signer, request.model_copy(update={"request": 2}).canonical())["ok"]
    key = attest.public_key((tmp_path / "p").read_text())
    file = asked(signer, objection.canonical())["envelope"].encode()
    assert attest.form_of(file) == OBJECTION and attest.form_of(b"{}") is None
    assert attest.opened(file, OBJECTION, key) == objection.canonical()
    with pytest.raises(
        LedgerError, match="no quietus-bag-request/1"
    ):  # as a successor with older software says it
        attest.opened(file, REQUEST, key)
    answer = RequestReceipt(
        order="SO-0001", bag=STATEMENT.bag, request=1, digest=attest.digest(objection.canonical()), deleted=1, items=0,
        root="1" * 64, differences=Differences(), custodian="b", done_at=NOW,
    )  # fmt: skip
    assert "by this very signer" in asked(signer, answer.canonical())["refused"]


def test_nobody_signs_for_what_they_sent(signer: Signer, tmp_path: Path) -> None:
    notice = BagNotice(
        order="SO-0001", bag=STATEMENT.bag, notice=1, statement="3" * 64, removed=("5" * 64,), added=0, items=0, root="1" * 64,
        as_of=date(2026, 11, 29), made_at=NOW,
    )  # fmt: skip
    mine = RECEIPT.model_copy(update={"statement": attest.digest(STATEMENT.canonical())})
    answer = NoticeReceipt(
        order="SO-0001", bag=STATEMENT.bag, notice=1, digest=attest.digest(notice.canonical()), deleted=1, items=0,
        root="1" * 64, differences=Differences(), custodian="b", done_at=NOW,
    )  # fmt: skip
    for receipt in (mine, answer):  # of another signer's bags and notices
        assert asked(signer, receipt.canonical())["ok"]
    for sent in (STATEMENT, notice):
        assert asked(signer, sent.canonical())["ok"]
    for receipt in (mine, answer):
        assert "by this very signer" in asked(signer, receipt.canonical())["refused"]
        assert not asked(Signer(tmp_path / "k", tmp_path / "s"), receipt.canonical())["ok"]


def test_one_kind_does_not_pass_for_another(signer: Signer, tmp_path: Path) -> None:
    key = attest.public_key((tmp_path / "p").read_text())
    file = asked(signer, STATEMENT.canonical())["envelope"].encode()
    assert attest.opened(file, "quietus-bag/1", key) == STATEMENT.canonical()
    with pytest.raises(LedgerError, match="is no quietus-bag-receipt/1"):
        attest.opened(file, "quietus-bag-receipt/1", key)
    said = json.loads(file)
    said["payloadType"] = attest.TYPES["quietus-bag-receipt/1"]
    with pytest.raises(LedgerError, match="not by the key"):
        attest.opened(json.dumps(said).encode(), "quietus-bag-receipt/1", key)


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"[]", b'{"format":"other"}', b'{"format": "quietus-bag/1"}', b'"quietus-bag/1"']
)
def test_it_signs_nothing_else(signer: Signer, payload: bytes) -> None:
    assert not asked(signer, payload)["ok"]


def test_a_key_of_another_kind() -> None:
    with pytest.raises(Refused, match="no Ed25519"):
        attest.public_key("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n")
