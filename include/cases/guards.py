"""What the state machine knows (:class:`Facts`) and the conditions it asks (:class:`Guard`), as data.

A fact that nobody established is False or None, and neither ever opens a door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from include.model.words import Ground, UnitState, Verdict

U = UnitState


@dataclass(frozen=True)
class Facts:
    """What is known when a transition is asked for. Defaults are the answers that refuse."""

    as_of: date
    ground: Ground = Ground.CANCELLATION
    own_initiative: bool | None = None  # opened by us, unasked; a request is False
    # identity and decision
    proof_within_registration: bool = False  # asked no more than was collected at registration
    identity_matched: bool = False
    identity_failed: bool = False  # mismatch, or no answer within 15 days
    approved: bool = False  # by another person than the requester
    refusal_complete: bool = False  # ground, article, reasons, second reviewer
    # a unit
    period_checked: bool = False  # the two lines below are known, not merely empty
    until: date | None = None  # the last day of a statutory period that binds it
    clock_not_started: bool = False  # under a statutory period whose start has not happened
    hold_checked: bool = False  # the line below is known, not merely empty
    hold: str | None = None  # number of an open hold on it
    hold_covers: bool = False  # the hold's own items include this unit
    probe: Verdict | None = None  # the independent proof of the transition
    irreversible: bool = False  # anonymity tested, keys destroyed
    rest_ends: bool = (
        False  # what is left of it, de-identified, goes on a day of its own, or with the rows that need it
    )
    receipt_reconciled: bool = False  # the successor's receipt, without difference
    backup_gone: bool = False  # the set expired, was overwritten, or its key destroyed
    notice_written: bool = False  # in the transaction of the decision
    answer_proved: bool = False  # the recipient answered with what that answer needs
    answer_insufficient: bool = False  # silence past the date, or an answer without its proof
    # roll-up
    units: tuple[UnitState, ...] = ()
    due: bool | None = None  # whether a unit is past its date and still there
    findings_open: bool | None = None  # whether a person still has to settle something
    books_balance: bool = False
    letter_sent: bool = False
    consented_again: bool = (
        False  # to the purpose on which a unit rests, and nothing of that unit is to go any more
    )
    nothing_left: bool = False  # a rehearsal of today reaches no item
    resurfaced: bool = False  # probe hit, restore, re-ingestion, late "not deleted"

    @property
    def statutory_period_runs(self) -> bool:
        """Whether a period forbids disposing on ``as_of``: the item goes the day *after* ``until``."""
        return self.clock_not_started or (self.until is not None and self.as_of <= self.until)


@dataclass(frozen=True)
class Guard:
    """One condition, in the words an operator reads when it refuses."""

    name: str
    otherwise: str
    next_step: str
    holds: Callable[[Facts], bool]


BEYOND_RECALL = frozenset(
    {
        U.LIVE_AGAIN, U.LIVE_DELETED, U.DEIDENTIFIED, U.ANONYMISED, U.TRANSFERRED, U.BACKUP_PURGED,
        U.TP_ACKED, U.TP_RETAINED, U.TP_UNLINKED, U.TP_ESCALATED, U.TP_SUPERSEDED,
    }
)  # fmt: skip
"""The states in which a unit's track has ended."""

WAITS_FOR_DATES = frozenset({U.RESTRICTED, U.HELD, U.BACKUP_PENDING, U.TP_NOTIFIED}) | BEYOND_RECALL
"""States that a waiting case may have: nothing left that we could do today."""


def terminal(states: Iterable[UnitState]) -> bool:
    return all(s in BEYOND_RECALL for s in states)


def _guard(name: str, otherwise: str, next_step: str, holds: Callable[[Facts], bool]) -> Guard:
    return Guard(name, otherwise, next_step, holds)


