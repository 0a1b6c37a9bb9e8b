"""How many versions lie under each path of a dataset of objects: counted in a stream, by who may only read."""

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
    """A listing of a dataset, old versions included: what still lies there is still kept."""

    def __init__(self, client: S3Client, dataset: Dataset) -> None:
        self.client, self.dataset = client, dataset
        self.template = Template(dataset.prefix)
        self.elsewhere = 0  # versions under paths that are not of the template's form

    @property
    def variables(self) -> tuple[str, ...]:
        return self.template.variables

    def tallies(self, paths: int) -> Iterator[Counter[Values]]:
        """At most so many different paths at a time, with the versions under each. A path may come again."""
        base = self.template.prefix({})
        walk = Walk(self.client, self.dataset.address, may_leap=never, about=self.dataset.id)
        tally: Counter[Values] = Counter()
        for group in walk.versions(base, [base]):
            versions = sum(1 for item in group if item.kind == "version")
            values = self.template.match(group[0].key)
            if values is None:
                self.elsewhere += versions
            elif versions:
                tally[tuple(values[v] for v in self.variables)] += versions
            if len(tally) >= paths:
                yield tally
                tally = Counter()
        if tally:
            yield tally
