"""The verbs of proving: record what others looked at, and balance the books. The book believes only these.

Whoever proves is not whoever deletes: the proofs room makes :class:`Evidence` over its own connection, and
this room logs it, advances the units it proves, and turns what it disproves into findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from include.cases import balance as books
from include.cases import book, papers, units
from include.cases.balance import Account
from include.cases.book import Case, Conn
from include.cases.controls import doubt
from include.cases.guards import Facts
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.cases.units import Unit
from include.model.catalogue import Catalogue
from include.model.errors import NotProved, Refused
from include.model.flow import Check, Evidence, Finding
from include.model.times import observed_now
from include.model.words import CopyKind, Disposition, Rung, UnitState, Verdict

GONE = "gone"
CUT = frozenset({Disposition.DEIDENTIFY, Disposition.ANONYMISE})
"""What leaves a part of the rows. Plans of before the two were told apart say the second of what was only cut."""
ANONYMITY = "anonymity"
PROVES_ABSENCE = frozenset({GONE, "residue", ANONYMITY})
"""Kinds of evidence whose checks say that an item, or its person, is no longer there."""


def record_evidence(
    desk: Desk, evidence: Evidence, *, as_of: date, actor: str, strict: bool = True
) -> Verdict:
    """Log a proof's result and let the book follow it. Recording it twice changes nothing more.

    Raises NotProved (``strict``) after recording if it failed or could not be made: nothing is called
    gone, and the finding is in the book by the check's own name.
    """
    key = f"{evidence.case_no}/{evidence.kind}/{evidence.store or 'all'}/{evidence.fingerprint()[:32]}"
    keys = desk.append(evidence, key)
    with desk.book() as conn, book.deed(conn, evidence.case_no):
        case = book.case(conn, evidence.case_no, lock=True)
        papers.keep_evidence(conn, evidence, keys)
        _findings(conn, evidence, actor)
        doubt.settle(conn, case.case_no, evidence.kind, evidence.store, evidence.observed_at, actor=actor)
        if evidence.kind in PROVES_ABSENCE:
            _advance(desk, conn, case, evidence, as_of=as_of, actor=actor)
        book.note(conn, case.case_no, as_of, actor, "evidence",
                  detail={"kind": evidence.kind, "store": evidence.store or "",
                          "verdict": evidence.verdict.value, "checks": len(evidence.checks)})  # fmt: skip
    bad = [c for c in evidence.checks if c.verdict is not Verdict.PASSED and matters(c)]
    if strict and (bad or not evidence.checks):
        first = f"{bad[0].name}: {bad[0].why or 'no reason given'}" if bad else "no check was made"
        raise NotProved(
            f"the proof '{evidence.kind}' is {evidence.verdict.value} in {len(bad)} of"
            f" {len(evidence.checks)} "
            f"checks; the first is {first}",
            about=evidence.case_no,
            next_step="see the findings with `quietus case show`; the case stays open",
        )
    return evidence.verdict


def says_more(desk: Desk, evidence: Evidence) -> bool:
    """Whether it says what its kind did not say last of this step and store: what cannot be looked at tonight either is not said
    every night, and what was seen to be gone is said again when it was seen again."""
    with desk.book() as conn:
        before = [e for _, e in papers.evidence(conn, evidence.case_no)
                  if (e.kind, e.step, e.store) == (evidence.kind, evidence.step, evidence.store)]  # fmt: skip
    if not before:
        return True
    last = before[-1]
    if evidence.verdict is Verdict.PASSED and evidence.observed_at > last.observed_at:
        return True
    return {(c.name, c.verdict) for c in last.checks} != {(c.name, c.verdict) for c in evidence.checks}


def _findings(conn: Conn, evidence: Evidence, actor: str) -> None:
    """A failed check opens a finding under its own name; the same check passing later settles it."""
    code = f"{evidence.kind}_not_proved"
    if not evidence.checks:
        found = _finding(
            code, f"{evidence.kind} {evidence.store or ''}".strip(), None, None, "no check was made"
        )
        papers.keep_findings(conn, evidence.case_no, [found])
    proved = {_place(c) for c in evidence.checks if c.verdict is Verdict.PASSED}
    papers.settle_findings(conn, evidence.case_no, code, proved, actor=actor, settlement="proved since")
    bad = [c for c in evidence.checks if c.verdict is not Verdict.PASSED]
    papers.keep_findings(conn, evidence.case_no, [_of(code, c) for c in bad if matters(c)])


def matters(check: Check) -> bool:
    """Whether a check that did not pass keeps a case from going on."""
    # A rung that cannot be observed (R3 and up on a managed server) is UNVERIFIED and stands so on the
    # certificate; only what the live deletion itself needs keeps the case from resting. So does a store that
    # cannot refuse anybody anything: there a restriction only marks, and what stays there is pending at R1.
    if check.name.startswith("enforced.") and check.verdict is Verdict.UNVERIFIED:
        return False
    return check.verdict is Verdict.FAILED or check.rung <= Rung.R2


def _place(check: Check) -> str:
    return f"{check.name}@{check.copy_kind.value}"


def _of(code: str, check: Check) -> Finding:
    numbers = ""
    if check.expected is not None or check.observed is not None:
        numbers = f" (expected {check.expected}, observed {check.observed})"
    what = f"{check.name} is {check.verdict.value}{numbers}: {check.why or 'no reason given'}"
    return _finding(code, _place(check), check.dataset, check.observed, what)


def _finding(code: str, place: str, dataset: str | None, items: int | None, what: str) -> Finding:
    return Finding(code=code, dataset=dataset, place=place, items=items, what=what,
                   next_step="find out why, dispose of what is left, and prove it again")  # fmt: skip


def _advance(desk: Desk, conn: Conn, case: Case, evidence: Evidence, *, as_of: date, actor: str) -> None:
    """Rows 12, 13 and 21: a unit goes to the end that its own dataset's checks prove, and no further."""
    base = facts(conn, case, as_of)
    stores = {d.id: d.store for d in desk.catalogue.in_parts.datasets}
    gone: list[Unit] = []
    failed: list[Unit] = []
    anonymised: list[Unit] = []
    deidentified: list[Unit] = []
    reached: dict[Rung, list[Unit]] = {}
    for unit in units.of_case(conn, case.case_no):
        if evidence.store is not None and stores.get(unit.dataset) != evidence.store:
            continue
        if evidence.kind == ANONYMITY and not _is_released(desk, unit):
            continue
        checks = _of_unit(unit, evidence.checks)
        passed = {c.rung for c in checks} - {c.rung for c in checks if c.verdict is not Verdict.PASSED}
        if passed:
            reached.setdefault(max(passed), []).append(unit)
        verdict = _verdict(checks)
        if unit.state is UnitState.DELETING_LIVE:
            ended = {Verdict.PASSED: gone, Verdict.FAILED: failed}.get(verdict)
            if ended is not None:
                ended.append(unit)
        cut = unit.state is UnitState.RESTRICTED and unit.disposition in CUT
        if cut and _is_released(desk, unit):  # by what measured and attacked the set, and by nothing else
            if evidence.kind == ANONYMITY and _irreversible(checks):
                anonymised.append(unit)
        elif cut and verdict is Verdict.PASSED:
            (anonymised if _irreversible(checks) else deidentified).append(unit)
    for rung, those in reached.items():
        units.reached(conn, those, rung)
    units.move(conn, gone, UnitState.LIVE_DELETED, lambda u: _with(u, base, probe=Verdict.PASSED), actor)
    units.move(conn, failed, UnitState.DELETE_FAILED, lambda u: _with(u, base, probe=Verdict.FAILED), actor)
    units.move(conn, anonymised, UnitState.ANONYMISED,
               lambda u: _with(u, base, probe=Verdict.PASSED, irreversible=True), actor)  # fmt: skip
    units.move(conn, deidentified, UnitState.DEIDENTIFIED,
               lambda u: replace(_with(u, base, probe=Verdict.PASSED), rest_ends=_rest_ends(desk, u)), actor)  # fmt: skip


