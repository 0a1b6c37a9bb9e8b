"""What a step leaves in the book: plans, receipts, evidence references and findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from psycopg.types.json import Jsonb

from include.cases.book import Case, Conn, Rows, checked_actor
from include.model.errors import Refused
from include.model.flow import Evidence, Finding, Plan, Receipt, Step
from include.model.words import Verdict


@dataclass(frozen=True)
class StepRow:
    step_id: str
    kind: str
    step_no: int
    as_of: date
    restricting: bool
    closed: bool

    def step(self, case: Case, subjects: tuple[str, ...]) -> Step:
        return Step(
            id=self.step_id,
            case_no=case.case_no,
            as_of=self.as_of,
            restricting=self.restricting,
            subjects=subjects,
        )


def current_step(conn: Conn, case: Case, kind: str) -> StepRow | None:
    """The newest step of a kind, open or closed."""
    row = conn.execute(
        "SELECT * FROM casebook.step WHERE case_no = %s AND kind = %s ORDER BY step_no DESC LIMIT 1",
        (case.case_no, kind),
    ).fetchone()
    if row is None:
        return None
    return StepRow(
        row["step_id"],
        row["kind"],
        row["step_no"],
        row["as_of"],
        row["restricting"],
        row["closed_at"] is not None,
    )


def open_step(conn: Conn, case: Case, kind: str, as_of: date, restricting: bool) -> StepRow:
    """The open step of a kind, or a new one: a retried task finds the step of its first try."""
    now = current_step(conn, case, kind)
    if now is not None and not now.closed:
        return now
    number = 1 if now is None else now.step_no + 1
    digits = case.case_no.removeprefix("CASE-")
    step_id = f"case_{digits}_{'r' if kind == 'rehearsal' else 's'}{number}"
    conn.execute(
        "INSERT INTO casebook.step (step_id, case_no, kind, step_no, as_of, restricting) VALUES"
        " (%s, %s, %s, %s, %s, %s)",
        (step_id, case.case_no, kind, number, as_of, restricting),
    )
    return StepRow(step_id, kind, number, as_of, restricting, False)


def close_step(conn: Conn, step_id: str) -> None:
    conn.execute(
        "UPDATE casebook.step SET closed_at = clock_timestamp() WHERE step_id = %s AND closed_at IS NULL",
        (step_id,),
    )


def keep_plan(conn: Conn, plan: Plan) -> str:
    """Store a plan; its fingerprint. The same plan again is not stored twice."""
    fingerprint = plan.fingerprint()
    conn.execute(
        "INSERT INTO casebook.plan (step_id, case_no, fingerprint, body) VALUES (%s, %s, %s,"
        " %s) ON CONFLICT DO NOTHING",
        (plan.step, plan.case_no, fingerprint, Jsonb(plan.model_dump(mode="json"))),
    )
    return fingerprint


def plans(conn: Conn, case: Case, kind: str) -> tuple[Plan, ...]:
    """The plans of the newest step of a kind, oldest first."""
    step = current_step(conn, case, kind)
    if step is None:
        return ()
    rows = conn.execute(
        "SELECT body FROM casebook.plan WHERE step_id = %s ORDER BY plan_id", (step.step_id,)
    ).fetchall()
    return tuple(Plan.model_validate(r["body"]) for r in rows)


def carried_out(conn: Conn, case: Case) -> tuple[Plan, ...]:
    """The plan in force of every live step that disposed of anything, in the steps' order; the last step's too."""
    rows = conn.execute(
        "SELECT DISTINCT ON (s.step_no) p.body FROM casebook.step s JOIN casebook.plan p USING (step_id)"
        " WHERE s.case_no = %s AND s.kind = 'live' ORDER BY s.step_no, p.plan_id DESC",
        (case.case_no,),
    ).fetchall()
    return tuple(Plan.model_validate(r["body"]) for r in rows)


def latest_plan(conn: Conn, case: Case) -> Plan:
    """The plan in force, or the rehearsal if there is none yet. Raises Refused if there is neither."""
    for kind in ("live", "rehearsal"):
        if found := plans(conn, case, kind):
            return found[-1]
    raise Refused("there is no plan yet", about=case.case_no, next_step="rehearse the case first")


def plan_of(conn: Conn, case: Case, fingerprint: str) -> Plan:
    row = conn.execute(
        "SELECT body FROM casebook.plan WHERE case_no = %s AND fingerprint = %s", (case.case_no, fingerprint)
    ).fetchone()
    if row is None:
        raise Refused("this plan is not in the book", about=case.case_no, next_step="rehearse the case again")
    return Plan.model_validate(row["body"])


def keep_receipts(conn: Conn, case: Case, receipts: Sequence[Receipt]) -> int:
    """Copy receipts of the stores into the book; how many were new. The book advances only from these."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.receipt (step_id, case_no, store, verb, chunk, plan, body)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (r.step, case.case_no, r.store, r.verb, r.chunk, r.plan, Jsonb(r.model_dump(mode="json")))
                for r in receipts
            ],
        )
        return max(cursor.rowcount, 0)


