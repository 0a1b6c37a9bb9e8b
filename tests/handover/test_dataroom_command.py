"""What is wrong on the command line of data rooms is refused with what to do, and no traceback; only what is taken is signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from include.commands import _common as common
from include.commands import dataroom as command
from include.handover.room import Room
from include.handover.shards import directory
from include.ledger import verify
from include.model.errors import Refused

GOOD = f"u.visit {'ab' * 32}\n"
TERMS: dict[str, Any] = {
    "deal": "Heron", "counterparty": "Heron Capital", "purpose": "due diligence", "document": "NDA-7",
    "approvers": ["legal/wang", "ceo/zhao"], "certificate": "PEM", "statement_key": "PEM", "columns": {"u.visit": ["at"]},
}  # fmt: skip


@pytest.fixture
def sign(tmp_path: Path) -> Callable[..., Path]:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def signed(
        bags: bytes = GOOD.encode(), how: str = "destroyed", out: str = "o.json", number: str = "DR-000001"
    ) -> Path:
        (tmp_path / "bags").write_bytes(bags)
        words = [
            "sign",
            number,
            "--how",
            how,
            "--bags",
            str(tmp_path / "bags"),
            "--key",
            str(tmp_path / "key.pem"),
        ]
        CliRunner().invoke(command.app, [*words, "--out", str(tmp_path / out)], catch_exceptions=False)
        return tmp_path / out

    return signed


def test_a_good_list_is_signed(sign: Callable[..., Path]) -> None:
    file = sign((GOOD + "\n" + GOOD.replace("visit", "click")).encode())
    said = verify.said_in(file.read_text("utf-8"))
    assert said["how"] == "destroyed" and set(said["bags"]) == {"u.visit", "u.click"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"bags": b"u.visit\n"}, "line 1 is not a dataset"),
        ({"bags": GOOD.encode() + b"\xff\xfe u\n"}, "line 2 is not a dataset"),
        ({"bags": GOOD.encode() * 2}, "line 2 is not a dataset.*each dataset once"),
        ({"bags": b"u.visit abc\n"}, "line 1 is not a dataset"),
        ({"how": "lost"}, "'lost' is no word that is taken"),
        ({"number": "13912345678"}, "no data room's number"),
        ({"out": "nowhere/o.json"}, "it cannot be written: No such file"),
    ],
)
def test_what_would_not_be_taken_is_not_signed(
    sign: Callable[..., Path], tmp_path: Path, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        sign(**given)
    assert not (tmp_path / "o.json").exists()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "no JSON object"),
        ("not JSON", "no JSON object"),
        ({k: v for k, v in TERMS.items() if k != "columns"}, "it lacks columns"),
        (TERMS | {"certificate": 7}, "certificate: not as"),
        (TERMS | {"statement_key": None, "approvers": "legal/wang"}, "statement_key, approvers: not as"),
        (TERMS | {"columns": {"u.visit": "at"}, "basis": 3}, "columns, basis: not as"),
        (TERMS | {"columns": ["u.visit"], "deal": " "}, "deal, columns: not as"),
    ],
)
def test_terms_of_another_form_are_refused(
    tmp_path: Path, said: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "desk", lambda: pytest.fail("nothing is asked for what cannot be read"))
    (tmp_path / "terms").write_text(said if isinstance(said, str) else json.dumps(said))
    (tmp_path / "nda").write_bytes(b"signed")
    words = ["open", str(tmp_path / "terms"), "--document", str(tmp_path / "nda"), "--actor", "legal/wang"]
    with pytest.raises(Refused, match=why):
        CliRunner().invoke(command.app, words, catch_exceptions=False)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refused, match="cannot be used: Not a directory"):
        directory(tmp_path / "file" / "under")
    with pytest.raises(Refused, match="cannot be used: Not a directory"):
        Room(None, None, None, None, tmp_path / "file").of("SO-000001")  # type: ignore[arg-type]
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(Refused, match="not ours to write"):
        directory(tmp_path / "shut")
