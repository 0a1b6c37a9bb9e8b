"""One bag while it is filled: a shard of bounded size of one dataset, with its items' clocks, digests and root; then sealed."""

from __future__ import annotations

import base64
import errno
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import rfc8785

from include.handover import bag as bags
from include.handover.items import SALT, Growing, Leaves
from include.handover.keyed import PAYLOAD, Transit
from include.handover.sealed import Sealing, digest_of, recipient
from include.model.durable import sync_directory
from include.model.errors import NoRoom, Refused
from include.model.handover import BagKind, BagStatement, Consignment
from include.model.times import observed_now

At = Callable[[str], None]


@dataclass(frozen=True)
class Bounds:
    """How large a bag may become: so many bytes of payload before the piece that exceeds them is its last, and so many rows, or
    keys, to a piece."""

    bytes: int = 64 << 20
    rows: int = 20_000
    keys: int = 500


@dataclass(frozen=True)
class Packed:
    """A sealed bag: what is to be signed of it, and what only we keep. ``read_at``: since when its items are these."""

    statement: BagStatement
    shard: int
    salt: bytes = field(repr=False)
    upto: tuple[str, ...] | None
    last: bool
    stays: dict[str, int]
    part: Path  # whole and synced, under a name that nobody else writes
    leaves: bytes = field(repr=False, default=b"")  # the items' digests, one after the other
    owners: Mapping[bytes, bytes] = field(repr=False, default_factory=dict)  # token -> digests of its items
    read_at: datetime | None = None

    @property
    def path(self) -> Path:
        return self.part.with_name(f"{self.statement.bag}.cms")

    def named(self) -> None:
        """Give the sealed file its name: only where the book is about to say that it is this one."""
        self.part.replace(self.path)
        sync_directory(self.path.parent)


def directory(home: Path) -> Path:
    """It, its owner's alone, there and to be written. Raises Refused."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        why = "" if os.access(home, os.W_OK | os.X_OK) else "it is not ours to write"
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise Refused(
            f"the directory cannot be used: {why}", about=str(home), next_step="name another, or give us the right to write it"
        )  # fmt: skip
    return home


@contextmanager
def roomy(home: Path) -> Iterator[None]:
    """Say it clearly where a disk is full. What was begun is begun anew."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoom(
            "the disk is full", about=str(home),
            next_step="make room, then run it again: finished bags are kept, the unfinished one is begun anew",
        ) from None  # fmt: skip


def unfinished(home: Path) -> Path:
    return home / "unfinished"


def swept(home: Path) -> None:
    """Take away what runs left that did not come to their end. To be asked by whose turn it is."""
    shutil.rmtree(unfinished(home), ignore_errors=True)
    for part in home.glob("*.part"):
        part.unlink(missing_ok=True)


