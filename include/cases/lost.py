"""What a restored store has lost of our deeds, and whom they were about.

The book has a receipt of each deed; the store has its own, which went back in time with the data that they speak of. What
the store has no receipt of is to be done again, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from include.cases import book, subjects, tombstones
from include.cases.book import Case, Conn
from include.cases.keys import KeyStore
from include.cases.papers import StepRow
from include.model.errors import Refused
from include.model.history import Deed
from include.stores.postgres.past import Past


@dataclass(frozen=True)
class Lost:
    """One case, and what a store forgot of it. ``restrictions``: steps whose restriction is to be put in force again, as
    of their own day; ``disposals``: whether something was disposed of that is back."""

    case: Case
    restrictions: tuple[StepRow, ...]
    disposals: bool
    since: StepRow


@dataclass(frozen=True)
class _Done:
    deed: Deed
    row: StepRow
    opened_at: datetime
    closed_at: datetime | None


_DONE = """
SELECT r.step_id, r.verb, r.chunk, r.case_no, s.kind, s.step_no, s.as_of, s.restricting, s.opened_at, s.closed_at,
       (SELECT min(f.as_of) FROM casebook.step f WHERE f.case_no = s.case_no AND f.kind = 'live'
         AND f.step_id <> s.step_id) AS since
  FROM casebook.receipt r JOIN casebook.step s USING (step_id) WHERE r.store = %s
 ORDER BY r.case_no, s.kind, s.step_no, r.chunk
"""


def lost(conn: Conn, past: Past, since: datetime | None) -> tuple[Lost, ...]:
    """Every case of which the store lacks something, by number. ``since``: when the restore was noticed; what was replayed
    after it is not replayed again. None: nothing was yet.

    A replay whose receipts the store has speaks for all that had ended when it began.
    """
    of: dict[str, list[_Done]] = {}
    for r in conn.execute(_DONE, (past.store,)).fetchall():
        row = StepRow(r["step_id"], r["kind"], r["step_no"], r["as_of"], r["restricting"], r["closed_at"] is not None,
                      r["since"])  # fmt: skip
        deed = Deed(r["step_id"], r["verb"], r["chunk"])
        of.setdefault(r["case_no"], []).append(_Done(deed, row, r["opened_at"], r["closed_at"]))
    gone = frozenset(past.lacks(d.deed for done in of.values() for d in done))
    begun = {  # by somebody who was killed before it was proved
        str(r["case_no"])
        for r in conn.execute(
            "SELECT case_no FROM casebook.step WHERE kind = 'replay' AND store = %s AND closed_at IS NULL",
            (past.store,),
        )
    }
    affected = [no for no, done in of.items() if no in begun or any(d.deed in gone for d in done)]
    cases = {c.case_no: c for c in book.some(conn, affected)}
    found = []
    for no in affected:
        one = _of_case(cases[no], of[no], gone, since, begun=no in begun)
        if one is not None:
            found.append(one)
    return tuple(found)


def _of_case(
    case: Case, done: list[_Done], gone: frozenset[Deed], since: datetime | None, *, begun: bool
) -> Lost | None:
    replays = [
        d
        for d in done
        if d.row.kind == "replay" and d.deed.verb == "dispose" and d.deed not in gone and d.closed_at
    ]
    live = [d for d in done if d.row.kind == "live"]

    def replayed(d: _Done) -> bool:
        return any(
            (since is not None and r.opened_at >= since)
            or (d.closed_at is not None and d.closed_at < r.opened_at)
            for r in replays
        )

    restrictions = {d.row.step_id: d.row for d in live if d.deed.verb == "restrict" and d.deed in gone}
    first = next(iter(restrictions.values()), None)
    again = tuple(row for row in restrictions.values() if row is first or not row.closed)
    disposals = begun or any(d.deed.verb == "dispose" and d.deed in gone and not replayed(d) for d in live)
    if not (disposals or any(row.restricting or not row.closed for row in again)):
        return None
    return Lost(case, again, disposals, live[0].row)


class People:
    """Who is in a restored store that we buried, by case: found once, over all whom it knows."""

    def __init__(self, conn: Conn, keys: KeyStore, batches: Iterable[tuple[str, ...]]) -> None:
        self._conn = conn
        self._keys = keys
        self.by_case: dict[str, list[str]] = {}
        self.looked_at = 0
        self.buried = 0
        for batch in batches:
            self.looked_at += len(batch)
            for kind in (subjects.KIND, tombstones.PART):
                found = tombstones.buried_among(conn, keys, batch, kind)
                self.buried += len(found) if kind == subjects.KIND else 0
                for account_id, cases in found.items():
                    for case_no in cases:
                        self.by_case.setdefault(case_no, []).append(account_id)

    def of(self, case: Case) -> tuple[str, ...]:
        """The case's subjects; once its key is destroyed, those of whom the store has anything, by their tombstones."""
        try:
            return subjects.ids(self._conn, self._keys, case)
        except Refused:
            return tuple(sorted(set(self.by_case.get(case.case_no, ()))))
