"""What a step leaves in the book: plans, receipts, evidence references and findings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    since: date | None = None  # the day of the case's first live step, if there was one before
    held: tuple[str, ...] | None = None  # what holds reached when the plan in force was weighed, if known

    def step(self, case: Case, subjects: tuple[str, ...]) -> Step:
        return Step(
            id=self.step_id,
            case_no=case.case_no,
            as_of=self.as_of,
            restricting=self.restricting,
            subjects=subjects,
            since=self.since,
        )


def current_step(conn: Conn, case: Case, kind: str) -> StepRow | None:
    """The newest step of a kind, open or closed."""
    row = conn.execute(
        "SELECT s.*, (SELECT min(f.as_of) FROM casebook.step f WHERE f.case_no = s.case_no AND f.kind = 'live'"
        " AND f.step_id <> s.step_id) AS since FROM casebook.step s WHERE case_no = %s AND kind = %s"
        " ORDER BY step_no DESC LIMIT 1",
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
        row["since"],
        None if row["held"] is None else tuple(row["held"]),
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
    opened = current_step(conn, case, kind)
    if opened is None:
        raise Refused("a step that was opened is not there", about=case.case_no, next_step="try again")
    return opened


def open_replay(conn: Conn, case: Case, store: str, as_of: date, restricting: bool) -> StepRow:
    """The open replay of a case in a store, or a new one."""
    row = conn.execute(
        "SELECT step_id, step_no, as_of FROM casebook.step WHERE case_no = %s AND kind = 'replay' AND store = %s"
        " AND closed_at IS NULL",
        (case.case_no, store),
    ).fetchone()
    if row is None:
        digits = case.case_no.removeprefix("CASE-")
        row = conn.execute(
            "INSERT INTO casebook.step (step_id, case_no, kind, step_no, as_of, restricting, store)"
            " SELECT %s || n, %s, 'replay', n, %s, %s, %s FROM (SELECT coalesce(max(step_no), 0) + 1 AS n"
            " FROM casebook.step WHERE case_no = %s AND kind = 'replay') AS following RETURNING step_id, step_no, as_of",
            (f"case_{digits}_p", case.case_no, as_of, restricting, store, case.case_no),
        ).fetchone()
    if row is None:
        raise Refused("a step that was opened is not there", about=case.case_no, next_step="try again")
    return StepRow(row["step_id"], "replay", row["step_no"], row["as_of"], restricting, False)


def close_step(conn: Conn, step_id: str) -> None:
    conn.execute(
        "UPDATE casebook.step SET closed_at = clock_timestamp() WHERE step_id = %s AND closed_at IS NULL",
        (step_id,),
    )


def keep_plan(conn: Conn, plan: Plan, held: Sequence[str]) -> str:
    """Store a plan as the one in force of its step, with what holds reached; its fingerprint.

    A plan that comes back (items appeared and went again) is not stored twice, but is in force again.
    """
    fingerprint = plan.fingerprint()
    conn.execute(
        "INSERT INTO casebook.plan (step_id, case_no, fingerprint, body) VALUES (%s, %s, %s,"
        " %s) ON CONFLICT DO NOTHING",
        (plan.step, plan.case_no, fingerprint, Jsonb(plan.model_dump(mode="json"))),
    )
    conn.execute(
        "UPDATE casebook.step SET plan = %s, held = %s WHERE step_id = %s",
        (fingerprint, list(held), plan.step),
    )
    return fingerprint


def plans(conn: Conn, case: Case, kind: str) -> tuple[Plan, ...]:
    """The plans of the newest step of a kind: oldest first, but the one in force last."""
    step = current_step(conn, case, kind)
    return () if step is None else plans_of(conn, step.step_id)


def plans_of(conn: Conn, step_id: str) -> tuple[Plan, ...]:
    """The plans of a step, in the same order."""
    rows = conn.execute(
        "SELECT p.body FROM casebook.plan p JOIN casebook.step s USING (step_id) WHERE p.step_id = %s"
        " ORDER BY p.fingerprint = s.plan, p.plan_id",
        (step_id,),
    ).fetchall()
    return tuple(Plan.model_validate(r["body"]) for r in rows)


@dataclass(frozen=True)
class StepDone:
    """A live step with its plans, oldest first, and what the stores' receipts say was done."""

    row: StepRow
    plans: tuple[Plan, ...]
    receipts: tuple[Receipt, ...]

    @property
    def plan(self) -> Plan:
        """The one in force."""
        return self.plans[-1]

    @property
    def earlier(self) -> tuple[str, ...]:
        return tuple(p.fingerprint() for p in self.plans[:-1])


