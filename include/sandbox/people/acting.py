"""Who acts for a firm: its legal representative and its handler.

A representative may be a customer too, known as such (``account_id``) or not: the second is a link that nobody
declared, since only the ID number leads to the person.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.sandbox.people.making import Making
from include.sandbox.people.person import Person, source
from include.sandbox.people.values import full_name, mobile, resident_id

DOCUMENT = "居民身份证"


@dataclass(frozen=True)
class Acting:
    """Somebody who acts for a firm."""

    name: str
    document_no: str
    mobile: str
    account_id: str | None  # as a customer, if the firm's record says so


def is_customer(p: Person) -> bool:
    """Whether somebody could act for a firm, or look into its workspace, as a customer of age."""
    return p.kind == "person" and p.left is None and not p.bare and p.guarded is None


def legal_representative(m: Making) -> Acting:
    return _acting(m, 0)


def handler(m: Making) -> Acting:
    return _acting(m, 1)


def _acting(m: Making, n: int) -> Acting:
    """The same whenever asked: the workspace and each application of the firm name the same people."""
    p, r = m.person, source(m.seed, m.person.number, f"acting {n}")
    who = m.other(p.represented_by if p.represented_by is not None else p.number + 1 + n)
    known = p.represented_by is not None or r.random() < 0.3
    if who is not None and is_customer(who) and (known or r.random() < 0.3):
        return Acting(who.name, who.document_no, who.mobile, who.account_id if known else None)
    name, number = full_name(r, False), resident_id(r, p.born, False)
    return Acting(name, number, mobile(m.seed, 92_000_000 + 2 * (p.number % 1_000_000) + n), None)
