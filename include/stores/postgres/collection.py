"""The end of collection in a company's database: rights to insert and update are taken, and given back exactly as they were.

The *gatekeeper* does it, who is a member of the tables' owners (a grant is revoked by whoever gave it). Under a lock that lets no
write through, so that none straddles it, and in one transaction with the picture that later looks are held against.

Afterwards the prover looks. A row version bears the transaction that wrote it (``xmin``), and freezing keeps it; a snapshot says
of every transaction whether it was over at T0. So a row that was added or changed since is found whatever counts and statistics
say, and if as many were deleted. Only what a receipt of ours names (a disposal, a restriction; a key that was wrapped anew, and
no more rows of that table than were) is no collection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import LiteralString

from psycopg import sql

from include.model.errors import NotProved, QuietusError, Refused
from include.model.shutdown import Looked, Picture, Right
from include.stores.postgres.past import REPLAYED
from include.stores.postgres.server import Connection, Server, name, one

_FOREIGN = sql.SQL(
    "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'quietus')"
    " AND pg_get_userbyid(c.relowner) <> ALL(%(ours)s) AND (%(all)s OR n.nspname || '.' || c.relname = ANY(%(only)s))"
)
_RIGHTS = sql.SQL("""
SELECT n.nspname || '.' || c.relname, '', a.privilege_type, pg_get_userbyid(a.grantor),
       CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.is_grantable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a
 WHERE c.relkind IN ('r', 'p', 'v', 'f') AND a.privilege_type IN ('INSERT', 'UPDATE') AND a.grantee <> c.relowner AND {ours}
UNION ALL
SELECT n.nspname || '.' || c.relname, t.attname, a.privilege_type, pg_get_userbyid(a.grantor),
       CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.is_grantable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped
       CROSS JOIN aclexplode(t.attacl) a
 WHERE c.relkind IN ('r', 'p', 'v', 'f') AND a.privilege_type IN ('INSERT', 'UPDATE') AND a.grantee <> c.relowner AND {ours}
""").format(ours=_FOREIGN)
_TABLES = sql.SQL("""
SELECT n.nspname || '.' || c.relname, c.oid::bigint, c.relkind::text, pg_get_userbyid(c.relowner)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND {ours} ORDER BY 1
""").format(ours=_FOREIGN)
_OWNERS = sql.SQL("""
SELECT n.nspname || '.' || c.relname, pg_get_userbyid(c.relowner)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'f') AND {ours}
""").format(ours=_FOREIGN)
# Who may act as anybody that may write: as itself, by inheritance, or by SET ROLE. Of superusers nothing is asked.
_WRITERS = sql.SQL("""
WITH t AS MATERIALIZED (SELECT c.oid, n.nspname || '.' || c.relname AS address FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'f') AND {ours}),
able AS MATERIALIZED (SELECT g.oid, t.address FROM pg_roles g CROSS JOIN t WHERE NOT g.rolsuper
  AND (has_table_privilege(g.oid, t.oid, 'INSERT, UPDATE') OR has_any_column_privilege(g.oid, t.oid, 'INSERT, UPDATE')))
SELECT r.rolname::text, a.address FROM pg_roles r JOIN able a ON pg_has_role(r.oid, a.oid, 'MEMBER')
 WHERE NOT r.rolsuper AND (r.rolcanlogin OR r.rolname = ANY(%(business)s)) AND r.rolname <> ALL(%(ours)s)
 GROUP BY 1, 2 ORDER BY 1, 2
