"""How much lies under each path of a dataset of objects: versions, delete markers and unfinished uploads, counted in a stream
by who may only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from include.model.estate import Dataset
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
        self._elsewhere: dict[bool | None, int] = {}

    @property
    def variables(self) -> tuple[str, ...]:
        return self.template.variables

    @property
    def elsewhere(self) -> int:
        """How many items of what was listed lie under paths that are not of the template's form."""
        return self._elsewhere.get(None, sum(self._elsewhere.values()))

    def tallies(self, paths: int, *, unfinished: bool | None = None) -> Iterator[Counter[Values]]:
        """At most so many different paths at a time, with what lies under each. A path may come again. ``unfinished``: of
        uploads alone, or of all but them; None: of everything."""
        tally: Counter[Values] = Counter()
        self._elsewhere[unfinished] = 0
        for key, items in self.keys(unfinished):
            values = self.template.match(key)
            if values is None:
                self._elsewhere[unfinished] += items
                continue
            tally[tuple(values[v] for v in self.variables)] += items
            if len(tally) >= paths:
                yield tally
                tally = Counter()
        if tally:
            yield tally

    def keys(self, unfinished: bool | None = None) -> Iterator[tuple[str, int]]:
        """Each key with how many versions and markers there are of it; each unfinished upload by itself."""
        base = self.template.prefix({})
        walk = Walk(self.client, self.dataset.address, may_leap=never, about=self.dataset.id)
        for upload in walk.uploads(base, [base]) if unfinished is not False else ():
            yield upload.key, 1
        for group in walk.versions(base, [base]) if unfinished is not True else ():
            yield group[0].key, len(group)
