"""``quietus shutdown tell-recipients`` and what else ends a shutdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import UNVERIFIED
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.cases.shutdown.told_recipients import Standing

Number = Annotated[str, typer.Argument(help="SO-000001")]
Role = Annotated[str, typer.Option(help="Your role: legal, ops, …")]
SHOWN = ("recipient", "outcome", "code", "told_on", "ended_on", "law", "until", "stopped_on")


def tell_recipients(
    number: Number,
    serves_successor: Annotated[
        list[str] | None,
        typer.Option(help="A recipient that works for the successor from now on; may be given again."),
    ] = None,
    as_json: AsJson = False,
    role: Role = "ops",
) -> None:
    """After T0: tell every recipient, once, that the service stopped and what becomes of all that it has from us; again, where
    they stand. Notices go out, are answered, reminded of and escalated as those of any case.

    Exit status 1: somebody's answer is still waited for.
    """
    from include.cases.shutdown import told_recipients

    desk, today, me = common.desk(), common.today(), common.me(role)
    there = told_recipients.tell(desk, number, serving=tuple(serves_successor or ()), as_of=today, actor=me)
    told_recipients.close(desk, number, as_of=today, actor=me)
    _recipients(there, as_json)
    if there.open or there.untold:
        raise typer.Exit(1)


def _recipients(there: Standing, as_json: bool) -> None:
    rows = [t.model_dump(mode="json") for t in there.told]
    common.table(rows, SHOWN, as_json)
    if not as_json:
        common.say(
            f"{there.case_no}: {len(there.open)} of {len({t.recipient for t in there.told})} have not answered"
        )


def dragnet(number: Number, role: Role = "ops") -> None:
    """After T0: look through the whole estate: it holds what stays, bags that are not gone yet, and nothing else.

    Exit status 1: something is there that does not stay; 3: a place could not be looked into.
    """
    from include.handover import books, estate
    from include.model.words import Verdict

    desk, today, me = common.desk(), common.today(), common.me(role)
    found = estate.sweep(
        desk, number, books.balance(desk, number, as_of=today, actor=me), as_of=today, actor=me
    )
    for check in found.wrong:
        numbers = (
            "" if check.expected is None else f" (expected {check.expected:,}, observed {check.observed:,})"
        )
        common.say(f"{check.verdict.value.upper()} {check.name}: {check.why}{numbers}")
    common.say(f"{number}: {found.verdict}, {sum(map(len, found.stores.values()))} checks")
    if found.verdict is not Verdict.PASSED:
        raise typer.Exit(UNVERIFIED if found.verdict is Verdict.UNVERIFIED else 1)


def certificate(
    number: Number,
    out: Annotated[Path | None, typer.Option(help="A directory for the certificate and its page.")] = None,
    role: Role = "ops",
) -> None:
    """The certificate of the whole service, issued once, and the end of the order; refused while anything is open.

    Exit status 1: something is open; each is a line.
    """
    from include.handover import service_certificate
    from include.handover.service_page import page
    from include.model.errors import NotProved

    try:
        made = service_certificate.certificate(
            common.desk(), number, as_of=common.today(), actor=common.me(role)
        )
    except NotProved as open_:
        for what in open_.what.split("; "):
            common.say(what)
        common.say(f"next: {open_.next_step}")
        raise typer.Exit(1) from None
    if out is not None:
        _written(
            out, {f"{number}.{made.serial}.json": made.envelope, f"{number}.{made.serial}.html": page(made)}
        )
    common.say(f"{number}: certificate {made.serial}, issued on {made.issued_on}; the order is ended")


def hand_ledger(
    number: Number,
    out: Annotated[Path, typer.Option(help="Write it here; it must not be there yet.")],
    role: Role = "ops",
) -> None:
    """The ledger for the custodian: entries, certificates, public key and verifier in one bag, checked before it has its name."""
    from include.handover.ledger_bag import hand_over

    made = hand_over(common.desk(), number, out, as_of=common.today(), actor=common.me(role))
    common.say(
        f"{number}: {made.entries:,} entries, {made.certificates} certificates in {made.directory}, to be kept until {made.until}"
    )
    common.say(
        f"check it there: python {made.directory}/data/verifier/verify_ledger.py {made.directory} --key pub.pem"
    )


def _written(out: Path, texts: dict[str, str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, "utf-8")
    except OSError:
        raise Refused(
            "the directory cannot be written",
            about=str(out),
            next_step="make room or name another, and ask again",
        ) from None
