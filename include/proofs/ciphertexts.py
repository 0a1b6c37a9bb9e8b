"""What is kept of sealed objects before a disposal, so that it can be tried whether anything opens them after it.

A ciphertext that does not open proves nothing unless the same one did: so of each key that is to go one is kept that the
key, as found in its row, opens. It is the first segment of an object, and is sealed again with the case's own key.

Of a night, which no person leads to, only some versions are looked into, and each is named: what is passed over later takes
its key along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from include.model.words import CopyKind

MOST = (
    32  # kept in a case, at night of a dataset, for each is some 64 KiB; of further keys nothing is claimed
)


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Sample(_Kept):
    """The start of an object that its key was seen to open."""

    key_id: UUID
    path: str = Field(repr=False)
    start: bytes = Field(repr=False)
    last: bool = False  # it has no more than this


class Seen(_Kept):
    """A version that was looked into at night: by which key it is sealed, whether that has a row, and whether it opened it."""

    path: str = Field(repr=False)
    version: str
    etag: str = ""  # without versioning it names the bytes
    key_id: UUID | None = None
    row: bool = False
    opened: bool = False

    def opens_still(self, gone: Collection[UUID]) -> bool:
        """Whether its key has a row that is not among those that went."""
        return self.row and self.key_id not in gone


class Tally(_Kept):
    """What there was, before the disposal, of a dataset's versions of one copy and one fate."""

    step: str
    dataset: str
    copy_kind: CopyKind
    locked: bool = False  # a server keeps them until a day; else they were to go
    keys: set[UUID] = Field(default_factory=set)  # that are to go, and seal one of them
    kept_keys: int = 0  # versions of which the key stays, for something else that it opens
    unopened: int = 0  # versions that name such a key, and were not seen to open with it
    plain: int = 0  # versions that are not sealed
    uploads: int = 0  # nobody can read into them
    beside: int = 0  # versions of the same copy that must stay, with their keys
    unread: int = 0  # versions that nobody looked into
    seen: list[Seen] = Field(default_factory=list)  # at night: those that somebody did


class Ciphertexts(_Kept):
    """What is known of a case's sealed objects, over all its steps."""

    samples: list[Sample] = Field(default_factory=list)
    tallies: list[Tally] = Field(default_factory=list)

    def of(self, step: str, dataset: str) -> list[Tally]:
        return [t for t in self.tallies if (t.step, t.dataset) == (step, dataset)]

    def sample(self, key_id: UUID) -> Sample | None:
        return next((s for s in self.samples if s.key_id == key_id), None)

    def keep(self, sample: Sample) -> None:
        """One for a key. Not more than ``MOST``."""
        if self.sample(sample.key_id) is None and len(self.samples) < MOST:
            self.samples.append(sample)

    def replace(self, step: str, datasets: Iterable[str], tallies: Iterable[Tally]) -> None:
        """A later look at a step that has not begun says it anew."""
        of = set(datasets)
        self.tallies = [t for t in self.tallies if not (t.step == step and t.dataset in of)] + list(tallies)

    def to_text(self) -> str:
        """For sealing."""
        return self.model_dump_json()

    @classmethod
    def from_text(cls, text: str) -> Ciphertexts:
        return cls.model_validate_json(text)
