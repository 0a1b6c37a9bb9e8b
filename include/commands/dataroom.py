"""``quietus dataroom``: what is shown in a deal under an agreement, and its end when the deal is over (policy 4.3(7))."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import figures
from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.model.words import Role

if TYPE_CHECKING:
    from include.handover.dataroom_files import Rooms

app = typer.Typer(
    help="Data rooms of deals: shown under an agreement, back or destroyed after.", no_args_is_help=True
)
CONNECTION = "data_room"  # connection <it>_courier, _eraser, _prover: the bucket of the rooms
Number = Annotated[str, typer.Argument(help="The number of the data room, DR-…")]
Actor = Annotated[str, typer.Option(help="Who does it, as role/name.")]
Home = Annotated[Path, typer.Option("--dir", help="Where sealed bags lie on our disk.")]
Bucket = Annotated[str, typer.Option(help="The bucket of the rooms.")]
NUMBER, LINE = re.compile(r"DR-\d{6,}"), re.compile(r"([^\s\ufffd]+)\s+([0-9a-f]{64})")
PUT = {
    True: "",
    False: "  MAY HAVE BEEN SHOWN: nothing shows whether it was in the room",
    None: "  not known to be in the room yet",
}
AGREEMENT = (
    "deal",
    "counterparty",
    "purpose",
    "document",
    "approvers",
    "certificate",
    "statement_key",
    "columns",
)


@app.command("open")
def open_(
    agreement: Annotated[Path, typer.Argument(help="The agreement's terms, as JSON (docs/dataroom.md).")],
    document: Annotated[Path, typer.Option(help="The signed agreement itself: its digest is kept.")],
    actor: Actor,
) -> None:
    """Open a data room under an agreement that two persons approved. Raw biometrics and keys are shown to nobody."""
    from include.cases import keeping
    from include.cases.retention.proposals import in_sandbox
    from include.handover import dataroom

    said, desk = _terms(agreement), common.desk()
    (period,) = [p for p in desk.catalogue.rule(dataroom.RULE).periods if p.name == "main"]
    if (
        period.proposal
        and not (period.proposal.owner and period.proposal.approved_on)
        and not in_sandbox(desk.connections)
    ):
        raise Refused(
            "the days after the deal have no owner or no day of approval", about=f"{dataroom.RULE}/main",
            next_step="give its `proposal` an `owner` and `approved_on`; without them it holds in a sandbox only",
        )  # fmt: skip
    digest = hashlib.sha256(_read(document)).hexdigest()
    with desk.book() as conn:
        room = dataroom.open_room(
            conn, desk.catalogue, desk.record, basis=said.get("basis"), digest=digest, as_of=prc_date(observed_now()),
            actor=actor, ours=keeping.our_key(desk.connections), **{k: said[k] for k in AGREEMENT},
        )  # fmt: skip
    common.say(f"{room.number}: {len(room.columns)} datasets may be shown to {room.counterparty}")


@app.command()
def export(number: Number, home: Home, bucket: Bucket) -> None:
    """Seal what the agreement names and put it in the room. Killed, it goes on; a bag is made once."""
    from include.handover import dataroom_files

    for bag in dataroom_files.export(_rooms(home, bucket), number):
        common.say(f"{bag.dataset}: {bag.items} rows, {bag.left_out} left out, SHA-256 {bag.sha256}")


@app.command()
def close(
    number: Number,
    how: Annotated[str, typer.Option(help="closed or dropped.")],
    document: Annotated[str, typer.Option(help="The number of the paper that says so.")],
) -> None:
    """The deal is over: the clock of RS-29 runs from today. Killed or refused, run it again: of what does not lie in
    the room any more, and nothing else shows it, is told that it may have been shown."""
    from include.handover import dataroom_files

    if how not in ("closed", "dropped"):
        raise Refused(
            "a deal is closed or dropped", about=number, next_step="give --how closed, or --how dropped"
        )
    today = prc_date(observed_now())
    room = dataroom_files.close(_rooms(Path(), ""), number, how=how, document=document, as_of=today)
    common.say(f"{number}: {room.stands(today)}")


@app.command()
def clear(number: Number, home: Home, bucket: Bucket) -> None:
    """Destroy our copies of its bags, every version too, and have the prover look. Exit status 3: something is left."""
    from include.handover import dataroom_files
    from include.model.errors import NotProved

    try:
        room = dataroom_files.clear(_rooms(home, bucket), number, as_of=prc_date(observed_now()))
    except NotProved as error:
        common.say(str(error))
        raise typer.Exit(3) from None
    common.say(f"{number}: {room.stands(prc_date(observed_now()))}")


@app.command()
def returned(
    number: Number, statement: Annotated[Path, typer.Argument(help="What the counterparty signed.")]
) -> None:
    """Take the counterparty's statement that it gave everything back, or destroyed it. It is its word."""
    from include.handover import dataroom

    desk = common.desk()
    with desk.book() as conn:
        room = dataroom.returned(conn, desk.record, number, _read(statement), as_of=prc_date(observed_now()))
    common.say(f"{number}: {room.stands(prc_date(observed_now()))}")


