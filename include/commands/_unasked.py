"""``quietus retention unasked``: consents that were withdrawn, accounts that sleep, cases whose date has come; and new cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import as_json as tell
from include.commands._retention import figures
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.cases.unasked import Looked


def register(app: typer.Typer) -> None:
    """Add this command to ``quietus retention``."""
    app.command("unasked")(unasked)


def unasked(
    open_: Annotated[
        bool, typer.Option("--open", help="Open a case for each; without it, only look.")
    ] = False,
    at_most: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --open: for so many people; a person's word, if more are found than ever."
        ),
    ] = None,
    to_tell: Annotated[
        Path | None,
        typer.Option(
            help="Write the ids of accounts whose holders are to be told to this new file, for whoever tells."
        ),
    ] = None,
    actor: Annotated[
        str, typer.Option(help="With --open: who opens them, as role/name.")
    ] = "ops/command-line",
    as_json: AsJson = False,
) -> None:
    """Consents that were withdrawn, accounts that sleep, and cases of which a date has come: what waits. The DAG sees to it
    every night.

    Exit status 0: nothing waits; 1: something does; 4: with --open, so much that a person has to give a word.
    """
    from include.cases import unasked as look

    desk, today = common.desk(), common.today()
    if not open_:
        seen = look.look(desk, today)
        _tell(seen, as_json)
        if to_tell is not None:
            _write(to_tell, seen.asleep.to_tell)
        waits = seen.withdrawn.to_follow or seen.asleep.due or seen.asleep.to_tell or seen.begun or seen.woken
        raise typer.Exit(1 if waits else 0)
    if at_most is None and (why := look.look(desk, today).needs_word):
        common.say(f"nothing was opened; a person has to look: {why}")
        common.say("then: quietus retention unasked --open --at-most N --actor ROLE/NAME")
        raise typer.Exit(4)
    made = look.open_cases(desk, as_of=today, actor=actor, at_most=at_most)
    for case_no in made.cases:
        common.say(f"{case_no}: open; its run carries it out, or the verbs of `quietus case`")
    for case_no in made.closed:
        common.say(f"{case_no}: closed, for nothing is left of what it reaches")
    if made.left:
        common.say(f"{made.left:,} people are left for the nights after")
    raise typer.Exit(1 if made.cases or made.left else 0)


def _write(file: Path, ids: Sequence[str]) -> None:
    """One id a line, for its owner alone to read. Raises Refused if something is there already."""
    try:
        file.touch(0o600, exist_ok=False)
        file.write_text("".join(f"{who}\n" for who in ids), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"the file cannot be made ({error.strerror})", about="--to-tell", next_step="name a new file"
        ) from None
    common.say(f"{len(ids):,} account ids written; note in the company's own table when each holder was told")


def _tell(seen: Looked, as_json: bool) -> None:
    w = seen.withdrawn
    rows = [
        {"withdrawn consents": "to follow", "many": len(w.to_follow)},
        {"withdrawn consents": "have their case", "many": w.followed},
        {"withdrawn consents": "taken along by a case about the whole person", "many": w.taken_along},
        {"withdrawn consents": "nothing that rested on it is left", "many": w.nothing_there},
        {"withdrawn consents": "nothing rests on it alone: all stays, by contract or law", "many": w.needed},
        {"withdrawn consents": "withdrawn before it was given: taken for one that stands", "many": w.unclear},
    ]  # fmt: skip
    a = seen.asleep
    sleeping = [
        {"dormant accounts": "holder to be told", "many": len(a.to_tell)},
        {"dormant accounts": "told, and time left", "many": a.told},
        {"dormant accounts": "to be cancelled", "many": len(a.due)},
        {"dormant accounts": "left to a hold", "many": a.held},
        {"dormant accounts": "have a case about the whole person", "many": a.taken_along},
    ]  # fmt: skip
    if as_json:
        counts = {"to_follow": len(w.to_follow), "people": w.people, "followed": w.followed, "taken_along": w.taken_along,
                  "nothing_there": w.nothing_there, "needed": w.needed, "unclear": w.unclear}  # fmt: skip
        asleep = {"off": a.off, "to_tell": len(a.to_tell), "told": a.told, "due": len(a.due), "held": a.held,
                  "taken_along": a.taken_along}  # fmt: skip
        told = {"withdrawn": counts, "asleep": asleep, "needs_word": seen.needs_word, "open": list(seen.begun),
                "woken": list(seen.woken)}  # fmt: skip
        tell(told, (), {})
        return
    figures(rows, ("withdrawn consents", "many"))
    common.say("")
    if a.off:
        common.say(f"dormant accounts: off, for {a.off}")
    else:
        figures(sleeping, ("dormant accounts", "many"))
    if seen.needs_word:
        common.say(f"more than ever: {seen.needs_word}; a person's word is needed (--at-most)")
    for case_no in seen.begun:
        common.say(f"{case_no}: open, and not begun")
    for case_no in seen.woken:
        common.say(f"{case_no}: at rest, and a date of it has come")
