"""Whether what a case's nights disposed of is out of its database's own log, as evidence: R5, where the bytes are to go.

The nightly look at the backup sets (:mod:`include.cases.backups`) observes it, once for all cases; here each case is told. It is
evidence of a kind of its own: what was seen in the files (R3, R4) neither gives way to it nor hides behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from include.cases import scrubbing, units
from include.cases.backups import OWN_LOG
from include.cases.proving import record_evidence, says_more
from include.cases.rooms import Desk
from include.model.estate import Dataset
from include.model.flow import Check, Evidence
from include.model.times import observed_now
from include.model.words import CopyKind, Rung, Verdict

KIND = OWN_LOG
"""Of the evidence, as of the tool whose sets it is about."""

_STEPS = """
SELECT s.case_no, s.step_id, t.plan, t.as_of, bool_and(z.purged_on IS NOT NULL) AS gone, max(z.looked_at) AS seen,
       (array_agg(z.because ORDER BY e.opened_on, e.no) FILTER (WHERE z.purged_on IS NULL))[1] AS because
  FROM casebook.epoch_step s JOIN casebook.epoch e USING (epoch_id) JOIN casebook.epoch_set z USING (epoch_id)
  JOIN casebook.case_ c USING (case_no) JOIN casebook.step t USING (step_id)
 WHERE e.store = %(store)s AND z.backup_set = ANY(%(sets)s) AND c.state IN ('waiting', 'held')
   AND EXISTS (SELECT FROM casebook.epoch_step w JOIN casebook.epoch b USING (epoch_id)
                WHERE w.step_id = s.step_id AND b.store = e.store AND b.rewrite_wanted)
   AND NOT EXISTS (SELECT FROM casebook.evidence_ref r WHERE r.step_id = s.step_id AND r.kind = %(kind)s
    AND r.store = %(store)s AND r.verdict = 'passed' AND r.observed_at > e.moment)
 GROUP BY s.case_no, s.step_id, t.plan, t.as_of ORDER BY s.case_no, s.step_id
"""


@dataclass(frozen=True)
class _Step:
    """A step of a case with something whose bytes are to go. ``seen``: when its log was looked at; None if never."""

    case_no: str
    step_id: str
    plan: str
    gone: bool
    seen: datetime | None
    because: str | None
    datasets: tuple[Dataset, ...]


def look(desk: Desk, *, as_of: date, actor: str) -> str:
    """Record, for each case at rest, what the last look at its database's own log came to. Again changes nothing more."""
    counts = dict.fromkeys(Verdict, 0)
    for store in sorted({b.store for b in desk.catalogue.backups if b.tool == KIND}):
        for step in _waiting(desk, store):
            evidence = _evidence(step, store, as_of)
            if says_more(desk, evidence):
                record_evidence(desk, evidence, as_of=as_of, actor=actor, strict=False)
                _advance(desk, evidence)
            counts[evidence.verdict] += 1
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) or "no case waits for it"


def _waiting(desk: Desk, store: str) -> Iterator[_Step]:
    sets = [b.id for b in desk.catalogue.backups if b.tool == KIND and b.store == store]
    with desk.book() as conn:
        rows = conn.execute(_STEPS, {"store": store, "sets": sets, "kind": KIND}).fetchall()
        for row in rows:
            if datasets := scrubbing.gone_from(desk.catalogue, conn, row["step_id"], store):
                yield _Step(
                    row["case_no"], row["step_id"], row["plan"], row["gone"], row["seen"], row["because"], datasets
                )  # fmt: skip


def _evidence(step: _Step, store: str, as_of: date) -> Evidence:
    """When it was seen to be gone is when that was observed: not now."""
    verdict = Verdict.PASSED if step.gone else Verdict.UNVERIFIED
    return Evidence(
        kind=KIND, step=step.step_id, case_no=step.case_no, store=store, as_of=as_of,
        observed_at=step.seen if step.gone and step.seen else observed_now(), plan=step.plan,
        checks=tuple(
            Check(name=f"log.{d.id}", dataset=d.id, rung=Rung.R5, verdict=verdict, why=step.because or "")
            for d in step.datasets
        ),
    )  # fmt: skip


def _advance(desk: Desk, evidence: Evidence) -> None:
    """What is out of the files (R4), and out of the log as well, is at R5. Rungs are ordered: what is not at R4 stays below."""
    if evidence.verdict is not Verdict.PASSED:
        return
    datasets = {c.dataset for c in evidence.checks}
    with desk.book() as conn:
        further = [
            u
            for u in units.of_case(conn, evidence.case_no)
            if u.dataset in datasets
            and u.copy_kind is CopyKind.LIVE
            and (u.rung_reached or Rung.R0) >= Rung.R4
        ]
        units.reached(conn, further, Rung.R5)


__all__ = ["KIND", "look"]
