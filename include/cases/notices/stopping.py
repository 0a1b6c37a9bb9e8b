"""Who is given nothing more: a recipient that was escalated. The company's systems read the view
``casebook.stopped_recipient`` before they send; a person lifts a stop, with a reason."""

from __future__ import annotations

from datetime import date

from include.cases import book
from include.cases.book import Conn, Rows
from include.cases.rooms import Desk
from include.model.errors import Refused
from include.model.screening import kind_of_identifier


def listing(conn: Conn) -> Rows:
    """To whom nothing more may be given: recipient, since when, and the case over which."""
    return conn.execute(
        "SELECT recipient, stopped_on, case_no FROM casebook.stopped_recipient ORDER BY recipient"
    ).fetchall()


def lift(desk: Desk, recipient: str, *, reason: str, as_of: date, actor: str) -> None:
    """Data may be given to it again. Raises Refused if it is not stopped, or without a reason."""
    if not reason.strip():
        raise Refused("lifting a stop needs a reason", about=recipient, next_step="say what has changed")
    if kind := kind_of_identifier(reason, account_ids=True):
        raise Refused(f"the reason holds {kind}", about=recipient, next_step="keep people out of it")
    with desk.book() as conn, book.deed(conn, recipient):
        row = conn.execute(
            "UPDATE casebook.stop SET lifted_on = %s, lifted_by = %s, reason = %s"
            " WHERE recipient = %s AND lifted_on IS NULL RETURNING case_no",
            (as_of, book.checked_actor(actor), reason.strip(), recipient),
        ).fetchone()
        if row is None:
            raise Refused("it is not stopped", about=recipient, next_step="see `quietus recipients stopped`")
        book.note(
            conn, row["case_no"], as_of, actor, "sends resumed", law_row=17, detail={"recipient": recipient}
        )
