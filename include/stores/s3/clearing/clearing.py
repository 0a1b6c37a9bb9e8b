"""``Clearing``: objects, and records in shared files, that are due go, whosever they are (PIPL 47 para. 1; policy 7.2).

A record bears the time that its clock starts by (``logs``). An object has no date of its own that a rule counts from; whoever
knows the rows that its path leads to says whether it is due (``finding``). What is due is kept in a manifest of the step area,
and disposed of chunk by chunk (``chunk``): intent, deed, which rows stay, receipt. S3 has no transactions, so a run that was
killed goes on with the chunk that it had begun.

A dataset that cannot be asked, or whose bucket does not answer, is left for the next night, and named; all others go on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import Drifted, QuietusError, Refused, Stopped
from include.model.estate import Dataset
from include.model.flow import Line, Located, Plan, Receipt, Step, Survey
from include.model.times import observed_now
from include.model.words import CopyKind, DatasetKind, Role
from include.stores.pieces import Size
from include.stores.s3.aged import Aging, Logs
from include.stores.s3.area import Area, Kind
from include.stores.s3.clearing.chunk import UPTO, Chunk, Numbered, Objects, sum_of
from include.stores.s3.clearing.finding import Due, Within, by_key, due_items, every_key, spooled
from include.stores.s3.clearing.logs import FILES, Files, due_records
from include.stores.s3.items import Item, Lines, Tally
from include.stores.s3.manifests import Manifest
from include.stores.s3.once import Memory, Once
from include.stores.s3.server import BATCH, Patience
from include.stores.s3.site import Site
from include.stores.s3.wiring import no_keys
from include.stores.shared import LARGER, STAGED, come_to_again, everything, nothing, nowhere

QUICK = 10.0  # seconds between two journal entries, and two looks whether somebody stops us


def _objects() -> Size:
    """One bulk delete at least."""
    return Size(5 * BATCH, BATCH, 50 * BATCH, QUICK)


def _files() -> Size:
    return Size(FILES, 1, 4 * FILES, QUICK)


@dataclass
class Clearing:
    """Implements ``include.model.doors.Clearing``, as the eraser.

    ``datasets``: those that are asked about. ``due`` answers of the paths of objects, and ``aging`` says what to ask of record
    files, both with the holds of the moment; ``within``: of which keys at all. ``may_go_on`` is called before each
    chunk and raises Stopped; ``budget`` says how many of so many items of a dataset may still go tonight. ``unasked``: datasets
    that are not asked about, and why; ``left``: those that were not finished, too. ``memory``: what the eraser read of record
    files before.
    """

    catalogue: Catalogue
    id: str
    connections: Connections
    datasets: Sequence[Dataset]
    due: Due
    aging: Callable[[Dataset], Aging]
    may_go_on: Callable[[], None] = nothing
    budget: Callable[..., int] = everything
    unasked: Mapping[str, str] = field(default_factory=dict)
    within: Within = every_key
    memory: Memory | None = None
    work: str = "quietus-work"
    patience: Patience = field(default_factory=Patience)
    size: Size = field(default_factory=_objects)
    files: Size = field(default_factory=_files)
    at: Callable[[str], None] = nowhere
    left: dict[str, str] = field(default_factory=dict)
    by_rows: dict[str, str] = field(default_factory=dict)  # of tables alone
    waited: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # the same

    def __post_init__(self) -> None:
        client = self.connections.s3(self.catalogue.store(self.id).connection, Role.ERASER)
        self._area = Area(client, self.work, self.id, self.patience)
        self._site = Site(client, self._area, self.patience, no_keys)
        self._once = Once(self.memory)

    @property
    def _every(self) -> tuple[Dataset, ...]:
        return self.catalogue.of_store(self.id, DatasetKind.OBJECTS, DatasetKind.RECORDS)

    # --- before ------------------------------------------------------------------------------------

    def locate(self, step: Step) -> Survey:
        """Raises Refused once something of the step was begun: then it goes on with what it located."""
        self._area.open(step)
        if self.begun_under(step) is not None:
            raise Refused(
                "something of this step is disposed of already", about=self._about(step),
                next_step="go on with what was located; what fell due since is the next night's",
            )  # fmt: skip
        self.left |= {d.id: self.unasked[d.id] for d in self._every if d.id in self.unasked}
        with self._area.writing(step.id, "weighed") as manifest:
            for dataset in self._every:
                manifest.add(dataset.id, self._located(dataset) if dataset in self.datasets else ())
        self.at("clearing.located")
        return self._survey(step, "weighed")

    def _located(self, dataset: Dataset) -> Iterator[Item]:
        try:
            if dataset.kind is DatasetKind.RECORDS:
                yield from spooled(due_records(Logs(self._site.client, self.aging(dataset), self._once)))
            else:
                yield from spooled(due_items(self._site.client, dataset, self.due, self.within))
        except QuietusError as error:
            self.left[dataset.id] = str(error)

    def lines(self, step: Step) -> Sequence[Line]:
        lines = [Lines(d.id) for d in self._every]
        with self._area.reading(step.id, self._kind(step)) as manifest:
            for groups in lines:
                for item in manifest.items(groups.dataset):
                    if item.kind != "file":
                        groups.add(item)
        return [line for groups in lines for line in groups.lines()]

    def unfinished(self, step: Step) -> Counter[str]:
        """How many of what was located are uploads that were never finished, by dataset."""
        with self._area.reading(step.id, "weighed") as manifest:
            return Counter(
                d.id for d in self._every for item in manifest.items(d.id) if item.kind == "upload"
            )

    # --- the deed ----------------------------------------------------------------------------------

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Again, or after being killed, it goes on after the last receipt, with the chunk that was begun."""
        fingerprint = plan.fingerprint()
        if plan.step != step.id:
            raise Refused(
                "the plan is another step's", about=self._about(step), next_step="give the step's own"
            )
        come_to_again(self.left)
        begun = self.begun_under(step)
        if begun not in (None, fingerprint):
            raise Drifted(
                "this step was begun under another plan", about=self._about(step),
                next_step="finish it with the plan it was begun with",
            )  # fmt: skip
        with self._area.reading(step.id, "weighed") as manifest:
            if begun is None:
                self._check(manifest, plan)
            # On most nights nothing is due of most buckets: where nothing was located, nothing is come to.
            located = {x.dataset for x in plan.located if x.items}
            mine = self._disposed(step)
            for dataset in self._every:
                if dataset.id in located:
                    self._dataset(step, fingerprint, dataset, manifest, mine)
        if not mine:  # nothing was come to: what was located is given up for tonight
            mine.append(self._receive(step, fingerprint, 0, {}, {}))
        return Receipt(
            step=step.id, store=self.id, verb="dispose", chunk=mine[-1].chunk, plan=fingerprint,
            counts=sum_of([r.counts for r in mine]), position={"chunks": str(len(mine))}, done_at=mine[-1].done_at,
        )  # fmt: skip

    def _check(self, manifest: Manifest, plan: Plan) -> None:
        for dataset in self._every:
            tally = Tally(dataset.id, dataset.address)
            for item in manifest.items(dataset.id):
                tally.add(item)
            planned = {
                x.copy_kind: (x.items, x.digest) for x in plan.located if x.dataset == dataset.id and x.items
            }
            found = {x.copy_kind: (x.items, x.digest) for x in tally.located() if x.items}
            if planned != found:
                raise Drifted(
                    f"{sum(n for n, _ in planned.values())} items were planned, and {sum(n for n, _ in found.values())}, or"
                    " other ones, are located",
                    about=f"{self.id} {dataset.id}", next_step="plan again from what is located",
                )  # fmt: skip

    def _dataset(
        self, step: Step, plan: str, dataset: Dataset, manifest: Manifest, done: list[Receipt]
    ) -> None:
        """The chunks of one dataset that have no receipt yet. ``done``: the receipts that there are, which it goes on with."""
        after = _upto(done, dataset)
        number = max((r.chunk for r in done), default=-1) + 1
        begun = self._begun(step, number, dataset)
        rows = islice(enumerate(manifest.items(dataset.id)), after + 1, None)
        of_files = dataset.kind is DatasetKind.RECORDS
        size = self.files if of_files else self.size
        for few in _chunks(rows, size, begun.get(UPTO), keys=of_files):
            self.may_go_on()
            began, pauses = time.monotonic(), self.patience.pauses
            taken, rest = (few, None) if begun else self._within_budget(dataset, few)
            if not taken:
                self.left[dataset.id] = STAGED if rest is None or after >= 0 else rest
                return
            try:
                chunk = self._chunk(dataset, taken)
                chunk.go_on(begun)
                chunk.decide(begun=bool(begun))
            except Stopped:
                raise
            except QuietusError as error:
                if begun:  # it may be half done: it must be come to its end
                    raise
                self.budget(-_items(taken), dataset.id)
                self.left[dataset.id] = str(error)
                return
            done.append(self._one(step, plan, number, chunk))
            if not begun:
                self.budget(-chunk.left_over, dataset.id)  # what was passed over may be others'
                self._learn(
                    size, time.monotonic() - began, taken, keys=of_files, busy=self.patience.pauses > pauses
                )
            number, begun, after = number + 1, {}, taken[-1][0]
            if rest:
                self.left[dataset.id] = rest
                return

    def _one(self, step: Step, plan: str, number: int, chunk: Chunk) -> Receipt:
        self._area.intend(step.id, number, plan, **chunk.intent())
        self.at("clearing.intended")
        chunk.carry_out()
        self._once.keep()
        self.at("clearing.deleted")
        self._area.pass_over(step.id, number, chunk.passed)
        self.at("clearing.passed")
        receipt = self._receive(step, plan, number, {chunk.dataset.id: chunk.counts()}, chunk.position())
        self.at("clearing.receipt")
        return receipt

    def _learn(self, size: Size, seconds: float, taken: Numbered, *, keys: bool, busy: bool) -> None:
        """From a chunk that was done. ``busy``: the server answered so."""
        if busy:
            size.halve()
        else:
            size.took(seconds, sum(1 for _ in by_key(taken)) if keys else len(taken))

    def _begun(self, step: Step, number: int, dataset: Dataset) -> dict[str, Any]:
        """What was said of the dataset's chunk that was begun and has no receipt; nothing if there is none."""
        said = self._area.intended(step.id, number)
        return said if said.get("dataset") == dataset.id else {}

    def _within_budget(self, dataset: Dataset, rows: Numbered) -> tuple[Numbered, str | None]:
        """As many whole keys as may still go, and why others are left, if they are."""
        wanted = _items(rows)
        few = self.budget(wanted, dataset.id)
        if few >= wanted:
            return rows, None
        if few <= 0:
            return [], STAGED
        taken: list[tuple[int, Item]] = []
        for group in by_key(rows):
            if _items(taken) + _items(group) > few:
                break
            taken += group
        self.budget(_items(taken) - few, dataset.id)
        return taken, STAGED if taken else LARGER.format(_items(next(by_key(rows))))

    def _chunk(self, dataset: Dataset, rows: Numbered) -> Chunk:
        """Rows as what they are: objects, or files of records."""
        if dataset.kind is DatasetKind.RECORDS:
            return Files(self._site, dataset, rows, aging=self.aging(dataset), once=self._once, at=self.at)
        return Objects(self._site, dataset, rows, due=self.due, within=self.within)

    def _receive(
        self, step: Step, plan: str, number: int, counts: dict[str, dict[str, int]], position: dict[str, str]
    ) -> Receipt:
        return self._area.receipt(
            Receipt(
                step=step.id, store=self.id, verb="dispose", chunk=number, plan=plan, counts=counts, position=position,
                done_at=observed_now(),
            )
        )  # fmt: skip

    # --- after -------------------------------------------------------------------------------------

    def settled(self, step: Step) -> Survey:
        """The items that were not come to are given up for this night: they leave the area, as those that were passed over do."""
        done = self._disposed(step)
        with (
            self._area.reading(step.id, "weighed") as weighed,
            self._area.writing(step.id, "settled") as manifest,
        ):
            for dataset in self._every:
                upto = _upto(done, dataset) if done else None
                passed = {
                    n for r in done if dataset.id in r.counts for n in self._area.passed(step.id, r.chunk)
                }
                manifest.add(
                    dataset.id,
                    (item for n, item in enumerate(weighed.items(dataset.id))
                     if (upto is None or n <= upto) and n not in passed),
                )  # fmt: skip
        return self._survey(step, "settled")

    def begun_under(self, step: Step) -> str | None:
        """By the journal: a chunk is intended before any of it is touched. Once the area is dropped, by receipts."""
        done = {r.chunk: r.plan for r in self._disposed(step)}
        return next(iter((self._area.intents(step.id) or done).values()), None)

    def receipts(self, step: Step) -> Sequence[Receipt]:
        return self._area.receipts(step.id)

    def close(self, step: Step) -> None:
        self._area.close(step.id)

    # --- what is there -----------------------------------------------------------------------------

    def _disposed(self, step: Step) -> list[Receipt]:
        return [r for r in self._area.receipts(step.id) if r.verb == "dispose"]

    def _kind(self, step: Step) -> Kind:
        return "settled" if self._disposed(step) else "weighed"

    def _survey(self, step: Step, kind: Kind) -> Survey:
        """Of each copy of which something was located, what is in a manifest: none, if all of it was passed over."""
        located: list[Located] = []
        with self._area.reading(step.id, "weighed") as weighed, self._area.reading(step.id, kind) as manifest:
            for dataset in self._every:
                copies = {i.copy for i in weighed.items(dataset.id) if i.kind != "file"} | {CopyKind.LIVE}
                tally = Tally(dataset.id, dataset.address)
                for item in manifest.items(dataset.id):
                    tally.add(item)
                found = {x.copy_kind: x for x in tally.located()}
                none = Located(dataset=dataset.id, items=0, digest=found[CopyKind.LIVE].digest)
                located += [
                    found.get(c, none.model_copy(update={"copy_kind": c, "digest": "0" * 64}))
                    for c in sorted(copies)
                ]
        return Survey(step=step.id, store=self.id, located=tuple(located), observed_at=observed_now())

    def _about(self, step: Step) -> str:
        return f"step {step.id} of {step.case_no} in store {self.id}"


def _upto(done: Sequence[Receipt], dataset: Dataset) -> int:
    """The last place in the order of a dataset that was dealt with; -1: none."""
    return max((r.counts[dataset.id][UPTO] for r in done if dataset.id in r.counts), default=-1)


def _items(rows: Numbered) -> int:
    """How many items these rows are: a row of a record file stands for many, and one for none."""
    return sum(item.records for _, item in rows if item.kind != "file")


def _chunks(
    rows: Iterator[tuple[int, Item]], size: Size, first_to: object, *, keys: bool
) -> Iterator[list[tuple[int, Item]]]:
    """Whole keys, about as many items at a time as ``size`` says when a chunk begins; or so many of them (``keys``).
    ``first_to``: the place that the first chunk goes to, where it was begun."""
    chunk: list[tuple[int, Item]] = []
    so_many = 0
    for group in by_key(rows):
        chunk += group
        so_many += 1 if keys else len(group)
        full = chunk[-1][0] >= first_to if isinstance(first_to, int) else so_many >= size.items
        if full:
            yield chunk
            chunk, first_to, so_many = [], None, 0
    if chunk:
        yield chunk
