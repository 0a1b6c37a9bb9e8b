"""What is asked of a PostgreSQL store, made from the plan. One suite per kind and store.

Names of checks are stable, ``<what>.<dataset>``:

    cohort      the step area is about the people of the step, all of them and nobody else    baseline
    seen        by the links, from the cohort down, exactly as many rows as were located     baseline
    there       by the survey's keys, the same                                               baseline
    digest      the digest of what the prover found is the one that the plan was made of     baseline
    planned     the step area still says of each item what the plan says                     R0
    anew        no row of the person that the survey did not know: nothing written since     R0
    kept        what stays in some form is still there, all of it                            R0
    frozen      what stays untouched, the person's alone, was not written since restricting  R0
    gone        not one of the rows that were to go is there                                 R2
    unlinkable  no hash on a chain can be computed again from what we keep                    R2
    cut         what was de-identified or unlinked holds the declared constants, no link        R2
    fresh       no materialised view still shows what its tables no longer hold              R2
    replayed    every standby has replayed what the step did (``standbys``)                  R2
    beyond      a rung that its categories ask for and that no query can see: UNVERIFIED
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from include.model.estate import Anchored, Dataset
from include.model.flow import Check, Line, Plan
from include.model.words import Disposition, Ownership, Rung, Verdict
from include.proofs.asking import Question, Questionnaire
from include.proofs.server import Connection
from include.proofs.tables import Tables, equal, part_name, quoted

STAYS = (Disposition.RETAIN, Disposition.HOLD, Disposition.DEIDENTIFY, Disposition.UNLINK)
UNTOUCHED = (Disposition.RETAIN, Disposition.HOLD)
QUERY_CAN_SEE = Rung.R2
"""The highest rung that a query can prove on PostgreSQL: dead tuples, WAL and backups are out of its sight."""


def baseline(tables: Tables, plan: Plan) -> Questionnaire:
    """Before anything is disposed: is the prover blind? It must see what the survey located, item for item."""
    questions = [_same_people(tables)]
    for dataset in _planned(tables, plan):
        located = next((x.items for x in plan.located if x.dataset == dataset.id), 0)
        part = part_name(dataset)
        questions.append(
            Question(
                f"seen.{dataset.id}",
                dataset.id,
                Rung.R0,
                located,
                _all_of(part),
                "the prover, following the links by itself, does not see what was located",
                (part,),
            )
        )
        if located:
            questions.append(
                Question(
                    f"there.{dataset.id}",
                    dataset.id,
                    Rung.R0,
                    located,
                    sql.SQL("{} WHERE {}").format(
                        _joined(tables, dataset), _among(part, dataset, found=True)
                    ),
                    "the rows that the prover sees are not those that were located",
                    (part,),
                )
            )
        for found in plan.located:
            if found.dataset == dataset.id:
                questions.append(
                    Question(
                        f"digest.{dataset.id}",
                        dataset.id,
                        Rung.R0,
                        1,
                        _digested(dataset, part, found.digest),
                        "the digest over the keys that the prover found is not the plan's",
                        (part,),
                    )
                )
    return Questionnaire("baseline", tables.store, tuple(questions), tables.reached(since=False))


def gone(tables: Tables, plan: Plan, definitions: dict[str, str], alone: frozenset[str]) -> Questionnaire:
    """After the disposal, per dataset. ``definitions``: of the declared materialised views, by address; ``alone``:
    the datasets of which :func:`staying_alone` knows rows."""
    questions: list[Question] = []
    for dataset in _planned(tables, plan):
        questions += _of(tables, plan, dataset, dataset.id in alone)
    questions += _views(tables, plan, definitions)
    return Questionnaire("gone", tables.store, tuple(questions), tables.reached(since=True))


def there(tables: Tables, plan: Plan) -> Questionnaire:
    """Before a night: the located items, which no person leads to, are rows that the prover sees."""
    return Questionnaire(
        "baseline",
        tables.store,
        tuple(
            Question(
                f"there.{x.dataset}", x.dataset, Rung.R0, x.items, _joined(tables, tables.catalogue.dataset(x.dataset)),
                "the rows that the prover sees are not those that were located",
            )
            for x in plan.located
            if tables.catalogue.dataset(x.dataset) in tables.datasets
        ),
    )  # fmt: skip


def gone_items(tables: Tables, plan: Plan, definitions: dict[str, str]) -> Questionnaire:
    """After a night, per dataset: the items that were located, and nobody's links."""
    questions = [
        q
        for dataset in _planned(tables, plan)
        for q in _of(tables, plan, dataset, alone=False)
        if not q.name.startswith("anew.")
    ]
    # Of what was planned and then passed over, all of it, nothing is to be there under its name, and nothing is claimed.
    questions += [
        Question(
            f"gone.{x.dataset}", x.dataset, Rung.R2, 0, _joined(tables, tables.catalogue.dataset(x.dataset)),
            "rows that were passed over are still named as the step's",
        )
        for x in plan.located
        if not x.items and tables.catalogue.dataset(x.dataset) in tables.datasets
    ]  # fmt: skip
    questions += _views(tables, plan, definitions)
    return Questionnaire("gone", tables.store, tuple(questions))


