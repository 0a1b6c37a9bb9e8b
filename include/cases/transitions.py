"""The transition table of law.md section E, one line per edge. Read beside that table.

``row`` is the row of section E; the edges that it draws but does not number carry the row they belong to
and say so in ``note``.
"""
# ruff: noqa: E501  (a table reads better as lines than as columns of words)

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from include.cases.guards import (
    ALL_HELD,
    ALL_TERMINAL,
    ANSWERED,
    ASKED_NO_MORE,
    BACKUP_GONE,
    BALANCED,
    BY_REQUEST,
    CONSENTED,
    COVERED,
    DECIDED,
    DISPROVED,
    INSUFFICIENT,
    IRREVERSIBLE,
    MATCHED,
    MAY_PROCESS,
    NOBODY_SILENT,
    NOT_MATCHED,
    NOTHING_LEFT,
    NOTICE_WRITTEN,
    ONLY_DATES,
    OWN_INITIATIVE,
    PERIOD_OVER,
    PERIOD_RUNS,
    PROVED,
    REASONED,
    RECONCILED,
    RELEASED,
    REST_ENDS,
    RESURFACED,
    SETTLED,
    SOMETHING_DUE,
    TOLD,
    Guard,
)
from include.model.words import CaseState, UnitState

State: TypeAlias = CaseState | UnitState
C, U = CaseState, UnitState


@dataclass(frozen=True)
class Transition:
    row: int
    source: State | None  # None: does not exist yet
    target: State
    guards: tuple[Guard, ...]
    clock: str
    law: str
    evidence: str
    note: str = ""


def _t(
    row: int, source: State | None, target: State, guards: tuple[Guard, ...],
    clock: str, law: str, evidence: str, note: str = "",
) -> Transition:  # fmt: skip
    return Transition(row, source, target, guards, clock, law, evidence, note)


_SAME_DAY = "same day"
_15WD = "15 working days for a cancellation, else in time"
_AT_ONCE = "at once"

