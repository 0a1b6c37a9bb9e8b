"""Proofs over S3 stores: whole objects under a person's prefixes, and a person's records in shared files.

cohort        the step area is about the people of the step, all of them and nobody else          baseline
seen, there   as in PostgreSQL: before the disposal the prover sees exactly what was located      baseline
anew          nothing under the person's prefixes that the survey did not know                    R0
kept          what must stay is there, version by version                                         R0
head          a HEAD for a key that went finds nothing                                            R1
gone          no current object that was to go; of records, none of the person's                  R2
bytes         no version, delete marker or open upload that was to go; no record in any version   R4
replicas      nor in a bucket that this one is replicated to                                      R4
unlinked      the rows that tied shared objects to the person are gone                            R2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from include.model.abreast import abreast
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import QuietusError, Refused
from include.model.estate import Dataset, StoreDeclared
from include.model.flow import Check, Evidence, Plan, Step
from include.model.words import CopyKind, DatasetKind, Disposition, Ownership, Role, Rung, StoreKind, Verdict
from include.proofs.asking import Question, evidence
from include.proofs.bodies import Unreadable, records_of
from include.proofs.bucket import WORK, Bucket, Manifests, Pattern, Thing, asking
from include.proofs.run import judge
from include.proofs.server import Reader, meaning
from include.proofs.tables import equal, quoted

HEADS = 200  # at most so many keys of a dataset are asked for by HEAD; listings tell of all of them
STAYS = ("retain", "hold", "deidentify", "unlink")
COPIES = (CopyKind.LIVE, CopyKind.OBJECT_VERSION)
_NOT_COUNTED = sql.SQL("SELECT")


@dataclass
class Looking:
    """One S3 store in one step."""

    catalogue: Catalogue
    connections: Connections
    step: Step
    store: StoreDeclared
    work: str = WORK
    counts: dict[str, int] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    blind: list[Check] = field(default_factory=list)
    _keys: dict[tuple[str, ...], list[tuple[Any, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = self.connections.s3(self.store.connection, Role.PROVER)
        self.manifests = Manifests(Bucket(self.client, self.work), self.step.id)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self.catalogue.of_store(self.store.id, DatasetKind.OBJECTS, DatasetKind.RECORDS)

    def buckets(self) -> tuple[list[str], str]:
        """Every bucket but our own, and why these may not be all: then they are the declared ones only."""
        declared = {d.address for d in self.datasets}
        try:
            with asking(self.store.id):
                found = {b["Name"] for b in self.client.list_buckets().get("Buckets", [])}
        except Refused as error:
            why = f"{error.what}: buckets that nobody declared cannot be listed, and were not looked into"
            return sorted(declared - {self.work}), why
        return sorted((found | declared) - {self.work}), ""

    # --- collecting answers -------------------------------------------------------------------------

    def note(
        self, what: str, dataset: Dataset, copy: CopyKind, rung: Rung, expected: int, observed: int, why: str
    ) -> None:
        """An answer, to be judged with the others by the suite."""
        name = f"{what}.{dataset.id}"
        unique = f"{name}@{copy.value}"
        self.counts[unique] = observed
        self.questions.append(Question(name, dataset.id, rung, expected, _NOT_COUNTED, why, (), copy))

    def each(self, look: Callable[[Dataset], None], what: str, rung: Rung) -> None:
        """Look at every dataset; one that cannot be looked at is UNVERIFIED, the others are answered."""
        for dataset in self.datasets:
            try:
                look(dataset)
            except Refused as error:
                self.unverified(f"{what}.{dataset.id}", dataset.id, rung, error.what)
            except Unreadable:
                self.unverified(
                    f"{what}.{dataset.id}",
                    dataset.id,
                    rung,
                    "a record file cannot be read: nothing says whose it is",
                )

    def unverified(self, name: str, dataset: str | None, rung: Rung, why: str) -> None:
        """What could not be looked at."""
        self.blind.append(Check(name=name, dataset=dataset, rung=rung, verdict=Verdict.UNVERIFIED, why=why))

    def evidence(self, kind: str, plan: Plan | None) -> Evidence:
        """Have the suite judge what was counted."""
        checks = judge(kind, self.store.id, self.questions, self.counts)
        return evidence(kind, self.step, plan, self.store.id, (*checks, *self.blind))

    # --- whose objects ------------------------------------------------------------------------------

    def owned(self, dataset: Dataset) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
        """Variables (or record fields) -> the values of them that lead to the cohort."""
        found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for link in dataset.links:
            if link.column:
                found.setdefault((link.column,), set()).update((s,) for s in self.step.subjects)
            elif link.via:
                names = tuple(sorted(link.on))
                found.setdefault(names, set()).update(self._through(link.via, [link.on[n] for n in names]))
        return found

    def _through(self, parent: str, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Values of a database's items: from the survey's keys, since the rows themselves may be gone. The survey is
        over, so they are read once a look."""
        asked = (parent, *columns)
        if asked not in self._keys:
            self._keys[asked] = self._query(
                parent,
                sql.SQL("SELECT DISTINCT {} FROM {} AS k").format(
                    sql.SQL(", ").join(sql.SQL("k.{}::text").format(sql.Identifier(c)) for c in columns),
                    sql.Identifier(f"q_{self.step.id}", parent),
                ),
            )
        for row in self._keys[asked]:
            yield tuple(str(v) for v in row)

    def _query(self, dataset: str, statement: sql.Composed) -> list[tuple[Any, ...]]:
        store = self.catalogue.store(self.catalogue.dataset(dataset).store)
        reader = Reader.of(self.connections, store.id, store.connection)
        with reader.connect() as connection:
            try:
                return connection.execute(statement).fetchall()
            except psycopg.Error as error:
                raise Refused(meaning(error, reader.about).what, about=dataset) from None

    def things(self, dataset: Dataset) -> list[Thing]:
        """Every version, marker and upload of an objects dataset that the cohort's prefixes lead to."""
        pattern, owned = Pattern(dataset.prefix), self.owned(dataset)
        starts = {
            pattern.start(dict(zip(names, values, strict=True)))
            for names, of in owned.items()
            for values in of
        }
        found = []
        for thing in Bucket(self.client, dataset.address).under(starts) if starts else ():
            seen = pattern.variables(thing.key)
            if seen and any(tuple(seen.get(n, "") for n in names) in of for names, of in owned.items()):
                found.append(thing)
        return found

    def records(self, dataset: Dataset) -> tuple[Counter[CopyKind], int]:
        """The cohort's records in every version of every file, by copy; and how many uploads are open there.

        Raises Unreadable if a file cannot be read.
        """
        ((names, values),) = self.owned(dataset).items()
        subjects = frozenset(v[0] for v in values)
        bucket = Bucket(self.client, dataset.address)
        found: Counter[CopyKind] = Counter()
        uploads = 0

        def records(thing: Thing) -> int:
            if thing.kind != "version" or not thing.size:
                return 0
            return records_of(bucket.body(thing), dataset.format or "jsonl.gz", names[0], subjects)

        things = list(bucket.under([dataset.prefix]))
        for thing, n in zip(things, abreast(records, things), strict=True):
            found[thing.copy] += n
            uploads += thing.kind == "upload"
        return found, uploads


