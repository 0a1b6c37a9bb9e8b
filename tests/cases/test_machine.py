"""The state machine: its table is section E's, and the rules it must never break hold on every walk."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from include.cases.guards import BEYOND_RECALL, Facts, terminal
from include.cases.machine import find, may, move, path, roll_up
from include.cases.refusals import EVERYTHING, RefusalGround, refusal
from include.cases.transitions import TABLE
from include.model.errors import Refused
from include.model.words import CaseState, Ground, UnitState, Verdict

C, U = CaseState, UnitState
TODAY = date(2026, 11, 24)

# law.md section E, row by row, as its table has it. A case state is marked "case".
SECTION_E: dict[int, set[tuple[str | None, str]]] = {
    1: {(None, "case received")},
    2: {("case received", "case id_pending")},
    3: {("case id_pending", "case assessing")},
    4: {("case id_pending", "case id_failed")},
    5: {("case triggered", "case assessing")},
    6: {("case assessing", "case acting"), ("active", "restricted")},
    7: {("case assessing", "case refused")},
    8: {("restricted", "held")},
    9: {("held", "restricted")},
    10: {("restricted", "deleting_live")},
    11: {("restricted", "restricted")},
    12: {("deleting_live", "live_deleted")},
    13: {("deleting_live", "delete_failed")},
    14: {("live_deleted", "backup_pending"), ("backup_pending", "backup_purged")},
    15: {("active", "tp_notified")},
    16: {("tp_notified", "tp_acked"), ("tp_notified", "tp_retained"), ("tp_notified", "tp_unlinked")},
    17: {("tp_notified", "tp_escalated")},
    18: {("restricted", "transferred")},
    19: {("case waiting", "case closed"), ("case refused", "case closed"), ("case id_failed", "case closed")},
    20: {("case closed", "case reopened")},
    21: {("restricted", "anonymised")},  # what is only cut is no such end, and its edge says why
}  # fmt: skip


def word(state: CaseState | UnitState | None) -> str | None:
    if state is None:
        return None
    return f"case {state.value}" if isinstance(state, CaseState) else state.value


def test_the_table_is_section_e_and_every_edge_beyond_it_says_why() -> None:
    edges: dict[int, set[tuple[str | None, str]]] = {n: set() for n in SECTION_E}
    for t in TABLE:
        edge = (word(t.source), str(word(t.target)))
        if edge not in SECTION_E[t.row]:
            assert t.note, f"{edge} is not in row {t.row} and has no note"
            continue
        edges[t.row].add(edge)
    assert edges == SECTION_E


def test_no_edge_is_listed_twice() -> None:
    edges = [(word(t.source), word(t.target)) for t in TABLE]
    assert len(edges) == len(set(edges))


def test_every_transition_names_clock_law_and_evidence() -> None:
    assert all(t.clock and t.law and t.evidence for t in TABLE)


@pytest.mark.parametrize("source", [U.RESTRICTED, U.HELD, U.DELETING_LIVE, U.DELETE_FAILED])
def test_whatever_it_waits_for_what_rests_on_a_consent_given_again_is_used_again(source: UnitState) -> None:
    withdrawn = Facts(as_of=TODAY, ground=Ground.WITHDRAWN_CONSENT)
    assert may(source, U.LIVE_AGAIN, replace(withdrawn, consented_again=True))
    assert not may(source, U.LIVE_AGAIN, withdrawn)
    assert not may(source, U.LIVE_AGAIN, Facts(as_of=TODAY, ground=Ground.CANCELLATION, consented_again=True))


def test_there_is_no_edge_from_received_to_processing() -> None:
    for source in (C.RECEIVED, C.ID_PENDING, C.ID_FAILED):
        for target in (C.ACTING, C.WAITING, C.HELD):
            with pytest.raises(Refused, match="there is no way"):
                find(source, target)


def test_facts_that_nobody_established_open_no_door_that_deletes_or_closes() -> None:
    blank = Facts(as_of=TODAY)
    for t in TABLE:
        if t.target in (
            U.DELETING_LIVE,
            U.LIVE_DELETED,
            U.DEIDENTIFIED,
            U.ANONYMISED,
            U.TRANSFERRED,
            C.CLOSED,
            C.ACTING,
        ):
            assert not may(t.source, t.target, blank), t


@given(
    ground=st.sampled_from(list(Ground)), ours=st.booleans(), matched=st.booleans(), approved=st.booleans()
)
def test_nothing_is_processed_before_verification_except_on_our_own_initiative(
    ground, ours, matched, approved
) -> None:
    facts = Facts(as_of=TODAY, ground=ground, own_initiative=ours, identity_matched=matched, approved=approved,
                  notice_written=True, hold_checked=True, period_checked=True, probe=Verdict.PASSED,
                  irreversible=True, refusal_complete=True)  # fmt: skip
    for source, target in [(C.ASSESSING, C.ACTING), (C.ASSESSING, C.REFUSED), (U.ACTIVE, U.RESTRICTED),
                           (U.RESTRICTED, U.DELETING_LIVE), (U.RESTRICTED, U.ANONYMISED), (U.RESTRICTED, U.DEIDENTIFIED),
                           (U.ACTIVE, U.TP_NOTIFIED)]:  # fmt: skip
        if may(source, target, facts):
            assert matched or ours


@pytest.mark.parametrize("ground", [g for g in Ground if g.own_initiative])
def test_a_ground_of_our_own_that_somebody_reports_is_a_request_like_any_other(ground: Ground) -> None:
    request = Facts(as_of=TODAY, ground=ground, own_initiative=False)
    assert may(None, C.RECEIVED, request) and not may(None, C.TRIGGERED, request)
    assert not may(C.TRIGGERED, C.ASSESSING, request)
    with pytest.raises(Refused, match="before the person is verified"):
        move(C.ASSESSING, C.ACTING, request)


def test_who_opened_a_case_is_known_or_no_door_opens() -> None:
    for target in (C.RECEIVED, C.TRIGGERED):
        assert not may(None, target, Facts(as_of=TODAY, ground=Ground.MINOR))


@given(until=st.none() | st.dates(date(2020, 1, 1), date(2035, 1, 1)), started=st.booleans(),
       hold=st.none() | st.just("HOLD-000001"))  # fmt: skip
def test_nothing_with_a_running_period_or_a_hold_is_deleted_and_it_goes_the_day_after(
    until, started, hold
) -> None:
    facts = Facts(as_of=TODAY, identity_matched=True, approved=True, period_checked=True, hold_checked=True,
                  until=until, clock_not_started=not started, hold=hold, probe=Verdict.PASSED,
                  irreversible=True, rest_ends=True)  # fmt: skip
    over = started and (until is None or until < TODAY)
    for target in (U.DELETING_LIVE, U.DEIDENTIFIED, U.ANONYMISED):
        assert may(U.RESTRICTED, target, facts) is (over and hold is None)
    assert may(U.RESTRICTED, U.RESTRICTED, facts) is not over


def test_the_last_day_still_keeps_and_the_day_after_deletes() -> None:
    def facts(until: date) -> Facts:
        return Facts(as_of=TODAY, identity_matched=True, approved=True, period_checked=True,
                     hold_checked=True, until=until)  # fmt: skip

    assert not may(U.RESTRICTED, U.DELETING_LIVE, facts(TODAY))
    assert may(U.RESTRICTED, U.DELETING_LIVE, facts(TODAY - timedelta(days=1)))


@given(st.lists(st.sampled_from(list(UnitState)), max_size=6), st.booleans(), st.booleans())
def test_a_case_never_closes_with_a_silent_recipient_an_open_unit_or_unbalanced_books(
    units, balance, told
) -> None:
    facts = Facts(
        as_of=TODAY, units=tuple(units), books_balance=balance, letter_sent=told, findings_open=False
    )
    if may(C.WAITING, C.CLOSED, facts):
        assert U.TP_NOTIFIED not in units
        assert set(units) <= BEYOND_RECALL
        assert units and balance and told


def test_an_open_or_unknown_finding_keeps_a_case_from_resting_and_from_closing() -> None:
    for findings in (True, None):
        facts = Facts(as_of=TODAY, units=(U.LIVE_DELETED,), due=False, books_balance=True, letter_sent=True,
                      findings_open=findings)  # fmt: skip
        assert not may(C.ACTING, C.WAITING, facts)
        assert not may(C.WAITING, C.CLOSED, facts)


def test_a_silent_recipient_is_named_as_the_reason() -> None:
    facts = Facts(as_of=TODAY, units=(U.LIVE_DELETED, U.TP_NOTIFIED), books_balance=True,
                  letter_sent=True, findings_open=False)  # fmt: skip
    with pytest.raises(Refused, match="CASE-000001: a recipient is silent and not escalated"):
        move(C.WAITING, C.CLOSED, facts, about="CASE-000001")


def test_an_unverified_proof_never_counts_as_gone() -> None:
    for probe in (None, Verdict.UNVERIFIED, Verdict.FAILED):
        assert not may(U.DELETING_LIVE, U.LIVE_DELETED, Facts(as_of=TODAY, probe=probe))
    assert may(U.DELETING_LIVE, U.LIVE_DELETED, Facts(as_of=TODAY, probe=Verdict.PASSED))


def test_nothing_counts_as_anonymised_before_it_is_shown_to_be_irreversible() -> None:
    known = Facts(as_of=TODAY, identity_matched=True, approved=True, period_checked=True, hold_checked=True,
                  probe=Verdict.PASSED)  # fmt: skip
    with pytest.raises(Refused, match="it is not shown that nobody can be identified again"):
        move(U.RESTRICTED, U.ANONYMISED, known)
    assert move(U.RESTRICTED, U.ANONYMISED, replace(known, irreversible=True)).target is U.ANONYMISED


def test_what_was_only_cut_is_deidentified_and_ends_only_if_what_is_left_does() -> None:
    known = Facts(as_of=TODAY, identity_matched=True, approved=True, period_checked=True, hold_checked=True,
                  probe=Verdict.PASSED)  # fmt: skip
    with pytest.raises(Refused, match="nothing says when it goes"):
        move(U.RESTRICTED, U.DEIDENTIFIED, known)
    assert move(U.RESTRICTED, U.DEIDENTIFIED, replace(known, rest_ends=True)).target is U.DEIDENTIFIED
    assert terminal((U.DEIDENTIFIED, U.LIVE_DELETED))


def test_an_answer_without_its_proof_ends_no_track() -> None:
    for ended in (U.TP_ACKED, U.TP_RETAINED, U.TP_UNLINKED):
        with pytest.raises(Refused, match="the answer lacks its proof"):
            move(U.TP_NOTIFIED, ended, Facts(as_of=TODAY))
        assert move(U.TP_NOTIFIED, ended, Facts(as_of=TODAY, answer_proved=True)).target is ended


def test_a_hold_reaches_only_the_items_it_names() -> None:
    facts = Facts(as_of=TODAY, hold_checked=True, hold="HOLD-000001", hold_covers=False)
    with pytest.raises(Refused, match="never widens"):
        move(U.RESTRICTED, U.HELD, facts)


def test_a_case_held_over_everything_parks_as_held() -> None:
    facts = Facts(
        as_of=TODAY, hold_checked=True, units=(U.HELD, U.HELD, U.TP_NOTIFIED), due=False, findings_open=False
    )
    assert roll_up(C.ACTING, facts) is C.HELD or roll_up(C.ACTING, facts) is C.WAITING
    assert roll_up(C.ACTING, facts) is C.HELD


def test_a_case_with_an_item_past_its_date_does_not_rest() -> None:
    waiting = Facts(as_of=TODAY, units=(U.RESTRICTED, U.LIVE_DELETED), due=False, findings_open=False)
    assert roll_up(C.ACTING, waiting) is C.WAITING
    overdue = Facts(as_of=TODAY, units=(U.RESTRICTED, U.LIVE_DELETED), due=True)
    assert roll_up(C.WAITING, overdue) is C.ACTING


def test_rolled_up_states_are_reached_by_edges_of_the_table() -> None:
    for source, target in product((C.ACTING, C.HELD, C.WAITING), repeat=2):
        here = source
        for state in path(source, target):
            find(here, state)
            here = state
        assert here is target


GOOD = {
    "ground": "11.4(7)", "article": "PIPL 50", "reasons": "the counter-signer still relies on it",
    "scope": ("PI-047",), "reviewer": "li", "second_reviewer": "wang", "requester": "zhao",
}  # fmt: skip


def test_a_complete_refusal_is_accepted() -> None:
    assert refusal(**GOOD).ground is RefusalGround.HARM_TO_OTHERS


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ground": "technical_difficulty"}, "technical difficulty is no ground"),
        ({"ground": "11.4(9)"}, "one of the eight grounds"),
        ({"ground": ""}, "one of the eight grounds"),
        ({"article": " "}, "without article"),
        ({"reasons": ""}, "without reasons"),
        ({"second_reviewer": ""}, "without second reviewer"),
        ({"second_reviewer": "li"}, "three different people"),
        ({"second_reviewer": "zhao"}, "three different people"),
        ({"reviewer": "zhao"}, "three different people"),
        ({"scope": ()}, "must name its scope"),
        ({"scope": (EVERYTHING,)}, "never cover everything"),
        ({"ground": "11.4(8)", "scope": (EVERYTHING,)}, "never cover everything"),
    ],
)
def test_an_incomplete_refusal_is_refused(change, says) -> None:
    with pytest.raises(Refused, match=says):
        refusal(**(GOOD | change))


def onwards(state: CaseState | UnitState | None) -> list:
    """Every edge out of a state, and some that do not exist."""
    edges = [t.target for t in TABLE if t.source is state]
    return edges + (
        [U.LIVE_DELETED, U.DELETING_LIVE] if isinstance(state, UnitState) else [C.CLOSED, C.ACTING]
    )


class Walk(RuleBasedStateMachine):
    """Anybody asks for anything in any order; the machine decides; the rules must hold throughout.

    The walk keeps its own books of what really happened, and the invariants read only those.
    """

    @initialize(ground=st.sampled_from(list(Ground)), ours=st.booleans(), untils=st.lists(
        st.none() | st.integers(-400, 400), min_size=1, max_size=3))  # fmt: skip
    def start(self, ground, ours, untils):
        self.as_of = TODAY
        self.ground, self.ours = ground, ours
        self.state: CaseState | None = None
        self.units = [U.ACTIVE] * len(untils)
        self.until = [None if n is None else TODAY + timedelta(days=n) for n in untils]
        self.holds: list[str | None] = [None] * len(untils)
        self.recipient = U.ACTIVE
        self.escalated = self.answered = False
        self.matched = self.approved = self.refused = self.told = self.balanced = False
        self.changed_on: dict[int, date] = {}
        self.first_touch_verified: bool | None = None

    def facts(self, unit: int | None = None, **more) -> Facts:
        one = {}
        if unit is not None:
            held = self.holds[unit]
            one = {"until": self.until[unit], "hold": held, "hold_covers": held is not None}
        base = {
            "as_of": self.as_of, "ground": self.ground, "own_initiative": self.ours, "identity_matched": self.matched,
            "proof_within_registration": True, "approved": self.approved, "refusal_complete": self.refused,
            "units": (*self.units, self.recipient), "books_balance": self.balanced, "letter_sent": self.told,
            "findings_open": False,
            "hold_checked": True, "period_checked": True, "notice_written": True,
            "due": any(s is U.RESTRICTED and not h and (u is None or u < self.as_of)
                       for s, u, h in zip(self.units, self.until, self.holds, strict=True)),
        }  # fmt: skip
        return Facts(**(base | one | more))

    @rule(data=st.data(), failed=st.booleans())
    def move_case(self, data, failed):
        target = data.draw(st.sampled_from(onwards(self.state)))
        facts = self.facts(identity_failed=failed and not self.matched)
        if not may(self.state, target, facts):
            return
        if target is C.CLOSED and self.state is C.WAITING:
            assert all(s in BEYOND_RECALL for s in self.units)
            assert self.balanced and self.told
            assert self.recipient is not U.TP_NOTIFIED or self.escalated
        if target is C.REFUSED:
            assert self.refused
        if target is C.ACTING:
            assert self.matched or self.ours
        if target is C.WAITING:
            assert not facts.due
        self.state = target

    @rule(what=st.sampled_from(["verify", "approve", "refuse", "tell", "balance"]))
    def establish(self, what):
        if what == "verify" and self.state is C.ID_PENDING:
            self.matched = True
        if what == "approve" and self.state is C.ASSESSING:
            self.approved = True
        if what == "refuse" and self.state is C.ASSESSING:
            self.refused = True
        self.told |= what == "tell"
        self.balanced |= what == "balance"

    @rule(days=st.integers(1, 200))
    def time_passes(self, days):
        self.as_of += timedelta(days=days)

    @rule(data=st.data(), probe=st.sampled_from([None, *Verdict]),
          irreversible=st.booleans())  # fmt: skip
    def move_unit(self, data, probe, irreversible):
        n = data.draw(st.integers(0, len(self.units) - 1))
        before = self.units[n]
        target = data.draw(st.sampled_from(onwards(before)))
        if target in (U.TP_NOTIFIED,) or not may(
            before, target, self.facts(n, probe=probe, irreversible=irreversible)
        ):
            return
        if target in (U.DELETING_LIVE, U.DEIDENTIFIED, U.ANONYMISED):
            assert before in (U.RESTRICTED, U.DELETE_FAILED), "restricted before it is touched"
            assert self.holds[n] is None
            assert self.until[n] is None or self.until[n] < self.as_of
            self.changed_on[n] = self.as_of
        if target in (U.LIVE_DELETED, U.DEIDENTIFIED, U.ANONYMISED):
            assert probe is Verdict.PASSED
        if target is U.RESTRICTED and before is U.ACTIVE and self.first_touch_verified is None:
            self.first_touch_verified = self.matched or self.ours
        self.units[n] = target

    @rule(data=st.data(), on=st.booleans())
    def hold(self, data, on):
        n = data.draw(st.integers(0, len(self.units) - 1))
        self.holds[n] = "HOLD-000001" if on else None

    @precondition(lambda self: self.recipient in (U.ACTIVE, U.TP_NOTIFIED))
    @rule(to=st.sampled_from([U.TP_NOTIFIED, U.TP_ACKED, U.TP_RETAINED, U.TP_UNLINKED, U.TP_ESCALATED]),
          proved=st.booleans(), silent=st.booleans())  # fmt: skip
    def recipient_moves(self, to, proved, silent):
        target = to
        if may(self.recipient, target, self.facts(answer_proved=proved, answer_insufficient=silent)):
            if target is U.TP_NOTIFIED:
                assert self.matched or self.ours
            self.escalated |= target is U.TP_ESCALATED and silent
            self.answered |= target not in (U.TP_NOTIFIED, U.TP_ESCALATED) and proved
            self.recipient = target

    @invariant()
    def nothing_was_changed_inside_its_period(self):
        for n, on in self.changed_on.items():
            assert self.until[n] is None or on > self.until[n]

    @invariant()
    def nothing_was_touched_before_verification(self):
        assert self.first_touch_verified is not False

    @invariant()
    def a_recipients_track_ends_only_by_answer_or_escalation(self):
        if self.recipient in BEYOND_RECALL:
            assert self.answered or self.escalated


Walk.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestEveryWalk = Walk.TestCase
