"""Tasks about backups: what is due goes, what each set still has is seen, and what follows for the cases that wait for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from quietus_console.handing_out import certified_anew, hand_out_each
from quietus_console.work import desk, now, step, today

from include.cases import backups, came_up, drills, expiring, own_log, scrubbing, settling
from include.model.errors import NotProved

Looked = dict[str, Any]
DRILLED = timedelta(days=31)
"""For so long what a drill restored is taken to be restorable still."""
SHOWN = 20  # alarms that a message names


@step(pool="disposals")
def expire() -> Looked:
    """What is past its last day goes, through each set's own tool. Where it does not, no other set and no case waits for that."""
    at = desk()
    with at.book() as conn:
        restored = drills.restorable(conn, since=today() - DRILLED)
    expired = expiring.expire_due(at, as_of=today(), restorable=restored)
    return {"expired": "; ".join(expired.said), "alarms": expired.alarms}


@step(pool="proofs")
def look() -> Looked:
    """Each set is asked once, for every night that waits for it. What is wrong is said here, and raised by a task of its own:
    it keeps nobody's certificate waiting. What a killed drill found comes first: its nights are not gone."""
    at = desk()
    came_up.take_left(at, **now())
    looked = backups.look(at, **now())
    return {"looked": str(looked), "alarms": list(looked.alarms)}


@step(pool="proofs")
def prove_logs() -> str:
    """Each case is told what the look at its database's own log came to: R5."""
    return own_log.look(desk(), **now())


@step(pool="proofs")
def certify() -> str:
    """Every case whose last backup set went, or that is proved further, is certified anew. One that cannot be does not keep the
    others waiting."""
    at = desk()
    with at.book() as conn:
        waiting = sorted({*settling.to_certify(conn), *scrubbing.to_certify(conn)})
    failed = hand_out_each(at, waiting)
    with at.book() as conn:
        settling.settle(conn)
    return certified_anew(waiting, failed, "backups")


@step(retries=0)
def nothing_stays_too_long(expired: Looked, looked: Looked) -> str:
    """Red while a set is not read, does not let go what is due, or holds what should be gone by its date."""
    if alarms := [*expired["alarms"], *looked["alarms"]]:
        raise NotProved(
            "; ".join(alarms[:SHOWN]), about="backups",
            next_step="see `quietus backups list`, and what the set's own tool says",
        )  # fmt: skip
    return "every set was read, and nothing is past its date"
