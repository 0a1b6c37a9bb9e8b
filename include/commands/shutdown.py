"""``quietus shutdown``: a service or the whole company stops. The order, its gates, the preview, and the end of collection."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cases.shutdown.dates import LAW, Gate, Path
from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import also, figures, leave
from include.commands._retention import as_json as tell
from include.commands._shutdown_books import books, delete_source, prove_books
from include.commands._shutdown_disposing import dispose, residual
from include.commands._shutdown_ending import certificate, dragnet, hand_ledger, tell_recipients
from include.commands._shutdown_papers import (
    accept_differences,
    accept_unanswered,
    accept_unverified,
    answer_short,
    declare_lost,
    leave_with_former,
    media,
    paper_of,
)
from include.commands._shutdown_people import approve, notices, notify_people, object_
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.cases.shutdown.orders import Order
    from include.cases.shutdown.told import Custodian, Successor

app = typer.Typer(help="A service or the whole company stops (policy 5.6).", no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="SO-000001")]
Document = Annotated[str, typer.Option(help="The document's number.")]
Scan = Annotated[File, typer.Option("--file", help="The document itself; its SHA-256 is kept, not the file.")]
Role = Annotated[str, typer.Option(help="Your role: legal, ops, …")]
DAY = ["%Y-%m-%d"]


@app.command("open")
def open_(
    t0: Annotated[datetime, typer.Option(formats=DAY, help="The day on which collection ends.")],
    reason: Annotated[str, typer.Option(help="Why, in a few words, without anybody's name.")],
    document: Document,
    file: Scan,
    approver: Annotated[list[str], typer.Option(help="Twice, as role/name: two different people.")],
    *,
    path: Annotated[Path, typer.Option(help="By whose will.")] = Path.VOLUNTARY,
    decided: Annotated[
        datetime | None, typer.Option(formats=DAY, help="The day of the decision; today if left out.")
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="A service of the catalogue; none: the whole company.")
    ] = None,
    successor: Annotated[str | None, typer.Option(help="Who takes over, by name.")] = None,
    contact: Annotated[
        str | None, typer.Option(help="Its contact for people (PIPL 22): an office, nobody's own.")
    ] = None,
    certificate: Annotated[
        File | None, typer.Option(help="Its certificate (PEM or DER); its SHA-256 is kept.")
    ] = None,
    ministry_asked: Annotated[
        datetime | None, typer.Option(formats=DAY, help="Or: when the ministry was asked to arrange one.")
    ] = None,
    custodian: Annotated[str | None, typer.Option(help="Who keeps what must stay, by name.")] = None,
    custodian_contact: Annotated[str | None, typer.Option(help="The custodian's office.")] = None,
    e_government: Annotated[
        bool,
        typer.Option(
            "--e-government", help="It has certificates for e-government: a second regulator is told."
        ),
    ] = False,
    role: Role = "legal",
) -> None:
    """Open an order; prints its number. A second one beside it is refused."""
    from include.cases.shutdown import orders
    from include.cases.shutdown.told import Told

    if len(approver) != 2:
        raise Refused("two people approve a shutdown", about="shutdown", next_step="give --approver twice")
    today = common.today()
    told = Told(
        path=path, reason=reason, decided_on=_day(decided) or today, t0=t0.date(), paper=paper_of(document, file),
        approvers=(approver[0], approver[1]), services=tuple(service or ()),
        successor=_successor(successor, contact, certificate), ministry_asked_on=_day(ministry_asked),
        custodian=_custodian(custodian, custodian_contact), e_government=e_government,
    )  # fmt: skip
    number = orders.open_order(common.desk(), told, as_of=today, actor=common.me(role))
    common.say(number)
    with common.reader() as conn:
        if left := orders.order(conn, number).waits_for:
            roles = " and ".join(a.partition("/")[0] for a in left)
            common.say(
                f"it is in force once {roles} approved it, each by `quietus shutdown approve {number}`"
            )


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every order, the newest first."""
    from include.cases.shutdown import orders

    with common.reader() as conn:
        rows = [
            {"order": o.number, "state": o.state, "scope": ", ".join(o.services) or o.scope, "T0": o.t0,
             "successor": o.successor or "the ministry was asked"}
            for o in orders.orders(conn)
        ]  # fmt: skip
    common.table(rows, ("order", "state", "scope", "T0", "successor"), as_json)


