"""Timetables as Airflow uses them: serialised and read back, asked for the next run again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DataInterval, TimeRestriction
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.cases.workdays import DEFAULT, Workdays, Year
from include.model.times import PRC

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The plugin as Airflow finds it."""
    from airflow import plugins_manager
    from quietus_plugin import Quietus

    before = plugins_manager._get_plugins
    plugins_manager.get_timetables_plugins.cache_clear()
    plugins_manager._get_plugins = lambda: ([Quietus], {})
    yield
    plugins_manager._get_plugins = before
    plugins_manager.get_timetables_plugins.cache_clear()


def through_airflow(timetable: Any) -> Any:
    """What the scheduler works with: it never sees the object of the DAG file."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    return decode_timetable(encode_timetable(timetable))


def utc(text: str) -> pendulum.DateTime:
    """PRC wall time."""
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=PRC)).in_timezone("UTC")


def local(moment: datetime) -> str:
    return moment.astimezone(PRC).strftime("%Y-%m-%d %H:%M")


def catching_up(timetable: Any, since: str, many: int, *, catchup: bool = True) -> list[Any]:
    """So many runs, one after the other, as the scheduler asks for them."""
    rule = TimeRestriction(earliest=utc(since), latest=None, catchup=catchup)
    found: list[Any] = []
    last: DataInterval | None = None
    for _ in range(many):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=rule)
        found.append(info)
        last = info.data_interval
    return found


def at(monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    from quietus_console import timetables

    moment = utc(now)
    monkeypatch.setattr(timetables, "observed_now", lambda: moment)
    for kind in ("interval", "trigger"):
        monkeypatch.setattr(f"airflow.timetables.{kind}.utcnow", lambda: moment)


def window() -> Any:
    from quietus_console.timetables import MaintenanceWindow

    return MaintenanceWindow("30 3 * * *")


def workdays() -> Any:
    from quietus_console.timetables import PrcWorkdays

    return PrcWorkdays(time(9, 0))


@pytest.mark.parametrize("make", [window, workdays], ids=["window", "workdays"])
def test_airflow_reads_back_what_it_stored(make: Any) -> None:
    made, read = make(), through_airflow(make())
    assert type(read) is type(made) and read.serialize() == made.serialize()
    assert read.description and read.description == made.description and read.summary == made.summary
    read.validate()


# --- quiet hours --------------------------------------------------------------------------------------


def test_a_night_runs_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-11-28 12:00")
    info = through_airflow(window()).next_dagrun_info(
        last_automated_data_interval=DataInterval(utc("2026-11-27 03:30"), utc("2026-11-28 03:30")),
        restriction=TimeRestriction(utc("2026-01-01 00:00"), None, False),
    )
    assert local(info.run_after) == "2026-11-29 03:30"


@pytest.mark.parametrize(
    ("now", "begins"),
    [("2026-11-28 10:00", "2026-11-29 01:00"), ("2026-11-28 23:59", "2026-11-29 01:00"),
     ("2026-11-28 05:59", "2026-11-28 03:30"),
     ("2026-11-28 06:00", "2026-11-29 01:00"), ("2026-11-29 00:59", "2026-11-29 01:00"),
     ("2026-11-29 01:00", "2026-11-28 03:30")],
)  # fmt: skip
def test_a_night_that_was_missed_never_begins_by_day(
    monkeypatch: pytest.MonkeyPatch, now: str, begins: str
) -> None:
    at(monkeypatch, now)
    info = through_airflow(window()).next_dagrun_info(
        last_automated_data_interval=DataInterval(utc("2026-11-26 03:30"), utc("2026-11-27 03:30")),
        restriction=TimeRestriction(utc("2026-01-01 00:00"), None, False),
    )
    assert local(info.run_after) == begins
    assert local(info.data_interval.end) == "2026-11-28 03:30"


@pytest.mark.parametrize("make", [window, workdays], ids=["window", "workdays"])
def test_a_week_that_was_missed_is_made_up_for_in_order_and_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    at(monkeypatch, "2026-11-28 12:00")
    found = catching_up(through_airflow(make()), "2026-11-16 00:00", 12)
    starts = [i.data_interval.start for i in found]
    assert starts == sorted(set(starts)) and all(
        a.data_interval.end == b.data_interval.start for a, b in pairwise(found)
    )
    assert len({i.logical_date for i in found}) == 12


def test_without_catching_up_one_run_stands_for_all_that_were_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-11-28 02:00")
    (info,) = catching_up(through_airflow(window()), "2026-01-01 00:00", 1, catchup=False)
    assert local(info.data_interval.end) == "2026-11-27 03:30"


@pytest.mark.parametrize("cron", ["30 7 * * *", "* * * * *", "0 0,3 * * *", "0 */2 * * *", "0 6 * * *"])
def test_a_schedule_outside_the_window_is_refused_at_parsing(cron: str) -> None:
    from quietus_console.timetables import MaintenanceWindow

    with pytest.raises(AirflowTimetableInvalid, match="outside"):
        MaintenanceWindow(cron).validate()
    with pytest.raises(AirflowTimetableInvalid, match="open before"):
        MaintenanceWindow("30 3 * * *", time(5), time(4)).validate()


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 1_000_000), st.integers(0, 59), st.integers(1, 5), st.booleans(), st.integers(0, 9)
)  # fmt: skip
def test_whatever_the_hour_it_begins_inside_the_window(
    monkeypatch: pytest.MonkeyPatch, minutes: int, minute: int, hour: int, catchup: bool, missed: int
) -> None:
    from quietus_console.timetables import MaintenanceWindow

    now = datetime(2026, 1, 2, tzinfo=PRC) + timedelta(minutes=minutes)
    at(monkeypatch, now.replace(tzinfo=None).isoformat())
    table = through_airflow(MaintenanceWindow(f"{minute} {hour} * * *"))
    end = table._get_prev(pendulum.instance(now)) - timedelta(days=missed)
    info = table.next_dagrun_info(
        last_automated_data_interval=DataInterval(end - timedelta(days=1), end),
        restriction=TimeRestriction(utc("2025-12-01 00:00"), None, catchup),
    )
    begins = max(info.run_after, pendulum.instance(now))  # the scheduler begins what is past at once
    assert table.open_at(begins)
    assert info.data_interval.start >= end


# --- working days -------------------------------------------------------------------------------------


def test_a_make_up_saturday_counts_and_a_holiday_does_not() -> None:
    found = [local(i.run_after) for i in catching_up(through_airflow(workdays()), "2026-09-30 08:00", 9)]
    known = [f"{d} 09:00" for d in _days(date(2026, 10, 1), 30) if DEFAULT.known(d)]
    assert found == known[:9] and "2026-10-10 09:00" in found and "2026-10-02 09:00" not in found


def test_an_unknown_year_fails_closed_a_day_that_may_be_worked_is_run() -> None:
    """As a deadline does, which is taken at the earliest day on which it could fall."""
    days = [d for d in _days(date(2031, 1, 1), 31) if DEFAULT.known(d) is None]
    assert days, "nobody has announced 2031"
    found = {
        i.run_after.astimezone(PRC).date()
        for i in catching_up(through_airflow(workdays()), "2030-12-30 00:00", 33)
    }
    assert {d for d in days if DEFAULT.may_be_worked(d)} <= found
    assert not {d for d in found if DEFAULT.known(d) is False}
    assert date(2031, 1, 1) not in found, "New Year itself is fixed by regulation"


def test_a_notice_that_comes_in_is_kept_to() -> None:
    from quietus_console.timetables import PrcWorkdays

    notice = Year(frozenset({date(2027, 1, 4)}), frozenset({date(2027, 1, 9)}), "a notice")
    found = catching_up(PrcWorkdays(time(9, 0), Workdays({2027: notice})), "2027-01-01 12:00", 6)
    days = [i.run_after.astimezone(PRC).date() for i in found]
    assert date(2027, 1, 4) not in days and date(2027, 1, 9) in days


def test_without_catching_up_the_last_working_day_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-11-28 12:00")  # a Saturday
    (info,) = catching_up(through_airflow(workdays()), "2026-01-01 00:00", 1, catchup=False)
    assert (local(info.data_interval.start), local(info.run_after)) == (
        "2026-11-26 09:00",
        "2026-11-27 09:00",
    )
    manual = workdays().infer_manual_data_interval(
        run_after=pendulum.instance(datetime(2026, 11, 28, tzinfo=UTC))
    )
    assert (local(manual.start), local(manual.end)) == ("2026-11-26 09:00", "2026-11-27 09:00")


@pytest.mark.parametrize("promise", ["airflow_hygiene", "table_scrub"])
def test_what_locks_or_deletes_by_the_night_runs_in_the_window(promise: str) -> None:
    import importlib

    made = getattr(importlib.import_module(f"dags.{promise}"), promise)()
    made.timetable.validate()
    assert "only between 01:00 and 06:00" in made.timetable.description


def test_a_release_is_made_before_the_night_erases_what_is_due() -> None:
    """In the same window, a quarter of an hour apart; the night waits for no release, and no release for a night."""
    evening = datetime(2026, 11, 23, 20, tzinfo=PRC)
    said = [promised(n).timetable.serialize() for n in ("anonymised_releases", "retention_limits")]
    release, night = (croniter(x["expression"], evening).get_next(datetime) for x in said)
    assert (release, night - release) == (datetime(2026, 11, 24, 1, tzinfo=PRC), timedelta(minutes=15))
    assert [x["opens"] for x in said] == ["01:00", "01:00"]


# --- a new house --------------------------------------------------------------------------------------

PROMISES = sorted(path.stem for path in (PLUGINS.parent / "dags").glob("*.py"))
LOOKS = timedelta(minutes=15)
"""What is looked at so often begins at once, too: it only looks, at a house that may be empty."""
HOURS = {
    "airflow_hygiene",
    "anonymised_releases",
    "backup_purge",
    "handover_notices",
    "hold_reviews",
    "ledger_audit",
    "proof_audit",
    "restore_drill",
    "retention_limits",
    "table_scrub",
    "yearly_duties",
    "unasked_deletion",
}
YEARLY = "yearly_duties"


def promised(promise: str) -> Any:
    import importlib

    return getattr(importlib.import_module(f"dags.{promise}"), promise)()


def begins(promise: str, last: DataInterval | None = None) -> Any:
    """The next run, as the scheduler asks for it."""
    dag = promised(promise)
    rule = TimeRestriction(dag.start_date, None, dag.catchup)
    return through_airflow(dag.timetable).next_dagrun_info(
        last_automated_data_interval=last, restriction=rule
    )


def test_whatever_runs_by_itself_looks_every_few_minutes_or_names_its_hour() -> None:
    by_itself = {n: when for n in PROMISES if (when := promised(n).schedule) is not None}
    often = {n for n, when in by_itself.items() if isinstance(when, timedelta) and when <= LOOKS}
    assert set(by_itself) - often == HOURS


@pytest.mark.parametrize("promise", sorted(HOURS))
@pytest.mark.parametrize(
    "now",
    ["2026-11-28 12:00", "2026-11-29 05:30", "2026-11-29 00:10", "2026-11-30 09:06", "2026-11-30 02:36", "2026-11-30 04:36"],
)  # fmt: skip
def test_in_a_new_house_what_names_an_hour_begins_at_its_next_one(
    monkeypatch: pytest.MonkeyPatch, promise: str, now: str
) -> None:
    at(monkeypatch, now)
    first = begins(promise)
    assert first.run_after > utc(now), f"at once, at {local(first.run_after)}"
    at(monkeypatch, local(first.run_after + timedelta(minutes=4)))
    late = begins(promise)
    assert late.run_after == first.run_after, "Airflow looked a little late: it is not skipped"
    after = begins(promise, first.data_interval)
    assert after.run_after > first.run_after and after.data_interval.start >= first.data_interval.end


@pytest.mark.parametrize("promise", sorted(HOURS - {YEARLY}))
def test_after_an_outage_of_days_it_is_made_up_for_once(
    monkeypatch: pytest.MonkeyPatch, promise: str
) -> None:
    at(monkeypatch, "2026-11-02 00:10")
    first = begins(promise)
    at(monkeypatch, "2026-11-28 05:30")
    missed = begins(promise, first.data_interval)
    assert missed.run_after < utc("2026-11-28 05:30") and missed.data_interval.end > utc("2026-11-21 00:00")
    assert begins(promise, missed.data_interval).run_after > utc("2026-11-28 05:30")


def test_what_comes_once_a_year_is_made_up_for_after_an_outage_over_its_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, "2026-11-02 00:10")
    first = begins(YEARLY)
    assert local(first.run_after) == "2027-01-15 02:00"
    at(monkeypatch, "2028-03-01 05:30")
    missed = begins(YEARLY, first.data_interval)
    assert local(missed.run_after) == "2028-01-15 02:00"
    assert local(begins(YEARLY, missed.data_interval).run_after) == "2029-01-15 02:00"


def _days(first: date, many: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(many)]


@pytest.mark.parametrize(
    ("kind", "now", "begins"),
    [("scheduled", "2026-11-28 10:00", False), ("scheduled", "2026-11-28 06:00", False), ("scheduled", "2026-11-28 05:59", True),
     ("scheduled", "2026-11-28 01:00", True), ("manual", "2026-11-28 10:00", True)],
)  # fmt: skip
def test_a_run_that_airflow_begins_late_is_put_off_by_its_own_task(
    monkeypatch: pytest.MonkeyPatch, kind: str, now: str, begins: bool
) -> None:
    """Airflow stores when the next run begins; after a day's outage it begins it by day."""
    from types import SimpleNamespace

    from airflow.sdk.exceptions import AirflowSkipException
    from quietus_console import quiet, scrubbing

    moment, scrubbed = utc(now), []
    monkeypatch.setattr(quiet, "observed_now", lambda: moment)
    context = {"dag_run": SimpleNamespace(run_type=kind), "params": {}}
    monkeypatch.setattr(quiet, "get_current_context", lambda: context)
    monkeypatch.setattr("quietus_console.work.get_current_context", lambda: context)
    monkeypatch.setattr(scrubbing, "desk", lambda: None)
    monkeypatch.setattr(
        scrubbing.scrubbing, "scrub", lambda *_, **__: scrubbed.append(1) or SimpleNamespace(left=())
    )
    if begins:
        scrubbing.rewrite.function()
    else:
        with pytest.raises(AirflowSkipException, match="put off"):
            scrubbing.rewrite.function()
    assert bool(scrubbed) is begins


