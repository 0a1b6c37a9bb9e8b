"""The part of lint that is about whose a row is: every way leads to somebody, and says who owns what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from include.catalogue.problems import Report
from include.model.estate import Dataset, Link
from include.model.words import DatasetKind, Ownership


def check(report: Report) -> None:
    """Report every problem of every dataset's links."""
    known = {d.id: d for d in report.catalogue.datasets}
    leads = leading(report.catalogue.datasets)
    circles = _circles(known)
    for index, dataset in enumerate(report.catalogue.datasets):
        for n, link in enumerate(dataset.links):
            _link(report, index, dataset, n, link, known)
            if (dataset.id, link.via) in circles:
                report.add("datasets", index, ("links", n, "via"), f"'{link.via}' leads back to '{dataset.id}'",
                           "break the circle: name the account's column in one of them")  # fmt: skip
        _ownership(report, index, dataset)
        if dataset.id not in leads:
            report.add("datasets", index, ("links",), "it leads to nobody",
                       "link a column that holds the account id, here or further on")  # fmt: skip


def no_column(
    report: Report, index: int, key: tuple[str | int, ...], dataset: Dataset, name: str, of: str = "datasets"
) -> None:
    """Report a column that a dataset does not have. ``of``: the catalogue's field whose entry names it."""
    report.add(of, index, key, f"'{name}' is not among the columns of {dataset.id}",
               "add it to the columns, or correct the name")  # fmt: skip


def leading(datasets: Sequence[Dataset]) -> set[str]:
    """The datasets from which a way leads to an account id."""
    found = {d.id for d in datasets if any(link.column for link in d.links)}
    while True:
        more = {d.id for d in datasets if any(link.via in found for link in d.links)} - found
        if not more:
            return found
        found |= more


def _circles(known: Mapping[str, Dataset]) -> set[tuple[str, str]]:
    """The links, as (from, to), that lie on a circle of ``via``."""
    ways = {d.id: {link.via for link in d.links if link.via in known} for d in known.values()}

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        ahead = [start]
        while ahead:
            for via in ways[ahead.pop()]:
                if via is not None and via not in found:
                    found.add(via)
                    ahead.append(via)
        return found

    return {
        (d, via) for d, vias in ways.items() for via in vias if via is not None and d in reached(via) | {via}
    }


def _link(
    report: Report, index: int, dataset: Dataset, n: int, link: Link, known: Mapping[str, Dataset]
) -> None:
    at: tuple[str | int, ...] = ("links", n)
    if (link.column is None) == (link.via is None):
        report.add("datasets", index, at, "a link is a column or a way via another dataset",
                   "give exactly one of `column` and `via`")  # fmt: skip
    if link.column is not None:
        if link.column not in dataset.columns:
            no_column(report, index, (*at, "column"), dataset, link.column)
        if link.on and link.via is None:
            report.add(
                "datasets", index, (*at, "on"), "a column leads by itself and joins nothing", "drop `on`"
            )
    if link.via is None:
        return
    if not link.on:
        report.add("datasets", index, at, f"nothing says which columns join '{link.via}'", "give `on`")
    for mine in link.on:
        if mine not in dataset.columns:
            no_column(report, index, (*at, "on", mine), dataset, mine)
    target = known.get(link.via)
    if target is None:
        report.unknown("datasets", index, (*at, "via"), "datasets", link.via)
        return
    if target.kind is not DatasetKind.TABLE:
        report.add("datasets", index, (*at, "via"), f"'{link.via}' is no table, so nothing can be joined to it",
                   "lead via a table")  # fmt: skip
    for mine, theirs in link.on.items():
        if theirs not in target.columns:
            no_column(report, index, (*at, "on", mine), target, theirs)


def _ownership(report: Report, index: int, dataset: Dataset) -> None:
    """Whose it is must have one answer for each of its links."""
    kinds = [link.ownership for link in dataset.links]
    if Ownership.SHARED in kinds and Ownership.SOLE in kinds:
        report.add("datasets", index, ("links", kinds.index(Ownership.SHARED), "ownership"),
                   "it is shared by this link and goes with one person by another",
                   "make them all shared, or the other people's access_only")  # fmt: skip
    if kinds and set(kinds) == {Ownership.ACCESS_ONLY} and dataset.action == "erase":
        report.add("datasets", index, ("action",), "it is to be erased, but by every link it is somebody else's",
                   "unlink it, or correct the ownership")  # fmt: skip
    seen: list[tuple[str | None, str | None, dict[str, str]]] = []
    for n, link in enumerate(dataset.links):
        way = (link.column, link.via, link.on)
        if way in seen:
            report.add("datasets", index, ("links", n), "the same link is declared twice", "drop one")
        seen.append(way)
        cut = dataset.cut.set if dataset.cut else {}
        if link.ownership is Ownership.ACCESS_ONLY and link.column is not None and link.column not in cut:
            report.add("datasets", index, ("links", n, "column"),
                           f"'{link.column}' leads to somebody it does not belong to, and nothing cuts it",
                           "set it in `cut`")  # fmt: skip
