"""A sandbox's company with awkward dates, and its rules applied to one row at a time, in plain Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg

from include.cases.periods import Duration, last_day
from include.cases.retention.limits import Bind, binds
from include.catalogue import load
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable
from include.model.estate import Bound, Dataset
from include.model.interval import Bounded, Standing, interval
from include.model.times import PRC, prc_date
from include.model.words import DatasetKind, Ownership, Role
from include.sandbox.loading import derive, make_partitions
from include.sandbox.loading import load as load_rows
from include.sandbox.people.everybody import all_rows
from include.stores.postgres.live import Live
from tests.conftest import PgServer

CATALOGUE = load()
AS_OF = date(2026, 11, 24)
SCHEMA = Path("include/sandbox/schema")
Row = dict[str, Any]


class One:
    """Connections to one database."""

    def __init__(self, server: PgServer, name: str, bucket: Any = None) -> None:
        self.server, self.name, self.bucket = server, name, bucket

    def s3(self, connection: str, role: Role) -> Any:
        if self.bucket is None:
            raise NotReachable("there are no buckets", about=connection)
        return self.bucket

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.name, role.value)


def made(pg: PgServer) -> One:
    """A database of 120 people and the traps."""
    name = pg.fresh_database()
    with psycopg.connect(pg.conninfo(name)) as conn:
        for file in sorted(SCHEMA.glob("*.sql")):
            conn.execute(file.read_text("utf-8").encode())
        make_partitions(conn, AS_OF)
        load_rows(conn, all_rows(120, 5, AS_OF))
        derive(conn, AS_OF)
        conn.execute(TRAPS.encode())
    return One(pg, name)


TRAPS = """
-- Midnights in Shanghai, the leap day, what has no date, and what lies ahead.
SET session_replication_role = replica;
INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at)
SELECT account_id, 1, 1, 1, t::timestamptz FROM (SELECT account_id FROM account.account ORDER BY 1 LIMIT 3) AS a,
  unnest(ARRAY['2026-11-22 15:59:59+00', '2026-11-22 16:00:00+00', '2026-11-23 15:59:59+00', '2030-01-01 00:00:00+00']) AS t;
INSERT INTO support.ticket (account_id, contact, opened_at, closed_at)
SELECT account_id, 'x', '2024-02-01', t::timestamptz FROM (SELECT account_id FROM account.account ORDER BY 1 LIMIT 2) AS a,
  unnest(ARRAY['2024-02-29 10:00:00+08', '2025-11-23 23:59:59+08', '2025-11-24 00:00:00+08', NULL]) AS t;
UPDATE account.account SET cancelled_at = '2026-10-30 00:30:00+08'
 WHERE account_id IN (SELECT account_id FROM account.account WHERE cancelled_at IS NULL ORDER BY 1 LIMIT 5);
UPDATE account.account SET last_login_at = '2024-01-01', registered_at = '2023-01-01', dormancy_noticed_at = '2026-09-01'
 WHERE account_id IN (SELECT account_id FROM account.account WHERE cancelled_at IS NULL
                       AND NOT EXISTS (SELECT FROM cert.certificate AS x WHERE x.account_id = account.account_id)
                     ORDER BY 1 LIMIT 4);
UPDATE cert.certificate SET not_after = '2021-11-23 12:00:00+08', revoked_at = NULL
 WHERE serial IN (SELECT serial FROM cert.certificate WHERE renews_serial IS NULL ORDER BY 1 LIMIT 30);
-- What is to go at once by one statute, and by another not yet, which was decided: the second goes first.
UPDATE account.account SET cancelled_at = '2026-10-01 12:00:00+08'
 WHERE account_id IN (SELECT account_id FROM sign.contract_party WHERE contract_id IN
                       (SELECT contract_id FROM sign.chain_anchor WHERE contract_id IS NOT NULL ORDER BY 1 LIMIT 5));
