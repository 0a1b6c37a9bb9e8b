"""What a play ends with: a drill of the oldest copy, a certificate that is verified, the horizon through time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from textwrap import shorten

from rich.console import Console
from rich.table import Table

from include.cases import book, certificates, drilling, epochs, units
from include.cases.drilling import Drilled
from include.cases.guards import BEYOND_RECALL
from include.cases.notices import outbox
from include.cases.rooms import Desk
from include.cases.shelf import Shelf
from include.ledger.verify import verify
from include.model.errors import NotProved
from include.model.words import CaseState, UnitState, Verdict
from include.sandbox.days.calendar import Played
from include.sandbox.days.play import WIDTH
from include.sandbox.days.quietus import ROBOT


def drills(desk: Desk, case_no: str, day: date) -> Iterator[Drilled]:
    """Drill every set: who should be gone is not to be found, who is still in its oldest copy is. Raises NotProved if somebody
    comes up who should be gone, or the look was not whole."""
    for backup in drilling.sets(desk.catalogue):
        done = drilling.drill(desk, backup, as_of=day, actor=ROBOT)
        if done.verdict is not Verdict.PASSED:
            raise NotProved(
                str(done), about=backup.id,
                next_step=f"see its findings with `quietus case show {case_no}`, and docs/backups.md",
            )  # fmt: skip
        yield done


def verified(shelf: Shelf, case_no: str, public: Path) -> tuple[Path, ...]:
    """The last certificate in both editions, each of which verifies offline. Raises NotProved for one that does not."""
    found = []
    for edition in ("person", "auditor"):
        name = [n for n in shelf.names(case_no) if n.endswith(f".{edition}.json")][-1]
        report = verify(shelf.get(name), public.read_bytes())
        if report.problems:
            raise NotProved(f"the certificate does not verify: {report.problems[0]}", about=name)
        found.append(shelf.directory / name)
    return tuple(found)


def show(
    console: Console, desk: Desk, case_no: str, played: Played, day: date, shelf: Shelf, public: Path
) -> None:
    """Drill, verify, and say where it all stands. Raises as the two do."""
    console.print()
    console.print(horizons(played))
    console.print()
    with desk.book() as conn:
        state = book.case(conn, case_no).state
        kind = certificates.issued(conn, case_no).kind
    said = "closed" if state is CaseState.CLOSED else f"{state.value}, and not over"
    console.print(
        f"[bold]{case_no}[/bold] is {said} on {day}, {(day - played.begun).days} days after the play began."
    )
    for line in waits(desk, case_no):
        console.print(f"  it waits for {line}", soft_wrap=True)
    for done in drills(desk, case_no, day):
        console.print(
            f"  drill         {done.copy} restored in {done.restored_in:.0f} s, looked through in {done.looked_in:.0f} s: of"
            f" {done.beyond.cases} cases that should be gone {len(done.beyond.failed)} come up; of {done.within.cases} that it is"
            f" from before {done.within.known} are found",
            soft_wrap=True,
        )  # fmt: skip
    files = verified(shelf, case_no, public)
    console.print(f"  certificate   {kind}, both editions verified offline; do it yourself, anywhere:")
    for file in files:
        console.print(f"    quietus verify {file} --key {public}", soft_wrap=True)
    console.print(f"  quietus case show {case_no}")


def horizons(played: Played) -> Table:
    """Each day on which a horizon became another."""
    table = Table(
        title="The horizon through time", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for name, width in (("day", 4), ("date", 10), ("of", 14), ("until", 10), ("set by", 76)):
        table.add_column(name, width=width, overflow="fold", justify="right" if name == "day" else "left")
    for h in (h for h in played.horizons if not h.repeats):
        table.add_row(
            str((h.day - played.begun).days),
            str(h.day),
            h.of,
            h.where,
            shorten(h.because, WIDTH, placeholder=" …"),
        )
    return table


def waits(desk: Desk, case_no: str) -> Iterator[str]:
    """What keeps a case from its end: dates, holds, starting points, copies, recipients."""
    with desk.book() as conn:
        ours = [u for u in units.of_case(conn, case_no) if u.state not in BEYOND_RECALL]
        sets = [r for r in epochs.of_case(conn, case_no) if r["purged_on"] is None]
        open_ = [n for n in outbox.listing(conn, case_no) if UnitState(n["state"]) not in BEYOND_RECALL]
    dates: dict[str, set[date]] = {}
    for unit in ours:
        if unit.until and unit.hold is None:
            dates.setdefault(unit.law or "", set()).add(unit.until)
    for law, days in sorted(dates.items(), key=lambda x: min(x[1])):
        first, last = min(days), max(days)
        yield f"{first} ({law})" if first == last else f"{len(days)} dates from {first} to {last} ({law})"
    for hold in sorted({u.hold for u in ours if u.hold}):
        yield f"the end of {hold}"
    for what, n in Counter(u.waits_for for u in ours if u.waits_for and not u.until).items():
        yield f"{what} ({n} kinds of data)"
    for row in sets:
        yield f"backup set {row['backup_set']}, until {row['horizon'] or 'open'}: {row['because']}"
    for notice in open_:
        yield f"recipient {notice['recipient']}"
