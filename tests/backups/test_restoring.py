"""Every tool's copies restored for real: what was there is there, and nobody but the look gets at it or out of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.backups.basebackup import BaseBackups
from include.backups.restoring.barman import RestoreBarman
from include.backups.restoring.basebackup import RestoreBaseBackup
from include.backups.restoring.binaries import Binaries
from include.backups.restoring.dumps import RestoreDump
from include.backups.restoring.pgbackrest import RestorePgBackRest
from include.backups.restoring.place import Place
from include.backups.restoring.room import marked
from include.backups.restoring.scratch import Scratch, scratch
from include.backups.restoring.tool import RestoreTool, Until
from include.connections import Environment
from include.model.backups import BackupCopy
from include.model.errors import NotReachable, QuietusError, Refused
from tests.backups.making import (
    Maker,
    OnServer,
    WithBarman,
    WithBaseBackups,
    WithDumps,
    WithPgBackRest,
    wait_for,
)

MARKED = "a person of 1837"


@pytest.fixture
def place(maker: Maker) -> Iterator[Place]:
    assert isinstance(maker, OnServer)
    directory = maker.cluster.places.room_for("scratch")
    yield Place.at(str(directory))
    assert not list(directory.glob("scratch-*")), "a scratch was left behind"
    shutil.rmtree(directory)


def restorer(maker: Maker, place: Any = None) -> RestoreTool:
    assert isinstance(maker, OnServer)
    declared = {
        f"QUIETUS_CONN_POSTGRES_{maker.server.version}_BIN": json.dumps(
            {"extra": {"text": str(maker.cluster.binaries)}}
        )
    }
    binaries = Binaries(Environment(declared))
    match maker:
        case WithBaseBackups():
            return RestoreBaseBackup("base", str(maker.home), binaries)
        case WithPgBackRest():
            return RestorePgBackRest("repo", str(maker.config), "main", binaries)
        case WithBarman():
            return RestoreBarman("barman", str(maker.config), "main", binaries)
        case WithDumps():
            return RestoreDump("dumps", str(maker.home), binaries)
    raise AssertionError(maker)


@pytest.fixture
def planted(maker: Maker) -> Iterator[OnServer]:
    """A table with somebody in it, of whom the first copy knows."""
    assert isinstance(maker, OnServer)
    maker.sql("DROP TABLE IF EXISTS planted")
    maker.sql("CREATE TABLE planted (who text)")
    maker.sql(f"INSERT INTO planted VALUES ('{MARKED}')")
    yield maker
    maker.sql("DROP TABLE planted")


def pid_of(found: Scratch) -> str:
    return (found.room.data / "postmaster.pid").read_text().split("\n", 1)[0]


def network(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def sockets_of(found: Scratch) -> list[str]:
    """Its processes' TCP sockets, by the kernel's table."""
    pid = pid_of(found)
    held = {str(p.readlink()) for p in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [
        line for n in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{n}").read_text().splitlines()[1:]
    ]
    return [line for line in lines if f"socket:[{line.split()[9]}]" in held]


def who(found: Scratch, role: str = "quietus_scratch") -> list[str]:
    with found.server.connect(found.database or "postgres", role) as conn:
        return [row[0] for row in conn.execute("SELECT who FROM planted ORDER BY 1").fetchall()]


def oldest(maker: Maker) -> BackupCopy:
    return maker.reader.look().copies[0]


def test_a_copy_is_restored_as_it_was_and_reached_by_its_owners_socket_alone(
    maker: Maker, planted: OnServer, place: Place
) -> None:
    maker.full()
    planted.sql("DELETE FROM planted")
    with scratch(restorer(maker), oldest(maker), place, about="set") as found:
        assert who(found) == [MARKED]
        with found.server.connect("template1") as conn:
            said = dict(conn.execute("SELECT name, setting FROM pg_settings").fetchall())
        assert (said["listen_addresses"], said["archive_mode"]) == ("", "off")
        assert (said["max_wal_senders"], said["primary_conninfo"]) == ("0", "")
        assert said["shared_preload_libraries"] == said["session_preload_libraries"] == ""
        assert found.room.home.stat().st_mode & 0o777 == found.room.sockets.stat().st_mode & 0o777 == 0o700
        for role in ("quietus_admin", "eraser", "prover"):
            with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
                psycopg.connect(found.conninfo("postgres", role))
        assert not any(c.split()[3] == "0A" for c in sockets_of(found)), "it listens on the network"
        if os.geteuid() == 0 and subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0:
            assert network(pid_of(found)) != network("self"), "it can reach nobody"
        found.admit(("prover",))
        assert who(found, "quietus_scratch") == [MARKED]
        with found.server.connect(found.database or "postgres", "prover") as conn:
            assert conn.execute("SELECT current_user").fetchone() == ("prover",)
        if maker.positions:
            assert found.system == planted.sql("SELECT system_identifier FROM pg_control_system()")
        home = found.room.home
    assert not home.exists()


@pytest.mark.parametrize("maker", ["basebackup", "pgbackrest"], indirect=True)
def test_an_increment_is_put_together_with_what_it_leans_on(
    maker: Maker, planted: OnServer, place: Place
) -> None:
    maker.full()
    planted.sql("INSERT INTO planted VALUES ('another')")
    maker.incremental()
    planted.sql("DELETE FROM planted")
    maker.incremental()
    copies = maker.reader.look().copies
    seen = []
    for copy in copies:
        with scratch(restorer(maker), copy, place, about="set") as found:
            seen.append(who(found))
    assert seen == [[MARKED], [MARKED, "another"], []]


@pytest.mark.parametrize("maker", ["basebackup", "pgbackrest", "barman"], indirect=True)
def test_a_copy_is_recovered_to_a_position_or_a_moment(maker: Maker, planted: OnServer, place: Place) -> None:
    maker.full()
    planted.sql("INSERT INTO planted VALUES ('later')")
    position = planted.position()
    moment = planted.sql("SELECT clock_timestamp()")
    time.sleep(0.1)
    planted.sql("DELETE FROM planted")
    end = planted.position()
    planted.sql("SELECT pg_switch_wal()")
    archived(maker, end)
    for until in (Until(position=position), Until(moment=moment)):
        with scratch(restorer(maker), oldest(maker), place, about="set", until=until) as found:
            assert who(found) == [MARKED, "later"]
    with (
        pytest.raises(NotReachable, match="the log ends before the wanted point"),
        scratch(
            restorer(maker),
            oldest(maker),
            place,
            about="set",
            until=Until(position=planted.position() + (1 << 30)),
        ),
    ):
        pass


def archived(maker: Maker, position: int) -> None:
    def done() -> bool:
        if isinstance(maker, WithBarman):
            maker.archive()
        archive = maker.reader.look().archive
        return archive is not None and archive.newest >= position

    wait_for(done)


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
@pytest.mark.parametrize("form", ["-Ft -X fetch", "-Ft -z -X stream", "-Fp -X none"])
def test_every_form_of_base_backup(
    maker: WithBaseBackups, planted: OnServer, place: Place, form: str
) -> None:
    maker.full(*form.split())
    if form.endswith("none"):
        archived(maker, planted.position() // (16 << 20) * (16 << 20))
    planted.sql("DELETE FROM planted")
    with scratch(restorer(maker), oldest(maker), place, about="set") as found:
        assert who(found) == [MARKED]


@pytest.mark.parametrize("maker", ["basebackup", "pgbackrest", "barman"], indirect=True)
def test_a_tablespace_is_restored_inside_the_scratch_and_never_over_the_live_one(
    maker: Maker, planted: OnServer, place: Place
) -> None:
    live = planted.cluster.home / "space"
    live.mkdir()
    os.chown(live, place.account.uid, place.account.gid)
    planted.sql(f"CREATE TABLESPACE aside LOCATION '{live}'")
    try:
        planted.sql("ALTER TABLE planted SET TABLESPACE aside")
        if isinstance(maker, WithBaseBackups):
            maker.full("-Ft", "-X", "fetch")
        else:
            maker.full()
        planted.sql("DELETE FROM planted")
        planted.sql("CHECKPOINT")
        before = {p: p.stat().st_mtime_ns for p in live.rglob("*")}
        with scratch(restorer(maker), oldest(maker), place, about="set") as found:
            assert who(found) == [MARKED]
            with found.server.connect("postgres") as conn:
                (where,) = conn.execute(
                    "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'aside'"
                ).fetchone()
            assert Path(where).is_relative_to(found.room.home)
        assert {p: p.stat().st_mtime_ns for p in live.rglob("*")} == before
        assert who_live(planted) == 0
    finally:
        planted.sql("ALTER TABLE planted SET TABLESPACE pg_default")
        planted.sql("DROP TABLESPACE aside")
        shutil.rmtree(live)


def who_live(planted: OnServer) -> int:
    return int(planted.sql("SELECT count(*) FROM planted"))


@pytest.mark.parametrize("maker", ["dumps"], indirect=True)
@pytest.mark.parametrize("form", ["-Fp --verbose", "-Fd"])
def test_every_form_of_dump(maker: WithDumps, planted: OnServer, place: Place, form: str) -> None:
    planted.sql('CREATE ROLE "Old Owner"')
    planted.sql('ALTER TABLE planted OWNER TO "Old Owner"')
    planted.sql("GRANT SELECT ON planted TO prover")
    try:
        maker.full(*form.split())
        with scratch(restorer(maker), oldest(maker), place, about="set") as found:
            found.admit(("prover",))
            assert who(found) == who(found, "prover") == [MARKED]
    finally:
        planted.sql("ALTER TABLE planted OWNER TO CURRENT_USER")
        planted.sql('DROP ROLE "Old Owner"')


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_what_the_copy_was_told_to_do_is_undone(
    maker: WithBaseBackups, planted: OnServer, place: Place
) -> None:
    """A subscription, a foreign log-in, a library, a slot, and settings of its own: none survives the restore."""
    planted.sql(
        "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)"
    )
    planted.sql("ALTER SUBSCRIPTION s ENABLE")
    planted.sql("CREATE EXTENSION postgres_fdw")
    planted.sql("CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1')")
    planted.sql("CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (user 'u', password 'p')")
    planted.sql("ALTER ROLE eraser SET session_preload_libraries = 'nowhere'")
    try:
        maker.full()
        with (
            scratch(restorer(maker), oldest(maker), place, about="set") as found,
            found.server.connect("postgres") as conn,
        ):
            assert conn.execute("SELECT subenabled FROM pg_subscription").fetchall() == [(False,)]
            assert conn.execute("SELECT count(*) FROM pg_user_mapping").fetchone() == (0,)
            assert conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'logical'"
            ).fetchone() == (0,)
            assert conn.execute(
                "SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text ~ 'nowhere'"
            ).fetchone() == (0,)
            assert conn.execute("SHOW archive_command").fetchone() == ("(disabled)",)
            assert conn.execute(
                "SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'"
            ).fetchone() == (0,)
    finally:
        planted.sql("ALTER ROLE eraser RESET session_preload_libraries")
        planted.sql("ALTER SUBSCRIPTION s DISABLE")
        planted.sql("ALTER SUBSCRIPTION s SET (slot_name = NONE)")
        planted.sql("DROP SUBSCRIPTION s")
        planted.sql("DROP EXTENSION postgres_fdw CASCADE")


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_a_copy_that_is_not_what_its_manifest_says_is_not_restored(
    maker: WithBaseBackups, planted: OnServer, place: Place
) -> None:
    maker.full()
    copy = oldest(maker)
    version = Path(copy.location, "PG_VERSION")
    held = version.stat()
    touched = Path(copy.location, "global", "pg_filenode.map")
    whole = touched.read_bytes()
    touched.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(touched, (held.st_atime, held.st_mtime))
    with (
        pytest.raises(NotReachable, match="not what its manifest says"),
        scratch(restorer(maker), copy, place, about="set"),
    ):
        pass
    Path(copy.location, "backup_manifest").unlink()
    with (
        pytest.raises(Refused, match="it was not finished"),
        scratch(restorer(maker), oldest(maker), place, about="set"),
    ):
        pass


def test_a_repository_that_is_away_is_said_to_be(maker: Maker, planted: OnServer, place: Place) -> None:
    maker.full()
    copy = oldest(maker)
    aside = planted.home.with_name("aside")
    planted.home.rename(aside)
    if isinstance(maker, WithBarman):
        maker.place.rename(planted.home)
    try:
        with pytest.raises(QuietusError) as said, scratch(restorer(maker), copy, place, about="set"):
            pass
        assert isinstance(said.value, NotReachable)
        assert said.value.next_step
    finally:
        if isinstance(maker, WithBarman):
            planted.home.rename(maker.place)
        aside.rename(planted.home)


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_no_head_room_and_no_server_of_its_version_are_told_before_and_leave_nothing(
    maker: WithBaseBackups, planted: OnServer, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.full()
    tool = restorer(maker)
    monkeypatch.setattr(tool, "need", lambda copy, until: 1 << 60)
    with pytest.raises(Refused, match="MB are free"), scratch(tool, oldest(maker), place, about="set"):
        pass
    nowhere = RestoreBaseBackup("base", str(maker.home), Binaries())
    with (
        pytest.raises(NotReachable, match="PostgreSQL 18 are not here"),
        scratch(nowhere, oldest(maker), place, about="set"),
    ):
        pass


KILLED = """
import os, signal, sys
from include.backups.restoring import scratch as s
from include.backups.restoring.place import Place
from tests.backups.test_restoring import killed_tool
where, directory, home, binaries, name = sys.argv[1:]
def die(*args, **kw):
    print("here", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
tool, copy = killed_tool(home, binaries, name)
if where == "restoring": s.ScratchServer.control = die
elif where == "recovered": s.ScratchServer.single = die
with s.scratch(tool, copy, Place.at(directory), about="set"):
    die()
"""


def killed_tool(home: str, binaries: str, name: str) -> tuple[RestoreTool, BackupCopy]:
    declared = {"QUIETUS_CONN_POSTGRES_18_BIN": json.dumps({"extra": {"text": binaries}})}
    tool = RestoreBaseBackup("base", home, Binaries(Environment(declared)))
    (copy,) = (c for c in BaseBackups("base", home).look().copies if c.name == name)
    return tool, copy


@pytest.mark.parametrize("where", ["restoring", "recovered", "serving"])
@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_killed_anywhere_it_leaves_a_scratch_that_the_next_one_destroys(
    maker: WithBaseBackups, planted: OnServer, place: Place, where: str
) -> None:
    maker.full()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, where, place.directory, maker.home, maker.cluster.binaries, oldest(maker).name],
        capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "here\n"), done.stderr
    (left,) = place.directory.glob("scratch-*")
    assert (left / "data" / "PG_VERSION").exists(), "a person is in it"
    serves = where == "serving"
    pid = int((left / "data" / "postmaster.pid").read_text().split("\n", 1)[0]) if serves else 0
    assert place.sweep() == 1
    assert not left.exists()
    assert not (
        serves and Path(f"/proc/{pid}").exists() and "postgres" in Path(f"/proc/{pid}/cmdline").read_text()
    )


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_a_scratch_that_is_being_looked_at_is_not_swept(
    maker: WithBaseBackups, planted: OnServer, place: Place
) -> None:
    maker.full()
    with scratch(restorer(maker), oldest(maker), place, about="set") as found:
        assert place.sweep() == 0
        assert who(found) == [MARKED]


WITH_A_TOOL = """
import sys
from include.backups.restoring.place import Place
with Place.at(sys.argv[1]).room("set", 0) as room:
    room.run("sh", "-c", "echo begun > begun; sleep 300 & sleep 300", as_account=True)
"""


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_a_tool_that_outlived_its_killed_worker_is_ended_with_its_children(
    maker: Maker, place: Place
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WITH_A_TOOL, place.directory], cwd=Path(__file__).parents[2]
    )
    wait_for(lambda: list(place.directory.glob("scratch-*/begun")))
    (left,) = place.directory.glob("scratch-*")
    assert place.sweep() == 0, "its worker lives"
    worker.kill()
    worker.wait(30)
    assert len(marked(left)) == 3, "a shell and two that sleep"
    assert place.sweep() == 1
    assert not marked(left) and not left.exists()


@pytest.mark.parametrize("path", ["relative", "/var/a b", "/" + "x" * 60, "/usr"])
def test_where_a_scratch_may_not_lie(path: str) -> None:
    """The last belongs to root, as whom no server of PostgreSQL runs."""
    with pytest.raises(Refused):
        Place.at(path)


def test_a_place_that_is_not_there() -> None:
    with pytest.raises(NotReachable, match="no such directory"):
        Place.at("/nowhere")
