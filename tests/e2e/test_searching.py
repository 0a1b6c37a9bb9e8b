"""The search itself, before anything is concluded from it: every value is found in every writing, and nothing else is."""

from __future__ import annotations

import base64
import json
import random
from urllib.parse import quote

import pytest

from tests.e2e.searching import Hit, Sought, forms

VALUES = {
    "full_name": "欧阳鹮靐", "document_no": "110105194912310021", "mobile": "13912340987",
    "email": "huan.ouyang@canary.example", "address": "北京市朝阳区龘靐路777号", "account_id": "acct_0123456789ab",
}  # fmt: skip
SOUGHT = Sought({"her": VALUES})


def among(form: bytes) -> bytes:
    """With noise before and behind, at no particular place."""
    dice = random.Random(form)
    return dice.randbytes(dice.randint(0, 999)) + form + dice.randbytes(dice.randint(0, 999))


@pytest.mark.parametrize("what", VALUES)
def test_every_writing_of_a_value_is_found_and_named(what: str) -> None:
    for how, form in forms(VALUES[what]):
        assert Hit("her", what, how, "noise") in SOUGHT.hits("noise", among(form)), how


@pytest.mark.parametrize("what", VALUES)
def test_what_real_writers_write_is_found(what: str) -> None:
    """Not by our own encoders: as PostgreSQL, Python, JSON, a browser and base64 write it, at every alignment."""
    value = VALUES[what]
    said = json.dumps({"note": f"about {value}."})
    written = [
        f"\\\\x{f'name={value};'.encode().hex()}".encode(),
        *(base64.b64encode(b"x" * n + f"{value} and more".encode()) for n in range(7)),
        *(base64.urlsafe_b64encode(b"x" * n + value.encode()) for n in range(7)),
        said.encode(), json.dumps({"body": said}).encode(), base64.b64encode(said.encode()), said.encode().hex().encode(),
        f"/find?q={quote(value)}".encode(), repr(value.encode()).encode(), value.encode("utf-16"),
    ]  # fmt: skip
    for content in written:
        assert {(h.person, h.what) for h in SOUGHT.hits("there", content)} == {("her", what)}, content


def test_noise_and_other_people_are_not_taken_for_her() -> None:
    dice = random.Random(1)
    noise = (
        dice.randbytes(2_000_000)
        + base64.b64encode(dice.randbytes(500_000))
        + dice.randbytes(500_000).hex().encode()
    )
    assert SOUGHT.hits("noise", noise) == set()
    assert SOUGHT.hits("others", "欧阳娜 13912340986 acct_0123456789ac huan@canary.example".encode()) == set()
