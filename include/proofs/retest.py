"""The yearly test of re-identification (RS-27): every set that is called anonymous is measured and attacked as it is today.

The questions are those of the release itself (:mod:`include.proofs.anonymity`). Who attacks has no original that was kept: there
is none any more. He knows rows that are still personal today, and whole rows of the set. Statistics are counted again: no row
may count fewer people than declared. What is only de-identified is not tried: it is personal whatever comes of it (PIPL 73(3)).
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError, Refused
from include.model.estate import NotPersonal
from include.model.flow import Check
from include.model.releases import Release
from include.model.words import Rung, Verdict
from include.proofs import grading, linkage
from include.proofs.anonymity import KIND, Measured, attacked, measure, questions
from include.proofs.asking import Question, Questionnaire
from include.proofs.run import ask, judge
from include.proofs.server import Reader
from include.proofs.tables import quoted


@dataclass(frozen=True)
class Retested:
    """What came of one set. ``tries``: ways in which somebody was looked for. ``why``: what left it without a look, if it was.
    ``grade``: with ``graded``, by whose reading; None: it has none, and that says why."""

    id: str
    place: str
    rows: int
    measured: Measured | None
    tries: int
    checks: tuple[Check, ...]
    why: str = ""
    grade: int | None = None
    graded: str = ""

    @property
    def verdict(self) -> Verdict:
        """UNVERIFIED if any check could not be made. A set with nothing in it passes: nobody is in it."""
        found = {c.verdict for c in self.checks}
        if Verdict.FAILED in found:
            return Verdict.FAILED
        return Verdict.UNVERIFIED if Verdict.UNVERIFIED in found else Verdict.PASSED

    @property
    def wrong(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.verdict is not Verdict.PASSED)


def retest(catalogue: Catalogue, connections: Connections, release: Release) -> Retested:
    """One release, as it is now. Raises NotReachable."""
    dataset = catalogue.dataset(release.dataset)
    store = catalogue.store(dataset.store)
    place = release.into or dataset.id
    if release.claims != "anonymised":
        return Retested(release.id, place, 0, None, 0, (), f"de-identified, so still personal: {release.why}")
    reader = Reader.of(connections, store.id, store.connection)
    linked = attacked(
        release,
        dataset,
        "people are singled out by what may be known of them, or a sensitive value of theirs is learned",
    )
    try:
        measured = measure(reader, dataset, release)
        if not measured.rows:
            return Retested(release.id, place, 0, measured, 0, (), "nothing was released")
        known = linkage.take(reader, dataset, release)
        known += linkage.take_published(reader, dataset, release)
        came = linkage.attack(reader, dataset, release, known)
    except (CatalogueError, Refused) as error:
        blind = linked.unanswered(f"it could not be looked at: {error}")
        return Retested(release.id, place, 0, None, 0, (blind,))
    counts = {linked.id: came.singled_out + came.learned}
    checks: tuple[Check, ...] = (
        *ask(questions(catalogue, release), reader),
        *judge(KIND, store.id, (linked,), counts),
    )
    graded = grading.of_release(catalogue, connections, release, measured, checks)
    if (one := grading.check(release, dataset.id, graded, checks)) is not None:
        checks = (*checks, one)
    return Retested(
        release.id, place, measured.rows, measured, came.tries, checks, grade=graded.grade, graded=graded.said
    )


def recount(catalogue: Catalogue, connections: Connections, one: NotPersonal) -> Retested:
    """Statistics that are not personal for so many are counted in each of their rows: are they still? Raises NotReachable."""
    store = catalogue.store(one.store)
    reader = Reader.of(connections, store.id, store.connection)
    asked = tuple(
        Question(
            f"k.{one.address}.{column}", None, Rung.R10, 0,
            sql.SQL("SELECT FROM {} AS t WHERE t.{at} IS NULL OR t.{at} < {n}").format(
                quoted(one.address), at=sql.Identifier(column), n=sql.Literal(least)),
            "rows count fewer people than declared",
        )
        for column, least in sorted(one.at_least.items())
    )  # fmt: skip
    checks = ask(Questionnaire(KIND, one.store, asked), reader)
    graded = grading.of_statistics(catalogue, connections, checks)
    return Retested(one.address, one.address, 0, None, 0, checks, grade=graded.grade, graded=graded.said)