@app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """An order with its gates and history. Exit status 1 if a gate is overdue."""
    from include.cases.shutdown import orders, who_asked
    from include.catalogue import load
    from include.handover import passing_ends

    today = common.today()
    with common.reader() as conn:
        of = orders.order(conn, number)
        tokens = who_asked.held(conn, number)
        days = orders.days(conn, of)
        done = {g["gate"]: g for g in orders.gates(conn, number)}
        history = orders.history(conn, number)
        alarms = orders.alarms(conn, today) if of.in_force else ()
    until = passing_ends.last_day_of(load(), of)
    gates = [
        {"gate": g.value, "due": days.due(g), "done": done.get(g, {}).get("done_on"),
         "document": done.get(g, {}).get("document"), "law": LAW[g]}
        for g in days.gates
    ]  # fmt: skip
    if as_json:
        told = {"order": of.number, "state": of.state, "path": of.path, "services": of.services, "t0": of.t0,
                "t0_announced": of.t0_announced, "earliest": days.earliest(today), "successor": of.successor,
                "contact": of.successor_contact, "custodian": of.custodian, "alarms": list(alarms),
                "gates": gates, "history": history, "tokens": tokens, "tokens_until": until}  # fmt: skip
        common.table([told], (), True)
    else:
        common.say(
            f"{of.number}  {of.state}  {', '.join(of.services) or 'the whole company'}  {of.path}  T0 {of.t0}"
            + (f" (announced {of.t0_announced})" if of.t0 != of.t0_announced else "")
        )
        common.say(_takes_over(of))
        common.table(gates, ("gate", "due", "done", "document", "law"), False)
        if not of.closed_on:
            common.say(f"by what is filed: {days.why(today)}")
        for event in history:
            common.say(f"{event['as_of']}  {event['what']}  {event['actor']}")
        if tokens:
            day = f", at the latest after {until}" if until else ""
            common.say(
                f"{tokens:,} keyed tokens of people are kept to pass on their requests; they go with the ledger{day}"
            )
        for alarm in alarms:
            common.say(f"ALARM {alarm}")
    if alarms:
        raise typer.Exit(1)


@app.command()
def gate(
    number: Number,
    which: Annotated[
        Gate, typer.Argument(help="notified, reported, reported_e_government, announced or successor_told")
    ],
    document: Document,
    file: Scan,
    on: Annotated[
        datetime | None, typer.Option(formats=DAY, help="When it was done; today if left out.")
    ] = None,
    role: Role = "legal",
) -> None:
    """Record that a gate was done. A late one moves T0."""
    from include.cases.shutdown import orders

    today = common.today()
    of = orders.pass_gate(
        common.desk(), number, which, on=_day(on) or today, paper=paper_of(document, file), as_of=today,
        actor=common.me(role),
    )  # fmt: skip
    common.say(f"{number}: {which} is recorded; T0 is {of.t0}")


@app.command()
def move(
    number: Number,
    t0: Annotated[datetime, typer.Option(formats=DAY, help="The new day.")],
    document: Document,
    file: Scan,
    role: Role = "legal",
) -> None:
    """Move T0: later, or back as far as what was filed allows."""
    from include.cases.shutdown import orders

    of = orders.move(
        common.desk(), number, t0.date(), paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
    )  # fmt: skip
    common.say(f"{number}: T0 is {of.t0}")


