"""Datasets whose whole objects, found by a key template, belong to a subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.flow import Finding, Step
from include.model.template import Template
from include.model.words import Disposition
from include.stores.s3.fate import Judge, settle
from include.stores.s3.items import Item
from include.stores.s3.listing import Walk, never
from include.stores.s3.server import abort_uploads, delete_versions
from include.stores.s3.site import AHEAD, Done, Owned, Owners, Site, owners, weigh_lock

CHUNK = 10_000  # items between two journal entries: ten bulk deletes


class Objects:
    """See :class:`include.stores.s3.site.Handler`."""

    def __init__(self, site: Site, dataset: Dataset) -> None:
        self.site, self.dataset, self.bucket = site, dataset, dataset.address
        self.template = Template(dataset.prefix)
        self.findings: list[Finding] = []

    def survey(self, step: Step) -> Iterator[Item]:
        """Open uploads first, then per key every version and marker, the oldest first."""
        self.findings = []
        known, base, ordered = self._wanted(step)
        if not ordered:
            return
        yield from self._uploads(known, base, ordered)
        walk = Walk(
            self.site.client, self.bucket, may_leap=lambda: self.site.area.leaps, about=self.dataset.id
        )
        for group in walk.versions(base, ordered):
            if self._claim(group[0], known):
                first = group[0]
                for item in group:
                    item.subjects, item.values = first.subjects, first.values
                    item.link_only, item.shared = first.link_only, first.shared
                    yield item

    def uploads(self, step: Step) -> Iterator[Item]:
        """The cohort's open multipart uploads."""
        return self._uploads(*self._wanted(step))

    def _uploads(
        self, known: dict[tuple[str, ...], Owners], base: str, prefixes: Sequence[str]
    ) -> Iterator[Item]:
        if prefixes:
            walk = Walk(self.site.client, self.bucket, may_leap=never, about=self.dataset.id)
            yield from (item for item in walk.uploads(base, prefixes) if self._claim(item, known))

    def _wanted(self, step: Step) -> tuple[dict[tuple[str, ...], Owners], str, list[str]]:
        """The cohort's link values, what all keys begin with, and what each subject's keys begin with."""
        known = owners(self.site, step, self.dataset)
        prefixes = {
            self.template.prefix(dict(zip(names, values, strict=True)))
            for names, of in known.items()
            for values in of
        }
        return known, self.template.prefix({}), sorted(prefixes)

    def _claim(self, item: Item, known: dict[tuple[str, ...], Owners]) -> bool:
        """Whether somebody in the cohort owns the key; if so the item says who."""
        values = self.template.match(item.key)
        if values is None:
            return False
        owned = Owned()
        for names, of in known.items():
            owned |= of.get(tuple(values.get(n, "") for n in names), Owned())
        item.subjects, item.values = owned.subjects, dict(values)
        item.link_only, item.shared = owned.link_only, owned.shared
        return bool(owned.subjects)

    def weigh(self, items: Iterable[Item], judge: Judge) -> Iterator[Item]:
        if judge.provision.disposition is not Disposition.ERASE:
            raise CatalogueError(
                f"whole objects cannot be {judge.provision.disposition.past}",
                about=self.dataset.id,
                next_step="declare the action erase, or the dataset as records",
            )
        weighed = (judge.weigh(item) for item in items)
        held_back: list[Item] = []
        while batch := list(islice(weighed, AHEAD)):
            due = [i for i in batch if i.disposition is Disposition.ERASE and i.kind == "version"]
            if due and self.site.locking(self.bucket):
                for item, (end, hold) in zip(due, self.site.locks(self.bucket, due), strict=True):
                    weigh_lock(item, end, hold)
            held_back += batch
            *whole, held_back = by_key(held_back)  # the last key may go on in the next batch
            for group in whole:
                yield from cover(group)
        if held_back:
            yield from cover(held_back)

    def chunks(self, weighed: Iterable[Item]) -> Iterator[list[Item]]:
        changing = (i for i in weighed if i.disposition and i.disposition.changes_data)
        while chunk := list(islice(changing, CHUNK)):
            yield chunk

    def drift(self, step: Step, touched: set[int], begun: set[int], expected: Iterable[Item]) -> str | None:
        half: set[bytes] = set()
        total = count = changing = 0
        for item in expected:
            chunk = -1
            if item.disposition and item.disposition.changes_data:
                chunk, changing = changing // CHUNK, changing + 1
            if chunk in begun:
                half.add(item.identity(self.bucket))
            elif chunk not in touched or item.disposition is Disposition.UNLINK:
                total, count = total + int.from_bytes(item.identity(self.bucket)), count + 1
        seen = there = 0
        for item in self.survey(step):
            identity = item.identity(self.bucket)
            if identity not in half:
                seen, there = seen + int.from_bytes(identity), there + 1
        if there != count:
            return f"{there} items are there where {count} were weighed"
        return None if seen == total else "other items are there than were weighed"

    def carry_out(self, step: Step, rows: Sequence[Item]) -> Done:
        done = Done()
        versions: list[tuple[str, str]] = []
        uploads: list[tuple[str, str]] = []
        for item in rows:
            done.add(item)
            if item.disposition is Disposition.ERASE:
                (uploads if item.kind == "upload" else versions).append((item.key, item.version))
        for result in (
            abort_uploads(self.site.client, self.bucket, uploads, self.dataset.id),
            delete_versions(self.site.client, self.bucket, versions, self.site.patience, self.dataset.id),
        ):
            for code, n in result.stayed.items():
                done.stayed[code] = done.stayed.get(code, 0) + n
            done.requests += result.requests
        return done

    def tags(self, located: Iterable[Item]) -> Iterator[Item]:
        return (item for item in located if item.kind == "version" and not item.link_only)

    def open_to_others(self, located: Iterable[Item]) -> Iterator[Item]:
        return iter(())


def cover(group: list[Item]) -> list[Item]:
    """Of one key: a delete marker that hides a version which stays must stay as long, for without it the
    version would come to light again."""
    stays = [
        i for i in group if i.kind == "version" and i.disposition in (Disposition.RETAIN, Disposition.HOLD)
    ]
    top = group[-1]
    if stays and top.kind == "marker" and top.disposition is Disposition.ERASE:
        last = max(stays, key=lambda i: (i.until is None, str(i.until)))
        assert last.disposition is not None  # noqa: S101 (weighed)
        settle(top, last.disposition, last.rule, last.law,
               until=last.until, waits_for=last.waits_for, hold=last.hold)  # fmt: skip
    return group


def by_key(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Groups of one key (uploads by themselves); a key's rows stand together."""
    for _, group in groupby(items, key=lambda i: (i.kind == "upload", i.key)):
        yield list(group)
