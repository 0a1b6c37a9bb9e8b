"""What could not be seen after T0, and a person who answers for going on all the same.

UNVERIFIED is no PASSED: nothing goes on by itself behind it. Somebody looks at the place in another way, and says so by a paper;
that stands for these places alone, as they were shown, for the reason that was given, and until a look sees them again: what is
unseen after that is asked about anew. It stays UNVERIFIED in the books and in the service's certificate, by name, with the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import Refused
from include.model.words import Verdict

LOOKED, ACCEPTED = "collection looked at", "unverified accepted"
"""Of the events."""
Where = tuple[str, str, str]
"""Store, place, and why it could not be seen."""


@dataclass(frozen=True)
class Answered:
    """A place that the last look could not see, and for which somebody answers. ``event``: of the answer; ``seen``: the event of
    the last look before it that saw the place, or could not for another reason; None: none did."""

    store: str
    place: str
    why: str
    document: str
    digest: str
    answered_on: date
    event: int
    seen: int | None

    def told(self) -> dict[str, Any]:
        """As JSON: what the books and the certificate say of it."""
        return {
            "store": self.store, "place": self.place, "why": self.why, "document": self.document, "digest": self.digest,
            "answered_on": self.answered_on.isoformat(),
        }  # fmt: skip


def unseen(conn: Conn, number: str) -> tuple[list[Where], list[Answered]]:
    """What the last look at collection could not see: what nobody answers for, and what somebody does. Raises Refused if nobody
    looked yet."""
    events = conn.execute(
        "SELECT event_id, as_of, what, detail FROM casebook.shutdown_event WHERE number = %s AND what = ANY(%s)"
        " ORDER BY event_id",
        (number, [LOOKED, ACCEPTED]),
    ).fetchall()
    looks = [e for e in events if e["what"] == LOOKED]
    if not looks:
        raise _nobody_looked(number)
    open_: list[Where] = []
    answered: list[Answered] = []
    for where in _unasked(looks[-1]["detail"]):
        one = _answer(events, where)
        if one is None:
            open_.append(where)
        else:
            answered.append(one)
    return open_, answered


def _answer(events: Sequence[Mapping[str, Any]], where: Where) -> Answered | None:
    """The newest answer for a place that no look has seen since."""
    seen: int | None = None
    found: Answered | None = None
    for e in events:
        if e["what"] == LOOKED:
            if where not in _unasked(e["detail"]):
                seen, found = e["event_id"], None
        elif list(where) in e["detail"].get("unseen", ()):
            said = e["detail"]
            found = Answered(*where, said["document"], said["digest"], e["as_of"], e["event_id"], seen)
    return found


def open_places(conn: Conn, number: str) -> list[str]:
    """What the last look at collection could not see, and nobody answers for. Raises Refused if nobody looked yet."""
    return sorted({place for _, place, _ in unseen(conn, number)[0]})


@dataclass(frozen=True)
class Unseen:
    """What the last look left unseen that nobody answers for, as a person is shown it. ``look``: the number of its event, by
    which the answer says what was shown."""

    look: int
    places: tuple[Where, ...]

    def __str__(self) -> str:
        return "; ".join(f"{place}: {why}" for _, place, why in self.places)


def shown(conn: Conn, number: str) -> Unseen:
    """What to show to whoever is to answer. Raises Refused if nobody looked yet."""
    return Unseen(int(_looked(conn, number)["event_id"]), tuple(unseen(conn, number)[0]))


def standing(conn: Conn, number: str) -> str | None:
    """What a run reads of the last look if it may go on: passed, or answered for. None: a person is asked."""
    verdict = _looked(conn, number)["detail"]["verdict"]
    if verdict == Verdict.PASSED.value:
        return "collection looked at: passed"
    if verdict == Verdict.UNVERIFIED.value and not open_places(conn, number):
        return "collection looked at: UNVERIFIED in part, and a person answers for that"
    return None


def accept(desk: Desk, number: str, *, look: int, paper: Paper, as_of: date, actor: str) -> list[str]:
    """A person answers for the places that the last look could not see. ``look``: the look that the person was shown; every night
    looks again, and nobody answers for what he never saw. Raises Refused if the last look found something wrong: that no document
    mends; if it could not see a place, or for a reason, that was not shown; or if there is nothing to answer for."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, _):
        last = _looked(conn, number)
        if last["detail"]["verdict"] == Verdict.FAILED.value:
            raise Refused(
                "the last look found that something was written since T0, or still can be", about=number,
                next_step="find who wrote, take that right, close collection again (docs/shutdown.md)",
            )  # fmt: skip
        places, (open_, _) = open_places(conn, number), unseen(conn, number)
        if not places:
            raise Refused(
                "the last look left nothing unseen that nobody answers for", about=number,
                next_step="nothing is to be done",
            )  # fmt: skip
        was = _unasked(_look_of(conn, number, look))
        if new := [f"{place}: {why}" for store, place, why in open_ if (store, place, why) not in was]:
            raise Refused(
                f"look {look} did not leave unseen what the last look does: {'; '.join(new)}", about=number,
                next_step=f"look there, too; then answer for look {last['event_id']} (in Airflow: clear `t0.prove`)",
            )  # fmt: skip
        detail = {
            "places": places,
            "unseen": [list(where) for where in open_],
            "look": look,
            "document": paper.number,
            "digest": paper.digest,
        }
        orders.say(desk, conn, number, ACCEPTED, as_of, actor, detail)
    return places


def _looked(conn: Conn, number: str) -> Mapping[str, Any]:
    """The event of the last look."""
    looks = _looks(conn, number)
    if not looks:
        raise _nobody_looked(number)
    return looks[-1]


def _look_of(conn: Conn, number: str, look: int) -> Mapping[str, Any]:
    """What a look found. Raises Refused if it is none of this order."""
    for e in _looks(conn, number):
        if e["event_id"] == look:
            found: Mapping[str, Any] = e["detail"]
            return found
    raise Refused(
        f"{look} is no look at this order's collection", about=number,
        next_step="`quietus shutdown accept-unverified` without `--look` shows the last one with its number",
    )  # fmt: skip


def _looks(conn: Conn, number: str) -> Sequence[Mapping[str, Any]]:
    return conn.execute(
        "SELECT event_id, detail FROM casebook.shutdown_event WHERE number = %s AND what = %s ORDER BY event_id",
        (number, LOOKED),
    ).fetchall()


def _nobody_looked(number: str) -> Refused:
    return Refused(
        "nobody looked since collection was closed", about=number,
        next_step="use `quietus shutdown close-collection`",
    )  # fmt: skip


def _unasked(looked: Mapping[str, Any]) -> list[Where]:
    return [(s["store"], place, why) for s in looked["stores"] for place, why in sorted(s["unasked"].items())]