# --- baseline ---------------------------------------------------------------------------------------


def baseline(looking: Looking, plan: Plan) -> Evidence:
    """The prover sees what was located, by its own listings and readings."""

    def look(dataset: Dataset) -> None:
        located = {x.copy_kind: x.items for x in plan.located if x.dataset == dataset.id}
        if dataset.kind is DatasetKind.OBJECTS:
            seen: Counter[CopyKind] = Counter(t.copy for t in looking.things(dataset))
        else:
            seen, _ = looking.records(dataset)
        for copy in COPIES:
            if copy is CopyKind.LIVE or located.get(copy, 0) or seen[copy]:
                looking.note(
                    "seen", dataset, copy, Rung.R0, located.get(copy, 0), seen[copy],
                    "the prover, looking by itself, does not see what was located",
                )  # fmt: skip

    _same_people(looking)
    looking.each(look, "seen", Rung.R0)
    return looking.evidence("baseline", plan)


def _same_people(looking: Looking) -> None:
    """The deleter works on whom its step area names; the prover's own listings start from whom the step names."""
    name = f"cohort.{looking.store.id}"
    try:
        other = set(looking.manifests.cohort()) ^ set(looking.step.subjects)
    except Refused as error:
        looking.unverified(name, None, Rung.R0, error.what)
        return
    question = Question(
        name, None, Rung.R0, 0, _NOT_COUNTED, "the step area is about other people than the step"
    )
    looking.counts[question.id] = len(other)
    looking.questions.append(question)


