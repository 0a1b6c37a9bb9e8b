"""Backup tools at work on a server: each makes copies, lets them go, and is read by its reader."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg

from include.backups.barman import Barman
from include.backups.basebackup import BaseBackups
from include.backups.dumps import Dumps
from include.backups.expiring.barman import ExpireBarman
from include.backups.expiring.directories import ExpireDirectories
from include.backups.expiring.dumps import ExpireDumps
from include.backups.expiring.pgbackrest import ExpirePgBackRest
from include.backups.pgbackrest import PgBackRest
from include.backups.restoring.binaries import Binaries
from include.connections import Environment
from include.model.backups import BackupExpirer, BackupTool, lsn
from include.sandbox.stack.places import give, unprivileged
from include.sandbox.stack.postgres import ADMIN
from tests.conftest import PgServer

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Maker(Protocol):
    """Makes copies with one tool. ``positions``: whether it says positions in the log; ``archives``: whether WAL is
    archived with it."""

    reader: BackupTool
    expirer: BackupExpirer
    positions: bool
    archives: bool

    def full(self) -> None: ...

    def incremental(self) -> None: ...

    def expire_oldest(self) -> None: ...

    def close(self) -> None: ...


class OnServer:
    """What the makers share: a server, a directory of its account, and how things are run there."""

    def __init__(self, server: PgServer, name: str) -> None:
        self.server = server
        self.cluster = server.cluster
        self.home = self.cluster.home / name
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        give(self.home)

    def sql(self, statement: str) -> Any:
        with psycopg.connect(self.server.superuser_conninfo, autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def position(self) -> int:
        return lsn(str(self.sql("SELECT pg_current_wal_insert_lsn()")))

    def run(self, *arguments: object, as_server: bool = True) -> None:
        done = subprocess.run(
            [str(a) for a in arguments], cwd="/", capture_output=True, text=True, timeout=120, check=False,
            env=ENVIRONMENT | {"HOME": str(self.home)}, stdin=subprocess.DEVNULL,
            **(unprivileged() if as_server else {}),
        )  # fmt: skip
        assert done.returncode == 0, (arguments[:1], done.stdout[-800:], done.stderr[-800:])

    def close(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)


class WithBaseBackups(OnServer):
    """``pg_basebackup`` into directories, and an archive of WAL by copying."""

    positions = archives = True

    def __init__(self, server: PgServer) -> None:
        super().__init__(server, "basebackups")
        (self.home / "archive").mkdir()
        give(self.home / "archive")
        self.sql(f"ALTER SYSTEM SET archive_command = 'cp %p {self.home}/archive/%f'")
        self.sql("SELECT pg_reload_conf()")
        self.count = 0
        self.reader: BackupTool = BaseBackups("base", str(self.home))
        self.expirer: BackupExpirer = ExpireDirectories("base", str(self.home), programs(server))

    def _backup(self, *more: str) -> None:
        self.count += 1
        self.run(
            self.cluster.binaries / "pg_basebackup", "-D", self.home / f"{self.count:04}",
            "-d", self.cluster.conninfo(ADMIN, "postgres"), "--checkpoint=fast", "--no-sync", *more,
        )  # fmt: skip
        self.sql("SELECT pg_switch_wal()")
        wait_for(lambda: any((self.home / "archive").iterdir()))

    def full(self, *more: str) -> None:
        self._backup(*more)

    def incremental(self) -> None:
        self._backup(f"--incremental={self.home}/{self.count:04}/backup_manifest")

    def expire_oldest(self) -> None:
        """The oldest full, and what leans on it."""
        copies = self.reader.look().copies
        for copy in copies:
            if copy.name == copies[0].name or copies[0].name in copy.leans_on:
                shutil.rmtree(copy.location)


class WithPgBackRest(OnServer):
    """pgBackRest, with a repository in a directory."""

    positions = archives = True

    def __init__(self, server: PgServer) -> None:
        super().__init__(server, "pgbackrest")
        self.config = self.home / "pgbackrest.conf"
        self.config.write_text(
            f"[global]\nrepo1-path={self.home}/repo\nlock-path={self.home}/lock\nlog-level-file=off\n"
            f"log-level-console=warn\nstart-fast=y\nrepo1-retention-full=9\n"
            f"[main]\npg1-path={self.cluster.data}\npg1-port={self.cluster.port}\npg1-user={ADMIN}\npg1-socket-path=/tmp\n"
        )
        self.config.chmod(0o644)
        self.reader: BackupTool = PgBackRest("repo", str(self.config), "main")
        self.expirer: BackupExpirer = ExpirePgBackRest("repo", str(self.config), "main")
        self.sql(
            f"ALTER SYSTEM SET archive_command = 'pgbackrest --config={self.config} --stanza=main archive-push %p'"
        )
        self.sql("SELECT pg_reload_conf()")
        self._call("stanza-create")

    def _call(self, *more: str) -> None:
        password = self.cluster.password(ADMIN)
        secret = self.home / ".pgpass"
        secret.write_text(f"*:*:*:*:{password}\n")
        secret.chmod(0o600)
        give(secret)
        self.run("pgbackrest", f"--config={self.config}", "--stanza=main", *more)

    def full(self) -> None:
        self._call("--type=full", "backup")

    def incremental(self) -> None:
        self._call("--type=incr", "backup")

    def expire_oldest(self) -> None:
        self._call(f"--set={self.reader.look().copies[0].name}", "expire")


class WithBarman(OnServer):
    """Barman, over streaming replication."""

    positions = archives = True

    def __init__(self, server: PgServer) -> None:
        super().__init__(server, "barman")
        conninfo = (
            f"host=127.0.0.1 port={self.cluster.port} user={ADMIN} password={self.cluster.password(ADMIN)}"
        )
        self.place = self.home.with_name("barman-home")
        shutil.rmtree(self.place, ignore_errors=True)
        (self.place / "d").mkdir(parents=True)
        self.config = self.place / "barman.conf"
        self.config.write_text(
            f"[barman]\nbarman_home={self.place}\nbarman_user={getpass.getuser()}\nlog_file={self.place}/log\n"
            f"configuration_files_directory={self.place}/d\n"
            f"[main]\ndescription=of a test\nconninfo={conninfo} dbname=postgres\nstreaming_conninfo={conninfo}\n"
            "backup_method=postgres\nimmediate_checkpoint=true\nstreaming_archiver=on\nslot_name=barman\n"
            f"path_prefix={self.cluster.binaries}\n"
        )
        self.config.chmod(0o600)
        self.sql("ALTER SYSTEM SET archive_command = '/bin/true'")
        self.sql("SELECT pg_reload_conf()")
        self._call("receive-wal", "--create-slot", "main")
        self._receiver = subprocess.Popen(
            ["barman", "-c", self.config, "receive-wal", "main"], env=ENVIRONMENT | {"HOME": str(self.place)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: self.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))
        self._call("switch-wal", "--force", "--archive", "--archive-timeout", "60", "main")
        self.reader: BackupTool = Barman("barman", str(self.config), "main")
        self.expirer: BackupExpirer = ExpireBarman("barman", str(self.config), "main")

    def _call(self, *more: str) -> None:
        self.run("barman", "-c", self.config, *more, as_server=False)

    def full(self) -> None:
        self._call("backup", "--wait", "--wait-timeout", "60", "main")
        time.sleep(1.1)  # a backup is named by the second

    def incremental(self) -> None:
        raise NotImplementedError

    def expire_oldest(self) -> None:
        self._call("delete", "main", "oldest")

    def archive(self) -> None:
        self._call("archive-wal", "main")

    def pin(self, name: str) -> None:
        self._call("keep", "--target", "standalone", "main", name)

    def close(self) -> None:
        os.killpg(self._receiver.pid, signal.SIGTERM)
        self._receiver.wait(30)
        wait_for(lambda: not self.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'barman'"))
        self.sql("SELECT pg_drop_replication_slot('barman')")
        shutil.rmtree(self.place, ignore_errors=True)
        super().close()


class WithDumps(OnServer):
    """``pg_dump``, in the custom format."""

    positions = archives = False

    def __init__(self, server: PgServer) -> None:
        super().__init__(server, "dumps")
        self.reader: BackupTool = Dumps("dumps", str(self.home), str(self.cluster.binaries / "pg_restore"))
        self.expirer: BackupExpirer = ExpireDumps("dumps", str(self.home), programs(server))
        self.count = 0

    def full(self, *more: str) -> None:
        self.count += 1
        self.run(
            self.cluster.binaries / "pg_dump", "-d", self.cluster.conninfo(ADMIN, "postgres"),
            "-f", self.home / f"{self.count:04}.dump", *(more or ("-Fc",)),
        )  # fmt: skip

    def incremental(self) -> None:
        raise NotImplementedError

    def expire_oldest(self) -> None:
        sorted(self.home.iterdir())[0].unlink()


def programs(server: PgServer) -> Binaries:
    """Those of a server, where a company would declare them."""
    said = json.dumps({"extra": {"text": str(server.cluster.binaries)}})
    return Binaries(Environment({f"QUIETUS_CONN_POSTGRES_{server.version}_BIN": said}))


def wait_for(done: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)


def names(path: Path) -> Sequence[str]:
    return [p.name for p in path.iterdir()]
