"""A case's proofs as the page that an auditor is shown, and that lies beside its certificate on the shelf."""

from __future__ import annotations

from include.cases import papers
from include.cases.book import Case, Conn
from include.model.catalogue import Catalogue
from include.model.errors import Refused


def proofs_page(conn: Conn, case: Case, catalogue: Catalogue, serial: int | None = None) -> str:
    """The page, as HTML that stands by itself; with that certificate, by default the last. Reads as the reader.

    Raises Refused before anything is planned.
    """
    from include.proofs.page import CertificateSummary, page  # with Jinja: only who shows it pays

    try:
        plan = papers.latest_plan(conn, case)
    except Refused:
        raise Refused(
            "nothing was planned yet", about=case.case_no, next_step="come back when it is rehearsed"
        ) from None
    row = conn.execute(
        "SELECT serial, kind, entry, issued_at FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL"
        " AND (%s::int IS NULL OR serial = %s) ORDER BY serial DESC LIMIT 1",
        (case.case_no, serial, serial),
    ).fetchone()
    size = conn.execute("SELECT coalesce(max(index) + 1, 0) AS n FROM ledger.entry").fetchone()
    summary = None
    if row is not None:
        entries = int(size["n"]) if size else 0
        summary = CertificateSummary(row["serial"], row["kind"], row["issued_at"], row["entry"], entries)
    evidence = [e for _, e in papers.evidence(conn, case.case_no)]
    return page(case.case_no, evidence, plan, summary, catalogue=catalogue)
