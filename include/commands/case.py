"""``quietus case``: open, look at, and explain cases; ``quietus case hold``: orders that suspend deletion."""

from __future__ import annotations

import getpass
import json
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Channel, Ground, Requester, Role

if TYPE_CHECKING:
    from include.cases.book import Conn
    from include.cases.rooms import Desk
    from include.model.catalogue import Catalogue

app = typer.Typer(help="One request or trigger, from receipt to certificate.", no_args_is_help=True)
hold = typer.Typer(help="Dated, item-scoped orders that suspend a disposition.", no_args_is_help=True)
app.add_typer(hold, name="hold")

CaseNo = Annotated[str, typer.Argument(help="CASE-000001", metavar="CASE")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


_ACCOUNT = "acct_ and twelve characters; asked for if left out, which keeps it out of the shell's history."


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


Lang = Annotated[Language, typer.Option("--lang", help="Chinese or English.")]


def _desk() -> Desk:
    from include.cases.rooms import desk
    from include.commands._connections import connections

    return desk(connections(), _catalogue())


def _catalogue() -> Catalogue:
    from include.catalogue import load

    return load()


def _reader() -> Conn:
    """The case book as its reader: no sealed column, no key."""
    from include.cases import book
    from include.commands._connections import connections

    return book.connect(connections().postgres(book.RECORDS, Role.READER))


def _me(role: str) -> str:
    return f"{role}/{getpass.getuser()}"


def _today() -> date:
    return prc_date(observed_now())


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    console = Console(highlight=False)
    if as_json:
        console.print_json(json.dumps(rows, default=str, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for n, column in enumerate(columns):
        # The first column is what one copies into the next command: it is never cut or folded.
        table.add_column(column, no_wrap=n == 0, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(c)) for c in columns))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@app.command("open")
def open_(
    account: Annotated[str, typer.Option(prompt="Opaque account id", hide_input=True, help=_ACCOUNT)],
    ground: Annotated[Ground, typer.Option(help="Why.")] = Ground.CANCELLATION,
    channel: Annotated[Channel, typer.Option(help="How it came in.")] = Channel.APP,
    requester: Annotated[Requester, typer.Option(help="Who asks.")] = Requester.SELF,
) -> None:  # fmt: skip
    """Open a case, or join the one that is open. Prints its number."""
    from include.cases import verbs

    opened = verbs.open_case(
        _desk(), account, ground=ground, channel=channel, requester=requester,
        trigger_user=_me("support"), received_at=observed_now(),
    )  # fmt: skip
    note = " (was open already; joined)" if opened.joined else ""
    Console(highlight=False).print(f"{opened.case_no}{note}")


@app.command("list")
def list_(
    state: Annotated[list[CaseState] | None, typer.Option(help="Only these states.")] = None,
    late: Annotated[bool, typer.Option(help="Only cases past a deadline of ours.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Cases, newest first, with their deadlines."""
    from include.cases import book

    with _reader() as conn:
        found = book.late(conn, _today()) if late else book.cases(conn, state or (), limit=limit)
    rows = [
        {"case": c.case_no, "state": c.state.value, "ground": c.ground.value, "reply due": c.reply_due,
         "finish due": c.finish_due, "parked because": c.parked_because}
        for c in found
    ]  # fmt: skip
    _print(rows, ("case", "state", "ground", "reply due", "finish due", "parked because"), as_json)


@app.command()
def show(case_no: CaseNo, units: Annotated[bool, typer.Option(help="The units' moves too.")] = False) -> None:
    """Everything about one case: state, deadlines, findings, recipients, backups, timeline."""
    from include.cases import book, decisions, outbox, papers, tracks

    with _reader() as conn:
        case = book.case(conn, case_no)
        console = Console(highlight=False)
        console.print(f"[bold]{case.case_no}[/bold]  {case.state.value}  ({case.ground.value})")
        if case.parked_because:
            console.print(f"  {case.parked_because}")
        for what, due, provisional in (
            ("reply due", case.reply_due, case.reply_provisional),
            ("finish due", case.finish_due, case.finish_provisional),
        ):
            if due is not None:
                console.print(
                    f"  {what} {due}{' (provisional: the earliest possible day)' if provisional else ''}"
                )
        for finding in papers.open_findings(conn, case_no):
            console.print(
                f"  [red]finding[/red] {finding['code']}: {finding['what']}. Next: {finding['next_step']}"
            )
        for d in decisions.decisions(conn, case):
            on = f" on {d['ground']}, {d['article']}" if d["ground"] else ""
            console.print(f"  {d['decision']} by {d['approver']}{on}")
        _print(
            outbox.listing(conn, case_no), ("recipient", "state", "items", "target_on", "answer_code"), False
        )
        _print(tracks.listing(conn, case_no), ("backup_set", "state", "expected_horizon", "purged_on"), False)
        events = book.timeline(conn, case_no, units=units)
    for e in events:
        moved = f"  {e['from_state'] or '·'} → {e['to_state']}" if e["to_state"] else ""
        detail = "".join(f"  {k}={_cell(v)}" for k, v in (e["detail"] or {}).items())
        # One line per event, whatever the terminal's width: it is read, searched and copied.
        line = f"{e['observed_at']:%Y-%m-%d %H:%M:%S}  {e['as_of']}  {e['actor']}  {e['what']}{moved}{detail}"
        console.print(line, soft_wrap=True, markup=False)


@app.command()
def plan(case_no: CaseNo, lang: Lang = Language.ZH, as_json: AsJson = False) -> None:
    """The plan in force, or the rehearsal: what will go, what will stay, on which law, until when."""
    from include.cases import book, explain, papers

    with _reader() as conn:
        found = papers.latest_plan(conn, book.case(conn, case_no))
    console = Console(highlight=False)
    if as_json:
        console.print_json(found.canonical().decode())
        return
    console.print(explain.whole(found, _catalogue(), lang.value), soft_wrap=True, markup=False)
    console.print(f"fingerprint {found.fingerprint()}", soft_wrap=True)


@app.command("explain")
def explain_(
    case_no: CaseNo,
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all if left out.")] = None,
    lang: Lang = Language.ZH,
) -> None:
    """Why do these rows stay, or go? In plain words."""
    from include.cases import book, explain, papers

    with _reader() as conn:
        found = papers.latest_plan(conn, book.case(conn, case_no))
    catalogue = _catalogue()
    wanted = [dataset] if dataset else sorted({x.dataset for x in found.lines})
    for name in wanted:
        text = explain.explain(found, name, catalogue, lang.value)
        Console(highlight=False).print(text, soft_wrap=True, markup=False)


@app.command()
def accept(
    case_no: CaseNo,
    plan: Annotated[
        str, typer.Option(help="Fingerprint of the plan in force, as `quietus case plan` prints it.")
    ],
) -> None:
    """Accept a plan that goes beyond what was approved, as another person than the requester."""
    from include.cases import verbs

    verbs.accept_plan(_desk(), case_no, approver=_me("approver"), plan=plan, as_of=_today())
    Console(highlight=False).print(f"{case_no}: accepted; clear the task that stopped, or run the next step")


class Edition(StrEnum):
    PERSON = "person"
    AUDITOR = "auditor"


@app.command()
def certificate(
    case_no: CaseNo,
    edition: Annotated[Edition, typer.Option(help="The auditor's shows everything.")] = Edition.PERSON,
    serial: Annotated[int | None, typer.Option(min=1, help="Which; the last if left out.")] = None,
) -> None:
    """Print an issued certificate, to be saved to a file and checked with `quietus verify`."""
    from include.cases import certificates

    with _reader() as conn:
        found = certificates.issued(conn, case_no, serial)
    typer.echo(getattr(found, edition.value), nl=False)


@hold.command("open")
def hold_open(
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
) -> None:
    """Open a hold on named people's items. Without category or dataset it covers all that they have."""
    from include.cases import verbs

    number = verbs.open_hold(
        _desk(), basis=basis, document_no=document, issuing_body=issuer, law=law, as_of=_today(),
        actor=_me("legal"), case_nos=frozenset(case or ()), account_ids=frozenset(account or ()),
        categories=frozenset(category or ()), datasets=frozenset(dataset or ()), confidential=confidential,
    )  # fmt: skip
    Console(highlight=False).print(number)


@hold.command("release")
def hold_release(
    number: Annotated[str, typer.Argument(help="HOLD-000001")],
    document: Annotated[str, typer.Option(help="The release's own number.")],
) -> None:
    """Release a hold; prints the cases that may go on."""
    from include.cases import verbs

    freed = verbs.release_hold(_desk(), number, document=document, as_of=_today(), actor=_me("legal"))
    Console(highlight=False).print("\n".join(freed) if freed else "no case was waiting for it")


@hold.command("list")
def hold_list(
    released: Annotated[bool, typer.Option(help="The released ones too.")] = False, as_json: AsJson = False
) -> None:
    """Holds with their items; people are counted, not named."""
    from include.cases import holds

    with _reader() as conn:
        rows = holds.listing(conn, released=released)
        due = holds.overdue_reviews(conn, _today())
    columns = ("hold", "basis", "document_no", "issuing_body", "people", "items", "review_due", "released_on")
    _print(rows, columns, as_json)
    if due:
        raise Refused(f"{len(due)} holds are past their review: {', '.join(due)}", about="holds",
                      next_step="review each: still needed, or release it")  # fmt: skip
