"""The sandbox's company stops, by logical dates: from the order, ninety days before T0, to the certificate of its service.

T0 is today, what came before is dated back, and what comes after is played day by day: dates are judged by the business day, and
everything that is *seen* (rows, rights, bags, receipts) is really there and seen now. The successor receives as itself: another
process, with its own connections.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from rich.console import Console

from include.cases import holds
from include.cases.assembling import desk as make_desk
from include.cases.releasing import release_hold
from include.cases.rooms import Desk
from include.cases.shutdown import (
    accepting,
    approving,
    breaker,
    closing,
    located,
    needles,
    orders,
    people,
    permitting,
    told_recipients,
)
from include.cases.shutdown import preview as previews
from include.cases.shutdown.dates import LEADS, Gate, Path
from include.cases.shutdown.told import Custodian, Successor, Told
from include.catalogue import load
from include.handover import books, proving
from include.handover.books import Books
from include.handover.stages import CERTIFICATE, RECEIPT_KEY, Handover
from include.model.errors import NotProved, Refused
from include.model.sessions import kept
from include.model.times import observed_now, prc_date
from include.model.words import Verdict
from include.sandbox import story
from include.sandbox.certifying_end import end, paper, show
from include.sandbox.company import environment, make_ready
from include.sandbox.days import locks, playing
from include.sandbox.going_on import goes_on
from include.sandbox.stack.places import CHECKOUT
from include.sandbox.stack.stack import Stack
from include.sandbox.stack.successor import CONTACT, NAME

LEGAL, OPS = "legal/sandbox", "ops/sandbox"
LOCKED_FOR = timedelta(minutes=2)
"""Of the evidence, from when it is made: no server locks into the past, and nothing locked goes before."""
APPROVERS = ("legal/reviewer", "board/admin")
"""Two of the sandbox's users."""
Say = Callable[[str], None]


@kept()
def run(people: int, *, stack: Stack | None = None) -> str:
    """Stop the company, step by step, and show where its data is; the order's number. One that is under way is gone on with.
    Raises Refused if the sandbox or its successor does not run; NotProved if a step did not go well."""
    console, begun = Console(highlight=False), time.monotonic()
    if not console.is_terminal:
        console.width = story.WIDTH

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  {line}", soft_wrap=True)

    stack = stack or Stack()
    down = [x.name for x in stack.status() if not x.running and not x.name.startswith("airflow")]
    if down or not stack.successor.exists:
        raise Refused(
            f"{', '.join(down) or 'its successor'} does not run", about="sandbox",
            next_step="quietus sandbox up --successor",
        )  # fmt: skip
    make_ready(stack, say, people=people, locked_for=LOCKED_FOR)
    stopping = Stopping(stack, make_desk(environment(stack), load()), prc_date(observed_now()), say)
    number = stopping.filed()
    stopping.closed(number)
    stopping.handed_over(number)
    stopping.settled(number)
    show(console, stack, end(stack, number, stopping.t0, stopping.told_on))
    for line in stopping.as_successor(["handover", "adopt", number], number):
        stopping.told_on(stopping.t0, f"  the successor: {line}")
    goes_on(stack.successor, stopping.t0, stopping.told_on)
    console.print(
        f"\n[dim]{time.monotonic() - begun:.0f} s in all. quietus sandbox down --purge begins anew.[/dim]"
    )
    return number


