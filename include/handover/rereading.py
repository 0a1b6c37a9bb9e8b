"""Everything that the successor signed, read again where it lies: before our copy goes, and between the cases by which it does.

A receipt is the successor's word until it gives another. It may store a bag again, or lose something of it, long after its first
receipt was believed; so whoever is about to delete on one asks whether there is a newer.
"""

from __future__ import annotations

from collections.abc import Callable

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.handover import heard, notices, notifying, receipts, register, sending
from include.handover.sending import Way
from include.model.errors import BooksDoNotBalance, NotReachable, QuietusError
from include.model.handover import BagState, Consignment


def bags(conn: Conn, order: str) -> list[str]:
    """Every bag that was sent, received or not."""
    return [b.name for b in register.bags(conn, order) if b.state is not BagState.PACKED]


def answers(conn: Conn, order: str) -> list[str]:
    """Every notice that waits for its answer, and of each bag the last that was answered: to that a newer answer may come."""
    sent = [n for n in notices.of_order(conn, order) if n.sent]
    last = {n.said.bag: n.name for n in sent}
    return [n.name for n in sent if not n.followed or last[n.said.bag] == n.name]


def receipt_of(desk: Desk, way: Way, order: str, name: str) -> bytes | None:
    """The receipt that lies beside a bag, unless it is recorded and says nothing against it."""
    file = sending.receipt_of(way.client, way.bucket, order, name)
    return None if file is None or _known(desk, order, name, file) else file


def answer_of(desk: Desk, way: Way, order: str, name: str) -> bytes | None:
    """The same of a notice's answer."""
    file, (bag, _, number) = notifying.answer_of(way, order, name), name.rpartition("-")
    return None if file is None or _known(desk, order, bag, file, int(number)) else file


def doubts(desk: Desk, consignment: Consignment, way: Way, *, actor: str) -> dict[str, str]:
    """Read and record every newer receipt and answer; bags of which one cannot be believed, and why: whatever it says, it is not
    what was believed before. What names a difference is recorded, and stops its bag by itself. Raises NotReachable."""
    order, found = consignment.order, dict[str, str]()
    with desk.book() as conn:
        names, told = bags(conn, order), answers(conn, order)

    def believe(bag: str, file: bytes | None, verify: Callable[[Conn, bytes], object]) -> None:
        if file is None:
            return
        try:
            with desk.book() as conn:
                verify(conn, file)
        except NotReachable:
            raise
        except BooksDoNotBalance:
            return  # recorded
        except QuietusError as error:
            found[bag] = f"a newer receipt or answer of it is not believed: {error}"

    for name in names:
        believe(
            name, receipt_of(desk, way, order, name),
            lambda conn, file, name=name: receipts.verify(  # type: ignore[misc]
                conn, consignment, name, file, actor=actor, record=desk.record
            ),
        )  # fmt: skip
    for name in told:
        believe(
            name.rpartition("-")[0], answer_of(desk, way, order, name),
            lambda conn, file, name=name: notifying.verify(  # type: ignore[misc]
                conn, consignment, name, file, actor=actor, record=desk.record
            ),
        )  # fmt: skip
    return found


def _known(desk: Desk, order: str, bag: str, file: bytes, notice: int | None = None) -> bool:
    with desk.book() as conn:
        return heard.is_known(conn, order, bag, file, notice)
