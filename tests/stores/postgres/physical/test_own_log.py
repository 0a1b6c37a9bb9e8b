"""A server's own log as a backup set: what still holds a deletion is found, named, and never taken for gone; on real servers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backups.horizon import Deed, Reach, ends, reach
from include.model.backups import Copies, CopyOf, lsn
from include.model.times import observed_now, prc_date
from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import binaries_for
from include.stores.postgres.physical import log_files, own_log
from include.stores.postgres.physical.facts import Follower, Slot
from include.stores.postgres.physical.own_log import OwnLog
from tests.conftest import DEBIAN_15, PgServer, _postgres, missing
from tests.stores.postgres.physical.test_facts import MB, seen

PAGE = 8192
KEPT = "0123456789"


@dataclass
class House:
    """A server, its own log's reader, and what is done to it. A server that is not told our functions hides nothing from a
    role that may monitor."""

    server: PgServer

    @property
    def data(self) -> Path:
        return self.server.cluster.data

    def reader(self, directory: Path | None = None, user: str = "prover") -> OwnLog:
        return OwnLog("company_log", lambda: self.server.conninfo("postgres", user), directory or self.data)

    def sql(self, statement: str) -> Any:
        with psycopg.connect(self.server.superuser_conninfo, autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def deed(self) -> Deed:
        """Something is written and deleted; where the log stands then."""
        self.sql("CREATE TABLE IF NOT EXISTS public.filler (x text)")
        self.sql(f"INSERT INTO public.filler VALUES ('{KEPT}')")
        self.sql("DELETE FROM public.filler")
        timeline = self.sql("SELECT timeline_id FROM pg_control_checkpoint()")
        return Deed(lsn(self.sql("SELECT pg_current_wal_insert_lsn()::text")), datetime.now(UTC), timeline)

    def go_on(self, megabytes: int = 0) -> None:
        """So much more is written, and a checkpoint lets go what is no longer needed."""
        if megabytes:
            self.sql(
                f"SELECT count(pg_logical_emit_message(false, 'more', repeat('x', 1 << 20)))"
                f" FROM generate_series(1, {megabytes})"
            )
        self.sql("SELECT pg_switch_wal()")
        self.sql("CHECKPOINT")


def judged(deed: Deed, copies: Copies) -> Reach:
    day = timedelta(days=7)
    return reach(deed, copies, ends(copies.copies, lambda made: made + day), prc_date(observed_now()) + day)


def passes(house: House, deed: Deed, reader: OwnLog | None = None) -> Reach:
    """The server goes on until nothing reaches back."""
    deadline = time.monotonic() + 60
    while not (seen := judged(deed, (reader or house.reader()).look())).beyond:
        assert time.monotonic() < deadline, seen
        house.go_on()
    return seen


def started(places: Places, name: str, version: int) -> Iterator[House]:
    binaries = DEBIAN_15 if version == 15 else binaries_for(places)
    for server in _postgres(places, name, binaries, version):
        house = House(server)
        house.sql("ALTER SYSTEM SET wal_recycle = off")
        house.sql("SELECT pg_reload_conf()")
        house.sql("GRANT pg_monitor TO prover")
        yield house


@pytest.fixture(scope="module")
def house18(session_places: Places) -> Iterator[House]:
    yield from started(session_places, "ownlog18", 18)


@pytest.fixture(scope="module")
def house15(session_places: Places) -> Iterator[House]:
    if not (DEBIAN_15 / "initdb").exists():
        missing("Debian's postgresql-15 is not installed")
    yield from started(session_places, "ownlog15", 15)


@pytest.fixture(params=["house18", "house15"])
def house(request: pytest.FixtureRequest) -> House:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@contextmanager
def setting(house: House, name: str, value: str) -> Iterator[None]:
    house.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    house.sql("SELECT pg_reload_conf()")
    before = house.sql(f"SHOW {name}")
    deadline = time.monotonic() + 10
    while house.sql(f"SHOW {name}") != value:
        assert time.monotonic() < deadline, before
        time.sleep(0.05)
    try:
        yield
    finally:
        house.sql(f"ALTER SYSTEM SET {name} = off")
        house.sql("SELECT pg_reload_conf()")


# --- what is there ------------------------------------------------------------------------------------


def test_log_holds_what_was_deleted_until_its_segment_is_gone(house: House) -> None:
    deed = house.deed()
    copies = house.reader().look()
    assert copies.problems == () and copies.copies == ()
    assert copies.system == house.sql("SELECT system_identifier FROM pg_control_system()")
    assert copies.archive is not None and copies.archive.oldest < deed.position <= copies.archive.newest
    assert copies.archive.segments == len([p for p in (house.data / "pg_wal").iterdir() if len(p.name) == 24])
    held = judged(deed, copies)
    assert not held.beyond and held.until is not None and "archived WAL" in held.because
    house.sql("SELECT pg_switch_wal()")
    assert not judged(deed, house.reader().look()).beyond, "switched is not gone"
    assert passes(house, deed).beyond
    gone = house.reader().look().archive
    assert gone is not None and gone.oldest >= deed.position


def test_a_recycled_segment_bears_old_log_under_a_new_name(house: House) -> None:
    """Its name is of one to come: whoever goes by names alone calls this gone."""
    with setting(house, "wal_recycle", "on"):
        deed = house.deed()
        house.go_on(40)
        house.go_on()
        copies = house.reader().look()
        names = sorted(p.name for p in (house.data / "pg_wal").iterdir() if len(p.name) == 24)
        assert copies.archive is not None
        assert f"{deed.position // (16 << 20):08X}" not in {n[16:] for n in names}, "by its name it is gone"
        assert copies.archive.oldest < deed.position, names
        assert not judged(deed, copies).beyond
    # Switched off, what was recycled before stays until it is written over or let go.
    assert not judged(deed, house.reader().look()).beyond
    house.go_on(110)
    assert passes(house, deed).beyond


# --- what keeps it ------------------------------------------------------------------------------------


def test_a_stale_slot_pins_it_by_its_name(house: House) -> None:
    house.sql("SELECT pg_create_physical_replication_slot('stale', true)")
    try:
        deed = house.deed()
        for _ in range(3):
            house.go_on()
        (slot,) = house.reader().look().copies
        assert (slot.name, slot.kind) == ("slot stale", CopyOf.LOG)
        assert slot.start is not None and slot.start <= deed.position
        assert slot.pinned is not None and "nobody uses it" in slot.pinned and "drop it" in slot.pinned
        if house.server.version >= 17:
            assert slot.started_at is not None and f"since {datetime.now(UTC):%Y}" in slot.pinned
        held = judged(deed, house.reader().look())
        assert held.until is None and any("slot stale is pinned" in why for why in held.open)
        assert "archived WAL" in held.holding, "what a slot keeps is in the files, too"
    finally:
        house.sql("SELECT pg_drop_replication_slot('stale')")
    assert passes(house, deed).beyond


def test_a_slot_that_keeps_no_log_keeps_nothing(house: House) -> None:
    house.sql("SELECT pg_create_physical_replication_slot('reserved_nothing')")
    try:
        assert house.reader().look().copies == ()
    finally:
        house.sql("SELECT pg_drop_replication_slot('reserved_nothing')")


def test_a_prepared_transaction_keeps_rows_alive_and_no_log(house: House) -> None:
    """R3 waits for it, and R5 does not: a checkpoint moves it to a file of its own."""
    house.sql("CREATE TABLE IF NOT EXISTS public.filler (x text)")
    with psycopg.connect(house.server.superuser_conninfo) as other:
        other.execute("INSERT INTO public.filler VALUES ('prepared')")
        other.execute("PREPARE TRANSACTION 'of somebody'")
    try:
        assert passes(house, house.deed()).beyond
        assert list((house.data / "pg_twophase").iterdir()), "it is there"
    finally:
        house.sql("ROLLBACK PREPARED 'of somebody'")


def test_a_standby_that_is_behind_has_the_log_that_it_did_not_replay() -> None:
    """Who only stores the log is a set of its own; what is in use has a date, and what is not is pinned."""
    here = seen(
        timeline=3,
        followers=(Follower("second", 40 * MB), Follower("archiver", None)),
        slots=(Slot("second", 30 * MB, True, None), Slot("old", 20 * MB, False, 7200)),
    )
    copies = {c.name: c for c in own_log._copies(here)}
    assert {n: (c.start, c.timeline) for n, c in copies.items()} == {
        "slot second": (30 * MB, 3), "slot old": (20 * MB, 3), "standby second": (40 * MB, 3),
    }  # fmt: skip
    assert [n for n, c in copies.items() if c.pinned] == ["slot old"]
    assert ends(copies.values(), lambda made: made)["standby second"] == prc_date(here.moment)
    held = reach(
        Deed(35 * MB, here.moment, 3), Copies(tuple(copies.values())), ends(copies.values(), lambda d: d)
    )
    assert held.holding == ("slot old", "slot second"), "the standby is past it"


# --- what cannot be seen is not gone ----------------------------------------------------------------------


def unseen(house: House, reader: OwnLog, said: str, before: Callable[[], None] = lambda: None) -> None:
    """What is gone from a log that is seen is not gone from one that is not."""
    deed = house.deed()
    assert passes(house, deed).beyond
    before()
    copies = reader.look()
    assert any(said in problem for problem in copies.problems), copies.problems
    assert not judged(deed, copies).beyond


def test_without_the_files_nobody_knows_what_recycled_segments_bear(house: House) -> None:
    reader = house.reader()
    reader._directory = None
    unseen(house, reader, "recycled segments may bear old log")
    assert reader.look().archive is not None, "names are seen all the same"


def test_a_directory_that_is_not_there(house: House, tmp_path: Path) -> None:
    unseen(house, house.reader(tmp_path), "cannot be read (No such file or directory)")


def test_a_directory_that_may_not_be_read(house18: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests as root may read all."""

    def denied(directory: Path, page: int) -> None:
        raise PermissionError(13, "Permission denied")

    unseen(
        house18, house18.reader(), "cannot be read (Permission denied)",
        lambda: monkeypatch.setattr(log_files, "read", denied),
    )  # fmt: skip


