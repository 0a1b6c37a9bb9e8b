"""A whole night: limits from the catalogue, histories before deletion, the ledger, and a look afterwards; killed anywhere."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from include.cases.tidying import AUDIT, HISTORIES, LOGS, RUNS, TaskLogs, limits, plan, tidy
from include.catalogue import load
from include.connections import Environment
from include.hygiene.logfiles import LAYOUT
from include.model.errors import CatalogueError, NotReachable, Refused, Stopped
from include.model.times import PRC
from include.model.words import Verdict
from tests.hygiene.conftest import Metadata
from tests.hygiene.making import OLD, SECRET, everything, run, runs

AS_OF = date(2026, 11, 28)
ROOT = Path(__file__).parents[2]


@dataclass
class Said:
    """What a ledger would hold: an entry a key, and the same again is nothing new."""

    entries: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def __call__(self, kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
        assert self.entries.setdefault(key, (kind, body)) == (kind, body)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for k, body in self.entries.values() if k == kind]


def connections(metadata: Metadata, histories: Path) -> dict[str, str]:
    said = psycopg.conninfo.conninfo_to_dict(metadata.janitor)
    return {
        "QUIETUS_CONN_AIRFLOW_METADATA_JANITOR": json.dumps(
            {"host": said["host"], "port": int(said["port"] or 0), "login": said["user"], "password": said["password"],
             "schema": said["dbname"]}
        ),
        "QUIETUS_CONN_RUN_HISTORY": json.dumps({"extra": {"text": str(histories)}}),
    }  # fmt: skip


@dataclass
class House:
    metadata: Metadata
    desk: Any
    logs: TaskLogs
    said: Said
    histories: Path
    owner: Any

    def told(self) -> list[str]:
        """The run ids in the files of histories, one for each time it is told."""
        files = sorted(self.histories.glob("*.jsonl.gz"))
        lines = [line for f in files for line in gzip.decompress(f.read_bytes()).splitlines()]
        return [of["run_id"] for line in lines if "tries" in (of := json.loads(line))]

    def audited(self) -> list[dict[str, Any]]:
        """What the files tell of the audit log, one for each time it is told."""
        files = sorted(self.histories.glob("*.jsonl.gz"))
        lines = [line for f in files for line in gzip.decompress(f.read_bytes()).splitlines()]
        return [of for line in lines if "event" in (of := json.loads(line))]


@pytest.fixture
def house(metadata: Metadata, tmp_path: Path) -> Iterator[House]:
    histories, logs, said = tmp_path / "histories", tmp_path / "logs", Said()
    histories.mkdir()
    logs.mkdir()
    desk = SimpleNamespace(
        catalogue=load(),
        connections=Environment(connections(metadata, histories)),
        record=said,
        may_go_on=lambda: None,
    )
    with psycopg.connect(metadata.owner, autocommit=True) as owner:
        yield House(metadata, desk, TaskLogs(logs, LAYOUT + "x"), said, histories, owner)


def test_the_limits_are_the_catalogues_and_never_shorter_than_the_law() -> None:
    found = limits(load(), AS_OF)
    assert {k: (v.rule, v.duration) for k, v in found.items()} == {
        RUNS: ("RS-12", "P6M"), AUDIT: ("RS-12", "P6M"), LOGS: ("RS-12", "P6M"), HISTORIES: ("RS-24", "P3Y"),
    }  # fmt: skip
    # 27 May: its last day is 27 November, so it goes on the 28th; 28 May stays until tomorrow.
    assert found[RUNS].before == datetime(2026, 5, 28, tzinfo=PRC)
    catalogue = load()
    short = (
        catalogue.rule("RS-12")
        .periods[0]
        .model_copy(update={"name": "short", "duration": "P1D", "kind": "ceiling"})
    )
    rule = catalogue.rule("RS-12").model_copy(update={"periods": (*catalogue.rule("RS-12").periods, short)})
    own = tuple(
        o.model_copy(update={"period": "short"} if o.id == RUNS else {}) for o in catalogue.own_records
    )
    shorter = catalogue.model_copy(
        update={"own_records": own, "rules": tuple(rule if r.id == rule.id else r for r in catalogue.rules)}
    )
    assert limits(shorter, AS_OF)[RUNS].before == datetime(2026, 5, 28, tzinfo=PRC)
    with pytest.raises(CatalogueError, match="nobody said how long"):
        limits(catalogue.model_copy(update={"own_records": ()}), AS_OF)


@pytest.mark.parametrize(
    ("as_of", "first_that_stays"),
    [(date(2026, 8, 28), date(2026, 2, 28)), (date(2026, 8, 31), date(2026, 3, 1)), (date(2026, 9, 1), date(2026, 3, 1)),
     (date(2028, 8, 29), date(2028, 2, 29)),
     (date(2027, 3, 1), date(2026, 9, 1))],
    ids=str,
)  # fmt: skip
def test_months_end_as_the_civil_code_says(as_of: date, first_that_stays: date) -> None:
    assert limits(load(), as_of)[RUNS].before.date() == first_that_stays


def test_a_dry_run_says_what_would_go_and_why_the_rest_stays_and_changes_nothing(house: House) -> None:
    run(house.owner, "d", "old")
    run(house.owner, "d", "waits", state="running", tasks=("awaiting_input",))
    run(house.owner, "d", "young", ended=datetime(2026, 11, 1, tzinfo=PRC))
    found = plan(house.desk, house.logs, as_of=AS_OF)
    assert {(f.why, f.rows) for f in found["dag_run"]} == {
        (None, 1), ("it lives", 1), ("its limit has not come", 1),
    }  # fmt: skip
    assert runs(house.owner) == {"old", "waits", "young"} and not house.said.entries and not house.told()


def test_a_night_exports_deletes_and_says_what_it_did(house: House) -> None:
    house.owner.execute(
        "INSERT INTO asset (name, uri, \"group\", extra, created_at, updated_at) VALUES ('a','a','g','{}',now(),now())"
    )
    everything(house.owner, run(house.owner, "account_cancellation", "CASE-000001", case="CASE-000001"))
    run(house.owner, "d", "waits", state="running", tasks=("deferred",))
    house.owner.execute("CREATE TABLE _airflow_deleted__dag_run__1 AS SELECT * FROM dag_run")
    house.owner.execute("INSERT INTO log (event, dttm, extra) VALUES ('trigger', %s, %s)", (OLD, SECRET))
    done = tidy(house.desk, house.logs, as_of=AS_OF)
    assert done.failed == [] and {c.verdict for c in done.checks} == {Verdict.PASSED}
    assert runs(house.owner) == {"waits"} and house.told() == ["CASE-000001"]
    (history,), (night,) = house.said.of("run_history"), house.said.of("airflow_hygiene")
    assert (house.histories / history["name"]).exists() and history["digest"] in history["name"]
    assert night["rows"]["dag_run"] == 1 and night["rows"]["log"] == 1
    assert night["archives"] == ["_airflow_deleted__dag_run__1"] and "_airflow_deleted__dag_run__1" in str(
        done
    )
    again = tidy(house.desk, house.logs, as_of=AS_OF)
    assert not again.rows and not again.exports


PHONE = "13812345678"


def logged(owner: Any, event: str, by: str, at: datetime = OLD, extra: str | None = None, **of: Any) -> None:
    owner.execute(
        "INSERT INTO log (event, dttm, owner, extra, dag_id, task_id, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (event, at, by, extra, *(of.get(x) for x in ("dag_id", "task_id", "run_id"))),
    )


def test_who_cleared_a_task_or_marked_one_is_exported_before_the_audit_log_goes(house: House) -> None:
    case = {"dag_id": "account_cancellation", "run_id": "CASE-000001"}
    marked = {"new_state": "success", "note": SECRET, "include_future": False, "method": "PATCH"}
    logged(house.owner, "patch_task_instance", "wang", extra=json.dumps(marked), task_id="prove", **case)
    cleared = {
        "task_ids": ["dispose", ["prove", 3], PHONE, "Li Lei", 7],
        "dag_run_id": "CASE-000001",
        "reason": SECRET,
    }
    logged(house.owner, "post_clear_task_instances", PHONE, extra=json.dumps(cleared), **case)
    entities = [{"task_id": "prove", "new_state": "skipped", "note": SECRET}]
    many = {"actions": [{"action": "update", "entities": entities}]}
    logged(house.owner, "bulk_task_instances", "wang", extra=json.dumps(many), **case)
    logged(house.owner, "trigger", "li", extra="no JSON: " + SECRET, run_id=PHONE)
    logged(house.owner, "patch_dag", "wang", at=datetime(2026, 11, 1, tzinfo=PRC))
    done = tidy(house.desk, house.logs, as_of=AS_OF)
    assert done.failed == [] and done.rows["log"] == 4
    told = house.audited()
    assert [(x["event"], x["by"], x["dag_id"], x["task_id"], x["states"], x["tasks"]) for x in told] == [
        ("patch_task_instance", "wang", "account_cancellation", "prove", ["success"], []),
        (
            "post_clear_task_instances",
            "(withheld: a mobile number)",
            "account_cancellation",
            None,
            [],
            ["dispose", "prove"],
        ),
        ("bulk_task_instances", "wang", "account_cancellation", None, ["skipped"], ["prove"]),
        ("trigger", "li", None, None, [], []),
    ]
    assert [x["run_id"] for x in told] == [*["CASE-000001"] * 3, "(withheld: a mobile number)"]
    everything = json.dumps(told)
    assert not any(word in everything for word in (SECRET, PHONE, "Li Lei"))
    (entry,) = house.said.of("audit_history")
    assert (
        entry["entries"] == 4
        and (house.histories / entry["name"]).exists()
        and entry["digest"] in entry["name"]
    )
    assert not house.said.of("run_history"), "no run went"
    tidy(house.desk, house.logs, as_of=AS_OF)
    assert len(house.audited()) == 4, "told once"


def test_what_could_not_be_written_of_the_audit_log_stays_in_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    logged(house.owner, "patch_task_instance", "wang", task_id="prove")
    monkeypatch.setattr("include.hygiene.exports.os.fsync", full)
    with pytest.raises(NotReachable, match="could not be written"):
        tidy(house.desk, house.logs, as_of=AS_OF)
    assert house.owner.execute("SELECT count(*) FROM log").fetchone() == (1,)


def test_what_nobody_could_look_at_is_unverified_and_the_rest_is_done(house: House) -> None:
    run(house.owner, "d", "old")
    house.owner.execute("CREATE TABLE of_tomorrow (id int)")
    logs = TaskLogs(Path("/nowhere"), LAYOUT, "gs://bucket/logs")
    done = tidy(house.desk, logs, as_of=AS_OF)
    assert {c.name: c.verdict for c in done.failed} == {
        "every_table_known": Verdict.UNVERIFIED, "logs_disk": Verdict.UNVERIFIED, "logs_remote": Verdict.UNVERIFIED,
    }  # fmt: skip
    assert not runs(house.owner)
    strange = tidy(house.desk, TaskLogs(house.logs.base, "{{ ti.task_id }}.log"), as_of=AS_OF)
    assert any(c.name == "logs_disk" and c.verdict is Verdict.UNVERIFIED for c in strange.checks)


def test_without_a_place_for_histories_nothing_is_deleted(house: House) -> None:
    run(house.owner, "d", "old")
    house.histories.rmdir()
    with pytest.raises(Refused, match="directory of run histories"):
        tidy(house.desk, house.logs, as_of=AS_OF)
    assert runs(house.owner) == {"old"}


def test_while_disposing_is_stopped_nothing_of_airflow_goes_either(house: House) -> None:
    run(house.owner, "d", "old")

    def stopped() -> None:
        raise Stopped("disposing is stopped by ops/zhao", about="disposing")

    house.desk.may_go_on = stopped
    with pytest.raises(Stopped):
        tidy(house.desk, house.logs, as_of=AS_OF)
    assert runs(house.owner) == {"old"} and not house.told()


def test_a_stop_that_comes_amid_the_work_leaves_log_files_and_histories(house: House) -> None:
    """The runs are gone by then; the next night goes on."""
    run(house.owner, "d", "old")
    old = house.logs.base / "dag_id=d/run_id=old/task_id=t/attempt=1.log"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"log")
    os.utime(old, (OLD.timestamp(), OLD.timestamp()))
    history = house.histories / f"2023-11-26-{'0' * 64}.jsonl.gz"
    history.write_bytes(b"")

    def stopped() -> None:
        if not runs(house.owner):
            raise Stopped("disposing is stopped by ops/zhao", about="disposing")

    house.desk.may_go_on = stopped
    with pytest.raises(Stopped):
        tidy(house.desk, TaskLogs(house.logs.base, LAYOUT), as_of=AS_OF)
    assert not runs(house.owner) and old.exists() and history.exists()


def test_histories_go_by_their_own_limit(house: House) -> None:
    for day in ("2023-11-26", "2024-11-28"):
        (house.histories / f"{day}-{'0' * 64}.jsonl.gz").write_bytes(b"")
    done = tidy(house.desk, house.logs, as_of=AS_OF)
    assert [e[:10] for e in done.expired] == ["2023-11-26"]


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from include.cases import tidying
from include.catalogue import load
from include.connections import Environment
from include.hygiene import exports, runs, sweeping
from include.hygiene.logfiles import LAYOUT

point, logs, ledger, day = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), date.fromisoformat(sys.argv[4])
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def record(kind, case_no, body, key):
    if kind == "run_history":
        if point == "before the ledger": die()
        with ledger.open("a") as file: file.write(key + chr(10))
        if point == "after the ledger": die()

if point == "amid the file":
    exports.os.fsync = lambda handle: die()
if point == "writing the file":
    exports.Exports._sync = lambda self: die()
deleting = runs.delete
def delete(*args):
    went = deleting(*args)
    if point == "before the commit": die()
    return went
runs.delete = delete
if point == "after a batch":
    nth, due = iter(range(9)), runs.due
    runs.due = lambda *args: die() if next(nth) else due(*args)
sweeping.sweep_runs.__defaults__ = (3,)
desk = SimpleNamespace(catalogue=load(), connections=Environment(), record=record, may_go_on=lambda: None)
tidying.tidy(desk, tidying.TaskLogs(logs, LAYOUT), as_of=day)
"""


