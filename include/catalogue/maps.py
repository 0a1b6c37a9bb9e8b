"""The part of lint that is about datasets: where each lives, what binds it, what is cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from include.catalogue.links import no_column
from include.catalogue.problems import Report, mentions
from include.model.estate import Accounts, Bound, Dataset, Part
from include.model.policy import RetentionRule
from include.model.words import DatasetKind, Ownership, StoreKind

_STRENGTH = {"unlink": 0, "deidentify": 1, "erase": 2}
_AT_LEAST = {"erase": 2, "expire": 2, "transfer": 2, "deidentify": 1, "unlink": 0}


def check(report: Report) -> None:
    """Report every problem of every dataset."""
    known = {d.id: d for d in report.catalogue.datasets}
    for index, dataset in enumerate(report.catalogue.datasets):
        _home(report, index, dataset)
        _path(report, index, dataset)
        _key(report, index, dataset)
        _binds(report, index, dataset)
        _ending_columns(report, index, dataset)
        _cut(report, index, dataset, known)
        _ends(report, index, dataset)
        _columns(report, index, dataset, known)
        _effects(report, index, dataset)
        _parts(report, index, dataset)
        _anchored(report, index, dataset)
    _addresses(report)
    _once(report)


def _home(report: Report, index: int, dataset: Dataset) -> None:
    """The store, and that the address is what its kind needs."""

    def add(key: str, what: str, next_step: str) -> None:
        report.add("datasets", index, (key,), what, next_step)

    stores = {s.id: s for s in report.catalogue.stores}
    table = dataset.kind is DatasetKind.TABLE
    store = stores.get(dataset.store)
    if store is None:
        report.unknown("datasets", index, ("store",), "stores", dataset.store)
    elif table != (store.kind is StoreKind.POSTGRES):
        add(
            "kind",
            f"a store of kind {store.kind.value} holds no {dataset.kind.value}",
            "correct kind or store",
        )
    if table:
        if dataset.address.count(".") != 1:
            add("address", f"'{dataset.address}' is no schema.table", "write it like account.person")
        if dataset.categories:
            add("categories", "a table's categories are those of its columns", "name them at the columns")
    elif "." in dataset.address and "/" in dataset.address:
        add("address", f"'{dataset.address}' is no bucket", "write the bucket here and the path in `prefix`")
    if (dataset.kind is DatasetKind.RECORDS) != (dataset.format is not None):
        add(
            "format",
            "record files have a format, and nothing else has",
            "use jsonl.gz or parquet, for records",
        )
    if not dataset.all_categories:
        add(
            "columns",
            "no column holds personal data",
            "give a column its category, or move it to not_personal.yaml",
        )


def _path(report: Report, index: int, dataset: Dataset) -> None:
    """The variables in the path of objects are their columns, and the other way round."""
    if dataset.kind is not DatasetKind.OBJECTS:
        return
    variables = set(_variables(dataset.prefix))
    if not variables:
        report.add(
            "datasets",
            index,
            ("prefix",),
            "nothing in the path leads to a person",
            "write it like face/{account_id}/",
        )
    for name in sorted(variables - dataset.columns.keys()):
        report.add(
            "datasets",
            index,
            ("prefix",),
            f"the variable '{name}' is not among the columns",
            "add it to the columns",
        )
    for name in sorted(dataset.columns.keys() - variables):
        report.add("datasets", index, ("columns", name), "the path has no such variable",
                   "add it to the prefix, or drop it")  # fmt: skip


def _variables(prefix: str) -> list[str]:
    return [part.split("}")[0] for part in prefix.split("{")[1:]]


def _key(report: Report, index: int, dataset: Dataset) -> None:
    if dataset.kind is not DatasetKind.TABLE:
        if dataset.key:
            report.add("datasets", index, ("key",), "only a table has a key", "drop it")
        return
    if not dataset.key:
        report.add("datasets", index, ("key",), "a table needs its primary key", "name its columns in order")
    for n, name in enumerate(dataset.key):
        if name not in dataset.columns:
            no_column(report, index, ("key", n), dataset, name)
        if name in dataset.key[:n]:
            report.add("datasets", index, ("key", n), f"'{name}' is in the key twice", "drop one")


def _binds(report: Report, index: int, dataset: Dataset) -> None:
    rules = {r.id: r for r in report.catalogue.rules}
    if not dataset.binds:
        report.add("datasets", index, ("binds",), "no retention rule binds it", "name at least its own rule")
    for n, bound in enumerate(dataset.binds):
        at: tuple[str | int, ...] = ("binds", n)
        if any(
            (b.rule, b.period, b.start) == (bound.rule, bound.period, bound.start) for b in dataset.binds[:n]
        ):
            report.add("datasets", index, at, f"{bound.rule}/{bound.period} binds it twice", "drop one")
        _start(report, index, dataset, at, bound)
        rule = _ruled(report, index, at, bound, rules)
        if rule is None:
            continue
        for m, other in enumerate(bound.gives_way):
            if other not in {b.rule for b in dataset.binds if b is not bound}:
                report.add("datasets", index, (*at, "gives_way", m), f"{other} does not bind it, so nothing waits for it",
                           "name a rule that binds it, or drop it")  # fmt: skip
        if n == 0 and _STRENGTH[dataset.action] < _AT_LEAST[rule.at_end]:
            report.add("datasets", index, ("action",),
                       f"it only {dataset.action}s, but {rule.id} ends in: {rule.at_end}",
                       "do what the rule says, or bind the rule that allows less")  # fmt: skip


def _ending_columns(report: Report, index: int, dataset: Dataset) -> None:
    """Columns that fall due by themselves: of a table, its own, no key and no link, and bound like a dataset."""
    rules = {r.id: r for r in report.catalogue.rules}
    if dataset.part_of is not None:
        report.add(
            "datasets",
            index,
            ("part_of",),
            "a part is declared with its row",
            "drop it; name the columns in `parts`",
        )
    if dataset.parts and dataset.kind is not DatasetKind.TABLE:
        report.add("datasets", index, ("parts",), "only a table has columns", "drop it")
    leading = _leading(report, dataset)
    taken = {d.id for d in report.catalogue.datasets}
    for n, part in enumerate(dataset.parts):
        at: tuple[str | int, ...] = ("parts", n)
        if f"{dataset.id}.{part.id}" in taken or part.id in {p.id for p in dataset.parts[:n]}:
            report.add("datasets", index, (*at, "id"), "its name is taken", "give it another")
        if not part.set or not part.binds:
            report.add(
                "datasets", index, at, "it has no column, or no bind", "say what is set, and by which rule"
            )
        for column in part.set:
            if column not in dataset.columns:
                no_column(report, index, (*at, "set", column), dataset, column)
            if column in dataset.key or column in leading:
                report.add("datasets", index, (*at, "set", column), f"'{column}' is of its key, or leads to somebody",
                           "let the whole row end, or de-identify it")  # fmt: skip
            if column in _begun_by(dataset, part):
                report.add("datasets", index, (*at, "set", column), f"something of its row begins by '{column}'",
                           "start that from a date that stays")  # fmt: skip
            if column in {c for p in dataset.parts[:n] for c in p.set}:
                report.add("datasets", index, (*at, "set", column), f"'{column}' is of another part, too",
                           "name it in one of them")  # fmt: skip
        _part_and_cut(report, index, dataset, n)
        for m, bound in enumerate(part.binds):
            _start(report, index, dataset, (*at, "binds", m), bound)
            _ruled(report, index, (*at, "binds", m), bound, rules)


def _leading(report: Report, dataset: Dataset) -> set[str]:
    """Columns of a table that say whose its rows are, or those of others that lead through them; or which key opens an object."""
    found = {c for link in dataset.links for c in ((link.column,) if link.column else link.on)}
    for other in report.catalogue.datasets:
        found |= {c for link in other.links if link.via == dataset.id for c in link.on.values()}
        if other.sealed_by is not None and other.sealed_by.dataset == dataset.id:
            found |= set(other.sealed_by.on.values())
    return found


def _begun_by(dataset: Dataset, part: Part) -> set[str]:
    """Columns by which a clock of the row, or of another part of it, starts; or of everything of an account."""
    bounds = [*dataset.all_binds, *(b for p in dataset.parts if p is not part for b in p.binds)]
    found = {c for b in bounds if b.start for c in ((b.start.column,) if b.start.column else b.start.on)}
    found |= {c for b in part.binds if b.start for c in b.start.on}
    accounts = dataset.accounts
    return found | ({accounts.ended or "", accounts.began or ""} if accounts is not None else set())


def _part_and_cut(report: Report, index: int, dataset: Dataset, n: int) -> None:
    """A cut row is known by what its columns are set to, and its owner may not be known any more."""
    if dataset.cut is None or dataset.kind is not DatasetKind.TABLE:
        return
    part, cut, at = dataset.parts[n], dataset.cut.set, ("parts", n)
    for column in part.set.keys() & cut.keys():
        if part.set[column] != cut[column]:
            report.add("datasets", index, (*at, "set", column), f"the cut sets '{column}' to something else",
                       "set both to the same")  # fmt: skip
    if cut.keys() <= {c for p in dataset.parts[: n + 1] for c in p.set}:
        report.add("datasets", index, (*at, "set"), "with its parts gone a row would look cut that nobody cut",
                   "let the cut set a column that no part sets")  # fmt: skip
    if part.set.keys() <= cut.keys():
        return
    for m, bound in enumerate(part.binds):
        if bound.start is None or bound.start.column is None or bound.start.column in cut:
            report.add("datasets", index, (*at, "binds", m), "the cut leaves its columns, and not what this clock starts by",
                       "start it from a date that the cut leaves, or let the cut set these columns, too")  # fmt: skip


def _ruled(
    report: Report, index: int, at: tuple[str | int, ...], bound: Bound, rules: dict[str, RetentionRule]
) -> RetentionRule | None:  # fmt: skip
    """The rule of a bind, whose period must be one of its own."""
    rule = rules.get(bound.rule)
    if rule is None:
        report.unknown("datasets", index, (*at, "rule"), "rules", bound.rule)
    elif bound.period not in {p.name for p in rule.periods}:
        has = ", ".join(p.name for p in rule.periods)
        report.add("datasets", index, (*at, "rule" if bound.period == "main" else "period"),
                   f"{rule.id} has no period '{bound.period}'", f"use one of: {has}")  # fmt: skip
    return rule


def _ends(report: Report, index: int, dataset: Dataset) -> None:
    """What is left of a cut row is personal, so it goes on a day that its own columns tell: nobody leads to it any more."""
    if dataset.cut is None:
        return
    ends, at = dataset.cut.ends, ("cut", "ends")
    if ends is None:
        if dataset.action == "deidentify":
            report.add("datasets", index, ("cut",), "nothing says when what is left of it goes: it is personal still",
                       "give the cut its `ends`: a rule, its period, and a column to start from")  # fmt: skip
        return
    if dataset.action != "deidentify":
        report.add("datasets", index, at, "a cut row of it goes with the last that needs it",
                   "drop it")  # fmt: skip
    if dataset.kind is not DatasetKind.TABLE:
        report.add("datasets", index, at, "no night takes records out of shared files by age",
                   "erase them, or keep them in a table")  # fmt: skip
    rule = _ruled(report, index, at, ends, {r.id: r for r in report.catalogue.rules})
    period = next((p for p in rule.periods if p.name == ends.period), None) if rule else None
    if period is not None and period.kind != "ceiling":
        report.add("datasets", index, (*at, "period"), f"{ends.rule}/{ends.period} is no ceiling, so that nothing ends by it",
                   "name a period that is the longest time")  # fmt: skip
    column = ends.start.column if ends.start else None
    if column is None:
        report.add("datasets", index, (*at, "start"), "it does not start from a column of the row",
                   "name a date that stays in the row: queries go by people, and nobody leads to it")  # fmt: skip
    elif column in dataset.cut.set:
        report.add("datasets", index, (*at, "start"), f"'{column}' is cut, so that nothing says when it began",
                   "name a date that stays")  # fmt: skip
    _start(report, index, dataset, at, ends)
    periods = {(r.id, p.name): p for r in report.catalogue.rules for p in r.periods}
    bound = (periods.get((b.rule, b.period)) for b in dataset.all_binds)
    for period in (p for p in bound if p is not None and p.kind != "floor" and "T" in p.duration):
        report.add(
            "datasets", index, at,
            f"the period '{period.name}' of {period.duration} is for runs by the minute, which tell no last day of what is left",
            "erase such rows, or bind a period of days",
        )  # fmt: skip


def _start(report: Report, index: int, dataset: Dataset, at: tuple[str | int, ...], bound: Bound) -> None:
    start = bound.start
    if start is None:
        return
    at = (*at, "start")
    if (start.column is None) == (start.query is None):
        report.add("datasets", index, at, "a starting point is a column or a query",
                   "give exactly one of `column` and `query`")  # fmt: skip
    if start.column is not None and start.column not in dataset.columns:
        no_column(report, index, (*at, "column"), dataset, start.column)
    if bool(start.on) != bool(start.query):
        report.add("datasets", index, at, "a query is joined `on` columns, and a column is not",
                   "give `on` with `query`, and only there")  # fmt: skip
    for mine in start.on:
        if mine not in dataset.columns:
            no_column(report, index, (*at, "on", mine), dataset, mine)
    if start.query is None:
        return
    text = report.catalogue.starting_points.get(start.query)
    if text is None:
        report.add("datasets", index, (*at, "query"), f"there is no starting_points/{start.query}.sql",
                   "write it (docs/catalogue.md says what it returns), or correct the name")  # fmt: skip
        return
    for name in ("cohort", "started_at", *start.on.values()):
        if not mentions(text, name):
            report.add("datasets", index, (*at, "query"), f"starting_points/{start.query}.sql has no '{name}'",
                       "read `cohort`, return `started_at` and the columns of `on`")  # fmt: skip


def _cut(report: Report, index: int, dataset: Dataset, known: Mapping[str, Dataset]) -> None:
    if dataset.cut is None:
        if dataset.action != "erase":
            report.add(
                "datasets", index, ("action",), f"nothing says how to {dataset.action} it", "give its `cut`"
            )
        return
    if not dataset.cut.set:
        report.add("datasets", index, ("cut",), "it cuts nothing", "name the columns to set, or drop it")
    for name in dataset.cut.set:
        at = ("cut", "set", name)
        if name not in dataset.columns:
            no_column(report, index, at, dataset, name)
        if name in dataset.key:
            report.add("datasets", index, at, f"'{name}' is in the key, and a key is not cut",
                       "cut the other columns, or erase the rows")  # fmt: skip
    if dataset.action == "erase" and not _may_stay(dataset, known):
        report.add("datasets", index, ("cut",), "its rows are erased and nothing can make one stay",
                   "drop the cut; it serves rows that others own, see or point at")  # fmt: skip


def _may_stay(dataset: Dataset, known: Mapping[str, Dataset]) -> bool:
    """Whether a row that is to be erased may have to stay without its personal data.

    It may if others own or see it too, or if rows that the law keeps can point at it.
    """
    shared = any(link.ownership is not Ownership.SOLE for link in dataset.links)
    pointed_at = any(
        set(dataset.key) <= set(link.on.values())
        for d in known.values()
        for link in d.links
        if link.via == dataset.id
    )
    owns_the_id = any(dataset.key == (link.column,) for link in dataset.links)
    leads_to_shared = any(
        link.ownership is Ownership.SHARED
        for d in known.values()
        for link in d.links
        if link.via == dataset.id
    )
    return shared or pointed_at or owns_the_id or leads_to_shared


def _columns(report: Report, index: int, dataset: Dataset, known: Mapping[str, Dataset]) -> None:
    categories = {c.id for c in report.catalogue.categories}
    for n, name in enumerate(dataset.categories):
        if name not in categories:
            report.unknown("datasets", index, ("categories", n), "categories", name)
    for name, column in dataset.columns.items():
        at = ("columns", name)
        for category in column.all_categories:
            if category not in categories:
                report.unknown("datasets", index, at, "categories", category)
        if len(set(column.all_categories)) < len(column.all_categories):
            report.add("datasets", index, at, "a category is named twice", "drop one")
        for source in column.derived_from:
            of, _, its = source.partition(":")
            if of not in known or its not in known[of].columns:
                report.add("datasets", index, (*at, "derived_from"), f"'{source}' is no dataset:column that is mapped",
                           "write it like ra.id_card:birth_date")  # fmt: skip
            elif (of, its) == (dataset.id, name):
                report.add(
                    "datasets", index, (*at, "derived_from"), "a column is not derived from itself", "drop it"
                )


def _effects(report: Report, index: int, dataset: Dataset) -> None:
    catalogue = report.catalogue
    there = {d.address for d in catalogue.datasets if d.store == dataset.store}
    there |= {p.address for p in catalogue.not_personal if p.store == dataset.store}
    there |= {d.address for d in catalogue.derived if d.store == dataset.store}
    for n, effect in enumerate(dataset.effects):
        if effect.table not in there:
            report.add("datasets", index, ("effects", n, "table"), f"'{effect.table}' is no table that is declared",
                       "map it, or name it in not_personal.yaml")  # fmt: skip


def _parts(report: Report, index: int, dataset: Dataset) -> None:
    """What it takes to be the accounts, the register of transfers, or what partners supplied."""
    table = dataset.kind is DatasetKind.TABLE
    own = [link.column for link in dataset.links if link.column and link.ownership is Ownership.SOLE]
    named: list[tuple[str, str, str | None]] = []
    if dataset.accounts is not None:
        named += [
            ("accounts", "ended", dataset.accounts.ended),
            ("accounts", "began", dataset.accounts.began),
            ("accounts", "accepted", dataset.accounts.accepted),
        ]
        _dormancy(report, index, dataset)
        _reached(report, index, dataset.accounts)
        if not table or len(dataset.key) != 1 or dataset.key[0] not in own:
            report.add("datasets", index, ("accounts",), "its key is not the account id alone",
                       "declare it of the table whose rows are the accounts")  # fmt: skip
    if dataset.transfers is not None:
        named += (("transfers", key, name) for key, name in dataset.transfers.model_dump().items())
        if not table or not own:
            report.add("datasets", index, ("transfers",), "no column of it holds the account id",
                       "declare it of the table that says who was given what")  # fmt: skip
    if dataset.supplied is not None:
        named += (("supplied", key, name) for key, name in dataset.supplied.model_dump().items())
        if not table or not own:
            report.add("datasets", index, ("supplied",), "no column of it holds the account id",
                       "declare it of the table that says which partner supplied what")  # fmt: skip
    if dataset.consents is not None:
        named += (("consents", key, name) for key, name in dataset.consents.model_dump().items())
        if not table or not own:
            report.add("datasets", index, ("consents",), "no column of it holds the account id",
                       "declare it of the table that says who consented, and when")  # fmt: skip
    for column, said in dataset.columns.items():
        if said.identifies is not None and (not table or not own):
            report.add("datasets", index, ("columns", column, "identifies"), "no column beside it holds the account id",
                       "declare it where the row says whose it is")  # fmt: skip
    _rests(report, index, dataset)
    for part, key, name in named:
        if name is not None and name not in dataset.columns:
            no_column(report, index, (part, key), dataset, name)


def _dormancy(report: Report, index: int, dataset: Dataset) -> None:
    """Its period is one of the table's own rule, and what it asks is there."""
    said = dataset.accounts.dormancy if dataset.accounts is not None else None
    if said is None:
        return
    place = ("accounts", "dormancy")
    own = next((r for r in report.catalogue.rules if dataset.binds and r.id == dataset.binds[0].rule), None)
    if own is None or said.period not in {p.name for p in own.periods}:
        report.add("datasets", index, (*place, "period"), f"the table's own rule has no period '{said.period}'",
                   "name one of its periods")  # fmt: skip
    if said.last_use not in report.catalogue.starting_points:
        report.add("datasets", index, (*place, "last_use"), f"there is no starting_points/{said.last_use}.sql",
                   "write it, or correct the name")  # fmt: skip
    if said.noticed not in dataset.columns:
        no_column(report, index, (*place, "noticed"), dataset, said.noticed)


