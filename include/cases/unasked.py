"""What goes without being asked for (PIPL 47 para. 1), beside what the nights find by rows' own dates: consents that were
withdrawn, each with a case that follows it; accounts that sleep, once their holders were told; and cases at rest of which a date
has come, whose run begins again.

A look changes nothing. Opening ends with a rehearsal of each case: what turns out to reach nothing is closed at once, for there
is nothing to do and nobody to tell. The rest runs as any case. Killed at any instant and called again, nothing is opened twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from include.cases import book, dormant, subjects, units, verbs, withdrawals
from include.cases.book import Conn
from include.cases.dormant import Asleep
from include.cases.retention import breaker, stopping
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.cases.withdrawals import Withdrawn
from include.model.errors import Refused
from include.model.words import CaseState, Ground

OURS = [Ground.WITHDRAWN_CONSENT.value, Ground.DORMANT.value]


@dataclass
class Looked:
    """``needs_word``: why so many need a person's word before anything is opened. ``begun``: cases that are open and have not
    begun to act; ``woken``: at rest, and a date of theirs has come."""

    withdrawn: Withdrawn = field(default_factory=Withdrawn)
    asleep: Asleep = field(default_factory=Asleep)
    needs_word: str | None = None
    begun: tuple[str, ...] = ()
    woken: tuple[str, ...] = ()


@dataclass
class Opened:
    """``cases``: open, and to be carried out as any case; ``closed``: of these, whatever they reached went meanwhile;
    ``left``: people that a person left for the nights after."""

    cases: tuple[str, ...]
    closed: tuple[str, ...]
    left: int


def look(desk: Desk, as_of: date) -> Looked:
    """What waits to be followed. Changes nothing. Raises NotReachable if a store does not answer."""
    found, asleep = withdrawals.look(desk, as_of), dormant.look(desk, as_of)
    with desk.book() as conn:
        why = breaker.needs_word(found.people + len(asleep.due), None, _nights_before(conn))
        return Looked(found, asleep, why, waiting(conn), woken(conn, as_of))


def open_cases(desk: Desk, *, as_of: date, actor: str, at_most: int | None = None) -> Opened:
    """Open a case for each person, the oldest withdrawal first; ``at_most``: of so many, which is a person's word. Raises
    Refused while disposing is stopped, or if more are found than any night before and nobody gave a word."""
    desk.are_ours()
    with desk.book() as conn:
        stopping.may_go_on(conn)
    looked = look(desk, as_of)
    if looked.needs_word is not None and at_most is None:
        raise Refused(
            f"nothing was opened; a person has to look: {looked.needs_word}", about="unasked deletion",
            next_step="read `quietus retention unasked`, then: quietus retention unasked --open --at-most N --actor ROLE/NAME",
        )  # fmt: skip
    whose: dict[str, list[withdrawals.Withdrawal]] = {}
    for one in looked.withdrawn.to_follow:
        whose.setdefault(one.account_id, []).append(one)
    # Of one who took a consent back and sleeps as well, the consent is followed now, and the rest another night.
    sleepers = [who for who in looked.asleep.due if who not in whose]
    chosen = [*whose, *sleepers][:at_most]
    for account_id in chosen:
        with desk.book() as conn:
            stopping.may_go_on(conn)
        if account_id in whose:
            withdrawals.follow(desk, account_id, whose[account_id], as_of=as_of, actor=actor)
        else:
            dormant.follow(desk, account_id, as_of=as_of, actor=actor)
    with desk.book() as conn:
        open_ = waiting(conn)
    closed = [c for c in open_ if not _reaches_something(desk, c, as_of=as_of, actor=actor)]
    return Opened(
        tuple(c for c in open_ if c not in closed), tuple(closed), len(whose) + len(sleepers) - len(chosen)
    )


def waiting(conn: Conn) -> tuple[str, ...]:
    """Cases of ours that have not begun to act: each needs a run of the promise."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.case_ WHERE kind = %s AND ground = ANY(%s) AND state = %s ORDER BY case_no",
        (book.NIGHTLY, OURS, CaseState.ASSESSING.value),
    ).fetchall()
    return tuple(str(row["case_no"]) for row in rows)


def woken(conn: Conn, as_of: date) -> tuple[str, ...]:
    """Cases at rest of which an item's date has come, such as a certificate's end and five years (ESL 24), or whose hold was
    released: each goes on with a run of the promise."""
    return units.cases_due(conn, as_of)


def _reaches_something(desk: Desk, case_no: str, *, as_of: date, actor: str) -> bool:
    """Rehearse a case. One that reaches nothing any more is closed, and so is that of an account that is used again."""
    plan = verbs.rehearse(desk, case_no, as_of=as_of, actor=actor)
    with desk.book() as conn:
        case = book.case(conn, case_no)
        people = subjects.ids(conn, desk.keys, case)
    awake = case.ground is Ground.DORMANT and not all(dormant.sleeps(desk, who, as_of) for who in people)
    if not awake and any(line.items and not line.not_reached for line in plan.lines):
        return True
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        known = facts(conn, case, as_of, nothing_left=True)
        book.move(
            conn,
            case_no,
            CaseState.CLOSED,
            known,
            actor,
            because="used again" if awake else "nothing is left",
        )
    return False


def _nights_before(conn: Conn) -> Sequence[int]:
    """How many cases the last nights opened that opened any."""
    rows = conn.execute(
        "SELECT count(*) AS n FROM casebook.case_ WHERE kind = %s AND ground = ANY(%s) GROUP BY opened_on"
        " ORDER BY opened_on DESC LIMIT %s",
        (book.NIGHTLY, OURS, breaker.USUAL),
    ).fetchall()
    return [int(row["n"]) for row in rows]