@app.command()
def successor(
    number: Number,
    document: Document,
    file: Scan,
    *,
    name: Annotated[str | None, typer.Option(help="Who takes over.")] = None,
    contact: Annotated[str | None, typer.Option(help="Its contact for people.")] = None,
    certificate: Annotated[File | None, typer.Option(help="Its certificate (PEM or DER).")] = None,
    withdrew: Annotated[bool, typer.Option(help="The one there is does not take over.")] = False,
    ministry_asked: Annotated[
        bool, typer.Option(help="The ministry is asked to arrange another: with --withdrew, or afterwards.")
    ] = False,
    role: Role = "legal",
) -> None:
    """Name who takes over, or record that it withdrew: people are then notified anew, which moves T0."""
    from include.cases.shutdown import orders

    desk, paper, today, me = common.desk(), paper_of(document, file), common.today(), common.me(role)
    if withdrew:
        of = orders.successor_withdrew(
            desk, number, paper=paper, ministry_asked=ministry_asked, as_of=today, actor=me
        )  # fmt: skip
    elif ministry_asked:
        of = orders.ask_ministry(desk, number, paper=paper, as_of=today, actor=me)
    else:
        who = _successor(name, contact, certificate)
        if who is None:
            raise Refused("nobody is named", about=number, next_step="give --name, --contact, --certificate")
        of = orders.name_successor(desk, number, who, paper=paper, as_of=today, actor=me)
    common.say(_takes_over(of))


@app.command()
def custodian(
    number: Number,
    name: Annotated[str, typer.Option(help="Who keeps what must stay.")],
    contact: Annotated[str, typer.Option(help="Its office.")],
    document: Document,
    file: Scan,
    role: Role = "legal",
) -> None:
    """Name who keeps what can neither go nor be deleted yet."""
    from include.cases.shutdown import orders
    from include.cases.shutdown.told import Custodian

    orders.name_custodian(
        common.desk(), number, Custodian(name, contact), paper=paper_of(document, file), as_of=common.today(),
        actor=common.me(role),
    )  # fmt: skip
    common.say(f"{number}: what stays is kept by {name}")


@app.command()
def preview(number: Number, as_json: AsJson = False) -> None:
    """What would move, go and stay, by dataset and rule; nothing is changed.

    Exit status 1: something is for a person to decide; 3: a dataset could not be asked.
    """
    from include.cases.shutdown.preview import preview as look

    found = look(common.desk(), number, as_of=common.today())
    if as_json:
        tell(
            {k: v for k, v in found.body().items() if k not in ("findings", "unverified")},
            found.findings, found.unverified,
        )  # fmt: skip
    else:
        for part in ("moves", "goes", "stays"):
            rows = [_row(line) for line in found.body()["lines"] if line["part"] == part]
            if rows:
                common.say(f"{part}:")
                figures(rows, ("dataset", "disposition", "rule", "items", "held", "until", "with", "law"))
        common.say(
            f"T0 {found.t0}: located {found.located:,} = "
            + " + ".join(f"{n:,} {word}" for word, n in found.totals.items())
        )
        common.say(f"to be told: {', '.join(r['id'] for r in found.recipients) or 'nobody'}")
        also(found.findings, found.unverified)
    leave(found.unverified, wrong=bool(found.findings))


@app.command("close-collection")
def close_collection(
    number: Number,
    document: Document,
    file: Scan,
    role: Role = "ops",
) -> None:
    """On T0: take every right to write, and prove by another role that nothing is written. Again takes what came back.

    Exit status 1: something was written, or somebody still can; 3: that could not be seen everywhere.
    """
    from include.cases.shutdown import closing, located, needles
    from include.model.words import Verdict

    desk, today, me = common.desk(), common.today(), common.me(role)
    closing.close(desk, number, paper=paper_of(document, file), as_of=today, actor=me)
    proof = closing.prove(desk, number, as_of=today, actor=me)
    needles.gather(desk, number, as_of=today, actor=me)
    located.locate(desk, number, as_of=today, actor=me)
    common.say(closing.proved(proof))
    if proof.verdict is Verdict.UNVERIFIED:
        raise typer.Exit(3)