def test_a_copy_of_the_directory_is_not_the_servers(house18: House, tmp_path: Path) -> None:
    house18.go_on()
    shutil.copytree(house18.data / "pg_wal", tmp_path / "pg_wal")
    unseen(house18, house18.reader(tmp_path), "of another server, or of a copy")


def test_the_files_of_another_server(house18: House, house15: House) -> None:
    unseen(house18, house18.reader(house15.data), "of another server, or of a copy")


def test_a_file_that_is_no_log_is_said(house18: House) -> None:
    stray = house18.data / "pg_wal" / "0000000100000000000000AA.kept"
    try:
        unseen(
            house18,
            house18.reader(),
            "1 files of its log are none that is known; the first: 0000000100",
            lambda: stray.write_bytes(b"somebody's copy" * 1000) and None,
        )
    finally:
        stray.unlink()


def test_log_that_somebody_put_aside_there_reaches_back(house18: House) -> None:
    deed = house18.deed()
    wal = house18.data / "pg_wal"
    name = house18.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    shutil.copy(wal / name, wal / f"{name}.kept")
    try:
        house18.go_on()
        house18.go_on()
        assert not judged(deed, house18.reader().look()).beyond
    finally:
        (wal / f"{name}.kept").unlink()
    assert passes(house18, deed).beyond


