"""Proofs of a night over shared record files: what was to stay in a file that was rewritten is there, byte for byte.

The step area says of each version of which something goes and something stays how many records go and stay, with the sum of
their digests. Before the deed the prover reads the version itself, and the two sums must make up the sum of all its records;
after it, it reads the file as it is now, which must have those that stay and nothing else. Neither sum is taken on trust: a
record that was counted to neither, or to both, shows before, and one that was lost, changed or added shows after.

A version that the prover has read already, it need not read again (``Before``): its bytes are those. What was put in place of one
is another version, which nobody had read before the deed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from include.model.estate import Dataset
from include.model.words import CopyKind, Rung
from include.proofs.bodies import summed
from include.proofs.bucket import Bucket, Thing, exactly
from include.proofs.objects import Looking

Before = Callable[[Dataset, Thing], tuple[int, int] | None]
"""Records, and the sum of their digests, of a version that the prover read before, by its own reading; None: it did not."""


def unread(_dataset: Dataset, _thing: Thing) -> None:
    """The default for ``Before``."""


@dataclass
class Version:
    """What the step area says of one version of a record file of which something is due."""

    id: tuple[str, str, str]
    current: bool
    records: int = 0
    stays: int = 0
    sum_of_stays: str = ""
    going: int = 0
    sums: list[str] = field(default_factory=list)  # of those that go, by fate

    @property
    def copy(self) -> CopyKind:
        """The copy of the books that its records belong to."""
        return CopyKind.LIVE if self.current else CopyKind.OBJECT_VERSION


def there(
    looking: Looking, dataset: Dataset, now: Mapping[tuple[str, str, str], Thing], before: Before = unread
) -> Counter[CopyKind]:
    """How many of the located records, markers and uploads are there, before anything goes. Raises Unreadable."""
    bucket = Bucket(looking.client, dataset.address)
    found: Counter[CopyKind] = Counter()
    for row in looking.manifests.rows("weighed", dataset.id):
        if row["kind"] in ("marker", "upload"):
            found[CopyKind.OBJECT_VERSION] += exactly(row["key"], row["version"], row.get("etag", "")) in now
    for version in _versions(looking, "weighed", dataset):
        if version.id not in now:
            continue
        if version.stays:
            records, total = _summed(bucket, dataset, now[version.id], before)
            parts = sum(int(x, 16) for x in (version.sum_of_stays, *version.sums)) % 2**256
            if (records, total) != (version.stays + version.going, parts):
                continue  # what goes and what stays is not what is there
        found[version.copy] += version.going
    return found


def shared(looking: Looking, dataset: Dataset) -> set[str]:
    """The keys that something of what lies there stays under: a file that was rewritten still answers."""
    return {row["key"] for row in looking.manifests.rows("weighed", dataset.id) if row.get("stays")}


def _summed(bucket: Bucket, dataset: Dataset, thing: Thing, before: Before) -> tuple[int, int]:
    return before(dataset, thing) or summed(bucket.body(thing), dataset.format or "jsonl.gz")


def kept(looking: Looking, dataset: Dataset, before: Before = unread) -> None:
    """After the deed: of each current file of which something went and something was to stay, just that is there."""
    bucket = Bucket(looking.client, dataset.address)
    mixed = [v for v in _versions(looking, "settled", dataset) if v.current and v.stays]
    same = 0
    for version in mixed:
        now = next((t for t in bucket.under([version.id[0]]) if t.current and t.key == version.id[0]), None)
        if now is not None:
            left = _summed(bucket, dataset, now, before)
            same += version.stays if left == (version.stays, int(version.sum_of_stays, 16)) else 0
    if mixed:
        looking.note(
            "kept", dataset, CopyKind.LIVE, Rung.R0, sum(v.stays for v in mixed), same,
            "a file that was rewritten has other records than those that were to stay",
        )  # fmt: skip


def _versions(looking: Looking, kind: str, dataset: Dataset) -> Iterator[Version]:
    """Versions of which something is to go, each as its ``file`` row and its ``record`` rows say."""
    found: dict[tuple[str, str, str], Version] = {}
    for row in looking.manifests.rows(kind, dataset.id):
        id_ = exactly(row["key"], row["version"], row.get("etag", ""))
        version = found.setdefault(id_, Version(id_, bool(row.get("current"))))
        if row["kind"] == "file":
            version.records, version.stays = int(row.get("records", 1)), int(row.get("stays", 0))
            version.sum_of_stays = str(row.get("content", ""))
        elif row["kind"] == "record":
            version.going += int(row.get("records", 1))
            version.sums.append(str(row.get("content", "")))
    return (v for v in found.values() if v.going)
