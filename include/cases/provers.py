"""The verbs that have somebody else look: each asks the proofs room, logs what it says, and lets the book follow.

Looking is done over the prover's own connection, by queries that the deleter did not write. Each may be
called again: a later look replaces an earlier one, and settles its findings where they are gone.

The proofs room stands on Great Expectations, which takes seconds to import: only a task that proves pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from include.cases import book, ciphertexts, papers, subjects
from include.cases.acting import settle_and_plan
from include.cases.book import Case, Conn
from include.cases.disposing import dispose
from include.cases.proving import record_evidence
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.errors import Drifted, NotProved, Refused
from include.model.flow import Evidence, Plan, Step
from include.model.words import Verdict

if TYPE_CHECKING:
    from include.proofs.values import Values

PLANS = 4  # times that a disposal is planned, at most, before a person looks into it


def prove_restricted(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """As each business role: not one row or object of the person, no write, no session, no certificate."""
    from include import proofs

    step, _ = _step_and_plan(desk, case_no, planned=False)
    if not step.restricting:
        return "nobody is restricted: the request reaches a part of what we hold"
    found = proofs.restricted(desk.catalogue, desk.connections, step)
    if not found:
        raise NotProved(
            "nobody looked whether the restriction holds", about=case_no,
            next_step="see why the stores have nothing to look at, before anything is disposed of",
        )  # fmt: skip
    return record(desk, found, as_of=as_of, actor=actor)


def prove_baseline(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """Before anything goes: the prover sees exactly what was located. What scans will look for is sealed."""
    from include import proofs

    step, plan = _step_and_plan(desk, case_no)
    _seal_values(desk, case_no, step)
    # Planned again half-way: a store that was begun shows less by now than was located, as it must.
    begun = {store.id for store in desk.stores() if any(r.verb == "dispose" for r in store.receipts(step))}
    kept = ciphertexts.kept(desk, case_no)
    found = proofs.baseline(desk.catalogue, desk.connections, step, plan, kept)
    if not begun:  # a key that is gone by now was seen to open what was kept
        ciphertexts.keep(desk, case_no, kept)
    return record(desk, [e for e in found if e.store not in begun], as_of=as_of, actor=actor)


def carry_out(desk: Desk, case_no: str, *, as_of: date, actor: str) -> int:
    """Dispose; and where items moved meanwhile (another case rewrote a file that both share), plan again,
    look again, and go on. The number of receipts. Raises Drifted if they keep moving, and whatever
    :func:`settle_and_plan` raises if the new plan goes beyond what was approved."""
    for attempt in range(PLANS):
        try:
            return len(dispose(desk, case_no, as_of=as_of, actor=actor))
        except Drifted:
            if attempt == PLANS - 1:
                raise
            settle_and_plan(desk, case_no, as_of=as_of, actor=actor)
            prove_baseline(desk, case_no, as_of=as_of, actor=actor)
    raise AssertionError("the loop returns or raises")


def prove_gone(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """What went is gone, rows and objects and versions; what was cut is cut; what stays is all there; and nobody
    else's rows were written."""
    from include import proofs

    step, plan = _step_and_plan(desk, case_no)
    found = [
        *proofs.gone(desk.catalogue, desk.connections, step, plan),
        *proofs.objects_gone(desk.catalogue, desk.connections, step, plan, ciphertexts.kept(desk, case_no)),
        *proofs.touched(desk.catalogue, desk.connections, step, plan),
    ]
    return record(desk, found, as_of=as_of, actor=actor)


