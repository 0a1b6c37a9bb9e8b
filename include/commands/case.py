"""``quietus case``: open, look at, and explain cases. ``quietus case hold`` is ``_holds``."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.commands import _common as common
from include.commands import _holds
from include.commands._options import AsJson, Auditor
from include.model.errors import Refused
from include.model.times import PRC, observed_now
from include.model.words import CaseState, Channel, Ground, Requester

if TYPE_CHECKING:
    from include.cases.book import Case

app = typer.Typer(help="One request or trigger, from receipt to certificate.", no_args_is_help=True)
app.add_typer(_holds.app, name="hold")

CaseNo = Annotated[str, typer.Argument(help="CASE-000001", metavar="CASE")]
Recipient = Annotated[str, typer.Argument(help="As `quietus case show` lists it.")]


class Resurfaced(StrEnum):
    """Why a closed case is opened again (law.md E, row 20)."""

    PROBE_HIT = "probe_hit"
    RESTORE = "restore"
    RE_INGESTION = "re_ingestion"
    LATE_ANSWER = "late_answer"


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


Lang = Annotated[Language, typer.Option("--lang", help="Chinese or English.")]


@app.command("open")
def open_(
    account: Annotated[str, typer.Option(prompt="Opaque account id", hide_input=True, help=common.ACCOUNT)],
    ground: Annotated[Ground, typer.Option(help="Why.")] = Ground.CANCELLATION,
    channel: Annotated[Channel, typer.Option(help="How it came in.")] = Channel.APP,
    requester: Annotated[Requester, typer.Option(help="Who asks.")] = Requester.SELF,
) -> None:  # fmt: skip
    """Open a case, or join the one that is open. Prints its number."""
    from include.cases import verbs

    opened = verbs.open_case(
        common.desk(), account, ground=ground, channel=channel, requester=requester,
        trigger_user=common.me("support"), received_at=observed_now(),
    )  # fmt: skip
    note = " (was open already; joined)" if opened.joined else ""
    Console(highlight=False).print(f"{opened.case_no}{note}")


def _state_told(case: Case) -> str:
    from include.cases.discretion import state_told

    with common.reader() as conn:
        return state_told(conn, case).value


@app.command("list")
def list_(
    state: Annotated[list[CaseState] | None, typer.Option(help="Only these states.")] = None,
    late: Annotated[bool, typer.Option(help="Only cases past a deadline of ours.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
    auditor: Auditor = False,
) -> None:
    """Cases, newest first, with their deadlines."""
    from include.cases import book

    with common.reader() as conn:
        why = book.why_late(conn, common.today())
        told = common.discretion(conn, auditor)
        wanted = told.looked_for(state or ())
        found = [
            told.case(c)
            for c in (book.late(conn, common.today()) if late else book.cases(conn, wanted, limit=limit))
        ]
    rows = [
        {"case": c.case_no, "state": c.state.value, "ground": c.ground.value, "reply due": c.reply_due,
         "finish due": c.finish_due, "late": why.get(c.case_no), "parked because": c.parked_because}
        for c in found if not state or c.state in state
    ]  # fmt: skip
    common.table(
        rows, ("case", "state", "ground", "reply due", "finish due", "late", "parked because"), as_json
    )


@app.command()
def show(
    case_no: CaseNo,
    units: Annotated[bool, typer.Option(help="The units' moves too: with --auditor.")] = False,
    auditor: Auditor = False,
) -> None:
    """One case: state, deadlines, findings, recipients, backups, timeline; for auditors with its details."""
    from include.cases import book, decisions, epochs, horizon, papers
    from include.cases.notices import outbox

    if units and not auditor:
        raise Refused(
            "the units' moves count what holds keep, and are for auditors", about=case_no,
            next_step="leave out --units, or add --auditor if you may know",
        )  # fmt: skip
    with common.reader() as conn:
        told = common.discretion(conn, auditor)
        case = told.case(book.case(conn, case_no))
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
        if beyond := horizon.of_case(conn, common.catalogue(), case_no, auditor=auditor):
            common.say(f"  horizon {beyond.until or 'open'}: {beyond.because}")
        for finding in papers.open_findings(conn, case_no):
            console.print(
                f"  [red]finding[/red] {finding['code']}: {finding['what']}. Next: {finding['next_step']}"
            )
        for d in decisions.decisions(conn, case):
            on = f" on {d['ground']}, {d['article']}" if d["ground"] else ""
            console.print(f"  {d['decision']} by {d['approver']}{on}")
        common.table(
            told.notices(outbox.listing(conn, case_no)),
            (
                "recipient",
                "round",
                "state",
                "delivery",
                "items",
                "target_on",
                "answer_code",
                "codes",
                "retained_until",
            ),
            False,
        )
        common.table(
            [row | {"rung": "R6" if row["purged_on"] else ""} for row in epochs.of_case(conn, case_no)],
            ("backup_set", "rung", "horizon", "because", "holding", "purged_on"),
            False,
        )
        events = told.timeline(book.timeline(conn, case_no, units=units))
    for e in events:
        moved = f"  {e['from_state'] or '·'} → {e['to_state']}" if e["to_state"] else ""
        detail = "".join(f"  {k}={common.cell(v)}" for k, v in (e["detail"] or {}).items())
        # One line per event, whatever the terminal's width: it is read, searched and copied.
        line = f"{e['observed_at']:%Y-%m-%d %H:%M:%S}  {e['as_of']}  {e['actor']}  {e['what']}{moved}{detail}"
        console.print(line, soft_wrap=True, markup=False)


@app.command()
def plan(
    case_no: CaseNo, lang: Lang = Language.ZH, as_json: AsJson = False, auditor: Auditor = False
) -> None:  # fmt: skip
    """The plan in force, or the rehearsal: what will go, what will stay, on which law, until when."""
    from include.cases import book, explain, papers

    with common.reader() as conn:
        found = papers.latest_plan(conn, book.case(conn, case_no))
        told = common.discretion(conn, auditor).plan(found)
    console = Console(highlight=False)
    if as_json:
        console.print_json(told.canonical().decode())
        return
    console.print(explain.whole(told, common.catalogue(), lang.value), soft_wrap=True, markup=False)
    console.print(f"fingerprint {found.fingerprint()}", soft_wrap=True)


@app.command("explain")
def explain_(
    case_no: CaseNo,
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all if left out.")] = None,
    lang: Lang = Language.ZH,
    auditor: Auditor = False,
) -> None:
    """Why do these rows stay, or why did they go, and between which lawful days? In plain words, as the person may be told."""
    from include.cases import became, book, holds, papers, subjects
    from include.cases.notices import saying

    catalogue = common.catalogue()
    with common.reader() as conn:
        told = common.discretion(conn, auditor)
        case = book.case(conn, case_no)
        found = told.plan(papers.latest_plan(conn, case))
        steps = [replace(s, plans=tuple(map(told.plan, s.plans))) for s in papers.planned(conn, case)]
        own = not subjects.nobody(conn, case_no)
        others = [] if dataset else [*saying.sentences(conn, catalogue, case_no, lang.value)]
        if not dataset:
            orders = [o for o in holds.orders(conn, people=False) if o.number not in told.hidden]
            others += saying.beyond_holds(conn, catalogue, orders, case_no, lang.value)
    for text in became.told(found, steps, catalogue, dataset=dataset, own=own, language=lang.value):
        Console(highlight=False).print(text, soft_wrap=True, markup=False)
    for text in others:
        common.say(text)


@app.command()
def accept(
    case_no: CaseNo,
    plan: Annotated[
        str, typer.Option(help="Fingerprint of the plan in force, as `quietus case plan` prints it.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="The question is answered: it is another person.")
    ] = False,
) -> None:
    """Accept a plan that goes beyond what was approved, as another person than the requester.

    Where Airflow runs, clear `rehearse` in the run instead: there the one who decides has logged in. This
    machine knows its own log-ins only, and cannot tell whose they are elsewhere; so it asks.
    """
    from include.cases import book, verbs

    me = common.me("approver")
    with common.reader() as conn:
        asked_by = book.person(book.case(conn, case_no).opened_by)
    common.say(
        f"This is recorded as the word of {book.person(me)}, as this machine's log-in; {asked_by} asked for the case."
    )
    if not yes:
        typer.confirm(f"Are you another person than {asked_by}?", abort=True)
    verbs.accept_plan(common.desk(), case_no, approver=me, plan=plan, as_of=common.today())
    common.say(f"{case_no}: accepted; clear the task that stopped, or run the next step")


@app.command()
def told(case_no: CaseNo) -> None:
    """Record that the person has the reply in hand: certificate and letter, or the reasons of a refusal.

    The 30 days to reply end here. A refused case closes with it.
    """
    from include.cases import verbs

    case = verbs.told(common.desk(), case_no, as_of=common.today(), actor=common.me("support"))
    common.say(f"{case_no}: told; {_state_told(case)}")


@app.command()
def notice(case_no: CaseNo, recipient: Recipient) -> None:
    """Print the latest notice to a recipient, as a letter. It is personal: for whoever has to carry it."""
    from include.cases import book
    from include.cases.notices import errands, outbox

    desk = common.desk()
    with desk.book() as conn, book.deed(conn, case_no):
        row = outbox.latest(conn, case_no, recipient)
    typer.echo(errands.what_to_say(desk, row["request_id"]).letter)


@app.command()
def sent(case_no: CaseNo, recipient: Recipient) -> None:
    """Record that a notice to a recipient was sent by hand: its clock starts today."""
    from include.cases import verbs

    verbs.sent(common.desk(), case_no, recipient, as_of=common.today(), actor=common.me("support"))
    common.say(f"{case_no}: the notice to {recipient} is on its way")


@app.command()
def answer(
    case_no: CaseNo,
    recipient: Recipient,
    code: Annotated[str, typer.Option(help="What it answered, such as DELETED or RETAINED_BY_LAW.")],
    *,
    proof: Annotated[
        Path | None, typer.Option(help="The answer as it came; only its digest is kept.", exists=True, dir_okay=False)
    ] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only of these; all if left out.")] = None,
    count: Annotated[int | None, typer.Option(min=0, help="Deleted: how many records.")] = None,
    at: Annotated[datetime | None, typer.Option(help="Deleted: when, in this country's time.")] = None,
    method: Annotated[str | None, typer.Option(help="Deleted: how.")] = None,
    article: Annotated[str | None, typer.Option(help="Retained by law: which provision.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Retained: the last day.", formats=["%Y-%m-%d"])] = None,
    authorisation: Annotated[str | None, typer.Option(help="Retained: its own mandate or duty.")] = None,
    dispute: Annotated[str | None, typer.Option(help="Held: the number of the proceedings.")] = None,
    remains: Annotated[str | None, typer.Option(help="In part: what is still there, and why.")] = None,
) -> None:  # fmt: skip
    """Record what a recipient answered. What lacks its evidence is recorded too, and leaves the notice open."""
    from include.cases import verbs

    digest = None if proof is None else hashlib.sha256(proof.read_bytes()).hexdigest()
    said = {
        "categories": tuple(category or ()), "count": count, "method": method, "article": article,
        "at": at.replace(tzinfo=PRC) if at else None, "until": until.date() if until else None,
        "authorisation": authorisation, "dispute": dispute, "remains": remains,
    }  # fmt: skip
    state = verbs.record_answer(
        common.desk(),
        case_no,
        recipient,
        code=code,
        proof_digest=digest,
        as_of=common.today(),
        actor=common.me("support"),
        **said,
    )
    common.say(f"{case_no}: {recipient} is {state.value}")


@app.command()
def resume(case_no: CaseNo) -> None:
    """Wake a case that waits, if the date of an item has come or its hold was released."""
    from include.cases import verbs

    case = verbs.resume(common.desk(), case_no, as_of=common.today(), actor=common.me("ops"))
    at_work = case.state is CaseState.ACTING
    common.say(
        f"{case_no}: {_state_told(case)}" + ("; go on by triggering with this number" if at_work else "")
    )


@app.command()
def close(case_no: CaseNo) -> None:
    """Close a case of which every item, backup and recipient has come to its end, and whose person was told."""
    from include.cases import verbs

    common.say(
        f"{case_no}: {verbs.close(common.desk(), case_no, as_of=common.today(), actor=common.me('support')).state.value}"
    )


@app.command()
def reopen(
    case_no: CaseNo,
    because: Annotated[Resurfaced, typer.Option(help="What came back.")],
) -> None:
    """Reopen a closed case whose data resurfaced. It is rehearsed, approved and told anew."""
    from include.cases import verbs

    case = verbs.reopen(
        common.desk(), case_no, because=because.value, as_of=common.today(), actor=common.me("ops")
    )
    common.say(f"{case_no}: {case.state.value}; go on by triggering with this number")


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

    with common.reader() as conn:
        found = certificates.edition(conn, case_no, edition.value, serial)
    typer.echo(found, nl=False)
