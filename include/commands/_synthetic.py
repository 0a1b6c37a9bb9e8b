"""``quietus recipients synthetic``: people of our own, by whom a recipient's word is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.errors import Refused
from include.model.times import observed_now
from include.model.words import Channel, Ground, Requester

app = typer.Typer(
    help="Accounts of our own that recipients have like those of customers: by them their word is tested.",
    no_args_is_help=True,
)  # fmt: skip

Name = Annotated[str, typer.Argument(help="As `quietus recipients synthetic list` has it: SYN-000001.")]


@app.command()
def add(
    account: Annotated[str, typer.Option(prompt="Opaque account id", hide_input=True, help=common.ACCOUNT)],
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="RECIPIENT=NUMBER", help="Who has it, under which of its own numbers. May be given often."),
    ] = None,
) -> None:  # fmt: skip
    """Say that an account is nobody's, and which recipients have it. Never of a customer: recipients are asked about it."""
    from include.cases.notices import synthetic

    done = synthetic.add(
        common.desk(), account, _references(at or ()), as_of=common.today(), actor=common.me("ops")
    )
    common.say(f"{done.name}: {done.new} new numbers")
    if done.unasked:
        common.say(f"cannot be asked, so what they say of it stays unverified: {', '.join(done.unasked)}")


def _references(given: list[str] | tuple[str, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in given:
        recipient, equals, reference = one.partition("=")
        if not equals:
            raise Refused(
                "this does not say which number a recipient has", about="--at",
                next_step="give it as --at RECIPIENT=NUMBER",
            )  # fmt: skip
        found.setdefault(recipient.strip(), []).append(reference.strip())
    return found


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Each one with its recipients, its case, and how many words about it were tested. Those without a case can be opened."""
    from include.cases.notices import synthetic

    with common.reader() as conn:
        rows = synthetic.listing(conn)
    columns = ("name", "case_no", "state", "words", "verified", "caught", "recipients")
    common.table(rows, columns, as_json)


@app.command("open")
def open_(name: Name) -> None:
    """Open its cancellation, as if its customer had asked. It is checked and approved like any other, by somebody else."""
    from include.cases import verbs
    from include.cases.notices import synthetic

    desk = common.desk()
    opened = verbs.open_case(
        desk, synthetic.account(desk, name), ground=Ground.CANCELLATION, channel=Channel.APP,
        requester=Requester.SELF, trigger_user=common.me("ops"), received_at=observed_now(),
    )  # fmt: skip
    common.say(f"{opened.case_no}{' (was open already; joined)' if opened.joined else ''}")
    common.say("now trigger account_cancellation with this number")


@app.command()
def remove(name: Name) -> None:
    """Forget one that never had a case, because it was entered by mistake."""
    from include.cases.notices import synthetic

    synthetic.remove(common.desk(), name)
    common.say(f"{name} is forgotten")
