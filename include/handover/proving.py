"""Conservation proved on both sides, as suites of expectations: here over our books, there over what the successor has stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from include.cases.rooms import Desk, Record
from include.cases.shutdown import orders
from include.handover import fetching, following
from include.handover.books import Books
from include.handover.conservation import Kind
from include.handover.custody import Custody, stored
from include.handover.fetching import Inbox
from include.handover.recounting import count_again, kept_again
from include.ledger import attest, verify_service_said
from include.model.errors import NoRoom, NotProved, NotReachable, QuietusError, Refused
from include.model.flow import Check
from include.model.handover import BagStatement
from include.model.times import observed_now
from include.model.words import Verdict

if TYPE_CHECKING:
    from include.proofs.conserved import Kept

PROVED = verify_service_said.CONSERVED
"""Of the event."""
KIND = "handover.proof"
"""Of the successor's entry."""


@dataclass(frozen=True)
class Proof:
    """What a suite said. ``order``: which shutdown it is about."""

    order: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """As of evidence: FAILED before UNVERIFIED, and nothing asked is nothing proved."""
        verdicts = {c.verdict for c in self.checks}
        if Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.PASSED if verdicts == {Verdict.PASSED} else Verdict.UNVERIFIED

    def body(self) -> dict[str, Any]:
        """As JSON, for the ledger: each check with what was expected and seen; why, if it did not pass."""
        return {
            "verdict": self.verdict.value,
            "checks": [
                [c.name, c.verdict.value, c.expected, c.observed, *([c.why] if c.verdict is not Verdict.PASSED else [])]
                for c in self.checks
            ],
        }  # fmt: skip

    def against(self) -> Sequence[Check]:
        return [c for c in self.checks if c.verdict is not Verdict.PASSED]


def ours(desk: Desk, found: Books, *, as_of: date, actor: str) -> Proof:
    """The suite over the books that were just made, said in the book and the ledger, whatever it says. Raises NotReachable."""
    from include.proofs import conserved

    with desk.book() as conn:
        datasets = {d.id for d in orders.order(conn, found.order).datasets(desk.catalogue)}
    bagged = {b.dataset for b, _ in found.bags}
    unasked = {
        x.dataset: r.why
        for x in found.lines
        for r in x.reasons
        if r.kind is Kind.UNASKED and x.dataset in datasets
    }
    proof = Proof(
        found.order, conserved.ours(desk.connections, found.order, datasets | bagged, bagged, unasked)
    )
    with orders.deed(desk, found.order) as (conn, _):
        orders.say(desk, conn, found.order, PROVED, as_of, actor, proof.body())
    return proof


def theirs(inbox: Inbox, custody: Custody, record: Record, order: str) -> Proof:
    """As a successor: every bag that has arrived is counted again, from what is stored and nothing else, and held against
    what the sender signed; said in our own ledger. Raises NotReachable, NoRoom."""
    from include.proofs import conserved

    bags: list[conserved.Kept] = []
    unasked: dict[str, str] = {}
    notices, strange = following.last_notices(inbox, order)
    for (
        called,
        why,
    ) in strange.items():  # as long as nobody knows what it says, nobody knows how it leaves its bag
        unasked[_dataset_of(called)] = why
    arrived = set(fetching.names(inbox, order))
    senders = set[str]()
    for name in sorted(arrived):
        dataset = _dataset_of(name)
        try:
            said, payload = fetching.statement(inbox, order, name)
        except (NotReachable, NoRoom):
            raise
        except QuietusError as error:  # what is not known to be signed proves nothing
            unasked[dataset] = str(error)
            continue
        senders.add(said.sender)
        last = notices.get(name)
        if last is not None and last.statement == attest.digest(payload):
            signed = (last.items, last.root)
        else:
            signed = (said.items, said.root)
        bags.append(_kept(custody, said, payload, signed, unasked))
    for bag in stored(
        custody, order
    ):  # of another authority's order of the same number there is an inbox of its own
        if bag.name not in arrived and (bag.sender in senders or not senders):
            unasked[bag.dataset] = (
                f"{bag.name} is stored, and what its sender signed of it lies in the inbox no more"
            )
    proof = Proof(order, conserved.theirs("successor", bags, unasked))
    when = observed_now().isoformat()
    record(KIND, None, {"order": order, "observed_at": when, **proof.body()}, f"{KIND}:{order}:{when}")
    return proof


def _dataset_of(name: str) -> str:
    """Of a bag, or of a notice about one, by its name."""
    return name.partition("-")[0]


def _kept(
    custody: Custody, said: BagStatement, payload: bytes, signed: tuple[int, str], unasked: dict[str, str]
) -> Kept:
    """One bag: what was signed last of it, by its statement or by a notice, and what is stored."""
    from include.proofs.conserved import Kept

    try:
        seen, _ = count_again(custody, said, payload)
        due, here = kept_again(custody, said, payload)
    except Refused:
        return Kept(said.dataset, *signed, None)  # it was not stored
    except (NotReachable, NoRoom):
        raise
    except QuietusError as error:
        unasked[said.dataset] = str(error)
        return Kept(said.dataset, *signed, None)
    d = seen.differences
    return Kept(
        said.dataset,
        *signed,
        seen.items,
        seen.root,
        len(d.missing) + len(d.changed) + len(d.extra),
        due,
        here,
    )


def proved(proof: Proof) -> str:
    """Raises NotProved naming what did not pass; what could not be asked is said."""
    if proof.verdict is Verdict.FAILED:
        first = [c for c in proof.against() if c.verdict is Verdict.FAILED]
        raise NotProved(
            f"{len(first)} of {len(proof.checks)} checks of conservation failed: "
            + "; ".join(f"{c.name}: {c.why}" for c in first[:20]),
            about=proof.order, next_step="see `quietus shutdown books`; each dataset is named there with what is to be done",
        )  # fmt: skip
    return f"{proof.order}: conservation {proof.verdict.value}, {len(proof.checks)} checks"
