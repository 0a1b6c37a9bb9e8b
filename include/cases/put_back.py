"""Objects of people who were deleted that are there again: a bucket was put back to older versions, or filled from a copy of it.

S3 tells nobody of it, so it is looked for once a day, as the prover: whose directories have a current object is held against the
tombstones, and of whoever is buried there may be no more than the plans of the cases keep. Only datasets whose keys name the
account in a segment of its own are seen so (:func:`telling`), and only current versions: what is put back is current.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING

from include.cases import subjects, tombstones
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.template import Template
from include.model.words import DatasetKind, Role
from include.proofs.bucket import asking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BATCH = 5_000  # accounts whose tombstones are asked for at once


def telling(catalogue: Catalogue) -> tuple[Dataset, ...]:
    """The datasets of objects whose keys say whose they are: ``<literal>{account}/…``, of one owner alone."""
    return tuple(d for d in catalogue.datasets if d.kind is DatasetKind.OBJECTS and _tells(d))


def more_than_kept(
    desk: Desk, conn: Conn, dataset: Dataset, kept: Mapping[tuple[str, str], int]
) -> dict[str, int]:
    """How many objects beyond what is kept are there of buried accounts, by the last case of each.

    ``kept``: items that are there by right, by case and dataset, as they were before this look. Raises NotReachable if the
    bucket does not answer, Refused if it may not be listed.
    """
    client = desk.connections.s3(desk.catalogue.store(dataset.store).connection, Role.PROVER)
    there: Counter[str] = Counter()
    by_right: dict[str, set[str]] = {}
    with asking(dataset.id):
        rest = _accounts(client, dataset)
        while accounts := list(islice(rest, _BATCH)):
            for account, cases in tombstones.buried_since(conn, desk.keys, accounts, subjects.KIND).items():
                last = cases[-1][0]
                there[last] += _objects(client, dataset, account)
                by_right.setdefault(last, set()).update(case_no for case_no, _ in cases)
    more = {no: n - sum(kept.get((of, dataset.id), 0) for of in by_right[no]) for no, n in there.items()}
    return {no: n for no, n in more.items() if n > 0}


Buried = Mapping[str, list[tuple[str, date]]]


def of_buried(
    desk: Desk, dataset: Dataset, buried: Callable[[list[str]], Buried]
) -> Iterator[tuple[tuple[str, list[tuple[str, date]]], Iterator[str]]]:
    """Of each account that ``buried`` knows, with what it says of it: the keys of its current objects. Raises NotReachable if the
    bucket does not answer, Refused if it may not be listed."""
    client = desk.connections.s3(desk.catalogue.store(dataset.store).connection, Role.PROVER)
    with asking(dataset.id):
        rest = _accounts(client, dataset)
        while accounts := list(islice(rest, _BATCH)):
            for account, of in buried(accounts).items():
                yield (account, of), _keys(client, dataset, account)


def _tells(dataset: Dataset) -> bool:
    if dataset.sole_owner is None or not dataset.prefix:
        return False
    (_, first), *rest = Template(dataset.prefix).parts
    return first == dataset.sole_owner and bool(rest) and rest[0][0].startswith("/")


def _accounts(client: S3Client, dataset: Dataset) -> Iterator[str]:
    """Whose directories there are, in one request for a thousand."""
    head = Template(dataset.prefix).prefix({})
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=dataset.address, Prefix=head, Delimiter="/"
    )
    for page in pages:
        for found in page.get("CommonPrefixes", []):
            yield found["Prefix"][len(head) :].rstrip("/")


def _objects(client: S3Client, dataset: Dataset, account: str) -> int:
    return sum(1 for _ in _keys(client, dataset, account))


def _keys(client: S3Client, dataset: Dataset, account: str) -> Iterator[str]:
    template = Template(dataset.prefix)
    (_, variable), *_ = template.parts
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=dataset.address, Prefix=f"{template.prefix({})}{account}/"
    )
    for page in pages:
        for item in page.get("Contents", []):
            if (template.match(item["Key"]) or {}).get(variable or "") == account:
                yield item["Key"]