@app.command()
def certificate(
    number: Number,
    out: Annotated[Path, typer.Option(help="A directory for the certificate and its verifier.")],
) -> None:
    """The signed certificate of a room that is over, for the counterparty: what was in it, until when, how it was proved. Issued
    once."""
    from importlib.resources import files

    from include.handover import dataroom_certificate

    made = dataroom_certificate.certificate(common.desk(), number, as_of=prc_date(observed_now()))
    verifiers = files("include.ledger")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{number}.json").write_text(made.envelope, "utf-8")
        for name in ("verify.py", "verify_dataroom.py"):
            (out / name).write_bytes(verifiers.joinpath(name).read_bytes())
    except OSError:
        raise Refused(
            "the directory cannot be written",
            about=str(out),
            next_step="make room or name another, and ask again",
        ) from None
    common.say(
        f"{number}: {out / number}.json; check it: python {out}/verify_dataroom.py {out / number}.json --key pub.pem"
    )


@app.command()
def sign(
    number: Number,
    how: Annotated[str, typer.Option(help="returned or destroyed.")],
    bags: Annotated[
        Path, typer.Option(help="A file with one line a bag: its dataset, a space, its SHA-256.")
    ],
    key: Annotated[Path, typer.Option(help="The agreed Ed25519 key, in PEM.")],
    out: Annotated[Path, typer.Option(help="The statement to write.")],
) -> None:
    """As the counterparty: sign what became of every bag that was given. It needs no connection."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from include.handover import dataroom
    from include.ledger import attest, verify_dataroom

    if how not in verify_dataroom.WORDS:
        raise Refused(
            f"{how!r} is no word that is taken", about=number, next_step="give --how returned, or --how destroyed"
        )  # fmt: skip
    if not NUMBER.fullmatch(number):
        raise Refused(
            "this is no data room's number",
            about=number[:40],
            next_step="give it as in its files' names: DR-000001",
        )
    given = _listed(bags)
    try:
        private = load_pem_private_key(_read(key), None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise Refused(
            "it is no Ed25519 key in PEM without a password", about=str(key), next_step="give the agreed key"
        )
    payload = dataroom.statement(number, how, prc_date(observed_now()), given)
    try:
        out.write_bytes(attest.envelope(payload, private.sign, private.public_key()))
    except OSError as error:
        raise Refused(
            f"it cannot be written: {error.strerror}", about=str(out), next_step="name another file"
        ) from None
    common.say(f"{out}: {how}, {len(given)} bags of {number}")


@app.command()
def show(
    number: Annotated[str | None, typer.Argument(help="One of them.")] = None, as_json: AsJson = False
) -> None:
    """Every data room, or one with its bags. Exit status 1: one is overdue."""
    from include.handover import dataroom

    today = prc_date(observed_now())
    with common.desk().book() as conn:
        found = [dataroom.of(conn, number)] if number else dataroom.rooms(conn)
        late = dataroom.alarms(conn, today)
        bags = dataroom.bags(conn, number) if number else []
    rows: list[dict[str, Any]] = [
        {"number": r.number, "deal": r.deal, "counterparty": r.counterparty, "due": r.due_on, "stands": r.stands(today)}
        for r in found
    ]  # fmt: skip
    if as_json:
        typer.echo(
            json.dumps({"rooms": rows, "bags": [vars(b) for b in bags]}, default=str, ensure_ascii=False)
        )
    else:
        figures(rows, ("number", "deal", "counterparty", "due", "stands"))
        for b in bags:
            common.say(f"{b.dataset} {b.sha256}  {b.items} rows, {b.left_out} left out{PUT[b.put]}")
    raise typer.Exit(1 if late else 0)


def _rooms(home: Path, bucket: str) -> Rooms:
    from include.handover.dataroom_files import Rooms

    desk = common.desk()
    s3 = desk.connections.s3
    return Rooms(
        desk.catalogue, desk.connections, desk.book, home, bucket, lambda: s3(CONNECTION, Role.COURIER),
        lambda: s3(CONNECTION, Role.ERASER), lambda: s3(CONNECTION, Role.PROVER), desk.record,
    )  # fmt: skip


def _terms(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(_read(path))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Refused("it is no JSON object", about=str(path), next_step="see docs/dataroom.md")
    if missing := [k for k in AGREEMENT if k not in said]:
        raise Refused(f"it lacks {', '.join(missing)}", about=str(path), next_step="see docs/dataroom.md")
    columns = said["columns"]
    wrong = [k for k in AGREEMENT if k not in ("approvers", "columns") and not _is_text(said[k])]
    wrong += ["approvers"] if not _are_texts(said["approvers"]) else []
    wrong += ["columns"] if not (isinstance(columns, dict) and all(map(_are_texts, columns.values()))) else []
    wrong += ["basis"] if said.get("basis") is not None and not _is_text(said["basis"]) else []
    if wrong:
        raise Refused(
            f"{', '.join(wrong)}: not as it is to be given", about=str(path), next_step="see docs/dataroom.md"
        )
    return said


def _is_text(value: Any) -> bool:
    """Text that says something; no zero byte, which no book keeps."""
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _listed(path: Path) -> dict[str, str]:
    """Dataset and SHA-256 of each bag of a list. Raises Refused for a line that is none, or of a dataset once more."""
    given: dict[str, str] = {}
    for n, line in enumerate(_read(path).decode("utf-8", "replace").splitlines(), 1):
        found = LINE.fullmatch(line.strip())
        if line.strip() and (found is None or found[1] in given):
            raise Refused(
                f"line {n} is not a dataset, a space, and its SHA-256, each dataset once", about=str(path),
                next_step="give the list as UTF-8, a line for each file that you were given",
            )  # fmt: skip
        if found is not None:
            given[found[1]] = found[2]
    return given


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(
            f"it cannot be read: {error.strerror}", about=str(path), next_step="name a file"
        ) from None
