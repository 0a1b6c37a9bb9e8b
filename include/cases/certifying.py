"""The verb of certifying: what the book knows of a case, said once and signed in two editions.

Every group is given the rung that the ledger's evidence proves, never more; what its category asks for beyond
that is listed as pending, with what it waits for. Nothing is certified before every proof that is due was made under
the plan in force and passed. The ledger's room refuses what the offline verifier would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date

from include.cases import balance as books
from include.cases import book, certificates, epochs, holds, papers, subjects
from include.cases.book import RECORDS, Case, Conn
from include.cases.certificates import Editions
from include.cases.horizon import copy_of
from include.cases.looks import Proofs, steps_of
from include.cases.notices import figures, rechecks
from include.cases.notices.outcomes import outcomes
from include.cases.notover import WHAT_NEEDS_IT, not_over
from include.cases.papers import StepDone
from include.cases.periods import last_day
from include.cases.planner import ARTICLES
from include.cases.proving import CUT, is_released
from include.cases.rooms import Desk
from include.cases.shutdown import whereabouts
from include.ledger import issue as issuing
from include.ledger import log
from include.ledger.certificate import BalanceLine, Copy, Draft, ItemGroup, Kind
from include.ledger.sequencer import sequence
from include.ledger.signer import SignerClient
from include.model.catalogue import Catalogue
from include.model.errors import NotProved, Refused
from include.model.estate import Dataset
from include.model.flow import Line, Located
from include.model.sessions import session
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, CopyKind, Disposition, Ground, Role, Rung, Verdict

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
        rechecks.to_ledger(desk, case_no)
        with ledger_desk(desk) as ledger:
            sequence(ledger.sequencer)
            draft = _draft(desk, conn, case, ledger, as_of)
            with book.deed(conn, case_no):
                draft = certificates.begin(conn, draft)
            as_before = certificates.person_edition(conn, draft)
            issued = issuing.issue(draft, ledger, person=as_before is None)
        with book.deed(conn, case_no):
            certificates.keep(conn, draft, issued, as_before)
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
    if open_ := papers.in_the_way(conn, case.case_no):
        raise NotProved(
            f"{len(open_)} findings are open; the first, {open_[0]['code']}: {open_[0]['what']}",
            about=case.case_no, next_step=open_[0]["next_step"],
        )  # fmt: skip


@contextmanager
def ledger_desk(desk: Desk) -> Iterator[issuing.Desk]:
    """The ledger's desk: three roles, each with its own secret, and the signer."""
    with ExitStack() as open_:

        def as_(role: Role) -> log.Conn:
            conninfo = desk.connections.postgres(RECORDS, role)
            return open_.enter_context(session(conninfo, "ledger", lambda: log.connect(conninfo)))

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


def _whereabouts(conn: Conn, case: Case) -> tuple[str, ...]:
    """Of a case about a whole person: who has what was handed over."""
    said = (
        whereabouts.sentence(conn)
        if case.ground.whole_person and not subjects.nobody(conn, case.case_no)
        else ""
    )
    return (f" {said}",) if said else ()


# --- the books over all steps of a case ---------------------------------------------------------


def _draft(desk: Desk, conn: Conn, case: Case, ledger: issuing.Desk, as_of: date) -> Draft:
    done = papers.carried_out(conn, case)
    if not done:
        raise Refused("nothing was carried out", about=case.case_no, next_step="settle, plan and dispose")
    proofs = Proofs.of(conn, case, ledger.reader)
    proofs.demand(case, desk.catalogue, done)
    orders = holds.listing(conn, released=True)  # a hold that was confidential stays so when it is released
    confidential = frozenset(str(order["hold"]) for order in orders if order["confidential"])
    copies = tuple(copies_of(conn, case, ledger))
    groups = tuple(_groups(desk.catalogue, done, proofs, confidential, copies))
    pending = tuple(
        not_over(
            desk.catalogue,
            conn,
            case,
            groups,
            [line for _, line in _lines(desk.catalogue, done)],
            as_of=as_of,
        )
    )
    last = done[-1].plan
    observed = observed_now()
    return Draft(
        case_no=case.case_no,
        ground=case.ground,
        kind=Kind.INTERIM if pending else Kind.FINAL,
        serial=1,
        catalogue=desk.catalogue.digest,
        code=last.code,
        steps=tuple(steps_of(step, desk.catalogue) for step in done),
        rungs={c.id: c.rung for c in desk.catalogue.categories},
        evidence=proofs.indexes,
        as_of=as_of,
        observed_at=observed,
        simulated=as_of != prc_date(observed),
        statement="".join((statement(desk.catalogue, case.ground), *_whereabouts(conn, case))),
        located=_located(desk.catalogue, done),
        balance=_balance(desk.catalogue, done),
        groups=groups,
        pending=pending,
        recipients=outcomes(conn, desk.catalogue, case.case_no),
        rechecks=tuple(
            e.index for e in log.entries_of_case(ledger.reader, case.case_no) if e.kind == rechecks.KIND
        ),
        figures=log.latest_of_kind(ledger.reader, figures.KIND),
        copies=copies,
    )


