"""What a restored server may not do: be reached by anything but its owner's socket, reach anything, or run what it was told to.

None of the copy's own configuration is read, wherever it lay: the server has a file of ours alone. What the copy says in its
catalogs (subscriptions, foreign servers' passwords, libraries to load, log-ins) is undone before anybody is admitted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from include.backups.restoring.room import Room
from include.backups.restoring.tool import Until
from include.model.backups import written
from include.model.errors import NotReachable

MAINTENANCE = "quietus_scratch"

SETTINGS: Mapping[str, str] = {
    # no way in but the socket, in a directory that only its owner enters
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "ssl": "off",
    # no way out: nothing is archived, streamed, subscribed to or followed
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "max_wal_senders": "0",
    "max_replication_slots": "0",
    "max_logical_replication_workers": "0",
    "wal_level": "minimal",
    "hot_standby": "off",
    # no library of which we do not know what it does (pg_cron is one)
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    # nothing runs by itself; what lies in the files is left as it lies
    "autovacuum": "off",
    "jit": "off",
    # it is thrown away: nothing of it must outlive a power cut
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # its log quotes nobody
    "logging_collector": "off",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_connections": "off",
}
# What recovery and prepared transactions need as much of as the copy's own server had, by the control file.
_AS_IT_WAS = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
_FORGET = ("recovery.conf", "standby.signal", "recovery.signal", "postmaster.pid", "postmaster.opts")

DISARM = f"""\
CREATE ROLE {MAINTENANCE} SUPERUSER LOGIN
ALTER ROLE {MAINTENANCE} SUPERUSER LOGIN
UPDATE pg_catalog.pg_subscription SET subenabled = false
DELETE FROM pg_catalog.pg_db_role_setting WHERE setconfig::text ~* 'preload_libraries'
"""  # noqa: S608 - the name is our own constant
"""For a single-user session: before it nobody can log in, and no server runs. The first line may find the role there."""


def conf(room: Room) -> Path:
    return room.settings / "postgresql.conf"


def shut(room: Room, control: Mapping[str, str], until: Until | None) -> None:
    """Take the copy's own orders out of the data directory and put ours outside it. ``until``: to where it is recovered;
    None: not at all. Raises NotReachable if a link leads out of the scratch."""
    for name in _FORGET:
        (room.data / name).unlink(missing_ok=True)
    for path in (room.data / "pg_replslot").glob("*"):
        shutil.rmtree(path)
    automatic = room.data / "postgresql.auto.conf"
    if automatic.exists():
        automatic.rename(
            room.data / "postgresql.auto.conf.of-the-copy"
        )  # no longer read, still looked through
    room.write(automatic)
    _keep_inside(room)
    recovery = {} if until is None else _recovery(room, until)
    if recovery:
        room.write(room.data / "recovery.signal")
    _configure(room, control, recovery)
    admit(room, ())


def opened(room: Room, control: Mapping[str, str]) -> None:
    """The same configuration without recovery."""
    _configure(room, control, {})


def admit(room: Room, roles: Collection[str]) -> None:
    """Admit these roles, and nobody else, to whoever owns the scratch (or is root): the kernel says who that is."""
    names = [role.replace('"', '""') for role in roles]
    lines = "".join(f'local all "{name}" peer map=scratch\n' for name in names)
    room.write(room.settings / "pg_hba.conf", lines + "local all all reject\nhost all all all reject\n")
    owners = {"root", room.account.name}
    lines = "".join(f'scratch {owner} "{name}"\n' for owner in sorted(owners) for name in names)
    room.write(room.settings / "pg_ident.conf", lines)


def _configure(room: Room, control: Mapping[str, str], recovery: Mapping[str, str]) -> None:
    files = {
        "data_directory": room.data,
        "hba_file": room.settings / "pg_hba.conf",
        "ident_file": room.settings / "pg_ident.conf",
        "unix_socket_directories": room.sockets,
    }
    sizes = {name: str(max(20, int(control.get(said, 0)))) for name, said in _AS_IT_WAS.items()}
    every = {**SETTINGS, **sizes, **{name: str(path) for name, path in files.items()}, **recovery}
    room.write(conf(room), "".join(f"{name} = '{_quoted(value)}'\n" for name, value in every.items()))


def _recovery(room: Room, until: Until) -> dict[str, str]:
    target = {"recovery_target": "immediate"}
    if until.position is not None:
        target = {"recovery_target_lsn": written(until.position)}
    elif until.moment is not None:
        target = {"recovery_target_time": until.moment.isoformat()}
    return {
        "restore_command": f'cp "{room.wal}/%f" "%p"',
        "recovery_target_timeline": "current",
        "recovery_target_action": "promote",
        **target,
    }


def _keep_inside(room: Room) -> None:
    """A tablespace's link that leads out would lead to the live one's files. The map is what recovery makes links by."""
    inside = room.home.resolve()
    for directory, below, files in os.walk(room.data):
        for name in (*below, *files):
            path = Path(directory, name)
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise NotReachable(
                    "a link in the restored files leads out of the scratch, perhaps to the live files", about=room.about,
                    next_step="see which tool made the copy, and with which mapping of tablespaces",
                )  # fmt: skip
    known = room.data / "tablespace_map"
    if known.exists():
        lines = []
        for line in known.read_text("utf-8").splitlines():
            oid = line.partition(" ")[0]
            link = room.data / "pg_tblspc" / oid
            lines.append(f"{oid} {link.resolve() if link.is_symlink() else room.tablespaces / oid}\n")
        known.write_text("".join(lines), "utf-8")


def _quoted(value: str) -> str:
    return value.replace("'", "''")
