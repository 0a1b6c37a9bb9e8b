"""What was destroyed for ever in a year: rows and objects, copies of backup sets, keys, media. Read from the book and the ledger.

Only what is never changed there is read: receipts, plans, approvals, the timeline, evidence, records of media, entries. So
whoever reads it again later reads the same. No line names a person whose data it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from include.cases.book import Conn
from include.cases.expiring import KIND as EXPIRED
from include.cases.yearly import first_form
from include.cases.yearly.ledger_keys import ONE as KEY_DESTROYED
from include.ledger import log
from include.model.times import PRC, prc_date
from include.model.words import Disposition

PROVED_LATER = (1, 15)
"""Month and day of the next year until which a year's proofs and papers count: those of its last night are there by then."""
FORM = 2
"""How lists are read by now. The first form (``first_form``) had lines of what no deed did, and no rule for copies."""


@dataclass(frozen=True)
class Line:
    """One thing that is no more. ``what``: data, copies, key or medium. ``proved``: the highest rung shown, of data."""

    day: date
    what: str
    place: str
    name: str
    how: str
    items: int
    rule: str = ""
    law: str = ""
    proved: str = ""
    by: str = ""
    approved_by: str = ""
    document: str = ""
    case_no: str = ""


@dataclass(frozen=True)
class Year:
    """The moments between which something was destroyed, and until when its proofs and papers count."""

    year: int

    @classmethod
    def last(cls, as_of: date) -> Year:
        """The last one that is over and proved."""
        return cls(as_of.year - (1 if (as_of.month, as_of.day) >= PROVED_LATER else 2))

    @property
    def since(self) -> datetime:
        return datetime(self.year, 1, 1, tzinfo=PRC)

    @property
    def until(self) -> datetime:
        return datetime(self.year + 1, 1, 1, tzinfo=PRC)

    @property
    def proved(self) -> datetime:
        return datetime.combine(date(self.year + 1, *PROVED_LATER), time(), PRC)

    @property
    def papers_since(self) -> datetime:
        """From when on records of media are in this list: one that comes late is in the next."""
        return datetime.combine(date(self.year, *PROVED_LATER), time(), PRC)

    def has(self, moment: datetime) -> bool:
        return self.since <= moment < self.until


