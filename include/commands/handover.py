"""``quietus handover``: bags to a successor, and as a successor those of an authority that stops. It deletes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands import _handover_notices, _handover_requests
from include.commands._handover import believe, custody, inbox, read, read_consignment
from include.commands._options import AsJson
from include.model.errors import Refused

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Hand over to a successor, or receive as one.", no_args_is_help=True)
app.add_typer(_handover_notices.app, name="notices")
app.add_typer(_handover_requests.app, name="requests")
LEFT = 3  # the exit status if something could not be packed or stored, or a receipt names a difference


File = Annotated[Path, typer.Argument(help="The consignment, as JSON: `quietus shutdown` writes it.")]
Home = Annotated[Path, typer.Option("--dir", help="Where sealed bags lie on our disk.")]
Bucket = Annotated[str, typer.Option(help="The successor's bucket for bags.")]
Order = Annotated[str, typer.Argument(help="The number of the shutdown order, SO-…")]
Work = Annotated[
    Path, typer.Option(help="A directory for bags while they are opened; nobody else may read it.")
]
Certificate = Annotated[Path, typer.Option(help="Our certificate, to which bags are sealed (PEM).")]
Key = Annotated[Path, typer.Option(help="Its private key (PEM), readable by its owner only.")]
SenderKey = Annotated[Path, typer.Option(help="The sender's public key, as agreed on paper (PEM).")]


@app.command()
def pack(
    consignment: File,
    home: Home,
    bag_size: Annotated[int, typer.Option(help="A bag's payload, in MiB, at most and a piece.")] = 64,
) -> None:
    """Pack, seal and sign what is not yet. Killed or refused, it goes on; a finished bag is never written again."""
    from include.handover import packing
    from include.handover.shards import Bounds
    from include.handover.stages import room

    said, desk = read_consignment(consignment), common.desk()
    outcome = packing.pack(room(desk, said.order, home, Bounds(bytes=bag_size << 20)), said)
    common.say(f"{said.order}: {len(outcome.made)} bags packed now")
    for dataset, why in sorted(outcome.left.items()):
        common.say(f"left {dataset}: {why}")
    if outcome.left:
        raise typer.Exit(LEFT)


@app.command()
def send(
    consignment: File,
    home: Home,
    bucket: Bucket,
    again: Annotated[
        str | None, typer.Option(help="Send this one bag anew: it arrived damaged, or not at all.")
    ] = None,
) -> None:
    """Send what is packed and not sent, part by part; a run that was killed goes on at the part where it was."""
    from include.handover import sending, ways

    said, desk = read_consignment(consignment), common.desk()
    done = sending.send(ways.way(desk, said, home, bucket), said, again)
    common.say(f"{said.order}: {len(done)} bags sent now")


@app.command()
def tombstones(consignment: File, home: Home, bucket: Bucket) -> None:
    """Pack, sign and send the tombstones that were made since theirs were packed; again finds what is new. Also after the order's
    end, until its ledger is with the custodian. Exit status 3: a key of theirs is not at hand."""
    from include.handover import packing, sending, ways
    from include.handover.shards import Bounds
    from include.handover.stages import room

    said, desk = read_consignment(consignment), common.desk()
    outcome = packing.later(room(desk, said.order, home, Bounds()), said)
    done = sending.send(ways.way(desk, said, home, bucket), said)
    common.say(f"{said.order}: {len(outcome.made)} bags packed now, {len(done)} sent now")
    for dataset, why in sorted(outcome.left.items()):
        common.say(f"left {dataset}: {why}")
    if outcome.left:
        raise typer.Exit(LEFT)


@app.command("verify-receipt")
def verify_receipt(
    consignment: File,
    bag: Annotated[
        str | None,
        typer.Argument(help="One bag; without: all that were sent, and newer receipts of those received."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Its receipt; without: the one in the successor's bucket.")
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="The successor's bucket for bags.")] = None,
) -> None:
    """Verify receipts of the successor. A bag is `received` only by one without any difference. Exit status 3: one is not."""
    from include.handover import receipts, register, rereading, sending, ways
    from include.model.handover import BagState

    said, desk = read_consignment(consignment), common.desk()
    if (file is None and bucket is None) or (file is not None and bag is None):
        raise Refused(
            "there is nothing to verify",
            about=said.order,
            next_step="name a bag and its --file, or a --bucket",
        )
    with desk.book() as conn:
        names = rereading.bags(conn, said.order)
        there = {b.name for b in register.bags(conn, said.order) if b.state is BagState.RECEIVED}
    way = ways.way(desk, said, bucket=bucket) if bucket is not None else None
    if bag is None and way is not None:
        names = [
            n for n in names if n not in there or rereading.receipt_of(desk, way, said.order, n) is not None
        ]

    def verify(name: str, content: bytes) -> None:
        with desk.book() as conn:
            receipts.verify(conn, said, name, content, actor=common.me("ops"), record=desk.record)

    def lies(name: str) -> bytes | None:
        if file is not None:
            return read(file)
        return sending.receipt_of(way.client, way.bucket, said.order, name) if way is not None else None

    wrong = believe(
        [bag] if bag is not None else names, lies,
        verify, none="no receipt yet", good="received",
    )  # fmt: skip
    if wrong:
        raise typer.Exit(LEFT)


@app.command()
def status(order: Order, as_json: AsJson = False) -> None:
    """How far each bag of an order has come. Exit status 3: not all that was consigned is received."""
    from include.handover import register

    with common.reader() as conn:
        found = register.bags(conn, order)
        whole = register.reconciled(conn, order)
    rows = [
        {"bag": b.name, "state": b.state.value, "items": b.statement.items, "stay": sum(b.stays.values()) or None,
         "bytes": b.statement.bytes, "root": b.statement.root}
        for b in found
    ]  # fmt: skip
    common.table(rows, ("bag", "state", "items", "stay", "bytes", "root"), as_json)
    if not whole:
        raise typer.Exit(LEFT)


@app.command()
def prepare(
    store: Annotated[str, typer.Argument(help="The store of the catalogue, such as company.")],
) -> None:
    """As a successor: make what storing bags needs in an empty database of the same schema.

    Connects by libpq's own variables (PGHOST, PGUSER, PGDATABASE, PGPASSFILE, …), as the owner of the tables or a superuser.
    """
    from include.handover import custody

    custody.prepare("", common.catalogue(), store)
    common.say(f"store {store} is ready to receive")


@app.command()
def receive(
    order: Order, bucket: Bucket, work: Work, certificate: Certificate, key: Key, sender_key: SenderKey
) -> None:
    """As a successor: fetch, verify, open, store, count again and sign for every bag that has arrived.

    Exit status 3: a bag was not stored, or what is stored differs; the receipt says so to the sender.
    """
    from include.cases.certifying import SIGNER
    from include.commands._connections import connections
    from include.handover.receiving import receive as receiving
    from include.ledger.signer import SignerClient

    ours = connections()
    got = receiving(
        inbox(bucket, work, certificate, key, sender_key),
        custody(),
        SignerClient(ours.text(SIGNER)).attest,
        order,
    )
    differ = [r for r in got.receipts if not r.differences.none]
    common.say(
        f"{order}: {len(got.receipts)} bags stored and signed for, {len(differ)} of them with differences"
    )
    for name, why in sorted(got.refused.items()):
        common.say(f"not stored {name}: {why}")
    for _, why in sorted(got.ended.items()):
        common.say(why)
    for r in differ:
        d = r.differences
        common.say(f"{r.bag}: {len(d.missing)} missing, {len(d.changed)} changed, {len(d.extra)} too many")
    if got.refused or differ:
        raise typer.Exit(LEFT)


@app.command()
def prove(
    order: Order, bucket: Bucket, work: Work, certificate: Certificate, key: Key, sender_key: SenderKey
) -> None:
    """As a successor: count again all that is stored, and have a suite of expectations hold it against what the sender signed. An
    entry of our own ledger.

    Exit status 1: something is missing, changed or too many, or was not stored; 3: it could not be counted.
    """
    from include.cases.assembling import record_entry
    from include.commands._connections import connections
    from include.commands._shutdown_books import tell_proof
    from include.handover import proving
    from include.model.words import Verdict

    ours = connections()
    proof = proving.theirs(
        inbox(bucket, work, certificate, key, sender_key), custody(),
        lambda *said: record_entry(ours, *said), order,
    )  # fmt: skip
    tell_proof(proof)
    if proof.verdict is not Verdict.PASSED:
        raise typer.Exit(LEFT if proof.verdict is Verdict.UNVERIFIED else 1)


@app.command()
def adopt(
    order: Order,
    sender: Annotated[
        str | None, typer.Option(help="Whose order it is, where two authorities gave it this number.")
    ] = None,
) -> None:
    """As a successor: have the tombstones that came with an order beside our own, so that `quietus suppression check` holds back
    whom the authority deleted; and its holds, so that they are listed, reviewed and released here. Again changes nothing."""
    from include.handover import adopting

    desk, stores = common.desk(), custody()
    for there, here in sorted(
        adopting.adopt_holds(desk, stores, order, actor=common.me("legal"), sender=sender).items()
    ):
        common.say(f"{order}: {there} came, and is {here} here")
    came, new = adopting.adopt(desk, stores, order, as_of=common.today(), sender=sender)
    common.say(f"{order}: {came} tombstones came, {new} of them new here")


@app.command()
def forget(
    order: Order,
    sender: Annotated[
        str | None, typer.Option(help="Whose order it is, where two authorities gave it this number.")
    ] = None,
) -> None:
    """As a successor: keep of what went by its clock, or by a notice, nothing but its digest. Again finds what is gone since."""
    from include.handover import forgetting

    done = forgetting.forget(custody(), order, sender=sender)
    common.say(f"{order}: of {done} items that are gone nothing but a digest is noted now")
