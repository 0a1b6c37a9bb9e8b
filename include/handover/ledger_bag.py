"""The ledger handed to a custodian: every entry, the signed head, all certificates, the public key and the verifiers, in one bag.

The custodian checks it offline with one command and the authority's public key, which it has from elsewhere:
``python data/verifier/verify_ledger.py . --key pub.pem``. The bag says until when it is kept (RS-24), counted from the day the
order ended. Nothing personal is in it: the ledger has none; sealed originals and the case book stay where they are. Killed, it is
made again from its beginning; the directory has its name only once it is whole and was checked.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path

from include.cases import book, certificates, certifying, keeping
from include.cases.book import Conn
from include.cases.periods import last_day
from include.cases.rooms import Desk
from include.cases.shutdown import orders, who_asked
from include.cases.shutdown.whereabouts import HANDED
from include.handover import late, unpassed
from include.handover.bag import BagWriter
from include.handover.passing_ends import RULE
from include.handover.service_certificate import Service, kept
from include.handover.service_page import page
from include.ledger import attest, log, verify_ledger
from include.ledger.sequencer import publish, sequence
from include.model.errors import NotProved, Refused
from include.model.flow import CaseNo

VERIFIERS = (
    "verify.py", "verify_service.py", "verify_service_said.py", "verify_service_books.py", "verify_service_end.py",
    "verify_receipts.py", "verify_ledger.py",
)  # fmt: skip
README = """\
The ledger of a service that stopped by {order}, kept by {custodian} until {until} ({law}).

Check it with Python 3.10 or later and the package "cryptography", without a network, against the authority's public key as you
have it from elsewhere (data/keys/pub.pem is the same, but whoever changed this directory could have changed that, too):

    python data/verifier/verify_ledger.py . --key pub.pem

data/ledger/entries.jsonl   every entry of the log, in its order: the exact bytes, in base64
data/ledger/checkpoint      the head that the authority signed last (C2SP tlog-checkpoint)
data/ledger/successions.json  how the log came to the present key
data/certificates/          service.json, the auditor's certificate of every case that was certified last,
                            and the one that service.json names, if the case was certified again since
data/receipts/              what the successor signed: receipts for bags, answers to notices and to requests of people, each by
                            its SHA-256, as the ledger names it. The command prints the SHA-256 of the key that they are
                            signed by: compare it with the successor's own
