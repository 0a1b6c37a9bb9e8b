"""What the catalogue and the holds provide for each dataset, and the plan that follows from a survey.

Pure: no I/O, no clock. A contradiction in what was declared becomes a :class:`Finding` that stops the case;
it is never settled by guessing. The stores apply the provisions set-based (``model.flow.Provision``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from include.cases.part import Part
from include.cases.periods import last_day
from include.cases.retention.limits import binds
from include.cases.scopes import HoldOrder
from include.model.catalogue import Catalogue
from include.model.errors import BooksDoNotBalance, CatalogueError, Refused
from include.model.estate import Bound, Dataset, Measure, Start
from include.model.flow import Finding, Floor, Line, Located, Plan, Provision, Step, Survey
from include.model.interval import DECIDE, Bounded, collided, interval
from include.model.policy import Period, RetentionRule
from include.model.words import Disposition, Ground, Ownership

_Thing = TypeVar("_Thing")

ARTICLES: dict[Ground, str] = {
    Ground.CANCELLATION: "policy 1.4, 11.3",
    Ground.WITHDRAWN_CONSENT: "PIPL 15, 47",
    Ground.UNLAWFUL_PROCESSING: "policy 11.2(1)",
    Ground.NO_CONSENT: "policy 11.2(2)",
    Ground.BREACH_OF_AGREEMENT: "policy 11.2(3)",
    Ground.SERVICE_ENDED: "policy 11.2(5)",
    Ground.OBJECTION: "policy 1.2(3)",
    Ground.MINOR: "policy 8.3",
    Ground.LIMIT_REACHED: "policy 7.2",
    Ground.PURPOSE_ACHIEVED: "PIPL 47",
    Ground.SHUTDOWN: "policy 5.6",
    Ground.ENTRUSTMENT_ENDED: "PIPL 21; policy 1.2(5)",
    Ground.DORMANT: "PIPL 19, 47",
}
"""The sentence of the policy, or of the law where the policy omits it, that each ground rests on."""


OWN_CONTRACT = "PIPL 13(1)(2); policy 2.7"
"""Why we hold what a partner did not entrust to us: the contract with the person."""

NOT_BY_CONSENT = "PIPL 13(1)(2)-(7), 16; policy 1.3"
"""Why we go on with what does not rest on a consent that was withdrawn: other services are not refused for that."""

GIVEN_AGAIN = "PIPL 13(1)(1), 15"
"""Why we keep what a case was to dispose of, once its consent was given again: it stands."""

TOLERANCE_ITEMS = 20
TOLERANCE_SHARE = 0.2


@dataclass(frozen=True)
class Provided:
    """Provisions per dataset, in catalogue order, and what stops the case."""

    provisions: tuple[Provision, ...]
    findings: tuple[Finding, ...]

    def of_store(self, catalogue: Catalogue, store: str) -> tuple[Provision, ...]:
        ours = {d.id for d in catalogue.of_store(store)}
        return tuple(p for p in self.provisions if p.dataset in ours)

    @property
    def held(self) -> tuple[str, ...]:
        """What the holds reach: dataset, hold, and of how many people. A hold never widens, so that this
        changes whenever a hold comes, goes or is narrowed."""
        return tuple(
            sorted(
                f"{p.dataset} {h.hold} {len(h.subject_nos) or ' '.join(h.came)}"
                for p in self.provisions
                for h in p.holds
            )
        )


def provide(
    catalogue: Catalogue,
    ground: Ground,
    as_of: date,
    *,
    case_no: str,
    tokens: tuple[str, ...],
    holds: Sequence[HoldOrder] = (),
    released: Sequence[str] = (),
    datasets: Collection[str] | None = None,
    reach: Part | None = None,
) -> Provided:
    """One provision per dataset (all, or only ``datasets`` for a rule-by-rule night).

    ``tokens`` are the keyed tokens of the case's subjects, in order of subject_no. A ground that reaches only
    a part of a person is never taken for the whole: without ``datasets`` or ``reach`` it stops the case.

    A key goes with the last object that it opens, and stays with any that must: it has their holds and periods beside its
    own, and is left alone by a step that does not reach all that it opens.

    ``released``: holds that came along with items that were taken over, and hold nothing any more.

    ``reach``: the part that the case is about. Everything else is located and accounted for, and left as it is.
    """
    if datasets is None and reach is None and not ground.whole_person:
        return Provided((), (_no_scope(ground),))
    provisions: list[Provision] = []
    findings: list[Finding] = []
    for dataset in catalogue.datasets:
        opens = catalogue.opened_by(dataset.id)
        if datasets is not None and not {dataset.id, *(d.id for d in opens)} <= set(datasets):
            continue
        found = [*_contradictions(catalogue, dataset, as_of)]
        findings += found
        if found:
            continue
        rule = catalogue.rule(dataset.binds[0].rule)
        ends = rest_of(catalogue, dataset)
        provisions.append(
            Provision(
                dataset=dataset.id,
                disposition=Disposition(dataset.action),
                rule=rule.id,
                law=citation(rule, ground) + what_ends_the_rest(ends),
                floors=_each(f for d in (dataset, *opens) for f in _floors(catalogue, d, dataset)),
                holds=_each(
                    h
                    for o in holds
                    for d in (dataset, *opens)
                    if (h := o.held(d, case_no, tokens)) is not None
                ),
                cut=dataset.cut,
                ends=ends,
                reaches=None if reach is None else reach.of(dataset.id, opens),
                released=tuple(released),
            )
        )
    return Provided(tuple(provisions), tuple(findings))


def _no_scope(ground: Ground) -> Finding:
    return Finding(
        code="no_scope", dataset=None, place=ground.value, items=None,
        what=f"{ARTICLES[ground]} reaches only a part of a person's data, and nothing says which part",
        next_step="close this case; if the person wants everything gone, open a cancellation",
    )  # fmt: skip


def citation(rule: RetentionRule, ground: Ground) -> str:
    """The law of a disposition: the rule's bases, then the sentence the ground rests on."""
    cites = [b.cite for b in rule.basis]
    cites += [a for a in (ARTICLES[ground],) if a not in cites]
    return "; ".join(cites)


