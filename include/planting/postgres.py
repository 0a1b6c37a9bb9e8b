"""Planting in a database: a schema of our own, in which each table hides a value in another way.

Beside the made-up person's value stand other people's, some of them nearly the same: who names their rows names a
bystander. Nothing of the company's is read or written. Autovacuum is off in these tables, so that what is planted stays
until it is looked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from include.model.errors import NotReachable, Refused
from include.planting import made_up
from include.planting.note import CannotPlant, Note, Plant

Connection: TypeAlias = psycopg.Connection[Any]

FILLERS = 40  # rows of other people in a table
_OPTIONS = "-c statement_timeout=120s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
_ASLEEP = sql.SQL("WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false)")


@contextmanager
def connected(conninfo: str, store: str) -> Iterator[Connection]:
    """A connection as the planter, in autocommit. Raises NotReachable, Refused; no value in either."""
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10, options=_OPTIONS) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise NotReachable(
            f"the server does not answer the planter [{error.sqlstate or 'no SQLSTATE'}]", about=store,
            next_step="check the server and the planter's secret, then audit again",
        ) from None  # fmt: skip
    except psycopg.Error as error:
        raise Refused(
            f"the server refused the planter [{error.sqlstate or 'no SQLSTATE'}]", about=store,
            next_step="the planter needs CREATE on the database, and nothing more",
        ) from None  # fmt: skip


def plant(connection: Connection, note: Note, store: str) -> dict[str, str]:
    """Plant everything of one store; kind -> why it has no place here, of those that have none."""
    absent: dict[str, str] = {}
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(note.schemas[store])))
    for address in note.decoys_of(store):
        _decoys(connection, note, store, address)

    def each(plants: Iterable[Plant]) -> None:
        for one in plants:
            try:
                _KINDS[one.kind](_Bed(connection, one, note.dice(one), note.gid))
            except CannotPlant as why:
                absent[one.kind] = str(why)

    # What holds back vacuuming comes last, or no hole would be made.
    written = sorted(note.of(store), key=lambda p: p.kind == "prepared_transaction")
    each(p for p in written if p.kind != "wal")
    try:
        connection.execute("CHECKPOINT")  # what is in memory only is in no file
    except psycopg.errors.InsufficientPrivilege:
        unwritten = (
            "the planter may make no checkpoint (pg_checkpoint): what it planted may be in no file yet"
        )
        absent |= {kind: unwritten for kind in IN_FILES if kind != "wal"}
    each(p for p in written if p.kind == "wal")  # a checkpoint removes the segments before it
    return absent


def remove(connection: Connection, note: Note, store: str) -> None:
    """Remove whatever is there of it. Again, or of what was never planted: nothing to do."""
    for (gid,) in connection.execute(
        "SELECT gid FROM pg_prepared_xacts WHERE gid = %s", [note.gid]
    ).fetchall():
        connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    connection.execute(
        sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(note.schemas[store]))
    )


class _Bed:
    """Where one plant goes: its table, and who else is in it."""

    def __init__(self, connection: Connection, one: Plant, dice: random.Random, gid: str) -> None:
        self.connection, self.plant, self.dice, self.gid = connection, one, dice, gid
        self.schema, self.name = one.place.split(".")
        self.column = made_up.word(dice)

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def other(self) -> sql.Identifier:
        """A table beside it."""
        return sql.Identifier(self.schema, made_up.word(self.dice))

    def run(self, statement: str, *parameters: object, **names: sql.Composable) -> None:
        self.connection.execute(sql.SQL(statement).format(**names), list(parameters) or None)

    def make(
        self, kind: str = "text", *, unlogged: bool = False, table: sql.Identifier | None = None
    ) -> None:
        self.run(
            "CREATE {u} TABLE {t} (id bigint, {c} {k}) {o}", t=table or self.table, c=sql.Identifier(self.column),
            u=sql.SQL("UNLOGGED" if unlogged else ""), k=sql.SQL(kind), o=_ASLEEP,
        )  # fmt: skip

    def people(self, write: Callable[[str], str] = str, *, table: sql.Identifier | None = None) -> None:
        """Other people's rows."""
        others = made_up.neighbours(self.dice, self.plant.value, FILLERS)
        self.insert([write(v) for v in others], table=table, first=1000)

    def insert(self, texts: Sequence[str], *, table: sql.Identifier | None = None, first: int = 1) -> None:
        for n, text in enumerate(texts):
            self.run("INSERT INTO {t} VALUES (%s, %s)", first + n, text, t=table or self.table)

    def person(self, write: Callable[[str], str] = str, *, table: sql.Identifier | None = None) -> None:
        """The made-up person's rows, as many as the note says."""
        self.insert([write(self.plant.value)] * self.plant.rows, table=table)

    def delete_person(self, *, table: sql.Identifier | None = None) -> None:
        self.run("DELETE FROM {t} WHERE id < 1000", t=table or self.table)

    def setting(self, name: str) -> str:
        row = self.connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""


