"""``quietus shutdown approve | notify-people | notices | object``: who approves an order, who is told of it, and who objects."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.errors import Refused
from include.model.words import Channel

Number = Annotated[str, typer.Argument(help="SO-000001")]
Role = Annotated[str, typer.Option(help="Your role: legal, ops, …")]


def approve(number: Number, role: Role = "legal") -> None:
    """Approve an order, as the user that you are logged in as. It is in force once both of its approvers have."""
    from include.cases.shutdown.approving import approve as approved

    of = approved(common.desk(), number, as_of=common.today(), actor=common.me(role))
    left = " and ".join(a.partition("/")[0] for a in of.waits_for)
    common.say(
        f"{number}: {f'waits for the approval of {left}' if left else 'approved by both; it is in force'}"
    )


def notify_people(
    number: Number,
    reach: Annotated[
        str,
        typer.Option(
            help="Where people reach us: an office's mailbox or number; left out: where the letter came from."
        ),
    ] = "",
    role: Role = "legal",
) -> None:
    """Send everybody the letter, once: what stops and when, who takes over, what goes by which law, how to object. Killed or
    refused by the mail server, run it again. Exit status 1: somebody was not come to, or could not be reached."""
    from include.cases.shutdown import people

    run = people.notify(common.desk(), number, reach=reach, as_of=common.today(), actor=common.me(role))
    t = run.telling
    common.say(
        f"{number}: {run.sent:,} letters taken now; {t.told:,} people are told, {t.unreached:,} could not be reached"
    )
    if run.stopped:
        common.say(f"not everybody was come to: {run.stopped}; run it again")
    elif t.unreached:
        common.say("whom the announcement has to tell: `quietus shutdown notices --list FILE`")
    if run.stopped or t.unreached:
        raise typer.Exit(1)


def notices(
    number: Number,
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="Write the account ids of whom nobody reached here, for the second channel. Personal.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How many people were told, by which letter, and how many objected."""
    from include.cases.shutdown import objecting, people, tellings

    with common.reader() as conn:
        found, objections = tellings.tellings(conn, number), objecting.count(conn, number)
    rows = [
        {"letter": t.letter[:16], "successor": t.successor or "not named yet", "T0": t.t0, "begun": t.began_on,
         "whole": t.whole_on, "told": t.told, **{s: t.states.get(s, 0) for s in tellings.UNREACHED}}
        for t in found
    ]  # fmt: skip
    common.table(rows, ("letter", "successor", "T0", "begun", "whole", "told", *tellings.UNREACHED), as_json)
    if not as_json:
        common.say(f"{number}: {objections} objections")
    if list_ is not None:
        written = _written(list_, people.unreached(common.desk(), number))
        common.say(f"{written:,} account ids are in {list_}: personal, delete it once they are told")


def object_(
    number: Number,
    method: Annotated[str, typer.Option(help="How it was checked who asks, as in `quietus case identity`.")],
    field: Annotated[
        list[str], typer.Option(help="A category that was compared, such as PI-001; several times.")
    ],
    *,
    account: Annotated[str | None, typer.Option(help=common.ACCOUNT)] = None,
    channel: Annotated[Channel, typer.Option(help="How the objection came.")] = Channel.EMAIL,
    role: Role = "support",
) -> None:
    """Record a person's objection to the handover. What the law hands on of theirs goes restricted, and nothing else goes; what
    the successor alone has by then, it is asked to restrict, and to delete what no law keeps."""
    from include.cases.shutdown.objecting import object_to

    id_ = account or typer.prompt("account id", hide_input=True)
    objection = object_to(
        common.desk(), number, id_, channel=channel, method=method, fields=field, as_of=common.today(),
        actor=common.me(role),
    )  # fmt: skip
    common.say(
        f"{number}: objection {objection} is recorded; if bags were packed, `quietus handover notices send` tells; of what the"
        " successor alone has by now, `quietus handover requests send`"
    )


def _written(to: Path, ids: Iterable[str]) -> int:
    try:
        with os.fdopen(
            os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as file:
            n = 0
            for id_ in ids:
                file.write(f"{id_}\n")
                n += 1
            return n
    except OSError:
        raise Refused(
            "the file is there already, or cannot be written", about=str(to), next_step="name another"
        ) from None
