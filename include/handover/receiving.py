"""The successor's whole way with an order: each bag that has arrived is opened, stored, counted again and signed for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from include.handover import fetching, storing
from include.handover.custody import Custody
from include.handover.fetching import Inbox
from include.handover.recounting import count_again
from include.handover.sending import delivering, receipt_key
from include.model.errors import LedgerError, NoRoom, NotReachable, QuietusError, Refused
from include.model.handover import BagReceipt


class Ended(Refused):
    """Something of a bag that was signed for went, as its clock said."""


@dataclass
class Received:
    """``receipts``: what was signed for; ``refused``: bags that were not stored, and why; ``ended``: bags of which something went
    by its own clock since they were signed for, which stands."""

    receipts: list[BagReceipt] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)


def receive(inbox: Inbox, custody: Custody, attest: Callable[[bytes], bytes], order: str) -> Received:
    """Store what is not stored yet, count everything again, and leave a signed receipt per bag beside it in the inbox.

    A bag that is not what was signed stops that bag alone. Raises NoRoom, NotReachable.
    """
    done = Received()
    for name in fetching.names(inbox, order):
        try:
            done.receipts.append(_one(inbox, custody, attest, order, name))
        except (NoRoom, NotReachable):
            raise
        except Ended as ended:
            done.ended[name] = str(ended)
        except QuietusError as error:
            done.refused[name] = str(error)
        except (LookupError, TypeError, ValueError) as strange:
            # What was signed, and is described as no bag is: nothing of ours, and it stops no other.
            told = LedgerError(
                f"it is signed, and cannot be read as a bag ({type(strange).__name__})", about=name,
                next_step="nothing of it is signed for; have it packed anew",
            )  # fmt: skip
            done.refused[name] = str(told)
    return done


def _one(
    inbox: Inbox, custody: Custody, attest: Callable[[bytes], bytes], order: str, name: str
) -> BagReceipt:
    said, payload = fetching.statement(inbox, order, name)
    fresh = not storing.is_stored(custody, said, payload)
    if fresh:
        with fetching.opened(inbox, order, name) as arrived:
            storing.store(custody, arrived)
    receipt, ended = count_again(custody.at_arrival() if fresh else custody, said, payload)
    if ended and _is_signed_for(inbox, order, name, receipt.statement):
        raise Ended(
            f"{ended} of its items went by their clocks since",
            about=name,
            next_step="what was signed of it stands",
        )
    inbox.at("handover.recounted")
    envelope = attest(receipt.canonical())
    with delivering(f"bag {name}"):
        inbox.client.put_object(
            Bucket=inbox.bucket, Key=receipt_key(order, name), Body=envelope, ContentType="application/json",
            ChecksumAlgorithm="SHA256",
        )  # fmt: skip
    inbox.at("handover.receipted")
    return receipt


def _is_signed_for(inbox: Inbox, order: str, name: str, statement: str) -> bool:
    """Whether a receipt of ours for this very bag, without a difference, lies beside it. Killed after a bag was stored, we may
    come to it only once something of it went."""
    said = fetching.our_word(inbox, receipt_key(order, name), BagReceipt)
    return said is not None and said.statement == statement and said.differences.none