# --- what a query can see ---------------------------------------------------------------------------


def _undeclared_table(bed: _Bed) -> None:
    bed.make(bed.dice.choice(("text", "varchar(200)")))
    bed.people()
    bed.person()


def _unlogged_table(bed: _Bed) -> None:
    bed.make(unlogged=True)
    bed.people()
    bed.person()


def _detached_partition(bed: _Bed) -> None:
    parent = bed.other()
    bed.run(
        "CREATE TABLE {p} (id bigint, {c} text) PARTITION BY RANGE (id)",
        p=parent,
        c=sql.Identifier(bed.column),
    )
    bed.run(
        "CREATE TABLE {t} PARTITION OF {p} FOR VALUES FROM (0) TO (1000000) {o}",
        t=bed.table,
        p=parent,
        o=_ASLEEP,
    )
    bed.people(table=parent)
    bed.person(table=parent)
    bed.run("ALTER TABLE {p} DETACH PARTITION {t}", t=bed.table, p=parent)


def _materialised_view(bed: _Bed) -> None:
    source = bed.other()
    bed.make(table=source)
    bed.people(table=source)
    bed.person(table=source)
    bed.run("CREATE MATERIALIZED VIEW {t} AS SELECT * FROM {s}", t=bed.table, s=source)
    bed.delete_person(table=source)


def _json_mention(bed: _Bed) -> None:
    keys = [made_up.word(bed.dice) for _ in range(3)]
    bed.make(bed.dice.choice(("jsonb", "json")))

    def write(value: str) -> str:
        return json.dumps({keys[0]: [{keys[1]: bed.dice.randrange(100)}, {keys[2]: value}]})

    bed.people(write)
    bed.person(write)


def _free_text_mention(bed: _Bed) -> None:
    bed.make()
    bed.people(lambda v: f"请致电 {v} 张先生")

    def spelled(v: str) -> str:
        return bed.dice.choice(
            (f"请致电 +86-{v[:3]} {v[3:7]} {v[7:]} 李女士", f"tel:{v};", f"号码{v[:3]}-{v[3:7]}-{v[7:]}。")
        )

    bed.person(spelled)


def _history_table(bed: _Bed) -> None:
    """A trigger of the kind that audits are made of keeps what is deleted."""
    source, function = bed.other(), bed.other()
    bed.make()
    bed.make(table=source)
    bed.run(
        "CREATE FUNCTION {f}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN EXECUTE format('INSERT INTO %I.%I SELECT ($1).*', TG_ARGV[0], TG_ARGV[1]) USING OLD; RETURN OLD; END $$",
        f=function,
    )
    bed.run(
        "CREATE TRIGGER kept AFTER DELETE ON {s} FOR EACH ROW EXECUTE FUNCTION {f}({schema}, {name})",
        s=source, f=function, schema=sql.Literal(bed.schema), name=sql.Literal(bed.name),
    )  # fmt: skip
    bed.people(table=source)
    bed.person(table=source)
    bed.delete_person(table=source)


def _derived_column(bed: _Bed) -> None:
    """What can be computed from the value names the person as well as the value does."""

    def digest(of: str) -> Callable[[str], str]:
        return lambda v: hashlib.new(of, v.encode(), usedforsecurity=False).hexdigest()

    def coded(v: str) -> str:
        return base64.b64encode(f"{made_up.word(bed.dice)}:{v};".encode()).decode()

    write = bed.dice.choice((digest("md5"), digest("sha256"), coded))
    bed.make()
    bed.people(write)
    bed.person(write)


