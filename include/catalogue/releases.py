"""The part of lint that is about releases: every column has its place, and every hierarchy nests."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from include.catalogue.links import no_column
from include.catalogue.problems import Report
from include.model.estate import Dataset
from include.model.releases import Quasi, Release
from include.model.words import DatasetKind

MOST = 5000
"""Ways to generalise one release, at most: each is looked at."""
_PARTS = ("day", "month", "quarter", "year")


def check(report: Report) -> None:
    """Report what is wrong with releases, and datasets that are to be de-identified and have none."""
    known = {d.id: d for d in report.catalogue.datasets}
    released = {r.dataset for r in report.catalogue.releases}
    for index, dataset in enumerate(report.catalogue.datasets):
        if dataset.action == "deidentify" and dataset.id not in released:
            report.add("datasets", index, ("action",), "nothing says what stays of it, and how it is measured",
                       "declare a release of it in releases.yaml")  # fmt: skip
    _grading(report)
    for index, release in enumerate(report.catalogue.releases):
        _grade(report, index, release)
        source = known.get(release.dataset)
        if source is None:
            report.unknown("releases", index, ("dataset",), "datasets", release.dataset)
            continue
        if source.kind is not DatasetKind.TABLE:
            report.add(
                "releases", index, ("dataset",), f"{source.kind.value} are not released", "name a table"
            )
            continue
        _rule(report, index, release, source)
        _columns(report, index, release, source)
        _claim(report, index, release, source)
        _floors(report, index, release, (source, *(known[p] for p in release.pseudonyms if p in known)))
        _place(report, index, release, source)
        _rhythm(report, index, release)
        _readers(report, index, release, source)
        for column, quasi in release.quasi.items():
            _hierarchy(report, index, column, quasi)
        if release.nodes > MOST:
            report.add("releases", index, ("quasi",), f"there are {release.nodes} ways to generalise it, more than {MOST}",
                       "declare fewer levels")  # fmt: skip
        _pseudonyms(report, index, release, source, known)


def _grading(report: Report) -> None:
    """One reading, of all four grades, with an owner and a day or with neither."""
    for index, reading in enumerate(report.catalogue.grading):
        if index:
            report.add(
                "grading", index, ("id",), "there are two readings, and a set has one grade", "keep one"
            )
        if missing := [str(g) for g in (1, 2, 3, 4) if not reading.grades.get(g, "").strip()]:
            report.add(
                "grading",
                index,
                ("grades",),
                f"it does not say what grade {', '.join(missing)} means",
                "say it of each",
            )
        if bool(reading.owner) != bool(reading.approved_on):
            report.add(
                "grading",
                index,
                ("owner",),
                "a reading has an owner and a day of approval, or neither yet",
                "give both",
            )


def _grade(report: Report, index: int, release: Release) -> None:
    """The grade that it must reach can be told, and is reached by the figures that it declares."""
    grade, risk = release.grade, release.threshold.risk
    if grade is None:
        return
    if not report.catalogue.grading:
        report.add(
            "releases",
            index,
            ("grade",),
            "nothing says what its grade means",
            "declare the reading in grading.yaml",
        )
    if grade == 4:
        report.add("releases", index, ("grade",), "a release has a row for each person, and grade 4 is for statistics",
                   "ask for 3 at most")  # fmt: skip
    if grade < 3 and release.claims == "anonymised":
        report.add(
            "releases",
            index,
            ("grade",),
            f"it claims to be anonymous, and grade {grade} would do",
            "ask for 3",
        )
    if risk is None:
        report.add(
            "releases",
            index,
            ("threshold",),
            "it declares a grade, and no threshold of the risk",
            "give `risk`",
        )
    elif grade == 3 and 1 / release.k >= risk:
        report.add("releases", index, ("k",), f"a class of {release.k} has a risk of 1/{release.k}, which is not below {risk}",
                   "declare a higher k")  # fmt: skip


def _rule(report: Report, index: int, release: Release, source: Dataset) -> None:
    if release.rule not in {r.id for r in report.catalogue.rules}:
        report.unknown("releases", index, ("rule",), "rules", release.rule)
    elif release.rule not in {b.rule for b in source.binds}:
        report.add("releases", index, ("rule",), f"{release.rule} does not bind {source.id}",
                   "name a rule that does")  # fmt: skip


def _columns(report: Report, index: int, release: Release, source: Dataset) -> None:
    """Each column of the dataset is dropped, quasi, sensitive or plain: one of them."""
    places = Counter((*release.drop, *release.quasi, *release.sensitive, *release.plain))
    for column in source.columns:
        if places[column] != 1:
            report.add("releases", index, (), f"'{column}' is {'in two places' if places[column] else 'in none of them'}",
                       "say of each column once: drop, quasi, sensitive, or plain and why")  # fmt: skip
    named: list[tuple[str, str | None]] = [
        (key, c) for key in ("drop", "quasi", "sensitive", "plain") for c in getattr(release, key)
    ]
    named += [("person", release.person), ("latest", release.latest), ("marker", release.marker)]
    for key, name in named:
        if name is not None and name not in source.columns:
            no_column(report, index, (key,), source, name, of="releases")


def _claim(report: Report, index: int, release: Release, source: Dataset) -> None:
    if release.claims == "deidentified":
        if not release.why:
            report.add("releases", index, ("why",), "nothing says what keeps it de-identified only",
                       "say by what somebody can still be found")  # fmt: skip
        return
    if release.why:
        report.add(
            "releases", index, ("why",), "it claims to be anonymous, and says why it is not", "keep one"
        )
    leading = {c for link in source.links for c in ((link.column,) if link.column else link.on)}
    leading |= {c for c, said in source.columns.items() if said.identifies}
    for column in sorted(c for c in leading if c not in release.drop):
        report.add(
            "releases", index, ("drop",), f"'{column}' leads to somebody and is not dropped", "drop it"
        )
    if not release.known:
        report.add("releases", index, ("quasi",), "nothing of it is known to anybody, so nothing is measured",
                   "name what somebody may know: dates, places, counts")  # fmt: skip
    for column, wanted in release.sensitive.items():
        if wanted.l > release.k:
            report.add("releases", index, ("sensitive", column, "l"),
                       f"{wanted.l} distinct values do not fit into {release.k} rows",
                       "ask for fewer, or for a higher k")  # fmt: skip


def _floors(report: Report, index: int, release: Release, of: tuple[Dataset, ...]) -> None:
    """A release takes every row at any time: of what a statute keeps for so long it must not take one (PIPL 47 para. 2)."""
    if release.claims != "anonymised":
        return
    rules = {r.id: r for r in report.catalogue.rules}
    for dataset in of:
        kept = {
            b.rule for b in dataset.binds if b.rule in rules and rules[b.rule].floor(b.period) is not None
        }
        if kept:
            report.add(
                "releases", index, ("dataset",), f"{', '.join(sorted(kept))} forbids disposing of {dataset.id} too early",
                "release a dataset that no statute keeps, or claim `deidentified`",
            )  # fmt: skip


def _place(report: Report, index: int, release: Release, source: Dataset) -> None:
    """Rows that move have a table that is declared to hold nothing personal; rows that stay are cut as the dataset says."""
    if release.into is None:
        cut = set(source.cut.set) if source.cut else set()
        if cut != set(release.drop):
            report.add("releases", index, ("drop",), "it drops other columns than the dataset's cut sets",
                       f"let both name the same: {', '.join(sorted(cut ^ set(release.drop)))}")  # fmt: skip
        if release.claims == "anonymised" and (
            release.marker not in release.drop
            or (source.cut and source.cut.set.get(release.marker or "", "") is not None)
        ):
            report.add("releases", index, ("marker",), "nothing tells a released row from another",
                       "name the dropped column that is null from then on")  # fmt: skip
        return
    if release.marker is not None:
        report.add("releases", index, ("marker",), "rows that move need none", "drop it")
    there = next(
        (p for p in report.catalogue.not_personal if (p.store, p.address) == (source.store, release.into)),
        None,
    )
    if there is None:
        report.add(
            "releases",
            index,
            ("into",),
            f"{release.into} is not in not_personal.yaml",
            "declare it there, with its columns",
        )
    elif set(there.columns) != set(release.published):
        report.add("releases", index, ("into",), f"{release.into} is declared with other columns than stay",
                   f"let both name the same: {', '.join(sorted(set(there.columns) ^ set(release.published)))}")  # fmt: skip


def _rhythm(report: Report, index: int, release: Release) -> None:
    """A run releases what it can call anonymous, and into a table of its own: in place nobody sees what was there before."""
    if release.every is not None and (release.claims != "anonymised" or release.into is None):
        report.add("releases", index, ("every",), "no run releases it: it is de-identified only, or changed in place",
                   "drop `every`, or name the table that takes the rows")  # fmt: skip


def _readers(report: Report, index: int, release: Release, source: Dataset) -> None:
    """Who may read it may give it away past every test: the company's own roles only, and each says why."""
    roles = next((s.business_roles for s in report.catalogue.stores if s.id == source.store), ())
    for role in release.readers:
        if role not in roles:
            report.add("releases", index, ("readers", role), f"{role} is no business role of {source.store}",
                       f"name one of: {', '.join(roles)}")  # fmt: skip