# --- gone -----------------------------------------------------------------------------------------------


def gone(looking: Looking, plan: Plan) -> Evidence:
    """After the disposal: R0, R1, R2 and R4 per dataset and copy."""
    about = {x.dataset for x in plan.located} | {x.dataset for x in plan.lines}

    def look(dataset: Dataset) -> None:
        if dataset.id not in about:
            return
        if dataset.kind is DatasetKind.OBJECTS:
            _objects(looking, plan, dataset)
        else:
            _records(looking, plan, dataset)

    looking.each(look, "gone", Rung.R2)
    return looking.evidence("gone", plan)


def _items(plan: Plan, dataset: Dataset, copy: CopyKind, *dispositions: str) -> int:
    return sum(
        x.items
        for x in plan.lines_of(dataset.id)
        if x.copy_kind is copy and (not dispositions or x.disposition.value in dispositions)
    )


def _objects(looking: Looking, plan: Plan, dataset: Dataset) -> None:
    weighed = list(looking.manifests.rows("weighed", dataset.id))
    erase = {(r["key"], r["version"]) for r in weighed if r.get("disposition") == "erase"}
    stay = {(r["key"], r["version"]) for r in weighed if r.get("disposition") in STAYS}
    copies = {
        (r["key"], r["version"]): CopyKind.LIVE if r.get("current") else CopyKind.OBJECT_VERSION
        for r in weighed
    }
    there = looking.things(dataset)
    now = {t.id: t for t in there}
    unknown = [t for t in there if t.id not in copies]
    for copy in COPIES:
        new = [t for t in unknown if t.copy is copy]
        if copy is not CopyKind.LIVE and not new and not _items(plan, dataset, copy):
            continue
        # A version that was current may be current no more: what it was in the books counts.
        left = [i for i in erase & now.keys() if copies[i] is copy]
        looking.note(
            "anew", dataset, copy, Rung.R0, 0, len(new),
            "there are versions, markers or uploads under the person's prefixes that the plan does not know",
        )  # fmt: skip
        if staying := _items(plan, dataset, copy, *STAYS):
            kept = sum(1 for i in stay & now.keys() if copies[i] is copy)
            looking.note("kept", dataset, copy, Rung.R0, staying, kept, "versions that must stay are gone")
        if _items(plan, dataset, copy, "erase"):
            keys = sorted({i[0] for i in erase if copies[i] is copy} - {i[0] for i in stay})[:HEADS]
            bucket = Bucket(looking.client, dataset.address)
            looking.note(
                "head", dataset, copy, Rung.R1, 0, sum(bucket.answers(k) for k in keys),
                "keys that were to go still answer",
            )  # fmt: skip
            current = [i for i in left if now[i].current] + [t.id for t in new if t.current]
            looking.note(
                "gone", dataset, copy, Rung.R2, 0, len(current), "objects that were to go are there",
            )  # fmt: skip
            looking.note(
                "bytes", dataset, copy, Rung.R4, 0, len(left) + len(new),
                "versions, delete markers or open uploads that were to go are there",
            )  # fmt: skip
            replicas(looking, dataset, copy, lambda twin: _left_in(looking, twin, stay))
        if _items(plan, dataset, copy, "unlink"):
            _unlinked(looking, dataset, copy)