def _reached(report: Report, index: int, accounts: Accounts) -> None:
    """Where holders' addresses are said to be, there is a column, and one beside it that says whose they are."""
    for n, it in enumerate(accounts.reached):
        place = ("accounts", "reached", n)
        found = next((d for d in report.catalogue.datasets if d.id == it.dataset), None)
        if found is None or found.kind is not DatasetKind.TABLE or not any(x.column for x in found.links):
            report.add("datasets", index, (*place, "dataset"), "it is no table with a column that holds the account id",
                       "name the table with the address")  # fmt: skip
        elif it.column not in found.columns:
            no_column(report, index, (*place, "column"), found, it.column)
    if (guarded := accounts.guarded) is None:
        return
    found = next((d for d in report.catalogue.datasets if d.id == guarded.dataset), None)
    if found is None or found.kind is not DatasetKind.TABLE or not any(x.column for x in found.links):
        report.add("datasets", index, ("accounts", "guarded", "dataset"),
                   "it is no table with a column that holds the account id",
                   "name the table that says who has a guardian")  # fmt: skip
    elif guarded.column is not None and guarded.column not in found.columns:
        no_column(report, index, ("accounts", "guarded", "column"), found, guarded.column)


def _rests(report: Report, index: int, dataset: Dataset) -> None:
    """What rests on a consent alone is one person's, and somewhere it stands whether the consent was withdrawn."""
    if dataset.rests_on is None:
        return
    if dataset.sole_owner is None:
        report.add("datasets", index, ("rests_on",), "it is not one person's alone, by a column of its own",
                   "declare it of what goes with the consent of one person")  # fmt: skip
    said = next((d.consents for d in report.catalogue.datasets if d.consents is not None), None)
    if said is None or said.purpose is None or said.withdrawn is None:
        report.add("datasets", index, ("rests_on",), "nothing says when the consent is withdrawn",
                   "declare `consents` with `purpose` and `withdrawn` of the table that has them")  # fmt: skip
    others = [d for d in report.catalogue.datasets if d.rests_on == dataset.rests_on]
    if all(d.kind is not DatasetKind.TABLE for d in others):
        report.add("datasets", index, ("rests_on",), "no table rests on it, so nothing says of whom something is there",
                   "declare it of the table that goes with these objects, too")  # fmt: skip


