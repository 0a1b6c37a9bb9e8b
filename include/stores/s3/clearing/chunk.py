"""One chunk of a night's objects. Nothing is disposed of by what was found hours ago: whether its paths are due is asked again,
with the holds of now, and what is there is listed again. What falls out is left as it is:

    not_due    its dates changed, a hold names its owner by now, or it is gone already, by somebody's own case
    locked     the server keeps the version until a day, or under a legal hold; it goes on the first night after that
    refused    the server does not let the eraser delete it, and no lock says why: a right is missing
    changed    of a record file: it was written, or a hold came over a record in it, since it was located
    needed     of a record file: an old version alone holds a record that stays

A delete marker stays while a version stays that it hides: without it that would come to light again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.template import Template
from include.model.times import prc_date
from include.stores.s3.clearing import finding
from include.stores.s3.clearing.finding import Due, Within
from include.stores.s3.items import Item
from include.stores.s3.server import BATCH, Deleted, abort_uploads, delete_versions
from include.stores.s3.site import Site, happened

NOT_DUE, LOCKED, REFUSED, UPTO = "not_due", "locked", "refused", "upto"
CHANGED, NEEDED = "changed", "needed"
"""Words of a receipt beside dispositions: items that were passed over, and the last place in the order that was dealt with."""
LOCKED_UNTIL = "locked_until"
"""Of a receipt's position: the day on which the last of its locks ends; empty: no lock says."""

Numbered = Sequence[tuple[int, Item]]  # items with their places in the manifest


@dataclass
class Chunk:
    """Items of one dataset, whole keys, that are disposed of together. ``passed``: place -> why it stays."""

    site: Site
    dataset: Dataset
    rows: Numbered
    passed: dict[int, str] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)  # of a chunk that was begun before: not there any more
    until: date | None = None
    requests: list[str] = field(default_factory=list)

    def go_on(self, said: Mapping[str, Any]) -> None:
        """Take up what was said of it, if it was begun before."""
        self.until = date.fromisoformat(said["until"]) if said.get("until") else None
        self.passed = {int(n): why for n, why in said.get("passed", {}).items()}

    @property
    def left_over(self) -> int:
        """How many items are passed over."""
        return sum(item.records for n, item in self.rows if n in self.passed and item.kind != "file")

    def intent(self) -> dict[str, Any]:
        """What must be known to go on with it."""
        until = self.until.isoformat() if self.until else None
        return {"dataset": self.dataset.id, UPTO: self.rows[-1][0], "passed": self.passed, "until": until}

    def decide(self, *, begun: bool) -> None:
        """Ask again, and pass over what is not to go. ``begun``: its intent was written before, so that what is not there any
        more went by us. Raises whatever asking or listing raises; nothing was touched then."""
        raise NotImplementedError

    def carry_out(self) -> None:
        """Do it. What the server keeps is passed over, too. Again is harmless: what is gone counts as done."""
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        """What became of the items, and how far this chunk goes."""
        found: Counter[str] = Counter()
        for n, item in self.rows:
            if item.kind != "file":
                found[self.passed.get(n) or happened(item)] += item.records
        return {**found, UPTO: self.rows[-1][0]}

    def position(self) -> dict[str, str]:
        said = {"requests": " ".join(r for r in self.requests if r)}
        if LOCKED in self.passed.values():
            said[LOCKED_UNTIL] = self.until.isoformat() if self.until else ""
        return said

    # --- what stays ----------------------------------------------------------------------------------

    def _look_at_locks(self, rows: Numbered) -> list[int]:
        """The places of those that are locked, which are passed over. A lock is an observation: the wall clock judges it."""
        versions = [(n, item) for n, item in rows if item.kind not in ("marker", "upload")]
        if not versions or not self.site.locking(self.dataset.address):
            return []
        found = []
        locks = self.site.locks(self.dataset.address, [item for _, item in versions])
        for (n, _), (end, legal_hold) in zip(versions, locks, strict=True):
            if end is None and not legal_hold:
                continue
            self.passed[n] = LOCKED
            found.append(n)
            if end is not None:
                self.until = max(prc_date(end), self.until or prc_date(end))
        return found

    # --- the deed ------------------------------------------------------------------------------------

    def _delete(self, kind: str, rows: Numbered) -> None:
        for at in range(0, len(rows), BATCH):
            batch = rows[at : at + BATCH]
            pairs = list(dict.fromkeys((item.key, item.version) for _, item in batch))
            done = self._asked(kind, pairs)
            self.requests += done.requests
            stayed = [(n, item) for n, item in batch if (item.key, item.version) in done.left]
            locked = set(self._look_at_locks(stayed))
            self.passed |= {n: REFUSED for n, _ in stayed if n not in locked}

    def _asked(self, kind: str, pairs: Sequence[tuple[str, str]]) -> Deleted:
        client, bucket, about = self.site.client, self.dataset.address, self.dataset.id
        try:
            if kind == "upload":
                return abort_uploads(client, bucket, pairs, about)
            return delete_versions(client, bucket, pairs, self.site.patience, about)
        except Refused:  # all of it at once
            return Deleted(left=dict.fromkeys(pairs, "AccessDenied"))


@dataclass
class Objects(Chunk):
    """Versions, markers and unfinished uploads under paths that are due. ``due`` answers, with the holds of now, and ``within``
    says of which keys at all."""

    due: Due = field(kw_only=True)
    within: Within = finding.every_key

    def decide(self, *, begun: bool) -> None:
        template = Template(self.dataset.prefix)
        open_ = [(n, item) for n, item in self.rows if n not in self.passed]
        here = finding.there(
            self.site.client, self.dataset, (i for _, i in open_), lambda: self.site.area.leaps
        )
        present = [(n, item) for n, item in open_ if (item.key, item.version) in here]
        absent = {n for n, _ in open_} - {n for n, _ in present}
        if begun:
            self.gone = absent
        else:
            self.passed |= dict.fromkeys(absent, NOT_DUE)
        paths = list(dict.fromkeys(finding.path_of(template, item) for _, item in present))
        still = self.due(self.dataset, paths) if paths else {}
        self.passed |= {
            n: NOT_DUE
            for n, item in present
            if finding.path_of(template, item) not in still or not self.within(self.dataset, item.key)
        }
        self._look_at_locks([(n, i) for n, i in present if n not in self.passed])
        self._cover()

    def carry_out(self) -> None:
        doing = [(n, item) for n, item in self.rows if n not in self.passed and n not in self.gone]
        for kind in ("upload", "version"):
            self._delete(kind, [(n, item) for n, item in doing if item.kind == kind])
        self._cover()  # before a marker goes it is known what stays under it
        self._delete("marker", [(n, i) for n, i in doing if i.kind == "marker" and n not in self.passed])

    def _cover(self) -> None:
        for group in finding.by_key(self.rows):
            stays = [self.passed[n] for n, item in group if item.kind == "version" and self._stays(n)]
            n, top = group[-1]
            if stays and top.kind == "marker" and n not in self.gone:
                self.passed.setdefault(n, stays[0])

    def _stays(self, n: int) -> bool:
        return self.passed.get(n) in (LOCKED, REFUSED)


def sum_of(receipts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """What receipts count, over all of them; how far a dataset was dealt with is its last."""
    found: dict[str, dict[str, int]] = {}
    for counts in receipts:
        for dataset, words in counts.items():
            of = found.setdefault(dataset, {})
            for word, n in words.items():
                of[word] = max(of.get(word, n), n) if word == UPTO else of.get(word, 0) + n
    return found
