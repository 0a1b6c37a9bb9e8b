"""What is due in one backup set goes, by its tool's own commands; and what became of it is seen, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from include.backups.expiring import planning
from include.backups.expiring.planning import Plan
from include.backups.horizon import ends
from include.model.backups import (
    ArchiveCut,
    BackupCopy,
    BackupExpirer,
    BackupTool,
    Copies,
    WalArchive,
    written,
)
from include.model.errors import Drifted, Refused


@dataclass(frozen=True)
class Expired:
    """What was to go of a set, and what a look afterwards finds. ``checked``: the copy by which it is known that what stays
    can be restored. ``gone``: no longer there, of all that was. ``still``: let go and there all the same. ``unplanned``:
    gone without our doing (a backup tool may expire by itself). ``archive``: the archived WAL before and after.
    ``breaker``: why so much goes only at somebody's word."""

    backup_set: str
    plan: Plan
    dry_run: bool
    gone: tuple[str, ...] = ()
    still: tuple[str, ...] = ()
    unplanned: tuple[str, ...] = ()
    archive: tuple[WalArchive | None, WalArchive | None] = (None, None)
    cuts: tuple[ArchiveCut, ...] = ()
    checked: str | None = None
    not_restorable: tuple[str, ...] = ()
    breaker: str | None = None

    @property
    def as_planned(self) -> bool:
        """Whether everything that was due is gone, as seen, and nothing else."""
        return not (self.still or self.unplanned or self.plan.stopped or (self.breaker and self.dry_run))


def expire(
    backup_set: str, reader: BackupTool, expirer: BackupExpirer, *, last: Callable[[date], date], today: date,
    holds: Sequence[str] = (), restorable: Collection[str] = (), share: float = 0.5, dry_run: bool = False,
    yes: bool = False, may_go_on: Callable[[], None] = lambda: None,
) -> Expired:  # fmt: skip
    """Let go what is due in a set on ``today``; with ``dry_run`` only say what would go.

    ``last``: the last day of a copy, by the day on which it was made. ``holds``: why the set must not be touched, in
    words. ``restorable``: copies that a drill restored; where none of those that stay is among them, the tool reads the
    newest itself. ``may_go_on`` is called before copies go, and before archived WAL does, and raises Stopped. ``share``: of
    the set's chains, how many may go at one time unless ``yes``. Raises Refused if more would, Drifted if the tool would let
    go anything else than is planned: nothing is gone then; NotReachable if it cannot be asked, or stops on the way: then run
    it again.
    """
    before = reader.look()
    dates = ends(before.copies, last)
    known, checked, bad = _known(before, dates, today, holds, restorable, expirer)
    plan = planning.plan(before, dates, today, holds=holds, restorable=known)
    breaker = planning.out_of_line(before, plan, share)
    done = Expired(backup_set, plan, dry_run, checked=checked, not_restorable=bad, breaker=breaker,
                   archive=(before.archive, before.archive))  # fmt: skip
    if plan.stopped:
        return done
    if plan.go:
        _rehearsed(backup_set, plan, expirer.rehearse(plan.go))
    if dry_run:
        staying = [c for c in before.copies if c.name in plan.stay]
        # What the tool would do with the archive once the copies are gone, it can say only once they are.
        return replace(done, cuts=() if plan.go else _cuts(backup_set, staying, expirer))
    if breaker and not yes:
        raise Refused(breaker, about=backup_set, next_step="see what goes with --dry-run, then say --yes")
    if plan.go:
        may_go_on()
        expirer.let_go(plan.go)
    between = reader.look()
    cuts = () if between.problems else _cuts(backup_set, between.copies, expirer)
    if cuts:
        may_go_on()
        expirer.let_go_archive(between.copies)
    return replace(_seen(done, before, reader.look() if cuts else between), cuts=cuts)


def _known(
    copies: Copies, dates: dict[str, date], today: date, holds: Sequence[str], restorable: Collection[str],
    expirer: BackupExpirer,
) -> tuple[Collection[str], str | None, tuple[str, ...]]:  # fmt: skip
    """The copies that are known to be restorable, the one by which that is known of what stays, and those that are not.

    Reading a copy takes long: it is done only if something is due, and until one is found."""
    if_all = planning.plan(copies, dates, today, holds=holds, restorable=[c.name for c in copies.copies])
    if not if_all.go:
        return restorable, None, ()
    candidates = planning.to_check(copies, if_all)
    bad: list[str] = []
    for copy in candidates:
        if copy.name in restorable:
            return restorable, copy.name, ()
    for copy in candidates:
        why = expirer.check(copy)
        if why is None:
            return {*restorable, copy.name}, copy.name, tuple(bad)
        bad.append(f"{copy.name}: {why}")
    return restorable, None, tuple(bad)


def _rehearsed(backup_set: str, plan: Plan, would: Collection[str]) -> None:
    if set(would) == set(plan.go):
        return
    more, less = sorted(set(would) - set(plan.go)), sorted(set(plan.go) - set(would))
    differs = "; ".join(
        part for part in (
            f"the tool would also let go {', '.join(more)}" if more else "",
            f"it would not let go {', '.join(less)}" if less else "",
        ) if part
    )  # fmt: skip
    raise Drifted(
        f"the tool's own rehearsal differs from the plan, and nothing was expired: {differs}",
        about=backup_set,
        next_step="see `quietus backups list`, and what else expires copies of this set",
    )


def _cuts(backup_set: str, staying: Iterable[BackupCopy], expirer: BackupExpirer) -> tuple[ArchiveCut, ...]:
    """What archived WAL goes. Raises Drifted if any of it is needed by a copy that stays."""
    staying = tuple(staying)
    if not staying or any(copy.start is None for copy in staying):
        return ()  # it is not known from where on it is needed
    cuts = expirer.rehearse_archive(staying)
    for cut in cuts:
        # Of several repositories each has its own archive; a directory has one for all its copies.
        there = [copy for copy in staying if copy.location == cut.place] or staying
        needed = min(copy.start for copy in there if copy.start is not None)
        if cut.until > needed:
            raise Drifted(
                f"the tool would let archived WAL go until {written(cut.until)} in {cut.place}, and a copy needs it"
                f" from {written(needed)} on; no WAL was expired",
                about=backup_set, next_step="see the tool's own settings for how long it keeps WAL",
            )  # fmt: skip
    return cuts


def _seen(done: Expired, before: Copies, after: Copies) -> Expired:
    there = {copy.name for copy in after.copies}
    gone = [copy.name for copy in before.copies if copy.name not in there]
    return replace(
        done,
        gone=tuple(gone),
        still=tuple(name for name in done.plan.go if name in there),
        unplanned=tuple(name for name in gone if name not in done.plan.go),
        archive=(before.archive, after.archive),
    )
