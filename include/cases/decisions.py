"""Identity checks and decisions: who asked what, who answered, who decided; never what was compared."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from include.cases.book import Case, Conn, Rows, checked_actor, person
from include.cases.refusals import Refusal
from include.cases.sealing import Seal
from include.model.catalogue import Catalogue
from include.model.errors import Refused

REGISTRATION_SERVICES = ("reg", "reg-ent")


class Method(StrEnum):
    """How identity was checked. A closed list: an unexplained tick is not a check."""

    CODE_TO_REGISTERED_MOBILE = "code_to_registered_mobile"
    LINK_TO_REGISTERED_EMAIL = "link_to_registered_email"
    SIGNED_IN_SESSION = "signed_in_session"
    WRITTEN_REQUEST_COMPARED = "written_request_compared"
    DOCUMENT_COMPARED_IN_PERSON = "document_compared_in_person"
    SIGNED_WITH_CERTIFICATE = "signed_with_certificate"
    GUARDIAN_DOCUMENTS_COMPARED = "guardian_documents_compared"
    HEIR_DOCUMENTS_COMPARED = "heir_documents_compared"


class Outcome(StrEnum):
    MATCHED = "matched"
    MISMATCHED = "mismatched"
    NO_ANSWER = "no_answer"


def method_named(text: str, about: str) -> Method:
    try:
        return Method(text)
    except ValueError:
        raise Refused(
            "the check names no known method", about=about,
            next_step="give one of " + ", ".join(m.value for m in Method),
        ) from None  # fmt: skip


def askable(catalogue: Catalogue) -> frozenset[str]:
    """The categories that registration collects: nothing else may be asked for (GB/T 35273 8.5 c)."""
    return frozenset(c.id for c in catalogue.categories if c.service in REGISTRATION_SERVICES)


def within_registration(catalogue: Catalogue, fields: tuple[str, ...]) -> bool:
    return bool(fields) and set(fields) <= askable(catalogue)


def ask(conn: Conn, case: Case, method: Method, fields: tuple[str, ...], *, as_of: date, actor: str) -> int:
    """Record that proof was asked for; the number of the check."""
    row = conn.execute(
        "INSERT INTO casebook.identity_check (case_no, check_no, method, fields, asked_at,"
        " asked_on, asked_by)"
        " SELECT %(no)s, 1 + count(*), %(method)s, %(fields)s, clock_timestamp(), %(on)s, %(by)s"
        " FROM casebook.identity_check WHERE case_no = %(no)s RETURNING check_no",
        {
            "no": case.case_no,
            "method": method.value,
            "fields": list(fields),
            "on": as_of,
            "by": checked_actor(actor),
        },
    ).fetchone()
    assert row is not None  # noqa: S101  RETURNING of one inserted row
    return int(row["check_no"])


def answer(
    conn: Conn, case: Case, outcome: Outcome, method: Method, fields: tuple[str, ...], *, actor: str
) -> None:
    """Record the outcome of the open check, with what was really compared."""
    conn.execute(
        "UPDATE casebook.identity_check SET outcome = %(outcome)s, answered_at = clock_timestamp(),"
        " answered_by = %(by)s, method = %(method)s, fields = %(fields)s"
        " WHERE case_no = %(no)s AND outcome IS NULL",
        {"no": case.case_no, "outcome": outcome.value, "by": checked_actor(actor), "method": method.value,
         "fields": list(fields)},
    )  # fmt: skip


def open_check(conn: Conn, case: Case) -> dict[str, object] | None:
    return conn.execute(
        "SELECT check_no, method, fields, asked_on, asked_by FROM casebook.identity_check"
        " WHERE case_no = %s AND outcome IS NULL",
        (case.case_no,),
    ).fetchone()


def checks(conn: Conn, case: Case) -> Rows:
    return conn.execute(
        "SELECT * FROM casebook.identity_check WHERE case_no = %s ORDER BY check_no", (case.case_no,)
    ).fetchall()


def matched(conn: Conn, case: Case) -> bool:
    return any(c["outcome"] == Outcome.MATCHED.value for c in checks(conn, case))


def approve(conn: Conn, case: Case, approver: str, plan: str) -> None:
    """Record an approval of one plan. Raises Refused if the approver is the requester."""
    if person(checked_actor(approver)) == person(case.opened_by):
        raise Refused(
            "the approver must be another person than the requester", about=case.case_no,
            next_step="ask a colleague to decide; the clock runs on",
        )  # fmt: skip
    conn.execute(
        "INSERT INTO casebook.approval (case_no, approval_no, decision, requester, approver,"
        " plan, decided_at)"
        " SELECT %(no)s, 1 + count(*), 'approve', %(requester)s, %(approver)s, %(plan)s, clock_timestamp()"
        " FROM casebook.approval WHERE case_no = %(no)s",
        {"no": case.case_no, "requester": case.opened_by, "approver": approver, "plan": plan},
    )
    conn.execute("UPDATE casebook.case_ SET approved_plan = %s WHERE case_no = %s", (plan, case.case_no))


def refuse(conn: Conn, case: Case, refusal: Refusal, seal: Seal) -> None:
    """Record a refusal; the reasons are free text and therefore sealed."""
    row = conn.execute(
        "SELECT 1 + count(*) AS n FROM casebook.approval WHERE case_no = %s", (case.case_no,)
    ).fetchone()
    number = int(row["n"]) if row else 1
    conn.execute(
        "INSERT INTO casebook.approval (case_no, approval_no, decision, requester, approver,"
        " scope, ground, article,"
        " sealed_reasons, second_reviewer, decided_at)"
        " VALUES (%s, %s, 'refuse', %s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
        (case.case_no, number, case.opened_by, refusal.reviewer, list(refusal.scope), refusal.ground.value,
         refusal.article, seal.seal(f"approval.sealed_reasons.{number}", refusal.reasons),
         refusal.second_reviewer),
    )  # fmt: skip


def decisions(conn: Conn, case: Case) -> Rows:
    """Every decision but the sealed reasons."""
    return conn.execute(
        "SELECT approval_no, decision, requester, approver, plan, scope, ground, article, second_reviewer,"
        " decided_at FROM casebook.approval WHERE case_no = %s ORDER BY approval_no",
        (case.case_no,),
    ).fetchall()


def refused(conn: Conn, case: Case) -> bool:
    found = decisions(conn, case)
    return bool(found) and found[-1]["decision"] == "refuse"
