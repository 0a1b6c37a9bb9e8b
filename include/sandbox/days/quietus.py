"""What Quietus' own DAGs do on a day, by the same functions, for all cases; told as far as it is about one.

Airflow's scheduler is not asked: its runs have the real day, and go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.cases import (
    backups,
    came_up,
    certificates,
    epochs,
    expiring,
    horizon,
    own_log,
    remains,
    scrubbing,
    settling,
    watch,
)
from include.cases.book import Conn
from include.cases.notices import outbox, telling, truth
from include.cases.rooms import Desk
from include.model.errors import QuietusError
from include.model.times import observed_now
from include.model.words import UnitState
from include.sandbox.days.calendar import Calendar, Horizon
from include.sandbox.days.company import FULL_EVERY, Company

ROBOT = "system/sandbox"
ALL = "all"
NOTHING = "nothing that is known of brings the person back any more"


@dataclass
class Alarms:
    """What is wrong is told once, however many nights it lasts."""

    said: set[str] = field(default_factory=set)

    def new(self, found: Iterable[str]) -> Iterator[str]:
        for alarm in found:
            if alarm not in self.said:
                self.said.add(alarm)
                yield f"ALARM: {alarm}"


def scrub(company: Company, alarms: Alarms, case_no: str, day: date) -> Iterator[str]:
    """*table_scrub*: before any backup is taken, for one that is taken earlier holds the bytes."""
    desk = company.desk
    done = scrubbing.scrub(desk, as_of=day, actor=ROBOT)
    if done.rewritten:
        yield "the tables that something went from are written anew"
    yield from alarms.new(done.left)
    looked = remains.look(desk, as_of=day, actor=ROBOT)
    with desk.book() as conn:
        waiting = scrubbing.to_certify(conn)
    if waiting:
        yield f"their files are looked through for the people's own values: {looked}"
    yield from _certify(company, alarms, waiting, case_no, day)


def purge(company: Company, calendar: Calendar, alarms: Alarms, case_no: str, day: date) -> Iterator[str]:
    """*backup_purge*: what is due goes by each tool's own command, then it is looked what still reaches back."""
    desk = company.desk
    before = {id: set(taken) for id, taken in calendar.taken.items()}
    # After nights that were not played everything is due at once; ops says that it is meant.
    expired = expiring.expire_due(desk, as_of=day, yes=calendar.skipped(FULL_EVERY))
    for id, names in before.items():
        if gone := sorted(names - calendar.taken[id].keys()):
            yield f"{id}: {', '.join(gone)} went, past {'its' if len(gone) == 1 else 'their'} last day"
    yield from alarms.new(expired.alarms)
    came_up.take_left(desk, as_of=day, actor=ROBOT)
    looked = backups.look(desk, as_of=day, actor=ROBOT)
    yield from alarms.new(looked.alarms)
    own_log.look(desk, as_of=day, actor=ROBOT)
    with desk.book() as conn:
        for row in epochs.of_case(conn, case_no):
            if row["purged_on"] == day:
                yield f"{row['backup_set']}: no copy and no log reaches back to before it any more, as seen; R6"
        waiting = sorted({*settling.to_certify(conn), *scrubbing.to_certify(conn)})
    yield from _certify(company, alarms, waiting, case_no, day)
    with desk.book() as conn:
        settling.settle(conn)


def clocks(company: Company, alarms: Alarms, case_no: str, day: date) -> Iterator[str]:
    """*case_clocks* and *recipient_notices*: whoever is silent is reminded, then escalated; who answers is heard."""
    desk = company.desk
    with desk.book() as conn:
        before = outbox.listing(conn, case_no)
    company.turn(day)
    seen = watch.look(desk, as_of=day, actor=ROBOT)
    if case_no in seen.why:
        yield from alarms.new([f"{case_no} is late: {seen.why[case_no]}"])
    yield from alarms.new(_each(telling.due(desk, now=observed_now(), as_of=day), telling.tell, desk, day))
    yield from alarms.new(_each(truth.to_look_at(desk, as_of=day), truth.look_again, desk, day))
    with desk.book() as conn:
        yield from recipients(before, outbox.listing(conn, case_no), day)


def _each(names: Iterable[str], verb: Any, desk: Desk, day: date) -> Iterator[str]:
    """One recipient that cannot be reached keeps no other waiting."""
    for name in names:
        try:
            verb(desk, name, as_of=day, actor=ROBOT)
        except QuietusError as error:
            yield f"{name}: {error.what}"


WORDS: Mapping[UnitState, str] = {
    UnitState.TP_ACKED: "answers that it deleted",
    UnitState.TP_RETAINED: "answers that a law keeps some",
    UnitState.TP_UNLINKED: "is unlinked by us",
    UnitState.TP_ESCALATED: "stays silent, and is escalated",
}


def recipients(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], day: date
) -> Iterator[str]:
    """What changed with the notices of a case, by what happened."""
    known = {(n["recipient"], n["round"]): n for n in before}
    found: dict[str, list[str]] = {}
    for notice in after:
        was = known.get((notice["recipient"], notice["round"]))
        if was is None:
            found.setdefault("is to be told again", []).append(notice["recipient"])
        elif was["state"] != notice["state"]:
            word = WORDS.get(UnitState(notice["state"]), "is told otherwise")
            found.setdefault(word, []).append(notice["recipient"])
        elif was["reminded_on"] != notice["reminded_on"] == day:
            found.setdefault("is reminded", []).append(notice["recipient"])
    for word, names in found.items():
        yield f"{', '.join(sorted(names))}: {'' if len(names) == 1 else 'each '}{word}"


def horizons(conn: Conn, desk: Desk, case_no: str, day: date) -> Iterator[Horizon]:
    """Where the horizon of each backup set stands for a case, and that of all that is known of."""
    for row in epochs.of_case(conn, case_no):
        yield Horizon(row["backup_set"], day, row["horizon"], row["because"], row["purged_on"] is not None)
    whole = horizon.of_case(conn, desk.catalogue, case_no)
    yield (
        Horizon(ALL, day, whole.until, whole.because)
        if whole
        else Horizon(ALL, day, None, NOTHING, over=True)
    )


def _certify(
    company: Company, alarms: Alarms, waiting: Iterable[str], case_no: str, day: date
) -> Iterator[str]:
    """Everybody's certificates are made anew; one that cannot be keeps no other waiting."""
    for one in waiting:
        try:
            said = certified(company, one, day)
        except QuietusError as error:
            yield from alarms.new([f"{one} could not be certified: {error.what}"])
        else:
            if one == case_no:
                yield said


def certified(company: Company, case_no: str, day: date) -> str:
    """Certify a case; what was handed out. With nothing new to say it is the certificate that there is."""
    name = company.hand_out(case_no, day)
    with company.desk.book() as conn:
        return f"certified: {name} ({certificates.issued(conn, case_no).kind})"