def copies_of(conn: Conn, case: Case, ledger: issuing.Desk) -> Iterator[Copy]:
    """Where each backup set stands. Raises NotProved if what was seen of one is not in the ledger yet."""
    for row in epochs.of_case(conn, case.case_no):
        keys = (row["ledger_keys"] or []) if row["purged_on"] else []
        there = log.indexes_of_keys(ledger.reader, keys)
        if len(there) != len(keys):
            raise NotProved(
                f"what was seen of backup set {row['backup_set']} is not in the ledger yet", about=case.case_no,
                next_step="wait for the sequencer, then try again",
            )  # fmt: skip
        yield copy_of(row, tuple(sorted(there.values())))


def _lines(catalogue: Catalogue, done: Sequence[StepDone]) -> Iterator[tuple[StepDone, Line]]:
    """What became of everything: what each step changed, and what the last one left in place."""
    for step in done:
        bare = _found_again(catalogue, done, step)
        for line in step.plan.lines:
            counts = line.disposition.changes_data and not (
                line.disposition in CUT and (line.dataset, line.copy_kind) in bare
            )
            if line.items and (step is done[-1] or counts):
                yield step, _as_called(catalogue, step, line)


def _found_again(catalogue: Catalogue, done: Sequence[StepDone], step: StepDone) -> frozenset[Place]:
    """Where the rows that a step cut were located once more by the next, so that they are accounted for there: what is kept bare
    for the sake of others, and goes with them.

    No plan names its rows. The same ones have the same digest; else this goes by their number: as many as were cut and as stayed,
    for what stayed is located again, too. That tells only where people are restricted between the two, so that no new row of
    theirs takes the place of one that nobody found. What a night takes of a row's columns leaves its key, and is a dataset and a
    case of its own. Where it cannot be known, the cut rows stay on the certificate beside what the next step did: said twice, and
    never not.
    """
    after = next((x for x, before in zip(done[1:], done, strict=False) if before is step), None)
    if after is None:
        return frozenset()
    cut: Counter[Place] = Counter()
    stayed: Counter[Place] = Counter()
    for line in step.plan.lines:
        place, dataset = (line.dataset, line.copy_kind), catalogue.dataset(line.dataset)
        if not line.disposition.changes_data:
            stayed[place] += line.items
        elif line.disposition in CUT and dataset.action == Disposition.ERASE.value and _leads_still(dataset):
            cut[place] += line.items
    before = {(x.dataset, x.copy_kind): x for x in step.plan.located}
    there = {(x.dataset, x.copy_kind): x for x in after.plan.located}
    return frozenset(
        place for place, items in cut.items()
        if items and place in there
        and _all_there(before.get(place), there[place], items + stayed[place], counted=step.row.restricting)
    )  # fmt: skip


def _leads_still(dataset: Dataset) -> bool:
    """Whether some way to a row's people is left when the row is cut."""
    gone = dataset.cut.set.keys() if dataset.cut is not None else frozenset[str]()
    return any(gone.isdisjoint((link.column,) if link.column else link.on) for link in dataset.links)


def _all_there(before: Located | None, after: Located, left: int, *, counted: bool) -> bool:
    """Whether the rows that a step left, cut or as they were, are among those that the next one located. ``counted``: whether
    as many can be no others; where both digests are of as many rows, these tell all the same."""
    if before is not None and before.items == after.items == left:
        return before.digest == after.digest
    return counted and after.items >= left


