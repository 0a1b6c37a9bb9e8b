"""The data keys of made-up people: drawn from the seed, so that their objects can be sealed again with the same."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import UUID

from include.model.sealed import KEY_BYTES
from include.sandbox.people.making import Making, Row
from include.sandbox.people.person import source

DataKey = tuple[UUID, bytes]


def video_key(m: Making) -> DataKey:
    return _drawn(source(m.seed, m.person.number, "video key"))


def recording_key(m: Making) -> DataKey:
    return _drawn(source(m.seed, m.person.number, "recording key"))


def evidence_key(m: Making, signature_id: int) -> DataKey:
    return _drawn(source(m.seed, signature_id, "evidence key"))


def row(m: Making, table: str, key: DataKey, account_id: str, days: int, **more: Any) -> Row:
    """The row that keeps a key, wrapped."""
    key_id, secret = key
    return table, {
        "key_id": str(key_id), "account_id": account_id, **more, "kek": m.keks.newest,
        "wrapped": m.keks.wrap(key_id, secret), "made_at": m.ago(days),
    }  # fmt: skip


def _drawn(r: Random) -> DataKey:
    return UUID(int=r.getrandbits(128), version=4), r.randbytes(KEY_BYTES)