ASKED_NO_MORE = _guard(
    "asked_no_more", "the proof asked for goes beyond what registration collected",
    "ask only for fields collected at registration", lambda f: f.proof_within_registration,
)  # fmt: skip
MATCHED = _guard(
    "matched", "the person is not verified", "record the identity check first", lambda f: f.identity_matched
)
NOT_MATCHED = _guard(
    "not_matched", "the identity check has not failed", "wait for the answer, or record a mismatch",
    lambda f: f.identity_failed and not f.identity_matched,
)  # fmt: skip
OWN_INITIATIVE = _guard(
    "own_initiative", "this case needs an identity check", "ask for proof of identity",
    lambda f: f.own_initiative is True and f.ground.own_initiative,
)  # fmt: skip
BY_REQUEST = _guard(
    "by_request", "this case is our own initiative and has no identity step", "assess the case",
    lambda f: f.own_initiative is False,
)  # fmt: skip
MAY_PROCESS = _guard(
    "may_process", "nothing may be processed before the person is verified (policy 11.4)",
    "record the identity check first", lambda f: f.own_initiative is True or f.identity_matched,
)  # fmt: skip
DECIDED = _guard(
    "decided", "nobody has approved the plan", "have another person than the requester approve it",
    lambda f: f.approved or f.own_initiative is True,
)  # fmt: skip
REASONED = _guard(
    "reasoned", "the refusal is not complete", "give ground, article, reasons and a second reviewer",
    lambda f: f.refusal_complete,
)  # fmt: skip
COVERED = _guard(
    "covered", "the hold does not name this item, and a hold never widens",
    "open a hold of its own for it", lambda f: f.hold is not None and f.hold_covers,
)  # fmt: skip
RELEASED = _guard(
    "released",
    "a hold on this item is still open",
    "release the hold first",
    lambda f: f.hold_checked and f.hold is None,
)
PERIOD_OVER = _guard(
    "period_over", "a statutory period still runs", "wait until the day after it ends (PIPL 47 para. 2)",
    lambda f: f.period_checked and not f.statutory_period_runs,
)  # fmt: skip
PERIOD_RUNS = _guard(
    "period_runs", "no statutory period runs, so nothing may stay", "dispose of it today",
    lambda f: f.statutory_period_runs,
)  # fmt: skip
PROVED = _guard(
    "proved", "no independent proof has passed", "run the proofs; an unverified one does not count",
    lambda f: f.probe is Verdict.PASSED,
)  # fmt: skip
DISPROVED = _guard(
    "disproved", "no proof has failed", "record the proof's result first", lambda f: f.probe is Verdict.FAILED
)
BACKUP_GONE = _guard(
    "backup_gone", "the backup set still holds the person", "wait for its expiry, or destroy its key",
    lambda f: f.backup_gone,
)  # fmt: skip
NOTICE_WRITTEN = _guard(
    "notice_written", "no notice was written with the decision", "write the notice in the same transaction",
    lambda f: f.notice_written,
)  # fmt: skip
ANSWERED = _guard(
    "answered", "the answer lacks its proof", "ask the recipient for proof, article or authorisation",
    lambda f: f.answer_proved,
)  # fmt: skip
INSUFFICIENT = _guard(
    "insufficient", "the recipient is neither silent past its date nor insufficient",
    "wait for its answer", lambda f: f.answer_insufficient,
)  # fmt: skip
RECONCILED = _guard(
    "reconciled", "the successor's receipt is not reconciled", "reconcile the receipt to zero differences",
    lambda f: f.receipt_reconciled and f.ground is Ground.SHUTDOWN,
)  # fmt: skip
IRREVERSIBLE = _guard(
    "irreversible", "it is not shown that nobody can be identified again",
    "test re-identification and destroy the keys (PIPL 73(4))", lambda f: f.irreversible,
)  # fmt: skip
REST_ENDS = _guard(
    "rest_ends", "what is left of it is personal still (PIPL 73(3)), and nothing says when it goes",
    "give the dataset's cut its `ends`", lambda f: f.rest_ends,
)  # fmt: skip
ALL_TERMINAL = _guard(
    "all_terminal", "not every item, backup and recipient has come to its end",
    "see what pends with `quietus case explain`", lambda f: bool(f.units) and terminal(f.units),
)  # fmt: skip
NOBODY_SILENT = _guard(
    "nobody_silent", "a recipient is silent and not escalated", "escalate it or record its answer",
    lambda f: U.TP_NOTIFIED not in f.units,
)  # fmt: skip
BALANCED = _guard(
    "balanced",
    "the books do not balance",
    "find the difference before anything else",
    lambda f: f.books_balance,
)
TOLD = _guard("told", "the person has not been told", "send the letter first", lambda f: f.letter_sent)
ALL_HELD = _guard(
    "all_held", "not everything that is left is under a hold", "dispose of the rest first",
    lambda f: U.HELD in f.units
    and all(s in BEYOND_RECALL or s in (U.HELD, U.BACKUP_PENDING, U.TP_NOTIFIED) for s in f.units),
)  # fmt: skip
ONLY_DATES = _guard(
    "only_dates", "there is still something to do today", "finish and prove the disposal first",
    lambda f: f.due is False and bool(f.units) and all(s in WAITS_FOR_DATES for s in f.units),
)  # fmt: skip
SETTLED = _guard(
    "settled", "a finding is still open", "settle it; `quietus case show` lists it",
    lambda f: f.findings_open is False,
)  # fmt: skip
SOMETHING_DUE = _guard(
    "something_due", "no item of it is due", "wait for the next date", lambda f: f.due is True
)
NOTHING_LEFT = _guard(
    "nothing_left", "there is something that it reaches", "act on it", lambda f: f.nothing_left
)
CONSENTED = _guard(
    "consented", "the consent on which it rests is still withdrawn", "dispose of it",
    lambda f: f.consented_again and f.ground is Ground.WITHDRAWN_CONSENT,
)  # fmt: skip
RESURFACED = _guard(
    "resurfaced", "nothing has come back", "record what was found, and where", lambda f: f.resurfaced
)