def rest_of(catalogue: Catalogue, dataset: Dataset) -> Floor | None:
    """Until when what is left of its cut rows stays: it is de-identified, so personal still (PIPL 73(3))."""
    bound = dataset.cut.ends if dataset.cut is not None and dataset.action == "deidentify" else None
    period = None if bound is None else _period(catalogue, bound)
    if bound is None or period is None:
        return None
    period = catalogue.for_anybody(bound.rule, period)
    cites = "; ".join(b.cite for b in period.basis)
    name = f"{bound.rule}/{period.name}"
    return Floor(
        rule=bound.rule, period=period.name, duration=period.duration, counting=period.counting, start=bound.start,
        law=f"company period {name}" if period.proposal is not None else f"{name}: {cites}",
    )  # fmt: skip


def what_ends_the_rest(ends: Floor | None) -> str:
    """What a line of cut rows says beside their law; a figure of ours is never called law."""
    return "" if ends is None else f"; what is left is de-identified (PIPL 73(3)) until: {ends.law}"


def _floors(catalogue: Catalogue, dataset: Dataset, of: Dataset) -> Iterable[Floor]:
    """The periods that forbid to dispose of a dataset, for the rows ``of`` it or of its keys."""
    for bound in dataset.binds:
        period = catalogue.rule(bound.rule).floor(bound.period)
        if period is not None:
            yield Floor(
                rule=bound.rule,
                period=period.name,
                duration=period.duration,
                counting=period.counting,
                start=bound.start if of is dataset else _joined_by_key(dataset, bound.start),
                law="; ".join(b.cite for b in period.basis if b.rank.restrains_deletion),
            )


def _each(things: Iterable[_Thing]) -> tuple[_Thing, ...]:
    """Without repeats, in order."""
    found: list[_Thing] = []
    for thing in things:
        if thing not in found:
            found.append(thing)
    return tuple(found)


def _joined_by_key(dataset: Dataset, start: Start | None) -> Start | None:
    """Where a key finds the start of a period that keeps what it opens. Raises CatalogueError if it cannot know it."""
    assert dataset.sealed_by is not None  # noqa: S101 (it is one of those that the key opens)
    on = dataset.sealed_by.on
    if start is None:
        return None
    if start.query is None or not start.on.keys() <= on.keys():
        raise CatalogueError(
            f"a period of it starts by what {dataset.sealed_by.dataset} does not know", about=dataset.id,
            next_step="let it start with the case or by a query on what `on` names; `quietus catalogue lint` shows where",
        )  # fmt: skip
    return Start(query=start.query, on={on[mine]: theirs for mine, theirs in start.on.items()})


def _contradictions(catalogue: Catalogue, dataset: Dataset, as_of: date) -> Iterable[Finding]:
    """What the declaration of a dataset leaves undecidable."""
    if not dataset.binds:
        yield _finding("no_rule", dataset, "no retention rule binds it", "bind a rule in the catalogue")
        return
    unknown = [b for b in dataset.all_binds if _period(catalogue, b) is None]
    for bound in unknown:
        yield _finding(
            "no_rule", dataset, f"it is bound to {bound.rule}/{bound.period}, which is not declared",
            "correct the bind in the catalogue",
        )  # fmt: skip
    if dataset.action == "deidentify" and dataset.cut is None:
        yield _finding("no_cut", dataset, "it is to be de-identified, but no cut says how", "declare its cut")
    if dataset.action == "erase" and all(x.ownership is Ownership.ACCESS_ONLY for x in dataset.links):
        yield _finding(
            "not_theirs", dataset, "it is to be erased, but every link to it is access-only",
            "unlink it, or correct the ownership",
        )  # fmt: skip
    if not unknown:
        yield from _empty_intervals(catalogue, dataset, as_of)