def _hierarchy(report: Report, index: int, column: str, quasi: Quasi) -> None:
    """One kind, each level coarser than the one before: else a coarser node might have smaller classes."""

    def add(what: str, next_step: str) -> None:
        report.add("releases", index, ("quasi", column), what, next_step)

    if len(quasi.kinds) != 1:
        add("its hierarchy is of no kind, or of several", "give one of date, band, prefix and map")
    if any(_PARTS.index(a) >= _PARTS.index(b) for a, b in pairwise(quasi.date)):
        add("its parts of a date do not get coarser", "order them: day, month, quarter, year")
    if any(b % a or b == a for a, b in pairwise(quasi.band)):
        add(
            "a band is no multiple of the one before, so it cuts through it",
            "let each width be a multiple of the last",
        )
    if any(a <= b for a, b in pairwise(quasi.prefix)):
        add("its prefixes do not get shorter", "order them from long to short")
    if quasi.at_least > quasi.top:
        add(f"it has {quasi.top} levels, and may not be finer than {quasi.at_least}", "lower `at_least`")
    above: dict[tuple[int, str], set[str]] = {}
    for up in quasi.map.values():
        if len(up) != quasi.steps:
            add("a value has fewer ancestors than others", "give each as many")
        for level, (lower, higher) in enumerate(pairwise(up)):
            above.setdefault((level, lower), set()).add(higher)
    for (_, lower), several in sorted(above.items()):
        if len(several) > 1:
            add(f"'{lower}' is in {' and in '.join(sorted(several))}", "let each place be in one")


def _pseudonyms(
    report: Report, index: int, release: Release, source: Dataset, known: dict[str, Dataset]
) -> None:
    for n, name in enumerate(release.pseudonyms):
        if name not in known:
            report.unknown("releases", index, ("pseudonyms", n), "datasets", name)
        elif name not in {link.via for link in source.links}:
            report.add("releases", index, ("pseudonyms", n), f"no link of {source.id} leads by way of {name}",
                       "name the datasets that stand between it and people")  # fmt: skip
