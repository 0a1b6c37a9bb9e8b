"""What the company's legal department does before anybody asks for a deletion: disputes hold their evidence."""

from __future__ import annotations

from datetime import date

import psycopg

from include.cases import holds
from include.cases.scopes import HoldBasis
from include.cases.verbs import Desk, open_hold
from include.model.words import Role

EVIDENCE = frozenset({
    "support.arbitration", "sign.contract", "sign.contract_party", "sign.signature", "sign.chain_anchor",
    "objects.contracts", "objects.locked_evidence",
})  # fmt: skip
"""What a dispute about a contract needs. The rest of what its party has stays under its own rules (policy 10)."""

LAW = "Arbitration Law 58; policy 10"


def hold_open_disputes(desk: Desk, *, as_of: date) -> int:
    """A hold for each arbitration that is open and has none yet; how many were opened.

    One that was released stays released: who released it knew why. The arbitrations are read from the company,
    as the prover; the docket number is the hold's document.
    """
    with desk.book() as conn:
        had = {str(row["document_no"]) for row in holds.listing(conn, released=True)}
    opened = 0
    for docket, commission, account in _open_arbitrations(desk):
        if docket not in had:
            open_hold(
                desk, basis=HoldBasis.DISPUTE, document_no=docket, issuing_body=commission, law=LAW, as_of=as_of,
                actor="legal/sandbox", account_ids=frozenset({account}), datasets=EVIDENCE,
            )  # fmt: skip
            opened += 1
    return opened


def _open_arbitrations(desk: Desk) -> list[tuple[str, str, str]]:
    conninfo = desk.connections.postgres(desk.catalogue.store("company").connection, Role.PROVER)
    with psycopg.connect(conninfo, connect_timeout=10, options="-c statement_timeout=60s") as connection:
        return connection.execute(
            "SELECT docket_no, commission, account_id FROM support.arbitration"
            " WHERE closed_on IS NULL ORDER BY arbitration_id"
        ).fetchall()