@dataclass(frozen=True)
class Stopping:
    """The company that stops. ``t0``: today."""

    stack: Stack
    desk: Desk
    t0: date
    say: Say

    # --- until T0 ------------------------------------------------------------------------------

    def filed(self) -> str:
        """The order and its gates, each on the day on which the law has it at the latest."""
        with self.desk.book() as conn:
            there = orders.in_force(conn)
            done = {g["gate"] for g in orders.gates(conn, there.number)} if there else set()
        number = there.number if there else self.opened()
        for gate, days in LEADS[Path.VOLUNTARY].items():
            if gate.value in done:
                continue
            day = self.t0 - timedelta(days=days)
            if gate is Gate.NOTIFIED:
                self._tell_people(number, day)
            orders.pass_gate(
                self.desk, number, gate, on=day, paper=paper(f"BR-{day:%Y}-{days:03}"), as_of=day, actor=LEGAL
            )
            self.told_on(day, f"{gate.value}: filed, with its document")
        return number

    def opened(self) -> str:
        day = self.t0 - timedelta(days=max(LEADS[Path.VOLUNTARY].values()))
        shown = x509.load_pem_x509_certificate(self.stack.successor.certificate.read_bytes())
        told = Told(
            path=Path.VOLUNTARY, reason="the sandbox's company stops", decided_on=day, t0=self.t0,
            paper=paper(f"BR-{day:%Y}-001"), approvers=APPROVERS, services=(),
            successor=Successor(NAME, CONTACT, shown.fingerprint(SHA256()).hex()), ministry_asked_on=None,
            custodian=Custodian("Sandbox Archive Co", "archive@sandbox.example"),
        )  # fmt: skip
        number = orders.open_order(self.desk, told, as_of=day, actor=LEGAL)
        self.told_on(
            day, f"[bold]{number}[/bold] is opened: the whole company stops on {self.t0}; {NAME} takes over"
        )
        for approver in APPROVERS:
            approving.approve(self.desk, number, as_of=day, actor=approver)
        self.told_on(day, f"approved by {' and '.join(APPROVERS)}, each as themselves")
        found = previews.preview(self.desk, number, as_of=day)
        parts = " + ".join(f"{n:,} {word}" for word, n in found.totals.items())
        self.told_on(
            day, f"preview: located {found.located:,} = {parts}; {len(found.findings)} for a person to decide"
        )
        return number

    def told(self, number: str) -> None:
        """Everybody gets the letter, on the day on which the notice is due; of nobody a second."""
        self._tell_people(number, self.t0 - timedelta(days=LEADS[Path.VOLUNTARY][Gate.NOTIFIED]))

    def _tell_people(self, number: str, day: date) -> None:
        run = people.notify(self.desk, number, as_of=day, actor=LEGAL)
        if run.stopped:
            raise NotProved(
                f"not everybody was come to: {run.stopped}", about=number, next_step="run it again"
            )
        t = run.telling
        self.told_on(day, f"{t.told:,} people are told by letter, {t.unreached:,} by the announcement")

    def decided(self) -> None:
        """Disputes are decided before the service ends: one that still held something would keep its bags in both places."""
        with self.desk.book() as conn:
            held = [str(row["hold"]) for row in holds.listing(conn)]
        for hold in held:
            release_hold(self.desk, hold, document="AWARD-1", as_of=self.t0, actor=LEGAL)
            self.told_on(self.t0, f"the dispute of {hold} is decided: legal releases it, by AWARD-1")

    def closed(self, number: str) -> None:
        """T0: collection ends, and another role looks; then everything is counted."""
        self.decided()
        closing.close(self.desk, number, paper=paper("BR-T0-1"), as_of=self.t0, actor=OPS)
        proof = closing.prove(self.desk, number, as_of=self.t0, actor=OPS)
        needles.gather(self.desk, number, as_of=self.t0, actor=OPS)
        located.locate(self.desk, number, as_of=self.t0, actor=OPS)
        self.told_on(self.t0, f"collection is closed: {closing.proved(proof)}")
        with self.desk.book() as conn:
            unseen = accepting.shown(conn, number) if proof.verdict is Verdict.UNVERIFIED else None
        if unseen is not None and unseen.places:
            places = accepting.accept(
                self.desk, number, look=unseen.look, paper=paper("BR-T0-2"), as_of=self.t0, actor=LEGAL
            )
            self.told_on(self.t0, f"legal answers for what could not be seen: {', '.join(places)}")

    # --- to the successor, and back ------------------------------------------------------------

    def handed_over(self, number: str) -> None:
        """Packed, sent, received by the other company, and believed."""
        way, other = Handover.of(self.desk, number), self.stack.successor
        way.papers.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(other.certificate, way.papers / CERTIFICATE)
        shutil.copyfile(other.receipt_key, way.papers / RECEIPT_KEY)
        digest = hashlib.sha256(other.receipt_key.read_bytes()).hexdigest()
        made = way.consign(digest, document="BR-T0-3", as_of=self.t0, actor=OPS)
        self.told_on(self.t0, f"{len(made.datasets)} datasets are consigned to {made.successor.name}")
        packed = way.pack()
        self.told_on(self.t0, f"{len(packed.made)} bags are packed, sealed and signed")
        for dataset, why in sorted(packed.left.items()):
            self.told_on(self.t0, f"[yellow]left[/yellow] {dataset}: {why}")
        self.told_on(self.t0, f"{len(way.send())} bags are sent")
        self.told_on(self.t0, "the successor receives, as itself: quietus handover receive")
        for line in self.receive(number):
            self.told_on(self.t0, f"  {line}")
        if wrong := way.verify(actor=OPS):
            bag, why = next(iter(sorted(wrong.items())))
            raise NotProved(
                f"{len(wrong)} bags are not received, {bag}: {why}",
                about=number,
                next_step="read the lines above",
            )
        self.told_on(self.t0, "every receipt is verified: both sides computed the same roots")

    def receive(self, number: str) -> list[str]:
        """What the successor's own command says."""
        return self.as_successor(self.stack.successor.receiving(number), number)

    def as_successor(self, words: list[str], number: str) -> list[str]:
        """What ``quietus`` says in the successor's environment. Raises NotProved if it ends with an error."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("QUIETUS_", "AIRFLOW", "PG"))}
        done = subprocess.run(
            [sys.executable, "-m", "include.commands", *words], cwd=CHECKOUT,
            env={**plain, **self.stack.successor.shell(), "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True,
            timeout=1800, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise NotProved(
                f"the successor did not come through: {said[-1] if said else 'it said nothing'}", about=number,
                next_step=f"run it as the successor and read what it says: quietus {' '.join(words)}",
            )  # fmt: skip
        return done.stdout.strip().splitlines()

    def settled(self, number: str) -> Books:
        """Our copy goes, then what goes to nobody; then the books, and the suite that judges them."""
        self._unlocked()
        way = Handover.of(self.desk, number)
        permitting.permit(self.desk, number, paper=paper("BR-T0-4"), as_of=self.t0, actor=OPS)
        for going in way.delete_source(as_of=self.t0, actor=OPS):
            self.told_on(
                self.t0, f"{len(going.bags)} bags are gone here, by {going.case_no}, and proved to be"
            )
        for approver in APPROVERS:
            figures, _ = breaker.approve(self.desk, number, as_of=self.t0, actor=approver)
            self.told_on(
                self.t0, f"{approver} lets go what goes to nobody: {sum(figures.values()):,} items at most"
            )
        gone = way.dispose(as_of=self.t0, actor=OPS)
        self.told_on(
            self.t0,
            f"{sum(gone.values()):,} items of {len(gone)} datasets went to nobody, and are proved gone",
        )
        found = books.balance(self.desk, number, as_of=self.t0, actor=OPS)
        proof = proving.ours(self.desk, found, as_of=self.t0, actor=OPS)
        passed = sum(c.verdict is Verdict.PASSED for c in proof.checks)
        self.told_on(
            self.t0, f"conservation is judged by a suite: {passed} of {len(proof.checks)} checks passed"
        )
        for line in self.as_successor(self.stack.successor.proving(number), number):
            self.told_on(self.t0, f"  the successor, of what it has stored: {line}")
        there = told_recipients.tell(self.desk, number, as_of=self.t0, actor=OPS)
        self.told_on(
            self.t0,
            f"{len(there.told)} recipients are told by {there.case_no}; the certificate waits for their answers",
        )
        return found

    def _unlocked(self) -> None:
        """What a lock keeps is in both places until the lock ends, whoever signed for it; and a shortened one is another than was
        packed. Raises Refused if that is more than minutes."""
        end = locks.last(playing.eraser(self.stack))
        if end is None:
            return
        if end - observed_now() > LOCKED_FOR:
            raise Refused(
                f"Object Locks keep some evidence until {end:%Y-%m-%d %H:%M} UTC", about="sandbox",
                next_step="run it again after that, or begin anew: quietus sandbox down --purge, then make demo-shutdown",
            )  # fmt: skip
        self.told_on(self.t0, f"the last Object Lock ends at {end:%H:%M:%S} UTC, and is waited for")
        time.sleep(max(0.0, (end - observed_now()).total_seconds() + 2))

    def told_on(self, day: date, line: str) -> None:
        """Say a line of a day, counted from T0."""
        n = (day - self.t0).days
        self.say(f"[dim]T{'+' if n > 0 else '-'}{abs(n):<3}[/dim] {line}")
