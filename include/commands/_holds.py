"""``quietus case hold``: orders that suspend deletion, here and with the recipients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.commands import _common as common
from include.commands._options import AsJson, Auditor
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.cases.book import Conn
    from include.cases.naming import Names

app = typer.Typer(help="Dated, item-scoped orders that suspend a disposition.", no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="HOLD-000001")]


@app.command("open")
def open_(
    basis: Annotated[str, typer.Option(help="court, authority, statute or dispute")],
    document: Annotated[str, typer.Option(help="The order's number.")],
    issuer: Annotated[str, typer.Option(help="Who issued it.")],
    law: Annotated[str, typer.Option(help="The article it rests on, as it is to be printed.")],
    *,
    case: Annotated[list[str] | None, typer.Option(help="A case whose people it covers.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="An opaque account id it covers.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only rows with this category.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset.")] = None,
    confidential: Annotated[bool, typer.Option(help="The person may not be told (policy 11.4(4)).")] = False,
    even_if_nobody: Annotated[
        bool, typer.Option(help="Also if an account id is nobody's here: it is as ordered, and no slip.")
    ] = False,
) -> None:
    """Open a hold on named people's items. Without category or dataset it covers all that they have; without case or
    account, everybody's items of these categories and datasets."""
    from include.cases import holds, naming, verbs
    from include.cases.scopes import Scope

    number = verbs.open_hold(
        common.desk(), basis=basis, document_no=document, issuing_body=issuer, law=law, as_of=common.today(),
        actor=common.me("legal"), case_nos=frozenset(case or ()), account_ids=frozenset(account or ()),
        categories=frozenset(category or ()), datasets=frozenset(dataset or ()), confidential=confidential,
        even_if_nobody=even_if_nobody,
    )  # fmt: skip
    common.say(number)
    if account:
        covers = Scope(categories=frozenset(category or ()), datasets=frozenset(dataset or ()))
        _names(number, naming.names(common.desk(), account, covers))
    with common.reader() as conn:
        _went(conn, number)
        for overtaken in holds.overtaken(conn, number):
            common.say(
                f"{overtaken}: something of it was being disposed of at this very moment; what went is in its receipts"
            )
        _recipients(conn, number)


@app.command("release")
def release(
    number: Number,
    document: Annotated[str, typer.Option(help="The release's own number.")],
) -> None:
    """Release a hold; prints the cases that may go on."""
    from include.cases import verbs

    freed = verbs.release_hold(
        common.desk(), number, document=document, as_of=common.today(), actor=common.me("legal")
    )
    Console(highlight=False).print("\n".join(freed) if freed else "no case was waiting for it")


@app.command()
def review(
    number: Number,
    document: Annotated[str, typer.Option(help="The number of the paper that says why it is still needed.")],
) -> None:
    """Record that somebody looked and the hold is still needed; prints the day of the next review."""
    from include.cases import verbs

    due = verbs.review_hold(
        common.desk(), number, document=document, as_of=common.today(), actor=common.me("legal")
    )
    common.say(f"{number}: to be reviewed again by {due}")


@app.command()
def narrow(
    number: Number,
    document: Annotated[str, typer.Option(help="The number of the paper by which it is narrowed.")],
    *,
    case: Annotated[list[str] | None, typer.Option(help="A case that it is to cover no longer.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="A category that it is to cover no longer.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="A dataset that it is to cover no longer.")
    ] = None,
) -> None:
    """Take items out of a hold; it never widens. Prints the cases that are weighed anew."""
    from include.cases import verbs
    from include.cases.scopes import Scope

    without = Scope(frozenset(case or ()), frozenset(), frozenset(category or ()), frozenset(dataset or ()))
    freed = verbs.narrow_hold(
        common.desk(),
        number,
        without=without,
        document=document,
        as_of=common.today(),
        actor=common.me("legal"),
    )
    common.say("\n".join(freed) if freed else "no case kept anything for it")


@app.command("list")
def list_(
    released: Annotated[bool, typer.Option(help="The released ones too.")] = False,
    as_json: AsJson = False,
    auditor: Auditor = False,
) -> None:
    """Holds with their items; people are counted, not named."""
    from include.cases import holds

    with common.reader() as conn:
        hidden = common.discretion(conn, auditor).hidden
        rows = [
            h | {"people": "everybody" if h["everybody"] else h["people"]}
            for h in holds.listing(conn, released=released) if h["hold"] not in hidden
        ]  # fmt: skip
        due = [h for h in holds.overdue_reviews(conn, common.today()) if h not in hidden]
    columns = ("hold", "basis", "document_no", "issuing_body", "people", "items", "review_due", "released_on")
    common.table(rows, columns, as_json)
    if due:
        raise Refused(f"{len(due)} holds are past their review: {', '.join(due)}", about="holds",
                      next_step="review each: still needed, or release it")  # fmt: skip


@app.command()
def show(number: Number, as_json: AsJson = False, auditor: Auditor = False) -> None:
    """One open hold, and what it comes to with every recipient: what it preserves there, and what is gone already."""
    from dataclasses import asdict

    from include.cases import holds
    from include.cases.notices import preserving

    with common.reader() as conn:
        if number in common.discretion(conn, auditor).hidden:
            raise holds.none_such()
        order = holds.order(conn, number, people=False)
        if as_json:
            found = [asdict(t) for t in preserving.standing(conn, common.catalogue(), order)]
            common.table(found, (), True)
            return
        common.say(f"{order.number}  {order.basis.value}  {order.law}")
        for row in holds.reviews(conn, number):
            common.say(
                f"{row['reviewed_on']}  {row['what']} by {row['document']}, next review {row['review_due']}"
            )
        _went(conn, number)
        _recipients(conn, number)


def _went(conn: Conn, number: str) -> None:
    """What may have gone just before it was opened, by nights that were at work."""
    from include.cases import holds

    for row in holds.went(conn, number):
        of = ", ".join(f"{n:,} of {d}" for d, n in row["detail"]["datasets"].items()) or "nothing of it"
        common.say(
            f"{row['case_no']} is at work on what is due, whosever it is: {of} had gone when this hold was opened"
        )
        for store, why in row["detail"]["unseen"].items():
            common.say(f"UNVERIFIED {store}: {why}")


def _names(number: str, found: Names) -> None:
    in_ = sum(1 for n in found.rows.values() if n)
    common.say(
        f"{number} names {found.there} of {found.given} accounts that are there now, and {found.rows.total():,} rows in {in_}"
        f" tables; {found.nobody} of the ids nobody here bears. Objects and record files are held, too, and not counted"
    )
    for dataset, why in found.unseen.items():
        common.say(f"UNVERIFIED {dataset}: {why}")


def _recipients(conn: Conn, number: str) -> None:
    from include.cases import holds
    from include.cases.notices import preserving

    for there in preserving.standing(conn, common.catalogue(), holds.order(conn, number, people=False)):
        if there.preserves:
            common.say(f"{there.case_no} {there.recipient}: told to preserve {', '.join(there.preserves)}")
        if there.gone:
            common.say(
                f"{there.case_no} {there.recipient}: says that {', '.join(there.gone)} is gone there already; "
                "the hold can preserve nothing of that"
            )