def _anchored(report: Report, index: int, dataset: Dataset) -> None:
    """Hash and salt are columns of it, the salt goes when it is unlinked, and the originals' digests are mapped."""
    anchored = dataset.anchored
    if anchored is None:
        return
    for key, name in (("hash", anchored.hash), ("salt", anchored.salt)):
        if name not in dataset.columns:
            no_column(report, index, ("anchored", key), dataset, name)
    if dataset.cut is None or dataset.cut.set.get(anchored.salt, "") is not None:
        report.add("datasets", index, ("anchored", "salt"), "the salt is not cut, so the hash stays somebody's",
                   "unlink it, and cut the salt to null")  # fmt: skip
    mapped = {d.id: d for d in report.catalogue.datasets if d.store == dataset.store}
    for n, original in enumerate(anchored.of):
        of = mapped.get(original.dataset)
        if of is None:
            report.unknown("datasets", index, ("anchored", "of", n), "datasets", original.dataset)
        elif original.column not in of.columns:
            no_column(report, index, ("anchored", "of", n), of, original.column)


def _once(report: Report) -> None:
    """Every case begins with an account, so one table must hold them; and of a register there is one."""
    datasets = report.catalogue.datasets
    for key in ("accounts", "transfers", "supplied", "consents"):
        said = [i for i, d in enumerate(datasets) if getattr(d, key) is not None]
        for index in said[1:]:
            report.add(
                "datasets", index, (key,), f"{datasets[said[0]].id} is declared to be that", "keep one"
            )
        if key == "accounts" and datasets and not said:
            report.add("datasets", 0, (), "nothing says which table holds the accounts",
                       "declare `accounts` of the one that is keyed by the account id")  # fmt: skip


def _addresses(report: Report) -> None:
    """No two datasets at one place: an item would be located, and balanced, twice."""
    datasets = report.catalogue.datasets
    for index, dataset in enumerate(datasets):
        for other in datasets[:index]:
            if (dataset.store, dataset.address) == (other.store, other.address) and _overlap(dataset, other):
                report.add("datasets", index, ("address",), f"dataset {other.id} is at the same place",
                           "keep one, or tell them apart by their prefix")  # fmt: skip


def _overlap(one: Dataset, other: Dataset) -> bool:
    """Whether an object may belong to both: the parts of their paths agree as far as the shorter goes."""

    def parts(prefix: str) -> Iterable[str]:
        return (part for part in prefix.split("/") if part)

    return all(
        a == b or "{" in a or "{" in b for a, b in zip(parts(one.prefix), parts(other.prefix), strict=False)
    )
