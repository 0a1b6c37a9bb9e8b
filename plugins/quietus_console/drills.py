"""Tasks of the restore drill: one for each backup set that is restored."""

from __future__ import annotations

from quietus_console.work import desk, now, step

from include.cases import drilling
from include.model.errors import NotProved
from include.model.words import Verdict


@step
def sets() -> list[str]:
    """The declared backup sets that a drill restores."""
    return [backup.id for backup in drilling.sets(desk().catalogue)]


@step(pool="proofs", map_index_template="{{ backup_set }}")
def drill(backup_set: str) -> str:
    """The oldest copy of this set is restored in quarantine, looked through and destroyed. Red if who should be gone is in it."""
    done = drilling.drill(desk(), drilling.declared(desk().catalogue, backup_set), **now())
    if done.verdict is not Verdict.PASSED:
        raise NotProved(
            str(done), about=backup_set,
            next_step="see the findings in the evidence console, and the table in docs/backups.md",
        )  # fmt: skip
    return str(done)
