"""Task logs go when their run is no more and nobody wrote for as long as the limit; what is not understood is left and said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from include.hygiene import logfiles, logobjects
from include.hygiene.logfiles import THERE, YOUNG
from include.model.errors import Refused, Stopped
from tests.conftest import S3Server
from tests.hygiene.making import BEFORE, OLD
from tests.hygiene.making import YOUNG as LATER

RUN = "scheduled__2026-01-01T00:00:00+00:00"


def write(base: Path, name: str, at: float) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("log", "utf-8")
    os.utime(path, (at, at))
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    old, young = OLD.timestamp(), LATER.timestamp()
    write(tmp_path, f"dag_id=d/run_id={RUN}/task_id=t/attempt=1.log", old)
    write(tmp_path, f"dag_id=d/run_id={RUN}/task_id=t/map_index=3/attempt=1.log.trigger.7.log", old)
    write(tmp_path, "dag_id=d/run_id=waits/task_id=t/attempt=1.log", old)
    write(tmp_path, "dag_id=d/run_id=mixed/task_id=t/attempt=1.log", old)
    write(tmp_path, "dag_id=d/run_id=mixed/task_id=t/attempt=2.log", young)
    write(tmp_path, "dag_id=over/run_id=x/task_id=t/attempt=1.log", old)
    write(tmp_path, "dag_processor/2026-01-01/dags-folder/f.py.log", old)
    write(tmp_path, "dag_processor/2026-10-01/dags-folder/f.py.log", young)
    (tmp_path / "dag_processor" / "latest").symlink_to("2026-10-01")
    return tmp_path


def names(base: Path) -> set[str]:
    return {p.relative_to(base).as_posix() for p in base.rglob("*") if p.is_file()}


def test_logs_of_runs_that_are_there_stay_and_the_rest_goes_by_age(base: Path) -> None:
    dry = logfiles.sweep(base, {("d", "waits")}, BEFORE, dry=True)
    assert len(names(base)) == 8
    found = logfiles.sweep(base, {("d", "waits")}, BEFORE)
    assert found == dry and dict(found.files) == {None: 4, THERE: 1, YOUNG: 3} and not found.unknown
    assert names(base) == {
        "dag_id=d/run_id=waits/task_id=t/attempt=1.log",
        "dag_id=d/run_id=mixed/task_id=t/attempt=1.log", "dag_id=d/run_id=mixed/task_id=t/attempt=2.log",
        "dag_processor/2026-10-01/dags-folder/f.py.log",
    }  # fmt: skip
    assert not (base / "dag_id=over").exists() and (base / "dag_processor/latest").is_symlink()


def test_a_link_is_never_followed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write(tmp_path_factory.mktemp("outside"), "precious", OLD.timestamp())
    (base / "dag_id=d" / "run_id=link").symlink_to(outside.parent)
    (base / "dag_id=over/run_id=x/link").symlink_to(outside)
    found = logfiles.sweep(base, set(), BEFORE)
    assert outside.exists() and found.unknown == ["dag_id=d/run_id=link"]


def test_what_is_no_log_that_we_know_is_left_and_said(base: Path) -> None:
    write(base, "notes/mine.txt", OLD.timestamp())
    assert logfiles.sweep(base, set(), BEFORE).unknown == ["notes"]
    assert (base / "notes/mine.txt").exists()


def test_killed_half_way_the_next_night_goes_on(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, n = Path.unlink, iter(range(100))

    def killed(self: Path, missing_ok: bool = False) -> None:
        if next(n) == 1:
            raise KeyboardInterrupt
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        logfiles.sweep(base, {("d", "waits")}, BEFORE)
    monkeypatch.undo()
    assert logfiles.sweep(base, {("d", "waits")}, BEFORE).gone == 3
    assert logfiles.sweep(base, {("d", "waits")}, BEFORE).gone == 0


def test_copies_in_s3_go_with_all_their_versions(moto: S3Server) -> None:
    s3, bucket = moto.client(), moto.fresh_bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("logs/dag_id=d/run_id=over/task_id=t/attempt=1.log",) * 2 + (
        "logs/dag_id=d/run_id=waits/task_id=t/attempt=1.log", "logs/other", "elsewhere/dag_id=d/run_id=over/x/a.log"
    ):  # fmt: skip
        s3.put_object(Bucket=bucket, Key=key, Body=b"log")
    place = logobjects.Place.of(f"s3://{bucket}/logs")
    tomorrow = LATER.replace(year=2099)
    young = logobjects.sweep(s3, place, {("d", "waits")}, BEFORE)
    assert dict(young.files) == {YOUNG: 2, THERE: 1} and young.unknown == ["other"]
    found = logobjects.sweep(s3, place, {("d", "waits")}, tomorrow)
    assert found.gone == 2
    left = [v["Key"] for v in s3.list_object_versions(Bucket=bucket)["Versions"]]
    assert sorted(left) == [
        "elsewhere/dag_id=d/run_id=over/x/a.log",
        "logs/dag_id=d/run_id=waits/task_id=t/attempt=1.log",
        "logs/other",
    ]


def test_another_place_than_s3_is_not_guessed_at() -> None:
    with pytest.raises(Refused, match="no S3 bucket"):
        logobjects.Place.of("gs://somewhere/logs")


def stops_after(n: int) -> Callable[[], None]:
    """Somebody stops all disposing once so many pieces were asked for."""
    pieces = iter(range(99))

    def may_go_on() -> None:
        if next(pieces) >= n:
            raise Stopped("disposing is stopped", about="disposing")

    return may_go_on


def test_a_stop_is_obeyed_before_the_next_runs_directory(base: Path) -> None:
    for n, left in enumerate((8, 6, 5)):
        with pytest.raises(Stopped):
            logfiles.sweep(base, {("d", "waits")}, BEFORE, may_go_on=stops_after(min(n, 1)))
        assert len(names(base)) == left


def test_a_stop_is_obeyed_before_the_next_request_of_copies(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, bucket = moto.client(), moto.fresh_bucket()
    for n in range(5):
        s3.put_object(Bucket=bucket, Key=f"logs/dag_id=d/run_id={n}/task_id=t/attempt=1.log", Body=b"log")
    monkeypatch.setattr(logobjects, "AT_ONCE", 2)
    place = logobjects.Place.of(f"s3://{bucket}/logs")
    with pytest.raises(Stopped):
        logobjects.sweep(s3, place, set(), LATER.replace(year=2099), may_go_on=stops_after(2))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