""").format(ours=_FOREIGN)
_HERE: LiteralString = (
    "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
    " (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), pg_current_snapshot()::text,"
    " ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"
)
WRAP = 2**32
FAR = 2**31 - 10_000_000  # transactions, after which an xmin no longer says when it was
MARGIN = 1_000_000  # that others may have begun while we ask


class Writing:
    """Rights to write in one database. ``ours``: our own log-ins there, whose rights stay. ``only``: tables that it is about
    (their partitions come along); None: all of the company's."""

    def __init__(self, server: Server, ours: Collection[str], only: Collection[str] | None = None) -> None:
        self.server, self.ours, self.only = server, sorted(ours), only

    # --- the gatekeeper's ---------------------------------------------------------------------------

    def rights(self) -> tuple[Right, ...]:
        """What applications, and anybody else, may write."""
        with self.server.connect() as connection:
            return self._rights(connection)

    def take(self, known: Collection[Right]) -> Picture:
        """Take every one of these rights, and say how the store looks then. Again takes what came back. If some were taken
        before, and nobody heard how it looked, it is told as of the transaction that took them. Raises Refused, with nothing
        changed, if there is a right that is not ``known``: it could not be given back."""

        def once() -> Picture:
            with self.server.connect() as connection, self.server.reaching(), connection.transaction():
                self._locked(connection)
                there = self._rights(connection)
                if set(there) - set(known):
                    raise Refused(
                        "somebody was given a right to write at this moment", about=self.server.about,
                        next_step="try again; nothing was changed",
                    )  # fmt: skip
                earlier = set(known) - set(there)
                taken = self._when_taken(connection, earlier)  # before anything is altered here
                # What was passed on first: once its giver has the right no more, nobody could revoke it.
                for right in reversed(list(_givers_first(there, self._owners(connection)))):
                    _as(connection, right.grantor)
                    connection.execute(
                        sql.SQL("REVOKE {} ON {} FROM {} CASCADE").format(*_said(right))
                    )  # fmt: skip
                connection.execute("RESET ROLE")
                if left := self._rights(connection):
                    raise Refused(
                        f"{len(left)} rights could not be taken, of {left[0].place} among them", about=self.server.about,
                        next_step="make the gatekeeper a member of whoever granted them; nothing was changed",
                    )  # fmt: skip
                picture = self._picture(connection)
                if earlier:
                    snapshot = f"{taken}:{taken + 1}:" if taken is not None else None
                    picture = picture.model_copy(update={"snapshot": snapshot})
                return picture

        return self.server.retrying(once)

    def give_back(self, taken: Sequence[Right]) -> None:
        """Grant exactly these again, each by whom it was granted. Again changes nothing. Raises Refused, with nothing changed, if
        one of them is not there afterwards: whoever granted it may not any more."""

        def once() -> None:
            with self.server.connect() as connection, self.server.reaching(), connection.transaction():
                for right in _givers_first(taken, self._owners(connection)):
                    _as(connection, right.grantor)
                    more = sql.SQL(" WITH GRANT OPTION" if right.grantable else "")
                    connection.execute(sql.SQL("GRANT {} ON {} TO {}{}").format(*_said(right), more))
                connection.execute("RESET ROLE")
                there = {replace(r, grantable=False) for r in self._rights(connection)}
                if lost := [r for r in taken if replace(r, grantable=False) not in there]:
                    raise Refused(
                        f"{len(lost)} rights could not be given back, of {lost[0].grantee or 'everybody'} to"
                        f" {lost[0].place} among them: {lost[0].grantor} may not grant it any more", about=self.server.about,
                        next_step="give that role its right again, then withdraw again; nothing was changed",
                    )  # fmt: skip

        self.server.retrying(once)

    # --- the prover's -------------------------------------------------------------------------------

    def look(self, picture: Picture, business: Collection[str]) -> Looked:
        """What was written since, and who still could. Raises NotProved if it cannot be told at all, NotReachable."""
        with self.server.connect() as connection, self.server.reaching():
            connection.execute("SET default_transaction_read_only = on")
            system, database, snapshot, timeline = one(connection.execute(_HERE))
            if picture.snapshot is None:
                raise NotProved(
                    "nobody heard how it looked at T0, and the tables of which rights were taken are gone",
                    about=self.server.about,
                    next_step="find out who dropped them; collection since T0 is unproved",
                )  # fmt: skip
            if (system, database) != (picture.system, picture.database):
                raise NotProved(
                    "it is another database than at T0", about=self.server.about,
                    next_step="find out what was restored; collection since T0 is unproved",
                )  # fmt: skip
            first, after, under_way = _parsed(picture.snapshot)
            went_back = timeline != picture.timeline or _parsed(snapshot)[1] < after
            if went_back or self._restored(connection, picture.counter):
                raise NotProved(
                    "it is another history than at T0: it was restored, or a standby took over", about=self.server.about,
                    next_step="find out what was lost and written meanwhile; collection since T0 is unproved",
                )  # fmt: skip
            if _parsed(snapshot)[1] - first > FAR:
                raise NotProved(
                    "too many transactions have passed since T0 to tell by them", about=self.server.about,
                    next_step="compare with the bags; collection since T0 is unproved",
                )  # fmt: skip
            ours = {
                int(xid)
                for (xid,) in connection.execute(
                    "SELECT xid::text FROM quietus.receipt UNION SELECT xid::text FROM quietus.released"
                )
            }
            rewrapped = {
                (str(relation), int(xid)): int(n)
                for relation, xid, n in connection.execute(
                    "SELECT relation, xid::text, keys FROM quietus.rewrapped"
                )
            }
            grew: dict[str, int] = {}
            unasked: dict[str, str] = {}
            for address, oid, kind, _ in self._tables(connection):
                if kind != "r":
                    continue
                new = picture.tables.get(address) != oid and self.only is None
                try:
                    with self.server.reaching(address):
                        if new:  # Whatever is in it came since, however old its rows say that they are.
                            (rows,) = one(
                                connection.execute(
                                    sql.SQL("SELECT count(*) FROM ONLY {}").format(name(address))
                                )
                            )
                        else:
                            rows = sum(
                                n
                                for xid, n in self._written(connection, address, first)
                                if xid not in ours and (xid >= after or xid in under_way)
                                for n in [max(0, n - rewrapped.get((address, xid), 0))]
                            )
                except QuietusError as error:  # what was found stays found
                    unasked[address] = str(error)
                    continue
                if rows:
                    grew[address] = int(rows)
            writers: tuple[tuple[str, str], ...] = ()
            mighty: tuple[str, ...] = ()
            try:
                with self.server.reaching():
                    writers, mighty = self._able(connection, business)
            except QuietusError as error:
                unasked[self.server.store] = str(error)
            return Looked(self.server.store, grew, writers, mighty, unasked)

    def counter(self) -> int | None:
        """Where our own counter of the database's history stands; None: there is none here. Raises NotReachable."""
        with self.server.connect() as connection, self.server.reaching():
            (there,) = one(connection.execute("SELECT to_regclass('quietus.epoch') IS NOT NULL"))
            return int(one(connection.execute("SELECT max(no) FROM quietus.epoch"))[0]) if there else None

    # --- of what it is made -------------------------------------------------------------------------

    def _able(
        self, connection: Connection, business: Collection[str]
    ) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Who can still write where; and superusers."""
        asked = self._asked() | {"business": sorted(business)}
        writers = tuple((str(r), str(a)) for r, a in connection.execute(_WRITERS, asked))
        mighty = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY 1"
        ).fetchall()
        return writers, tuple(str(r) for (r,) in mighty)

    def _restored(self, connection: Connection, counter: int | None) -> bool:
        """Whether our counter is behind where it was, or says that the database was restored since."""
        if counter is None:
            return False
        found = connection.execute(
            "SELECT coalesce(max(no) < %(was)s, true) OR count(*) FILTER (WHERE no > %(was)s AND reason = %(replayed)s) > 0"
            " FROM quietus.epoch",
            {"was": counter, "replayed": REPLAYED},
        )
        return bool(one(found)[0])

    def _asked(self) -> dict[str, object]:
        return {"ours": self.ours, "all": self.only is None, "only": sorted(self.only or ())}

    def _rights(self, connection: Connection) -> tuple[Right, ...]:
        rows = connection.execute(_RIGHTS, self._asked()).fetchall()
        return tuple(
            sorted(
                Right(str(p), str(c), str(w), str(by), str(to), bool(g))
                for p, c, w, by, to, g in rows
                if to not in self.ours
            )
        )

    def _tables(self, connection: Connection) -> list[tuple[str, int, str, str]]:
        return [(str(a), int(o), str(k), str(w)) for a, o, k, w in connection.execute(_TABLES, self._asked())]

    def _owners(self, connection: Connection) -> dict[str, str]:
        """Of views and foreign tables, too."""
        return {str(place): str(owner) for place, owner in connection.execute(_OWNERS, self._asked())}

    def _locked(self, connection: Connection) -> None:
        for address, _, _, owner in self._tables(connection):
            _as(connection, owner)
            connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(name(address)))
        connection.execute("RESET ROLE")

    def _picture(self, connection: Connection) -> Picture:
        system, database, snapshot, timeline = one(connection.execute(_HERE))
        tables = {address: oid for address, oid, _, _ in self._tables(connection)}
        return Picture(system=system, database=database, snapshot=snapshot, timeline=timeline, tables=tables)

    def _when_taken(self, connection: Connection, known: Collection[Right]) -> int | None:
        """The transaction that took these rights: it left its number where they are written. A table that was altered since
        has a later one, so the earliest of them is told. None: not one of the tables is there any more."""
        rows = connection.execute(
            "WITH k AS (SELECT * FROM unnest(%s::text[], %s::text[]) AS k(place, part)), c AS (SELECT c.oid, c.xmin,"
            " n.nspname || '.' || c.relname AS place FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)"
            " SELECT c.xmin::text::bigint FROM c JOIN k USING (place) WHERE k.part = '' UNION ALL"
            " SELECT t.xmin::text::bigint FROM c JOIN k USING (place) JOIN pg_attribute t"
            " ON t.attrelid = c.oid AND t.attname = k.part",
            [[r.place for r in known], [r.part for r in known]],
        ).fetchall()
        (now,) = one(connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))
        return min((int(now - (now - xid) % WRAP) for (xid,) in rows), default=None)

    def _written(self, connection: Connection, address: str, first: int) -> Iterator[tuple[int, int]]:
        """Transactions since ``first`` that wrote rows which are there, whole numbers, with how many rows."""
        (now,) = one(connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))
        rows = connection.execute(
            sql.SQL("SELECT t.xmin::text::bigint, count(*) FROM ONLY {} AS t WHERE age(t.xmin) <= %s GROUP BY 1").format(
                name(address)
            ),
            [min(now - first + MARGIN, 2**31 - 2)],
        ).fetchall()  # fmt: skip
        (now,) = one(connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))
        for xid, n in rows:
            yield now - (now - xid) % WRAP, n


def _as(connection: Connection, role: str) -> None:
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(name(role)))


def _said(right: Right) -> tuple[sql.Composable, sql.Composable, sql.Composable]:
    privilege = sql.SQL({"INSERT": "INSERT", "UPDATE": "UPDATE"}[right.privilege])
    if right.part:
        privilege = sql.SQL("{} ({})").format(privilege, sql.Identifier(right.part))  # type: ignore[assignment]
    return privilege, name(right.place), sql.Identifier(right.grantee) if right.grantee else sql.SQL("PUBLIC")


def _parsed(snapshot: str) -> tuple[int, int, frozenset[int]]:
    """The first transaction that was under way, the first that had not begun, and those between that were under way."""
    first, after, rest = snapshot.split(":")
    return int(first), int(after), frozenset(int(x) for x in rest.split(",") if x)


def _givers_first(rights: Sequence[Right], owners: dict[str, str]) -> Iterator[Right]:
    """What an owner gave, then what was passed on."""
    left, able = list(rights), set[tuple[str, str, str, str]]()
    while left:
        now = [
            r for r in left
            if r.grantor == owners.get(r.place, r.grantor) or (r.place, r.part, r.privilege, r.grantor) in able
            or (r.place, "", r.privilege, r.grantor) in able
        ] or left[:1]  # fmt: skip
        yield from now
        able |= {(r.place, r.part, r.privilege, r.grantee) for r in now}
        left = [r for r in left if r not in now]
