"""Accounts that nobody uses: whose holder is to be told, and which are cancelled once they were told and did not come back.

A company period, off outside a sandbox until somebody owns it (``RS-01/dormant``). The catalogue says when an account was used
last, and where the company notes that its holder was told; telling is people's, by the company's own means. Whoever uses the
account again, has a certificate that lives, or is named by a hold, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from include.cases import book, opening, sealing, subjects
from include.cases.accounts import home
from include.cases.book import Conn
from include.cases.keys import Purpose
from include.cases.lookups import looking_up
from include.cases.periods import last_day
from include.cases.retention.held import held_people
from include.cases.retention.limits import newest_over
from include.cases.retention.proposals import in_sandbox
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dormancy
from include.model.policy import Period
from include.model.times import prc_date
from include.model.words import Ground

PAGE = 5_000


@dataclass
class Asleep:
    """What a look found. ``off``: why nobody is looked for. ``to_tell``: accounts whose holders are to be told; ``told``: that
    sleep, and whose holders have time left; ``due``: to be cancelled; ``held``, ``taken_along``: left to a hold, or to an open
    case about the whole person. Account ids are in memory only."""

    off: str | None = None
    to_tell: list[str] = field(default_factory=list, repr=False)
    told: int = 0
    due: list[str] = field(default_factory=list, repr=False)
    held: int = 0
    taken_along: int = 0


@dataclass(frozen=True)
class _Rule:
    said: Dormancy
    period_of: Callable[[str | None], Period]  # by the version of the policy that its holder accepted last

    def fate(self, used: datetime, noticed: datetime | None, accepted: str | None, as_of: date) -> str | None:
        """``to_tell``, ``told`` or ``due``; None: it does not sleep."""
        last, period = prc_date(used), self.period_of(accepted)
        # Its holder is to be told so early that both times end together.
        if last > newest_over(period, last_day(as_of, self.said.notice)):
            return None
        if noticed is None or noticed <= used:
            return "to_tell"
        over = last_day(prc_date(noticed), self.said.notice) < as_of
        return "due" if last <= newest_over(period, as_of) and over else "told"


def look(desk: Desk, as_of: date) -> Asleep:
    """Which accounts sleep on a day. Changes nothing. Raises NotReachable if the company does not answer."""
    rule, off = _rule(desk, as_of)
    if rule is None:
        return Asleep(off=off)
    found = Asleep()
    due: list[str] = []
    with _company(desk) as conn:
        for who, used, noticed, accepted in _all(desk.catalogue, rule.said, conn, as_of):
            fate = None if used is None else rule.fate(used, noticed, accepted, as_of)
            if fate == "to_tell":
                found.to_tell.append(who)
            elif fate == "told":
                found.told += 1
            elif fate == "due":
                due.append(who)
    if due or found.to_tell:
        _leave_alone(desk, due, found)
    return found


def _leave_alone(desk: Desk, due: Sequence[str], found: Asleep) -> None:
    held = frozenset[str]().union(*held_people(desk).people.values())
    with desk.book() as conn:
        busy = _busy(desk, conn, [*due, *found.to_tell])
    found.held = len(held & set(due))
    found.taken_along = len(busy & set(due) - held)
    found.due = [who for who in due if who not in held | busy]
    found.to_tell = [who for who in found.to_tell if who not in held | busy]


def sleeps(desk: Desk, account_id: str, as_of: date) -> bool:
    """Whether an account is due to be cancelled still: nobody has used it since."""
    rule, _ = _rule(desk, as_of)
    if rule is None:
        return False
    with _company(desk) as conn:
        rows = _some(desk.catalogue, rule.said, conn, as_of, only=account_id)
    return any(
        used is not None and rule.fate(used, noticed, accepted, as_of) == "due"
        for _, used, noticed, accepted in rows
    )


def follow(desk: Desk, account_id: str, *, as_of: date, actor: str) -> str | None:
    """Open its cancellation on our own initiative; the case's number. None: it has a case."""
    with desk.book() as conn, book.deed(conn, "new case"):
        # The first locks the person, so that two looks at once open one case.
        if subjects.open_case_of(conn, desk.keys, account_id) or _busy(desk, conn, [account_id]):
            return None
        return opening.open_unasked(desk, conn, account_id, ground=Ground.DORMANT, as_of=as_of, actor=actor)