def _as_called(catalogue: Catalogue, step: StepDone, line: Line) -> Line:
    """A cut line with what ends the rest of it. What a plan of before the two were told apart calls anonymised was only cut; it
    named no last day, which is at latest what its period gives from the day of the plan: its clock had started by then."""
    dataset = catalogue.dataset(line.dataset)
    if line.disposition is Disposition.ANONYMISE and is_released(catalogue, line.dataset):
        return line
    if line.disposition in CUT and Disposition(dataset.action) is not Disposition.DEIDENTIFY:
        waits = {"disposition": Disposition.DEIDENTIFY, "until": None, "waits_for": WHAT_NEEDS_IT}
        return line.model_copy(update=waits)
    if line.disposition is not Disposition.ANONYMISE:
        return line
    cut = dataset.cut
    until = None
    if cut is not None and cut.ends is not None:
        period = next(p for p in catalogue.rule(cut.ends.rule).periods if p.name == cut.ends.period)
        until = last_day(step.plan.as_of, period.duration, period.counting)
    return line.model_copy(update={"disposition": Disposition.DEIDENTIFY, "until": until})


def _located(catalogue: Catalogue, done: Sequence[StepDone]) -> tuple[Located, ...]:
    """What was located over all steps. An item that waited from step to step is located once."""
    plans = [step.plan for step in done]
    before: Counter[Place] = Counter()
    for step, line in _lines(catalogue, done):
        if step is not done[-1]:
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


def _balance(catalogue: Catalogue, done: Sequence[StepDone]) -> tuple[BalanceLine, ...]:
    """The books over all steps: what receipts say was done in each, and what the last plan says stays.

    Raises BooksDoNotBalance for a receipt of a plan that was never this case's.
    """
    sums: dict[Place, Counter[str]] = {}
    for step in done:
        bare = _found_again(catalogue, done, step)
        for account in books.accounts(step.plan, step.receipts, earlier=step.earlier):
            words = sums.setdefault((account.dataset, account.copy_kind), Counter())
            for disposition, items in account.done.items():
                cut = disposition in CUT
                again = cut and step is not done[-1] and (account.dataset, account.copy_kind) in bare
                released = disposition is Disposition.ANONYMISE and is_released(catalogue, account.dataset)
                if (step is done[-1] or disposition.changes_data) and not again:
                    words[(Disposition.DEIDENTIFY if cut and not released else disposition).past] += items
    return tuple(
        BalanceLine(dataset=dataset, copy_kind=copy, located=words.total(), **words)
        for (dataset, copy), words in sorted(sums.items())
    )


def _groups(
    catalogue: Catalogue,
    done: Sequence[StepDone],
    proofs: Proofs,
    confidential: frozenset[str],
    copies: Sequence[Copy],
) -> Iterator[ItemGroup]:
    for step, line in _lines(catalogue, done):
        dataset = catalogue.dataset(line.dataset)
        seen = proofs.about(step.row.step_id, line, dataset.store)
        if dataset.sealed_by is not None and (why := proofs.key_lasts(dataset, catalogue, done, copies)):
            seen = seen.without(Rung.R9, why)
        for category in dataset.all_categories or (NONE,):
            required = _required(catalogue, category, step, line)
            reached = seen.reached(required)
            yield ItemGroup(
                dataset=line.dataset,
                category=category,
                copy_kind=line.copy_kind,
                disposition=line.disposition,
                items=line.items,
                rung_required=required,
                rung_reached=reached,
                verdict=Verdict.PASSED if reached is not None else Verdict.UNVERIFIED,
                evidence=seen.indexes,
                law=line.law,
                until=line.until,
                waits_for=line.waits_for,
                hold=line.hold,
                pending=reached is None or reached < required,
                confidential=(line.hold or line.kept_for) in confidential,
                unverified=tuple(seen.unverified(reached, required)),
                step=step.row.step_id,
                kept_for=line.kept_for,
            )


def _required(catalogue: Catalogue, category: str, step: StepDone, line: Line) -> Rung:
    """What went is gone as far as its category asks. What stays is hidden, if the step restricts anybody."""
    if not line.disposition.changes_data:
        return Rung.R1 if step.row.restricting else Rung.R0
    least = Rung.R10 if line.disposition is Disposition.ANONYMISE else Rung.R2
    return least if category == NONE else max(least, catalogue.category(category).rung)
