"""Cases of which nothing need lead to a person any more (RS-24): both of its periods are over.

The first runs from the day the case was closed, for we must show what we did (PIPL 54, 69). The second runs from the last date by
which the people's vetting file was kept, for so long somebody may claim (Civil Code 188). Whichever ends later decides. A hold on
the case or its people, notices that are still kept (RS-22), and another case of the same people that is not over keep it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book, sealing, subjects
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.cases.periods import last_day
from include.cases.retention.proposals import in_sandbox
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError, Refused

RECORDS = "case_records"
"""Of the catalogue's own records."""
ENDED = "records ended"
"""The event of a case from which nothing leads to its people any more."""

_CASES = """
WITH closed AS (
    SELECT c.case_no, c.key_id,
           (SELECT max(e.as_of) FROM casebook.event e
             WHERE e.case_no = c.case_no AND e.to_state = 'closed' AND e.unit_id IS NULL) AS closed_on,
           (SELECT max((line ->> 'until')::date) FROM casebook.plan p, jsonb_array_elements(p.body -> 'lines') AS line
             WHERE p.case_no = c.case_no AND line ->> 'rule' = %(after)s) AS kept_until,
           EXISTS (SELECT FROM casebook.outbox o WHERE o.case_no = c.case_no AND o.destroyed_on IS NULL) AS told
      FROM casebook.case_ c
     WHERE c.closed_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM casebook.event e WHERE e.case_no = c.case_no AND e.what = %(ended)s)
)
SELECT case_no, key_id, closed_on, kept_until, told FROM closed ORDER BY case_no
"""
_HELD = """
SELECT s.value AS case_no FROM casebook.hold_scope s JOIN casebook.hold h USING (hold)
 WHERE h.released_on IS NULL AND s.removed_on IS NULL AND s.side = 'case' AND s.value = ANY(%(cases)s)
UNION
SELECT p.case_no FROM casebook.hold_scope s JOIN casebook.hold h USING (hold)
  JOIN unnest(%(of)s::text[], %(tokens)s::bytea[]) AS p(case_no, token) USING (token)
 WHERE h.released_on IS NULL AND s.removed_on IS NULL AND s.side = 'subject'
UNION
SELECT e.case_no FROM casebook.event e JOIN casebook.hold h ON h.hold = e.detail ->> 'hold'
 WHERE e.what = 'hold opened' AND h.released_on IS NULL AND e.case_no = ANY(%(cases)s)
   AND NOT EXISTS (SELECT FROM casebook.hold_scope s WHERE s.hold = h.hold AND s.side IN ('case', 'subject', 'came'))
"""
_TOGETHER = """
SELECT DISTINCT a.case_no, b.case_no AS with_case FROM unnest(%(of)s::text[], %(tokens)s::bytea[]) AS a(case_no, token)
  JOIN casebook.case_subject b USING (token) WHERE b.case_no <> a.case_no
"""


@dataclass(frozen=True)
class Periods:
    """The two periods of RS-24, in the catalogue's words, and the rule whose last date sets off the second."""

    rule: str
    closed: str
    after: str
    claims: str

    @classmethod
    def of(cls, catalogue: Catalogue, connections: Connections) -> Periods:
        """Raises CatalogueError if they are not declared, Refused if nobody owns them outside a sandbox."""
        own = next((o for o in catalogue.own_records if o.id == RECORDS), None)
        if own is None or own.after is None:
            raise CatalogueError(
                "nobody said how long closed cases lead to their people", about=RECORDS,
                next_step="bind it to a rule in own_records.yaml, with `after`",
            )  # fmt: skip
        rule = catalogue.rule(own.rule)
        found = {p.name: p for p in rule.periods if p.name in ("main", own.period)}
        if len(found) != 2:
            raise CatalogueError(
                f"{rule.id} needs two periods, main and another that runs from {own.after}", about=RECORDS,
                next_step="name the other one in own_records.yaml as `period`",
            )  # fmt: skip
        nobodys = [
            f"{rule.id}/{p.name}"
            for p in found.values()
            if p.proposal and not (p.proposal.owner and p.proposal.approved_on)
        ]
        if nobodys and not in_sandbox(connections):
            raise Refused(
                f"company periods have no owner or no day of approval: {', '.join(nobodys)}", about=RECORDS,
                next_step="give each `proposal` its `owner` and `approved_on`; without them they hold in a sandbox only",
            )  # fmt: skip
        return cls(rule.id, found["main"].duration, own.after, found[own.period].duration)

    def last_day(self, closed_on: date, kept_until: date | None) -> date:
        """The last day on which something leads to the people."""
        over = last_day(closed_on, self.closed)
        return over if kept_until is None else max(over, last_day(kept_until, self.claims))


@dataclass(frozen=True)
class Over:
    """A case whose time has come, and its key."""

    case_no: str
    key_id: str


def held_among(conn: Conn, keys: KeyStore, cases: Sequence[str]) -> frozenset[str]:
    """Those of these cases that an open hold names, by themselves or by one of their people."""
    rows = conn.execute(_HELD, {"cases": list(cases)} | _people(conn, keys, cases)).fetchall()
    return frozenset(str(r["case_no"]) for r in rows)


def ended(conn: Conn, keys: KeyStore, periods: Periods, as_of: date) -> tuple[Over, ...]:
    """The cases whose time has come and that still lead to somebody, in order of their numbers."""
    rows = conn.execute(_CASES, {"after": periods.after, "ended": ENDED}).fetchall()
    over = {
        str(r["case_no"]): str(r["key_id"])
        for r in rows
        if not r["told"] and r["closed_on"] is not None and periods.last_day(r["closed_on"], r["kept_until"]) < as_of
    }  # fmt: skip
    if not over:
        return ()
    for case_no in held_among(conn, keys, list(over)):
        del over[case_no]
    together: dict[str, set[str]] = {}
    for row in conn.execute(_TOGETHER, _people(conn, keys, list(over))).fetchall():
        together.setdefault(str(row["case_no"]), set()).add(str(row["with_case"]))
    # One that waits for another keeps a third: until nothing changes any more.
    while waits := [c for c in over if together.get(c, set()) - over.keys()]:
        for case_no in waits:
            del over[case_no]
    return tuple(Over(c, k) for c, k in sorted(over.items()))


def _people(conn: Conn, keys: KeyStore, cases: Sequence[str]) -> dict[str, list[Any]]:
    """Cases and tokens of their people, side by side; under every living version of the token key, if there are several."""
    rows = conn.execute(
        "SELECT case_no, token FROM casebook.case_subject WHERE case_no = ANY(%s) AND token <> ''",
        (list(cases),),
    ).fetchall()
    pairs = {(str(r["case_no"]), bytes(r["token"])) for r in rows}
    if len(keys.versions(Purpose.SUBJECT_TOKEN.value)) > 1:
        for case_no in {c for c, _ in pairs}:
            case = book.case(conn, case_no)
            if keys.versions(case.key_id.rpartition(".")[0]):  # a run that was killed has destroyed it
                for account_id in subjects.ids(conn, keys, case):
                    found = sealing.digests(keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
                    pairs |= {(case_no, token) for token in found.values()}
    ordered = sorted(pairs)
    return {"of": [c for c, _ in ordered], "tokens": [t for _, t in ordered]}