def test_files_that_change_all_the_time(house18: House, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def changing(directory: Path, page: int) -> None:
        calls.append(page)
        raise log_files.Changing

    monkeypatch.setattr(own_log, "PAUSE", 0)
    unseen(
        house18, house18.reader(), "changed each of", lambda: monkeypatch.setattr(log_files, "read", changing)
    )
    assert calls == [PAGE] * own_log.TRIES


def test_a_server_that_hides_names_and_sessions(house18: House) -> None:
    house18.sql("REVOKE pg_monitor FROM prover")
    try:
        with psycopg.connect(house18.server.superuser_conninfo):
            problems = house18.reader().look().problems
        assert any("pg_monitor" in p for p in problems), problems
    finally:
        house18.sql("GRANT pg_monitor TO prover")


def test_a_log_of_a_later_timeline_shows_nothing_yet(house18: House) -> None:
    """A restore to before the deed goes past the deed's position without it."""
    deed = house18.deed()
    assert passes(house18, deed).beyond
    copies = house18.reader().look()
    assert copies.archive is not None and copies.archive.timeline == deed.timeline
    promoted = replace(copies, archive=replace(copies.archive, timeline=(deed.timeline or 0) + 1))
    held = judged(deed, promoted)
    assert held.holding == ("archived WAL",) and any("timeline" in why for why in held.open)


def test_a_promoted_server_reads_its_log_on_its_new_timeline(house18: House) -> None:
    """The server is restored to where it is, as after a crash of the whole machine."""
    deed = house18.deed()
    cluster = house18.server.cluster
    cluster.stop()
    (cluster.data / "recovery.signal").touch()
    conf = cluster.data / "postgresql.auto.conf"
    before = conf.read_text()
    conf.write_text(before + "restore_command = 'false'\n")
    try:
        cluster.start()
        cluster.wait()
        deadline = time.monotonic() + 30
        while house18.sql("SELECT pg_is_in_recovery()"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        copies = house18.reader().look()
        assert copies.problems == ()
        assert copies.archive is not None and copies.archive.timeline == (deed.timeline or 0) + 1
        assert any("timeline" in why for why in judged(deed, copies).open)
        assert passes(house18, replace(deed, timeline=copies.archive.timeline)).beyond
    finally:
        conf.write_text(before)


# --- its pages --------------------------------------------------------------------------------------------


def page(position: int, magic: int = 0xD118) -> bytes:
    return log_files._PAGE.pack(magic, 0, 1, position, 0).ljust(PAGE, b"x")


@given(st.lists(st.one_of(st.none(), st.integers(1, 1 << 50)), max_size=300))
def test_the_oldest_page_counts_wherever_it_lies(
    tmp_path_factory: pytest.TempPathFactory, at: list[int | None]
) -> None:
    place = tmp_path_factory.mktemp("wal")
    pages = [bytes(PAGE) if n is None else page(n * PAGE) for n in at]
    (place / f"{1:024X}").write_bytes(b"".join(pages))
    seen = log_files.read(place, PAGE)
    assert seen.oldest == min((n * PAGE for n in at if n is not None), default=None)
    assert seen.strange == ()


@pytest.mark.parametrize(
    "odd",
    [page(PAGE, magic=0xABCD), page(PAGE + 1), b"\x00" * 100 + b"x" + b"\x00" * (PAGE - 101), b"short"],
    ids=["no magic", "no position", "no header", "half a page"],
)
def test_a_page_of_which_nothing_is_known(tmp_path: Path, odd: bytes) -> None:
    (tmp_path / f"{1:024X}").write_bytes(page(5 * PAGE) + odd)
    seen = log_files.read(tmp_path, PAGE)
    assert seen.oldest == 5 * PAGE and seen.strange == (f"{1:024X}",)


def test_a_file_that_goes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{1:024X}").write_bytes(page(PAGE))
    real: Callable[..., Any] = log_files._pages

    def renamed(path: Path, size: int) -> Any:
        yield from real(path, size)
        path.rename(tmp_path / f"{2:024X}")

    monkeypatch.setattr(log_files, "_pages", renamed)
    with pytest.raises(log_files.Changing):
        log_files.read(tmp_path, PAGE)
