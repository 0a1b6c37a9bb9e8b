"""The end of the sandbox's company: its service is certified, checked offline, and the ledger goes to the custodian."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from include.cases.rooms import Desk
from include.cases.shutdown import media, orders
from include.cases.shutdown.told import Paper
from include.cases.yearly.unsanitised import BACKUP_SET
from include.handover import service_certificate
from include.handover.ledger_bag import hand_over
from include.handover.service_certificate import Service
from include.handover.service_page import page
from include.ledger import verify_service
from include.ledger.verify_service_said import ENDS
from include.model.errors import NotProved
from include.model.media import Becomes
from include.sandbox.days import calendar as calendars
from include.sandbox.days import playing
from include.sandbox.days.calendar import Calendar
from include.sandbox.days.winding_up import Say, WindingUp
from include.sandbox.stack.stack import Stack

OPS = "ops/sandbox"
WIPED = timedelta(days=30)
"""How long after the end the volumes of the backups are wiped."""
OFFLINE = {"PATH": "/usr/bin:/bin"}
"""What a verifier has in its environment: nothing of ours."""


@dataclass(frozen=True)
class Ended:
    """What there is at the end. ``file``: the certificate, ``page`` beside it; ``ledger``: the custodian's directory."""

    service: Service
    day: date
    file: Path
    ledger: Path


def end(stack: Stack, number: str, t0: date, say: Say) -> Ended:
    """Play the days after T0, then certify, verify as a stranger would, and hand the ledger over. Raises NotProved if days do not
    end it, something is open, or a verifier refuses."""
    with calendars.alone(stack.places.home):
        calendar = Calendar.of(stack.places.home, t0)
        company = playing.company(stack, calendar)
        day = WindingUp(company, calendar, number, say).run()
        _media(company.desk, number, day, say)
        made = service_certificate.certificate(company.desk, number, as_of=day, actor=OPS)
    say(day, f"[bold]the service is certified[/bold]: serial {made.serial}; the order is ended")
    file, public = _written(stack, made), Path(stack.ledger_home) / "pub.pem"
    verifier = Path(verify_service.__file__)
    say(
        day,
        f"offline, by {verifier.name}: {_ran([str(verifier), str(file), '--key', str(public)], file.parent)}",
    )
    ledger = _handed(company.desk, stack, number, day)
    said = _ran(["data/verifier/verify_ledger.py", ".", "--key", str(public)], ledger)
    say(day, f"the custodian has the ledger, and checks it by what lies in it: {said}")
    return Ended(made, day, file, ledger)


def _media(desk: Desk, number: str, day: date, say: Say) -> None:
    """Nobody shreds the disks of a sandbox: stores and keys stay with the custodian, and volumes of backups are to be wiped."""
    with desk.book() as conn:
        of = orders.order(conn, number)
        left = [s.carrier for s in media.standing(desk.catalogue, conn, of, day) if s.open]
    volumes = [c.name for c in left if c.kind == BACKUP_SET]
    others = [c.name for c in left if c.kind != BACKUP_SET]
    for who in of.approvers if volumes else ():
        media.say(
            desk,
            number,
            volumes,
            Becomes.LATER,
            until=day + WIPED,
            paper=paper("BR-MEDIA-1"),
            as_of=day,
            actor=who,
        )
    for who in of.approvers if others else ():
        media.say(desk, number, others, Becomes.STAYS, paper=paper("BR-MEDIA-2"), as_of=day, actor=who)
    say(
        day,
        f"both approvers say what becomes of media: {len(others)} stay with {of.custodian}, {len(volumes)} are wiped",
    )


def paper(number: str) -> Paper:
    """A document of the sandbox: only its number and the digest of its file are ever kept."""
    return Paper(number, hashlib.sha256(f"the sandbox's document {number}".encode()).hexdigest())


def _written(stack: Stack, made: Service) -> Path:
    home = Path(stack.certificates) / "service"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = home / f"{made.order}.{made.serial}.json"
    file.write_text(made.envelope, "utf-8")
    file.with_suffix(".html").write_text(page(made), "utf-8")
    return file


def _handed(desk: Desk, stack: Stack, number: str, day: date) -> Path:
    out = stack.places.home / "custodian" / number
    out.parent.mkdir(mode=0o700, exist_ok=True)
    if not out.exists():
        hand_over(desk, number, out, as_of=day, actor=OPS)
    return out


def _ran(words: list[str], where: Path) -> str:
    """The first line that a verifier says, in a process without anything of ours. Raises NotProved."""
    done = subprocess.run(
        [sys.executable, *words], cwd=where, env=OFFLINE, capture_output=True, text=True, timeout=600, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["it said nothing"]
    if done.returncode:
        raise NotProved(
            f"the verifier refuses: {said[0]}",
            about=str(where),
            next_step=f"run it yourself: python {' '.join(words)}",
        )
    return said[0]


def show(console: Console, stack: Stack, ended: Ended) -> None:
    """The books as they are certified, what could not be seen, what stays, and where to look."""
    p, number = ended.service.payload, ended.service.order
    table = Table("dataset", "located", *ENDS, box=None, pad_edge=False)
    for x in p["books"]:
        if x["located"]:
            table.add_row(x["dataset"], *(f"{x[w]:,}" if x[w] else "" for w in ("located", *ENDS)))
    console.print(f"\n[bold]The books of {number}[/bold], as certified on {p['as_of']}")
    console.print(table)
    for x in p["unseen"]:
        console.print(
            f"  [yellow]not seen: {x['place']}: {x['why']}; answered for by {x['document']}, ledger entry {x['entry']}[/yellow]",
            soft_wrap=True,
        )  # fmt: skip
    kept = sum(k["items"] for k in p["residual"])
    last = max((k["last"] for k in p["residual"] if k["last"]), default="")
    console.print(
        f"  {kept:,} items stay with {p['custodian']}, by law, the last of those with a day until {last}"
    )
    other, public = stack.successor, Path(stack.ledger_home) / "pub.pem"
    console.print("\n[bold]Where to look[/bold]")
    if stack.airflow.processes["api-server"].running:
        console.print(f"  the order         {stack.airflow.url}/quietus/shutdown/{number}", soft_wrap=True)
        console.print(f"  log in as         auditor / {stack.airflow.password('auditor')}", soft_wrap=True)
    for name, what in (
        ("its certificate", f"quietus verify {ended.file} --key {public}"), ("as a page", ended.file.with_suffix(".html")),
        ("the custodian's", f"cd {ended.ledger} && python data/verifier/verify_ledger.py . --key {public}"),
        ("its history", f"quietus shutdown show {number}"), ("what stays", f"quietus shutdown residual {number}"),
        ("each bag", f"quietus handover status {number}"), ("sealed bags", stack.bags / number),
        ("as the successor", f". {other.environment_file}"), ("", f"quietus {' '.join(other.proving(number))}"),
    ):  # fmt: skip
        console.print(f"  {name:<17} {what}", soft_wrap=True)