def _unlinked(looking: Looking, dataset: Dataset, copy: CopyKind) -> None:
    """A shared object stays for its other owners; what went is the row that tied it to the person."""
    left = 0
    for link in dataset.links:
        if link.via is None:
            continue
        parent = looking.catalogue.dataset(link.via)
        rows = looking._query(
            parent.id,
            sql.SQL("SELECT count(*) FROM {} AS k JOIN {} AS t ON {} WHERE k.disposition = {}").format(
                sql.Identifier(f"q_{looking.step.id}", parent.id),
                quoted(parent.address),
                equal("t", "k", parent.key),
                sql.Literal(Disposition.ERASE.value),
            ),
        )
        left += int(rows[0][0])
    if all(link.column and link.ownership is Ownership.ACCESS_ONLY for link in dataset.links):
        return  # the key itself names the person: there is no row to look for, and nothing to claim
    looking.note("unlinked", dataset, copy, Rung.R2, 0, left, "rows still tie shared objects to the person")


def _records(looking: Looking, plan: Plan, dataset: Dataset) -> None:
    seen, uploads = looking.records(dataset)
    names = next(iter(looking.owned(dataset)))
    # A cut that takes the subject out of a record leaves nothing to find it by.
    unnamed = bool(dataset.cut and names[0] in dataset.cut.set)
    staying = ("retain", "hold") if unnamed else ("retain", "hold", "deidentify", "unlink")
    for copy in COPIES:
        if copy is not CopyKind.LIVE and not (_items(plan, dataset, copy) or seen[copy]):
            continue
        stay = _items(plan, dataset, copy, *staying)
        looking.note(
            "kept", dataset, copy, Rung.R0, stay, min(seen[copy], stay), "records that must stay are gone"
        )
        if not _items(plan, dataset, copy, "erase", "deidentify", "unlink") and seen[copy] == stay:
            continue
        looking.note(
            "gone", dataset, copy, Rung.R2, stay, seen[copy],
            "records of the person that were to go are still in the files",
        )  # fmt: skip
        if uploads:
            looking.blind.append(
                Check(
                    name=f"bytes.{dataset.id}",
                    dataset=dataset.id,
                    copy_kind=copy,
                    rung=Rung.R4,
                    verdict=Verdict.UNVERIFIED,
                    why="multipart uploads of record files are open; nobody can read them",
                )
            )
            continue
        looking.note(
            "bytes", dataset, copy, Rung.R4, sum(_items(plan, dataset, c, *staying) for c in COPIES),
            sum(seen.values()), "records of the person that were to go are in some version of the files",
        )  # fmt: skip
        replicas(looking, dataset, copy, lambda twin: _records_beyond(looking, plan, twin, staying))


def replicas(looking: Looking, dataset: Dataset, copy: CopyKind, left: Callable[[Dataset], int]) -> None:
    """A bucket that is replicated has the bytes twice: looked at by the same questions, or R4 is not claimed."""
    try:
        for name in Bucket(looking.client, dataset.address).replicas():
            looking.note(
                "replicas", dataset, copy, Rung.R4, 0, left(dataset.model_copy(update={"address": name})),
                f"the replica {name} still has what was to go",
            )  # fmt: skip
    except Refused as error:
        why = f"whether there are replicas, and what they hold, cannot be looked at: {error.what}"
        looking.blind.append(
            Check(
                name=f"replicas.{dataset.id}", dataset=dataset.id, copy_kind=copy, rung=Rung.R4,
                verdict=Verdict.UNVERIFIED, why=why,
            )
        )  # fmt: skip


def _left_in(looking: Looking, twin: Dataset, stay: set[tuple[str, str]]) -> int:
    # A replica keeps the version ids. A delete marker that was replicated leads nowhere but is a mention.
    return sum(1 for t in looking.things(twin) if t.id not in stay)


def _records_beyond(looking: Looking, plan: Plan, twin: Dataset, staying: Sequence[str]) -> int:
    seen, _ = looking.records(twin)
    return max(0, sum(seen.values()) - sum(_items(plan, twin, c, *staying) for c in COPIES))


def stores(catalogue: Catalogue, connections: Connections, step: Step, work: str = WORK) -> Iterator[Looking]:
    """Every S3 store of the catalogue that holds something."""
    for store in catalogue.stores:
        if store.kind is StoreKind.S3 and catalogue.of_store(store.id):
            yield Looking(catalogue, connections, step, store, work)


__all__ = ["Looking", "QuietusError", "baseline", "gone", "replicas", "stores"]