@pytest.mark.parametrize(
    "point",
    [
        "amid the file",
        "writing the file",
        "before the ledger",
        "after the ledger",
        "before the commit",
        "after a batch",
    ],
)
def test_killed_at_any_instant_the_next_night_comes_to_the_same_end(
    house: House, tmp_path: Path, point: str
) -> None:
    for n in range(7):
        run(house.owner, "d", f"old-{n}", ended=OLD + timedelta(minutes=n))
    run(house.owner, "d", "waits", state="queued")
    ledger = tmp_path / "ledger"

    def night(at: str, day: str) -> int:
        argv = [sys.executable, "-c", KILLED, at, str(house.logs.base), str(ledger), day]
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **connections(house.metadata, house.histories),
        }
        return subprocess.run(argv, env=env, cwd=ROOT, timeout=120, check=False).returncode

    assert night(point, "2026-11-28") == -signal.SIGKILL
    gone = {f"old-{n}" for n in range(7)} - runs(house.owner)
    assert gone <= set(house.told()), "no run is gone whose history is not in a file"
    assert night("nowhere", "2026-11-29") == 0
    assert runs(house.owner) == {"waits"}
    assert sorted(house.told()) == [f"old-{n}" for n in range(7)], "each told once"
    assert len(set(ledger.read_text().splitlines())) == 3 == len(list(house.histories.glob("*.jsonl.gz")))
    assert len(list(house.histories.iterdir())) == 3, "nothing half written stays"