def _statistics(bed: _Bed) -> None:
    """Of a column, of an expression that is indexed, or of expressions together."""
    bed.make()
    bed.people()
    bed.person()
    also = bed.dice.choice(
        (
            "",
            "CREATE INDEX ON {t} (lower({c}))",
            "CREATE STATISTICS {s} (mcv) ON (lower({c})), (id + 1) FROM {t}",
        )
    )
    if also:
        bed.run(also, t=bed.table, c=sql.Identifier(bed.column), s=bed.other())
        bed.run("ALTER TABLE {t} ALTER {c} SET STATISTICS 0", t=bed.table, c=sql.Identifier(bed.column))
    bed.run("ANALYZE {t}", t=bed.table)
    bed.delete_person()


# --- what only the bytes show -----------------------------------------------------------------------


def _dead_tuple(bed: _Bed) -> None:
    bed.make()
    bed.people()
    bed.person()
    bed.delete_person()


def _page_hole(bed: _Bed) -> None:
    bed.make()
    bed.people()
    bed.person()  # last, so that closing the gaps moves nothing over it
    bed.delete_person()
    bed.run("VACUUM (TRUNCATE false) {t}", t=bed.table)


def _index_page(bed: _Bed) -> None:
    bed.make()
    bed.run(
        "CREATE INDEX {i} ON {t} ({c})",
        i=sql.Identifier(bed.plant.part),
        t=bed.table,
        c=sql.Identifier(bed.column),
    )
    bed.people()
    bed.person()
    bed.delete_person()


def _compressed_toast(bed: _Bed) -> None:
    bed.make()
    bed.person(lambda v: made_up.prose(bed.dice, 4000, v))
    bed.delete_person()


def _wal(bed: _Bed) -> None:
    """A message in the log, and in no table."""
    with bed.connection.transaction():
        bed.run("SET LOCAL synchronous_commit = on")
        bed.run("SELECT pg_logical_emit_message(true, %s, %s)", made_up.word(bed.dice), bed.plant.value)


def _server_log(bed: _Bed) -> None:
    quiet = bed.setting("log_min_messages") in ("log", "fatal", "panic")
    if quiet or bed.setting("log_error_verbosity") == "terse":
        raise CannotPlant("the server's log keeps no DETAIL of an error")
    bed.make()
    bed.run("ALTER TABLE {t} ADD UNIQUE ({c})", t=bed.table, c=sql.Identifier(bed.column))
    bed.person()
    try:
        bed.person()
    except psycopg.errors.UniqueViolation:
        bed.delete_person()
        return
    raise CannotPlant("the server let a unique value in twice")


def _prepared_transaction(bed: _Bed) -> None:
    if bed.setting("max_prepared_transactions") == "0":
        raise CannotPlant("the server takes no prepared transactions")
    bed.make()
    bed.people()
    bed.run("BEGIN")
    try:
        bed.person()
        bed.run("PREPARE TRANSACTION {g}", g=sql.Literal(bed.gid))
    except psycopg.Error:
        bed.run("ROLLBACK")
        raise


def _decoys(connection: Connection, note: Note, store: str, address: str) -> None:
    """A table in which only other people are, each nearly one whom we planted."""
    dice = made_up.dice_of(note.seed, address)
    table = sql.Identifier(*address.split("."))
    connection.execute(
        sql.SQL("CREATE TABLE {} (id bigint, {} text)").format(table, sql.Identifier(made_up.word(dice)))
    )
    for n, one in enumerate(note.of(store)):
        for v in made_up.neighbours(dice, one.value, 3):
            connection.execute(sql.SQL("INSERT INTO {} VALUES (%s, %s)").format(table), [n, v])


_KINDS: Mapping[str, Callable[[_Bed], None]] = {
    "undeclared_table": _undeclared_table, "detached_partition": _detached_partition,
    "materialised_view": _materialised_view, "json_mention": _json_mention,
    "free_text_mention": _free_text_mention, "statistics": _statistics, "dead_tuple": _dead_tuple,
    "page_hole": _page_hole, "index_page": _index_page, "compressed_toast": _compressed_toast, "wal": _wal,
    "server_log": _server_log, "prepared_transaction": _prepared_transaction, "history_table": _history_table,
    "derived_column": _derived_column, "unlogged_table": _unlogged_table,
}  # fmt: skip

IN_FILES = (
    "dead_tuple", "page_hole", "index_page", "compressed_toast", "wal", "server_log", "prepared_transaction",
)  # fmt: skip
"""Kinds that only the files show."""
