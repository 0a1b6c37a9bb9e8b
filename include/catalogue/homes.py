"""The part of lint that is about kinds of data: each has a home, and is kept in every home as its own rules say."""

from __future__ import annotations

from include.catalogue.problems import Report
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.policy import Category


def check(report: Report) -> None:
    """Report every kind without a home, every home that none of the kind's rules binds, and idle exceptions."""
    catalogue = report.catalogue
    excepted = {(x.dataset, x.category) for x in catalogue.exceptions}
    for index, category in enumerate(catalogue.categories):
        housed(report, index, category)
        for n, dataset in enumerate(catalogue.datasets):
            held = category.id in dataset.all_categories and (dataset.id, category.id) not in excepted
            if held and not _shared(dataset, category):
                _foreign(report, n, dataset, category)
    _exceptions(report)


def _shared(dataset: Dataset, category: Category) -> set[str]:
    return {b.rule for b in dataset.binds} & set(category.rules)


def housed(report: Report, index: int, category: Category) -> None:
    """Report a kind of data that has no home, or none under a rule of its own."""
    catalogue = report.catalogue
    rules = {r.id for r in catalogue.rules}
    for n, rule in enumerate(category.rules):
        if rule not in rules:
            report.unknown("categories", index, ("rules", n), "rules", rule)
    if not category.rules:
        report.add("categories", index, ("rules",), "no rule says how long it may be kept",
                   "name the rules of retention.yaml that its data may be kept under")  # fmt: skip
        return
    impersonal = {c for place in catalogue.not_personal for c in place.categories}
    homes = [d for d in catalogue.datasets if category.id in d.all_categories]
    if not homes and category.id not in impersonal:
        report.add(
            "categories", index, ("id",), "no dataset holds it",
            "map a column, or declare in not_personal.yaml where it leads to nobody",
        )  # fmt: skip
    if homes and not any(_shared(d, category) for d in homes):
        report.add(
            "categories", index, ("rules",),
            f"no dataset that holds it ({', '.join(d.id for d in homes)}) is bound to any of its rules",
            "bind one there, or correct the category's rules",
        )  # fmt: skip


def _foreign(report: Report, index: int, dataset: Dataset, category: Category) -> None:
    """A home where none of the kind's rules binds: a statutory period may be missing here."""
    at: tuple[str, ...] = ("categories",)
    for name, column in dataset.columns.items():
        if category.id in column.all_categories:
            at = ("columns", name)
    floors = restraining(report.catalogue, category)
    report.add(
        "datasets", index, at,
        f"it holds {category.id} and is bound to none of its rules ({', '.join(category.rules)})"
        + (f", of which {', '.join(floors)} forbids deleting it too early" if floors else ""),
        "bind one of them, correct the category, or say in exceptions.yaml why it is kept otherwise here",
    )  # fmt: skip


def restraining(catalogue: Catalogue, category: Category) -> tuple[str, ...]:
    """Those of its rules under which a statute forbids to delete."""
    return tuple(
        rule.id
        for rule in catalogue.rules
        if rule.id in category.rules and any(p.restrains_deletion for p in rule.periods)
    )


def _exceptions(report: Report) -> None:
    """An exception is needed, once, and for what is there."""
    catalogue = report.catalogue
    datasets = {d.id: d for d in catalogue.datasets}
    categories = {c.id: c for c in catalogue.categories}
    seen: set[tuple[str, str]] = set()
    for index, entry in enumerate(catalogue.exceptions):
        dataset, category = datasets.get(entry.dataset), categories.get(entry.category)
        if dataset is None:
            report.unknown("exceptions", index, ("dataset",), "datasets", entry.dataset)
        if category is None:
            report.unknown("exceptions", index, ("category",), "categories", entry.category)
        if dataset is None or category is None:
            continue
        if (dataset.id, category.id) in seen:
            report.add("exceptions", index, ("category",), "it is excepted twice", "drop one")
        seen.add((dataset.id, category.id))
        if category.id not in dataset.all_categories:
            report.add("exceptions", index, ("category",), f"{dataset.id} holds no {category.id}",
                       "drop the exception, or correct it")  # fmt: skip
        elif _shared(dataset, category):
            report.add("exceptions", index, ("category",), f"{dataset.id} is bound to one of its rules",
                       "nothing needs to be excepted: drop it")  # fmt: skip
        if entry.rule not in {b.rule for b in dataset.binds}:
            report.add("exceptions", index, ("rule",), f"{entry.rule} does not bind {dataset.id}",
                       "name the rule that governs it there")  # fmt: skip
        floors = restraining(catalogue, category)
        if floors and not entry.law:
            report.add("exceptions", index, ("category",), f"{', '.join(floors)} forbids deleting it too early",
                       "say in `law` why that does not reach this copy, or bind it")  # fmt: skip
