"""Tasks that tell a successor what became of items after their bag was packed, pass on what people ask for once our copy went,
and whom we delete meanwhile; and hear that it followed. Counts alone pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow.sdk.exceptions import AirflowSkipException
from quietus_console.work import desk, now, step

from include.cases.book import Conn
from include.cases.shutdown import orders, who_asked
from include.handover import asking, buried, passing_ends, register, requests
from include.handover.stages import Handover
from include.model.errors import NotProved, Refused

ASKED = "see `quietus handover requests list {n}` (docs/handover.md)"
STATUS = "see `quietus handover status {n}` (docs/handover.md)"
LIST = "see `quietus handover notices list {n}` (docs/handover.md)"


@step
def under_way() -> str:
    """The order in force, if it has handed something over. The book says so: before there is a bag no connection of a handover
    need be declared."""
    with desk().book() as conn:
        order = orders.in_force(conn)
        bags = register.bags(conn, order.number) if order is not None and not order.waits_for else []
    if order is None or not bags or Handover.of(desk(), order.number).consignment() is None:
        raise AirflowSkipException(
            "no order in force has handed something over from the directory of its bags"
        )
    return order.number


@step(pool="proofs")
def tell(number: str) -> str:
    """Every bag's range read again; what became another by cases of ours is told, but for bags of which our copy goes, or went.
    Red if something else became another."""
    told, sent = Handover.of(desk(), number).tell(**now())
    _all_well(told.left, number, LIST)
    going = f"; {len(told.going)} bags went here, or go, by {', '.join(told.cases)}" if told.going else ""
    return f"{number}: {len(told.made)} notices made, {len(sent)} sent now{going}"


@step
def hear(number: str) -> str:
    """What was answered is believed by the key that was compared; red while an answer is forged, or names a difference."""
    heard = Handover.of(desk(), number).hear(actor=now()["actor"])
    _all_well(heard.wrong, number, LIST)
    return f"{number}: {len(heard.believed)} followed now, {len(heard.waiting)} are waited for"


@step
def passing() -> list[str]:
    """Every order of which our copy went, or goes, and requests are passed on still: until its ledger is with the custodian."""
    return _followed(lambda conn, n: bool(asking.went(conn, n)), "nothing went here that a successor has")


@step
def hear_requests(number: str) -> str:
    """Answers to requests are believed by the key that was compared; red while one is forged, names a difference, or is late."""
    heard = Handover.of(desk(), number).hear_requests(actor=now()["actor"])
    with desk().book() as conn:
        late = requests.stand(conn, number, now()["as_of"]).late
    more = [f"{late} requests are past the day on which an answer was due"] if late else []
    _all_well(heard.wrong, number, ASKED, *more)
    return f"{number}: {len(heard.believed)} answered now, {len(heard.waiting)} are waited for"


@step
def pass_on(number: str) -> str:
    """What people ask for, and the successor alone has. Red if of a bag nobody knows whose its items are."""
    asked, sent = Handover.of(desk(), number).pass_on(**now())
    _all_well(asked.left, number, ASKED)
    return f"{number}: {len(asked.made)} requests made, {len(sent)} sent now"


@step
def burying() -> list[str]:
    """Every order whose successor hears of tombstones that are made yet: until its ledger is with the custodian."""
    return _followed(
        lambda conn, n: bool(register.bags(conn, n, buried.TOMBSTONE)),
        "no order has handed tombstones over from the directory of its bags",
    )


@step
def hear_tombstones(number: str) -> str:
    """Receipts for bags of tombstones that were made since are believed by the key that was compared; red while one is forged,
    or names a difference."""
    heard = Handover.of(desk(), number).hear_tombstones(actor=now()["actor"])
    _all_well(heard.wrong, number, STATUS)
    return f"{number}: {len(heard.believed)} bags of tombstones signed for now, {len(heard.waiting)} are waited for"


@step
def bury(number: str) -> str:
    """Tombstones that were made since theirs were packed. Red if a key of theirs is not at hand."""
    made, sent = Handover.of(desk(), number).bury()
    _all_well(made.left, number, STATUS)
    return f"{number}: {len(made.made)} bags of tombstones made, {len(sent)} bags sent now"


@step
def past_their_day() -> list[str]:
    """Every ended order whose last day is over, and whose ledger is here still."""
    it = desk()
    with it.book() as conn:
        found = passing_ends.due(it.catalogue, conn, now()["as_of"])
    if not found:
        raise AirflowSkipException("no ended order is past its last day with its ledger here")
    return found


@step
def end_passing_on(number: str) -> str:
    """Nothing of it is passed on any more, and its tokens of people go. Red while something is open that nobody answers for."""
    return f"{number}: passing on has ended; {passing_ends.end(desk(), number, **now())} tokens of people are gone"


def _followed(has: Callable[[Conn, str], bool], none: str) -> list[str]:
    """The orders that have such, the oldest first: an ended one too, whose ledger is not with the custodian yet. Each has a task
    of its own, so that none hides another."""
    with desk().book() as conn:
        numbers = [
            o.number
            for o in reversed(orders.orders(conn))
            if not o.waits_for and who_asked.may_be_passed_on(conn, o) and has(conn, o.number)
        ]
    if not (found := [n for n in numbers if _packed(n)]):
        raise AirflowSkipException(none)
    return found


def _packed(number: str) -> bool:
    """Whether its bags were packed from their directory. Where that cannot be said, the order's own task is red over it."""
    try:
        return Handover.of(desk(), number).consignment() is not None
    except Refused:
        return True


def _all_well(wrong: Mapping[str, str], number: str, see: str, *more: str) -> None:
    """Red while something is wrong. ``wrong``: why, by name of the bag, notice or dataset."""
    if said := [*(f"{name}: {why}" for name, why in sorted(wrong.items())), *more]:
        raise NotProved("; ".join(said), about=number, next_step=see.format(n=number))