TABLE: tuple[Transition, ...] = (
    _t(1, None, C.RECEIVED, (BY_REQUEST,), _SAME_DAY, "PIPL 50; NDSMR 23", "case no., time, channel"),
    _t(2, C.RECEIVED, C.ID_PENDING, (BY_REQUEST, ASKED_NO_MORE), "3 working days [proposal]", "GB/T 35273 8.5 c)", "request for proof"),
    _t(3, C.ID_PENDING, C.ASSESSING, (BY_REQUEST, MATCHED), "starts 30 days and 15 working days", "policy 11.4; App Method 6", "verified_at, method"),
    _t(3, C.ID_FAILED, C.ASSESSING, (BY_REQUEST, MATCHED), "starts 30 days and 15 working days", "policy 11.4", "verified_at, method", "new proof, as drawn"),
    _t(4, C.ID_PENDING, C.ID_FAILED, (BY_REQUEST, NOT_MATCHED), "15 days [proposal]", "PIPL 50", "letter"),
    _t(5, None, C.TRIGGERED, (OWN_INITIATIVE,), _AT_ONCE, "PIPL 47 para. 1", "trigger event", "a trigger is the row's source state"),
    _t(5, C.TRIGGERED, C.ASSESSING, (OWN_INITIATIVE,), _AT_ONCE, "PIPL 47 para. 1", "trigger event"),
    _t(6, C.ASSESSING, C.ACTING, (MAY_PROCESS, DECIDED), _SAME_DAY, "policy 1.4; PIPL 47 para. 2", "read-denied log", "roll-up of the units"),
    _t(6, U.ACTIVE, U.RESTRICTED, (MAY_PROCESS, DECIDED), _SAME_DAY, "policy 1.4; PIPL 47 para. 2", "read-denied log, revocation serials"),
    _t(7, C.ASSESSING, C.REFUSED, (MAY_PROCESS, REASONED), "30 days from verification", "policy 11.4; PIPL 50", "reasoned letter, remedies"),
    _t(8, U.RESTRICTED, U.HELD, (COVERED,), "review every 6 months", "policy 5.2; Arb. Law 58", "hold order"),
    _t(8, C.ACTING, C.HELD, (ALL_HELD,), "review every 6 months", "policy 5.2", "hold order", "roll-up of the units"),
    _t(8, C.WAITING, C.HELD, (ALL_HELD,), "review every 6 months", "policy 5.2", "hold order", "roll-up of the units"),
    _t(9, U.HELD, U.RESTRICTED, (RELEASED,), "1 working day [proposal]", "policy 5.2", "release document"),
    _t(9, C.HELD, C.ACTING, (RELEASED,), "1 working day [proposal]", "policy 5.2", "release document", "roll-up of the units"),
    _t(10, U.RESTRICTED, U.DELETING_LIVE, (MAY_PROCESS, DECIDED, RELEASED, PERIOD_OVER), _15WD, "App Method 6; ECL 24; NDSMR 24", "job id, plan hash"),
    _t(11, U.RESTRICTED, U.RESTRICTED, (PERIOD_RUNS,), "until the due date", "ESL 24; PIPL 47 para. 2", "due date told"),
    _t(10, U.RESTRICTED, U.LIVE_AGAIN, (CONSENTED,), _AT_ONCE, "PIPL 13(1)(1), 15, 47(1)(3)", "the plan in force, by which nothing of it goes", "given again before the deed: what the case was to dispose of rests on a consent that stands"),
    _t(10, U.DELETING_LIVE, U.LIVE_AGAIN, (CONSENTED,), _AT_ONCE, "PIPL 13(1)(1), 15, 47(1)(3)", "the plan in force, by which nothing of it goes", "as before this row: an emptied track waited for a proof of nothing"),
    _t(10, U.HELD, U.LIVE_AGAIN, (CONSENTED,), _AT_ONCE, "PIPL 13(1)(1), 15, 47(1)(3)", "the plan in force, by which nothing of it goes", "a hold forbids to dispose, not to use; it goes on naming what it names"),
    _t(10, U.DELETE_FAILED, U.LIVE_AGAIN, (CONSENTED,), _AT_ONCE, "PIPL 13(1)(1), 15, 47(1)(3)", "the plan in force, by which nothing of it goes", "what a try left of it is used again; what it took is in the plans before"),
    _t(12, U.DELETING_LIVE, U.LIVE_DELETED, (PROVED,), _15WD, "policy 1.4, 12.3", "probe report"),
    _t(13, U.DELETING_LIVE, U.DELETE_FAILED, (DISPROVED,), "retry within 24 h, then incident", "PIPL 51, 57", "failure record"),
    _t(13, U.DELETE_FAILED, U.DELETING_LIVE, (RELEASED, PERIOD_OVER), "retry within 24 h, then incident", "PIPL 51, 57", "failure record", "retry, as drawn"),
    _t(14, U.LIVE_DELETED, U.BACKUP_PENDING, (), "at backup refresh", "policy 11.2; PIPL 47 para. 2", "set list"),
    _t(14, U.BACKUP_PENDING, U.BACKUP_PURGED, (BACKUP_GONE,), "at backup refresh", "policy 11.2", "purge event"),
    _t(20, U.BACKUP_PURGED, U.BACKUP_PENDING, (RESURFACED,), _AT_ONCE, "PIPL 57; policy 11.2", "the ledger's entry of the drill, or the store's other history", "what was said to be gone from a backup set came up in it, or is a log that is another server's now: it is waited for again"),
    _t(15, U.ACTIVE, U.TP_NOTIFIED, (MAY_PROCESS, DECIDED, NOTICE_WRITTEN), "with the decision", "policy 11.2", "notice, delivery proof"),
    _t(15, U.TP_NOTIFIED, U.TP_SUPERSEDED, (NOTICE_WRITTEN,), _AT_ONCE, "policy 5.2, 11.2", "the notice that replaces it", "what is to be kept there has changed"),
    _t(16, U.TP_NOTIFIED, U.TP_ACKED, (ANSWERED,), "15 working days; remind at 10 d", "PIPL 21, 59", "answer, hash"),
    _t(16, U.TP_NOTIFIED, U.TP_RETAINED, (ANSWERED,), "15 working days; remind at 10 d", "PIPL 21, 59", "answer, article"),
    _t(16, U.TP_NOTIFIED, U.TP_UNLINKED, (ANSWERED,), "15 working days; remind at 10 d", "PIPL 47 para. 2", "answer, salt destroyed"),
    _t(16, U.TP_ESCALATED, U.TP_ACKED, (ANSWERED,), "whenever it comes", "PIPL 21, 59", "answer, hash", "an answer that comes late is an answer"),
    _t(16, U.TP_ESCALATED, U.TP_RETAINED, (ANSWERED,), "whenever it comes", "PIPL 21, 59", "answer, article", "an answer that comes late is an answer"),
    _t(16, U.TP_ESCALATED, U.TP_UNLINKED, (ANSWERED,), "whenever it comes", "PIPL 47 para. 2", "answer, salt destroyed", "an answer that comes late is an answer"),
    _t(16, U.TP_RETAINED, U.TP_ACKED, (ANSWERED,), "whenever it comes", "PIPL 21, 59", "answer, hash", "deleted before what kept it has ended"),
    _t(17, U.TP_NOTIFIED, U.TP_ESCALATED, (INSUFFICIENT,), "30 d", "PIPL 21", "escalation log"),
    _t(18, U.RESTRICTED, U.TRANSFERRED, (RELEASED, RECONCILED), "T-90, T-60, T0", "ESL 23; PIPL 22; NDSMR 14", "manifest, receipt"),
    _t(19, C.ACTING, C.WAITING, (ONLY_DATES, SETTLED), "the reply states what pends", "policy 11.4", "interim certificate", "before closing"),
    _t(19, C.WAITING, C.ACTING, (SOMETHING_DUE,), "when a date is over", "policy 7.2", "job id", "a waiting item is due"),
    _t(19, C.WAITING, C.CLOSED, (SETTLED, NOBODY_SILENT, ALL_TERMINAL, BALANCED, TOLD), "after the last track", "policy 11.4", "closing certificate"),
    _t(19, C.REFUSED, C.CLOSED, (REASONED, TOLD), "30 days from verification", "policy 11.4; PIPL 50", "reasoned letter"),
    _t(19, C.ID_FAILED, C.CLOSED, (NOT_MATCHED, TOLD), "with the letter", "PIPL 50", "letter"),
    _t(19, C.ASSESSING, C.CLOSED, (OWN_INITIATIVE, NOTHING_LEFT, SETTLED), _AT_ONCE, "PIPL 47 para. 1", "a rehearsal of nothing", "of our own initiative, and what it reached went meanwhile: nothing was done, and there is nothing to say"),
    _t(20, C.CLOSED, C.REOPENED, (RESURFACED,), "at once; 4 h if larger", "PIPL 57; CAC 2025", "incident id"),
    _t(20, C.REOPENED, C.ASSESSING, (MAY_PROCESS,), _AT_ONCE, "PIPL 57", "incident id", "work resumes"),
    _t(20, C.REOPENED, C.WAITING, (MAY_PROCESS, ONLY_DATES, SETTLED), _AT_ONCE, "policy 11.2", "next notice", "a recipient alone is asked again: nothing of ours came back"),
    _t(21, U.RESTRICTED, U.DEIDENTIFIED, (MAY_PROCESS, DECIDED, RELEASED, PERIOD_OVER, PROVED, REST_ENDS), "at the end of the period", "PIPL 73(3), 47 para. 1; policy 7.2", "the cut, and until when what is left stays", "as drawn, what is only cut would be called anonymous: it is personal still, and the nights end it"),
    _t(21, U.RESTRICTED, U.ANONYMISED, (MAY_PROCESS, DECIDED, RELEASED, PERIOD_OVER, PROVED, IRREVERSIBLE), "at the end of the period", "PIPL 4, 73(4); policy 7.2", "re-identification test"),
)  # fmt: skip
