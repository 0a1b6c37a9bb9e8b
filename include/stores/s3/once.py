"""What was listed and read once, for several questions of one moment: what is due now, and what will be in the nights to come."""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, cast

from include.model.catalogue import Dataset
from include.stores.s3.inventory import Inventory, Values

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

IN_MEMORY = 8 << 20


class Once:
    """The listings and readings of one moment, by one role, with the same holds. Nothing of it outlives the questions."""

    def __init__(self) -> None:
        self.read: dict[tuple[str, ...], Any] = {}  # version of a record file -> its records by their clocks
        self._listed: dict[str, Remembered] = {}

    def inventory(self, client: S3Client, dataset: Dataset) -> Inventory:
        """What lies under each path of a dataset: listed now, or as it was listed before."""
        if dataset.id not in self._listed:
            self._listed[dataset.id] = Remembered(client, dataset)
        return self._listed[dataset.id]


class Remembered(Inventory):
    """An inventory that lists its bucket once. A listing that broke off is none."""

    def __init__(self, client: S3Client, dataset: Dataset) -> None:
        super().__init__(client, dataset)
        self._told: IO[bytes] | None = None

    def tallies(self, paths: int) -> Iterator[Counter[Values]]:
        if self._told is not None:
            yield from self._again(self._told)
            return
        self.elsewhere = 0
        file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115  gone with this object
        for tally in super().tallies(paths):
            pickle.dump(tally, file)
            yield tally
        self._told = file

    def _again(self, file: IO[bytes]) -> Iterator[Counter[Values]]:
        file.seek(0)
        while True:
            try:
                tally: Counter[Values] = pickle.load(file)  # noqa: S301  we wrote it ourselves, into a file without a name
            except EOFError:
                return
            yield tally