_DATA = """
WITH gone AS (
    SELECT r.case_no, r.step_id, r.store, r.plan, d.key AS dataset, f.key AS fate, sum(f.value::bigint) AS items,
           max(((r.body ->> 'done_at')::timestamptz AT TIME ZONE 'Asia/Shanghai')::date) AS day
      FROM casebook.receipt r, jsonb_each(r.body -> 'counts') AS d, jsonb_each_text(d.value) AS f
     WHERE r.verb = 'dispose' AND %(fates)s::jsonb ? split_part(f.key, '@', 1) AND f.value::bigint > 0
       AND (r.body ->> 'done_at')::timestamptz >= %(since)s AND (r.body ->> 'done_at')::timestamptz < %(until)s
     GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT g.*, said.rules, said.laws,
       (SELECT string_agg(DISTINCT e.actor, '; ' ORDER BY e.actor) FROM casebook.event e
         WHERE e.case_no = g.case_no AND e.what = 'disposed' AND e.detail ->> 'step' = g.step_id
           AND e.observed_at < %(proved)s) AS by,
       (SELECT string_agg(DISTINCT who, '; ' ORDER BY who) FROM (
           SELECT a.approver AS who FROM casebook.approval a
            WHERE a.case_no = g.case_no AND a.decision = 'approve' AND a.decided_at < %(until)s
           UNION SELECT e.actor FROM casebook.event e
            WHERE e.case_no = g.case_no AND e.what = 'night approved' AND e.observed_at < %(until)s
           UNION SELECT b.approved_by || ' (' || b.number || ')'
             FROM casebook.night n JOIN casebook.backlog_plan b ON b.number = n.backlog
            WHERE n.case_no = g.case_no AND n.under ? g.dataset AND b.approved_at < %(until)s) AS w) AS approved
  FROM gone g CROSS JOIN LATERAL (
       SELECT string_agg(DISTINCT line ->> 'rule', '; ' ORDER BY line ->> 'rule') AS rules,
              string_agg(DISTINCT line ->> 'law', '; ' ORDER BY line ->> 'law') AS laws
         FROM (SELECT line, p.fingerprint = g.plan AS own, bool_or(p.fingerprint = g.plan) OVER () AS known
                 FROM casebook.plan p, jsonb_array_elements(p.body -> 'lines') AS line
                WHERE p.step_id = g.step_id AND p.made_at < %(proved)s AND line ->> 'dataset' = g.dataset
                  AND line ->> 'disposition' = (%(fates)s::jsonb ->> split_part(g.fate, '@', 1))) AS of
        WHERE own OR NOT known) AS said
"""
"""Of the words of a receipt only those count that say what was changed: it counts what was passed over, and how far it is, too. A
copy's word (``erased@object_version``) goes by its rule as the live one's does. What a night cut instead, since somebody needs
it, is in the plan that it ended with, and not in that of the receipt."""
_PROVED = """
SELECT step_id, dataset, max(rung) FILTER (WHERE verdict = 'passed') AS passed,
       min(rung) FILTER (WHERE verdict = 'failed') AS failed
  FROM (SELECT DISTINCT ON (r.step_id, r.kind, r.store, c ->> 'name', c ->> 'rung')
               r.step_id, c ->> 'dataset' AS dataset, (c ->> 'rung')::int AS rung, c ->> 'verdict' AS verdict
          FROM casebook.evidence_ref r, jsonb_array_elements(r.body -> 'checks') AS c
         WHERE r.step_id = ANY(%(steps)s) AND r.observed_at < %(proved)s AND (c ->> 'rung')::int >= 2
         ORDER BY r.step_id, r.kind, r.store, c ->> 'name', c ->> 'rung', r.observed_at DESC) AS latest
 WHERE dataset IS NOT NULL GROUP BY 1, 2
"""
_KEYS = """
SELECT e.case_no, e.actor, (e.observed_at AT TIME ZONE 'Asia/Shanghai')::date AS day, e.detail ->> 'key' AS key,
       e.detail ->> 'method' AS method
  FROM casebook.event e WHERE e.what = 'key destroyed' AND e.observed_at >= %(since)s AND e.observed_at < %(until)s
"""
_MEDIA = """
SELECT s.* FROM casebook.sanitisation s
 WHERE s.recorded_at >= %(since)s AND s.recorded_at < %(proved)s
   AND NOT EXISTS (SELECT FROM casebook.sanitisation c WHERE c.corrects = s.record_no AND c.recorded_at < %(proved)s)
"""
_FIRST = """
SELECT least((SELECT min((r.body ->> 'done_at')::timestamptz) FROM casebook.receipt r WHERE r.verb = 'dispose'),
             (SELECT min(e.observed_at) FROM casebook.event e WHERE e.what = 'key destroyed'),
             (SELECT min(s.recorded_at) - interval '14 days' FROM casebook.sanitisation s)) AS since
"""
"""A record of a medium is in the list of the year before until 15 January."""


def lines(conn: Conn, ledger: log.Conn, year: Year, *, form: int = FORM) -> tuple[Line, ...]:
    """Every line of a year, in one order. ``conn``: the case book's reader; ``ledger``: the ledger's. ``form``: as
    lists were read then."""
    when = {"since": year.since, "until": year.until, "proved": year.proved}
    found = [
        *_data(conn, when, form),
        *_keys(conn, when),
        *_media(conn, year),
        *_copies(ledger, year),
        *_versions(ledger, year),
    ]
    return tuple(
        sorted(found, key=lambda x: (x.day, x.what, x.place, x.name, x.how, x.case_no, x.rule, x.items))
    )


