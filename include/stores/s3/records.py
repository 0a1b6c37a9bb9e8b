"""Datasets whose files mix many people's records: found by scanning, removed by rewriting.

Of a file, the current version is rewritten without the due records and put over itself; once that is
durable, its older versions that hold due records go whole, provided everything else in them is also in
the current file. An old version that alone holds somebody else's record is a finding, not a deletion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from include.model.abreast import abreast
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.flow import Finding, Step
from include.model.words import Disposition
from include.stores.s3.fate import Judge, settle
from include.stores.s3.files import File, Files
from include.stores.s3.items import Item
from include.stores.s3.listing import Walk, never
from include.stores.s3.rewriting import rewrite_current
from include.stores.s3.server import delete_versions
from include.stores.s3.site import Done, Owners, Site, owners, weigh_lock

CHUNK = 16  # files between two journal entries


class Records:
    """See :class:`include.stores.s3.site.Handler`."""

    def __init__(self, site: Site, dataset: Dataset) -> None:
        self.site, self.dataset, self.bucket = site, dataset, dataset.address
        self.files = Files(site.client, dataset)
        self.findings: list[Finding] = []

    # --- survey ---------------------------------------------------------------------------------

    def survey(self, step: Step) -> Iterator[Item]:
        """Per file its versions, the oldest first; of each a ``file`` row, then the cohort's records."""
        self.findings = []
        field, known = self._owners(step)
        for _, versions in groupby(self._fetched(self._groups(), known), key=lambda v: v[0].key):
            yield from self._scan(versions, field, known)
        self._open_uploads()

    def _fetched(self, groups: Iterable[list[Item]], known: Owners) -> Iterator[tuple[Item, File | None]]:
        """The versions in order, each with its file, of which some are fetched ahead."""

        def fetch(entry: Item) -> tuple[Item, File | None]:
            return entry, self.files.fetch(entry) if known and (entry.size or entry.current) else None

        return abreast(fetch, (entry for group in groups for entry in group if entry.kind == "version"))

    def _groups(self) -> Iterator[list[Item]]:
        walk = Walk(self.site.client, self.bucket, may_leap=never, about=self.dataset.id)
        return walk.versions(self.dataset.prefix, [self.dataset.prefix])

    def _owners(self, step: Step) -> tuple[str, Owners]:
        known = owners(self.site, step, self.dataset)
        if not known:
            return "", {}
        if len(known) > 1 or len(next(iter(known))) != 1:
            raise CatalogueError(
                "records need one link by one field", about=self.dataset.id, next_step="correct the links"
            )
        ((names, of),) = known.items()
        return names[0], of

    def _scan(
        self, versions: Iterable[tuple[Item, File | None]], field: str, known: Owners
    ) -> Iterator[Item]:
        """The rows of one key. A version with hits stays on local disk until its key is done."""
        wanted = frozenset(values[0] for values in known)
        older: list[tuple[File, list[Item]]] = []
        current: tuple[File, list[Item]] | None = None
        try:
            for entry, file in versions:
                entry.kind = "file"
                rows, unreadable = self.files.records(file, field, wanted, known) if file else ([], 0)
                self._unreadable(unreadable)
                if file is not None and rows:
                    self.files.describe(file, rows)
                if file is not None and entry.current:
                    current = file, rows
                elif file is not None and rows:
                    older.append((file, rows))
                else:
                    if file is not None:
                        file.close()
                    yield entry
            if older:
                yield from self._older(older, current)
            if current is not None:
                yield current[0].entry
                yield from current[1]
        finally:
            for file, _ in (*older, *((current,) if current else ())):
                file.close()

    def _older(
        self, older: list[tuple[File, list[Item]]], current: tuple[File, list[Item]] | None
    ) -> Iterator[Item]:
        """Rows of the noncurrent versions with hits, compared with the current file."""
        there = Counter(row.content for row in current[1]) if current else Counter[str]()
        prints = self.files.prints(*current) if current else self.files.nothing()
        for file, rows in older:
            lost = self.files.lost(self.files.prints(file, rows), prints)
            here: Counter[str] = Counter()
            yield file.entry
            for row in rows:
                here[row.content] += 1
                row.bystanders_lost, row.in_current = lost, here[row.content] <= there[row.content]
                yield row
            if lost:
                self.findings.append(self._finding(
                    "bystanders_only_in_old_version", lost,
                    "an old version of a record file holds a subject's records and, alone, records of others",
                    "decide whether to restore those records to the current file; then survey again",
                ))  # fmt: skip

    def _unreadable(self, count: int) -> None:
        if count:
            self.findings.append(self._finding(
                "unreadable_record", count,
                "records that seem to name a subject, or a whole file, cannot be read",
                "repair or remove them; until then nothing says that they hold no subject",
            ))  # fmt: skip

    def _open_uploads(self) -> None:
        walk = Walk(self.site.client, self.bucket, may_leap=never, about=self.dataset.id)
        open_ones = sum(1 for _ in walk.uploads(self.dataset.prefix, [self.dataset.prefix]))
        if open_ones:
            self.findings.append(self._finding(
                "open_upload_of_records", open_ones,
                "multipart uploads of record files are open; their parts cannot be read",
                "complete or abort them, then survey again",
            ))  # fmt: skip

    def _finding(self, code: str, items: int, what: str, next_step: str) -> Finding:
        place = f"{self.bucket}/{self.dataset.prefix}"
        return Finding(
            code=code, dataset=self.dataset.id, place=place, items=items, what=what, next_step=next_step
        )

    # --- weigh ----------------------------------------------------------------------------------

    def weigh(self, items: Iterable[Item], judge: Judge) -> Iterator[Item]:
        provision = judge.provision
        if provision.disposition is not Disposition.ERASE and provision.cut is None:
            raise CatalogueError(
                f"records can only be {provision.disposition.past} with a declared cut", about=self.dataset.id
            )
        for _, group in groupby(items, key=lambda i: i.key):
            rows = list(group)
            youngest = {i.version: i.youngest for i in rows if i.kind == "file"}
            for item in rows:
                if item.kind == "record":
                    judge.weigh(item, youngest[item.version])
            self._weigh_locks(rows)
            for _, version in groupby(rows, key=lambda i: i.version):
                _weigh_old([i for i in version if i.kind == "record" and not i.current])
            yield from rows

    def _weigh_locks(self, rows: list[Item]) -> None:
        due = {i.version for i in rows if i.kind == "record" and changes(i)}
        files = [i for i in rows if i.kind == "file" and i.version in due]
        if not files or not self.site.locking(self.bucket):
            return
        for file, (end, hold) in zip(files, self.site.locks(self.bucket, files), strict=True):
            for item in rows:
                if item.kind == "record" and item.version == file.version and changes(item):
                    weigh_lock(item, end, hold)

    # --- dispose --------------------------------------------------------------------------------

    def chunks(self, weighed: Iterable[Item]) -> Iterator[list[Item]]:
        chunk: list[Item] = []
        files = 0
        for _, group in groupby(weighed, key=lambda i: i.key):
            rows = list(group)
            if not any(i.kind == "record" and changes(i) for i in rows):
                continue
            chunk, files = chunk + rows, files + 1
            if files == CHUNK:
                yield chunk
                chunk, files = [], 0
        if chunk:
            yield chunk

    def drift(self, step: Step, touched: set[int], begun: set[int], expected: Iterable[Item]) -> str | None:
        """A version is immutable, so only versions that came, went or changed places are scanned again."""
        field, known = self._owners(step)
        now = self._groups()
        group = next(now, None)
        changing = 0
        for key, rows in groupby(expected, key=lambda i: i.key):
            planned = list(rows)
            while group is not None and group[0].key < key:
                if self._hits(group, field, known):
                    return "a record file came that holds records of the cohort"
                group = next(now, None)
            there = group if group is not None and group[0].key == key else []
            if there:
                group = next(now, None)
            chunk = -1
            if any(i.kind == "record" and changes(i) for i in planned):
                chunk, changing = changing // CHUNK, changing + 1
            if chunk in begun or chunk in touched:
                continue  # carried out from what is there, and then proved
            if not self._as_weighed(planned, there, field, known):
                return "a record file changed and holds other records of the cohort"
        while group is not None:
            if self._hits(group, field, known):
                return "a record file came that holds records of the cohort"
            group = next(now, None)
        return None

    def _as_weighed(self, planned: list[Item], there: list[Item], field: str, known: Owners) -> bool:
        def places(entries: Iterable[Item], kind: str) -> set[tuple[str, str, bool]]:
            return {(i.version, i.etag, i.current) for i in entries if i.kind == kind}

        if places(planned, "file") == places(there, "version"):
            return True
        records = [i for i in planned if i.kind == "record"]
        if any(changes(i) for i in records):
            return False
        # Nothing of it is to be changed: a log that others go on writing may grow, but not by the cohort.
        found = self._hits(there, field, known)
        live = Counter(i.content for i in records if i.current)
        return Counter(i.content for i in found if i.current) == live and (
            bool(live) or len(found) == len(records)
        )

    def _hits(self, group: list[Item], field: str, known: Owners) -> list[Item]:
        findings = list(self.findings)
        rows = [i for i in self._scan(self._fetched([group], known), field, known) if i.kind == "record"]
        self.findings = findings
        return rows

    def carry_out(self, step: Step, rows: Sequence[Item]) -> Done:
        done, (field, known) = Done(), self._owners(step)
        doomed: list[tuple[str, str]] = []
        for key, group in groupby(rows, key=lambda i: i.key):
            planned = list(group)
            for item in planned:
                if item.kind == "record" and changes(item):
                    done.add(item)
            doomed += [
                (key, version)
                for version in rewrite_current(self.files, key, planned, (field, known), self.site.area)
            ]
        result = delete_versions(self.site.client, self.bucket, doomed, self.site.patience, self.dataset.id)
        done.stayed, done.requests = result.stayed, result.requests
        return done

    def tags(self, located: Iterable[Item]) -> Iterator[Item]:
        return (file for file in _of_the_cohort(located) if not file.mixed)

    def open_to_others(self, located: Iterable[Item]) -> Iterator[Item]:
        return (file for file in _of_the_cohort(located) if file.mixed)