class Shard:
    """A bag of one dataset. ``add`` its items in order; then ``seal``."""

    def __init__(
        self, home: Path, consignment: Consignment, dataset: str, kind: BagKind, number: int, payload: str,
        *, keyed: bool = False, read_at: datetime | None = None,
    ) -> None:  # fmt: skip
        self.read_at = read_at
        self.name, self.number, self.kind, self.dataset = f"{dataset}-{number:05d}", number, kind, dataset
        self._home, self._consignment = home, consignment
        # Below a name by chance, so that a run whose turn is over writes into nothing of the one whose turn it is.
        self._nonce = secrets.token_hex(8)
        self._under = unfinished(home) / self._nonce / self.name
        self.writer = bags.BagWriter(self._under)
        self.salt = secrets.token_bytes(SALT)
        self._leaves, self._root = Leaves(self.salt), Growing()
        self._listed = bytearray()
        self._owners: dict[bytes, bytearray] = {}
        self._clocks: dict[bytes, bytes] = {}  # canonical JSON -> its number, as text
        self.stays: Counter[str] = Counter()
        self._files = ExitStack()
        self._payload = self._files.enter_context(self.writer.payload(payload))
        self._items = self._files.enter_context(self.writer.payload("items.tsv"))
        self._more = 0
        # Drawn for this bag, and never written down: a bag that is begun anew has another.
        self._transit = (
            Transit.drawn(recipient(consignment.successor.certificate, compared=True)) if keyed else None
        )
        self._keys = self._files.enter_context(self.writer.payload(PAYLOAD)) if keyed else None

    @property
    def items(self) -> int:
        return self._root.size

    @property
    def size(self) -> int:
        """Bytes of payload so far."""
        return self._payload.size + self._items.size + self._more

    def add(self, stored: bytes, clocks: bytes, holds: bytes, owners: Collection[bytes] = ()) -> None:
        """One item: what is stored of it, one line without its end; the canonical JSON of its clocks; its holds' numbers; the
        tokens of its owners, which do not go along."""
        number = self._clocks.get(clocks)
        if number is None:
            number = self._clocks[clocks] = b"%d" % len(self._clocks)
        leaf = self._leaves.of(stored, clocks, holds)
        self._root.add(leaf)
        self._listed += leaf
        for token in owners:
            self._owners.setdefault(token, bytearray()).extend(leaf)
        self._payload.write(stored + b"\n")
        self._items.write(b"%b\t%b\n" % (number, holds))

    def key(self, number: UUID, key: bytes) -> None:
        """The key of the item that is added next, wrapped for the successor alone."""
        assert self._transit is not None and self._keys is not None  # noqa: S101 - whoever made the bag said that it has keys
        self._keys.write(self._transit.wrap(number, key))

    def content(self, octets: Iterator[bytes]) -> None:
        """The content of the item that is added next, as a file of its own."""
        with self.writer.payload(f"content/{self.items:08d}") as file:
            for data in octets:
                file.write(data)
            self._more += file.size

    def whole(self, content: bytes, digests: tuple[str, str]) -> None:
        """The same, of what was read and digested (SHA-256, SM3) already."""
        self.writer.whole(f"content/{self.items:08d}", content, digests)
        self._more += len(content)

    def discard(self) -> None:
        self._files.close()
        self.writer.discard()
        shutil.rmtree(self._under.parent, ignore_errors=True)

    def seal(
        self, catalogue: str, described: dict[str, Any], *, upto: tuple[str, ...] | None, last: bool
    ) -> Packed:
        """Finish the bag, write its sealed file, whole and not yet under its name, and take the open one away."""
        self._files.close()
        root, to = self._root.root(), recipient(self._consignment.successor.certificate, compared=True)
        said = {
            "format": "quietus-bag/1", "order": self._consignment.order, "bag": self.name, "kind": self.kind.value,
            "dataset": self.dataset, "shard": self.number, "last": last, "items": self.items, "root": root,
            "salt": self.salt.hex(), "clocks": [c.decode() for c in self._clocks], **described,
        }  # fmt: skip
        if self._transit is not None:
            said["transit"] = base64.b64encode(self._transit.sent).decode()
        with self.writer.payload("bag.json") as file:
            file.write(rfc8785.dumps(said))
        now = observed_now()
        self.writer.finish(
            {
                "Source-Organization": self._consignment.sender,
                "External-Identifier": f"{self._consignment.order}/{self.name}",
                "Bagging-Date": now.date().isoformat(),
            }
        )
        part = self._home / f"{self.name}.{self._nonce}.part"
        with part.open("wb") as out:
            sealing = Sealing(out, to, bags.tar_size(self._under))
            bags.tar(self._under, sealing)
            digest = sealing.finish()
            out.flush()
            os.fsync(out.fileno())
        shutil.rmtree(self._under.parent)
        statement = BagStatement(
            order=self._consignment.order, bag=self.name, kind=self.kind, dataset=self.dataset,
            sender=self._consignment.sender, successor=self._consignment.successor.name, recipient=digest_of(to),
            as_of=self._consignment.as_of, items=self.items, root=root, bytes=sealing.bytes, sha256=digest,
            catalogue=catalogue, packed_at=now,
        )  # fmt: skip
        return Packed(
            statement,
            self.number,
            self.salt,
            upto,
            last,
            dict(self.stays),
            part,
            bytes(self._listed),
            {token: bytes(leaves) for token, leaves in self._owners.items()},
            self.read_at,
        )