def prove_undeclared(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """The person's own values, looked for in every column and object, declared or not."""
    from include import proofs

    step, plan = _step_and_plan(desk, case_no)
    found = proofs.dragnet(desk.catalogue, desk.connections, step, plan, sought(desk, case_no))
    return record(desk, found, as_of=as_of, actor=actor)


def sought(desk: Desk, case_no: str) -> Values:
    """The values of a case's people, as they were sealed before the disposal. Raises NotProved if none were."""
    values = sealed(desk, case_no)
    if not values.of_somebody:
        raise _nothing(case_no)
    return replace(values, pieces=frozenset(), empty=frozenset())


def sealed(desk: Desk, case_no: str) -> Values:
    """All that was sealed, with pieces of what went, which are nobody's name. Raises NotProved if nothing was."""
    from include.proofs.values import Values

    return Values.from_text(_opened(desk, case_no))


def _step_and_plan(desk: Desk, case_no: str, *, planned: bool = True) -> tuple[Step, Plan]:
    desk.are_ours()
    with desk.book() as conn:
        case = book.case(conn, case_no)
        row = papers.current_step(conn, case, "live")
        if row is None:
            raise Refused("the case is not restricted", about=case_no, next_step="restrict it first")
        plans = papers.plans(conn, case, "live" if planned else "rehearsal")
        if not plans:
            raise Refused("there is no plan in force", about=case_no, next_step="settle and plan first")
        return row.step(case, subjects.ids(conn, desk.keys, case)), plans[-1]


def record(desk: Desk, found: Sequence[Evidence], *, as_of: date, actor: str) -> str:
    """Record everything that was seen, then raise NotProved on the first that is not as it must be."""
    failed: NotProved | None = None
    counts = dict.fromkeys(Verdict, 0)
    for evidence in found:
        for check in evidence.checks:
            counts[check.verdict] += 1
        try:
            record_evidence(desk, evidence, as_of=as_of, actor=actor)
        except NotProved as not_proved:
            failed = failed or not_proved
    if failed is not None:
        raise failed
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) or "nothing to look at"


# --- what scans look for ------------------------------------------------------------------------

_FIELD = "sought.sealed_values"


def _seal_values(desk: Desk, case_no: str, step: Step) -> None:
    """Read the person's own values once, as the prover, and keep them sealed with the case's key."""
    from include import proofs

    with desk.book() as conn:
        case = book.case(conn, case_no)
        if _sealed(conn, case) is not None:
            return
        values = proofs.collect_values(desk.catalogue, desk.connections, step)
        pieces = proofs.collect_pieces(desk.catalogue, desk.connections, step)
        _keep(desk, conn, case, replace(values, pieces=pieces.pieces, empty=pieces.empty))


def seal_pieces(desk: Desk, step: Step, catalogue: Catalogue) -> None:
    """Of items that no person leads to, pieces of what is to go from the files; what was sealed of an earlier plan gives way.
    Before anything is disposed of. ``catalogue``: as the step works on it. Raises as :func:`include.proofs.collect_pieces`."""
    from include import proofs

    pieces = proofs.collect_pieces(catalogue, desk.connections, step)
    with desk.book() as conn:
        _keep(desk, conn, book.case(conn, step.case_no), pieces)


def _keep(desk: Desk, conn: Conn, case: Case, values: Values) -> None:
    with book.deed(conn, case.case_no):
        conn.execute(
            "INSERT INTO casebook.sought (case_no, sealed_values) VALUES (%s, %s)"
            " ON CONFLICT (case_no) DO UPDATE SET sealed_values = excluded.sealed_values",
            (case.case_no, desk.seal(case).seal(_FIELD, values.to_text())),
        )


def _opened(desk: Desk, case_no: str) -> str:
    with desk.book() as conn:
        case = book.case(conn, case_no)
        sealed = _sealed(conn, case)
        if sealed is None:
            raise _nothing(case_no)
        return desk.seal(case).open(_FIELD, sealed)


def _nothing(case_no: str) -> NotProved:
    return NotProved(
        "nothing is known that a scan could look for", about=case_no,
        next_step="prove the baseline again, before anything is disposed",
    )  # fmt: skip


def _sealed(conn: Conn, case: Case) -> bytes | None:
    row = conn.execute(
        "SELECT sealed_values FROM casebook.sought WHERE case_no = %s", (case.case_no,)
    ).fetchone()
    return None if row is None else bytes(row["sealed_values"])
