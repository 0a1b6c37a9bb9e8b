"""How anonymous what was released is: k, l and t measured in SQL of the prover's own, the attack, pseudonyms, old tuples.

    k            every class has as many rows as declared                                          R10
    l            and as many distinct values of each sensitive column                               R10
    t            and is no farther from the whole than declared                                     R10
    rare         no sensitive value is shared by fewer than k                                       R10
    identifiers  nothing that was to be dropped is there                                            R10
    pseudonyms   no pseudonym is left to which no row leads                                         R10
    linkage      nobody of a sample of originals is singled out, and no secret of theirs learned    R10
    grade        it has the grade that it declares, by the company's reading of a standard           R10
    claimed      it is not declared de-identified only                                              R10
    originals    no value of the sample is in the files of its old table, and these were written anew    R4

k alone never earns the word: see :func:`word`. What is only de-identified is personal whatever is measured (PIPL 73(3)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.flow import Check, Evidence, Step
from include.model.releases import Release
from include.model.words import Rung, Verdict
from include.proofs import grading
from include.proofs.asking import Question, Questionnaire, evidence
from include.proofs.linkage import Original, attack, published
from include.proofs.originals import originals
from include.proofs.run import ask, judge
from include.proofs.server import Connection, Reader
from include.proofs.tables import quoted

KIND = "anonymity"
ROUNDING = 1e-9


@dataclass(frozen=True)
class Measured:
    """What one release is like. ``l`` and ``t`` by sensitive column; ``suppressed``: rows that were not released."""

    rows: int
    classes: int
    k: int
    l: dict[str, int]  # noqa: E741 - its name in the literature
    t: dict[str, float]
    suppressed: int
    identifiers: int

    def as_declared(self, release: Release) -> bool:
        """Whether there is something, without identifiers, in which nobody's risk (that of the smallest class, 1/k) is above the
        declared one. What grade that is says :mod:`include.proofs.grading`."""
        return (
            release.claims == "anonymised" and not self.identifiers and self.rows > 0 and self.k >= release.k
        )


def word(release: Release, verdict: Verdict) -> str:
    """What the set may be called."""
    if release.claims == "deidentified":
        return "de-identified: still personal (PIPL 73(3))"
    if verdict is Verdict.PASSED:
        return "anonymous"
    return "not shown to be anonymous: still personal (PIPL 73(3))"


def measure(reader: Reader, dataset: Dataset, release: Release) -> Measured:
    """Count it. Raises NotReachable, and Refused or CatalogueError if it cannot be read."""
    with reader.reaching(), reader.connect() as connection:
        rows, classes, k = _one(
            connection,
            sql.SQL(
                "SELECT coalesce(sum(n), 0), count(*), coalesce(min(n), 0) FROM (SELECT count(*) AS n FROM {}{}) AS c"
            ).format(published(dataset, release), _grouped(release.known)),
        )
        diverse = {
            s: _one(connection, sql.SQL(
                "SELECT coalesce(min(n), 0) FROM (SELECT count(DISTINCT t.{}) AS n FROM {}{}) AS c").format(
                sql.Identifier(s), published(dataset, release), _grouped(release.known)))[0]
            for s in release.sensitive
        }  # fmt: skip
        far = {
            s: _one(connection, sql.SQL("SELECT coalesce(max(d), 0)::float8 FROM ({}) AS c").format(
                _distances(dataset, release, s)))[0]
            for s in release.sensitive
        }  # fmt: skip
        (suppressed,) = _one(
            connection,
            sql.SQL(
                "SELECT coalesce(sum(rows - released), 0) FROM quietus.released WHERE release = {}"
            ).format(sql.Literal(release.id)),
        )
        (left,) = _one(
            connection, sql.SQL("SELECT count(*) FROM ({}) AS q").format(_identifiers(dataset, release))
        )
    return Measured(
        int(rows), int(classes), int(k), {s: int(n) for s, n in diverse.items()},
        {s: float(d) for s, d in far.items()}, int(suppressed), int(left),
    )  # fmt: skip


def questions(catalogue: Catalogue, release: Release) -> Questionnaire:
    """The suite of one release, from its declaration. Each question counts what must not be."""
    dataset = catalogue.dataset(release.dataset)
    source = published(dataset, release)

    def ask_(what: str, rows: sql.Composable, otherwise: str) -> Question:
        return Question(f"{what}.{release.id}", dataset.id, Rung.R10, 0, rows, otherwise)

    def classes(having: sql.Composable) -> sql.Composed:
        return sql.SQL("SELECT FROM {}{} HAVING {}").format(source, _grouped(release.known), having)

    asked = [
        ask_(
            "k",
            classes(sql.SQL("count(*) < {}").format(sql.Literal(release.k))),
            "classes are smaller than declared",
        ),
        ask_("identifiers", _identifiers(dataset, release), "what identifies is still there"),
    ]
    for column, wanted in release.sensitive.items():
        s = sql.Identifier("t", column)
        asked.append(
            ask_(f"l.{column}", classes(sql.SQL("count(DISTINCT {}) < {}").format(s, sql.Literal(wanted.l))),
                 "classes have fewer distinct sensitive values than declared")
        )  # fmt: skip
        if wanted.t is not None:
            asked.append(
                ask_(f"t.{column}", sql.SQL("SELECT FROM ({}) AS c WHERE d > {}").format(
                    _distances(dataset, release, column), sql.Literal(wanted.t + ROUNDING)),
                    "classes are farther from the whole than declared")
            )  # fmt: skip
        asked.append(
            ask_(f"rare.{column}", sql.SQL("SELECT FROM (SELECT {s} AS v FROM {of}) AS v WHERE v IS NOT NULL GROUP BY v"
                 " HAVING count(*) < {k}").format(s=s, of=source, k=sql.Literal(release.k)),
                 "fewer than k rows share a sensitive value, which points at them by itself")
        )  # fmt: skip
    for name in release.pseudonyms:
        (link,) = [x for x in dataset.links if x.via == name]
        same = sql.SQL(" AND ").join(
            sql.SQL("t.{} = p.{}").format(sql.Identifier(a), sql.Identifier(b)) for a, b in link.on.items()
        )
        asked.append(
            ask_(f"pseudonyms.{name}", sql.SQL("SELECT FROM {} AS p WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(
                quoted(catalogue.dataset(name).address), quoted(dataset.address), same),
                "pseudonyms are left of people whose rows were released")
        )  # fmt: skip
    return Questionnaire(KIND, dataset.store, tuple(asked))


def attacked(release: Release, dataset: Dataset, otherwise: str) -> Question:
    """What is asked of a release beside its suite: who is found in it (``otherwise``: what is wrong then)."""
    return Question(f"linkage.{release.id}", dataset.id, Rung.R10, 0, sql.SQL(""), otherwise)


def prove(
    catalogue: Catalogue,
    connections: Connections,
    release: Release,
    step: Step,
    sample: Sequence[Original],
    directory: Path | None = None,
) -> Evidence:
    """The whole look at one release. ``sample``: originals that were taken before; ``directory``: the database's, where this
    machine sees it. Raises NotReachable."""
    dataset = catalogue.dataset(release.dataset)
    store = catalogue.store(dataset.store)
    reader = Reader.of(connections, store.id, store.connection, step.subjects)
    checks = list(ask(questions(catalogue, release), reader))
    measured = measure(reader, dataset, release)
    linkage = attacked(
        release, dataset, "people of the sample are singled out, or a sensitive value of theirs is learned"
    )
    counts: dict[str, int] = {}
    if sample and measured.rows:
        came = attack(reader, dataset, release, sample)
        counts[linkage.id] = came.singled_out + came.learned
    for check in judge(KIND, store.id, (linkage,), counts):
        blind = check.verdict is Verdict.UNVERIFIED
        why = "no original was kept, or nothing was released, so nobody could try" if blind else check.why
        checks.append(check.model_copy(update={"why": why}))
    graded = grading.of_release(catalogue, connections, release, measured, checks)
    if (grade := grading.check(release, dataset.id, graded, checks)) is not None:
        checks.append(grade)
    checks.append(originals(reader, dataset, release, sample, directory))
    if release.claims == "deidentified":
        checks.append(
            Check(name=f"claimed.{release.id}", dataset=dataset.id, rung=Rung.R10, verdict=Verdict.FAILED,
                  why=f"declared de-identified only, which is still personal (PIPL 73(3)): {release.why}")
        )  # fmt: skip
    return evidence(KIND, step, None, store.id, checks)


def _grouped(known: Sequence[str]) -> sql.Composed:
    return sql.SQL(" GROUP BY {}").format(
        sql.SQL(", ").join(sql.Identifier("t", c) for c in known) if known else sql.SQL("()")
    )


def _identifiers(dataset: Dataset, release: Release) -> sql.Composed:
    """Columns of the release table that nobody declared; or released rows that still hold what was to be dropped."""
    if release.into:
        schema, table = release.into.split(".")
        return sql.SQL(
            "SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {}"
            " AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL ({}::name[])"
        ).format(sql.Literal(schema), sql.Literal(table), sql.Literal(list(release.published)))
    cut = dataset.cut.set if dataset.cut else {}
    held = [
        sql.SQL("r.{} IS DISTINCT FROM {}").format(sql.Identifier(c), sql.Literal(cut.get(c)))
        for c in release.drop
    ]
    return sql.SQL("SELECT FROM (SELECT t.* FROM {}) AS r WHERE {}").format(
        published(dataset, release), sql.SQL(" OR ").join(held) if held else sql.SQL("false")
    )


def _distances(dataset: Dataset, release: Release, column: str) -> sql.Composed:
    """Of each class its earth mover's distance ``d`` from the whole: for ordered values the mean gap between the two cumulative
    shares, for others one minus what they have in common."""
    known = (
        sql.SQL(", ").join(sql.Identifier("t", c) for c in release.known) if release.known else sql.SQL("1")
    )
    ranked = sql.SQL(
        "WITH r AS MATERIALIZED (SELECT dense_rank() OVER (ORDER BY t.known) AS class, dense_rank() OVER (ORDER BY t.v) AS v"
        " FROM (SELECT ROW({known}) AS known, {s} AS v FROM {of}) AS t WHERE t.v IS NOT NULL),"
        " whole AS (SELECT v, count(*)::float8 / (SELECT count(*) FROM r) AS p FROM r GROUP BY v),"
        " part AS (SELECT class, v, count(*)::float8 / sum(count(*)) OVER (PARTITION BY class)::float8 AS q"
        " FROM r GROUP BY class, v)"
    ).format(known=known, s=sql.Identifier("t", column), of=published(dataset, release))
    if not release.sensitive[column].ordered:
        return sql.SQL(
            "{} SELECT class, 1 - sum(least(part.q, whole.p)) AS d FROM part JOIN whole USING (v) GROUP BY class"
        ).format(ranked)
    return sql.SQL(
        "{}, steps AS (SELECT w.v AS x, (SELECT sum(y.p) FROM whole AS y WHERE y.v <= w.v) AS f FROM whole AS w),"
        " gaps AS (SELECT part.class, steps.x, abs(coalesce(sum(part.q) FILTER (WHERE part.v <= steps.x), 0) - steps.f) AS gap"
        " FROM part CROSS JOIN steps GROUP BY part.class, steps.x, steps.f)"
        " SELECT class, sum(gap) / greatest((SELECT count(*) FROM whole) - 1, 1) AS d FROM gaps GROUP BY class"
    ).format(ranked)


def _one(connection: Connection, statement: sql.Composed) -> tuple[int, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return tuple(row)