def _busy(desk: Desk, conn: Conn, ids: Sequence[str]) -> frozenset[str]:
    """Which of these people have an open case about the whole of them."""
    of = sealing.by_digest(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, ids)
    rows = conn.execute(
        "SELECT s.token FROM casebook.case_subject s JOIN casebook.case_ c USING (case_no)"
        " WHERE s.token = ANY(%s) AND s.open AND (s.solo OR c.ground = ANY(%s))",
        (list(of), [g.value for g in Ground if g.whole_person]),
    ).fetchall()
    return frozenset(of[bytes(row["token"])] for row in rows)


# --- what was declared, and what the company's tables say -----------------------------------------------


def _rule(desk: Desk, as_of: date) -> tuple[_Rule | None, str | None]:
    """What is declared; or why nobody is looked for."""
    accounts = home(desk.catalogue)
    said = accounts.accounts.dormancy if accounts.accounts is not None else None
    if said is None:
        return None, "no dormancy is declared"
    rule = desk.catalogue.rule(accounts.binds[0].rule)
    period = next((p for p in rule.periods if p.name == said.period), None)
    if period is None:
        raise CatalogueError(
            f"{rule.id} has no period '{said.period}'", about=accounts.id, next_step="correct its dormancy"
        )
    owned = period.proposal is None or (period.proposal.owner and period.proposal.approved_on)
    if not owned and not in_sandbox(desk.connections):
        return None, f"the company period {rule.id}/{period.name} has no owner or no day of approval"
    return _Rule(said, partial(desk.catalogue.period_for, rule.id, period)), None


Row = tuple[
    str, datetime | None, datetime | None, str | None
]  # account, last use (none: it is in use), when its holder was told, the version of the policy that the holder accepted


def _all(catalogue: Catalogue, said: Dormancy, conn: psycopg.Connection[Any], as_of: date) -> Iterator[Row]:
    """Every account that has not ended, page by page of its key."""
    after = ""
    while page := _some(catalogue, said, conn, as_of, after=after):
        yield from page
        after = max(who for who, *_ in page)


def _some(
    catalogue: Catalogue, said: Dormancy, conn: psycopg.Connection[Any], as_of: date, *,
    after: str = "", only: str | None = None,
) -> list[Row]:  # fmt: skip
    accounts = home(catalogue)
    ended = accounts.accounts.ended if accounts.accounts is not None else None
    accepted = accounts.accounts.accepted if accounts.accounts is not None else None
    names = {
        "id": sql.Identifier(accounts.key[0]), "accounts": sql.Identifier(*accounts.address.split(".")),
        "alive": sql.SQL("true") if ended is None else sql.SQL("{} IS NULL").format(sql.Identifier(ended)),
        "noticed": sql.Identifier(said.noticed),
        "accepted": sql.SQL("NULL::text") if accepted is None else sql.SQL("a.{}::text").format(sql.Identifier(accepted)),
    }  # fmt: skip
    text = catalogue.starting_points[said.last_use]
    query = sql.SQL(
        "WITH cohort AS MATERIALIZED (SELECT 0 AS subject_no, {id}::text AS subject_id FROM {accounts}"
        ' WHERE {alive} AND {id}::text COLLATE "C" > %(after)s AND (%(only)s::text IS NULL OR {id}::text = %(only)s)'
        ' ORDER BY {id}::text COLLATE "C" LIMIT %(page)s)'
        " SELECT c.subject_id, u.started_at, a.{noticed}, {accepted}"
        " FROM cohort AS c JOIN {accounts} AS a ON a.{id}::text = c.subject_id"
        " LEFT JOIN ("
    ).format(**names) + sql.SQL(text) + sql.SQL("\n) AS u ON u.{id}::text = c.subject_id").format(**names)  # fmt: skip
    return conn.execute(
        query, {"after": after, "only": only, "page": PAGE, "as_of": as_of, "restricting": False}
    ).fetchall()


@contextmanager
def _company(desk: Desk) -> Iterator[psycopg.Connection[Any]]:
    dataset = home(desk.catalogue)
    with looking_up(
        desk.catalogue, desk.connections, dataset, seconds=300, silent="it does not answer",
        unreadable="the table of accounts cannot be read", about=f"store {dataset.store}",
    ) as conn:  # fmt: skip
        yield conn
