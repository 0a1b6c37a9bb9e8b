"""That what was to stay is there can be seen until something else is disposed of beside it: a later night rewrites the same log,
or ends what an earlier one had left of a row. So an old night that is looked at again keeps to what was seen of that before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from include.cases import papers
from include.cases.book import Conn
from include.model.flow import Check, Evidence, Step
from include.model.words import CopyKind, Rung, Verdict

KIND, KEPT = "gone", "kept."
TOO_LATE = "something else of it was disposed of before anybody looked whether what was to stay is there"
Place = tuple[str | None, str, CopyKind]


def kept_once(conn: Conn, step: Step, found: Sequence[Evidence]) -> list[Evidence]:
    """The same, but of datasets that later steps disposed of: what was seen to be kept is not asked again, what was not stays as
    it was said, and what nobody looked at is UNVERIFIED, and keeps nothing from resting."""
    later, before = _later(conn, step), _before(conn, step)
    return [
        e if e.kind != KIND else e.model_copy(update={"checks": tuple(_checks(e, later, before))}) for e in found
    ]  # fmt: skip


def _checks(evidence: Evidence, later: frozenset[str], before: Mapping[Place, Check]) -> Iterator[Check]:
    for check in evidence.checks:
        if not check.name.startswith(KEPT) or check.dataset not in later or check.verdict is Verdict.PASSED:
            yield check
            continue
        match before.get((evidence.store, check.name, check.copy_kind)):
            case Check(verdict=Verdict.PASSED):
                continue
            case Check(verdict=Verdict.FAILED) as failed:
                yield failed
            case _:
                # R4: with R0 the night could never rest, and of the bytes nothing may be claimed.
                yield Check(
                    name=check.name, dataset=check.dataset, copy_kind=check.copy_kind, rung=Rung.R4,
                    verdict=Verdict.UNVERIFIED, why=TOO_LATE,
                )  # fmt: skip


def _before(conn: Conn, step: Step) -> dict[Place, Check]:
    """What was said last of each such check, by looks at this step."""
    return {
        (e.store, c.name, c.copy_kind): c
        for _, e in papers.evidence(conn, step.case_no)
        if (e.kind, e.step) == (KIND, step.id)
        for c in e.checks
        if c.name.startswith(KEPT)
    }


def _later(conn: Conn, step: Step) -> frozenset[str]:
    """The datasets that other steps disposed of since this one's last receipt."""
    rows = conn.execute(
        "SELECT DISTINCT jsonb_object_keys(r.body -> 'counts') AS dataset FROM casebook.receipt r"
        " WHERE r.verb = 'dispose' AND r.step_id <> %(step)s AND (r.body ->> 'done_at')::timestamptz >"
        "  (SELECT max((m.body ->> 'done_at')::timestamptz) FROM casebook.receipt m"
        "    WHERE m.verb = 'dispose' AND m.step_id = %(step)s)",
        {"step": step.id},
    ).fetchall()
    return frozenset(str(row["dataset"]) for row in rows)
