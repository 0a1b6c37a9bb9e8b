"""Looked at again: what a blind night left in doubt, once the proofs were seen to see.

Of every case at rest the last look of each proof, step and store counts; those in doubt are made again, and so is one that was
made again and found somebody, until it finds nobody. (A case at work is looked at by its own run, and comes here when it rests.)
Its step area is gone: what is left of the person is located and weighed anew,
as of the step's own day, in an area of its own that changes nothing and is dropped. What the plan kept, or cut, is found there
again; what should be gone and is not is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from include.cases import book, ciphertexts, papers, provers, remains, subjects
from include.cases.book import Conn
from include.cases.controls.doubt import doubted, doubts
from include.cases.controls.judging import DRAGNET, GONE
from include.cases.deciding import provisions
from include.cases.planner import Provided
from include.cases.rooms import Desk
from include.model.errors import QuietusError, Refused
from include.model.flow import Evidence, Plan, Step
from include.model.times import observed_now
from include.model.words import Verdict

_LAST_LOOKS = """
SELECT DISTINCT ON (e.case_no, e.step_id, e.kind, e.store) e.case_no, e.step_id, e.kind, e.store, e.observed_at, e.verdict
  FROM casebook.evidence_ref e JOIN casebook.case_ c USING (case_no)
 WHERE c.state IN ('waiting', 'held') AND e.kind = ANY(%s)
   AND e.case_no IN (SELECT x.case_no FROM casebook.evidence_ref x
                      WHERE x.kind = ANY(%s) AND (x.observed_at AT TIME ZONE 'Asia/Shanghai')::date = ANY(%s))
 ORDER BY e.case_no, e.step_id, e.kind, e.store, e.observed_at DESC
"""


@dataclass(frozen=True)
class InDoubt:
    """A proof of a step in a store that was blind on the day on which it looked, or has found somebody since."""

    case_no: str
    step_id: str
    kind: str
    store: str


@dataclass(frozen=True)
class Again:
    """``cases``: looked at again, with nothing in doubt now and nothing else in a certificate's way; ``looked``: how
    many there were in all; ``failed``: what became of the others, in words; ``blind``: proofs that are not seen to see yet, so
    that nobody asked them."""

    looked: int
    cases: tuple[str, ...]
    failed: tuple[str, ...]
    blind: tuple[str, ...]

    def __str__(self) -> str:
        said = [f"{self.looked} cases were looked at again"]
        said += [f"not yet: {proof}, which misses what is planted" for proof in self.blind]
        return "; ".join([*said, *self.failed])


def in_doubt(conn: Conn) -> tuple[InDoubt, ...]:
    """The last looks of cases at rest that do not count."""
    found = doubts(conn)
    kinds, days = sorted({d.proof for d in found}), sorted({d.day for d in found})
    rows = conn.execute(_LAST_LOOKS, (kinds, kinds, days)).fetchall() if found else []
    return tuple(
        InDoubt(r["case_no"], r["step_id"], r["kind"], r["store"])
        for r in rows
        if doubted(found, r["kind"], r["store"], r["observed_at"])
        or (r["kind"] != remains.KIND and r["verdict"] == Verdict.FAILED)
    )


def prove_again(desk: Desk, *, as_of: date, actor: str) -> Again:
    """Make every look again that is in doubt and would count by now. One case keeps no other waiting. Again: nothing more.

    Raises NotReachable if the case book is away, or a server while the files are looked into.
    """
    with desk.book() as conn:
        found, waiting = doubts(conn), in_doubt(conn)
    now = observed_now()
    blind = {(x.kind, x.store) for x in waiting if doubted(found, x.kind, x.store, now)}
    due = [x for x in waiting if (x.kind, x.store) not in blind]
    failed: dict[str, str] = {}
    for case_no, step_id in dict.fromkeys((x.case_no, x.step_id) for x in due if x.kind != remains.KIND):
        kinds = {(x.kind, x.store) for x in due if (x.case_no, x.step_id) == (case_no, step_id)}
        try:
            _look(desk, case_no, step_id, kinds, as_of, actor)
        except QuietusError as error:
            failed[case_no] = f"{case_no}: {error}"
    if any(x.kind == remains.KIND for x in due):
        remains.look(desk, as_of=as_of, actor=actor)
    with desk.book() as conn:
        left = {x.case_no for x in in_doubt(conn)}
        cases = sorted({x.case_no for x in due} - left - failed.keys())
        ready = tuple(no for no in cases if not papers.in_the_way(conn, no))
    still = tuple(sorted(f"{kind} in {store}" for kind, store in blind))
    return Again(len({x.case_no for x in due}), ready, tuple(failed.values()), still)


def _look(
    desk: Desk, case_no: str, step_id: str, kinds: set[tuple[str, str]], as_of: date, actor: str
) -> None:
    """Raises NotProved if somebody is there, Refused if nobody knows any more whom to look for, NotReachable."""
    desk.are_ours()
    with desk.book() as conn:
        case = book.case(conn, case_no)
        (done,) = (x for x in papers.planned(conn, case) if x.row.step_id == step_id)
        step = done.row.step(case, subjects.ids(conn, desk.keys, case))
        provided = provisions(desk, conn, case, step.as_of)
    for finding in provided.findings:
        raise Refused(finding.what, about=f"{case_no} {finding.place}", next_step=finding.next_step)
    with _area(desk, step, provided) as area:
        found = [
            e for e in _looked(desk, area, done.plan, {k for k, _ in kinds}) if (e.kind, e.store) in kinds
        ]
    provers.record(desk, [e.model_copy(update={"step": step_id}) for e in found], as_of=as_of, actor=actor)


def _looked(desk: Desk, step: Step, plan: Plan, kinds: set[str]) -> Iterator[Evidence]:
    """Only these: a dragnet reads every table and object there is."""
    from include import proofs

    if DRAGNET in kinds:
        sought = provers.sought(desk, step.case_no)
        yield from proofs.dragnet(desk.catalogue, desk.connections, step, plan, sought)
    if GONE in kinds:
        kept = ciphertexts.kept(desk, step.case_no)
        yield from proofs.objects_gone(desk.catalogue, desk.connections, step, plan, kept)


@contextmanager
def _area(desk: Desk, step: Step, provided: Provided) -> Iterator[Step]:
    """Beside the step's own, which is gone. One that a kill left is dropped first."""
    area = step.model_copy(update={"id": f"{step.id}_again"})
    stores = desk.stores()
    for store in stores:
        store.close(area)
    try:
        for store in stores:
            store.open(area)
            store.survey(area)
            store.weigh(area, provided.of_store(desk.catalogue, store.id))
        yield area
    finally:
        for store in stores:
            store.close(area)