@app.command()
def consign(
    number: Number,
    sender: Annotated[str, typer.Option(help="Who hands over, as the successor knows it.")],
    certificate: Annotated[File, typer.Option(help="The successor's certificate, PEM.")],
    receipt_key: Annotated[File, typer.Option(help="The public key that its receipts are signed with, PEM.")],
    document: Annotated[str, typer.Option(help="Number of the paper that says that both were compared.")],
    out: Annotated[File, typer.Option(help="Write the consignment here; it must not be there yet.")],
    role: Role = "ops",
) -> None:
    """After T0: write what goes to the successor as a consignment, for `quietus handover pack`."""
    from include.cases.shutdown.consigning import consign as consigned

    shown, key = _text(certificate), _text(receipt_key)
    try:
        out.touch(exist_ok=False)  # before the book and the ledger say that it was consigned
    except OSError:
        raise Refused(
            "the file is there already, or cannot be written", about=str(out), next_step="name another"
        ) from None
    try:
        made = consigned(
            common.desk(), number, sender=sender, certificate=shown, receipt_key=key, document=document,
            as_of=common.today(), actor=common.me(role),
        )  # fmt: skip
    except BaseException:
        out.unlink()
        raise
    try:
        out.write_text(made.model_dump_json(indent=1) + "\n", "utf-8")
    except OSError:
        raise Refused(
            "the file cannot be written", about=str(out), next_step="make room, remove it, and consign again"
        ) from None
    common.say(f"{number}: {len(made.datasets)} datasets to {made.successor.name}, {made.fingerprint()}")


@app.command()
def withdraw(number: Number, document: Document, file: Scan, role: Role = "legal") -> None:
    """Withdraw an order; what was taken on T0 is given back, exactly that."""
    from include.cases.shutdown import closing

    closing.withdraw(
        common.desk(), number, paper=paper_of(document, file), as_of=common.today(), actor=common.me(role)
    )
    common.say(f"{number}: withdrawn")


app.command()(books)
app.command("prove-books")(prove_books)
app.command()(approve)
app.command("notify-people")(notify_people)
app.command()(notices)
app.command("object")(object_)
app.command("delete-source")(delete_source)
app.command("tell-recipients")(tell_recipients)
app.command()(dragnet)
app.command()(certificate)
app.command("hand-ledger")(hand_ledger)
app.command()(dispose)
app.command()(residual)
app.command("accept-unverified")(accept_unverified)
app.command("accept-differences")(accept_differences)
app.command("accept-unanswered")(accept_unanswered)
app.command("leave-with-former")(leave_with_former)
app.command("declare-lost")(declare_lost)
app.command("answer-short")(answer_short)
app.command()(media)


# --- what options say -------------------------------------------------------------------------------


def _day(given: datetime | None) -> date | None:
    return given.date() if given is not None else None


def _text(file: File) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, ValueError):
        raise Refused("the file cannot be read", about=str(file), next_step="give it as PEM") from None


def _successor(name: str | None, contact: str | None, certificate: File | None) -> Successor | None:
    from include.cases.shutdown.told import Successor

    if name is None and contact is None and certificate is None:
        return None
    if name is None or contact is None or certificate is None:
        raise Refused(
            "a successor has a name, a contact (PIPL 22) and a certificate", about="shutdown", next_step="give all three"
        )  # fmt: skip
    return Successor(name, contact, _fingerprint(certificate))


def _fingerprint(file: File) -> str:
    """SHA-256 of a certificate's DER, whichever way the file has it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        content = file.read_bytes()
        pem = content.lstrip().startswith(b"-----BEGIN")
        read = x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate
        return read(content).fingerprint(SHA256()).hex()
    except (OSError, ValueError):
        raise Refused(
            "this is no certificate that can be read", about=str(file), next_step="give it as PEM or DER"
        ) from None


def _custodian(name: str | None, contact: str | None) -> Custodian | None:
    from include.cases.shutdown.told import Custodian

    if name is None and contact is None:
        return None
    if name is None or contact is None:
        raise Refused("a custodian has a name and a contact", about="shutdown", next_step="give both")
    return Custodian(name, contact)


def _takes_over(of: Order) -> str:
    if of.successor is not None:
        return f"takes over: {of.successor} ({of.successor_contact})"
    if of.ministry_asked_on is not None:
        return f"takes over: whom the ministry arranges, asked on {of.ministry_asked_on}"
    return "takes over: nobody; name a successor, or ask the ministry to arrange one"


def _row(line: dict[str, Any]) -> dict[str, Any]:
    until = line["last"] if line["first"] == line["last"] else f"{line['first']} … {line['last']}"
    if line["waits"]:
        until = f"{until or ''} ({line['waits']:,} not started)".strip()
    return {**line, "until": until or "", "with": line["custodian"] or ""}
