"""How much lies under each path of a dataset of objects: versions, delete markers and unfinished uploads, counted in a stream
by who may only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from include.model.catalogue import Dataset
from include.model.template import Template
from include.stores.s3.listing import Walk, never

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Values = tuple[str, ...]


class Inventory:
    """A listing of a dataset. What still lies there is still kept: old versions, and a marker or an unfinished upload, whose key
    says whose it is."""

    def __init__(self, client: S3Client, dataset: Dataset) -> None:
        self.client, self.dataset = client, dataset
        self.template = Template(dataset.prefix)
        self.elsewhere = 0  # what lies under paths that are not of the template's form

    @property
    def variables(self) -> tuple[str, ...]:
        return self.template.variables

    def tallies(self, paths: int) -> Iterator[Counter[Values]]:
        """At most so many different paths at a time, with what lies under each. A path may come again."""
        tally: Counter[Values] = Counter()
        for key, items in self._keys():
            values = self.template.match(key)
            if values is None:
                self.elsewhere += items
                continue
            tally[tuple(values[v] for v in self.variables)] += items
            if len(tally) >= paths:
                yield tally
                tally = Counter()
        if tally:
            yield tally

    def _keys(self) -> Iterator[tuple[str, int]]:
        base = self.template.prefix({})
        walk = Walk(self.client, self.dataset.address, may_leap=never, about=self.dataset.id)
        for upload in walk.uploads(base, [base]):
            yield upload.key, 1
        for group in walk.versions(base, [base]):
            yield group[0].key, len(group)
