"""Nights over shared record files, on real servers: what is due goes, with its file or out of it, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.cases import planner
from include.cases.periods import last_day
from include.cases.retention import records
from include.cases.retention.due import Seen, see, table
from include.cases.retention.held import HeldPeople
from include.cases.retention.stayed import stayed
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.catalogue import Catalogue
from include.model.estate import Bound, Dataset, Link, Start, StoreDeclared
from include.model.flow import Evidence, Plan, Step
from include.model.policy import Basis, Period, Proposal, RetentionRule
from include.model.times import Counting, observed_now
from include.model.versions import PolicyVersion
from include.model.words import DatasetKind, LegalRank, Role, StoreKind, Verdict
from include.proofs import limits
from include.stores.s3.clearing import Clearing
from include.stores.s3.once import Once
from include.stores.shared import LARGER, STAGED
from tests.proofs.controls import control
from tests.stores.s3.world import World, jsonl
from tests.stores.sizes import Pieces

pytestmark = pytest.mark.s3
AS_OF = date(2026, 11, 24)
STEP = Step(id="case_000900_s1", case_no="CASE-000900", as_of=AS_OF, restricting=False, subjects=())
AGAIN = STEP.model_copy(update={"id": "case_000901_s1", "case_no": "CASE-000901"})
LOG = "log.access"
OLD, OVER, YOUNG = "2025-01-10T10:00:00+08:00", "2026-02-01T10:00:00+08:00", "2026-11-01T10:00:00+08:00"
SCHEMA = pa.schema([("account_id", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("page", pa.string())])
Row = dict[str, Any]


def entry(who: str | None, at: str | None = OLD, n: int = 0) -> Row:
    return {"at": at, "account_id": who, "page": f"/{n} ü"}


def _rule(cap: str = "P12M") -> RetentionRule:
    law = Basis(cite="Cybersecurity Law 23(3)", rank=LegalRank.LAW, text="t")
    least = Basis(cite="PIPL 19", rank=LegalRank.LAW, text="t")
    return RetentionRule(
        id="RS-12", title="logs", starts="the event", at_end="erase", basis=(law,), stays="totals",
        periods=(Period(duration="P6M", kind="floor", counting=Counting.CALENDAR, basis=(law,)),
                 Period(name="cap", duration=cap, kind="ceiling", counting=Counting.CALENDAR, basis=(least,),
                        proposal=Proposal())),
    )  # fmt: skip


@dataclass
class Logs:
    """A bucket of logs; ``capped``: a record goes after a year, by its own date; else a log goes as a whole after six months.
    ``accepted``: the company's year became two, and who accepted the version of the policy that says so."""

    world: World
    bucket: str
    format: str = "jsonl.gz"
    capped: bool = True
    held: HeldPeople = field(default_factory=HeldPeople)
    accepted: set[str] | None = None

    def __post_init__(self) -> None:
        periods = ("main", "cap") if self.capped else ("main",)
        self.dataset = Dataset(
            id=LOG, store="vault", kind=DatasetKind.RECORDS, title="log", address=self.bucket, prefix="access/",
            format=self.format, links=(Link(column="account_id"),),  # type: ignore[arg-type]
            binds=tuple(Bound(rule="RS-12", period=p, start=Start(column="at")) for p in periods),
        )  # fmt: skip
        rule = _rule() if self.accepted is None else _rule("P24M")
        self.catalogue = Catalogue(
            name="test", digest="0" * 64, clauses=(), categories=(), rules=(rule,), recipients=(),
            stores=(StoreDeclared(id="vault", kind=StoreKind.S3, region="CN", connection="vault", description="t"),),
            datasets=(self.dataset,), not_personal=(), backups=(), measures=(), measure_sql={}, controls=(),
            starting_points={}, versions=tuple(
                PolicyVersion(id=id, says={"RS-12/cap": d}) for id, d in (("1", "P12M"), ("2", "P24M"))
            ),
        )  # fmt: skip

    def versions(self, ids: Collection[str]) -> dict[str, str]:
        """What these people accepted; ``b`` is no account any more."""
        return {who: "2" if who in (self.accepted or ()) else "1" for who in ids if who != "b"}

    # --- Connections
    def s3(self, connection: str, role: Role) -> Any:
        return self.world.s3

    def postgres(self, connection: str, role: Role) -> str:
        raise AssertionError(connection)

    def text(self, name: str) -> str:
        raise AssertionError(name)

    # --- files
    def put(self, key: str, rows: Sequence[Row | bytes], **extra: Any) -> str:
        if self.format == "parquet":
            sink = io.BytesIO()
            made = [r | {"at": _moment(r["at"])} for r in cast("Sequence[Row]", rows)]
            pq.write_table(pa.Table.from_pylist(made, SCHEMA), sink, row_group_size=2)
            body = sink.getvalue()
        else:
            body = gzip.compress(jsonl(rows), mtime=0)
        said = self.world.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **extra)
        return str(said.get("VersionId", "null"))

    def rows(self, body: bytes) -> list[Any]:
        if self.format == "parquet":
            return list(pq.read_table(io.BytesIO(body)).to_pylist())
        return [x for x in gzip.decompress(body).split(b"\n") if x]

    def now(self) -> dict[str, list[Any]]:
        """Every version's records, by key and version; of a marker none."""
        return {f"{key}@{version}": self.rows(body) if body is not None else []
                for key, version, body in self.world.versions(self.bucket, "access/")}  # fmt: skip

    def current(self, key: str) -> list[Any]:
        return self.rows(self.world.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self) -> set[str]:
        return {key for key, _, _ in self.world.versions(self.bucket)}

    # --- a night
    def hold(self, *people: str) -> None:
        order = HoldOrder("HOLD-000001", HoldBasis.COURT, "law", Scope(subjects=frozenset({"t"})))
        self.held = HeldPeople((order,), {"HOLD-000001": frozenset(people)})

    def clearing(self, **more: Any) -> Clearing:
        return Clearing(
            self.catalogue, "vault", self, (self.dataset,), lambda _d, _p: {},  # type: ignore[arg-type]
            lambda d: records.aging(self.catalogue, d, AS_OF, self.held, self.versions), work=self.work, **more,
        )  # fmt: skip

    @property
    def work(self) -> str:
        return f"quietus-work-{self.world.tag}-{hashlib.sha256(self.bucket.encode()).hexdigest()[:6]}"

    def plan(self, step: Step = STEP) -> Plan:
        clearing = self.clearing()
        survey = clearing.locate(step)
        return planner.plan(step, survey.located, clearing.lines(step), self.catalogue.digest, "test")

    def dispose(self, plan: Plan, step: Step = STEP, **more: Any) -> Clearing:
        clearing = self.clearing(**more)
        clearing.dispose(step, plan)
        return clearing

    def seen(self) -> Seen:
        return see(self.catalogue, self, AS_OF, held=self.held, accepted=self.versions)  # type: ignore[arg-type]

    def due(self) -> int:
        return sum(r.due for r in table(self.seen()))

    def words(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for receipt in self.clearing().receipts(STEP):
            for word, n in receipt.counts.get(LOG, {}).items():
                found[word] = found.get(word, 0) + (n if word != "upto" else 0)
        return {word: n for word, n in found.items() if n}

    def settled(self) -> Plan:
        clearing = self.clearing()
        located = clearing.settled(STEP).located
        return planner.plan(STEP, located, clearing.lines(STEP), self.catalogue.digest, "test")

    def baseline(self, plan: Plan) -> Evidence:
        (said,) = limits.baseline(self.catalogue, self, STEP, plan, {LOG: self.due()}, work=self.work)  # type: ignore[arg-type]
        return said

    def gone(self, plan: Plan) -> Evidence:
        (said,) = limits.gone(self.catalogue, self, STEP, plan, work=self.work)  # type: ignore[arg-type]
        return said


def _moment(at: str | None) -> Any:
    return datetime.fromisoformat(at) if at is not None else None


def failed(evidence: Evidence) -> set[str]:
    return {c.name for c in evidence.checks if c.verdict is not Verdict.PASSED}


@pytest.fixture
def logs(world: World) -> Logs:
    return Logs(world, world.bucket("logs"))


@pytest.fixture
def here(on_moto: World) -> Logs:
    return Logs(on_moto, on_moto.bucket("logs"))


def furnished(logs: Logs) -> None:
    """Files that go whole, with what versioning keeps of them; one of which some records go; two that stay; and what is none."""
    logs.put("access/1", [entry("a"), entry("b", n=1), entry(None, n=2)])
    logs.put("access/1", [entry("a"), entry("b", n=1), entry(None, n=2), entry("c", n=3)])
    logs.put("access/2", [entry("a"), entry("b", OVER, 1), entry("a", n=2), entry("c", OVER, 3)])
    logs.put("access/3", [entry("a", OVER), entry("b", OVER, 1)])
    logs.put("access/4", [entry("a"), entry("b")])
    logs.world.s3.delete_object(Bucket=logs.bucket, Key="access/4")
    logs.put("access/5", [entry("a"), entry("b", YOUNG)])
    logs.world.s3.put_object(Bucket=logs.bucket, Key="totals/2025.json", Body=b'{"visits": 1200}')


@pytest.mark.parametrize("format", ["jsonl.gz", "parquet"])
def test_a_log_goes_whole_or_what_is_due_goes_out_of_it(logs: Logs, format: str) -> None:
    logs = Logs(logs.world, logs.bucket, format)
    if format == "parquet":
        logs.put("access/1", [entry("a"), entry("b", n=1)])
        logs.put("access/2", [entry("a"), entry("b", OVER, 1), entry("a", n=2), entry("c", OVER, 3)])
    else:
        furnished(logs)
    before = logs.now()
    aggregate = [(k, v, b) for k, v, b in logs.world.versions(logs.bucket) if k.startswith("totals/")]
    two = logs.current("access/2")
    due = logs.due()
    assert due == (4 if format == "parquet" else 3 + 4 + 2 + 2 + 1)
    plan = logs.plan()
    assert sum(x.items for x in plan.located) == due and failed(logs.baseline(plan)) == set()
    logs.dispose(plan)
    assert logs.due() == 0 and sum(logs.words().values()) == due
    assert logs.current("access/2") == [two[1], two[3]], "the others' records are as they were, byte for byte"
    assert len([k for k in logs.now() if k.startswith("access/2@")]) == 1, (
        "and the version that held what went is gone"
    )
    assert not [k for k in logs.now() if k.startswith(("access/1@", "access/4@"))]
    kept = {k: rows for k, rows in before.items() if k.startswith(("access/3@", "access/5@"))}
    assert kept == {k: rows for k, rows in logs.now().items() if k.startswith(("access/3@", "access/5@"))}
    assert aggregate == [(k, v, b) for k, v, b in logs.world.versions(logs.bucket) if k.startswith("totals/")]
    done = logs.settled()
    assert failed(logs.gone(done)) == set()
    assert {c.name for c in logs.gone(done).checks} >= {
        f"{w}.{LOG}" for w in ("planned", "head", "gone", "bytes", "kept")
    }
    logs.dispose(plan)
    assert sum(logs.words().values()) == due, "twice changes nothing"


def test_without_versioning_what_was_written_over_a_file_is_not_taken_for_it(world: World) -> None:
    logs = Logs(world, world.bucket("plain", versions=False))
    logs.put("access/1", [entry("a"), entry("b", OVER, 1)])
    logs.put("access/2", [entry("a"), entry("b")])
    plan = logs.plan()
    assert failed(logs.baseline(plan)) == set()
    was = world.s3.get_object(Bucket=logs.bucket, Key="access/1")["Body"].read()
    logs.dispose(plan)
    done = logs.settled()
    assert (logs.keys(), logs.due(), sum(x.items for x in done.located)) == ({"access/1"}, 0, 3)
    assert failed(logs.gone(done)) == set()
    world.s3.put_object(Bucket=logs.bucket, Key="access/1", Body=was)  # a restore
    assert failed(logs.gone(done)) == {f"{w}.{LOG}" for w in ("gone", "bytes", "kept")}


def test_a_log_with_a_floor_alone_goes_as_a_whole_once_its_youngest_record_may(here: Logs) -> None:
    here = Logs(here.world, here.bucket, capped=False)
    here.put("access/1", [entry("a"), entry("b", OVER)])
    here.put("access/2", [entry("a"), entry("b", YOUNG)])
    assert here.due() == 2
    here.dispose(here.plan())
    assert here.keys() == {"access/2"} and here.due() == 0


def test_a_file_with_somebodys_held_record_is_rewritten_down_to_it(logs: Logs) -> None:
    logs.put("access/1", [entry("a"), entry("held", n=1), entry("b", n=2)])
    mine = logs.current("access/1")[1]
    logs.hold("held")
    assert [(r.due, r.held) for r in table(logs.seen())] == [(2, 1)]
    logs.dispose(logs.plan())
    assert logs.current("access/1") == [mine] and failed(logs.gone(logs.settled())) == set()
    assert [(r.due, r.held) for r in table(logs.seen())] == [(0, 1)]
    logs.held = HeldPeople()
    assert logs.due() == 1, "released, it goes with the next night"
    order = HoldOrder("HOLD-000002", HoldBasis.COURT, "law", Scope())
    logs.held = HeldPeople((order,), {"HOLD-000002": frozenset()})
    assert logs.due() == 0, "a hold on all of it holds every record"


def test_a_hold_that_comes_after_the_plan_leaves_its_file_to_the_next_night(here: Logs) -> None:
    here.put("access/1", [entry("a"), entry("held")])
    here.put("access/2", [entry("a"), entry("b")])
    before = here.current("access/1")
    plan = here.plan()
    here.hold("held")
    here.dispose(plan)
    assert here.keys() == {"access/1"} and here.current("access/1") == before
    assert here.words() == {"erased": 2, "changed": 2}
    n, why = stayed(here.clearing().receipts(STEP))[LOG]
    assert n == 2 >= here.due() == 1 and "came under a hold" in why


def killed_at(here: Logs, plan: Plan, point: str, time: int) -> None:
    """Dispose in a process that is killed when it comes to the point for the so-manieth time."""
    came = 0

    def at(name: str) -> None:
        nonlocal came
        came += name == f"clearing.{point}"
        if came == time:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            here.world.s3 = here.world.server.client()  # the connections of the other one are his
            here.dispose(plan, at=at, files=Pieces(1))
        finally:
            os._exit(0)  # reached only if the point was not
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was never reached"


@pytest.mark.parametrize("point", ["intended", "rewritten", "deleted", "passed", "receipt"])
def test_killed_at_a_named_point_a_run_comes_to_the_same_end(here: Logs, point: str) -> None:
    """The second chunk is of the file that is rewritten."""
    furnished(here)
    two, due = here.current("access/2"), here.due()
    plan = here.plan()
    killed_at(here, plan, point, 2)
    here.dispose(plan, files=Pieces(1))
    assert here.due() == 0 and here.current("access/2") == [two[1], two[3]]
    assert sum(here.words().values()) == due and set(here.words()) <= {"erased", "erased@object_version"}
    assert sum(x.items for x in here.settled().located) == due and failed(here.gone(here.settled())) == set()
    assert len([k for k in here.now() if k.startswith("access/2@")]) == 1


def test_what_was_written_since_is_as_it_was_and_waits(logs: Logs) -> None:
    logs.put("access/1", [entry("a"), entry("b", OVER)])
    logs.put("access/2", [entry("a"), entry("b")])
    plan = logs.plan()
    logs.put("access/1", [entry("a"), entry("b", OVER), entry("c", OVER, 1)])
    logs.put("access/2", [entry("a"), entry("b"), entry("c", YOUNG)])
    before = logs.now()
    logs.dispose(plan)
    assert logs.now() == before and set(logs.words()) == {"changed"}


def test_a_writer_between_our_look_and_our_write_loses_nothing(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.put("access/1", [entry("a"), entry("b", OVER)])
    plan = logs.plan()
    client, written = logs.world.s3, [False]
    original = client.put_object

    def racing(**how: Any) -> Any:
        if how["Bucket"] == logs.bucket and not written[0]:
            written[0] = True
            logs.put("access/1", [entry("a"), entry("b", OVER), entry("c", OVER, 1)])
        return original(**how)

    monkeypatch.setattr(client, "put_object", racing)
    logs.dispose(plan)
    assert written == [True] and len(logs.current("access/1")) == 3 and set(logs.words()) == {"changed"}


def test_an_old_version_that_alone_holds_what_stays_is_left_and_named(here: Logs) -> None:
    here.put("access/1", [entry("a"), entry("b", OVER)])
    here.put("access/1", [entry("c", OVER)])
    before = here.now()
    here.dispose(here.plan())
    assert here.now() == before and here.words() == {"needed": 1}
    assert stayed(here.clearing().receipts(STEP))[LOG][0] == here.due() == 1


def test_a_lock_is_told_and_nothing_of_its_file_is_rewritten(on_moto: World) -> None:
    here = Logs(on_moto, on_moto.bucket("locked", locks=True))
    version = here.put("access/1", [entry("a"), entry("b", OVER)])
    end = observed_now() + timedelta(days=3)
    on_moto.s3.put_object_retention(
        Bucket=here.bucket, Key="access/1", VersionId=version, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": end}
    )  # fmt: skip
    here.dispose(here.plan())
    assert here.words() == {"locked": 1} and len(here.now()) == 1 and here.due() == 1
    assert "locked, the last of them until" in stayed(here.clearing().receipts(STEP))[LOG][1]


def test_what_cannot_be_read_is_unverified_and_the_rest_goes(here: Logs) -> None:
    here.put("access/1", [entry("a")])
    here.world.s3.put_object(Bucket=here.bucket, Key="access/2", Body=b"no gzip")
    here.put("access/3", [entry("a", None), b"no record", entry("b")])
    seen = here.seen()
    assert "1 versions of its files cannot be read" in seen.unverified[LOG]
    here.dispose(here.plan())
    assert here.keys() == {"access/2", "access/3"}
    assert here.due() == 0, "a record without a time is as young as its file, and no licence to rewrite it"


def test_an_unfinished_upload_is_as_old_as_its_newest_part(here: Logs) -> None:
    upload = here.world.s3.create_multipart_upload(Bucket=here.bucket, Key="access/9")["UploadId"]
    assert here.due() == 1, "moto says that all of them began in 2010"
    here.world.s3.upload_part(
        Bucket=here.bucket, Key="access/9", UploadId=upload, PartNumber=1, Body=b"x" * 10
    )
    assert here.due() == 0
    here.world.s3.create_multipart_upload(Bucket=here.bucket, Key="access/10")
    here.dispose(here.plan())
    left = here.world.s3.list_multipart_uploads(Bucket=here.bucket)["Uploads"]
    assert [u["Key"] for u in left] == ["access/9"] and here.words() == {"erased@object_version": 1}


def test_two_questions_of_one_moment_read_each_version_once(here: Logs) -> None:
    furnished(here)
    gets: list[str] = []
    here.world.s3.meta.events.register(
        "before-send.s3",
        lambda request, **_: gets.append(request.url) if "versionId" in request.url else None,
    )
    once = Once()
    first = see(here.catalogue, here, AS_OF, once=once)  # type: ignore[arg-type]
    read = len(gets)
    later = see(here.catalogue, here, AS_OF + timedelta(days=90), once=once)  # type: ignore[arg-type]
    assert read == len(gets) == 6
    assert table(first) == table(here.seen()) and sum(r.due for r in table(later)) > sum(
        r.due for r in table(first)
    )


def test_a_budget_lets_whole_files_go(here: Logs) -> None:
    for n in range(4):
        here.put(f"access/{n}", [entry("a", n=i) for i in range(5)])
    left = [12]

    def budget(wanted: int, *_: str) -> int:
        taken = min(wanted, left[0])
        left[0] -= taken
        return taken

    clearing = here.dispose(here.plan(), budget=budget, files=Pieces(1))
    assert here.due() == 10 and sum(x.items for x in clearing.settled(STEP).located) == 10
    assert clearing.left.keys() == {LOG}


def test_a_file_that_is_larger_than_the_nights_number_says_which_number_it_needs(here: Logs) -> None:
    for n in range(2):
        here.put(f"access/{n}", [entry("a", n=i) for i in range(5)])
    left = [4]

    def budget(wanted: int, *_: str) -> int:
        taken = min(wanted, left[0])
        left[0] -= taken
        return taken

    plan = here.plan()
    clearing = here.dispose(plan, budget=budget, files=Pieces(1))
    assert (here.due(), left, clearing.left) == (10, [4], {LOG: LARGER.format(5)})
    left[0] = 9
    assert here.dispose(here.plan(AGAIN), AGAIN, budget=budget, files=Pieces(1)).left == {LOG: STAGED}
    assert (here.due(), left) == (5, [4])


@control("gone", "kept", "s3")
@pytest.mark.parametrize("fault", ["lost", "changed", "added"])
def test_a_record_that_was_to_stay_and_did_not_is_seen(here: Logs, fault: str) -> None:
    here.put("access/1", [entry("a"), entry("b", OVER, 1), entry("c", OVER, 2)])
    here.dispose(here.plan())
    assert failed(here.gone(here.settled())) == set()
    rows = {
        "lost": [entry("b", OVER, 1)],
        "changed": [entry("b", OVER, 1), entry("c", OVER, 7)],
        "added": [entry("b", OVER, 1), entry("c", OVER, 2), entry("a")],
    }[fault]
    here.put("access/1", rows)
    assert failed(here.gone(here.settled())) == {f"kept.{LOG}"}


@control("baseline", "there", "s3")
def test_a_split_that_forgets_a_record_is_seen_before_the_deed(here: Logs) -> None:
    here.put("access/1", [entry("a"), entry("b", OVER, 1), entry("c", OVER, 2)])
    plan = here.plan()
    assert failed(here.baseline(plan)) == set()
    area = here.clearing()._area
    with area.reading(STEP.id, "weighed") as manifest:
        rows = list(manifest.items(LOG))
    rows[0].content = f"{int(rows[0].content, 16) ^ 1:064x}"
    with area.writing(STEP.id, "weighed") as manifest:
        manifest.add(LOG, rows)
    assert failed(here.baseline(plan)) == {f"there.{LOG}"}


WHO = st.sampled_from(["a", "b", "held", None])
DAYS = st.sampled_from(
    [
        OLD,
        "2025-11-22T10:00:00+08:00",
        "2025-11-23T23:59:59+08:00",
        "2025-11-24T00:00:00+08:00",
        OVER,
        YOUNG,
        None,
    ]
)
NUMBER = count()
FILE = st.lists(st.tuples(WHO, DAYS), max_size=5)


@given(files=st.lists(st.lists(FILE, min_size=1, max_size=3), min_size=1, max_size=3), hold=st.booleans(),
       accepted=st.sampled_from([None, {"a"}, {"a", "held"}]))  # fmt: skip
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_logs_are_what_goes_is_what_is_due(
    on_moto: World,
    files: list[list[list[tuple[str | None, str | None]]]],
    hold: bool,
    accepted: set[str] | None,
) -> None:
    """Against an oracle that goes through records one by one, whose versions each begin with all of the one before."""
    here = Logs(on_moto, on_moto.bucket(f"any-{next(NUMBER)}"), accepted=accepted)
    if hold:
        here.hold("held")
    longer = accepted or set()
    stays: dict[str, list[bytes]] = {}
    due = 0
    for f, versions in enumerate(files):
        rows: list[Row] = []
        for part in versions:
            rows = rows + [entry(who, at, len(rows) + n) for n, (who, at) in enumerate(part)]
            here.put(f"access/{f}", rows)
            due += sum(_is_due(r, rows, here.held, longer) for r in rows)
        stays[f"access/{f}"] = jsonl(
            [r for r in rows if not _is_due(r, rows, here.held, longer)]
        ).splitlines()
    assert here.due() == due
    here.dispose(here.plan())
    for key, kept in stays.items():
        if kept:
            assert here.current(key) == kept
    # An old version stays only where the whole file is younger than the law's six months.
    assert here.due() == sum(stayed(here.clearing().receipts(STEP)).get(LOG, (0, ""))[:1])
    assert "needed" in here.words() or here.due() == 0
    assert failed(here.gone(here.settled())) == set()


def _is_due(row: Row, rows: list[Row], held: HeldPeople, longer: set[str]) -> bool:
    days = [_moment(r["at"]).date() if r["at"] else observed_now().date() for r in rows]
    if row["at"] is None or (held.orders and row["account_id"] == "held"):
        return False
    own = _moment(row["at"]).date()
    floor = last_day(max(days), "P6M", Counting.CALENDAR)
    cap = "P24M" if row["account_id"] in longer else "P12M"  # of nobody's records the former one
    return max(floor, last_day(own, cap, Counting.CALENDAR)) < AS_OF


def test_who_accepts_while_a_night_is_at_work_keeps_the_records(here: Logs) -> None:
    """No version of a file changed, and nobody is held: what is said of their owner did."""
    here = Logs(here.world, here.bucket, accepted=set())
    here.put("access/1", [entry("a"), entry("a", n=1)])
    here.put("access/2", [entry(None), entry("b", n=1)])
    plan = here.plan()
    assert sum(x.items for x in plan.located) == here.due() == 4
    assert here.accepted is not None
    here.accepted.add("a")
    here.dispose(plan)
    assert {k.split("@")[0] for k in here.now()} == {"access/1"} and len(here.current("access/1")) == 2
    assert here.words() == {"erased": 2, "not_due": 2} and here.due() == 0
