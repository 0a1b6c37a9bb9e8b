"""moto, without what it copies and keeps for nothing.

For each page of a listing by versions moto 5.2 copies every object of the bucket with its content, and keeps each of these copies
for as long as it runs, as it keeps every object that was ever put. A bucket of 800 MB that was listed twenty times held 15 GB.
"""

from __future__ import annotations

from typing import Any

from moto.s3.models import FakeKey


class Listed(FakeKey):  # type: ignore[misc]
    """An object in a listing: its own flags, and the content of the one that it stands for, which it does not close."""

    def dispose(self, garbage: bool = False) -> None:
        pass

    def __del__(self) -> None:
        pass


class _Unkept(list[Any]):
    """Where every object would be noted."""

    def append(self, _: Any) -> None:
        pass


def _listed(self: FakeKey, _memo: Any) -> Listed:
    twin: Listed = object.__new__(Listed)
    twin.__dict__.update(self.__dict__)
    return twin


def lightly() -> None:
    """From now on, in this process: a listing copies what it says of an object, and what is deleted is let go."""
    FakeKey.__deepcopy__ = _listed
    FakeKey.instances_tracked = _Unkept()
