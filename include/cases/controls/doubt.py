"""Evidence that does not count: made on a day on which the same proof, in the same store, missed what was planted.

What a proof that was blind that night called gone may be there. A certificate that was issued stays as it is; a new one
demands a later look, made after an audit found everything (the same day, or another).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from include.cases import papers
from include.cases.book import Conn
from include.cases.controls.results import Judged
from include.model.flow import Finding
from include.model.times import prc_date

FINDING = "controls_missed"

_DOUBTS = """
WITH seen AS (
    SELECT n.day, n.ended_at, r.store, r.proof, count(*) FILTER (WHERE r.outcome = 'missed') AS missed,
           count(*) FILTER (WHERE r.outcome = 'found') AS found,
           array_agg(r.kind ORDER BY r.kind) FILTER (WHERE r.outcome = 'missed') AS kinds
      FROM casebook.control_night n JOIN casebook.control_result r USING (night_id)
     WHERE n.verdict IS NOT NULL GROUP BY n.night_id, n.day, n.ended_at, r.store, r.proof
), bad AS (
    SELECT DISTINCT ON (day, store, proof) * FROM seen WHERE missed > 0 ORDER BY day, store, proof, ended_at DESC
)
SELECT b.day, b.store, b.proof, b.kinds,
       (SELECT min(s.ended_at) FROM seen s WHERE s.day = b.day AND s.store = b.store AND s.proof = b.proof
           AND s.ended_at > b.ended_at AND s.found > 0) AS sees_again
  FROM bad b
"""


@dataclass(frozen=True)
class Doubt:
    """One proof in one store on one day. ``sees_again``: when an audit later that day found everything."""

    day: date
    store: str
    proof: str
    kinds: tuple[str, ...]
    sees_again: datetime | None

    def about(self, kind: str, store: str | None, at: datetime) -> bool:
        """Whether evidence of this kind, store and time is in doubt."""
        if (kind, store, prc_date(at)) != (self.proof, self.store, self.day):
            return False
        return self.sees_again is None or at < self.sees_again

    def __str__(self) -> str:
        return (
            f"on {self.day} the planted controls of {self.proof!r} in {self.store} were missed"
            f" ({', '.join(self.kinds)}), so what it said that day does not count"
        )


def doubts(conn: Conn) -> tuple[Doubt, ...]:
    """Every doubt there is; few, for a red night is an alarm."""
    return tuple(
        Doubt(r["day"], r["store"], r["proof"], tuple(r["kinds"]), r["sees_again"])
        for r in conn.execute(_DOUBTS).fetchall()
    )


def doubted(found: Sequence[Doubt], kind: str, store: str | None, at: datetime) -> Doubt | None:
    """The doubt about this evidence, if there is one."""
    return next((d for d in found if d.about(kind, store, at)), None)


def tell_cases(conn: Conn, day: date, judged: Judged) -> int:
    """A finding in every open case with evidence that does not count now; how many cases. In the caller's transaction."""
    told = set()
    for store, proof in sorted({(r.store, r.proof) for r in judged.missed}):
        cases = conn.execute(
            "SELECT DISTINCT e.case_no FROM casebook.evidence_ref e JOIN casebook.case_ c USING (case_no)"
            " WHERE c.closed_at IS NULL AND e.kind = %s AND e.store = %s"
            " AND (e.observed_at AT TIME ZONE 'Asia/Shanghai')::date = %s",
            (proof, store, day),
        ).fetchall()
        for row in cases:
            papers.keep_findings(conn, row["case_no"], [_finding(day, store, proof, judged)])
            told.add(row["case_no"])
    return len(told)


def _finding(day: date, store: str, proof: str, judged: Judged) -> Finding:
    kinds = tuple(r.kind for r in judged.missed if (r.store, r.proof) == (store, proof))
    return Finding(
        code=FINDING, dataset=None, place=_place(proof, store), items=None,
        what=str(Doubt(day, store, proof, kinds, None)),
        next_step="mend the proof (the audit's table says what it missed) and audit again: then the case is looked at again",
    )  # fmt: skip


def _place(proof: str, store: str | None) -> str:
    return f"{proof} {store or ''}".strip()


def settle(conn: Conn, case_no: str, kind: str, store: str | None, at: datetime, *, actor: str) -> None:
    """A new look that counts settles what an older one left in doubt. In the caller's transaction."""
    if doubted(doubts(conn), kind, store, at) is None:
        papers.settle_findings(
            conn, case_no, FINDING, {_place(kind, store)}, actor=actor, settlement="looked at again"
        )