data/service.html           the service's certificate as a page
data/clock.json             until when this is to be kept, and by what
"""


@dataclass(frozen=True)
class Handed:
    """Where it lies, how much is in it, and until when it is kept."""

    directory: Path
    entries: int
    certificates: int
    until: date


def hand_over(
    desk: Desk, number: str, out: Path, *, as_of: date, actor: str, at: Callable[[str], None] = lambda _: None
) -> Handed:
    """Write the bag, check it with the custodian's own command, and say it in the book and the ledger. Raises Refused if the
    service has no certificate yet, a later receipt names a difference or a request is open that nobody answers for, or the
    directory is there; NotProved, with nothing kept, if the check fails."""
    with desk.book() as conn:
        of, service = orders.order(conn, number), kept(conn, number)
        cases = _certified(conn)
    if service is None or of.ended_on is None:
        raise Refused(
            "its service has no certificate yet", about=number, next_step="use `quietus shutdown certificate` first"
        )  # fmt: skip
    with desk.book() as conn:
        late.none_open(conn, number)
        unpassed.none_open(desk, conn, number)
    if out.exists():
        raise Refused("the directory is there already", about=str(out), next_step="name another")
    pem, _ = keeping.public_key(desk.connections)
    rule = desk.catalogue.rule(RULE)
    until = last_day(of.ended_on, rule.periods[0].duration)
    law = "; ".join(b.cite for p in rule.periods[:1] for b in p.basis)
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    writer = BagWriter(unfinished)
    with certifying.ledger_desk(desk) as ledger:
        sequence(ledger.sequencer)
        size, note = publish(ledger.sequencer, ledger.signer)
        entries = 0
        with writer.payload("ledger/entries.jsonl") as file:
            for entry in log.stream(ledger.reader):
                if entry.index >= size:
                    break
                said = {"index": entry.index, "leaf": base64.b64encode(entry.leaf).decode()}
                file.write(json.dumps(said).encode() + b"\n")
                entries += 1
        successions = list(ledger.signer.successions())
    at("ledger.streamed")
    whole: dict[str, bytes] = {
        "ledger/checkpoint": note.encode(), "ledger/successions.json": json.dumps(successions).encode(),
        "keys/pub.pem": pem,
        "certificates/service.json": service.envelope.encode(),
        "service.html": page(service).encode(),
        "clock.json": json.dumps({
            "rule": RULE, "law": law, "starts": of.ended_on.isoformat(), "last_day": until.isoformat(),
            "custodian": of.custodian,
        }, ensure_ascii=False, indent=1).encode(),
        **{f"verifier/{name}": files("include.ledger").joinpath(name).read_bytes() for name in VERIFIERS},
    }  # fmt: skip
    whole["README.txt"] = README.format(
        order=number, custodian=of.custodian or "whoever has it", until=until, law=law
    ).encode()
    for name, content in whole.items():
        with writer.payload(name) as file:
            file.write(content)
    with desk.book() as conn:
        editions, receipts = _editions(conn, cases, service), _receipts(conn, number)
    for receipt in receipts:
        with writer.payload(f"receipts/{attest.digest(receipt)}.json") as file:
            file.write(receipt)
    for name, edition in editions.items():
        with writer.payload(f"certificates/{name}.json") as file:
            file.write(edition.encode())
    writer.finish({"Source-Organization": "Quietus", "External-Identifier": number, "Bagging-Date": as_of.isoformat(),
                   "Quietus-Kept-Until": until.isoformat()})  # fmt: skip
    _checked(pem, number, unfinished)
    at("ledger.written")
    _said(desk, number, until, entries, as_of, actor)
    unfinished.rename(out)
    return Handed(out, entries, len(editions) + 1, until)


def _checked(pem: bytes, number: str, out: Path) -> None:
    """By the very file that goes with it."""
    report = verify_ledger.verify_directory(out, pem)
    if not report.ok:
        raise NotProved(
            f"what was written does not verify: {report.problems[0]}", about=number,
            next_step=f"remove {out}, audit the ledger (`quietus ledger audit`), and hand it over again",
        )  # fmt: skip


def _said(desk: Desk, number: str, until: date, entries: int, as_of: date, actor: str) -> None:
    with desk.book() as conn:
        detail = {"entries": entries, "until": until.isoformat(), "rule": RULE}
        with book.deed(conn, number):
            orders.order(conn, number, lock=True)
            unpassed.none_open(desk, conn, number)  # somebody may have asked while it was written
            orders.say(desk, conn, number, HANDED, as_of, actor, detail)
            who_asked.forget(conn, number)  # from now on nothing is passed on, and nobody needs to know


def _certified(conn: Conn) -> list[CaseNo]:
    """Every case with a certificate: its last one goes, in the auditor's edition."""
    rows = conn.execute(
        "SELECT DISTINCT case_no FROM casebook.certificate WHERE issued_at IS NOT NULL ORDER BY 1"
    ).fetchall()
    return [str(r["case_no"]) for r in rows]


def _editions(conn: Conn, cases: Sequence[CaseNo], service: Service) -> dict[str, str]:
    """Each case's last certificate, and the one that the service's names, if the case was certified again since."""
    found = {}
    said = service.payload
    named = {c["case"]: c["serial"] for c in (*said["cases"], *said["others"]) if c["serial"] is not None}
    for case in cases:
        last = certificates.issued(conn, case)
        found[case] = last.auditor
        if (serial := named.get(case, last.serial)) != last.serial:
            found[f"{case}.{serial}"] = certificates.issued(conn, case, serial).auditor
    return found


def _receipts(conn: Conn, number: str) -> set[bytes]:
    """Everything that the successor signed, as it came."""
    rows = conn.execute(
        "SELECT envelope FROM casebook.handover_receipt WHERE order_no = %(n)s"
        " UNION SELECT envelope FROM casebook.handover_notice_receipt WHERE order_no = %(n)s"
        " UNION SELECT envelope FROM casebook.handover_request_receipt WHERE order_no = %(n)s",
        {"n": number},
    ).fetchall()
    return {bytes(r["envelope"]) for r in rows}
