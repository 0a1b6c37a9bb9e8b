"""What the outside world really still knows of somebody, to be put beside what it said. No body answers this: the
sandbox looks into their memory, as nobody can in life."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rich.table import Table

from include.sandbox.recipients.bodies import Door, bodies
from include.sandbox.recipients.world import World, mark


@dataclass(frozen=True)
class Known:
    """One body and one person: records that it was given, those that it still has, and the categories in them."""

    body: str
    name: str
    door: Door
    given: int
    still: int
    categories: tuple[str, ...]

    @property
    def gone(self) -> bool:
        return self.still == 0


def truth(world: World, account: str) -> tuple[Known, ...]:
    """Every body that was given anything of them, in the order of the bodies' file."""
    still: dict[str, list[str]] = {}
    for body, categories in world.state.rows(
        "SELECT body, categories FROM record WHERE mark = ?", (mark(account),)
    ):
        still.setdefault(body, []).append(categories)
    gone: dict[str, int] = dict(
        world.state.rows("SELECT body, records FROM forgotten WHERE mark = ?", (mark(account),))
    )
    return tuple(
        Known(
            b.id, b.name, world.behaviour(b.id).door, len(still.get(b.id, ())) + gone.get(b.id, 0),
            len(still.get(b.id, ())), tuple(sorted({c for said in still.get(b.id, ()) for c in json.loads(said)})),
        )
        for b in bodies().values()
        if b.id in still or b.id in gone
    )  # fmt: skip


def table(known: tuple[Known, ...]) -> Table:
    """For a terminal: nothing in it is personal."""
    made = Table("body", "told by", "was given", "still has", "of which", box=None, pad_edge=False)
    for one in known:
        has = "[green]nothing[/green]" if one.gone else str(one.still)
        made.add_row(one.body, one.door.value, str(one.given), has, " ".join(one.categories))
    return made
