"""What a night had disposed of when a hold came: by the stores' own receipts, read by the prover. Counts only.

A night names nobody, so nobody can say whether a row of the hold's people is among them; whoever opened the hold is told what
may just have gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import date

from include.cases import book, holds, papers
from include.cases.retention import counted
from include.cases.rooms import Desk
from include.model.errors import QuietusError
from include.model.estate import StoreDeclared
from include.model.flow import Receipt
from include.model.words import Role, StoreKind
from include.stores.postgres import receipts
from include.stores.postgres.server import Server
from include.stores.s3.area import Area
from include.stores.s3.server import Patience


def tell(
    desk: Desk, number: str, case_nos: Collection[str], covered: Collection[str], *, as_of: date, actor: str
) -> None:  # fmt: skip
    """Write onto the timelines of nights at work how much of these datasets had gone, now that the hold is in the book."""
    for case_no in case_nos:
        with desk.book() as conn:
            step = papers.current_step(conn, book.case(conn, case_no), "live")
        went, unseen = Counter[str](), dict[str, str]()
        for store in desk.catalogue.stores if step is not None else ():
            try:
                said = _receipts(desk, store, step.step_id) if step is not None else ()
            except QuietusError as error:
                unseen[store.id] = str(error)
                continue
            for receipt in said:
                for dataset in receipt.counts.keys() & set(covered):
                    went[dataset] += counted.gone({dataset: Counter(receipt.counts[dataset])})
        detail = {"hold": number, "datasets": dict(sorted((+went).items())), "unseen": unseen}
        with desk.book() as conn, book.deed(conn, case_no):
            book.note(conn, case_no, as_of, actor, holds.WENT, detail=detail)


def _receipts(desk: Desk, store: StoreDeclared, step_id: str) -> tuple[Receipt, ...]:
    from include.proofs.bucket import WORK

    if store.kind is StoreKind.S3:
        area = Area(desk.connections.s3(store.connection, Role.PROVER), WORK, store.id, Patience())
        return tuple(r for r in area.receipts(step_id) if r.verb == "dispose")
    server = Server(lambda: desk.connections.postgres(store.connection, Role.PROVER), store.id)
    with server.connect() as connection, server.reaching(f"store {store.id}"):
        return tuple(r for r in receipts.read(connection, step_id, store.id) if r.verb == "dispose")
