"""Nothing personal enters the log; what is refused is named by place and shape, never by value."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from include.ledger.screen import MAX_BYTES, screened
from include.model.errors import Refused

MOBILE, ID_NO, MAIL = "13912345678", "11010519491231002X", "somebody@example.com"
ACCOUNT, CREDIT_CODE, CARD = "acct_0123456789ab", "91110000600037341L", "6222021001116245702"


@pytest.mark.parametrize(
    "value",
    [
        MOBILE, f"+86{MOBILE}", f"+86 {MOBILE}", "139 1234 5678", "139-1234-5678", f"tel{MOBILE}x",
        f"电话{MOBILE}。", "１３９１２３４５６７８", int(MOBILE), [{"a": [MOBILE]}], {MOBILE: 1},
        ID_NO, ID_NO.lower(), "身份证" + ID_NO, MAIL, f"<{MAIL}>", "某人@example.com.cn",
        ACCOUNT, f"erase:{ACCOUNT}/1", {ACCOUNT: 1}, CREDIT_CODE, CARD, "6222 0210 0111 6245 702", "%31" + MOBILE[1:],
    ],
)  # fmt: skip
def test_identifiers_of_people_are_refused_and_not_echoed(value: Any) -> None:
    with pytest.raises(Refused, match="personal value") as caught:
        screened({"n": value})
    for secret in (
        MOBILE,
        "1234 5678",
        "1234-5678",
        "３９",
        ID_NO,
        ID_NO.lower(),
        "somebody",
        "某人",
        ACCOUNT,
        CREDIT_CODE,
        CARD,
    ):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"a": 1.5}, "a float may not"), ({"a": b"x"}, "a bytes may not"), ({"a": {1}}, "a set may not"),
        ({1: "a"}, "a key is not a string"), ({"a": 2**53}, "too large"),
        ({"a": "x" * MAX_BYTES}, "more than 65536"),
        ({"a": "\ud800"}, "canonical JSON"),
    ],
)  # fmt: skip
def test_unsuitable_bodies_are_refused(body: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        screened(body)


def test_deep_nesting_is_refused() -> None:
    body: Any = 1
    for _ in range(40):
        body = [body]
    with pytest.raises(Refused, match="deeper"):
        screened({"a": body})


def test_what_evidence_is_made_of_passes() -> None:
    body = {
        "digest": "1" * 64, "plan": "a13912345678b" + "0" * 51, "at": "2026-11-24T02:00:00.123456Z",
        "lsn": "16/B374D848", "xid": 4294967295, "items": 100_000, "until": None, "ok": True,
        "cluster": "7300000000000000000", "policy": "注销后删除", "case": "CASE-000042",
    }  # fmt: skip
    assert screened(body) == rfc8785.dumps(body)


@given(st.binary())
def test_no_digest_is_taken_for_a_number(data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    assert screened({"digest": digest, "said": f"plan {digest} of the case"})
