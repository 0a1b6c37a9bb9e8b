"""What is due in every backup set goes, through each set's own tool; once a day, before the sets are looked at.

A hold of the case book keeps what is live. A backup set is held as a whole, by ``hold`` in the catalogue, or by ``holds`` here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from include.backups.expiring.carrying_out import Expired
from include.backups.opening import expire_set
from include.cases.periods import last_day
from include.cases.rooms import Desk
from include.model.backups import written
from include.model.errors import QuietusError
from include.model.estate import BackupSet
from include.model.times import observed_now

KIND = "expired"
"""Of ledger entries: copies of a set that were let go, as seen afterwards."""


@dataclass
class Expiry:
    """``said``: of each set what went; ``alarms``: what must not be so."""

    said: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)


def expire_due(
    desk: Desk, *, as_of: date, holds: Mapping[str, Sequence[str]] | None = None,
    restorable: Mapping[str, Collection[str]] | None = None, yes: bool = False,
) -> Expiry:  # fmt: skip
    """Let go what is due on ``as_of`` in every set whose tool lets copies go. By set: ``holds``, why it must not be touched;
    ``restorable``, copies that a drill restored. A set that cannot be read, that is out of line, or of which nothing may go
    since disposing is stopped, is an alarm and keeps no other from its expiry. ``yes``: somebody's word that more than the
    set's share may go at one time."""
    expiry = Expiry()
    for one in desk.catalogue.backups:
        if not one.restored:
            continue  # versions go by their bucket's own lifecycle, a server's log by its checkpoints
        try:
            done = expire_set(
                one, desk.connections, last=partial(last_day, duration=one.keep), today=as_of,
                holds=(holds or {}).get(one.id, ()), restorable=(restorable or {}).get(one.id, ()),
                yes=yes, reader=desk.backup_tool(one), may_go_on=desk.may_go_on,
            )  # fmt: skip
        except QuietusError as error:
            expiry.alarms.append(f"backup set {one.id} was not expired: {error}")
            continue
        expiry.said.append(f"{one.id}: {len(done.gone)} copies went, {len(done.plan.stay)} stay")
        expiry.alarms += _alarms(one, done)
        if done.gone or done.archive[0] != done.archive[1]:
            _record(desk, one, done, as_of)
    return expiry


def _alarms(one: BackupSet, done: Expired) -> Iterator[str]:
    about = f"backup set {one.id}"
    if done.still:
        yield f"{about}: {', '.join(done.still)} was let go and is still there"
    if done.unplanned:
        yield f"{about}: {', '.join(done.unplanned)} went, and not by us"
    for why in done.not_restorable:
        yield f"{about}: a copy cannot be restored: {why}"
    if done.plan.stopped and done.plan.late:
        yield f"{about}: {len(done.plan.late)} copies are past their last day, and nothing goes: {'; '.join(done.plan.stopped)}"
    elif waiting := [name for name in done.plan.late if not done.plan.stay[name].endswith(" leans on it")]:
        yield f"{about}: {waiting[0]} is past its last day and stays, since {done.plan.stay[waiting[0]]}" + (
            f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
        )


def _record(desk: Desk, one: BackupSet, done: Expired, as_of: date) -> None:
    """A name is the tool's own for a copy; what it holds is not said."""
    observed = observed_now().isoformat()
    archive = done.archive[1]
    body = {
        "set": one.id,
        "store": one.store,
        "gone": list(done.gone),
        "stay": sorted(done.plan.stay),
        "restorable": done.checked,
        "archive_from": None if archive is None else written(archive.oldest),
        "as_of": as_of.isoformat(),
        "observed_at": observed,
    }
    desk.record(KIND, None, body, f"{KIND}:{one.id}:{observed}")
