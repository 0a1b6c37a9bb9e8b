"""``quietus shutdown books | prove-books | delete-source``: what was located at T0 against where it is now; what may go, goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import UNVERIFIED, figures
from include.commands._shutdown_papers import Document, Scan, paper_of
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.handover.books import Books
    from include.handover.proving import Proof

Number = Annotated[str, typer.Argument(help="SO-000001")]
PARTS = ("located", "transferred", "deleted", "anonymised", "retained", "pending")


def books(
    number: Number,
    as_json: AsJson = False,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops",
) -> None:
    """After T0: located = transferred + deleted + anonymised + retained, by dataset; what does not balance, and why; and which
    bag's items may be deleted here. Every bag's range is read again, so it takes as long as packing did.

    Exit status 1: a dataset does not balance, or not yet; 3: one could not be asked, or a place not seen, though somebody answers
    for it.
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
        for x in found.answered:
            common.say(f"NOT SEEN {x.place}: {x.why}; answered for by {x.document} on {x.answered_on}")
    if found.verdict is not Verdict.PASSED:
        raise typer.Exit(UNVERIFIED if found.verdict is Verdict.UNVERIFIED else 1)


def prove_books(
    number: str, role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops"
) -> None:
    """Balance the books, then have a suite of expectations judge them over the case book: each sum against what was counted on
    T0, and of each bag both sides' roots. An event of the order, and an entry of the ledger.

    Exit status 1: a check failed; 3: one could not be made.
    """
    from include.handover import proving
    from include.handover.books import balance
    from include.model.words import Verdict

    desk, today, me = common.desk(), common.today(), common.me(role)
    proof = proving.ours(desk, balance(desk, number, as_of=today, actor=me), as_of=today, actor=me)
    tell_proof(proof)
    if proof.verdict is not Verdict.PASSED:
        raise typer.Exit(UNVERIFIED if proof.verdict is Verdict.UNVERIFIED else 1)


def tell_proof(proof: Proof) -> None:
    """The verdict, and each check that did not pass."""
    common.say(f"{proof.order}: conservation {proof.verdict.value}, {len(proof.checks)} checks")
    for c in proof.against():
        common.say(f"{c.verdict.value.upper()} {c.name}: {c.why} (expected {c.expected}, seen {c.observed})")


def delete_source(
    number: Number,
    consignment: Annotated[
        Path | None, typer.Option(help="As JSON; without: the one in the directory of the order's bags.")
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(help="The successor's bucket for bags; without: the declared one.")
    ] = None,
    document: Document = None,
    file: Scan = None,
    role: Annotated[str, typer.Option(help="Your role: legal, ops, …")] = "ops",
) -> None:
    """Delete here every bag that `books` says may go, objects first and then the rows that they led through: in pieces, with
    receipts, and proved. The first time a document says that it may: --document, --file. Whatever the successor signed since is
    read first, in its bucket. Killed or refused, run it again; what came in between is asked about each time."""
    from include.cases.shutdown import permitting
    from include.commands._handover import read_consignment
    from include.handover import rereading, ways
    from include.handover.clearing import run
    from include.handover.stages import Handover

    desk, actor = common.desk(), common.me(role)
    if document is not None and file is not None:
        permitting.permit(
            desk, number, paper=paper_of(document, file), as_of=common.today(), actor=actor,
            consignment=read_consignment(consignment).fingerprint() if consignment is not None else None,
        )  # fmt: skip
    elif document is not None or file is not None:
        raise Refused(
            "a document has a number and a file", about=number, next_step="give --document and --file"
        )
    if consignment is not None and bucket is not None:
        said = read_consignment(consignment)
        doubts = rereading.doubts(desk, said, ways.way(desk, said, bucket=bucket), actor=actor)
    else:
        doubts = Handover.of(desk, number).doubts(actor=actor)
    going = run(desk, number, as_of=common.today(), actor=actor, doubts=doubts)
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
