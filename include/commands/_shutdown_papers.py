"""Documents on the command line, of which number and SHA-256 are kept; and the commands by which people answer by one for what
could not be seen, or cannot be mended."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.model.errors import Refused
from include.model.media import Becomes

if TYPE_CHECKING:
    from include.cases.rooms import Desk
    from include.cases.shutdown.media import Standing
    from include.cases.shutdown.told import Paper

Number = Annotated[str, typer.Argument(help="SO-000001")]
Document = Annotated[str | None, typer.Option(help="The document's number.")]
Scan = Annotated[File | None, typer.Option(help="The document itself; its SHA-256 is kept, not the file.")]


def accept_unverified(
    number: Number,
    *,
    document: Document = None,
    file: Scan = None,
    look: Annotated[int | None, typer.Option(help="The look that was shown, by its number.")] = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """Show what the last look after T0 could not see, with the look's number; with that number, answer for it by a document.
    Refused if the last look found something wrong, or left unseen what that one did not.

    Exit status 1: it was shown, and somebody has to answer.
    """
    from include.cases.shutdown import accepting

    desk = common.desk()
    if look is None or document is None or file is None:
        _show(desk, number)
        return
    for place in accepting.accept(
        desk, number, look=look, paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
    ):
        common.say(f"{number}: answered for {place}")


def leave_with_former(
    number: Number,
    *,
    contact: Annotated[str | None, typer.Option(help="That company's office, for people.")] = None,
    document: Document = None,
    file: Scan = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """A successor withdrew once something went here on its receipts: it stays custodian of what it alone has. Said by a document,
    as one of the two who approved the order; both have to, by the same. Then the rest goes on: name who takes over, and consign.
    Without a document: says how that stands, and goes on with it.

    Exit status 1: the other approver's word is waited for, or a case is at its bags.
    """
    from include.cases.shutdown import leaving
    from include.handover import former

    desk = common.desk()
    if document is not None and file is not None and contact is not None:
        waits = leaving.leave(
            desk, number, contact=contact, paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
        )  # fmt: skip
        if waits:
            common.say(f"{number}: waits for the word of {' and '.join(waits)}")
            raise typer.Exit(1)
    done = former.settle(desk, number, as_of=common.today(), actor=common.me(role))
    if done is None:
        common.say(f"{number}: nothing is to be left, or not both approvers said so yet")
        raise typer.Exit(1)
    common.say(
        f"{number}: {sum(done.left.values()):,} items of {len(done.left)} bags stay with {done.company};"
        f" {len(done.anew)} bags count no more, and what is in them is packed anew"
    )


def _show(desk: Desk, number: str) -> None:
    from include.cases.shutdown import accepting

    with desk.book() as conn:
        shown = accepting.shown(conn, number)
    if not shown.places:
        common.say(f"{number}: the last look left nothing unseen that nobody answers for")
        return
    for _, place, why in shown.places:
        common.say(f"not seen {place}: {why}")
    common.say(f"{number}: look there in another way, then give --document, --file and --look {shown.look}")
    raise typer.Exit(1)


def accept_differences(
    number: Number,
    *,
    document: Document = None,
    file: Scan = None,
    receipts: Annotated[
        int | None, typer.Option(help="The last receipt that was shown, by its number.")
    ] = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """Show receipts with differences that came after the certificate, with the number of the last; with that number, answer for
    them by a document, as one of the two who approved the order. Both have to, by the same document.

    Exit status 1: they were shown, or the other approver's word is waited for.
    """
    from include.handover import late

    desk = common.desk()
    if receipts is None or document is None or file is None:
        with desk.book() as conn:
            open_ = [x for x in late.differences(conn, number) if x.answered is None]
        for x in open_:
            common.say(f"differs {x.bag}: {x.what} (receipt {x.number})")
        if not open_:
            common.say(f"{number}: no receipt names a difference that nobody answers for")
            return
        common.say(
            f"{number}: have them signed anew, or give --document, --file and --receipts {open_[-1].number}"
        )
        raise typer.Exit(1)
    open_, waits = late.accept(
        desk,
        number,
        newest=receipts,
        paper=paper_of(document, file),
        as_of=common.today(),
        actor=common.me(role),
    )
    for x in open_:
        common.say(f"{number}: answered for {x.bag}: {x.what}")
    _waits_for(number, waits)


def accept_unanswered(
    number: Number,
    *,
    document: Document = None,
    file: Scan = None,
    items: Annotated[int | None, typer.Option(help="How many items were shown.")] = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """Show what people asked for of what the successor alone has, and no answer is here for, with the number of items; with that
    number, answer for it by a document, as one of the two who approved the order. Both have to, by the same document.

    Exit status 1: it was shown, or the other approver's word is waited for.
    """
    from include.handover import unpassed

    desk = common.desk()
    if items is None or document is None or file is None:
        with desk.book() as conn:
            open_ = unpassed.unpassed(desk, conn, number)
        for line in open_.lines():
            common.say(line)
        if not open_:
            common.say(f"{number}: no request is open")
            return
        common.say(
            f"{number}: pass it on and hear the answers, or give --document, --file and --items {open_.items}"
        )
        raise typer.Exit(1)
    open_, waits = unpassed.accept(
        desk, number, items=items, paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
    )
    for line in open_.lines():
        common.say(f"{number}: answered for {line}")
    _waits_for(number, waits)


def declare_lost(
    number: Number,
    document: Annotated[str, typer.Option(help="The document's number.")],
    file: Annotated[File, typer.Option(help="The document itself; its SHA-256 is kept, not the file.")],
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """Declare the key of the gathered identifiers lost, by a document, as one of the two who approved the order; both have to.
    Then the service is certified with what could not be looked for. Refused while the key can be read.

    Exit status 1: the other approver's word is waited for.
    """
    from include.cases.shutdown import lost_key

    waits = lost_key.declare(
        common.desk(), number, paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
    )
    common.say(f"{number}: the key of the gathered identifiers is declared lost")
    _waits_for(number, waits)


def answer_short(
    number: Number,
    document: Annotated[str | None, typer.Option(help="The document's number.")] = None,
    file: Annotated[
        File | None, typer.Option(help="The document itself; its SHA-256 is kept, not the file.")
    ] = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """Answer for a notice that was shorter than the law wants, by a document, as one of the two who approved the order; both have
    to. Without a document: show which.

    Exit status 1: something is to be answered for, or the other approver's word is waited for.
    """
    from include.cases.shutdown import orders, short

    desk = common.desk()
    if document is None or file is None:
        with desk.book() as conn:
            of = orders.order(conn, number)
            late = short.found(conn, of)
            open_ = bool(late) and short.answered(conn, of, late) is None
        for one in late:
            common.say(f"{one}" + ("" if open_ else "; both approvers answered for it"))
        if not late:
            common.say(f"{number}: the law's days were kept")
        raise typer.Exit(int(open_))
    waits = short.answer(
        desk, number, paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
    )
    common.say(f"{number}: a notice that was shorter than the law wants is answered for")
    _waits_for(number, waits)


def media(
    number: Number,
    *,
    becomes: Annotated[
        Becomes | None,
        typer.Option(
            help="stays (in service, with the custodian), rented (by a provider's paper), later (sanitised by a day)."
        ),
    ] = None,
    medium: Annotated[
        list[str] | None,
        typer.Option(help="store:…, backup_set:… or keys:…, as it is shown; may be given again."),
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Whose it is, if it is rented.")] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="By when it is sanitised, if later.")
    ] = None,
    document: Document = None,
    file: Scan = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "legal",
) -> None:
    """Show of each store, backup set and key of the order's data whether its media were sanitised since T0, and what becomes of
    the others; with --becomes, --medium and a document, say that, as one of the two who approved the order. Both have
    to, by the same document.

    Exit status 1: something is open, or the other approver's word is waited for.
    """
    from include.cases.shutdown import media as of_media
    from include.cases.shutdown import orders

    desk, today = common.desk(), common.today()
    if becomes is not None and document is not None and file is not None:
        waits = of_media.say(
            desk, number, medium or [], becomes, provider=provider, until=until.date() if until else None,
            paper=paper_of(document, file), as_of=today, actor=common.me(role),
        )  # fmt: skip
        common.say(f"{number}: {', '.join(sorted({*(medium or ())}))}: {becomes.value}")
        _waits_for(number, waits)
        return
    if becomes is not None:
        raise Refused(
            "nothing shows it", about=number, next_step="give the document's number and the file: --document, --file"
        )  # fmt: skip
    with desk.book() as conn:
        there = of_media.standing(desk.catalogue, conn, orders.order(conn, number), today)
    rows = [{"what": s.carrier.name, "title": s.carrier.title, "state": _state(s)} for s in there]
    common.table(rows, ("what", "title", "state"), as_json=False)
    if any(s.open for s in there):
        raise typer.Exit(1)


def _state(of: Standing) -> str:
    said = []
    if of.record is not None:
        said.append(f"sanitised on {of.record.sanitised_on}, record {of.record.record_no} of one medium")
    if of.word is not None:
        until = f"by {of.word.until}" if of.word.until else ""
        becomes = " ".join(filter(None, (of.word.becomes, of.word.who, until)))
        said.append(f"{'the others: ' if said else ''}{becomes} ({of.word.by.document})")
    elif of.record is None:
        said.append("open: no record, and nobody said what becomes of it")
    elif of.open:
        said.append(f"open: {', '.join(of.stays)} stays, and nobody said what becomes of the others")
    return "; ".join(said)


def _waits_for(number: str, roles: tuple[str, ...]) -> None:
    if roles:
        common.say(f"{number}: waits for {' and '.join(roles)}, who has to say the same by the same document")
        raise typer.Exit(1)


def sha256_of(file: File) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        raise Refused("the file cannot be read", about=str(file), next_step="check its name") from None


def paper_of(document: str, file: File) -> Paper:
    from include.cases.shutdown.told import Paper

    return Paper(document.strip(), sha256_of(file))
