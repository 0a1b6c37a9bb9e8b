"""The company's people at the bodies: whatever its transfer register says was given away lies there, under their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from include.model.errors import NotReachable, Refused
from include.sandbox.recipients.world import Record, World

PHONE = "PI-005"
FILLED = "filled"
_REGISTER = """
SELECT t.recipient_id, t.vendor_txn_id, t.account_id, t.categories, t.sent_at::date,
       CASE WHEN t.categories = ARRAY[%(phone)s] THEN p.mobile END
  FROM partner.transfer AS t LEFT JOIN account.person AS p USING (account_id)
"""
"""Who was sent a number and nothing else finds people by it: an SMS vendor."""
_HERE = " WHERE NOT EXISTS (SELECT FROM quietus.restriction AS r WHERE r.subject_id = t.account_id)"
# A company is known by what it was made with and when its database was made.
_COMPANY = """
SELECT obj_description(to_regnamespace('account'), 'pg_namespace') || ' ' || d.oid || ' '
       || (SELECT system_identifier FROM pg_control_system()),
       to_regclass('quietus.restriction') IS NOT NULL
  FROM pg_database AS d WHERE d.datname = current_database()
"""


def settle(conninfo: str, world: World, say: Callable[[str], None] = lambda line: None) -> int:
    """Register everybody once, in bulk; how many records were new. Raises NotReachable.

    Once for a company: what a body has deleted since must not come back because servers were started again. If the
    world lost its memory, those who are restricted or gone are left out.
    """
    try:
        with psycopg.connect(conninfo, connect_timeout=10) as connection:
            row = connection.execute(_COMPANY).fetchone()
            company, restricts = row or (None, False)
            if company is None or world.fact(FILLED) == company:
                return 0  # nobody is there yet, or everybody is here
            new = world.register(_given(connection, _REGISTER + (_HERE if restricts else "")))
    except psycopg.OperationalError:
        raise NotReachable(
            "the company's database does not answer", about="company", next_step="quietus sandbox up"
        ) from None
    world.set_fact(FILLED, company)
    say(f"recipients: {new:,} records of the company's people lie with them")
    return new


def _given(connection: psycopg.Connection[Any], query: str) -> Iterator[Record]:
    with connection.cursor("register") as cursor:
        cursor.itersize = 20_000
        cursor.execute(query.encode(), {"phone": PHONE})
        for body, ref, account, categories, given_on, value in cursor:
            yield Record(body, ref, account, tuple(categories), given_on, value)


_SUPPLIED = """
SELECT s.reference FROM partner.supplied AS s JOIN account.account AS a USING (account_id)
 WHERE s.partner = %(partner)s AND a.cancelled_at IS NULL AND (%(account)s::text IS NULL OR s.account_id = %(account)s)
 ORDER BY s.supplied_id LIMIT 1
"""


def number_of(conninfo: str, partner: str, account: str | None = None) -> str:
    """A number of the partner's own for a customer that it supplied data about (of this account, or the first that
    there is). Raises Refused if there is none."""
    with psycopg.connect(conninfo, connect_timeout=10) as connection:
        row = connection.execute(_SUPPLIED.encode(), {"partner": partner, "account": account}).fetchone()
    if row is None:
        raise Refused(
            "it supplied nothing about anybody who is still a customer", about=partner,
            next_step="quietus sandbox seed",
        )  # fmt: skip
    return str(row[0])
