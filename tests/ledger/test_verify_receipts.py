"""What the successor signed, as a custodian checks it: by the agreed key alone, and word for word what the log says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from include.ledger import attest, verify_receipts

ORDER = "SO-000001"
THEIRS, OURS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
RECEIPT: dict[str, Any] = {
    "format": "quietus-bag-receipt/1", "order": ORDER, "bag": "u.visit-00001", "statement": "a" * 64, "items": 3,
    "root": "b" * 64, "differences": {"missing": [], "changed": [], "extra": []}, "custodian": "Next CA",
    "stored_at": "2027-03-04T10:00:00+08:00",
}  # fmt: skip
Log = dict[int, dict[str, Any]]


def envelope(by: Ed25519PrivateKey, **more: Any) -> bytes:
    return attest.envelope(rfc8785.dumps(RECEIPT | more), by.sign, by.public_key())


def kept(home: Path, file: bytes) -> str:
    (home / "data" / "receipts").mkdir(parents=True, exist_ok=True)
    (home / "data" / "receipts" / f"{attest.digest(file)}.json").write_bytes(file)
    return attest.digest(file)


def log_of(receipt: str, key: Ed25519PrivateKey | None = THEIRS, **more: Any) -> Log:
    consigned: dict[str, Any] = {"order": ORDER, "what": "consigned"}
    if key is not None:
        consigned["receipt_key"] = key.public_key().public_bytes_raw().hex()
    body = {k: RECEIPT[k] for k in ("order", "bag", "statement", "items", "root", "stored_at")}
    counts = {"missing": 0, "changed": 0, "extra": 0}
    return {
        1: {"kind": "shutdown", "body": {"order": ORDER, "what": "opened", "successor": "Next CA"}},
        4: {"kind": "shutdown", "body": consigned},
        9: {"kind": "handover.receipt", "body": body | counts | {"receipt": receipt} | more},
    }


def test_what_the_agreed_key_signed_is_shown_with_its_fingerprint(tmp_path: Path) -> None:
    problems, keys = verify_receipts.signed(tmp_path, ORDER, log_of(kept(tmp_path, envelope(THEIRS))))
    assert problems == [] and len(keys) == 1 and len(keys[0]) == 64


def changed(home: Path) -> Log:
    name = kept(home, envelope(THEIRS))
    (home / "data" / "receipts" / f"{name}.json").write_bytes(envelope(OURS))
    return log_of(name)


def renamed(home: Path) -> Log:
    """Another company took over before it was signed."""
    named = {"order": ORDER, "what": "successor named", "successor": "Third CA"}
    return log_of(kept(home, envelope(THEIRS))) | {8: {"kind": "shutdown", "body": named}}


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (lambda home: log_of(kept(home, envelope(OURS))), "is not signed by the key that was agreed"),
        (lambda home: log_of("c" * 64), "is not here"),
        (lambda home: log_of("../../x"), "is not here"),
        (changed, "is another file"),
        (lambda home: log_of(kept(home, envelope(THEIRS)), items=4), "has another items than the log says"),
        (lambda home: log_of(kept(home, envelope(THEIRS, root="d" * 64))), "has another root than the log says"),
        (lambda home: log_of(kept(home, envelope(THEIRS)), missing=1), "has another missing than the log says"),
        (lambda home: log_of(kept(home, envelope(THEIRS, asked=["e" * 64]))), "has another asked than the log says"),
        (lambda home: log_of(kept(home, envelope(THEIRS)), asked=1, not_asked=1), "has another asked than the log says"),
        (lambda home: log_of(kept(home, envelope(THEIRS, asked=["e" * 64])), asked=1), "than the log has in them"),
        (lambda home: log_of(kept(home, envelope(THEIRS, stored_at="2020-01-01T00:00:00Z"))),
         "has another stored_at than the log says"),
        (lambda home: log_of(kept(home, envelope(THEIRS, stored_at=7))), "cannot be read"),
        (lambda home: log_of(kept(home, envelope(THEIRS, custodian="Somebody Else"))), "is another company's"),
        (renamed, "is another company's"),
        (lambda home: log_of(kept(home, b"{}")), "cannot be read"),
        (lambda home: log_of(kept(home, envelope(THEIRS)), None), "does not say by which key"),
    ],
)  # fmt: skip
def test_what_is_forged_is_named(tmp_path: Path, log: Callable[[Path], Log], problem: str) -> None:
    problems, _ = verify_receipts.signed(tmp_path, ORDER, log(tmp_path))
    assert len(problems) == 1 and problem in problems[0] and problems[0].startswith("ledger entry 9")


def asked_for(at: int, n: int, **more: Any) -> Log:
    said = {"order": ORDER, "bag": RECEIPT["bag"], "asked": n} | more
    return {at: {"kind": verify_receipts.REQUEST, "body": said}}


def test_what_went_at_a_request_was_asked_for_before(tmp_path: Path) -> None:
    log = log_of(kept(tmp_path, envelope(THEIRS, asked=["e" * 64, "f" * 64])), asked=2)
    for requests, fine in (
        (asked_for(6, 2), True),
        (asked_for(6, 1) | asked_for(7, 1), True),
        (asked_for(6, 1), False),
        (asked_for(10, 2), False),  # asked for once it was gone
        (asked_for(6, 2, bag="u.visit-00002"), False),
        (asked_for(6, 2, order="SO-000002"), False),
    ):
        assert bool(verify_receipts.signed(tmp_path, ORDER, log | requests)[0]) is not fine, requests


def test_the_same_moment_of_another_zone_is_no_other_and_an_old_entry_has_none(tmp_path: Path) -> None:
    log = log_of(kept(tmp_path, envelope(THEIRS, stored_at="2027-03-04T02:00:00Z")))
    assert verify_receipts.signed(tmp_path, ORDER, log)[0] == []
    log = log_of(kept(tmp_path, envelope(THEIRS)))
    del log[9]["body"]["stored_at"]
    assert verify_receipts.signed(tmp_path, ORDER, log)[0] == []


def test_another_orders_entries_are_no_matter(tmp_path: Path) -> None:
    assert verify_receipts.signed(tmp_path, "SO-000002", log_of("c" * 64)) == ([], [])


def test_answers_to_requests_are_held_against_the_log_like_receipts(tmp_path: Path) -> None:
    said = {k: v for k, v in RECEIPT.items() if k not in ("statement", "stored_at")} | {
        "format": "quietus-bag-request-receipt/1", "request": 1, "digest": "d" * 64, "deleted": 2,
        "kept": [{"item": "e" * 64, "why": "RS-03", "until": None}], "done_at": "2027-05-04T10:00:00+08:00",
    }  # fmt: skip

    def problems(by: Ed25519PrivateKey = THEIRS, **more: Any) -> list[str]:
        name = kept(tmp_path, attest.envelope(rfc8785.dumps(said), by.sign, by.public_key()))
        body = {k: said[k] for k in ("order", "bag", "request", "digest", "deleted", "items", "root", "done_at")} | {
            "kept": 1, "missing": 0, "changed": 0, "extra": 0, "receipt": name,
        }  # fmt: skip
        log = log_of("c" * 64)
        log[9] = {"kind": "handover.request_receipt", "body": body | more}
        return verify_receipts.signed(tmp_path, ORDER, log)[0]

    assert problems() == []
    about = "ledger entry 9: what the successor signed of bag u.visit-00001"
    assert problems(OURS) == [f"{about} is not signed by the key that was agreed"]
    assert problems(kept=0) == [f"{about} has another kept than the log says"]
    assert problems(done_at="2027-05-05T10:00:00+08:00") == [f"{about} has another done_at than the log says"]
    assert problems(request=2) == [f"{about} has another request than the log says"]
    assert problems(receipt="c" * 64) == [f"{about} is not here"]
