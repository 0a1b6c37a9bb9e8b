"""Files of ``pg_dump``: loaded into an empty cluster, made for them.

Roles are not in a dump: those that it names are made without log-in; owners and rights are left out of archives. A text
dump is a script for ``psql``: it is run as the scratch's account, in the scratch alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from include.backups.calling import called
from include.backups.restoring import quarantine
from include.backups.restoring.binaries import Binaries
from include.backups.restoring.room import Room, trouble
from include.backups.restoring.server import ScratchServer, control
from include.backups.restoring.tool import Restored, Until
from include.model.backups import BackupCopy
from include.model.errors import NotReachable, Refused

_MAGIC = b"PGDMP"
_VERSION = re.compile(r"Dumped from database version:? (\d+)")
_DATABASE = re.compile(r"^;\s+dbname: (.+)$", re.MULTILINE)
_NAME = r'("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_ROLE = re.compile(
    rf"^(?:ALTER .*OWNER TO|GRANT .* TO|REVOKE .* FROM|ALTER DEFAULT PRIVILEGES FOR ROLE) {_NAME}"
)
_POLICY = re.compile(rf"^CREATE POLICY .*? TO ({_NAME}(?:, {_NAME})*)(?: USING| WITH CHECK|;)")
_NO_ROLE = {"public", "current_user", "session_user", "current_role"}
_HEAD = 8 << 10
_GROWS = 8  # times that a dump may grow: compressed text becomes rows and indexes


class RestoreDump:
    """Restores from a directory of dumps. ``database``: what a text dump's database is called, which it does not say."""

    def __init__(self, id: str, directory: str, binaries: Binaries, database: str = "restored") -> None:
        self._id, self._directory, self._binaries, self._database = id, Path(directory), binaries, database

    def need(self, copy: BackupCopy, until: Until) -> int:
        path = Path(copy.location)
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        return sum(p.stat().st_size for p in files) * _GROWS + (256 << 20)

    def restore(self, copy: BackupCopy, room: Room, until: Until) -> Restored:
        if not until.at_once:
            raise Refused(
                "a dump has no log to recover with", about=room.about, next_step="restore it as it is"
            )
        path = Path(copy.location)
        try:
            archive = path.is_dir() or _begins(path) == _MAGIC
            said = self._said(path, archive, room)
            version = _VERSION.search(said)
            if version is None:
                raise NotReachable(
                    "the dump does not say of which version it is, so it is none, or half of one", about=room.about,
                    next_step="restore another copy",
                )  # fmt: skip
            binaries = self._binaries.of(int(version[1]), room.about)
            name = found[1] if archive and (found := _DATABASE.search(said)) else self._database
            self._load(path, archive, name, room, binaries)
        except OSError as error:
            raise trouble(error, room.about) from None
        return Restored(binaries, recovering=False, database=name)

    def _said(self, path: Path, archive: bool, room: Room) -> str:
        if archive:
            return called(
                [str(self._binaries.newest(room.about) / "pg_restore"), "-l", str(path)], about=room.about
            )
        with path.open("r", encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
        if "PostgreSQL database cluster dump" in head:
            raise Refused(
                "it is a dump of a whole cluster (pg_dumpall)",
                about=room.about,
                next_step="keep a dump per database",
            )
        return head

    def _load(self, path: Path, archive: bool, name: str, room: Room, binaries: Path) -> None:
        room.run(
            binaries / "initdb", "--pgdata", room.data, "--username", quarantine.MAINTENANCE, "--encoding=UTF8",
            "--auth=reject", "--locale=C", "--no-sync", as_account=True, seconds=300,
        )  # fmt: skip
        quarantine.shut(room, control(room, binaries), None)
        quarantine.admit(room, (quarantine.MAINTENANCE,))
        server = ScratchServer(room, binaries)
        server.start()
        try:
            with server.connect("template1") as conn:
                for role in _roles(self._schema(path, archive, room, binaries)):
                    conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
                if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                    conn.execute(
                        sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
                    )
            target = psycopg.conninfo.make_conninfo(server.conninfo(name), options="")
            if archive:
                arguments = ("--no-owner", "--no-acl", "--exit-on-error", "-d", target, path)
                room.run(binaries / "pg_restore", *arguments)
            else:
                room.run(
                    binaries / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", target, "-f",
                    self._readable(path, room), as_account=True,
                )  # fmt: skip
        finally:
            server.stop()

    def _schema(self, path: Path, archive: bool, room: Room, binaries: Path) -> Iterator[str]:
        if archive:
            said = room.run(binaries / "pg_restore", "--schema-only", "-f", "-", path)
            yield from said.splitlines()
            return
        with path.open("r", encoding="utf-8", errors="replace") as file:
            yield from file

    def _readable(self, path: Path, room: Room) -> Path:
        """A script is not run as ourselves, so its reader must be able to read it."""
        mine = room.staging / "dump.sql"
        shutil.copyfile(path, mine)
        room.give()
        return mine


def _roles(lines: Iterable[str]) -> Iterator[str]:
    """Whom a dump's statements name: it has none of them itself, and a policy for somebody unknown is an error."""
    seen = set(_NO_ROLE) | {quarantine.MAINTENANCE}
    for line in lines:
        for name in _named(line):
            role = name[1:-1].replace('""', '"') if name.startswith('"') else name
            if role not in seen and not role.startswith("pg_"):
                seen.add(role)
                yield role


def _named(line: str) -> list[str]:
    if found := _ROLE.match(line):
        return [found[1]]
    return re.findall(_NAME, found[1]) if (found := _POLICY.match(line)) else []


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_MAGIC))
