"""The clocks that came, as rows: the answers are those that each bag's own texts give, also in a database that received before
there were rows of them; and what is read for an item does not grow with the number of clocks of its bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from bench import came as bench
from bench.clusters import running
from include.handover.custody import prepare
from include.model.carried import DELETED_BY_ITS_SENDER
from include.model.catalogue import Catalogue
from include.model.words import Role
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from tests.handover.both import TABLES, Both
from tests.stores.postgres.dated import CATALOGUE

pytestmark = [pytest.mark.postgres, pytest.mark.sessions_end]  # pages are counted where sessions end

# The views of a database that was prepared before: each parsed the text of its bag's clocks for every item.
BEFORE = """
CREATE VIEW quietus_handover.running_before AS
SELECT i.order_no, i.bag, i.no, i.dataset, i.key, nullif(i.holds, '') AS holds, c.clock ->> 'by' AS rule,
       c.clock ->> 'law' AS law, (c.clock ->> 'earliest')::date AS earliest, (c.clock ->> 'due')::date AS due,
       c.clock -> 'running' AS running, i.restricted
  FROM quietus_handover.item AS i JOIN quietus_handover.bag AS b USING (order_no, bag)
 CROSS JOIN LATERAL (SELECT b.clocks[i.clock + 1]::jsonb) AS c(clock)
 WHERE jsonb_typeof(c.clock) = 'object' AND (i.fate IS NULL OR i.fate = 'kept');
CREATE VIEW quietus_handover.carried_before AS
WITH came AS MATERIALIZED (
  SELECT DISTINCT b.dataset, t.clock::jsonb AS clock
    FROM quietus_handover.bag AS b CROSS JOIN LATERAL unnest(b.clocks) AS t(clock) WHERE t.clock <> 'null')
SELECT DISTINCT dataset, CASE WHEN r ->> 'ends' IS NULL THEN 'waits' ELSE 'floor' END AS side, r ->> 'rule' AS rule,
       r ->> 'period' AS period, CASE WHEN r ->> 'ends' IS NULL THEN '' ELSE r ->> 'law' END AS law, false AS company
  FROM came CROSS JOIN LATERAL jsonb_array_elements(clock -> 'running') AS r
 WHERE r ->> 'ends' IS NULL OR (r ->> 'floor')::boolean
UNION
SELECT dataset, 'due', split_part(clock ->> 'by', '/', 1), split_part(clock ->> 'by', '/', 2), clock ->> 'law',
       coalesce(bool_or((r ->> 'company')::boolean)
                FILTER (WHERE r ->> 'rule' || '/' || (r ->> 'period') = clock ->> 'by'), false)
  FROM came LEFT JOIN LATERAL jsonb_array_elements(clock -> 'running') AS r ON true
 WHERE clock ->> 'due' IS NOT NULL GROUP BY dataset, clock ->> 'by', clock ->> 'law'
UNION
SELECT DISTINCT dataset, 'due', 'RS-28', 'main', '{deleted}', false FROM quietus_handover.item WHERE fate = 'kept'"""
# Everything that came after it.
UNDONE = """
DROP TRIGGER bag_written ON quietus_handover.bag;
DROP VIEW quietus_handover.running, quietus_handover.clock, quietus_handover.carried;
DROP TABLE quietus_handover.bag_clock, quietus_handover.bag_limit;
DROP FUNCTION quietus_handover.bag_written(), quietus_handover.spread(text, text);
ALTER VIEW quietus_handover.running_before RENAME TO running;
ALTER VIEW quietus_handover.carried_before RENAME TO carried"""
DIFFERS = "(TABLE quietus_handover.{0} EXCEPT TABLE {1}.{0}{2}) UNION ALL (TABLE {1}.{0}{2} EXCEPT TABLE quietus_handover.{0})"


def same(both: Both, schema: str = "quietus_handover", called: str = "_before") -> None:
    for view in ("running", "carried"):
        assert not both.sql(both.theirs, DIFFERS.format(view, schema, called)), view


def test_the_clocks_in_rows_say_what_the_bags_say_also_of_what_was_received_before(both: Both) -> None:
    assert not both.pack().left
    both.send()
    assert not both.receive().refused
    both.sql(both.theirs, BEFORE.format(deleted=DELETED_BY_ITS_SENDER))
    (items,) = both.sql(both.theirs, "SELECT count(*) FROM quietus_handover.running")[0]
    bags = [b for b in both.bags() if b.statement.dataset in {c.dataset for c in TABLES}]
    assert items == sum(b.statement.items for b in bags), "every item that came has a clock"
    same(both)
    # A notice brings clocks, and changes an item's; what it could only keep is due by its own limit.
    both.sql(
        both.theirs,
        'UPDATE quietus_handover.bag SET clocks = clocks || replace(clocks[1], \'"due":"2\', \'"due":"3\')::text'
        " WHERE dataset = 'cert.certificate'; UPDATE quietus_handover.item SET clock = (SELECT cardinality(clocks) - 1 FROM"
        " quietus_handover.bag AS b WHERE b.bag = item.bag) WHERE dataset = 'cert.certificate' AND no = 0;"
        " UPDATE quietus_handover.item SET fate = 'kept' WHERE dataset = 'cert.certificate' AND no = 1;"
        " UPDATE quietus_handover.item SET fate = 'deleted' WHERE dataset = 'ra.application' AND no = 0",
    )
    same(both)
    # As if all of it had been received before there were rows of clocks, and prepared anew.
    both.sql(both.theirs, "CREATE TABLE public.running AS TABLE quietus_handover.running")
    both.sql(both.theirs, "CREATE TABLE public.carried AS TABLE quietus_handover.carried")
    both.sql(both.theirs, UNDONE)
    for _ in "again":
        prepare(both.theirs.server.conninfo(both.theirs.database), CATALOGUE, "company")
    same(both, "public", "")


def test_nobody_writes_a_clock_beside_what_was_signed(both: Both) -> None:
    with (
        psycopg.connect(both.theirs.postgres("company", Role.CUSTODIAN)) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("UPDATE quietus_handover.bag_clock SET due = '2026-01-01'")


@dataclass(frozen=True)
class Size:
    items: int
    clocks: int


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server of its own: nobody else touches a page of it."""
    with running({"autovacuum": "off"}) as made:
        ensure_our_roles(made)
        yield made


def pages(cluster: Cluster, catalogue: Catalogue, size: Size) -> float:
    """What a look touches for an item, beyond what it touches where none came."""
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        for (schema,) in conn.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
        ).fetchall():
            conn.execute(f"DROP SCHEMA {schema} CASCADE".encode())
        conn.execute("CREATE SCHEMA public")
    bench.fill(cluster, catalogue, size.items, size.clocks, size.items // 2)
    (_, mine, found), (_, bare, _) = bench.looks(cluster, catalogue, bench.AS_OF + timedelta(days=10_000))
    assert found, "nothing was due, so nothing was judged"
    return (mine - bare) / size.items


def test_what_a_look_reads_for_an_item_does_not_grow_with_the_clocks_or_the_items(cluster: Cluster) -> None:
    took = {
        s: pages(cluster, CATALOGUE, s) for s in (Size(1_000, 500), Size(1_000, 5_000), Size(8_000, 5_000))
    }
    few, many, more = took.values()
    assert many <= 1.5 * few, f"pages an item: {took}"
    assert more <= 1.2 * many, f"pages an item: {took}"
