"""What the company's ops does before anybody asks for a deletion: recipients' word is to be tested by people of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import psycopg

from include.cases.accounts import Standing
from include.cases.notices import synthetic
from include.cases.verbs import Desk
from include.model.words import Role


def register_synthetic_people(desk: Desk, accounts: Sequence[str], *, as_of: date) -> int:
    """Register these accounts under the numbers of the transfer register; how many were new.

    One that is cancelled, or is known already, stays as it is. The register is read as the prover.
    """
    new = 0
    for account in accounts:
        if desk.accounts.standing(account) is Standing.LIVE and not synthetic.registered(desk, account):
            synthetic.add(desk, account, _numbers(desk, account), as_of=as_of, actor="ops/sandbox")
            new += 1
    return new


def _numbers(desk: Desk, account: str) -> dict[str, list[str]]:
    """Of every recipient that can be asked: its own numbers for the account."""
    askable = [r.id for r in desk.catalogue.recipients if r.channel == synthetic.ASKABLE]
    conninfo = desk.connections.postgres(desk.catalogue.store("company").connection, Role.PROVER)
    found: dict[str, list[str]] = {}
    with psycopg.connect(conninfo, connect_timeout=10, options="-c statement_timeout=60s") as connection:
        for recipient, reference in connection.execute(
            "SELECT recipient_id, vendor_txn_id FROM partner.transfer WHERE account_id = %s AND recipient_id = ANY(%s)"
            " ORDER BY 1, 2",
            (account, askable),
        ):
            found.setdefault(recipient, []).append(reference)
    return found
