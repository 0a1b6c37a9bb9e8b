"""What a schema cannot say: names that lead nowhere, data without a home, promises without an answer.

``lint`` reports everything that it finds, each with file, line and key. What one entry looks like is the
model's business: the loader reports it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from include.catalogue import (
    coverage,
    homes,
    links,
    maps,
    media,
    periods,
    recipients,
    regions,
    releases,
    sealing,
    versions,
)
from include.catalogue.loader import ITRUS, load
from include.catalogue.problems import Problem, Report, mentions
from include.model.catalogue import Catalogue
from include.model.policy import RetentionRule
from include.model.words import StoreKind

_DAYS = (366.0, 31.0, 7.0, 1.0, 1 / 24, 1 / 1440)  # the longest each part can be


def lint(path: Path | None = None) -> tuple[Problem, ...]:
    """Every problem of the catalogue in a directory (default: the first policy), in order of place.

    Raises CatalogueError if it does not even load.
    """
    root = path or ITRUS
    return check(root, load(root))


def check(root: Path, catalogue: Catalogue) -> tuple[Problem, ...]:
    """Every problem of a catalogue that was loaded from ``root``, which must have its entries in this order."""
    report = Report(root, catalogue)
    for part in (
        _twice, _clauses, homes.check, _rules, recipients.check, _controls, coverage.check, _stores, _not_personal, _derived,
        abroad, _backups, _own_logs, _own_records, _measures, _queries, maps.check, links.check, sealing.check,
        releases.check, versions.check, media.check,
    ):  # fmt: skip
        part(report)
    return tuple(sorted(set(report.problems)))


def _ids(things: Iterable[Any]) -> set[str]:
    return {thing.id for thing in things}


def _twice(report: Report) -> None:
    """One id, one thing."""
    for of in ("clauses", "categories", "rules", "recipients", "laws", "controls", "stores", "datasets",
               "releases", "backups", "measures", "own_records", "versions", "media", "grading"):  # fmt: skip
        key = "no" if of == "clauses" else "id"
        seen: set[Any] = set()
        for index, entry in enumerate(getattr(report.catalogue, of)):
            name = getattr(entry, key)
            if name in seen:
                report.add(of, index, (key,), f"'{name}' is declared twice", "give it another, or drop one")
            seen.add(name)


def _clauses(report: Report) -> None:
    controls = _ids(report.catalogue.controls)
    numbers = {clause.no for clause in report.catalogue.clauses}
    for index, clause in enumerate(report.catalogue.clauses):
        if clause.no > 1 and clause.no - 1 not in numbers:
            report.add(
                "clauses", index, ("no",), f"clause {clause.no - 1} is missing", "add it, with its answer"
            )
        for n, name in enumerate(clause.controls):
            if name not in controls:
                report.unknown("clauses", index, ("controls", n), "controls", name)
        if clause.no_control and (clause.controls or clause.open):
            report.add(
                "clauses", index, ("no_control",), "no system control applies, and yet one is named or missing",
                "keep either the reason, or the controls and what is open",
            )  # fmt: skip
        if bool(clause.no_control) != bool(clause.reason):
            report.add(
                "clauses", index, ("reason" if clause.reason else "no_control",),
                "a reason from the closed list and its words belong together", "give both `no_control` and `reason`",
            )  # fmt: skip
        if not (clause.controls or clause.no_control or clause.open):
            report.add(
                "clauses", index, ("no",), "nothing honours this sentence and nothing says why",
                "name its controls, or `no_control` with a reason, or what is `open`",
            )  # fmt: skip


def _rules(report: Report) -> None:
    bound = {b.rule for d in report.catalogue.datasets for b in d.every_bind}
    bound |= {b.rule for b in report.catalogue.backups}
    for index, rule in enumerate(report.catalogue.rules):
        if rule.id not in bound and not rule.unbound:
            report.add(
                "rules", index, ("id",), "nothing is bound to it",
                "bind a dataset or a backup set, or say in `unbound` why there is none",
            )  # fmt: skip
        if rule.id in bound and rule.unbound:
            report.add("rules", index, ("unbound",), "it is bound, and says why it is not", "drop the reason")
        if not rule.basis:
            report.add("rules", index, ("basis",), *periods.LAWLESS)
        _unbound(report, index, rule)
        names = Counter(p.name for p in rule.periods)
        for n, period in enumerate(rule.periods):
            at = ("periods", n)
            if names[period.name] > 1:
                report.add(
                    "rules", index, (*at, "name"), f"two periods are named '{period.name}'", "rename one"
                )
            for what, next_step in periods.faults(period):
                report.add("rules", index, (*at, "duration"), what, next_step)


def _unbound(report: Report, index: int, rule: RetentionRule) -> None:
    """Each period of a rule reaches some data, or says why it does not."""
    bound = {(b.rule, b.period) for d in report.catalogue.datasets for b in d.every_bind}
    bound |= {(b.rule, b.period) for b in report.catalogue.backups}
    for n, period in enumerate(rule.periods):
        is_bound = (rule.id, period.name) in bound
        if not is_bound and not period.unbound and not rule.unbound:
            report.add(
                "rules", index, ("periods", n), f"nothing is bound to {rule.id}/{period.name}",
                "bind a dataset or a backup set, or say in `unbound` why there is none",
            )  # fmt: skip
        if period.unbound and (is_bound or rule.unbound):
            report.add(
                "rules", index, ("periods", n, "unbound"),
                "it is bound, and says why it is not" if is_bound else "the rule itself says why nothing is bound",
                "drop the reason",
            )  # fmt: skip


def days(duration: str) -> float:
    """At most how many days an ISO 8601 duration lasts."""
    parts = periods.DURATION.fullmatch(duration)
    return sum(int(n or 0) * d for n, d in zip(parts.groups(), _DAYS, strict=True)) if parts else 0.0


def _controls(report: Report) -> None:
    used = {name for clause in report.catalogue.clauses for name in clause.controls}
    for index, control in enumerate(report.catalogue.controls):
        if control.id not in used:
            report.add("controls", index, ("id",), "it honours no clause", "name it in a clause, or drop it")


def _stores(report: Report) -> None:
    inhabited = {d.store for d in report.catalogue.datasets}
    for index, store in enumerate(report.catalogue.stores):
        if store.id not in inhabited:
            report.add("stores", index, ("id",), "no dataset lives in it", "map what it holds, or drop it")


def abroad(report: Report) -> None:
    """Everything that holds data is in the country: our servers, the copies of them, and whom we give data to."""
    for place in regions.abroad(report.catalogue):
        report.add(
            place.of, place.index, ("region",), f"'{place.region}' is outside China (policy 7.1)",
            "bring it home; nothing goes abroad without notice, consent and agreement",
        )  # fmt: skip


def _not_personal(report: Report) -> None:
    known, categories = _ids(report.catalogue.stores), _ids(report.catalogue.categories)
    kinds = {s.id: s.kind for s in report.catalogue.stores}
    mapped = {(d.store, d.address): d.id for d in report.catalogue.datasets}
    released = {r.into for r in report.catalogue.releases}
    seen: set[tuple[str, str]] = set()
    for index, place in enumerate(report.catalogue.not_personal):
        if place.store not in known:
            report.unknown("not_personal", index, ("store",), "stores", place.store)
        for n, name in enumerate(place.categories):
            if name not in categories:
                report.unknown("not_personal", index, ("categories", n), "categories", name)
        tables = kinds.get(place.store) is StoreKind.POSTGRES
        if place.store in known and tables != bool(place.columns):
            report.add(
                "not_personal", index, ("columns",),
                "nobody said what its columns are" if tables else "a bucket has no columns",
                "name all of them, so that a new one is noticed" if tables else "drop them",
            )  # fmt: skip
        if place.categories and not place.at_least and place.address not in released:
            report.add(
                "not_personal", index, ("categories",), "nothing tests every year that nobody is found in it (RS-27)",
                "say in `at_least` how many people a row counts at least, or let a release lead into it",
            )  # fmt: skip
        for column in sorted(place.at_least.keys() - {*place.columns}):
            report.add(
                "not_personal", index, ("at_least", column), f"'{column}' is no column of it", "name one of its columns"
            )  # fmt: skip
        here = (place.store, place.address)
        if here in mapped or here in seen:
            report.add(
                "not_personal", index, ("address",),
                f"it is dataset {mapped[here]} too" if here in mapped else "it is declared twice",
                "it leads to people or it does not: keep one",
            )  # fmt: skip
        seen.add(here)


def _derived(report: Report) -> None:
    catalogue = report.catalogue
    known = {d.id: d for d in catalogue.datasets}
    for index, copy in enumerate(catalogue.derived):
        if copy.store not in _ids(catalogue.stores):
            report.unknown("derived", index, ("store",), "stores", copy.store)
        for n, name in enumerate(copy.of):
            if name not in known:
                report.unknown("derived", index, ("of", n), "datasets", name)
            elif known[name].store != copy.store:
                report.add(
                    "derived", index, ("of", n), f"'{name}' is in another store, so no view can be made of it",
                    "correct the store or the dataset",
                )  # fmt: skip
        if any((d.store, d.address) == (copy.store, copy.address) for d in catalogue.datasets):
            report.add(
                "derived",
                index,
                ("address",),
                "a dataset has the same address",
                "a copy is no dataset: keep one",
            )


def _backups(report: Report) -> None:
    rules = {r.id: r for r in report.catalogue.rules}
    for index, backup in enumerate(report.catalogue.backups):
        if backup.store not in _ids(report.catalogue.stores):
            report.unknown("backups", index, ("store",), "stores", backup.store)
        if backup.rule not in rules:
            report.unknown("backups", index, ("rule",), "rules", backup.rule)
            continue
        period = next((p for p in rules[backup.rule].periods if p.name == backup.period), None)
        if period is not None:  # a copy has everybody in it, whatever each has accepted
            period = report.catalogue.for_anybody(backup.rule, period)
        if period is None:
            report.add(
                "backups", index, ("period",), f"{backup.rule} has no period '{backup.period}'",
                f"use one of: {', '.join(p.name for p in rules[backup.rule].periods)}",
            )  # fmt: skip
        elif period.kind == "floor" or days(backup.keep) > days(period.duration):
            report.add(
                "backups", index, ("keep",),
                f"it keeps for {backup.keep}, longer than {backup.rule}/{period.name} allows",
                "keep it shorter: no deletion is complete before its last backup has gone",
            )  # fmt: skip

        of_data = {b.rule for d in report.catalogue.datasets for b in d.binds}
        others = {b.rule for d in report.catalogue.datasets if d.store == backup.store for b in d.binds}
        if backup.rule in of_data and (others := others - {backup.rule}):
            report.add(
                "backups", index, ("rule",),
                f"it is kept for as long as data of {backup.rule}, and holds data of {len(others)} other rules, too",
                "a long archive holds data of its own rule alone, in a store and under a key of its own",
            )  # fmt: skip
        if backup.replica and backup.tool != "object_versions":
            report.add(
                "backups", index, ("replica",), f"a set of {backup.tool} is no replica of a bucket", "drop it"
            )
        if backup.archive is not None and backup.tool != "basebackup":
            report.add(
                "backups",
                index,
                ("archive",),
                f"a set of {backup.tool} knows its archive by itself",
                "drop it",
            )
        own = {d.address for d in report.catalogue.datasets if d.store == backup.store}
        if backup.tool == "object_versions" and (backup.location in own) is backup.replica:
            report.add(
                "backups", index, ("location",),
                f"{backup.location} is " + ("the store's own, and no replica" if backup.replica else "no bucket of the store"),
                "say `replica: true` of another bucket that what is written is copied to, and of none of the store's own",
            )  # fmt: skip


def _own_logs(report: Report) -> None:
    """A server's own log: of a database, read by the connection of its store, and let go by nobody but the server."""
    stores = {s.id: s for s in report.catalogue.stores}
    for index, backup in enumerate(report.catalogue.backups):
        store = stores.get(backup.store)
        if backup.tool != "own_log" or store is None:
            continue
        if store.kind is not StoreKind.POSTGRES:
            report.add(
                "backups",
                index,
                ("store",),
                f"{store.id} is no database, and has no log of its own",
                "drop the set",
            )
        elif backup.location != store.connection:
            report.add(
                "backups", index, ("location",), f"{backup.location} is not the connection of store {store.id}",
                f"say {store.connection}: the log is that of the store's own server",
            )  # fmt: skip
        if backup.hold is not None:
            report.add(
                "backups", index, ("hold",), "a server's own log goes with its checkpoints, whoever orders otherwise",
                "hold a base backup or an archive of the store",
            )  # fmt: skip


