"""The verb of certifying: what the book knows of a case, said once and signed in two editions.

Every group is given the rung that the ledger's evidence proves, never more; what its category asks for beyond
that is listed as pending, with what it waits for. The ledger's room refuses what the offline verifier would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date

from include.cases import book, certificates, holds, outbox, papers, tracks
from include.cases.book import RECORDS, Case, Conn
from include.cases.certificates import Editions
from include.cases.guards import BEYOND_RECALL
from include.cases.planner import ARTICLES
from include.cases.rooms import Desk
from include.ledger import issue as issuing
from include.ledger import log
from include.ledger.certificate import Draft, ItemGroup, Kind, Pending, UnverifiedRung
from include.ledger.sequencer import sequence
from include.ledger.signer import SignerClient
from include.model.catalogue import Catalogue
from include.model.errors import NotProved, Refused
from include.model.flow import Check, Evidence, Line, Located, Plan
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, CopyKind, Ground, Role, Rung, UnitState, Verdict

SIGNER = "ledger_signer"
NONE = "none"
"""The category of items that are nobody's data by category, such as a hosted key."""

Place = tuple[str, CopyKind]


def certify(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Editions:
    """Issue the interim certificate of a case that rests, or the final one of a case whose tracks have ended.

    Again with nothing changed: the same certificate. Raises Refused if the case is still at work or has open
    findings, NotProved or BooksDoNotBalance if evidence is missing, NotReachable without ledger or signer.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        _may_be_certified(conn, case)
        with _ledger(desk) as ledger:
            sequence(ledger.sequencer)
            draft = _draft(desk, conn, case, ledger, as_of)
            with book.deed(conn, case_no):
                draft = certificates.begin(conn, draft)
            issued = issuing.issue(draft, ledger)
        with book.deed(conn, case_no):
            certificates.keep(conn, draft, issued)
            book.note(conn, case_no, as_of, actor, "certified",
                      detail={"serial": draft.serial, "kind": draft.kind.value, "ledger_entry": issued.entry,
                              "pending": len(draft.pending)})  # fmt: skip
        return certificates.issued(conn, case_no, draft.serial)


def _may_be_certified(conn: Conn, case: Case) -> None:
    if case.state not in (CaseState.WAITING, CaseState.HELD, CaseState.CLOSED):
        raise Refused(
            f"a case that is {case.state.value} is not certified", about=case.case_no,
            next_step="finish, prove and balance the live work first",
        )  # fmt: skip
    if open_ := papers.open_findings(conn, case.case_no):
        raise NotProved(
            f"{len(open_)} findings are open; the first, {open_[0]['code']}: {open_[0]['what']}",
            about=case.case_no, next_step=open_[0]["next_step"],
        )  # fmt: skip


@contextmanager
def _ledger(desk: Desk) -> Iterator[issuing.Desk]:
    """The ledger's desk: three roles, each with its own secret, and the signer."""
    with ExitStack() as open_:

        def as_(role: Role) -> log.Conn:
            return open_.enter_context(log.connect(desk.connections.postgres(RECORDS, role)))

        yield issuing.Desk(
            writer=as_(Role.LEDGER_WRITER),
            sequencer=as_(Role.SEQUENCER),
            reader=as_(Role.READER),
            signer=SignerClient(desk.connections.text(SIGNER)),
        )


def statement(catalogue: Catalogue, ground: Ground) -> str:
    """The sentences of the policy that a ground rests on, as published; without one, the law's citation."""
    cited = {part.strip() for part in ARTICLES[ground].removeprefix("policy").split(",")}
    said = [f"{c.art}：{c.zh}" for c in catalogue.clauses if c.art in cited]
    return "；".join(said) or ARTICLES[ground]


# --- the books over all steps of a case ---------------------------------------------------------


def _draft(desk: Desk, conn: Conn, case: Case, ledger: issuing.Desk, as_of: date) -> Draft:
    plans = papers.carried_out(conn, case)
    if not plans:
        raise Refused("nothing was carried out", about=case.case_no, next_step="settle, plan and dispose")
    proofs = _Proofs.of(conn, case, ledger)
    lines = _lines(plans)
    groups = tuple(_groups(desk.catalogue, conn, lines, proofs))
    pending = tuple(_pending(desk.catalogue, conn, case, groups, lines))
    return Draft(
        case_no=case.case_no,
        ground=case.ground,
        kind=Kind.INTERIM if pending else Kind.FINAL,
        serial=1,
        catalogue=plans[-1].catalogue,
        code=plans[-1].code,
        plans=tuple(p.fingerprint() for p in plans),
        as_of=as_of,
        observed_at=observed_now(),
        simulated=as_of != prc_date(observed_now()),
        statement=statement(desk.catalogue, case.ground),
        located=_located(plans, lines),
        groups=groups,
        pending=pending,
    )


def _lines(plans: Sequence[Plan]) -> tuple[Line, ...]:
    """What became of everything: what each step changed, and what the last one left in place."""
    changed = [x for plan in plans[:-1] for x in plan.lines if x.disposition.changes_data]
    return tuple(x for x in (*changed, *plans[-1].lines) if x.items)


def _located(plans: Sequence[Plan], lines: Sequence[Line]) -> tuple[Located, ...]:
    """What was located over all steps. An item that waited from step to step is located once."""
    before: Counter[Place] = Counter()
    for line in (x for plan in plans[:-1] for x in plan.lines if x.disposition.changes_data):
        before[line.dataset, line.copy_kind] += line.items
    last = {(x.dataset, x.copy_kind): x for x in plans[-1].located}
    found = [x.model_copy(update={"items": x.items + before.pop(place, 0)}) for place, x in last.items()]
    digests = {(x.dataset, x.copy_kind): x.digest for plan in plans for x in plan.located}
    found += [
        Located(dataset=place[0], copy_kind=place[1], items=items, digest=digests[place])
        for place, items in before.items()
        if items
    ]
    return tuple(found)


# --- what was proved ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Proofs:
    """The latest evidence of each kind, step and store, with its places in the ledger."""

    entries: tuple[tuple[tuple[int, ...], Evidence], ...]

    @classmethod
    def of(cls, conn: Conn, case: Case, ledger: issuing.Desk) -> _Proofs:
        latest = {(e.kind, e.step, e.store): (keys, e) for keys, e in papers.evidence(conn, case.case_no)}
        indexes = log.indexes_of_keys(ledger.reader, [k for keys, _ in latest.values() for k in keys])
        missing = sorted({e.kind for keys, e in latest.values() for k in keys if k not in indexes})
        if missing:
            raise NotProved(
                f"evidence is not in the ledger yet: {', '.join(missing)}", about=case.case_no,
                next_step="wait for the sequencer, then try again",
            )  # fmt: skip
        return cls(tuple((tuple(indexes[k] for k in keys), e) for keys, e in latest.values()))

    def about(self, place: Place) -> tuple[tuple[int, ...], tuple[Check, ...]]:
        """(ledger indexes, checks) about one dataset and copy; what was seen before the deed is left out."""
        indexes: list[int] = []
        checks: list[Check] = []
        for where, evidence in self.entries:
            ours = [c for c in evidence.checks if (c.dataset, c.copy_kind) == place]
            if ours and evidence.kind in SPEAKS:
                indexes += where
                checks += ours
        return tuple(sorted(indexes)), tuple(checks)


SPEAKS = frozenset({"gone", "residue", "restricted"})
"""Kinds of evidence that say where an item stands now. A baseline or a balance says how we know."""


def _groups(catalogue: Catalogue, conn: Conn, lines: Sequence[Line], proofs: _Proofs) -> Iterator[ItemGroup]:
    confidential = {order.number for order in holds.orders(conn) if order.confidential}
    for line in lines:
        dataset = catalogue.dataset(line.dataset)
        indexes, checks = proofs.about((line.dataset, line.copy_kind))
        for category in dataset.all_categories or (NONE,):
            required = Rung.R0
            if line.disposition.changes_data:
                required = catalogue.category(category).rung if category != NONE else Rung.R2
            reached = _reached(checks, required)
            yield ItemGroup(
                dataset=line.dataset,
                category=category,
                copy_kind=line.copy_kind,
                disposition=line.disposition,
                items=line.items,
                rung_required=required,
                rung_reached=reached,
                verdict=Verdict.PASSED if reached is not None else Verdict.UNVERIFIED,
                evidence=indexes,
                law=line.law,
                until=line.until,
                waits_for=line.waits_for,
                hold=line.hold,
                pending=reached is None or reached < required,
                confidential=line.hold in confidential,
                unverified=tuple(_beyond(checks, reached)),
            )


def _reached(checks: Sequence[Check], required: Rung) -> Rung | None:
    """The highest rung proved with everything looked at below it; the required one must be among them."""
    passed = {
        r for r in {c.rung for c in checks} if all(c.verdict is Verdict.PASSED for c in checks if c.rung is r)
    }
    failed = {c.rung for c in checks} - passed
    solid = {r for r in passed if not any(f < r for f in failed)}
    if required in solid:
        return max(solid)
    return max((r for r in solid if r < required), default=None)


def _beyond(checks: Iterable[Check], reached: Rung | None) -> Iterator[UnverifiedRung]:
    """The rungs above that were tried and could not be looked at, and why."""
    seen: set[Rung] = set()
    for check in checks:
        above = reached is None or check.rung > reached
        if above and check.verdict is Verdict.UNVERIFIED and check.rung not in seen:
            seen.add(check.rung)
            yield UnverifiedRung(rung=check.rung, why=check.why or "no reason given")


# --- what is not over ---------------------------------------------------------------------------


def _pending(
    catalogue: Catalogue, conn: Conn, case: Case, groups: Sequence[ItemGroup], lines: Sequence[Line]
) -> Iterator[Pending]:
    seen: set[tuple[str, str, CopyKind]] = set()
    for group in groups:
        place = (group.dataset, group.category, group.copy_kind)
        if group.pending and place not in seen:
            seen.add(place)
            yield Pending(
                track="rung", dataset=group.dataset, category=group.category, copy_kind=group.copy_kind,
                rung=group.rung_required, name=catalogue.dataset(group.dataset).title, due=None,
                what=f"R{group.rung_required.value} is to be reached; so far "
                + (f"R{group.rung_reached.value}" if group.rung_reached is not None else "nothing was proved"),
            )  # fmt: skip
    yield from _dates(lines)
    for row in tracks.listing(conn, case.case_no):
        if UnitState(row["state"]) not in BEYOND_RECALL:
            yield Pending(
                track="backups", name=row["backup_set"], due=row["expected_horizon"],
                what="the copies in this backup set go when the set expires",
            )  # fmt: skip
    for row in outbox.listing(conn, case.case_no):
        if UnitState(row["state"]) not in BEYOND_RECALL:
            yield Pending(
                track="recipients", name=row["recipient"], due=row["target_on"],
                what="is to be told" if row["sent_at"] is None else "was told and has not answered",
            )  # fmt: skip


def _dates(lines: Sequence[Line]) -> Iterator[Pending]:
    """One line per rule and date. Holds are not told here: they are listed with their items."""
    told: set[tuple[str, str, date | None, str | None]] = set()
    for line in lines:
        key = (line.rule, line.law, line.until, line.waits_for)
        if (line.until or line.waits_for) and line.hold is None and key not in told:
            told.add(key)
            waits = f"; the clock waits for {line.waits_for}" if line.waits_for else ""
            yield Pending(
                track="dates", name=line.rule, due=line.until, what=f"kept by law ({line.law}){waits}"
            )
