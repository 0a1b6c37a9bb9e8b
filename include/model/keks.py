"""The key-encryption keys (KEKs) of a company: what opens the wrapped keys of its databases, and is in none of them.

They come as one plain connection, from the environment or a secrets back end: ``<name>:<base64 of 32 bytes>``, separated by
blanks, the one that new keys are wrapped with first. A KEK that was succeeded stays until every row is wrapped anew.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from include.model import sealed
from include.model.doors import Connections
from include.model.errors import Refused, Unopened

CONNECTION = "object_keks"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


@dataclass(frozen=True)
class Keks:
    """By name, the one to wrap with first."""

    by_name: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, connections: Connections) -> Keks:
        """Raises Refused if the connection is not declared, or is not what it should be."""
        return cls.from_text(connections.text(CONNECTION))

    @classmethod
    def from_text(cls, text: str) -> Keks:
        """Never quotes what it reads."""
        found: dict[str, bytes] = {}
        try:
            for said in text.split():
                name, _, encoded = said.partition(":")
                key = base64.b64decode(encoded, validate=True)
                if not _NAME.fullmatch(name) or len(key) != sealed.KEY_BYTES or name in found:
                    raise ValueError
                found[name] = key
        except (ValueError, binascii.Error):
            found = {}
        if not found:
            raise Refused(
                "the key-encryption keys cannot be read", about=CONNECTION,
                next_step="write <name>:<base64 of 32 bytes>, the newest first, separated by blanks",
            ) from None  # fmt: skip
        return cls(found)

    @classmethod
    def made(cls, name: str = "first") -> Keks:
        """A new one, that nobody else has."""
        return cls({name: sealed.new_key()})

    @property
    def newest(self) -> str:
        """The name of the one that keys are wrapped with."""
        return next(iter(self.by_name))

    def text(self) -> str:
        """As the connection says it. Secret."""
        return " ".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in self.by_name.items())

    def wrap(self, key_id: UUID, key: bytes) -> bytes:
        """The data key, wrapped with the newest."""
        return sealed.wrap(self.by_name[self.newest], key_id, key)

    def unwrap(self, name: str, key_id: UUID, wrapped: bytes) -> bytes:
        """The data key. Raises Unopened if the KEK is not here, or does not open it."""
        if name not in self.by_name:
            raise Unopened(
                "it was wrapped with a key-encryption key that is not here", about=CONNECTION,
                next_step="give that one too, until every key is wrapped anew (quietus keys rewrap)",
            )  # fmt: skip
        return sealed.unwrap(self.by_name[name], key_id, wrapped)