def _empty_intervals(catalogue: Catalogue, dataset: Dataset, as_of: date) -> Iterable[Finding]:
    """A floor and a ceiling with the same start that leave no day on which to dispose lawfully, and neither waits."""
    of = tuple(binds(catalogue, dataset))
    for start in _each(b.bound.start for b in of):
        found = interval([
            Bounded.of(b.bound, b.period, last_day(as_of, b.period.duration, b.period.counting))
            for b in of if b.bound.start == start
        ])  # fmt: skip
        if found.conflict:
            yield _finding("empty_interval", dataset, collided(found.conflict), DECIDE)


def _period(catalogue: Catalogue, bound: Bound) -> Period | None:
    try:
        rule = catalogue.rule(bound.rule)
    except KeyError:
        return None
    return next((p for p in rule.periods if p.name == bound.period), None)


def _finding(code: str, dataset: Dataset, what: str, next_step: str) -> Finding:
    return Finding(
        code=code, dataset=dataset.id, place=dataset.address, items=None, what=what, next_step=next_step
    )


def plan(step: Step, located: Iterable[Located], lines: Iterable[Line], catalogue: str, code: str) -> Plan:
    """The plan, in an order of its own, so that equal plans have equal fingerprints.

    ``catalogue`` is its digest. Raises BooksDoNotBalance if the lines do not account for exactly what
    was located, Refused if a line would keep something past its date or without a reason.
    """
    seen = sorted(located, key=lambda x: (x.dataset, x.copy_kind))
    fates = sorted(
        (x for x in lines if x.items),
        key=lambda x: (
            x.dataset,
            x.copy_kind,
            x.disposition,
            x.until or date.min,
            x.hold or "",
            x.rule,
            x.law,
        ),
    )
    counted: Counter[tuple[str, str]] = Counter()
    for line in fates:
        counted[line.dataset, line.copy_kind] += line.items
        _lawful(line, step)
    for place in seen:
        here = counted.pop((place.dataset, place.copy_kind), 0)
        if here != place.items:
            raise BooksDoNotBalance(
                f"{place.items} located ({place.copy_kind.value}) but the plan accounts for {here}",
                about=f"{step.case_no} {place.dataset}",
                next_step="survey and weigh again; if it stays, the weighing is wrong",
            )
    for (dataset, copy_kind), items in counted.items():
        raise BooksDoNotBalance(
            f"0 items were located ({copy_kind}) but the plan accounts for {items}",
            about=f"{step.case_no} {dataset}",
            next_step="survey and weigh again",
        )
    return Plan(
        step=step.id,
        case_no=step.case_no,
        as_of=step.as_of,
        catalogue=catalogue,
        code=code,
        located=tuple(seen),
        lines=tuple(fates),
    )


def _lawful(line: Line, step: Step) -> None:
    about = f"{step.case_no} {line.dataset}"
    if line.disposition is Disposition.HOLD and not line.hold:
        raise Refused(
            "a line holds items without naming a hold", about=about, next_step="survey and weigh again"
        )
    if line.disposition is Disposition.RETAIN and line.until is None and not line.waits_for:
        raise Refused(
            "a line keeps items without a date or a reason", about=about, next_step="survey and weigh again"
        )
    if line.disposition is Disposition.RETAIN and line.until is not None and line.until < step.as_of:
        raise Refused(
            f"a line keeps items past {line.until.isoformat()}",
            about=about,
            next_step="survey and weigh again",
        )


def missing(provisions: Sequence[Provision], surveys: Sequence[Survey]) -> tuple[Finding, ...]:
    """Datasets that were provided for but that no survey looked at: silence is not zero."""
    seen = {x.dataset for s in surveys for x in s.located}
    return tuple(
        Finding(
            code="not_surveyed", dataset=p.dataset, place=p.dataset, items=None,
            what="no survey reported on it", next_step="check the store's preflight, then survey again",
        )
        for p in provisions
        if p.dataset not in seen
    )  # fmt: skip


