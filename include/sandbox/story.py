"""A plan told to somebody who sees one for the first time: what went and why; what stays, on which law, until when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from rich.table import Table

from include.cases.explain import waited_for
from include.model.catalogue import Catalogue
from include.model.flow import Line, Plan
from include.model.words import Disposition, UnitState

WIDTH = 120  # columns that everything here fits into
_NEEDED_BY = "needed by "  # how a store marks what stays, or is only cut, for the sake of something else


def summary(plan: Plan) -> str:
    """One sentence in which every item of the plan is counted once."""
    parts = []
    for disposition in Disposition:
        items = sum(x.items for x in plan.lines if x.disposition is disposition)
        if items:
            parts.append(f"{items} {disposition.past}")
    return f"{sum(x.items for x in plan.located)} items were found: {', '.join(parts)}."


def went(plan: Plan, catalogue: Catalogue) -> Table:
    """A row for each kind of data of which something went: how many items, how, and why."""
    table = _table("What went 已处理", ("items", 5), ("what it was", 50), ("how", 12), ("why", 46))
    rows: dict[tuple[str, Disposition], list[Line]] = defaultdict(list)
    for line in plan.lines:
        if line.items and line.disposition.changes_data:
            rows[line.rule, line.disposition].append(line)
    for (rule, disposition), lines in sorted(
        rows.items(), key=lambda x: (x[0][1] is not Disposition.ERASE, x[0])
    ):
        table.add_row(
            _count(lines), catalogue.rule(rule).title, disposition.past, _why_it_goes(catalogue, rule, lines)
        )
    return table


def stays(plan: Plan, catalogue: Catalogue) -> Table:
    """A row for each law or order that keeps something: how much of what, and until when."""
    table = _table(
        "What stays, restricted 保留", ("items", 5), ("until", 24), ("on which law", 40), ("what it is", 44)
    )
    rows: dict[tuple[str, str | None], list[Line]] = defaultdict(list)
    for line in plan.lines:
        if line.items and not line.disposition.changes_data:
            rows[_law(line), line.hold].append(line)
    for (law, hold), lines in sorted(rows.items(), key=lambda x: (_last(x[1]), x[0][0])):
        said = {_said(catalogue, x.rule, law) for x in lines} if hold is None else {""}
        reason = "; ".join(sorted(said - {""}))
        table.add_row(
            _count(lines), _until(lines), f"{law}: {reason}" if reason else law, _kinds(lines, catalogue)
        )
    return table


_STANDS: Mapping[UnitState, str] = {
    UnitState.TP_ACKED: "done",
    UnitState.TP_RETAINED: "keeps some, by law",
    UnitState.TP_UNLINKED: "unlinked by us",
    UnitState.TP_ESCALATED: "escalated",
}
_ON_ITS_WAY: Mapping[str, str] = {
    "waiting": "to be told",
    "sending": "being told",
    "delivered": "told",
    "in_doubt": "a person finds out",
    "errand": "a person tells it",
    "refused": "would not take it",
    "cancelled": "taken back",
}


def recipients(notices: Iterable[Mapping[str, Any]], catalogue: Catalogue, still: Mapping[str, int]) -> Table:
    """A row for each recipient of the catalogue: how it is told, where its notice of this case stands, and ``still``, how
    many records it really has of the person, whatever it said."""
    table = _table(
        "Who else has it 第三方",
        ("recipient", 40),
        ("told by", 12),
        ("stands", 20),
        ("answered", 22),
        ("until", 11),
        ("has it still", 8),
    )
    latest = {n["recipient"]: n for n in notices}  # of several rounds, the last
    for body in catalogue.recipients:
        notice = latest.get(body.id)
        if notice is None:
            table.add_row(body.name, body.channel, "was given nothing", "", "", _still(still.get(body.id)))
            continue
        state = UnitState(notice["state"])
        answered = ", ".join(notice["codes"] or ())
        by = notice["target_on"] if state is UnitState.TP_NOTIFIED else None
        until = str(notice["retained_until"] or by or "")
        table.add_row(
            body.name, body.channel, _STANDS.get(state) or _ON_ITS_WAY[notice["delivery"]],
            answered or notice["objection"] or "", until, _still(still.get(body.id)),
        )  # fmt: skip
    return table


def _still(records: int | None) -> str:
    return "" if records is None else str(records) if records else "no"


def _table(title: str, *columns: tuple[str, int]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name, width in columns:
        table.add_column(name, justify="right" if name == "items" else "left", width=width, overflow="fold")
    return table


def _count(lines: Iterable[Line]) -> str:
    return str(sum(x.items for x in lines))


def _why_it_goes(catalogue: Catalogue, rule: str, lines: Sequence[Line]) -> str:
    declared = catalogue.rule(rule)
    first = declared.basis[0]
    if ends := [x.until for x in lines if x.disposition is Disposition.DEIDENTIFY and x.until]:
        return f"no law keeps its names any longer ({first.cite}); what is left is personal still, until {max(ends)}"
    if any(_NEEDED_BY in x.law for x in lines):
        return f"what names the person; a record that must stay still needs the rest ({_law(lines[0])})"
    if any(p.restrains_deletion for p in declared.periods):
        return f"no law keeps it any longer ({first.cite})"
    return f"{first.text} ({first.cite})"


def _law(line: Line) -> str:
    """The law that a line stands on, without what else it is needed for."""
    return "; ".join(x for x in line.law.split("; ") if not x.startswith(_NEEDED_BY))


def _said(catalogue: Catalogue, rule: str, law: str) -> str:
    """What the most particular of the cited laws, the last one, says in the catalogue's words."""
    declared = catalogue.rule(rule)
    bases = [*(b for p in declared.periods for b in p.basis), *declared.basis]
    return next(
        (b.text for cite in reversed(law.split("; ")) for b in bases if b.cite == cite and b.text), ""
    )


def _kinds(lines: Iterable[Line], catalogue: Catalogue) -> str:
    items: dict[str, int] = defaultdict(int)
    for line in lines:
        items[catalogue.dataset(line.dataset).title] += line.items
    return "; ".join(f"{n} {title}" if n > 1 else title for title, n in sorted(items.items()))


def _until(lines: Sequence[Line]) -> str:
    """One date or the span of several; else what is waited for, or the order that must be lifted first."""
    days = sorted({x.until for x in lines if x.until})
    said = [f"{days[0]} to {days[-1]}" if len(days) > 1 else str(days[0])] if days else []
    said += sorted({waited_for(x) for x in lines if x.waits_for and not x.until})
    said += sorted({f"{x.hold} is lifted" for x in lines if x.hold})
    return "; ".join(said)


def _last(lines: Sequence[Line]) -> date:
    return max((x.until for x in lines if x.until), default=date.max)
