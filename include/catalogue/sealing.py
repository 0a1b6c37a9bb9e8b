"""The part of lint that is about sealed objects: their keys are rows like others, and go neither before nor after them."""

from __future__ import annotations

from include.catalogue.links import no_column
from include.catalogue.problems import Report
from include.model.estate import Bound, Dataset, Link, SealedBy
from include.model.words import DatasetKind


def check(report: Report) -> None:
    """Report what is wrong with keys, and with what they open."""
    known = {d.id: d for d in report.catalogue.datasets}
    for index, dataset in enumerate(report.catalogue.datasets):
        if dataset.keys is not None:
            _keys(report, index, dataset)
        if dataset.sealed_by is not None:
            keys = known.get(dataset.sealed_by.dataset)
            if keys is None:
                report.unknown("datasets", index, ("sealed_by", "dataset"), "datasets", dataset.sealed_by.dataset)  # fmt: skip
            elif _fits(report, index, dataset, keys, dataset.sealed_by):
                _same_people(report, index, dataset, keys, dataset.sealed_by)
                _as_long(report, index, dataset, keys, dataset.sealed_by)
                _as_gone(report, index, dataset, keys)


def _keys(report: Report, index: int, dataset: Dataset) -> None:
    assert dataset.keys is not None  # noqa: S101 (asked before)
    if dataset.kind is not DatasetKind.TABLE:
        report.add("datasets", index, ("keys",), "only the rows of a table can be keys",
                   "keep wrapped keys in a table, where they are deleted as rows are")  # fmt: skip
    for key, name in dataset.keys.model_dump().items():
        if name not in dataset.columns:
            no_column(report, index, ("keys", key), dataset, name)
    if dataset.key != (dataset.keys.id,):
        report.add("datasets", index, ("keys", "id"), "the key's number is not the table's key",
                   "let `key` and `keys.id` name the same column")  # fmt: skip
    opened = report.catalogue.opened_by(dataset.id)
    if not opened:
        report.add("datasets", index, ("keys",), "no dataset is sealed by them",
                   "name it in `sealed_by` of what they open, or drop it")  # fmt: skip
    elif extra := _floors_of(report, dataset) - {
        b for d in opened if d.sealed_by for b in translated(d, d.sealed_by, report)
    }:
        report.add("datasets", index, ("binds",),
                   f"{sorted(b[0] for b in extra)[0]} keeps the keys longer than anything that they open",
                   "bind the key to what binds its objects, and to no more")  # fmt: skip


def _fits(report: Report, index: int, dataset: Dataset, keys: Dataset, by: SealedBy) -> bool:
    """Whether the other checks can be made."""
    at = ("sealed_by",)
    if dataset.kind is not DatasetKind.OBJECTS:
        report.add("datasets", index, at, f"{dataset.kind.value} are not sealed one by one",
                   "declare it of objects")  # fmt: skip
        return False
    if keys.kind is not DatasetKind.TABLE or keys.keys is None:
        report.add("datasets", index, (*at, "dataset"), f"{keys.id} does not say which of its columns is the key",
                   "name a table, and declare its `keys`")  # fmt: skip
        return False
    if dataset.action != "erase" or keys.action != "erase":
        report.add("datasets", index, at, "a key ends by being erased, and so does what it opens",
                   "erase both")  # fmt: skip
    wrong = False
    for mine, theirs in by.on.items():
        if mine not in dataset.columns:
            no_column(report, index, (*at, "on", mine), dataset, mine)
            wrong = True
        if theirs not in keys.columns:
            no_column(report, index, (*at, "on", mine), keys, theirs)
            wrong = True
    if not by.on:
        report.add("datasets", index, (*at, "on"), "nothing says which key opens which object",
                   "name the variables of the path and the columns of the key that agree")  # fmt: skip
    return bool(by.on) and not wrong


def _same_people(report: Report, index: int, dataset: Dataset, keys: Dataset, by: SealedBy) -> None:
    """A key is its objects' owners', and nobody else's: each link of one is a link of the other."""
    mine = {_link(x, by.on) for x in dataset.links}
    theirs = {_link(x, {c: c for c in keys.columns}) for x in keys.links}
    if mine != theirs or None in mine:
        report.add("datasets", index, ("sealed_by", "dataset"), f"{keys.id} does not lead to the same people in the same way",
                   "give the key the links that its objects have, in its own columns")  # fmt: skip


def _link(link: Link, on: dict[str, str]) -> tuple[object, ...] | None:
    """What a link is in the key's columns; None if these do not have it."""
    if link.column is not None:
        return (on[link.column], link.ownership) if link.column in on else None
    if not link.on.keys() <= on.keys():
        return None
    return link.via, tuple(sorted((on[a], b) for a, b in link.on.items())), link.ownership


Floor = tuple[str, str, tuple[tuple[str, str], ...] | None]  # rule, period, what its start is joined on
NEVER: tuple[tuple[str, str], ...] = (("", ""),)


def translated(dataset: Dataset, by: SealedBy, report: Report) -> set[Floor]:
    """The statutory periods of objects, as their key must have them."""
    return {_floor(b, by.on) for b in dataset.binds if _restrains(report, b)}


def _floors_of(report: Report, keys: Dataset) -> set[Floor]:
    return {_floor(b, {c: c for c in keys.columns}) for b in keys.binds if _restrains(report, b)}


def _restrains(report: Report, bound: Bound) -> bool:
    rule = next((r for r in report.catalogue.rules if r.id == bound.rule), None)
    return rule is not None and rule.floor(bound.period) is not None


def _floor(bound: Bound, on: dict[str, str]) -> Floor:
    start = bound.start
    if start is None:
        return bound.rule, bound.period, None
    if start.query is None or not start.on.keys() <= on.keys():
        return bound.rule, bound.period, NEVER
    joined = tuple(sorted((on[a], b) for a, b in start.on.items()))
    return bound.rule, bound.period, (("", start.query), *joined)


def _as_long(report: Report, index: int, dataset: Dataset, keys: Dataset, by: SealedBy) -> None:
    for rule, period, start in sorted(translated(dataset, by, report), key=str):
        if start == NEVER:
            report.add("datasets", index, ("sealed_by",), f"{rule}/{period} starts by what its key cannot know",
                       "let the period start with the case or by a query, on what `on` names")  # fmt: skip
        elif (rule, period, start) not in _floors_of(report, keys):
            report.add("datasets", index, ("sealed_by",), f"{rule}/{period} keeps the objects, and not {keys.id}",
                       "bind the key to it: a key never goes while what it opens must stay")  # fmt: skip


def _as_gone(report: Report, index: int, dataset: Dataset, keys: Dataset) -> None:
    rungs = {c.id: c.rung for c in report.catalogue.categories}
    asked, has = (max((rungs.get(c, 0) for c in d.all_categories), default=0) for d in (dataset, keys))
    if has < asked:
        report.add("datasets", index, ("sealed_by", "dataset"),
                   f"its objects must be gone to R{int(asked)}, and {keys.id} only to R{int(has)}",
                   "give the wrapped key the categories of what it opens")  # fmt: skip