def _of_the_cohort(located: Iterable[Item]) -> Iterator[Item]:
    """The ``file`` rows of versions in which the cohort has records of its own."""
    for _, rows in groupby(located, key=lambda i: (i.key, i.version)):
        file, *records = rows
        if any(not r.link_only for r in records):
            yield file


def changes(item: Item) -> bool:
    return item.disposition is not None and item.disposition.changes_data


def _weigh_old(records: list[Item]) -> None:
    """The records of one noncurrent version. It can only go whole."""
    due = [i for i in records if changes(i)]
    if not due:
        return
    stay = [i for i in records if not changes(i)]
    blocked = [i for i in stay if i.disposition is Disposition.HOLD or not i.in_current]
    if due[0].bystanders_lost:
        why = "a decision on records of others that only this old version holds"
        for item in due:
            settle(item, Disposition.RETAIN, item.rule, item.law, waits_for=why)
    elif blocked:
        last = max(blocked, key=lambda i: (i.until is None, str(i.until)))
        for item in due:
            wait = None if last.until else "records in the same old version that must stay"
            settle(item, Disposition.RETAIN, item.rule, last.law, until=last.until, waits_for=wait)
    else:
        # What must stay stays in the current file; this copy of it goes with the version.
        for item in records:
            settle(item, Disposition.ERASE, item.rule, item.law)
