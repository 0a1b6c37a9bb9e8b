"""The end of the records themselves (RS-22): what we told whom about a person, and what it answered, is kept sealed for
three years after the track ended, longer while something is still retained there, and is then destroyed. What stays is
that there was a notice, and the codes."""

from __future__ import annotations

from datetime import date, timedelta

from include.cases.book import Conn, checked_actor
from include.cases.periods import add_months

YEARS = 3


def _over(as_of: date) -> date:
    """The last day on which a track may have ended whose years are over on ``as_of``."""
    return add_months(as_of, -12 * YEARS) - timedelta(days=1)


def destroy(conn: Conn, as_of: date, actor: str) -> int:
    """Destroy what is past its years, in the caller's transaction; how many notices.

    One that is still open, or by which something is retained of which nobody has asked again, is kept whole: the next
    round is written from it. So is what a hold of ours lets nobody ask for. The years are those after the last date of
    all. A round is kept as long as any other of the same case and recipient is needed.
    """
    row = conn.execute(
        "WITH needed AS (SELECT DISTINCT case_no, recipient FROM casebook.outbox"
        "  WHERE ended_on IS NULL OR ended_on > %(over)s OR state = 'tp_notified'"
        "  OR ask_again_on IS NOT NULL OR state = 'tp_retained' AND retained_until > %(over)s"
        "), gone AS (UPDATE casebook.outbox o SET sealed_payload = NULL, sealed_proof = NULL, destroyed_on = %(on)s"
        "  WHERE o.destroyed_on IS NULL AND NOT EXISTS (SELECT FROM needed n"
        "   WHERE n.case_no = o.case_no AND n.recipient = o.recipient)"
        "  RETURNING o.request_id, o.case_no"
        "), answers AS (UPDATE casebook.answer a SET sealed_evidence = NULL FROM gone"
        "  WHERE a.request_id = gone.request_id AND a.sealed_evidence IS NOT NULL RETURNING a.case_no"
        "), heard AS (DELETE FROM casebook.heard h USING gone WHERE h.request_id = gone.request_id"
        "), noted AS (INSERT INTO casebook.event (case_no, as_of, actor, what, detail)"
        "  SELECT case_no, %(on)s, %(actor)s, 'notices destroyed', jsonb_build_object('notices', count(*)) FROM gone"
        "  GROUP BY case_no)"
        " SELECT count(*) AS n FROM gone",
        {"over": _over(as_of), "on": as_of, "actor": checked_actor(actor)},
    ).fetchone()
    return int(row["n"]) if row else 0


def kept(conn: Conn, case_no: str) -> bool:
    """Whether a case still has sealed records: its key must live as long."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM casebook.outbox WHERE case_no = %s AND destroyed_on IS NULL) AS kept",
        (case_no,),
    ).fetchone()
    return bool(row and row["kept"])
