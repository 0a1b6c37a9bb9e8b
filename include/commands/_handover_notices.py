"""``quietus handover notices``: what became of items after their bag was packed, told to the successor, and followed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._handover import believe, custody, inbox, read_consignment
from include.commands._options import AsJson

app = typer.Typer(help="Deletion notices to the successor, and as a successor.", no_args_is_help=True)
LEFT = 3

Consignment = Annotated[
    Path, typer.Argument(help="The consignment, as JSON: `quietus shutdown consign` wrote it.")
]
Bucket = Annotated[str, typer.Option(help="The successor's bucket for bags.")]
Order = Annotated[str, typer.Argument(help="The number of the shutdown order, SO-…")]


@app.command("list")
def list_(order: Order, as_json: AsJson = False) -> None:
    """Every notice of an order, and how far it has come. Exit status 3: one is not answered."""
    from include.handover import notices

    with common.reader() as conn:
        found = notices.of_order(conn, order)
    rows = [
        {"notice": n.name, "removed": len(n.said.removed), "added": n.said.added, "items": n.said.items,
         "state": "followed" if n.followed else "sent" if n.sent else "made", "as of": n.said.as_of}
        for n in found
    ]  # fmt: skip
    common.table(rows, ("notice", "removed", "added", "items", "state", "as of"), as_json)
    if not all(n.followed for n in found):
        raise typer.Exit(LEFT)


@app.command()
def send(
    consignment: Consignment,
    bucket: Bucket,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops",
) -> None:
    """Read every bag's range again, make a signed notice about what became another by cases of ours, and send it. Again, or after
    a kill, it goes on; nothing is told twice, and nothing of a bag of which our copy goes, or went. Exit status 3: something
    differs that no receipt of ours explains."""
    from include.cases.certifying import SIGNER
    from include.handover import notifying, ways
    from include.handover.amending import amend
    from include.ledger.signer import SignerClient

    said, desk = read_consignment(consignment), common.desk()
    attest = SignerClient(desk.connections.text(SIGNER)).attest
    outcome = amend(desk, said, attest, as_of=common.today(), actor=common.me(role))
    way = ways.way(desk, said, bucket=bucket)
    sent = notifying.send(way, said)
    common.say(f"{said.order}: {len(outcome.made)} notices made, {len(sent)} sent now")
    if outcome.going:
        common.say(
            f"{len(outcome.going)} bags went here, or go, by {', '.join(outcome.cases)}: of them nothing is told"
        )
    for bag, why in sorted(outcome.left.items()):
        common.say(f"not told {bag}: {why}")
    if outcome.left:
        raise typer.Exit(LEFT)


@app.command()
def verify(consignment: Consignment, bucket: Bucket) -> None:
    """Believe the successor's answers, also newer ones to what it has followed, or say why not. Exit status 3: one is missing, or
    differs."""
    from include.handover import notices, notifying, rereading, ways

    said, desk = read_consignment(consignment), common.desk()
    way = ways.way(desk, said, bucket=bucket)
    with desk.book() as conn:
        followed = {n.name for n in notices.of_order(conn, said.order) if n.followed}
        waiting = rereading.answers(conn, said.order)
    waiting = [
        n for n in waiting if n not in followed or rereading.answer_of(desk, way, said.order, n) is not None
    ]

    def verify(name: str, content: bytes) -> None:
        with desk.book() as conn:
            notifying.verify(conn, said, name, content, actor=common.me("ops"), record=desk.record)

    wrong = believe(
        waiting, lambda name: notifying.answer_of(way, said.order, name), verify,
        none="no answer yet", good="followed",
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
    """As a successor: verify every notice that has arrived, delete or restrict what it names, store what it brings, count the bag
    again, and sign. Exit status 3: one was not followed, or what is stored differs."""
    from include.cases.certifying import SIGNER
    from include.commands._connections import connections
    from include.handover.following import follow
    from include.ledger.signer import SignerClient

    attest = SignerClient(connections().text(SIGNER)).attest
    of = inbox(bucket, Path(), certificate, key, sender_key)
    done = follow(of, custody(), attest, order, as_of=common.today())
    common.say(f"{order}: {len(done.receipts)} notices followed and answered")
    for r in done.receipts:
        if r.kept:
            common.say(
                f"{r.bag}: {len(r.kept)} restricted instead of deleted: a statute, hold or lock keeps them"
            )
        if not r.differences.none:
            common.say(f"{r.bag}: what is stored differs from what was sent")
    for name, why in sorted(done.refused.items()):
        common.say(f"not followed {name}: {why}")
    if done.refused or any(not r.differences.none for r in done.receipts):
        raise typer.Exit(LEFT)
