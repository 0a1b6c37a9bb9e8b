"""What versions of the policy promised, held against the periods: none is made longer unsaid."""

from __future__ import annotations

from include.catalogue.problems import Report
from include.model.catalogue import Catalogue
from include.model.versions import may_be_shorter


def check(report: Report) -> None:
    """Report where accounts and versions do not fit, what the newest version does not say, and what is longer than it says."""
    catalogue = report.catalogue
    of = next(((n, d.accounts) for n, d in enumerate(catalogue.datasets) if d.accounts), None)
    if not catalogue.versions:
        if of is not None and _promisable(catalogue):
            report.add(
                "datasets", of[0], ("accounts",),
                "no version of the policy is declared that its holder could have accepted: a longer period would reach everybody",
                "write versions.yaml: what each version promised of periods that no statute sets",
            )  # fmt: skip
        return
    if of is None or of[1].accepted is None:
        report.add(
            "versions", 0, ("id",), "nothing says which version the holder of an account accepted",
            "name the column in `accounts.accepted` of the accounts",
        )  # fmt: skip
    _read_by_nothing(report)
    _said(report)
    _own(report)


def _read_by_nothing(report: Report) -> None:
    """Of two places with a version the account's counts. One that stands with consents would be taken for it, and is named for
    what it is."""
    accepted = next((d.accounts.accepted for d in report.catalogue.datasets if d.accounts), None)
    for n, dataset in enumerate(report.catalogue.datasets):
        if (
            dataset.consents is None
            or dataset.consents.version is not None
            or accepted not in dataset.columns
        ):
            continue
        report.add(
            "datasets", n, ("columns", accepted),
            "it looks like the version that somebody accepted, and nothing judges by it: `accounts.accepted` alone does",
            "declare it as `version` of `consents`, which is evidence alone, or drop the column",
        )  # fmt: skip


def in_use(catalogue: Catalogue) -> set[tuple[str, str]]:
    """Rule and period of everything that goes by one."""
    found = {(b.rule, b.period) for d in catalogue.datasets for b in d.every_bind}
    found |= {(b.rule, b.period) for b in catalogue.backups}
    found |= {(o.rule, o.period) for o in catalogue.own_records}
    for dataset in catalogue.datasets:
        if dataset.accounts and dataset.accounts.dormancy and dataset.binds:
            found.add((dataset.binds[0].rule, dataset.accounts.dormancy.period))
    return found


def _promisable(catalogue: Catalogue) -> bool:
    used = in_use(catalogue)
    return any(p.shortenable and (r.id, p.name) in used for r in catalogue.rules for p in r.periods)


def _said(report: Report) -> None:
    newest, used = report.catalogue.versions[-1], in_use(report.catalogue)
    known = set()
    for index, rule in enumerate(report.catalogue.rules):
        for n, period in enumerate(rule.periods):
            name, at = f"{rule.id}/{period.name}", ("periods", n, "duration")
            if not period.shortenable:
                continue
            known.add(name)
            said = newest.says.get(name)
            if said is None and (rule.id, period.name) in used:
                report.add(
                    "rules", index, at, f"version {newest.id} of the policy, the newest, does not say it, and no statute does",
                    f"say {name} in versions.yaml, so that it is not made longer unsaid",
                )  # fmt: skip
            elif said is not None and may_be_shorter(said, period.duration):
                report.add(
                    "rules", index, at,
                    f"version {newest.id} of the policy, the newest, promised {said}: nobody accepted {period.duration}, so"
                    " that it reaches nobody",
                    "keep it as short as was promised, or add the version of the policy that says the longer one",
                )  # fmt: skip
    for name in sorted(newest.says.keys() - known):
        report.add(
            "versions", len(report.catalogue.versions) - 1, ("says", name), "no rule has such a period that no statute sets",
            "correct the name, or drop it",
        )  # fmt: skip


def _own(report: Report) -> None:
    """Nobody's account leads to what our own machinery writes down: a longer period of it could be shown to be nobody's."""
    for index, own in enumerate(report.catalogue.own_records):
        rule = next((r for r in report.catalogue.rules if r.id == own.rule), None)
        period = next((p for p in rule.periods if p.name == own.period), None) if rule else None
        if rule is not None and period is not None and report.catalogue.formers(rule.id, period):
            report.add(
                "own_records", index, ("period",), f"{rule.id}/{period.name} was shorter, and no account leads to these records",
                "keep the period as short as it ever was promised, or bind another",
            )  # fmt: skip