def receipts(conn: Conn, step_id: str, verb: str | None = None) -> tuple[Receipt, ...]:
    rows = conn.execute(
        "SELECT body FROM casebook.receipt WHERE step_id = %s AND (%s::text IS NULL OR verb ="
        " %s) ORDER BY store, chunk",
        (step_id, verb, verb),
    ).fetchall()
    return tuple(Receipt.model_validate(r["body"]) for r in rows)


def keep_evidence(conn: Conn, evidence: Evidence, ledger_keys: Sequence[str]) -> None:
    """Remember where in the ledger a proof's result lies, and its counts."""
    for key in ledger_keys:
        conn.execute(
            "INSERT INTO casebook.evidence_ref (ledger_key, case_no, step_id, kind, store,"
            " verdict, fingerprint, body,"
            " observed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (key, evidence.case_no, evidence.step, evidence.kind, evidence.store, evidence.verdict.value,
             evidence.fingerprint(), Jsonb(evidence.model_dump(mode="json")), evidence.observed_at),
        )  # fmt: skip


def evidence(conn: Conn, case_no: str) -> tuple[tuple[tuple[str, ...], Evidence], ...]:
    """(ledger keys, evidence) of a case, oldest first. Long evidence is spread over several entries."""
    rows = conn.execute(
        "SELECT array_agg(ledger_key ORDER BY ledger_key) AS keys, min(body::text)::jsonb AS body"
        " FROM casebook.evidence_ref WHERE case_no = %s GROUP BY fingerprint ORDER BY min(observed_at)",
        (case_no,),
    ).fetchall()
    return tuple((tuple(r["keys"]), Evidence.model_validate(r["body"])) for r in rows)


def latest_verdict(conn: Conn, case_no: str, kind: str, step_id: str) -> Verdict | None:
    row = conn.execute(
        "SELECT verdict FROM casebook.evidence_ref WHERE case_no = %s AND kind = %s AND step_id = %s"
        " ORDER BY observed_at DESC LIMIT 1",
        (case_no, kind, step_id),
    ).fetchone()
    return None if row is None else Verdict(row["verdict"])


def keep_findings(conn: Conn, case_no: str, findings: Sequence[Finding]) -> None:
    """Open findings; one that is open already stays as it is."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.finding (case_no, code, dataset, place, items, what, next_step)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(case_no, f.code, f.dataset, f.place, f.items, f.what, f.next_step) for f in findings],
        )


def settle_findings(
    conn: Conn, case_no: str, code: str, place: str | None, *, actor: str, settlement: str
) -> int:
    """Settle open findings of a code (at one place, or everywhere); how many."""
    return conn.execute(
        "UPDATE casebook.finding SET settled_at = clock_timestamp(), settled_by = %s, settlement = %s"
        " WHERE case_no = %s AND code = %s AND (%s::text IS NULL OR place = %s) AND settled_at IS NULL",
        (checked_actor(actor), settlement, case_no, code, place, place),
    ).rowcount


def open_findings(conn: Conn, case_no: str) -> Rows:
    return conn.execute(
        "SELECT finding_id, code, dataset, place, items, what, next_step, found_at FROM casebook.finding"
        " WHERE case_no = %s AND settled_at IS NULL ORDER BY finding_id",
        (case_no,),
    ).fetchall()
