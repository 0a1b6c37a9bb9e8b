"""``quietus shutdown books | delete-source``: what was located at T0 against where it is now; and what may go, goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import UNVERIFIED, figures

if TYPE_CHECKING:
    from include.handover.books import Books

Number = Annotated[str, typer.Argument(help="SO-000001")]
PARTS = ("located", "transferred", "deleted", "anonymised", "retained", "pending")


def books(
    number: Number,
    as_json: AsJson = False,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops",
) -> None:
    """After T0: located = transferred + deleted + anonymised + retained, by dataset; what does not balance, and why; and which
    bag's items may be deleted here. Every bag's range is read again, so it takes as long as packing did.

    Exit status 1: a dataset does not balance, or not yet; 3: one could not be asked.
    """
    from include.handover.books import balance, sentence
    from include.model.words import Verdict

    found = balance(common.desk(), number, as_of=common.today(), actor=common.me(role))
    if as_json:
        common.table([found.body()], (), True)
    else:
        _tell(found)
        for of in found.open:
            for reason in of.reasons:
                common.say(f"{reason.kind.value.upper()} {sentence(of.dataset, reason)}")
    if found.verdict is not Verdict.PASSED:
        raise typer.Exit(UNVERIFIED if found.verdict is Verdict.UNVERIFIED else 1)


def delete_source(
    number: Number, role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops"
) -> None:
    """Delete here the rows of every bag that `books` says may go: in pieces, with receipts, and proved. Killed or refused, run it
    again; what came in between is asked about each time. Objects stay: theirs is not built."""
    from include.handover.clearing import run

    going = run(common.desk(), number, as_of=common.today(), actor=common.me(role))
    common.say(f"{number}: {len(going.bags)} bags are gone here, by {going.case_no}")
    for bag, why in sorted(going.left.items()):
        common.say(f"left {bag}: {why}")


def _tell(found: Books) -> None:
    rows = [
        {**x.told(), "with": x.custodian or "", "balances": "yes" if x.balances else "NO"}
        for x in found.lines
    ]
    figures(rows, ("dataset", *PARTS, "with", "balances"))
    for bag, why in found.bags:
        common.say(f"{bag.bag}: {'may be deleted here' if not why else 'stays here: ' + '; '.join(why)}")
    totals = {p: sum(getattr(x, p) for x in found.lines) for p in PARTS}
    common.say(
        f"{found.order}: located {totals.pop('located'):,} = " + " + ".join(f"{n:,} {p}" for p, n in totals.items())
    )  # fmt: skip
