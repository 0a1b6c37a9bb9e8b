"""Tasks of the maintenance window: tables written anew, files looked into, and what follows for the cases."""

from __future__ import annotations

from typing import Any

from quietus_console.handing_out import certified_anew, hand_out_each
from quietus_console.quiet import only_at_night
from quietus_console.work import desk, now, step

from include.cases import remains, scrubbing
from include.model.errors import NotProved

Scrubbed = dict[str, Any]
SHOWN = 20  # tables that a message names


@step(pool="disposals")
def rewrite() -> Scrubbed:
    """Tables from which something went whose bytes are to go, once for all cases. What was left is raised by another task."""
    only_at_night()
    done = scrubbing.scrub(desk(), **now())
    return {"said": str(done), "left": done.left[:SHOWN]}


@step(pool="proofs")
def look_into_files() -> str:
    """As the prover, in one pass for all cases: who still sees it, which file it is, what is in its bytes."""
    return remains.look(desk(), **now())


@step(pool="proofs")
def certify() -> str:
    """Every case that is proved further than its certificate says. One that cannot be certified keeps no other waiting."""
    at = desk()
    with at.book() as conn:
        waiting = scrubbing.to_certify(conn)
    failed = hand_out_each(at, waiting)
    return certified_anew(waiting, failed, "scrub")


@step(retries=0)
def nothing_was_left(scrubbed: Scrubbed) -> str:
    """Red while a table could not be written anew; the next night tries again."""
    if left := scrubbed["left"]:
        raise NotProved(
            "; ".join(left), about="scrub", next_step="see docs/scrub.md; the next run tries again by itself"
        )
    return str(scrubbed["said"])
