"""``quietus handover requests``: what people ask for once our copy went, passed on to the successor, and answered by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._handover import believe, custody, inbox, read_consignment
from include.commands._handover_notices import LEFT, Bucket, Consignment, Order
from include.commands._options import AsJson
from include.model.words import Channel

app = typer.Typer(help="Requests of people to the successor, and as a successor.", no_args_is_help=True)


@app.command("list")
def list_(order: Order, as_json: AsJson = False) -> None:
    """Every request of an order, and how far it has come. Exit status 3: one is not answered."""
    from include.handover import requests

    with common.reader() as conn:
        found, stand = requests.of_order(conn, order), requests.stand(conn, order, common.today())
    rows = [
        {"request": r.name, "for": "objection" if r.said.objects else "deletion", "items": len(r.said.asked),
         "people": r.said.people, "answer by": r.said.answer_by,
         "state": "answered" if r.answered else "sent" if r.sent else "made"}
        for r in found
    ]  # fmt: skip
    common.table(rows, ("request", "for", "items", "people", "answer by", "state"), as_json)
    if not as_json:
        common.say(
            f"{stand.answered} of {stand.made} answered, {stand.late} late:"
            f" {stand.deleted} items deleted there, {stand.kept} restricted"
        )
    if stand.answered < stand.made:
        raise typer.Exit(LEFT)


@app.command()
def take(
    order: Order,
    method: Annotated[str, typer.Option(help="How it was checked who asks, as in `quietus case identity`.")],
    field: Annotated[
        list[str], typer.Option(help="A category that was compared, such as PI-001; several times.")
    ],
    *,
    account: Annotated[
        list[str] | None,
        typer.Option(help=f"{common.ACCOUNT} Several times, if the person had several."),
    ] = None,
    channel: Annotated[Channel, typer.Option(help="How the request came.")] = Channel.EMAIL,
    role: Annotated[str, typer.Option(help="Your role: support, legal, …")] = "support",
) -> None:
    """Take the request for deletion of a person whose account is gone here. Of everybody else a case does it. An objection to the
    handover is taken by `quietus shutdown object`."""
    from include.handover import asking

    ids = account or [typer.prompt("account id", hide_input=True)]
    while not account and (
        more := typer.prompt("another of hers, or nothing", default="", hide_input=True, show_default=False)
    ):
        ids.append(more)
    request = asking.take(
        common.desk(), order, ids, channel=channel, method=method, fields=field, as_of=common.today(),
        actor=common.me(role),
    )  # fmt: skip
    common.say(
        f"{order}: request {request} is taken; `quietus handover requests send` passes it on, once our copy went"
    )


@app.command()
def send(
    consignment: Consignment,
    bucket: Bucket,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops",
) -> None:
    """Make a signed request about every bag of which people ask for items that are with the successor alone, or whose owners
    object since, and send it. Again, or after a kill, it goes on; nothing is asked for twice. Exit status 3: of a bag nobody
    knows whose its items are."""
    from include.cases.certifying import SIGNER
    from include.handover import passing_on, ways
    from include.ledger.signer import SignerClient

    said, desk = read_consignment(consignment), common.desk()
    attest = SignerClient(desk.connections.text(SIGNER)).attest
    outcome = passing_on.ask(desk, said, attest, as_of=common.today(), actor=common.me(role))
    way = ways.way(desk, said, bucket=bucket)
    sent = passing_on.send(way, said)
    common.say(f"{said.order}: {len(outcome.made)} requests made, {len(sent)} sent now")
    for bag, why in sorted(outcome.left.items()):
        common.say(f"not asked for {bag}: {why}")
    if outcome.left:
        raise typer.Exit(LEFT)


@app.command()
def verify(consignment: Consignment, bucket: Bucket) -> None:
    """Believe the successor's answers, or say why not. Exit status 3: one is missing, or differs."""
    from include.handover import passing_on, ways

    said, desk = read_consignment(consignment), common.desk()
    way = ways.way(desk, said, bucket=bucket)
    with desk.book() as conn:
        waiting = passing_on.waiting(conn, said.order)

    def verify(name: str, content: bytes) -> None:
        with desk.book() as conn:
            passing_on.verify(conn, said, name, content, actor=common.me("ops"), record=desk.record)

    wrong = believe(
        waiting, lambda name: passing_on.answer_of(way, said.order, name), verify,
        none="no answer yet", good="answered",
    )  # fmt: skip
    if wrong:
        raise typer.Exit(LEFT)


@app.command()
def receive(
    order: Order,
    bucket: Bucket,
    certificate: Annotated[Path, typer.Option(help="Our certificate, to which bags are sealed (PEM).")],
    key: Annotated[Path, typer.Option(help="Its private key (PEM), readable by its owner only.")],
    sender_key: Annotated[Path, typer.Option(help="The sender's public key, as agreed on paper (PEM).")],
) -> None:
    """As a successor: verify every request that has arrived, delete what nothing keeps, restrict the rest, count the bag again,
    and sign. Exit status 3: one was not followed, or what is stored differs."""
    from include.cases.certifying import SIGNER
    from include.commands._connections import connections
    from include.handover.heeding import heed
    from include.ledger.signer import SignerClient

    attest = SignerClient(connections().text(SIGNER)).attest
    done = heed(
        inbox(bucket, Path(), certificate, key, sender_key), custody(), attest, order, as_of=common.today()
    )
    common.say(f"{order}: {len(done.receipts)} requests followed and answered")
    for r in done.receipts:
        common.say(
            f"{r.bag}: {r.deleted} deleted, {len(r.kept)} restricted: a statute, hold or lock keeps them"
        )
        if not r.differences.none:
            common.say(f"{r.bag}: what is stored differs from what was sent")
    for name, why in sorted(done.refused.items()):
        common.say(f"not followed {name}: {why}")
    if done.refused or any(not r.differences.none for r in done.receipts):
        raise typer.Exit(LEFT)
