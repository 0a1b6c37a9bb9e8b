"""The conservation of a shutdown as suites, on both sides: what was located is somewhere, once, and both computed the same roots.

On our side the case book is asked, by its reader and by statements that those who balance did not write: the sums of the last
books against what was counted on T0, and the root that we signed of each bag against the root in the successor's own receipt.
On the successor's side what it has stored is counted anew, and held against what was signed. Nobody's value is in either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.doors import Connections
from include.model.flow import Check
from include.model.words import Role, Rung
from include.proofs.asking import Part, Question, Questionnaire
from include.proofs.names import unknown
from include.proofs.server import Reader

OURS, THEIRS = "conservation", "custody"
"""Kinds of evidence."""
RECORDS = "records"  # the connection of the case book
BOOK = "book."  # what of the case book goes is a copy: it was never located in a store


def ours(
    connections: Connections, order: str, lines: Collection[str], bagged: Collection[str], unasked: Mapping[str, str]
) -> tuple[Check, ...]:  # fmt: skip
    """The suite over the case book. ``lines``: datasets that the books must have; ``bagged``: those that were packed;
    ``unasked``: which a store could not be asked of, and why: of these nothing passes. Raises NotReachable."""
    from include.proofs.run import ask

    parts = _parts(sql.Literal(order))
    questions = tuple(q for d in sorted(lines) for q in _of(d, bagged=d in bagged) if d not in unasked)
    reader = Reader(lambda: connections.postgres(RECORDS, Role.READER), RECORDS)
    answered = ask(Questionnaire(OURS, RECORDS, questions, parts), reader)
    never = tuple(_of(d, bagged=False)[0].unanswered(why) for d, why in sorted(unasked.items()) if d in lines)
    return _declared(OURS, answered + never)


def _of(dataset: str, *, bagged: bool) -> list[Question]:
    """What is asked of one dataset."""
    mine = sql.SQL("dataset = {}").format(sql.Literal(dataset))

    def question(what: str, expected: int, source: str, otherwise: str, *parts: str) -> Question:
        return Question(
            f"{what}.{dataset}",
            dataset,
            Rung.R0,
            expected,
            sql.SQL(source).format(mine=mine),
            otherwise,
            parts,
        )

    found = [
        question(
            "sums", 1, "SELECT FROM line WHERE {mine} AND located = transferred + deleted + anonymised + retained",
            "located is not transferred + deleted + anonymised + retained", "line",
        ),
        question(
            "open", 0, "SELECT FROM line, jsonb_array_elements(reasons) AS r WHERE {mine} AND r ->> 'kind' <> 'unverified'",
            "the books name what is on its way, or not explained", "line",
        ),
    ]  # fmt: skip
    if not dataset.startswith(BOOK):
        found.append(
            question(
                "located", 1, "SELECT FROM line JOIN opened USING (dataset) WHERE {mine} AND located = counted",
                "what the books say was located is not what was counted when they were opened", "line", "opened",
            )
        )  # fmt: skip
    if bagged:
        found += [
            question(
                "roots", 0, "SELECT FROM both_sides WHERE {mine} AND same IS NOT TRUE",
                "a bag's root in the successor's newest receipt is not the one that we signed", "both_sides",
            ),
            question(
                "signed", 1, "SELECT FROM line WHERE {mine} AND transferred ="
                " (SELECT coalesce(sum(items), 0) FROM both_sides AS b WHERE b.dataset = line.dataset AND b.same)",
                "as many are said to be transferred as the successor did not sign for", "line", "both_sides",
            ),
        ]  # fmt: skip
    return found


def _parts(order: sql.Literal) -> tuple[Part, ...]:
    texts = {
        "line": (
            "SELECT x.* FROM casebook.shutdown_event AS e, jsonb_to_recordset(e.detail -> 'lines') AS x (dataset text,"
            " located bigint, transferred bigint, deleted bigint, anonymised bigint, retained bigint, reasons jsonb)"
            " WHERE e.event_id = (SELECT max(event_id) FROM casebook.shutdown_event WHERE number = {order} AND what = 'books')"
        ),
        "opened": (
            "SELECT DISTINCT ON (d.key) d.key AS dataset,"
            " (SELECT coalesce(sum(f.value::bigint), 0) FROM jsonb_each_text(d.value) AS f) AS counted"
            " FROM casebook.shutdown_event AS e, jsonb_each(e.detail -> 'datasets') AS d"
            " WHERE e.number = {order} AND e.what = 'located' ORDER BY d.key, e.event_id"
        ),
        # What the successor signed last of a bag: for it, or for a notice of what became of its items since.
        "answer": (
            "SELECT bag, whole, said ->> 'root' AS root, (said ->> 'items')::bigint AS items FROM ("
            "SELECT DISTINCT ON (r.bag) r.bag, r.whole,"
            " convert_from(decode(convert_from(r.envelope, 'UTF8')::jsonb ->> 'payload', 'base64'), 'UTF8')::jsonb AS said"
            " FROM (SELECT bag, envelope, recorded_at, missing + changed + extra = 0 AS whole FROM casebook.handover_receipt"
            " WHERE order_no = {order} UNION ALL SELECT bag, envelope, recorded_at, reconciled"
            " FROM casebook.handover_notice_receipt WHERE order_no = {order}) AS r ORDER BY r.bag, r.recorded_at DESC) AS newest"
        ),
        # What we signed last of it.
        "signed": (
            "SELECT b.bag, b.dataset, b.state, b.left_items, said ->> 'root' AS root, (said ->> 'items')::bigint AS items"
            " FROM casebook.handover_bag AS b CROSS JOIN LATERAL (SELECT coalesce((SELECT convert_from(n.payload, 'UTF8')::jsonb"
            " FROM casebook.handover_notice AS n WHERE n.order_no = b.order_no AND n.bag = b.bag ORDER BY n.notice DESC LIMIT 1),"
            " convert_from(b.statement, 'UTF8')::jsonb) AS said) AS last WHERE b.order_no = {order}"
            " AND b.left_items IS DISTINCT FROM 0"  # of who withdrew, and packed anew: it counts no more
        ),
        "both_sides": (
            "SELECT s.dataset, coalesce(s.left_items, s.items) AS items,"
            " s.state = 'received' AND a.whole AND a.items = s.items AND a.root = s.root AS same"
            " FROM signed AS s LEFT JOIN answer AS a USING (bag)"
        ),
    }  # fmt: skip
    needs = {"both_sides": ("answer", "signed")}
    return tuple(
        Part(name, sql.SQL(text).format(order=order), needs.get(name, ())) for name, text in texts.items()
    )


@dataclass(frozen=True)
class Kept:
    """One bag at the successor: what was signed of it, and what is counted now. ``stored`` None: it was never stored. ``due``: of
    what a notice could only keep, so much is to be there still; ``here``: so much is."""

    dataset: str
    signed: int
    root: str
    stored: int | None
    stored_root: str = ""
    differences: int = 0
    due: int = 0
    here: int = 0


def theirs(store: str, bags: Sequence[Kept], unasked: Mapping[str, str]) -> tuple[Check, ...]:
    """The suite over what a successor has stored, dataset by dataset. ``unasked``: what could not be counted, and why."""
    from include.proofs.run import judge

    questions: list[Question] = []
    counts: dict[str, int] = {}
    for dataset in sorted({b.dataset for b in bags} | set(unasked)):
        mine = [b for b in bags if b.dataset == dataset]
        asked = (
            ("stored", sum(b.signed for b in mine), sum(b.stored or 0 for b in mine),
             "other items are stored than the sender signed for"),
            ("same", len(mine), sum(b.stored is not None and b.stored_root == b.root for b in mine),
             "the root of what is stored is not the one that the sender signed"),
            ("differences", 0, sum(b.differences for b in mine), "items are missing, changed, or too many"),
            ("kept", sum(b.due for b in mine), sum(b.here for b in mine),
             "what a notice could only keep is missing or changed, though it is to be kept still"),
        )  # fmt: skip
        for what, expected, observed, otherwise in asked:
            q = Question(f"{what}.{dataset}", dataset, Rung.R0, expected, sql.SQL(""), otherwise)
            questions.append(q)
            if dataset not in unasked:
                counts[q.id] = observed
    return _declared(THEIRS, judge(THEIRS, store, questions, counts))


def _declared(kind: str, checks: tuple[Check, ...]) -> tuple[Check, ...]:
    if strange := unknown(kind, checks):
        raise AssertionError(f"no such check is declared in proofs/names.py: {kind} {strange}")
    return checks