def first_year(conn: Conn, ledger: log.Conn) -> int | None:
    """The year of the first thing that was destroyed, by all that lists are read from; None if nothing ever was."""
    row = conn.execute(_FIRST).fetchone()
    since = [row["since"]] if row and row["since"] else []
    since += [datetime.fromisoformat(b["observed_at"]) for b in _said(ledger, EXPIRED) if b["gone"]]
    since += [datetime.fromisoformat(b["destroyed_at"]) for b in _said(ledger, KEY_DESTROYED)]
    return min(since).astimezone(PRC).year if since else None


def _data(conn: Conn, when: dict[str, Any], form: int) -> Iterator[Line]:
    from psycopg.types.json import Jsonb

    fates = Jsonb({d.past: d.value for d in Disposition if d.changes_data or form == 1})
    rows = conn.execute(_DATA if form != 1 else first_form.DATA, when | {"fates": fates}).fetchall()
    proved = _rungs(conn, sorted({str(r["step_id"]) for r in rows}), when)
    for r in rows:
        yield Line(
            r["day"], "data", str(r["store"]), str(r["dataset"]), str(r["fate"]), int(r["items"]), r["rules"] or "",
            r["laws"] or "", proved.get((r["step_id"], r["dataset"]), ""), r["by"] or "", r["approved"] or "",
            case_no=str(r["case_no"]),
        )  # fmt: skip


def _rungs(conn: Conn, steps: Sequence[str], when: dict[str, Any]) -> dict[tuple[str, str], str]:
    """By step and dataset, how far it is shown to be gone: below the lowest rung at which a check failed."""
    found = {}
    for r in conn.execute(_PROVED, when | {"steps": list(steps)}).fetchall():
        if r["failed"] is not None and (r["passed"] is None or r["failed"] <= r["passed"]):
            found[r["step_id"], r["dataset"]] = f"failed at R{r['failed']}"
        elif r["passed"] is not None:
            found[r["step_id"], r["dataset"]] = f"R{r['passed']}"
    return found


def _keys(conn: Conn, when: dict[str, Any]) -> Iterator[Line]:
    for r in conn.execute(_KEYS, when).fetchall():
        yield Line(
            r["day"], "key", "key store", r["key"], r["method"], 1, by=r["actor"], case_no=str(r["case_no"])
        )


def _media(conn: Conn, year: Year) -> Iterator[Line]:
    when = {"since": year.papers_since, "proved": year.proved}
    for r in conn.execute(_MEDIA, when).fetchall():
        where = r["medium"] if r["backup_set"] is None else f"{r['medium']} of {r['backup_set']}"
        name = r["label"] + (f" ({', '.join(r['copies'])})" if r["copies"] else "")
        if r["corrects"] is not None:
            name += f", in place of record {r['corrects']}"
        yield Line(
            r["sanitised_on"], "medium", where, name, f"{r['method']}: {r['technique']}", 1, by=r["operator"],
            approved_by=r["verifier"], document=r["document"],
        )  # fmt: skip


def _copies(ledger: log.Conn, year: Year) -> Iterator[Line]:
    for body in _said(ledger, EXPIRED):
        seen = datetime.fromisoformat(body["observed_at"])
        if year.has(seen):
            for name in body["gone"]:
                yield Line(prc_date(seen), "copies", body["set"], name, "expired by the set's own tool", 1)


def _versions(ledger: log.Conn, year: Year) -> Iterator[Line]:
    """Keys of no case; a case's is on its timeline."""
    for body in _said(ledger, KEY_DESTROYED):
        done = datetime.fromisoformat(body["destroyed_at"])
        if year.has(done):
            yield Line(prc_date(done), "key", "key store", body["key"], body["method"], 1)


def _said(ledger: log.Conn, kind: str) -> Iterator[dict[str, Any]]:
    """What entries of a kind say that are about no case."""
    return (entry.body for entry in log.entries_of_kind(ledger, kind))