def compare(rehearsal: Plan, plan: Plan, measures: Sequence[Measure] = ()) -> tuple[Finding, ...]:
    """Where the plan differs from the one that was approved, other than by declared effects of restricting.

    Numbers per dataset x copy x disposition; an approval covers only what it saw.
    """
    if rehearsal.catalogue != plan.catalogue or rehearsal.code != plan.code:
        return (
            Finding(
                code="other_catalogue", dataset=None, place="plan", items=None,
                what="the catalogue or the code changed after the approval",
                next_step="rehearse and approve again",
            ),
        )  # fmt: skip
    declared = {dataset for m in measures for dataset in m.touches}
    before, after = _sums(rehearsal), _sums(plan)
    found = []
    for key in sorted(before.keys() | after.keys()):
        dataset, copy_kind, disposition = key
        if before[key] == after[key] or dataset in declared:
            continue
        found.append(
            Finding(
                code="differs_from_rehearsal", dataset=dataset, place=f"{dataset} ({copy_kind})",
                items=abs(after[key] - before[key]),
                what=f"to be {Disposition(disposition).past}: {before[key]} when approved, {after[key]} now",
                next_step="see what wrote to it between approval and restriction, then approve again",
            )
        )  # fmt: skip
    return tuple(found)


def grave(rehearsal: Plan, plan: Plan, differences: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those differences that need a new approval; the others are noted on the timeline.

    A person's data goes on growing until restriction commits, so a few more items of a kind that was
    approved anyway are no surprise. Grave are: another catalogue or code, items that were to stay and now
    are to go, and a growth beyond ``TOLERANCE_ITEMS`` and ``TOLERANCE_SHARE``. What was to stay for somebody
    else's sake only, and goes because that other person left meanwhile, is what was approved.
    """
    before, after = _sums(rehearsal), _sums(plan)
    freed = _fewer_for_others(rehearsal, plan)
    found = []
    for difference in differences:
        if difference.dataset is None:
            found.append(difference)
            continue
        keys = [k for k in before.keys() | after.keys() if k[0] == difference.dataset]
        stayed_less = any(
            before[k] - after[k] > (freed[k[:2]] if k[2] == Disposition.RETAIN else 0)
            for k in keys
            if not Disposition(k[2]).changes_data
        )
        more = {
            k: after[k] - before[k] for k in keys if Disposition(k[2]).changes_data and after[k] > before[k]
        }
        grown = any(
            n > freed[k[:2]] + max(TOLERANCE_ITEMS, TOLERANCE_SHARE * before[k]) for k, n in more.items()
        )
        if grown or (more and stayed_less):
            found.append(difference)
    return tuple(found)


def _fewer_for_others(before: Plan, after: Plan) -> Counter[tuple[str, str]]:
    """How many items fewer stay for somebody else's sake, per dataset and copy."""
    fewer: Counter[tuple[str, str]] = Counter()
    for plan_, sign in ((before, 1), (after, -1)):
        for line in plan_.lines:
            if line.disposition is Disposition.RETAIN and line.waits_for_others:
                fewer[line.dataset, line.copy_kind.value] += sign * line.items
    return +fewer


def beyond(before: Plan, plan: Plan) -> tuple[Finding, ...]:
    """Where a later step goes further than what the step before it left: it needs a new approval.

    What was kept until a date that is over, until something came, or under a hold, was approved to go then; a row
    that was cut is still there, and is found to be so again. The
    catalogue and the code may have changed over the years in between; what counts is what they make go.
    """
    left: Counter[tuple[str, str]] = Counter()
    stays: Counter[tuple[str, str]] = Counter()
    for line in before.lines:
        cut = line.disposition in (Disposition.DEIDENTIFY, Disposition.ANONYMISE)
        if not line.disposition.changes_data or cut:
            running = not cut and line.until is not None and line.until >= plan.as_of
            (stays if running else left)[line.dataset, line.copy_kind.value] += line.items
    goes: Counter[tuple[str, str]] = Counter()
    remains: Counter[tuple[str, str]] = Counter()
    for line in plan.lines:
        (goes if line.disposition.changes_data else remains)[line.dataset, line.copy_kind.value] += line.items
    found = []
    for place, items in sorted(goes.items()):
        more = items - left[place]
        grown = more > max(TOLERANCE_ITEMS, TOLERANCE_SHARE * left[place])
        if more > 0 and (grown or remains[place] < stays[place]):
            found.append(
                Finding(
                    code="differs_from_rehearsal", dataset=place[0], place=f"{place[0]} ({place[1]})", items=more,
                    what=f"{items} items are to go, but the step before left {left[place]} that may",
                    next_step="see where the others come from, then have the new plan approved",
                )
            )  # fmt: skip
    return tuple(found)


def _sums(plan: Plan) -> Counter[tuple[str, str, str]]:
    sums: Counter[tuple[str, str, str]] = Counter()
    for line in plan.lines:
        sums[line.dataset, line.copy_kind.value, line.disposition.value] += line.items
    return sums


def restricting(ground: Ground) -> bool:
    """Whether a case on this ground ends the relation, so that live certificates end too (``Step.restricting``)."""
    return ground.whole_person