def beyond(tables: Tables, plan: Plan) -> tuple[Check, ...]:
    """The rungs above that a category asks for. Not looked at here, so UNVERIFIED, and the certificate says so."""
    return tuple(
        Check(
            name=f"beyond.{dataset.id}",
            dataset=dataset.id,
            rung=rung,
            verdict=Verdict.UNVERIFIED,
            why="dead rows and files are not seen by queries; the scan of the live bytes was not made yet",
        )
        for dataset in _planned(tables, plan)
        if any(x.items and x.disposition.changes_data for x in plan.lines_of(dataset.id))
        for rung in sorted({tables.catalogue.category(c).rung for c in dataset.all_categories})
        if rung > QUERY_CAN_SEE
    )


def _planned(tables: Tables, plan: Plan) -> tuple[Dataset, ...]:
    """The datasets that the plan is about: a night may plan some of a store only."""
    about = {x.dataset for x in plan.located} | {x.dataset for x in plan.lines}
    return tuple(d for d in tables.datasets if d.id in about)


# --- one dataset ----------------------------------------------------------------------------------


def staying_alone(tables: Tables, plan: Plan, connection: Connection) -> frozenset[str]:
    """Datasets with untouched rows that are the person's alone: only these can be held to be frozen, for what is
    shared is open to its other owners. Where that cannot be read, the question itself will say so."""
    found = set()
    for dataset in _planned(tables, plan):
        if not _items(plan.lines_of(dataset.id), *UNTOUCHED):
            continue
        any_ = sql.SQL("SELECT FROM {} AS k WHERE {} AND {} LIMIT 1").format(
            tables.items(dataset.id), _disposed(*UNTOUCHED), _ALONE
        )
        try:
            if connection.execute(any_).rowcount:
                found.add(dataset.id)
        except psycopg.Error:
            found.add(dataset.id)
    return frozenset(found)


_ALONE = sql.SQL("k.ownership = 'sole'")


def _of(tables: Tables, plan: Plan, dataset: Dataset, alone: bool) -> Iterator[Question]:
    lines = plan.lines_of(dataset.id)
    part = part_name(dataset)

    def ask(what: str, rung: Rung, expected: int, source: sql.Composable, otherwise: str) -> Question:
        parts = (part,) if what == "anew" else ()
        return Question(f"{what}.{dataset.id}", dataset.id, rung, expected, source, otherwise, parts)

    yield ask(
        "anew", Rung.R0, 0,
        sql.SQL("SELECT FROM {} AS r WHERE NOT EXISTS (SELECT FROM {} AS k WHERE {})").format(
            sql.Identifier(part), tables.items(dataset.id), equal("k", "r", dataset.key)
        ),
        "rows lead to the person that the plan does not know: written since, or left behind",
    )  # fmt: skip
    for disposition in Disposition:
        if items := _items(lines, disposition):
            yield Question(
                f"planned.{dataset.id}.{disposition.value}", dataset.id, Rung.R0, items,
                sql.SQL("SELECT FROM {} AS k WHERE {}").format(
                    tables.items(dataset.id), _disposed(disposition)
                ),
                "the step area no longer says what the plan says",
            )  # fmt: skip
    going = [Disposition.ERASE]
    if any(r.dataset == dataset.id and r.into for r in tables.catalogue.releases):
        going.append(Disposition.ANONYMISE)  # what was released stands in another table, and names nobody
    if _items(lines, *going):
        yield ask(
            "gone", Rung.R2, 0,
            sql.SQL("{} WHERE {}").format(_joined(tables, dataset), _disposed(*going)),
            "rows that were to be erased are still there",
        )  # fmt: skip
    if staying := _items(lines, *STAYS):
        yield ask(
            "kept", Rung.R0, staying,
            sql.SQL("{} WHERE {}").format(_joined(tables, dataset), _disposed(*STAYS)),
            "rows that must stay are gone",
        )  # fmt: skip
    if alone and tables.step.restricting and not _written_by_others(tables, dataset):
        yield ask(
            "frozen", Rung.R0, 0, _written_since(tables, dataset),
            "rows that must stay as they are were written after the restriction",
        )  # fmt: skip
    if _items(lines, Disposition.DEIDENTIFY, Disposition.UNLINK):
        yield ask(
            "cut", Rung.R2, 0, _uncut(tables, dataset),
            "rows that were to be cut still hold what was to go from them",
        )  # fmt: skip
    if dataset.anchored and _items(lines, Disposition.UNLINK):
        yield ask(
            "unlinkable", Rung.R2, 0, _given_again(tables, dataset, dataset.anchored),
            "hashes on a chain can be computed again from what we keep",
        )  # fmt: skip


