"""Which part of a person a case is about, by its ground; of the grounds that end the relation, everything."""

from __future__ import annotations

from include.cases import supplied, withdrawals
from include.cases.book import Case, Conn
from include.cases.part import Part
from include.cases.rooms import Desk
from include.model.words import Ground


def reach(desk: Desk, conn: Conn, case: Case) -> Part | None:
    """The part, as things stand now; None: no part is named. Raises NotReachable if the company does not answer."""
    if case.ground is Ground.WITHDRAWN_CONSENT:
        return withdrawals.reach(desk, conn, case)
    return reached(desk, conn, case)


def reached(desk: Desk, conn: Conn, case: Case) -> Part | None:
    """The part that it had when it was carried out: what a replay does again, whatever was agreed on since."""
    if case.ground is Ground.ENTRUSTMENT_ENDED:
        return supplied.reach(desk.catalogue, case)
    if case.ground is Ground.WITHDRAWN_CONSENT:
        return withdrawals.reached(desk, conn, case)
    return None