def test_airflow_itself_finds_the_plugin_and_stores_every_promise(tmp_path: Path) -> None:
    """In a process of its own: the DAG files parsed, and each serialised and read back, by Airflow's own means."""
    said = subprocess.run(
        [sys.executable, "-c", STORES], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path),
             "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"), "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
             "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    told = dict(
        line.split(" ", 1)
        for line in said.stdout.splitlines()
        if line.startswith(("airflow_", "hold_", "table_"))
    )
    assert told == {
        "airflow_hygiene": "30 4 * * * in 01:00-06:00", "table_scrub": "30 3 * * * in 01:00-06:00",
        "hold_reviews": "09:00 on PRC working days",
    }  # fmt: skip


ROOT = PLUGINS.parent
STORES = """
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag()
assert not bag.import_errors, bag.import_errors
for name, dag in bag.dags.items():
    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    print(name, read.timetable.summary)
"""


@pytest.mark.parametrize(
    ("task", "by_the_minute"),
    [("nights.look", False), ("nights.look", True), ("releasing.make", None), ("unasked.follow", None)],
)
def test_nothing_that_disposes_by_the_night_begins_by_day(
    monkeypatch: pytest.MonkeyPatch, task: str, by_the_minute: bool | None
) -> None:
    """But for what has periods under a day, and what somebody triggers by hand."""
    import importlib
    from types import SimpleNamespace

    from airflow.sdk.exceptions import AirflowSkipException
    from quietus_console import quiet

    class Begun(BaseException):
        """It came to ask for its desk."""

    def desk() -> None:
        raise Begun

    name, _, what = task.partition(".")
    module = importlib.import_module(f"quietus_console.{name}")
    monkeypatch.setattr(module, "desk", desk)
    context = {
        "dag_run": SimpleNamespace(run_type="scheduled"), "params": {}, "ti": SimpleNamespace(max_tries=5, try_number=1)
    }  # fmt: skip
    monkeypatch.setattr("quietus_console.work.get_current_context", lambda: context)
    monkeypatch.setattr(quiet, "get_current_context", lambda: context)
    given = {} if by_the_minute is None else {"by_the_minute": by_the_minute}
    begin = getattr(module, what).function
    monkeypatch.setattr(quiet, "observed_now", lambda: utc("2026-11-28 10:00"))
    with pytest.raises(Begun if by_the_minute else AirflowSkipException):
        begin(**given)
    context["dag_run"] = SimpleNamespace(run_type="manual")
    with pytest.raises(Begun):
        begin(**given)
    context["dag_run"] = SimpleNamespace(run_type="scheduled")
    monkeypatch.setattr(quiet, "observed_now", lambda: utc("2026-11-28 01:20"))
    with pytest.raises(Begun):
        begin(**given)