def _items(lines: Sequence[Line], *dispositions: Disposition) -> int:
    return sum(x.items for x in lines if x.disposition in dispositions)


def _disposed(*dispositions: Disposition) -> sql.Composed:
    return sql.SQL("k.disposition IN ({})").format(
        sql.SQL(", ").join(sql.Literal(d.value) for d in dispositions)
    )


def _joined(tables: Tables, dataset: Dataset) -> sql.Composed:
    """The surveyed items that are in the table now. Of a part of a row: whose columns hold anything but what they are set to."""
    there = sql.SQL("SELECT FROM {}").format(tables.there(dataset))
    if dataset.part_of is None or dataset.cut is None:
        return there
    held = sql.SQL(" OR ").join(
        sql.SQL("t.{} IS DISTINCT FROM {}").format(sql.Identifier(c), sql.Literal(v))
        for c, v in dataset.cut.set.items()
    )
    return sql.SQL("{} AND ({})").format(there, held)  # of the join


def _same_people(tables: Tables) -> Question:
    """The deleter works on whom its step area names; everything else here starts from whom the step names."""
    return Question(
        f"cohort.{tables.store}", None, Rung.R0, 0,
        sql.SQL(
            "(SELECT subject_id FROM {area} AS a EXCEPT ALL SELECT subject_id FROM {step} AS c)"
            " UNION ALL (SELECT subject_id FROM {step} AS c EXCEPT ALL SELECT subject_id FROM {area} AS a)"
        ).format(area=tables.cohort_of_the_area, step=tables.cohort),
        "the step area is about other people than the step",
    )  # fmt: skip


def _digested(dataset: Dataset, part: str, digest: str) -> sql.Composed:
    """One row if the keys that the prover found give this digest: the XOR of one 64-bit hash of each key's text and
    the sum of another, as a plan writes it. Computed here anew, not taken from the step area."""
    keys = sql.SQL(", ").join(sql.Identifier("r", k) for k in dataset.key)
    text = sql.SQL("{}::text" if len(dataset.key) == 1 else "ROW({})::text").format(keys)
    xor, total = int(digest[:16], 16), int(digest[16:], 16)
    return sql.SQL(
        "SELECT FROM (SELECT coalesce(bit_xor(hashtextextended({text}, 0)), 0) AS a,"
        " coalesce(sum(hashtextextended({text}, 1)), 0) AS b FROM {part} AS r) AS d"
        " WHERE d.a = {xor} AND mod(mod(d.b, {all}) + {all}, {all}) = {total}"
    ).format(
        text=text,
        part=sql.Identifier(part),
        xor=sql.Literal(xor - 2**64 if xor >= 2**63 else xor),
        all=sql.Literal(2**64),
        total=sql.Literal(total),
    )


def _all_of(part: str) -> sql.Composed:
    return sql.SQL("SELECT FROM {} AS r").format(sql.Identifier(part))


