"""Schema ``ops``: incidents, a feed on its way in, a deal's data room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from include.sandbox.people.making import Making, Row

# What happened, days since the report, days since it was closed (None: open still).
INCIDENTS = (
    ("an operator's laptop was lost; its disk was encrypted", 1600, 1500),
    ("invoices were sent to a wrong mailing list", 1200, 1110),
    ("a log server could be reached from outside for two hours", 400, 330),
    ("a vendor reported a phishing campaign against customers", 12, None),
)


def incidents(today: date) -> Iterator[Row]:
    """Those of the company, which name nobody."""
    for n, (what, reported, closed) in enumerate(INCIDENTS, 1):
        yield "ops.incident", {
            "incident_id": n, "reported_on": today - timedelta(days=reported),
            "closed_on": None if closed is None else today - timedelta(days=closed), "what": what,
        }  # fmt: skip


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or p.left is not None:
        return
    id_ = p.account_id
    if m.has(r, 0.02):
        yield "ops.incident_person", {
            "incident_id": r.randrange(1, len(INCIDENTS) + 1), "account_id": id_,
            "effect": f"e-mail address {p.email} was shown to another customer",
        }  # fmt: skip
    if m.has(r, 0.03):
        yield "ops.feed_staging", {
            "row_no": m.id("feed"), "account_id": id_, "full_name": p.name, "mobile": p.mobile,
            "received_at": m.ago(r.randrange(3)),
        }  # fmt: skip
    if m.has(r, 0.01):
        yield "ops.data_room_entry", {
            "deal": "project north", "account_id": id_, "summary": f"重点客户:{p.firm if p.is_firm else p.name},联系人{p.name}",
            "shown_at": m.ago(r.randrange(20, 90)),
        }  # fmt: skip
