"""Which copies of a set go, which stay, and why. Pure: no clock and no tool.

A copy whose last day is over goes, but never

- one that a copy leans on that stays, so that no increment outlives what it builds on;
- one that the tool pins, or that does not say when it was made;
- the last one that is known to be restorable;
- anything of a set that is under a hold, or of which something could not be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from include.model.backups import BackupCopy, Copies

_LAST = "no other copy that stays is known to be restorable"


@dataclass(frozen=True)
class Plan:
    """``go``: names in the order in which they go, what leans on another before it. ``stay``: why each other one does.
    ``late``: those whose last day is over and that stay nevertheless. ``stopped``: why nothing of the set may go at all."""

    go: tuple[str, ...]
    stay: Mapping[str, str]
    late: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


def plan(
    copies: Copies,
    ends: Mapping[str, date],
    today: date,
    *,
    holds: Sequence[str] = (),
    restorable: Collection[str] = (),
) -> Plan:
    """``ends``: the last day of each copy. ``holds``: why the set must not be touched. ``restorable``: the names of the
    copies that are known to be, because they were restored or their bytes were read."""
    by_name = {copy.name: copy for copy in copies.copies}
    due = {name for name in by_name if name in ends and ends[name] < today}
    stopped = (*holds, *copies.problems)
    if stopped:
        return Plan((), dict.fromkeys(by_name, "nothing of the set goes"), _in_order(due, by_name), stopped)
    stay = {copy.name: why for copy in copies.copies if (why := _of_itself(copy, ends, today))}
    _with_bases(stay, by_name)
    known = [c for c in by_name.values() if c.name in restorable and whole(c, by_name)]
    go = by_name.keys() - stay.keys()
    if go and not any(copy.name in stay for copy in known):
        if known:
            stay[max(known, key=_made).name] = _LAST
            _with_bases(stay, by_name)
        else:
            stay |= dict.fromkeys(go, _LAST)
    return Plan(_in_order(by_name.keys() - stay.keys(), by_name), stay, _in_order(due & stay.keys(), by_name))


def _of_itself(copy: BackupCopy, ends: Mapping[str, date], today: date) -> str | None:
    if copy.pinned:
        return f"it is pinned ({copy.pinned})"
    if copy.name not in ends:
        return "it does not say when it was made"
    return f"its last day is {ends[copy.name]}" if ends[copy.name] >= today else None


def _with_bases(stay: dict[str, str], by_name: Mapping[str, BackupCopy]) -> None:
    """What stays keeps what it leans on."""
    for name in list(stay):
        for base in bases(by_name[name], by_name):
            stay.setdefault(base, f"{name} leans on it")


def bases(copy: BackupCopy, by_name: Mapping[str, BackupCopy]) -> set[str]:
    """Every copy here that it leans on, directly or through others."""
    found: set[str] = set()
    todo = list(copy.leans_on)
    while todo:
        name = todo.pop()
        if name in by_name and name not in found and name != copy.name:
            found.add(name)
            todo += by_name[name].leans_on
    return found


def whole(copy: BackupCopy, by_name: Mapping[str, BackupCopy]) -> bool:
    """Whether nothing says that it cannot be restored: neither it nor what it leans on is broken, and all of it is here."""
    chain = [copy, *(by_name[name] for name in bases(copy, by_name))]
    return all(c.broken is None and by_name.keys() >= set(c.leans_on) for c in chain)


def _in_order(names: Collection[str], by_name: Mapping[str, BackupCopy]) -> tuple[str, ...]:
    """What leans on more goes first, the oldest of these before the others."""
    return tuple(sorted(names, key=lambda n: (-len(bases(by_name[n], by_name)), _made(by_name[n]), n)))


def _made(copy: BackupCopy) -> datetime:
    return copy.stopped_at or copy.started_at or datetime.min.replace(tzinfo=UTC)


def to_check(copies: Copies, plan_if_all_were: Plan) -> list[BackupCopy]:
    """The copies that would stay if every whole one were restorable, the newest first: one of them must be known to be."""
    by_name = {copy.name: copy for copy in copies.copies}
    staying = [c for c in copies.copies if c.name in plan_if_all_were.stay and whole(c, by_name)]
    return sorted(staying, key=_made, reverse=True)


def out_of_line(copies: Copies, going: Plan, share: float) -> str | None:
    """Why so many at one time are not to go without a word from somebody; None if they are in line.

    Counted by chains, since a full backup goes with all that leans on it: one chain is never too many.
    """
    roots = {copy.name for copy in copies.copies if not copy.leans_on}
    many = len(roots & set(going.go))
    if many <= 1 or many <= share * len(roots):
        return None
    return f"{many} of {len(roots)} chains would go at one time, more than {share:.0%}"
