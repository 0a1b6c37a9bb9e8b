"""Schema ``support``: tickets, calls, the appeal mailbox, requests about rights, arbitration."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people import keys, words
from include.sandbox.people.making import Making, Row
from include.sandbox.people.transfers import COMMISSIONS, given


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or p.left is not None:
        return
    id_ = p.account_id
    if m.has(r, 0.25):
        yield from _ticket(m, r)
    if m.has(r, 0.15):
        call, days = m.id("call"), r.randrange(900)
        yield "support.call_record", {
            "call_id": call, "account_id": id_, "number": p.mobile, "recording_key": f"{id_}/{call}.wav",
            "called_at": m.ago(days, r),
        }  # fmt: skip
        yield keys.row(m, "support.recording_key", keys.recording_key(m), id_, days)
    if m.has(r, 0.03):
        yield "support.appeal_mail", {
            "mail_id": m.id("mail"), "account_id": id_, "from_address": p.email, "body": words.appeal(p),
            "received_at": m.ago(r.randrange(500), r),
        }  # fmt: skip
    if m.has(r, 0.03):
        asked = r.randrange(30, 1300)
        yield "support.rights_request", {
            "request_id": m.id("request"), "account_id": id_,
            "right_asked": r.choice(("access", "copy", "correction", "withdrawal")), "proof_kind": "signed letter",
            "proof": f"本人{p.name},证件号{p.document_no},申请查阅个人信息", "proof_checked_at": m.ago(asked - 2),
            "received_at": m.ago(asked), "closed_at": m.ago(asked - 20),
        }  # fmt: skip
    if p.in_arbitration or m.has(r, 0.02):
        yield from _arbitration(m, r)


def _arbitration(m: Making, r: Random) -> Iterator[Row]:
    """A loan that was signed here and not paid back: our copy, and what commission and case channel were given."""
    p, filed, commission = m.person, r.randrange(220, 600), r.choice(tuple(COMMISSIONS))
    name = COMMISSIONS[commission]
    docket = f"({m.day(filed):%Y}){name[0]}仲受字第{p.number:06d}号"
    yield "support.arbitration", {
        "arbitration_id": m.id("arbitration"), "account_id": p.account_id, "commission": name, "docket_no": docket,
        "ethnicity": p.ethnicity, "address": p.address, "loan_amount": r.randrange(10, 500) * 1000,
        "loan_details": f"{p.name}({p.document_no})逾期借款,电话{p.mobile}", "filed_on": m.day(filed),
        "closed_on": None if p.in_arbitration else m.day(filed - 180),
    }  # fmt: skip
    for recipient in ("fazhenglian", commission):
        yield from given(m, r, recipient, m.ago(filed), order_no=docket)


def _ticket(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    ticket, opened = m.id("ticket"), r.randrange(5, 1000)
    yield "support.ticket", {
        "ticket_id": ticket, "account_id": p.account_id, "contact": words.spoken(r, p.mobile),
        "content": words.ticket(r, p), "outcome": r.choice(("已解决", "已回访", "转技术处理")),
        "complaint": words.complaint(r) if m.has(r, 0.2) else None, "opened_at": m.ago(opened),
        "closed_at": m.ago(opened - r.randrange(1, 5)),
    }  # fmt: skip
    for n in range(r.randrange(1, 3)):
        yield "support.ticket_note", {"ticket_id": ticket, "note_no": n + 1, "note": words.note(r, p)}
