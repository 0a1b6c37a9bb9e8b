"""Deleting again what a restore brought back: every case that the restored store forgot, through the ordinary verbs.

Weighed with the case's own provisions and the holds of today, so that what the law keeps stays. A case leaves a step of
its own kind, ``replay``, with plan, receipts, books and proof. Killed at any instant it goes on: the store's receipts
say what is done. A rehearsal does the same in a scratch copy and writes nothing into the case book or the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from include.cases import balance as books
from include.cases import book, holds, papers, parts, planner, sealing, subjects
from include.cases.acting import begun_with
from include.cases.book import Case, Conn
from include.cases.keys import Purpose
from include.cases.lost import Lost, People, lost
from include.cases.papers import StepRow
from include.cases.planner import Provided
from include.cases.proving import matters, record_evidence
from include.cases.retention import stopping
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import Drifted, NotProved, NotReachable, QuietusError, Refused
from include.model.flow import Check, Evidence, Plan, Step
from include.model.times import observed_now
from include.model.words import Ground, Verdict
from include.stores.postgres.past import Past
from include.stores.postgres.store import PostgresStore

REPLAY = "replay"
UNDONE = (
    "{}: what went since the service stopped is back, and so are rights to write: keep this database closed, and run"
    ' `quietus shutdown close-collection`, `delete-source` and `books` again (docs/shutdown.md, "The end")'
)


@dataclass(frozen=True)
class Place:
    """A restored database: its verbs, its own past, and how its prover comes in."""

    store: PostgresStore
    past: Past
    connections: Connections


def place(catalogue: Catalogue, store: str, connections: Connections, **options: Any) -> Place:
    """A declared PostgreSQL store, wherever ``connections`` lead: to itself, or to a scratch copy of it. ``options``: of
    :class:`PostgresStore`."""
    return Place(
        PostgresStore(catalogue, store, connections, **options),
        Past(catalogue, store, connections),
        connections,
    )


@dataclass(frozen=True)
class CaseReplayed:
    """What became of one case. ``items``: by what was done, "erased" and so on, or what stays; ``why``: it failed."""

    case_no: str
    step: str | None
    people: int
    items: dict[str, int] = field(default_factory=dict)
    evidence: Evidence | None = None
    why: str = ""

    @property
    def proved(self) -> bool:
        return not self.why


@dataclass(frozen=True)
class Replayed:
    """What a replay came to. ``buried``: whole persons with a tombstone whom the store knew when it began."""

    store: str
    looked_at: int
    buried: int
    cases: tuple[CaseReplayed, ...]
    swept: int = 0

    @property
    def failed(self) -> tuple[CaseReplayed, ...]:
        return tuple(c for c in self.cases if not c.proved)

    def counts(self) -> dict[str, int]:
        """Whole numbers only, for the ledger and the timeline."""
        items: dict[str, int] = {}
        for case in self.cases:
            for what, n in case.items.items():
                items[what] = items.get(what, 0) + n
        return {
            "accounts": self.looked_at, "buried": self.buried, "cases": len(self.cases),
            "failed": len(self.failed), "areas_swept": self.swept, **items,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.store}: " + ", ".join(f"{n} {what}" for what, n in self.counts().items())


def replay(
    desk: Desk,
    place: Place,
    *,
    as_of: date,
    actor: str,
    since: datetime | None = None,
    rehearsal: bool = False,
) -> Replayed:
    """Do again whatever the store has no receipt of. Again does what is left.

    ``since``: when the restore was noticed. A case that fails is told in the result, and does not keep the others
    from going; raises NotReachable if the store, the case book or a key cannot be reached, and Stopped before the next case while
    disposing is stopped: then the store stays closed. A rehearsal is of a scratch copy, and goes on.
    """
    with desk.book() as conn:
        affected = lost(conn, place.past, since)
        people = People(conn, desk.keys, place.past.people())
        done = []
        for one in affected:
            if not rehearsal:
                stopping.may_go_on(conn)
            work = _Case(desk, conn, place, one, as_of, actor, rehearsal)
            try:
                done.append(work.run(people))
            except NotReachable:
                raise
            except QuietusError as trouble:
                done.append(CaseReplayed(one.case.case_no, None, 0, why=str(trouble)))
        keep = [] if rehearsal else _open_steps(conn)
    swept = place.store.sweep(keep)
    return Replayed(place.store.id, people.looked_at, people.buried, tuple(done), len(swept))


def _open_steps(conn: Conn) -> list[str]:
    rows = conn.execute("SELECT step_id FROM casebook.step WHERE closed_at IS NULL").fetchall()
    return [str(r["step_id"]) for r in rows]


@dataclass(frozen=True)
class _Case:
    """One case in one restored store."""

    desk: Desk
    conn: Conn
    place: Place
    lost: Lost
    as_of: date
    actor: str
    rehearsal: bool

    @property
    def case(self) -> Case:
        return self.lost.case

    def run(self, people: People) -> CaseReplayed:
        if self.case.ground is Ground.SHUTDOWN and self.lost.disposals and not self.rehearsal:
            # It is about items and nobody in particular, so no tombstone finds them, and no night takes them either.
            return CaseReplayed(self.case.case_no, None, 0, why=UNDONE.format(self.case.case_no))
        row = self._step_row()
        cohort = self.place.past.cohort(row.step_id) or people.of(self.case)
        if not cohort:
            # Nobody of it is in this store, nor on its list: what the case once changed here is not back.
            self._close(row)
            return CaseReplayed(self.case.case_no, None, 0)
        for restriction in self.lost.restrictions:
            self._restrict_again(restriction, cohort)
        if not self.lost.disposals:
            self._close(row)
            self._note(row, len(cohort), {})
            return CaseReplayed(self.case.case_no, None, len(cohort))
        for open_ in (r for r in self.lost.restrictions if not r.closed):
            with suppress(Drifted):  # then by a plan of today
                return self._dispose_as_planned(open_, row, cohort)
        return self._dispose_again(row, cohort)

    # --- the restriction, as of its own day -------------------------------------------------------

    def _restrict_again(self, row: StepRow, cohort: Sequence[str]) -> None:
        """What a restriction ends, ended then and not today: periods run from that day."""
        store, step = self.place.store, row.step(self.case, tuple(cohort))
        store.open(step)
        store.restrict(step)
        if row.closed:
            store.close(step)
        elif self.lost.disposals:
            # The run goes on where it was: what it will prove absent must be known before it goes.
            store.settle(step)
            store.survey(step)
            store.weigh(step, self._provided(cohort, step.as_of).of_store(self.desk.catalogue, store.id))

    # --- the disposal -------------------------------------------------------------------------------

    def _dispose_as_planned(self, live: StepRow, row: StepRow, cohort: Sequence[str]) -> CaseReplayed:
        """A step that was at work does the same again, so that its run goes on. Raises Drifted if what came back, or what
        must stay of it, is not what its plan was made of."""
        store, step = self.place.store, live.step(self.case, tuple(cohort))
        plan, *earlier = reversed(papers.plans_of(self.conn, live.step_id))
        fingerprint = plan.fingerprint()
        if earlier or any(
            r.plan != fingerprint
            for r in papers.receipts(self.conn, live.step_id, "dispose")
            if r.store == store.id
        ):
            raise Drifted("it was planned more than once", about=step.case_no, next_step="replay it")
        with self._alone():
            before = self._prove(step, plan, before=True)
            _stop(before, "the prover does not see what was located")
            store.dispose(step, plan)
        done = self._proved(step, plan, before, earlier=())
        self._close(row)
        self._note(live, len(cohort), done.items)
        return done

    def _dispose_again(self, row: StepRow, cohort: Sequence[str]) -> CaseReplayed:
        store = self.place.store
        step = Step(
            id=row.step_id, case_no=self.case.case_no, as_of=row.as_of, subjects=tuple(cohort),
            restricting=planner.restricting(self.case.ground), since=self._since(row),
        )  # fmt: skip
        with self._alone():
            earlier = self._plans(row)
            plan, before = begun_with(store, step, earlier), list[Check]()
            if plan is None:
                store.open(step)
                store.restrict(step)
                store.settle(step)
                plan = self._plan(step)
                if not any(r.verb == "dispose" for r in store.receipts(step)):
                    before = self._prove(step, plan, before=True)
                    _stop(before, "the prover does not see what was located")
            store.dispose(step, plan)
        done = self._proved(step, plan, before, [p.fingerprint() for p in earlier if p != plan])
        self._close(row)
        self._note(row, len(cohort), done.items)
        store.close(step)
        return done

    def _proved(
        self, step: Step, plan: Plan, before: Sequence[Check], earlier: Sequence[str]
    ) -> CaseReplayed:
        """The books and the proof of a disposal, kept; raises NotProved if something is not as it must be."""
        store = self.place.store
        ours = {d.id for d in self.desk.catalogue.of_store(store.id)}
        receipts = [r for r in store.receipts(step) if r.verb == "dispose"]
        accounts = [
            c
            for c in books.evidence(plan, receipts, observed_now(), earlier=earlier).checks
            if c.dataset in ours
        ]
        checks = [*before, *self._prove(step, plan, before=False), *accounts]
        evidence = Evidence(kind=REPLAY, step=step.id, case_no=step.case_no, store=store.id, as_of=step.as_of,
                            observed_at=observed_now(), plan=plan.fingerprint(), checks=tuple(checks))  # fmt: skip
        if not self.rehearsal:
            with book.deed(self.conn, step.case_no):
                papers.keep_receipts(self.conn, self.case, store.receipts(step))
            record_evidence(self.desk, evidence, as_of=self.as_of, actor=self.actor, strict=False)
        _stop(checks, "the proof after it did not pass")
        return CaseReplayed(step.case_no, step.id, len(step.subjects), _items(plan, ours), evidence)

    def _alone(self) -> AbstractContextManager[None]:
        return nullcontext() if self.rehearsal else holds.none_unnoticed(self.conn, self.case.case_no)

    def _plan(self, step: Step) -> Plan:
        store = self.place.store
        provided = self._provided(step.subjects, step.as_of)
        if provided.findings:
            first = provided.findings[0]
            raise Refused(first.what, about=f"{step.case_no} {first.place}", next_step=first.next_step)
        survey = store.survey(step)
        lines = store.weigh(step, provided.of_store(self.desk.catalogue, store.id))
        plan = planner.plan(step, survey.located, lines, self.desk.catalogue.digest, self.desk.code)
        if not self.rehearsal:
            with book.deed(self.conn, step.case_no):
                papers.keep_plan(self.conn, plan, provided.held)
        return plan

    def _provided(self, cohort: Sequence[str], as_of: date) -> Provided:
        """As for the case's own steps; whom a hold names is found by the account ids, for the sealed ones may be gone."""
        orders = holds.orders(self.conn)
        named = frozenset[str]().union(*(o.scope.subjects for o in orders))
        tokens = []
        for account_id in cohort if named else ():
            every = sealing.digests(self.desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
            tokens.append(
                next((d.hex() for d in every.values() if d.hex() in named), every[max(every)].hex())
            )
        return planner.provide(
            self.desk.catalogue, self.case.ground, as_of, case_no=self.case.case_no,
            tokens=tuple(tokens) or ("",) * len(cohort), holds=orders,
            released=holds.released_of_those_that_came(self.conn), reach=parts.reached(self.desk, self.conn, self.case),
        )  # fmt: skip

    def _prove(self, step: Step, plan: Plan, *, before: bool) -> list[Check]:
        from include import proofs

        store = self.place.store.id
        alone = self.desk.catalogue.model_copy(
            update={"stores": tuple(s for s in self.desk.catalogue.stores if s.id == store)}
        )
        looks = (proofs.baseline,) if before else (proofs.gone, proofs.touched)
        found = [e for look in looks for e in look(alone, self.place.connections, step, plan)]
        return [check for evidence in found for check in evidence.checks]

    # --- the book -----------------------------------------------------------------------------------

    def _step_row(self) -> StepRow:
        if self.rehearsal:
            digits = self.case.case_no.removeprefix("CASE-")
            return StepRow(f"case_{digits}_drill", REPLAY, 0, self.as_of, False, False)
        with book.deed(self.conn, self.case.case_no):
            book.case(self.conn, self.case.case_no, lock=True)
            return papers.open_replay(
                self.conn, self.case, self.place.store.id, self.as_of, planner.restricting(self.case.ground)
            )

    def _since(self, row: StepRow) -> date | None:
        first = self.lost.since.since or self.lost.since.as_of
        return min(first, self.lost.since.as_of)

    def _plans(self, row: StepRow) -> tuple[Plan, ...]:
        return () if self.rehearsal else papers.plans_of(self.conn, row.step_id)

    def _close(self, row: StepRow) -> None:
        if not self.rehearsal:
            with book.deed(self.conn, self.case.case_no):
                papers.close_step(self.conn, row.step_id)

    def _note(self, row: StepRow, people: int, items: dict[str, int]) -> None:
        if not self.rehearsal:
            with book.deed(self.conn, self.case.case_no):
                book.note(self.conn, self.case.case_no, self.as_of, self.actor, "replayed",
                          detail={"store": self.place.store.id, "step": row.step_id, "people": people,
                                  "restrictions": len(self.lost.restrictions), **items})  # fmt: skip


def _items(plan: Plan, datasets: Collection[str]) -> dict[str, int]:
    items: dict[str, int] = {}
    for line in (x for x in plan.lines if x.dataset in datasets):
        items[line.disposition.past] = items.get(line.disposition.past, 0) + line.items
    return items


def _stop(checks: Sequence[Check], what: str) -> None:
    bad = [c for c in checks if c.verdict is not Verdict.PASSED and matters(c)]
    if bad or not checks:
        first = f"{bad[0].name}: {bad[0].why}" if bad else "nothing was looked at"
        raise NotProved(what + f" ({len(bad)} checks; {first})", about="replay",
                        next_step="see why, then replay again; the store stays closed")  # fmt: skip


__all__ = ["CaseReplayed", "Place", "Replayed", "place", "replay"]
