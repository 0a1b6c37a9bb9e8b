"""The five verbs over one S3 store (:class:`include.model.doors.Store`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date

from include.model.carried import Came
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import BooksDoNotBalance, CatalogueError, Drifted, QuietusError
from include.model.estate import Dataset, Start
from include.model.flow import Finding, Line, Located, Plan, Provision, Receipt, Step, Survey
from include.model.template import Template
from include.model.times import observed_now
from include.model.words import DatasetKind, Role
from include.stores.s3.area import Area
from include.stores.s3.fate import Judge, joined
from include.stores.s3.items import Item, Lines, Tally
from include.stores.s3.manifests import Manifest
from include.stores.s3.objects import Objects
from include.stores.s3.records import Records
from include.stores.s3.restriction import MIXED, WRITES, Restriction
from include.stores.s3.server import Patience, reaching
from include.stores.s3.site import Done, Handler, Site, needs_keys
from include.stores.s3.wiring import CameOf, KeysOf, StartsOf, UntilOf, no_keys, no_starts, none_came
from include.stores.shared import SHARED_LAW, nothing


class S3Store:
    """One company store on S3. Every method may be called again after a crash.

    ``keys_of`` and ``starts_of`` answer for what only a database knows (see ``wiring``); ``until_of``
    counts floors in working days; ``work`` is the bucket of the step area.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: str,
        connections: Connections,
        *,
        keys_of: KeysOf = no_keys,
        starts_of: StartsOf = no_starts,
        came_of: CameOf = none_came,
        until_of: UntilOf | None = None,
        work: str = "quietus-work",
        patience: Patience | None = None,
        shared_law: str = SHARED_LAW,
        may_go_on: Callable[[], None] = nothing,
    ) -> None:
        self.id = store
        self.catalogue = catalogue
        self.declared = catalogue.store(store)
        self.datasets = catalogue.of_store(store, DatasetKind.OBJECTS, DatasetKind.RECORDS)
        self._starts_of, self._until_of, self._shared_law = starts_of, until_of, shared_law
        self._came_of = came_of
        self._may_go_on = may_go_on
        self._wired = keys_of is not no_keys, starts_of is not no_starts
        client = connections.s3(self.declared.connection, Role.ERASER)
        waiting = patience or Patience()
        self._area = Area(client, work, store, waiting)
        self._site = Site(client, self._area, waiting, keys_of)
        self._restriction = Restriction(self._site, self.declared.business_roles)

    def install(self) -> None:
        """Make the work bucket. Again is a no-op."""
        self._area.install()

    def _handler(self, dataset: Dataset) -> Handler:
        return (Objects if dataset.kind is DatasetKind.OBJECTS else Records)(self._site, dataset)

    # --- preflight, open, survey ----------------------------------------------------------------

    def preflight(self) -> Sequence[Finding]:
        """Missing buckets, templates that cannot find their subject, links nobody answers for."""
        found: list[Finding] = []
        missing = {
            bucket: self._missing(bucket) for bucket in dict.fromkeys(d.address for d in self.datasets)
        }
        for dataset in self.datasets:
            problem = missing[dataset.address] or self._problem(dataset)
            if problem:
                found.append(
                    Finding(
                        code="s3_dataset",
                        dataset=dataset.id,
                        place=f"{dataset.address}/{dataset.prefix}",
                        items=None,
                        what=problem,
                        next_step="correct the catalogue or the server, then run the step again",
                    )
                )
        return found

    def _missing(self, bucket: str) -> str | None:
        try:
            with reaching(bucket):
                self._site.client.list_object_versions(Bucket=bucket, MaxKeys=1)
        except CatalogueError as error:
            return error.what
        return None

    def _problem(self, dataset: Dataset) -> str | None:
        if needs_keys(dataset.links) and not self._wired[0]:
            return "it is linked through another dataset, and the store was given no keys_of"
        if any(b.start and b.start.query for b in dataset.binds) and not self._wired[1]:
            return "a rule of it starts by a query, and the store was given no starts_of"
        fields = {v for link in dataset.links for v in ((link.column,) if link.column else link.on)}
        if dataset.kind is DatasetKind.RECORDS:
            return _problem_of_records(dataset, fields)
        missing = sorted(fields - set(Template(dataset.prefix).variables))
        return f"its key template has no variable {missing[0]!r}" if missing else None

    def open(self, step: Step) -> None:
        self._area.open(step)

    def survey(self, step: Step) -> Survey:
        """Locate the cohort's items. Once disposing has begun, what was located before it (the same step
        makes the same plan again); to see what is left, survey another step."""
        tallies = [Tally(d.id, d.address) for d in self.datasets]
        if self._area.intents(step.id):
            with self._area.reading(step.id, "weighed") as weighed:
                for tally in tallies:
                    for item in weighed.items(tally.dataset):
                        tally.add(item)
        else:
            with self._area.writing(step.id, "located") as manifest:
                found: list[Finding] = []
                for dataset, tally in zip(self.datasets, tallies, strict=True):
                    handler = self._handler(dataset)
                    manifest.add(dataset.id, tally.add_all(handler.survey(step)))
                    found += handler.findings
                manifest.note(found)
        located = tuple(entry for tally in tallies for entry in tally.located())
        return Survey(step=step.id, store=self.id, located=located, observed_at=observed_now())

    def findings(self, step: Step) -> Sequence[Finding]:
        """What the survey found that a person must settle. Raises Drifted if the step was not surveyed."""
        with self._area.reading(step.id, "located") as located:
            return located.findings()

    # --- weigh ----------------------------------------------------------------------------------

    def weigh(self, step: Step, provisions: Sequence[Provision]) -> Sequence[Line]:
        """Give each surveyed item its disposition. Once disposing has begun, the lines as they were."""
        provided = {p.dataset: p for p in provisions}
        lines = [Lines(d.id) for d in self.datasets]
        if self._area.intents(step.id):
            with self._area.reading(step.id, "weighed") as weighed:
                for groups in lines:
                    for item in weighed.items(groups.dataset):
                        if item.kind != "file":
                            groups.add(item)
        else:
            with (
                self._area.reading(step.id, "located") as located,
                self._area.writing(step.id, "weighed") as manifest,
            ):
                for dataset, groups in zip(self.datasets, lines, strict=True):
                    rows = located.items(dataset.id)
                    provision = provided.get(dataset.id)
                    if provision is None:
                        manifest.add(dataset.id, _no_items(dataset, rows))
                        continue
                    judge = Judge(
                        provision,
                        step.as_of,
                        step.began,
                        self._starts(step),
                        self._until_of,
                        self._shared_law,
                        self._came(step, dataset),
                        Template(dataset.prefix).variables if dataset.kind is DatasetKind.OBJECTS else (),
                    )
                    manifest.add(dataset.id, _grouping(self._handler(dataset).weigh(rows, judge), groups))
        return [line for groups in lines for line in groups.lines()]

    def _came(self, step: Step, dataset: Dataset) -> Mapping[tuple[str, ...], Came]:
        return self._came_of(step, dataset) if dataset.kind is DatasetKind.OBJECTS else {}

    def _starts(self, step: Step) -> Callable[[Start], Mapping[tuple[str, ...], date | str]]:
        def of(start: Start) -> Mapping[tuple[str, ...], date | str]:
            assert start.query is not None  # noqa: S101 (Judge asks for queries only)
            try:
                return joined(start, self._starts_of(step, start.query))
            except (LookupError, TypeError):
                raise CatalogueError(
                    "a starting-point query is missing or lacks a column that the catalogue joins on",
                    about=f"starting point {start.query}",
                    next_step="correct the catalogue",
                ) from None

        return of

    # --- restrict, settle -----------------------------------------------------------------------

    def restrict(self, step: Step) -> Receipt:
        """Tag every located version and deny the tag to business roles; say what of it is enforced.

        A step that does not end the relation restricts nobody and only leaves a receipt.
        """
        before = [r for r in self._area.receipts(step.id) if r.verb == "restrict"]
        counts: dict[str, dict[str, int]] = {}
        position = {"mechanism": "none: the step does not end the relation"}
        if step.restricting:
            counts, position = self._restrict(step)
        if before:
            return before[0]
        return self._area.receipt(
            Receipt(
                step=step.id,
                store=self.id,
                verb="restrict",
                plan="",
                counts=counts,
                position=position,
                done_at=observed_now(),
            )
        )

    def _restrict(self, step: Step) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
        """What was marked, and how far the mark holds: the counts and the position of the receipt."""
        measured = self._restriction.measure()
        counts: dict[str, dict[str, int]] = {}
        left_open = 0
        with self._area.reading(step.id, "located") as located:
            for dataset in self.datasets:
                handler, bucket = self._handler(dataset), dataset.address
                marked, gone = self._restriction.mark(bucket, handler.tags(located.items(dataset.id)))
                counts[dataset.id] = {"restricted" if measured.enforced else "marked": marked, "gone": gone}
                open_ones = handler.open_to_others(located.items(dataset.id))
                if still := self._restriction.unmark(bucket, open_ones):
                    counts[dataset.id]["left_open"] = still
                    left_open += still
        if measured.enforced:
            for bucket in sorted({d.address for d in self.datasets}):
                self._restriction.deny(bucket)
        position = {
            "mechanism": "deny by tag",
            "enforcement": measured.reading,
            "tag": measured.tag,
            "writes": WRITES,
        }
        if left_open:
            position["records"] = MIXED.format(files=left_open)
        return counts, position

    def settle(self, step: Step) -> None:
        """Uploads begun before the restriction must be among those that disposing aborts. Raises Drifted."""
        if not any(r.verb == "restrict" for r in self._area.receipts(step.id)):
            raise Drifted(
                "the step is not restricted yet", about=f"step {step.id}", next_step="restrict first"
            )
        with self._area.reading(step.id, "located") as located:
            for dataset in self.datasets:
                handler = self._handler(dataset)
                if not isinstance(handler, Objects):
                    continue
                known = {(i.key, i.version) for i in located.items(dataset.id) if i.kind == "upload"}
                if any((i.key, i.version) not in known for i in handler.uploads(step)):
                    raise Drifted(
                        "a multipart upload of the cohort was begun after the survey",
                        about=dataset.id,
                        next_step="survey and plan again",
                    )

    # --- dispose --------------------------------------------------------------------------------

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Carry out the plan chunk by chunk: intent, deed, receipt. A second run finds nothing to do.

        The receipt returned is the sum of the stored ones. S3 has no transactions: what a refused delete
        leaves behind stays in the journal, is counted in the BooksDoNotBalance raised at the end, and is
        tried again by the next run.
        """
        fingerprint = plan.fingerprint()
        done = {r.chunk: r for r in self._area.receipts(step.id) if r.verb == "dispose"}
        intents = self._area.intents(step.id)
        if any(p != fingerprint for p in (*intents.values(), *(r.plan for r in done.values()))):
            raise Drifted(
                "this step was begun under another plan",
                about=f"step {step.id}",
                next_step="finish it with the plan it was begun with",
            )
        stayed: dict[str, int] = {}
        with self._area.reading(step.id, "weighed") as weighed:
            first_of = self._check_plan(step, plan, weighed)
            if len(done) < first_of[None]:
                self._check_drift(step, weighed, first_of, set(done), set(intents) - set(done))
            for dataset in self.datasets:
                self._dispose_dataset(step, fingerprint, dataset, weighed, first_of[dataset.id], done, stayed)
        if stayed:
            told = "; ".join(f"{n} in {where}" for where, n in sorted(stayed.items()))
            raise BooksDoNotBalance(
                f"the server refused to delete what the plan erases: {told}",
                about=f"step {step.id} in store {self.id}",
                next_step="see whether a lock or a missing right holds them, then run the step again",
            )
        return _sum(step, self.id, fingerprint, [done[n] for n in sorted(done)])

    def _dispose_dataset(
        self,
        step: Step,
        fingerprint: str,
        dataset: Dataset,
        weighed: Manifest,
        first: int,
        done: dict[int, Receipt],
        stayed: dict[str, int],
    ) -> None:
        """The chunks of one dataset that have no receipt yet. Adds to ``done`` and to ``stayed``."""
        handler = self._handler(dataset)
        for n, rows in enumerate(handler.chunks(weighed.items(dataset.id)), first):
            if n in done:
                continue
            self._may_go_on()
            self._area.intend(step.id, n, fingerprint)
            deed = handler.carry_out(step, rows)
            if deed.stayed:
                label = ", ".join(sorted(deed.stayed))
                stayed[f"{dataset.id} ({label})"] = stayed.get(f"{dataset.id} ({label})", 0) + sum(
                    deed.stayed.values()
                )
                continue
            done[n] = self._area.receipt(self._receipt(step, n, fingerprint, dataset, deed))

    def _receipt(self, step: Step, chunk: int, plan: str, dataset: Dataset, deed: Done) -> Receipt:
        return Receipt(
            step=step.id,
            store=self.id,
            verb="dispose",
            chunk=chunk,
            plan=plan,
            counts={dataset.id: deed.counts},
            position={"requests": " ".join(r for r in deed.requests if r)},
            done_at=observed_now(),
        )

    def _check_plan(self, step: Step, plan: Plan, weighed: Manifest) -> dict[str | None, int]:
        """Whether the plan is what was surveyed and weighed here. Returns each dataset's first chunk
        number, and under None the number of chunks."""
        if plan.step != step.id:
            raise Drifted("the plan is for another step", about=f"step {step.id}", next_step="plan again")
        first: dict[str | None, int] = {}
        chunks = 0
        for dataset in self.datasets:
            groups, tally = Lines(dataset.id), Tally(dataset.id, dataset.address)
            first[dataset.id] = chunks
            rows = _grouping(tally.add_all(weighed.items(dataset.id)), groups)
            chunks += sum(1 for _ in self._handler(dataset).chunks(rows))
            planned = tuple(entry for entry in plan.located if entry.dataset == dataset.id)
            if sorted(planned, key=_copy) != sorted(tally.located(), key=_copy) or sorted(
                plan.lines_of(dataset.id), key=Line.canonical
            ) != list(groups.lines()):
                raise Drifted(
                    "the plan is not what was weighed here",
                    about=dataset.id,
                    next_step="weigh and plan again",
                )
        first[None] = chunks
        return first

    def _check_drift(
        self,
        step: Step,
        weighed: Manifest,
        first_of: Mapping[str | None, int],
        done: set[int],
        begun: set[int],
    ) -> None:
        for dataset in self.datasets:
            first = first_of[dataset.id]
            why = self._handler(dataset).drift(
                step,
                {n - first for n in done},
                {n - first for n in begun},
                weighed.items(dataset.id),
            )
            if why:
                raise Drifted(why, about=dataset.id, next_step="survey and plan again; nothing was touched")

    def begun_under(self, step: Step) -> str | None:
        """By the journal: a chunk is intended before any of it is touched. Once the area is dropped, by receipts."""
        intended = self._area.intents(step.id)
        done = {r.chunk: r.plan for r in self._area.receipts(step.id) if r.verb == "dispose"}
        return next(iter((intended or done).values()), None)

    def receipts(self, step: Step) -> Sequence[Receipt]:
        return self._area.receipts(step.id)

    def close(self, step: Step) -> None:
        """Delete cohort, manifests and journal with all versions. Receipts and restriction stay."""
        self._area.close(step.id)


def _grouping(items: Iterable[Item], groups: Lines) -> Iterator[Item]:
    for item in items:
        if item.kind != "file":
            if item.disposition is None:
                raise QuietusError("an item was not weighed", about=groups.dataset, next_step="weigh again")
            groups.add(item)
        yield item


def _no_items(dataset: Dataset, rows: Iterable[Item]) -> Iterator[Item]:
    """The rows of a dataset that is not provided for: files without records. Raises BooksDoNotBalance on an item."""
    for row in rows:
        if row.kind != "file":
            raise BooksDoNotBalance(
                "items were located for which nothing is provided",
                about=dataset.id,
                next_step="give the planner a provision for this dataset",
            )
        yield row


def _problem_of_records(dataset: Dataset, fields: set[str]) -> str | None:
    if dataset.format is None:
        return "records need a format"
    if dataset.action != "erase" and not fields <= set(dataset.cut.set if dataset.cut else ()):
        return "its cut leaves the link to the subject in place"
    return None if len(fields) == 1 else "records need one link by one field"


def _copy(located: Located) -> str:
    return located.copy_kind


def _sum(step: Step, store: str, plan: str, receipts: Sequence[Receipt]) -> Receipt:
    counts: dict[str, dict[str, int]] = {}
    for receipt in receipts:
        for dataset, what in receipt.counts.items():
            for name, n in what.items():
                of = counts.setdefault(dataset, {})
                of[name] = of.get(name, 0) + n
    return Receipt(
        step=step.id,
        store=store,
        verb="dispose",
        chunk=max(0, len(receipts) - 1),
        plan=plan,
        counts=counts,
        position={"chunks": str(len(receipts))},
        done_at=max((r.done_at for r in receipts), default=observed_now()),
    )
