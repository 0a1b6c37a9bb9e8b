"""What a night passed over that is due still: by its receipts, how much of each dataset, and why, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from include.model.flow import Receipt

STAYED = ("needed", "locked", "refused", "changed")
"""Words of receipts for items that stay though they are due. What is no longer due, or held by now, is none of them."""
NEEDED = "rows, objects or records that stay need these: they go when those go"
REFUSED = "{n} were refused: the eraser lacks the right to delete them, and no lock says why"
CHANGED = "{n} lie in files that were written meanwhile, or in which a record came under a hold: they go the next night"
LOCKED = "{n} are locked, {until}: they go on the first night after that"


def stayed(receipts: Sequence[Receipt]) -> Mapping[str, tuple[int, str]]:
    """Dataset -> how many items stay, and why."""
    counts: dict[str, Counter[str]] = {}
    until: dict[str, str] = {}
    for receipt in receipts:
        for dataset, words in receipt.counts.items():
            counts.setdefault(dataset, Counter()).update({w: words.get(w, 0) for w in STAYED})
            until[dataset] = max(until.get(dataset, ""), receipt.position.get("locked_until", ""))
    return {
        dataset: (words.total(), "; ".join(_said(words, until[dataset])))
        for dataset, words in counts.items()
        if words.total()
    }


def locked(items: int, until: object) -> str:
    """What is said of items under a lock. ``until``: the day on which the last of them ends; nothing: no lock says."""
    return LOCKED.format(n=items, until=f"the last of them until {until}" if until else "under a legal hold")


def _said(words: Counter[str], until: str) -> list[str]:
    said = [NEEDED] if words["needed"] else []
    if words["locked"]:
        said.append(locked(words["locked"], until))
    if words["refused"]:
        said.append(REFUSED.format(n=words["refused"]))
    if words["changed"]:
        said.append(CHANGED.format(n=words["changed"]))
    return said
