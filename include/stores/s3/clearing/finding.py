"""Which objects of a dataset are due: a bucket is listed, and somebody who knows is asked about the paths, some thousands at a
time. What lies under a path is due with it: every version, delete marker and unfinished upload."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from include.model.estate import Dataset
from include.model.template import Template
from include.model.words import Disposition
from include.stores.s3.fate import settle
from include.stores.s3.items import Item
from include.stores.s3.listing import Walk, never
from include.stores.s3.manifests import IN_MEMORY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATHS = 5_000  # that are asked about at a time
ITEMS = 50_000  # that wait for an answer

Values = tuple[str, ...]  # of a path's variables, in their order
Due = Callable[[Dataset, Sequence[Values]], Mapping[Values, tuple[str, str]]]
"""Of these paths of a dataset, those that are due and that no hold of this moment covers, each with its rule and law."""

Within = Callable[[Dataset, str], bool]
"""Whether a key of a dataset is asked about at all."""


def every_key(_dataset: Dataset, _key: str) -> bool:
    """The default for ``within``."""
    return True


def due_items(client: S3Client, dataset: Dataset, due: Due, within: Within = every_key) -> Iterator[Item]:
    """Everything that is due of a dataset: unfinished uploads first, then per key every version and marker, the oldest first."""
    template = Template(dataset.prefix)
    waiting: list[tuple[Values, list[Item]]] = []
    items = 0
    for group in _everything(client, dataset, template):
        values = template.match(group[0].key)
        if values is None or not within(dataset, group[0].key):
            continue
        for item in group:
            item.values = dict(values)
        waiting.append((path_of(template, group[0]), group))
        items += len(group)
        if len(waiting) >= PATHS or items >= ITEMS:
            yield from _due_of(dataset, waiting, due)
            waiting, items = [], 0
    yield from _due_of(dataset, waiting, due)


def path_of(template: Template, item: Item) -> Values:
    """The values of an item's path, in the template's order."""
    return tuple(str(item.values[v]) for v in template.variables)


def there(
    client: S3Client, dataset: Dataset, items: Iterable[Item], leaps: Callable[[], bool]
) -> set[tuple[str, str]]:
    """What of these items is there now: key, and version or upload id."""
    template = Template(dataset.prefix)
    base = template.prefix({})
    prefixes = sorted({template.prefix({k: str(v) for k, v in item.values.items()}) for item in items})
    if not prefixes:
        return set()
    walk = Walk(client, dataset.address, may_leap=leaps, about=dataset.id)
    found = {(item.key, item.version) for item in walk.uploads(base, prefixes)}
    found.update((item.key, item.version) for group in walk.versions(base, prefixes) for item in group)
    return found


def spooled(items: Iterable[Item]) -> Iterator[Item]:
    """The same items once all of them were found: a listing that breaks off half-way leaves nothing behind."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        for item in items:
            file.write(item.line())
        file.seek(0)
        for line in file:
            yield Item.read(line)


def by_key(numbered: Iterable[tuple[int, Item]]) -> Iterator[list[tuple[int, Item]]]:
    """Groups of one key, uploads by themselves; a key's rows stand together."""
    for _, group in groupby(numbered, key=lambda x: (x[1].kind == "upload", x[1].key)):
        yield list(group)


def _everything(client: S3Client, dataset: Dataset, template: Template) -> Iterator[list[Item]]:
    base = template.prefix({})
    walk = Walk(client, dataset.address, may_leap=never, about=dataset.id)
    for upload in walk.uploads(base, [base]):
        yield [upload]
    yield from walk.versions(base, [base])


def _due_of(dataset: Dataset, waiting: Sequence[tuple[Values, list[Item]]], due: Due) -> Iterator[Item]:
    if not waiting:
        return
    fates = due(dataset, list(dict.fromkeys(path for path, _ in waiting)))
    for path, group in waiting:
        if path in fates:
            rule, law = fates[path]
            for item in group:
                yield settle(item, Disposition(dataset.action), rule, law)
