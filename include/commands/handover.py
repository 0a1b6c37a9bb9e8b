"""``quietus handover``: bags to a successor, and as a successor those of an authority that stops. It deletes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.errors import QuietusError, Refused
from include.model.words import Role

if TYPE_CHECKING:
    from include.model.handover import Consignment

app = typer.Typer(help="Hand over to a successor, or receive as one.", no_args_is_help=True)
LEFT = 3  # the exit status if something could not be packed or stored, or a receipt names a difference
INBOX = "successor_inbox"  # connection <it>_courier: the bucket of the successor, for both sides

File = Annotated[Path, typer.Argument(help="The consignment, as JSON: `quietus shutdown` writes it.")]
Home = Annotated[Path, typer.Option("--dir", help="Where sealed bags lie on our disk.")]
Bucket = Annotated[str, typer.Option(help="The successor's bucket for bags.")]
Order = Annotated[str, typer.Argument(help="The number of the shutdown order, SO-…")]


@app.command()
def pack(
    consignment: File,
    home: Home,
    bag_size: Annotated[int, typer.Option(help="A bag's payload, in MiB, at most and a piece.")] = 64,
) -> None:
    """Pack, seal and sign what is not yet. Killed or refused, it goes on; a finished bag is never written again."""
    from include.cases.certifying import SIGNER
    from include.cases.retention.held import held_people
    from include.handover import packing
    from include.handover.packing import Room
    from include.handover.shards import Bounds
    from include.ledger.signer import SignerClient

    said, desk = _consignment(consignment), common.desk()
    room = Room(
        catalogue=desk.catalogue, connections=desk.connections, book=desk.book,
        attest=SignerClient(desk.connections.text(SIGNER)).attest, home=home, held=held_people(desk),
        bounds=Bounds(bytes=bag_size << 20), record=desk.record,
    )  # fmt: skip
    outcome = packing.pack(room, said)
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
    from include.handover import sending

    said, desk = _consignment(consignment), common.desk()
    client = desk.connections.s3(INBOX, Role.COURIER)
    done = sending.send(sending.Way(client, bucket, home, desk.book), said, again)
    common.say(f"{said.order}: {len(done)} bags sent now")


@app.command("verify-receipt")
def verify_receipt(
    consignment: File,
    bag: Annotated[str | None, typer.Argument(help="One bag; without: every bag that was sent.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Its receipt; without: the one in the successor's bucket.")
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="The successor's bucket for bags.")] = None,
) -> None:
    """Verify receipts of the successor. A bag is `received` only by one without any difference. Exit status 3: one is not."""
    from include.handover import receipts, register
    from include.model.handover import BagState

    said, desk = _consignment(consignment), common.desk()
    if (file is None and bucket is None) or (file is not None and bag is None):
        raise Refused(
            "there is nothing to verify",
            about=said.order,
            next_step="name a bag and its --file, or a --bucket",
        )
    with desk.book() as conn:
        names = [b.name for b in register.bags(conn, said.order) if b.state is BagState.SENT]
    wrong = 0
    for name in [bag] if bag is not None else names:
        content = _read(file) if file is not None else _receipt(said.order, name, str(bucket))
        if content is None:
            common.say(f"{name}: no receipt yet")
            wrong += 1
            continue
        try:
            with desk.book() as conn:
                receipts.verify(conn, said, name, content, actor=common.me("ops"), record=desk.record)
            common.say(f"{name}: received")
        except QuietusError as error:
            common.say(f"{name}: {error}")
            wrong += 1
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
    order: Order,
    bucket: Bucket,
    work: Annotated[
        Path, typer.Option(help="A directory for bags while they are opened; nobody else may read it.")
    ],
    certificate: Annotated[Path, typer.Option(help="Our certificate, to which bags are sealed (PEM).")],
    key: Annotated[Path, typer.Option(help="Its private key (PEM), readable by its owner only.")],
    sender_key: Annotated[Path, typer.Option(help="The sender's public key, as agreed on paper (PEM).")],
) -> None:
    """As a successor: fetch, verify, open, store, count again and sign for every bag that has arrived.

    Exit status 3: a bag was not stored, or what is stored differs; the receipt says so to the sender.
    """
    from include.cases.certifying import SIGNER
    from include.commands._connections import connections
    from include.handover.custody import Custody
    from include.handover.fetching import Inbox, private_key
    from include.handover.receiving import receive as receiving
    from include.handover.sealed import recipient
    from include.ledger.attest import public_key
    from include.ledger.signer import SignerClient

    ours = connections()
    inbox = Inbox(
        ours.s3(INBOX, Role.COURIER), bucket, public_key(_text(sender_key)), recipient(_text(certificate)),
        private_key(key), work,
    )  # fmt: skip
    got = receiving(inbox, Custody(common.catalogue(), ours), SignerClient(ours.text(SIGNER)).attest, order)
    differ = [r for r in got.receipts if not r.differences.none]
    common.say(
        f"{order}: {len(got.receipts)} bags stored and signed for, {len(differ)} of them with differences"
    )
    for name, why in sorted(got.refused.items()):
        common.say(f"not stored {name}: {why}")
    for r in differ:
        d = r.differences
        common.say(f"{r.bag}: {len(d.missing)} missing, {len(d.changed)} changed, {len(d.extra)} too many")
    if got.refused or differ:
        raise typer.Exit(LEFT)


def _consignment(path: Path) -> Consignment:
    from pydantic import ValidationError

    from include.model.handover import Consignment

    try:
        return Consignment.model_validate_json(_read(path))
    except ValidationError as error:
        where = ".".join(str(x) for x in error.errors()[0]["loc"]) or "whole"
        raise Refused(
            f"it is no consignment ({where}: {error.errors()[0]['msg']})", about=str(path),
            next_step="have it written again by `quietus shutdown`",
        ) from None  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Refused("the file cannot be read", about=str(path), next_step="check its name") from None


def _text(path: Path) -> str:
    return _read(path).decode("utf-8", "replace")


def _receipt(order: str, bag: str, bucket: str) -> bytes | None:
    from include.commands._connections import connections
    from include.handover.sending import receipt_of

    return receipt_of(connections().s3(INBOX, Role.COURIER), bucket, order, bag)
