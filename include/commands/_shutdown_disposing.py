"""``quietus shutdown dispose | residual``: what goes to nobody goes; what stays, with whom, by which law, until when."""

from __future__ import annotations

from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import also, figures, leave

Number = Annotated[str, typer.Argument(help="SO-000001")]


def dispose(
    number: Number,
    *,
    approve: Annotated[
        bool,
        typer.Option(
            "--approve", help="Let the figures go, as one of the order's approvers; nothing is deleted."
        ),
    ] = False,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops",
) -> None:
    """After T0: erase, anonymise or unlink all that goes to nobody, once both approvers of the order said --approve. Killed or
    refused, run it again; what waits for the handover is named, and goes then.

    Exit status 1: something is left for now.
    """
    from include.cases.shutdown import breaker, disposing

    desk, today, me = common.desk(), common.today(), common.me(role)
    if approve:
        found, missing = breaker.approve(desk, number, as_of=today, actor=me)
        figures([{"dataset": d, "items": n} for d, n in found.items() if n], ("dataset", "items"))
        waits = f"; {' and '.join(missing)} did not say so yet" if missing else ""
        common.say(f"{number}: {sum(found.values()):,} items may go at most{waits}")
        return
    done = disposing.run(desk, number, as_of=today, actor=me)
    figures([{"dataset": d, "items": n} for d, n in sorted(done.gone.items())], ("dataset", "items"))
    common.say(f"{number}: {sum(done.gone.values()):,} items are gone, by {done.case_no}")
    for dataset, why in sorted(done.left.items()):
        common.say(f"left {dataset}: {why}")
    if done.left:
        raise typer.Exit(1)


def residual(number: Number, as_json: AsJson = False) -> None:
    """After T0: what stays, by category, law and end date, and with whom; and what is still on its way.

    Exit status 1: something is still to go, or nobody keeps what stays; 3: a dataset could not be asked.
    """
    from include.cases.shutdown.residual import residual as look

    found = look(common.desk(), number, as_of=common.today())
    if as_json:
        common.table([found.body()], (), True)
    else:
        rows = [
            {**k, "categories": ", ".join(k["categories"]), "until": _until(k)} for k in found.body()["kept"]
        ]
        figures(rows, ("dataset", "categories", "disposition", "rule", "items", "until", "law"))
        for what, of in (
            ("still to go to the successor", found.moving),
            ("still to be disposed of", found.going),
        ):
            for dataset, items in sorted(of.items()):
                common.say(f"{dataset}: {items:,} items are {what}")
        for e in found.elsewhere:
            common.say(
                f"{e.dataset}: up to {e.items:,} items, of {e.bags:,} bags, are with {e.company} alone, which withdrew"
            )
        common.say(
            f"{number}: {found.items:,} items stay with {found.custodian or 'nobody: name a custodian'}"
        )
        also((), found.unverified)
    on_its_way = found.moving or found.going or found.elsewhere or (found.kept and not found.custodian)
    leave(found.unverified, wrong=bool(on_its_way))


def _until(k: dict[str, object]) -> str:
    until = k["last"] if k["first"] == k["last"] else f"{k['first']} … {k['last']}"
    if k["waits"]:
        until = f"{until or ''} ({k['waits']:,} open)".strip()
    return str(until or "")