-- What is left of certificates whose law is long over: the last day yesterday, and today; and one that nobody cut in time.
INSERT INTO cert.certificate (serial, account_id, subject_dn, der, der_sha256, status, not_before, not_after)
SELECT 'LEFT-' || n, CASE WHEN n = 3 THEN (SELECT min(account_id) FROM account.account) END,
       CASE WHEN n = 3 THEN 'CN=somebody' END, NULL, '\\x00', 'expired', '2003-01-01', t::timestamptz
  FROM (VALUES (1, '2006-11-23 23:59:59+08'), (2, '2006-11-24 00:00:00+08'), (3, '2005-01-01 00:00:00+08')) AS x (n, t);
INSERT INTO cert.issuance_log (serial, event, subject_dn, at)
SELECT 'LEFT-' || n, 'issued', NULL, '2003-01-01' FROM generate_series(1, 3) AS n;
INSERT INTO billing.purchase (account_id, item, amount, bought_at)
SELECT account_id, 'x', 1, t::timestamptz FROM (SELECT account_id FROM account.account ORDER BY 1 LIMIT 2) AS a,
  unnest(ARRAY['2015-12-31 23:59:59+08', '2016-01-01 00:00:00+08']) AS t;
"""


class Oracle:
    """Rows read whole, and every rule applied to one of them at a time."""

    def __init__(self, conn: psycopg.Connection[Any], catalogue: Catalogue = CATALOGUE) -> None:
        self.catalogue = catalogue
        self.rows: dict[str, list[Row]] = {}
        self.children: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = []
        for d in self.catalogue.of_store("company", DatasetKind.TABLE):
            cursor = conn.execute(f"SELECT * FROM {d.address}".encode())
            names = [c.name for c in cursor.description or ()]
            self.rows[d.id] = [dict(zip(names, row, strict=True)) for row in cursor]
        people = [r["account_id"] for r in self.rows["account.account"]]
        self.starts: dict[str, list[Row]] = {}
        conn.execute(
            "CREATE TEMP TABLE cohort AS SELECT 0 AS subject_no, unnest(%s::text[]) AS subject_id", [people]
        )
        for query, text in self.catalogue.starting_points.items():
            cursor = conn.execute(text.encode(), {"as_of": AS_OF, "restricting": False})
            names = [c.name for c in cursor.description or ()]
            self.starts[query] = [dict(zip(names, row, strict=True)) for row in cursor]
        self.live = Live.read(conn)  # type: ignore[arg-type]

    def parents(self, row: Row, via: str, on: dict[str, str]) -> list[Row]:
        return [
            p for p in self.rows[via] if all(row[a] is not None and row[a] == p[b] for a, b in on.items())
        ]

    def owners(self, d: Dataset, row: Row) -> set[str]:
        found: set[str] = set()
        for link in d.links:
            if link.column:
                found |= {row[link.column]} - {None}
            else:
                parent = self.catalogue.dataset(link.via or "")
                for p in self.parents(row, parent.id, link.on):
                    found |= self.owners(parent, p)
        return found

    def ended(self, d: Dataset, row: Row) -> date | None:
        """First of sole owners, last of shared ones."""
        days: list[date | None] = []
        shared = False
        for link in d.links:
            if link.ownership is Ownership.ACCESS_ONLY:
                continue
            if link.column:
                account = next(
                    (a for a in self.rows["account.account"] if a["account_id"] == row[link.column]), None
                )
                days.append(china(account["cancelled_at"]) if account else None)
                continue
            parent = self.catalogue.dataset(link.via or "")
            above = [self.ended(parent, p) for p in self.parents(row, parent.id, link.on)]
            if link.ownership is Ownership.SHARED:
                shared = True
                days.append(max((x for x in above if x), default=None) if all(above) else None)
            else:
                days.append(min((x for x in above if x), default=None))
        if shared:
            return max((x for x in days if x), default=None) if all(days) else None
        return min((x for x in days if x), default=None)

    def accepted(self, d: Dataset, row: Row, versions: tuple[str, ...]) -> bool:
        """Whether somebody owns the row, and all who do accepted one of these versions of the policy."""
        of = {a["account_id"]: a["policy_version"] for a in self.rows["account.account"]}
        owning = d.model_copy(
            update={"links": tuple(x for x in d.links if x.ownership is not Ownership.ACCESS_ONLY)}
        )
        owners = self.owners(owning, row)
        return bool(owners) and all(of.get(who) in versions for who in owners)

    def begun(self, d: Dataset, row: Row, bind: Bind) -> tuple[bool, Any]:
        """As ``start``; a former period never starts of people who accepted a later version."""
        applies, start = self.start(d, row, bind.bound)
        return applies, None if bind.unless and self.accepted(d, row, bind.unless) else start

    def start(self, d: Dataset, row: Row, bound: Bound) -> tuple[bool, Any]:
        if bound.start is None:
            return True, self.ended(d, row)
        if bound.start.column:
            return True, row[bound.start.column]
        found = [
            s["started_at"]
            for s in self.starts[bound.start.query or ""]
            if all(row[a] is not None and row[a] == s[b] for a, b in bound.start.on.items())
        ]
        return bool(found), None if None in found else max(found, default=None)

    def cut(self, d: Dataset, row: Row) -> bool:
        return d.cut is not None and all(row[c] == v for c, v in d.cut.set.items())

    def bare(self, d: Dataset, row: Row) -> bool:
        if d.cut is None or not self.cut(d, row):
            return False
        if d.cut.ends is not None:
            return self.standing(d, row)[1] is not Standing.DUE
        if d.action != "erase":
            return True
        for fk in self.live.foreign_keys:
            if fk.parent == d.address:
                child = next((x for x in self.rows if self.catalogue.dataset(x).address == fk.child), None)
                if child and any(
                    all(
                        r[c] == row[p] and r[c] is not None
                        for c, p in zip(fk.child_columns, fk.parent_columns, strict=True)
                    )
                    for r in self.rows[child]
                ):
                    return True
        return self.leads(d, row)

    def leads(self, d: Dataset, row: Row) -> bool:
        """Whether it is known by this row whose a row is that was not cut yet."""
        return any(
            link.via == d.id
            and all(r[mine] == row[theirs] and r[mine] is not None for mine, theirs in link.on.items())
            and not (self.catalogue.dataset(x).cut is not None and self.cut(self.catalogue.dataset(x), r))
            for x, rows in self.rows.items()
            for link in self.catalogue.dataset(x).links
            for r in rows
        )

    def standing(self, d: Dataset, row: Row) -> tuple[str, Standing]:
        found = []
        left = d.cut is not None and d.cut.ends is not None and self.cut(d, row)
        for b in binds(self.catalogue, d):
            applies, start = self.begun(d, row, b)
            if d.cut is not None and d.cut.ends is not None and left != b.rest:
                # What is left has a time of its own; but a row that only looks cut stays under the law that keeps it.
                applies = applies and not b.rest and b.period.restrains_deletion and start is not None
            if applies:
                p = b.period
                found.append(Bounded(
                    b.bound.rule, p.name, p.restrains_deletion, p.kind != "floor" and left == b.rest,
                    None if start is None else last_day(start, p.duration, p.counting), "",
                    statutory=p.statutory_end, gives_way=b.bound.gives_way,
                ))  # fmt: skip
        it = interval(found)
        return it.ended_by.name if it.ended_by else "none", it.stands(AS_OF)

    def late(self, d: Dataset, row: Row, at: datetime) -> tuple[str, datetime] | None:
        """The rule of less than a day that was over first, and when; None: none is, or a floor runs."""
        first: tuple[str, datetime] | None = None
        for b in binds(self.catalogue, d):
            applies, start = self.begun(d, row, b)
            if not applies:
                continue
            long, p = Duration.parse(b.period.duration), b.period
            if p.restrains_deletion and (
                start is None or last_day(start, p.duration, p.counting) >= prc_date(at)
            ):
                return None
            if p.kind == "floor" or not long.minutes or start is None:
                continue
            over = (
                start + timedelta(minutes=long.minutes) if isinstance(start, datetime)
                else datetime.combine(start + timedelta(days=-(-long.minutes // 1440) + 1), time(), PRC)
            )  # fmt: skip
            if over <= at and (first is None or over < first[1]):
                first = f"{b.bound.rule}/{p.name}", over
        return first


def china(moment: datetime | None) -> date | None:
    return (moment.astimezone(UTC) + timedelta(hours=8)).date() if moment else None