def _among(part: str, dataset: Dataset, *, found: bool) -> sql.Composed:
    return sql.SQL("{}EXISTS (SELECT FROM {} AS r WHERE {})").format(
        sql.SQL("" if found else "NOT "), sql.Identifier(part), equal("r", "t", dataset.key)
    )


def _written_by_others(tables: Tables, dataset: Dataset) -> bool:
    """Whether disposing of other rows is declared to update this table."""
    return any(
        e.table == dataset.address and e.operation == "update" for d in tables.datasets for e in d.effects
    )


def _written_since(tables: Tables, dataset: Dataset) -> sql.Composed:
    """Rows of the person's own that a later transaction than the restriction's has written. A row shared with
    others is open to them. ``age`` is that of a transaction id, so it counts what VACUUM froze as old."""
    return sql.SQL(
        "{} JOIN quietus.receipt AS x ON x.step = {} AND x.verb = 'restrict'"
        " WHERE {} AND {} AND pg_catalog.age(t.xmin) < pg_catalog.age(x.xid::xid)"
    ).format(_joined(tables, dataset), sql.Literal(tables.step.id), _disposed(*UNTOUCHED), _ALONE)


def _given_again(tables: Tables, dataset: Dataset, anchored: Anchored) -> sql.Composed:
    """Unlinked rows whose hash some digest that we still have of the cohort's originals gives: by itself, hashed
    without a salt, or with the salt that another row of the same hash still holds."""
    digests = sql.SQL(" UNION ").join(
        sql.SQL("SELECT o.{}::text FROM {} AS i JOIN {} AS o ON {}").format(
            sql.Identifier(x.column), tables.items(x.dataset), quoted(of.address), equal("o", "i", of.key)
        )
        for x in anchored.of
        for of in (tables.catalogue.dataset(x.dataset),)
    )
    return sql.SQL(
        "{joined} WHERE k.disposition = 'unlink' AND t.{hash} IN (SELECT d.digest FROM ({digests}) AS d (digest)"
        " UNION ALL SELECT encode(sha256(convert_to(d.digest, 'UTF8')), 'hex') FROM ({digests}) AS d (digest)"
        " UNION ALL SELECT encode(sha256(convert_to(o.{salt} || d.digest, 'UTF8')), 'hex')"
        " FROM ({digests}) AS d (digest), {table} AS o WHERE o.{salt} IS NOT NULL AND o.{hash} IN"
        " (SELECT t.{hash} FROM {items} AS k JOIN {table} AS t ON {same} WHERE k.disposition = 'unlink'))"
    ).format(
        joined=_joined(tables, dataset),
        digests=digests,
        hash=sql.Identifier(anchored.hash),
        salt=sql.Identifier(anchored.salt),
        table=quoted(dataset.address),
        items=tables.items(dataset.id),
        same=equal("t", "k", dataset.key),
    )


def _uncut(tables: Tables, dataset: Dataset) -> sql.Composed:
    """Anonymised and unlinked rows that are not as declared: a constant is not there, or a link still is."""
    links = [x.column for x in dataset.links if x.ownership is Ownership.ACCESS_ONLY and x.column]
    owned = any(x.ownership is not Ownership.ACCESS_ONLY for x in dataset.links)
    uncut: sql.Composable = sql.SQL("false")
    if dataset.cut and dataset.cut.set:
        uncut = sql.SQL("({})").format(
            sql.SQL(" OR ").join(
                sql.SQL("t.{} IS DISTINCT FROM {}").format(sql.Identifier(c), sql.Literal(v))
                for c, v in dataset.cut.set.items()
            )
        )
    wrong = [
        sql.SQL(
            "({} AND {})"
            if owned or links
            # Nobody here owns anything, and no column is a link: the cut is what takes the person out.
            else "({} OR k.ownership = 'access_only') AND {}"
        ).format(
            sql.SQL(
                "(k.disposition = 'deidentify' OR (k.disposition = 'unlink' AND k.ownership <> 'access_only'))"
            ),
            uncut,
        )
    ]
    for column in links:
        named = tables.of_subject(dataset, "t", column, sql.Identifier("c", "subject_id"))
        wrong.append(
            sql.SQL(
                "(k.disposition = 'unlink' AND k.ownership = 'access_only'"
                " AND EXISTS (SELECT FROM {} AS c WHERE {}))"
            ).format(tables.cohort, named)
        )
    return sql.SQL("{} WHERE {} AND ({})").format(
        _joined(tables, dataset),
        _disposed(Disposition.DEIDENTIFY, Disposition.UNLINK),
        sql.SQL(" OR ").join(wrong),
    )


