"""What a recipient was given though its row of the policy's table does not list it: a finding, until somebody answers for it.

It is told to delete that as well. The finding is about the company, not about this person's deletion: it stands in no
case's way, and the clocks are red while it is open.
"""

from __future__ import annotations

from datetime import date

from include.cases import book, papers
from include.cases.book import Case, Conn, Rows
from include.cases.notices import truth
from include.cases.notices.rounds import place_of
from include.cases.notices.whom import ToTell
from include.cases.rooms import Desk
from include.model.flow import Finding

CODE = papers.ABOUT_THE_COMPANY


def keep(conn: Conn, case: Case, one: ToTell, as_of: date, actor: str) -> None:
    """The finding and its place on the timeline, in the caller's transaction; nothing where the table lists it all."""
    if not (one.beyond or one.unread):
        return
    what = ", ".join(one.beyond) or "no category by its number"
    if one.beyond and one.unread:
        what += ", and more that is no category by its number"
    papers.keep_findings(
        conn, case.case_no,
        [Finding(code=CODE, dataset=None, place=place_of(one.recipient.id), items=len(one.beyond) + one.unread,
                 what=f"it was given {what}, by the register of transfers; its row of table 4.4 does not list that",
                 next_step="find out on what ground, stop it or publish it, then `quietus recipients explained`")],
    )  # fmt: skip
    detail = {"recipient": one.recipient.id, "categories": list(one.beyond)}
    if one.unread:
        detail["unread"] = [str(one.unread)]
    book.note(conn, case.case_no, as_of, actor, "given beyond the policy", detail=detail)


def listing(conn: Conn) -> Rows:
    """Every such finding that nobody has answered for: case, place, what."""
    return conn.execute(
        "SELECT case_no, place, what FROM casebook.finding WHERE code = %s AND settled_at IS NULL ORDER BY finding_id",
        (CODE,),
    ).fetchall()


def explained(desk: Desk, case_no: str, recipient: str, *, reason: str, as_of: date, actor: str) -> None:
    """Somebody answers for what a recipient was given. Raises Refused without a reason, for one that names somebody, and
    where nothing is to be answered for."""
    truth.settle(
        desk,
        case_no,
        CODE,
        recipient,
        reason=reason,
        what="explained",
        law_row=None,
        as_of=as_of,
        actor=actor,
    )