def carried_out(conn: Conn, case: Case) -> tuple[StepDone, ...]:
    """Every live step that was planned and changed something, in their order; the last step's too."""
    done = planned(conn, case)
    return tuple(
        step for step in done if step is done[-1] or any(x.disposition.changes_data for x in step.plan.lines)
    )


def planned(conn: Conn, case: Case) -> tuple[StepDone, ...]:
    """Every live step that was planned, in their order."""
    rows = conn.execute(
        "SELECT s.step_id, s.kind, s.step_no, s.as_of, s.restricting, s.closed_at IS NOT NULL AS closed,"
        # The plan in force is the last: an earlier one may have been planned again.
        " array_agg(p.body ORDER BY p.fingerprint = s.plan, p.plan_id) AS plans"
        " FROM casebook.step s JOIN casebook.plan p USING (step_id)"
        " WHERE s.case_no = %s AND s.kind = 'live' AND s.plan IS NOT NULL GROUP BY s.step_id ORDER BY s.step_no",
        (case.case_no,),
    ).fetchall()
    done = []
    for row in rows:
        found = tuple(Plan.model_validate(body) for body in row.pop("plans"))
        done.append(StepDone(StepRow(**row), found, receipts(conn, row["step_id"], "dispose")))
    return tuple(done)


def rehearsals(conn: Conn, case: Case) -> int:
    """How many plans were rehearsed since the case was last reopened, or ever: what an approver may have seen."""
    row = conn.execute(
        "SELECT count(*) AS n FROM casebook.step s WHERE s.case_no = %(no)s AND s.kind = 'rehearsal'"
        " AND s.plan IS NOT NULL AND s.opened_at > coalesce((SELECT max(observed_at) FROM casebook.event"
        "  WHERE case_no = %(no)s AND to_state = 'reopened'), '-infinity')",
        {"no": case.case_no},
    ).fetchone()
    return int(row["n"]) if row else 0


def plan_before(conn: Conn, case: Case) -> Plan | None:
    """What the live step before the newest one carried out, if this step goes on from it: None for the
    first step, and after a rehearsal that was made since (a reopened case is decided anew)."""
    row = conn.execute(
        "SELECT p.body FROM casebook.step s JOIN casebook.plan p ON p.step_id = s.step_id AND p.fingerprint = s.plan"
        " WHERE s.case_no = %(no)s AND s.kind = 'live'"
        " AND s.step_no < (SELECT max(step_no) FROM casebook.step WHERE case_no = %(no)s AND kind = 'live')"
        " AND NOT EXISTS (SELECT FROM casebook.step r WHERE r.case_no = %(no)s AND r.kind = 'rehearsal'"
        "  AND r.opened_at > s.closed_at) ORDER BY s.step_no DESC LIMIT 1",
        {"no": case.case_no},
    ).fetchone()
    return None if row is None else Plan.model_validate(row["body"])


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
    conn: Conn, case_no: str, code: str, places: Collection[str] | None, *, actor: str, settlement: str
) -> int:
    """Settle open findings of a code (at these places, or everywhere); how many."""
    return conn.execute(
        "UPDATE casebook.finding SET settled_at = clock_timestamp(), settled_by = %s, settlement = %s"
        " WHERE case_no = %s AND code = %s AND (%s::text[] IS NULL OR place = ANY(%s::text[]))"
        " AND settled_at IS NULL",
        (checked_actor(actor), settlement, case_no, code, *(2 * [None if places is None else list(places)])),
    ).rowcount


ABOUT_THE_COMPANY = "given_beyond_policy"
"""The code of findings that no case waits for: what was given to whom is answered for by the company, and the person's
deletion goes on meanwhile."""


REVIEW = "re_ingested_perhaps"
"""The code of findings that somebody has the phone of a person who was deleted: most often its new owner."""


def in_the_way(conn: Conn, case_no: str) -> Rows:
    """The open findings that keep a case from going on."""
    return [f for f in open_findings(conn, case_no) if f["code"] not in (ABOUT_THE_COMPANY, REVIEW)]


def open_findings(conn: Conn, case_no: str) -> Rows:
    return conn.execute(
        "SELECT finding_id, code, dataset, place, items, what, next_step, found_at FROM casebook.finding"
        " WHERE case_no = %s AND settled_at IS NULL ORDER BY finding_id",
        (case_no,),
    ).fetchall()