def _listed(tables: Tables) -> Question:
    """A row for a person is refused because the person is on the list; that was tried for a few only."""
    return Question(
        f"listed.{tables.store}", None, Rung.R0, 0,
        sql.SQL(
            "SELECT FROM {} AS c WHERE NOT EXISTS (SELECT FROM quietus.restriction AS r"
            " WHERE r.subject_id = c.subject_id AND r.lifted_at IS NULL)"
        ).format(tables.cohort),
        "people of the step are not on the restriction list",
    )  # fmt: skip


# --- measures ------------------------------------------------------------------------------------------


def measures(tables: Tables, connection: Connection) -> tuple[Questionnaire, tuple[Check, ...]]:
    """``listed`` (R0): everybody is on the restriction list. ``measure.<id>`` (R1): no violation of what the
    restriction's measures bring about, by their own proofs.

    A measure without a proof is UNVERIFIED. ``connection`` only binds the proofs' parameters.
    """
    questions = [_listed(tables)]
    unproved: list[Check] = []
    for measure in tables.catalogue.measures:
        if measure.store != tables.store:
            continue
        proof = tables.catalogue.measure_sql.get(f"{measure.id}.proof")
        touched = measure.touches[0] if measure.touches else None
        question = Question(
            f"measure.{measure.id}", touched, Rung.R1, 0, sql.SQL(""),
            f"violated: {measure.title} ({measure.law})",
        )  # fmt: skip
        if proof is None:
            unproved.append(question.unanswered("the catalogue has no proof of this measure"))
            continue
        bound = psycopg.ClientCursor(connection).mogrify(
            sql.SQL(proof.strip().rstrip(";")),  # the catalogue's own text, pinned by its digest
            {"as_of": tables.step.as_of, "case_no": tables.step.case_no},
        )
        source = sql.SQL("WITH cohort AS (SELECT * FROM {} AS c) SELECT FROM ({}) AS violation").format(
            tables.cohort, sql.SQL(bound)
        )
        questions.append(replace(question, source=source))
    return Questionnaire("restricted", tables.store, tuple(questions)), tuple(unproved)


# --- materialised views -----------------------------------------------------------------------------


def _views(tables: Tables, plan: Plan, definitions: dict[str, str]) -> Iterator[Question]:
    """One question per view and dataset that it copies: a stale view keeps each of them from being gone."""
    for derived in tables.catalogue.derived:
        if derived.store != tables.store:
            continue
        for dataset in tables.datasets:  # a part of a row, too: a view may show its columns
            if dataset.whole not in derived.of or not any(
                x.items and x.disposition.changes_data for x in plan.lines_of(dataset.id)
            ):
                continue
            definition = definitions.get(derived.address)
            source: sql.Composable = sql.SQL("SELECT FROM {} AS v").format(quoted(derived.address))
            if definition is not None:
                source = _stale(tables, derived.address, definition, derived.subject_column)
            yield Question(
                f"fresh.{derived.address}.{dataset.id}", dataset.id, Rung.R2, 0, source,
                "the view still shows rows that its tables no longer hold: refresh it",
            )  # fmt: skip


def _stale(tables: Tables, address: str, definition: str, subject: str | None) -> sql.Composed:
    """Rows of the view that its own definition does not give now; of the cohort only, where it names people."""
    of: sql.Composable = sql.SQL("")
    if subject:
        of = sql.SQL(" WHERE v.{}::text IN (SELECT c.subject_id FROM {} AS c)").format(
            sql.Identifier(subject), tables.cohort
        )
    # The definition is the database's own text (pg_get_viewdef): names in it are qualified already.
    now = sql.SQL(definition.strip().rstrip(";"))
    return sql.SQL("SELECT v::text FROM {} AS v{} EXCEPT ALL SELECT v::text FROM ({}) AS v{}").format(
        quoted(address), of, now, of
    )


@dataclass(frozen=True)
class Suite:
    """A kind of proof and how its questions are made, for whoever lists them."""

    kind: str
    make: Callable[..., Questionnaire]


SUITES = (Suite("baseline", baseline), Suite("gone", gone))
