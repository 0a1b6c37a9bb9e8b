"""The steps by which the proofs themselves are put to the proof, and what a blind night left in doubt is looked at again."""

from __future__ import annotations

from typing import Any

from quietus_console.handing_out import SHOWN, certified_anew, hand_out_each
from quietus_console.work import desk, now, step, today

from include.cases.controls import again, night
from include.model.errors import NotProved

Again = dict[str, Any]


# Both of the pool's slots: nobody else's proof then meets what is planted, or a table that is just being dropped.
@step(pool="proofs", pool_slots=2)
def audit_the_proofs() -> str:
    """Plant, look, remove, and say what was found; red if anything was missed, or anybody else named."""
    audited = night.audit(desk(), as_of=today())
    if not audited.passed:
        raise NotProved(
            str(audited), about="proof_audit",
            next_step="see the table with `quietus proofs audit`, and docs/ops.md on a red night",
        )  # fmt: skip
    return str(audited)


@step(pool="proofs")
def look_again() -> Again:
    """By proofs that were seen to see, at every case at rest that was looked at while they did not. Who was overlooked is raised
    by another task."""
    done = again.prove_again(desk(), **now())
    return {"cases": list(done.cases), "failed": list(done.failed[:SHOWN]), "said": str(done)}


@step
def certify(looked: Again) -> str:
    """What they hold in hands rests on a look that does not count: each is certified anew."""
    return certified_anew(looked["cases"], hand_out_each(desk(), looked["cases"]), "proof_audit")


@step(retries=0)
def nobody_was_overlooked(looked: Again) -> str:
    """Red while somebody is there who should be gone, or a look could not be made; the next night looks again."""
    if failed := looked["failed"]:
        raise NotProved(
            "; ".join(failed), about="proof_audit",
            next_step="see each with `quietus case show`; the next night looks again by itself",
        )  # fmt: skip
    return str(looked["said"])