def _with(unit: Unit, base: Facts, probe: Verdict, irreversible: bool = False) -> Facts:
    return replace(unit.facts(base), probe=probe, irreversible=irreversible)


def _of_unit(unit: Unit, checks: Iterable[Check]) -> list[Check]:
    """The checks of a unit's dataset and copy. A live check at R4 speaks for object versions too."""
    return [
        c
        for c in checks
        if c.dataset == unit.dataset
        and (
            c.copy_kind is unit.copy_kind
            or (
                unit.copy_kind is CopyKind.OBJECT_VERSION
                and c.copy_kind is CopyKind.LIVE
                and c.rung >= Rung.R4
            )
        )
    ]


def _verdict(checks: list[Check]) -> Verdict:
    """PASSED only if rows or objects were seen gone (R1 or R2 and up) and nothing was seen left."""
    if any(c.verdict is Verdict.FAILED for c in checks):
        return Verdict.FAILED
    seen = [c for c in checks if c.verdict is Verdict.PASSED and c.rung >= Rung.R1]
    blind = [c for c in checks if c.verdict is Verdict.UNVERIFIED and c.rung <= Rung.R2]
    return Verdict.PASSED if seen and not blind else Verdict.UNVERIFIED


def _irreversible(checks: list[Check]) -> bool:
    """Tested (R10), and nothing of it failed. That values were cut shows nothing of who can still be found."""
    r10 = {c.verdict for c in checks if c.rung is Rung.R10}
    return r10 == {Verdict.PASSED}


def _is_released(desk: Desk, unit: Unit) -> bool:
    """Whether a release made something else of the unit's rows, so that no cut row is left."""
    return unit.disposition is Disposition.ANONYMISE and is_released(desk.catalogue, unit.dataset)


def is_released(catalogue: Catalogue, dataset: str) -> bool:
    """Whether what is called anonymised of a dataset was released into a table of its own."""
    return any(r.dataset == dataset and r.into and r.claims == "anonymised" for r in catalogue.releases)


def _rest_ends(desk: Desk, unit: Unit) -> bool:
    """Whether what is left of a cut unit goes some day: by its own bind, or, of what is to be erased, with what needs it."""
    dataset = desk.catalogue.dataset(unit.dataset)
    return Disposition(dataset.action) is not Disposition.DEIDENTIFY or (
        dataset.cut is not None and dataset.cut.ends is not None
    )


def balance(desk: Desk, case_no: str, *, as_of: date, actor: str) -> tuple[Account, ...]:
    """Balance the books of the step in force, and log the result as evidence either way.

    Raises BooksDoNotBalance naming the dataset and both numbers.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        row = papers.current_step(conn, case, "live")
        plans = papers.plans(conn, case, "live")
        if row is None or not plans:
            raise Refused("there is no plan in force", about=case_no, next_step="settle and plan first")
        receipts = papers.receipts(conn, row.step_id, "dispose")
    earlier = [p.fingerprint() for p in plans[:-1]]
    evidence = books.evidence(plans[-1], receipts, observed_now(), earlier=earlier)
    record_evidence(desk, evidence, as_of=as_of, actor=actor, strict=False)
    return books.check(plans[-1], receipts, earlier=earlier)
