"""The days of a shutdown: which gate is due when, and the earliest day on which the law lets a service stop (T0). Pure.

Who stops of its own will tells the parties 90 days before and reports to the ministry 60 days before (Electronic Signature Law
23; Measures for Electronic Certification Services 24), and says so on its home page for 30 days (E-commerce Law 16, which
binds who stops *by itself*). A day of filing is not counted: notified on day D, T0 is D + 90 at the earliest. What was filed late
moves T0; nothing ever moves it before what was filed.

Where the licence was revoked (ESL 23 para. 4) no law names days: T0 is when the decision takes effect, and all is due then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

from include.model.errors import Refused


class Path(StrEnum):
    VOLUNTARY = "voluntary"
    LICENCE_REVOKED = "licence_revoked"


class Gate(StrEnum):
    NOTIFIED = "notified"  # the parties concerned, with who takes over
    REPORTED = "reported"  # to the ministry
    REPORTED_E_GOVERNMENT = (
        "reported_e_government"  # to the regulator of certificates for e-government, where there are such
    )
    ANNOUNCED = "announced"  # on the home page, and still up
    SUCCESSOR_TOLD = "successor_told"  # people were told name and contact of a successor that was named later
    CLOSED = "closed"  # no application can write any more


FILED = (Gate.NOTIFIED, Gate.REPORTED, Gate.ANNOUNCED)
"""What is filed whatever happens; each has its own days before T0."""
LEADS: Mapping[Path, Mapping[Gate, int]] = {
    Path.VOLUNTARY: {Gate.NOTIFIED: 90, Gate.REPORTED: 60, Gate.ANNOUNCED: 30},
    Path.LICENCE_REVOKED: dict.fromkeys(FILED, 0),
}
E_GOVERNMENT = 100
"""Days before T0 by which the second regulator is told: a figure of 60 working days that was not verified (law.md D.1), so taken
as more days than they can be, whatever calendar is announced: 100 days have 70 weekdays at least, and holidays take fewer than 10
more than are made up for. 90 are too few when the Spring Festival is among them: 60 working days from 2026-01-30 are 96."""
TELLING = frozenset({Gate.NOTIFIED, Gate.SUCCESSOR_TOLD})
"""What is said to people themselves."""
LAW: Mapping[Gate, str] = {
    Gate.NOTIFIED: "ESL 23; PIPL 22",
    Gate.REPORTED: "ESL 23; MIIT Measures 24",
    Gate.REPORTED_E_GOVERNMENT: "E-government CA Measures (SCA Order 4)",
    Gate.ANNOUNCED: "ECL 16; policy 5.6(2)",
    Gate.SUCCESSOR_TOLD: "PIPL 22",
    Gate.CLOSED: "policy 5.6(1)",
}


@dataclass(frozen=True)
class Days:
    """One order's days. ``done``: gates, each with the day on which it was done. ``successor_since``: since when there is
    the successor; None: there is none. ``renotify_from``: since when an older notice counts no more: the successor that it named
    withdrew, or T0 was moved to before the day that it named. ``told``: the day that everybody was told. ``e_government``: it has
    certificates for e-government, of which a second regulator is told."""

    path: Path
    decided_on: date
    t0: date
    done: Mapping[Gate, date] = field(default_factory=dict)
    successor_since: date | None = None
    renotify_from: date | None = None
    told: date | None = None
    e_government: bool = False

    @property
    def leads(self) -> Mapping[Gate, int]:
        """What is filed, and how many days before T0."""
        if not self.e_government:
            return LEADS[self.path]
        more = {Gate.REPORTED_E_GOVERNMENT: E_GOVERNMENT if self.path is Path.VOLUNTARY else 0}
        return {**LEADS[self.path], **more}

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What this order needs, in order. People who were notified before there was a successor are told of it."""
        told, since = self.done.get(Gate.NOTIFIED), self.successor_since
        late = since is not None and told is not None and since > told
        return (*self.leads, *((Gate.SUCCESSOR_TOLD,) if late else ()), Gate.CLOSED)

    @property
    def open(self) -> tuple[Gate, ...]:
        return tuple(g for g in self.gates if g not in self.done)

    def due(self, gate: Gate) -> date:
        """The last day on which it can be done without moving T0."""
        return self.t0 - timedelta(days=self.leads.get(gate, 0))

    def overdue(self, as_of: date) -> tuple[Gate, ...]:
        return tuple(g for g in self.open if self.due(g) < as_of)

    def earliest(self, as_of: date | None = None) -> date:
        """The first day on which the law lets it stop. Without ``as_of``: by what was filed, and of the rest as if it had been
        filed on the day of the decision. With it: as if the rest were filed that day."""
        if self.path is Path.LICENCE_REVOKED:
            return self.decided_on
        rest = max(self.decided_on, as_of or self.decided_on)
        return max(self.done.get(g, rest) + timedelta(days=n) for g, n in self.leads.items())

    def passed(self, gate: Gate, on: date, as_of: date) -> Days:
        """The days once a gate was done on a day. Late, it moves T0. Done again, it can only have been later than was said.
        Raises Refused."""
        if gate not in self.gates:
            if gate is Gate.REPORTED_E_GOVERNMENT:
                raise Refused(
                    "the order says that there are no certificates for e-government", about=gate,
                    next_step="if there are, withdraw it and open another with --e-government",
                )  # fmt: skip
            raise Refused(
                "people were told of the successor with the notice itself, or there is none",
                about=gate, next_step="name the successor first (`quietus shutdown successor`)",
            )  # fmt: skip
        if not self.decided_on <= on <= as_of:
            raise Refused(
                f"{on} is before the decision, or has not come yet", about=gate,
                next_step=f"give the day on which it was done, from {self.decided_on} on",
            )  # fmt: skip
        if gate is Gate.NOTIFIED and self.renotify_from and on < self.renotify_from:
            raise Refused(
                f"what people were told by then is true no more since {self.renotify_from}", about=gate,
                next_step="notify people anew, and give the day of that",
            )  # fmt: skip
        if gate is Gate.SUCCESSOR_TOLD and self.successor_since and on < self.successor_since:
            raise Refused(
                f"nobody could be told before {self.successor_since} of a successor that was named then",
                about=gate, next_step="give the day on which people were told",
            )  # fmt: skip
        if gate in self.done and on < self.done[gate]:
            raise Refused(
                f"it is said already that it was done on {self.done[gate]}, and a correction never makes it earlier",
                about=gate, next_step="leave it",
            )  # fmt: skip
        after = replace(self, done={**self.done, gate: on})
        return after if Gate.CLOSED in self.done else replace(after, t0=max(after.t0, after.earliest()))

    def moved(self, t0: date, as_of: date) -> Days:
        """With another T0: later, or earlier as far as the law and the calendar still allow. Before the day that people were told
        they are told anew, 90 days ahead: a notice is of a day (ESL 23). Raises Refused."""
        if Gate.CLOSED in self.done:
            raise Refused(
                "collection is closed since T0, which has come", about="T0",
                next_step="withdraw the order, or leave T0",
            )  # fmt: skip
        then = self
        if (
            self.path is Path.VOLUNTARY
            and self.told is not None
            and t0 < self.told
            and Gate.NOTIFIED in self.done
        ):
            then = replace(self, done=_without(self.done, TELLING), renotify_from=as_of, told=None)
        first = max(then.earliest(as_of), as_of) if t0 < self.t0 else then.earliest()
        if t0 < first or (self.path is Path.LICENCE_REVOKED and t0 < self.t0):
            raise Refused(
                f"T0 cannot be {t0}: {then.why(as_of)}", about="T0", next_step=f"choose {max(first, as_of)} or later"
            )  # fmt: skip
        return replace(then, t0=t0)

    def without_successor(self, as_of: date) -> Days:
        """The successor withdrew, on that day. What people were told of who takes over is no longer true, so it counts no more,
        and is not recorded again; of a service that has stopped already, the days before it stay as they were kept."""
        stopped = Gate.CLOSED in self.done
        gone = TELLING - ({Gate.NOTIFIED} if stopped else set())
        return replace(
            self, done=_without(self.done, gone), successor_since=None,
            renotify_from=self.renotify_from if stopped else as_of,
        )  # fmt: skip

    def closable(self, as_of: date) -> None:
        """Raises Refused while collection may not be closed, with all that is missing."""
        missing = [g for g in self.open if g is not Gate.CLOSED]
        first = max(self.t0, self.earliest(as_of if missing else None))
        if self.path is Path.VOLUNTARY and missing:
            raise Refused(
                f"not done yet: {', '.join(missing)}", about="T0", next_step="record each with its document"
            )
        if as_of < first:
            raise Refused(
                f"T0 is {self.t0}, and has not come: {self.why(as_of)}", about="T0", next_step=f"wait until {first}"
            )  # fmt: skip

    def why(self, as_of: date) -> str:
        """What keeps T0 from being earlier, in words."""
        if self.path is Path.LICENCE_REVOKED:
            return f"the decision takes effect on {self.t0}, and only a later decision can put it off"
        said = [
            f"{g} on {self.done[g]}, {n} days" if g in self.done else f"{g} not done by {as_of}, {n} days"
            for g, n in self.leads.items()
        ]
        return f"{'; '.join(said)}: not before {self.earliest(as_of)}"


def _without(done: Mapping[Gate, date], gone: Collection[Gate]) -> dict[Gate, date]:
    return {g: d for g, d in done.items() if g not in gone}
