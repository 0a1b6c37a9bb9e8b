"""The transfer register: one row for each time that something was given to another company, beside what caused it.

Every maker of an event that reaches a recipient (a match, a message, an anchor, an invoice …) yields the event's row
and, by :func:`given`, the register's. So whoever was really given data is told when the person leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from random import Random

from include.sandbox.people.making import Making, Row
from include.sandbox.people.values import hexed

CONSENT, PROCEEDINGS, CORE_FUNCTION, AGREEMENT = 1, 2, 5, 6
"""Which of the six cases of policy 4.1(1) a transfer is: explicit consent; law and proceedings (3 and 4, protection
and security, do not occur here); needed for what the person asked for; an agreement signed with the person."""

REGISTERED = date(2021, 11, 1)
"""When the register was begun (``recipients.yaml``): what went out before that has left no entry, only its cause."""

RECORDED = 3 * 365  # days that the record of a transfer is kept for sure (RS-22)


@dataclass(frozen=True)
class Sent:
    """What one recipient is sent: some of what its row of table 4.4 lists, and on which case of policy 4.1(1)."""

    categories: tuple[str, ...]
    case: int


_NAME, _ID, _PHONE, _CARD = "PI-001", "PI-037", "PI-005", "PI-022"
_CASE_FILE = Sent((_NAME, "PI-004", _PHONE, "PI-034", "PI-080", "PI-081"), PROCEEDINGS)
_CASE_CHANNEL = Sent(_CASE_FILE.categories, AGREEMENT)
_MESSAGE, _TITLE, _HASH = (
    Sent((_PHONE,), CORE_FUNCTION),
    Sent((_NAME,), CORE_FUNCTION),
    Sent(("PI-083",), AGREEMENT),
)

SENT: dict[str, Sent] = {
    # Who compares an applicant with what registries know.
    "sensetime": Sent((_NAME, _ID, "PI-019", "PI-038"), CONSENT),
    "jinlianhuitong": Sent((_NAME, _ID, _PHONE), CONSENT),
    "yizhengtong": Sent((_NAME, _ID), CONSENT),
    "jinshi": Sent((_NAME, _ID, "PI-041"), CONSENT),
    "shujubao": Sent((_NAME, _ID, _PHONE), CONSENT),
    "yuansu": Sent((_NAME, _ID, _PHONE), CONSENT),
    "pengyuan": Sent((_NAME, _ID, _PHONE), CONSENT),
    "juhe": Sent((_NAME, _ID, _PHONE), CONSENT),
    "zhongshuzhihui": Sent((_NAME, _ID), CONSENT),
    "chinaums": Sent((_NAME, _ID, _PHONE, _CARD), CONSENT),
    "emay": _MESSAGE, "weilai": _MESSAGE, "chuanglan": _MESSAGE,
    "baiwang": _TITLE, "kinggrid": _TITLE, "dianju": _TITLE,
    "webank_chain": _HASH, "zhixinlian": _HASH, "sse_infonet": _HASH,
    "fazhenglian": _CASE_CHANNEL, "arb_wuhan": _CASE_FILE, "arb_ningbo": _CASE_FILE, "arb_chongqing": _CASE_FILE,
    "arb_harbin": _CASE_FILE, "arb_zhengzhou": _CASE_FILE, "arb_shiyan": _CASE_FILE,
}  # fmt: skip

MATCHERS = (
    "sensetime", "jinlianhuitong", "yizhengtong", "jinshi", "shujubao", "yuansu", "juhe", "zhongshuzhihui",
)  # fmt: skip
VEHICLE = ("PI-074", "PI-075", "PI-076", "PI-077", "PI-078")
CREDIT_AGENCIES = ("yuansu", "pengyuan")
MESSENGERS = ("emay", "weilai", "chuanglan")
SEAL_MAKERS = ("kinggrid", "dianju")
CHAINS = ("webank_chain", "zhixinlian", "sse_infonet")
COMMISSIONS = {
    "arb_wuhan": "武汉仲裁委员会", "arb_ningbo": "宁波仲裁委员会", "arb_chongqing": "重庆仲裁委员会",
    "arb_harbin": "哈尔滨仲裁委员会", "arb_zhengzhou": "郑州仲裁委员会", "arb_shiyan": "十堰仲裁委员会",
}  # fmt: skip


def given(
    m: Making, r: Random, recipient: str, at: datetime, *,
    reference: str = "", to: str = "", more: tuple[str, ...] = (), order_no: str | None = None,
) -> Iterator[Row]:  # fmt: skip
    """That a recipient was given something, under its own ``reference`` (drawn if the event keeps none).

    ``to``: whose it was, if not the one whose rows are made. ``more``: fields beyond the usual ones. ``order_no``: what
    the recipient calls the proceedings. Nothing before the register, and nothing once the person left and the record's
    own years are over.
    """
    if at.date() < REGISTERED:
        return
    if m.person.left is not None and (m.today - at.date()).days >= RECORDED:
        return
    sent = SENT[recipient]
    yield "partner.transfer", {
        "transfer_id": m.id("transfer"), "account_id": to or m.person.account_id, "recipient_id": recipient,
        "vendor_txn_id": reference or hexed(r, 24), "categories": [*sent.categories, *more], "basis_code": sent.case,
        "consent_id": m.real_name_consent if sent.case == CONSENT else None, "order_no": order_no, "sent_at": at,
    }  # fmt: skip