def _own_records(report: Report) -> None:
    rules = {r.id: r for r in report.catalogue.rules}
    for index, own in enumerate(report.catalogue.own_records):
        if own.rule not in rules:
            report.unknown("own_records", index, ("rule",), "rules", own.rule)
        elif own.period not in (names := [p.name for p in rules[own.rule].periods]):
            report.add(
                "own_records", index, ("period",), f"{own.rule} has no period '{own.period}'",
                f"use one of: {', '.join(names)}",
            )  # fmt: skip
        if own.after is not None and own.after not in rules:
            report.unknown("own_records", index, ("after",), "rules", own.after)


def _measures(report: Report) -> None:
    catalogue = report.catalogue
    known = {d.id: d for d in catalogue.datasets}
    for index, measure in enumerate(catalogue.measures):
        if measure.store not in _ids(catalogue.stores):
            report.unknown("measures", index, ("store",), "stores", measure.store)
        for name, what in (
            (measure.id, "nothing says how to do it"),
            (f"{measure.id}.proof", "it has no proof"),
        ):
            if name not in catalogue.measure_sql:
                report.add("measures", index, ("id",), what, f"write measures/{name}.sql")
            elif not mentions(catalogue.measure_sql[name], "cohort"):
                report.add(
                    "measures", index, ("id",), f"measures/{name}.sql does not read `cohort`",
                    "join the cohort: a measure that ignores it reaches everybody",
                )  # fmt: skip
        for n, touched in enumerate(measure.touches):
            if touched not in known:
                report.unknown("measures", index, ("touches", n), "datasets", touched)
            elif known[touched].store != measure.store:
                report.add(
                    "measures", index, ("touches", n), f"'{touched}' is in another store",
                    "a measure works in its own store: correct one of them",
                )  # fmt: skip
    _unasked(report, "measures", catalogue.measure_sql, {m.id for m in catalogue.measures}, ".proof")


def _queries(report: Report) -> None:
    asked = {b.start.query for d in report.catalogue.datasets for b in d.binds if b.start and b.start.query}
    asked |= {
        d.accounts.dormancy.last_use for d in report.catalogue.datasets if d.accounts and d.accounts.dormancy
    }
    _unasked(report, "starting_points", report.catalogue.starting_points, asked)


def _unasked(report: Report, where: str, files: Iterable[str], asked: set[str], ending: str = "") -> None:
    for name in files:
        if name.removesuffix(ending) not in asked:
            report.add_file(
                f"{where}/{name}.sql", "nothing asks for it", "name it in the catalogue, or drop it"
            )
