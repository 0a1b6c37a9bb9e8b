"""A plan in the right tense: what became of each of its lines, and between which days of the law that lay.

A line that a receipt speaks of is told as done; any other as what it is to become. Beside it stand the first day on which it may
lawfully go, and the last on which it may still be there, each with what says so. Counts, names of datasets and laws only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from include.cases import explain
from include.cases.explain import Language
from include.cases.papers import StepDone
from include.cases.retention.limits import Bind, binds, ends
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, Refused
from include.model.flow import Line, Plan
from include.model.interval import Bounded, interval
from include.model.retention import Clock
from include.model.times import prc_date
from include.model.words import CopyKind, Disposition

DAY = timedelta(days=1)
Done = Mapping[tuple[str, CopyKind, str], date]
"""By dataset, copy and what was done: on which day the last of it was, by the stores' receipts."""


@dataclass(frozen=True)
class Window:
    """The days between which a line lawfully goes. ``earliest`` None: no day can be told, ``until_then`` says why. ``latest``:
    the last day on which it may still be there; None: none can be told."""

    earliest: date | None
    until_then: str
    latest: date | None
    by_then: str


def done(step: StepDone) -> Done:
    """What the receipts of a step say was done, and when."""
    found: dict[tuple[str, CopyKind, str], date] = {}
    for receipt in step.receipts:
        for dataset, words in receipt.counts.items():
            for said, items in words.items():
                word, _, copy = said.partition("@")
                key = (dataset, CopyKind(copy or CopyKind.LIVE.value), word) if items else None
                if key is not None:
                    found[key] = max(found.get(key, date.min), prc_date(receipt.done_at))
    return found


def told(
    plan: Plan, steps: Sequence[StepDone], catalogue: Catalogue, *, dataset: str | None, own: bool, language: Language
) -> Iterator[str]:  # fmt: skip
    """Dataset by dataset, or one: what became of the plan's lines, after what earlier steps of the case did. ``own``: the case
    has people whose relation ends with it; else it is about items by their own dates. Raises Refused for a dataset that no plan
    of the case knows."""
    earlier = [s for s in steps if s.row.step_id != plan.step]
    known = {x.dataset for p in (plan, *(s.plan for s in earlier)) for x in p.located}
    if dataset is not None and dataset not in known:
        raise Refused(
            "the plan does not speak of this dataset", about=f"{plan.case_no} {dataset}",
            next_step="list the datasets with `quietus case plan`",
        )  # fmt: skip
    began = min((s.row.as_of for s in steps), default=plan.as_of) if own else None
    now = next((done(s) for s in steps if s.row.step_id == plan.step), {})
    for name in (
        [dataset] if dataset is not None else sorted({x.dataset for x in plan.lines} | _gone(earlier))
    ):
        said = [
            _told(catalogue, x, day, s.plan.as_of, began, language)
            for s in earlier for x in s.plan.lines_of(name) if (day := _day(done(s), x)) is not None
        ]  # fmt: skip
        said += [_told(catalogue, x, _day(now, x), plan.as_of, began, language) for x in plan.lines_of(name)]
        title = f"{catalogue.in_parts.dataset(name).title} ({name})"
        yield "\n".join([title, *said]) if said else f"{title}: {_NOTHING[language]}"


_NOTHING = {"zh": "未发现任何数据。", "en": "nothing of this person was found."}


def _gone(steps: Sequence[StepDone]) -> set[str]:
    return {x.dataset for s in steps for x in s.plan.lines if _day(done(s), x) is not None}


def _day(of: Done, line: Line) -> date | None:
    return of.get((line.dataset, line.copy_kind, line.disposition.past))


def _told(
    catalogue: Catalogue, line: Line, gone: date | None, as_of: date, began: date | None, language: Language
) -> str:
    sentence = "  " + explain.sentence(line, language, gone=gone)
    if line.not_reached or line.disposition is Disposition.TRANSFER:
        return sentence
    try:
        between = window(catalogue, line, as_of, began)
    except (CatalogueError, KeyError):  # planned by another catalogue
        return sentence
    return f"{sentence}\n    {(_zh if language == 'zh' else _en)(between)}"


def window(catalogue: Catalogue, line: Line, as_of: date, began: date | None) -> Window:
    """Between which days the items of a line lawfully go. ``began``: the day on which the case ended the relation, from which
    what starts with that is counted; None: every clock is the items' own, and was over on ``as_of``. Raises CatalogueError."""
    dataset = catalogue.in_parts.dataset(line.dataset)
    of = [b for b in binds(catalogue.in_parts, dataset) if not b.rest]
    ours = [] if began is None else [_ceiling(b, began) for b in of if b.bound.start is None]
    ours = [x for x in ours if x.ceiling]
    stays = not line.disposition.changes_data
    if stays and line.until is None:
        return Window(None, explain.waited_for(line) or (line.hold or ""), None, "")
    if stays and line.until is not None:
        ours.append(Bounded(line.rule, "main", floor=True, ceiling=False, ends=line.until, law=line.law))
    it = interval(ours)
    if stays and line.until is not None:
        earliest, why = line.until + DAY, f"{line.rule}: {line.law}"
    else:
        over = [f"{b.bound.rule}/{b.period.name}: {_cites(b)}" for b in of if b.period.restrains_deletion]
        earliest, why = as_of, "; ".join(over)
    if it.latest is not None and it.ended_by is not None:
        by = why if it.ended_by.floor else f"{it.ended_by.name}: {it.ended_by.law}"
        return Window(earliest, why, it.latest, by)
    theirs = [f"{b.bound.rule}/{b.period.name}: {_cites(b)}" for b in of if b.period.kind != "floor"]
    return Window(earliest, why, as_of - DAY if began is None else None, "; ".join(theirs))


def _ceiling(bind: Bind, began: date) -> Bounded:
    """A limit that starts with the case, as the most that it leaves."""
    it = Bounded.of(bind.bound, bind.period, ends(bind.period, Clock(applies=True, day=began)))
    return replace(it, floor=False)


def _cites(bind: Bind) -> str:
    return (
        "company period" if bind.period.proposal is not None else "; ".join(b.cite for b in bind.period.basis)
    )


def _en(w: Window) -> str:
    if w.earliest is None:
        return f"earliest lawful day: not known before {w.until_then}; latest: none until then"
    first = f"earliest lawful day: {w.earliest} ({w.until_then or 'no law keeps it'})"
    if w.latest is None:
        return f"{first}; latest: by the items' own dates ({w.by_then or 'nothing sets one'})"
    return f"{first}; latest: {w.latest} is the last day ({w.by_then or w.until_then})"


def _zh(w: Window) -> str:
    if w.earliest is None:
        return f"最早合法日期:待“{w.until_then}”后方可确定;在此之前无最迟日期"
    first = f"最早合法日期:{w.earliest}({w.until_then or '无法定保存期'})"
    if w.latest is None:
        return f"{first};最迟:按各条数据自身日期({w.by_then or '无规定'})"
    return f"{first};最迟:保存至 {w.latest}({w.by_then or w.until_then})"
