"""A partition of which everything is due goes with its files, and nothing else does; whatever stands against it, its rows go."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from bench.night import AS_OF, STEP, policy
from include.cases import planner, remains
from include.cases.retention.asking import Asking
from include.cases.retention.held import HeldPeople
from include.model.estate import Maintenance
from include.model.flow import Plan
from include.model.words import Role, Verdict
from include.proofs import limits
from include.proofs.server import Reader
from include.stores.postgres import Patience, install
from include.stores.postgres.clearing import Clearing
from include.stores.postgres.clearing.piece import Piece
from include.stores.postgres.physical.rewriting import Fate, Rewriting
from include.stores.postgres.rights import STATISTICS
from tests.conftest import PgServer
from tests.stores.postgres.clearing.test_pieces import HELD, Logs
from tests.stores.sizes import Pieces

VISIT = policy().dataset("usage.visit").model_copy(update={"key": ("visit_id", "visited_at")})
POLICY = policy().model_copy(
    update={"datasets": tuple(VISIT if d.id == VISIT.id else d for d in policy().datasets if d.id != "usage.click")}
)  # fmt: skip
# 2024: a month's rows alone in theirs, all due; and by its kind, in parts. 2025 is due in part, 2026 is not over.
SCHEMA = """
CREATE SCHEMA account; CREATE SCHEMA usage;
CREATE TABLE account.account (
  account_id text PRIMARY KEY, kind text, user_name text, country text, policy_version text, registered_at timestamptz,
  last_login_at timestamptz, cancelled_at timestamptz, dormancy_noticed_at timestamptz);
CREATE TABLE usage.visit (
  visit_id bigint, account_id text NOT NULL, ip inet NOT NULL, agent text NOT NULL, visited_at timestamptz NOT NULL,
  PRIMARY KEY (visit_id, visited_at)) PARTITION BY RANGE (visited_at);
CREATE INDEX ON usage.visit (visited_at);
CREATE TABLE usage.visit_old PARTITION OF usage.visit FOR VALUES FROM (MINVALUE) TO ('2024-06-01');
CREATE TABLE usage.visit_2024 PARTITION OF usage.visit FOR VALUES FROM ('2024-06-01') TO ('2025-01-01')
  PARTITION BY HASH (visit_id);
CREATE TABLE usage.visit_2024_0 PARTITION OF usage.visit_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE usage.visit_2024_1 PARTITION OF usage.visit_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE usage.visit_2025 PARTITION OF usage.visit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE usage.visit_now PARTITION OF usage.visit FOR VALUES FROM ('2026-01-01') TO ('2100-01-01');
CREATE TABLE usage.visit_rest PARTITION OF usage.visit DEFAULT;
INSERT INTO account.account (account_id) SELECT 'A' || i FROM generate_series(0, 9) AS i;
INSERT INTO usage.visit SELECT i, 'A' || i % 10, '10.0.0.1', 'x', timestamptz '2024-01-01' + make_interval(days => i * 10)
  FROM generate_series(1, 100) AS i;
"""
DUE = "visited_at < '2025-11-24'::date - interval '8 hours'"  # a year, to the last day in China
TABLES = "SELECT relid::regclass::text FROM pg_partition_tree('usage.visit') WHERE isleaf ORDER BY 1"
LEFT = ["usage.visit_2025", "usage.visit_now", "usage.visit_rest"]


class Visits(Logs):
    def clearing(self, **more: Any) -> Clearing:
        asking = Asking(POLICY, AS_OF, held=lambda: self.held)
        more = {"holds": lambda: self.held, **more}
        return Clearing(POLICY, "company", self, asking.looks, asking.fates, **more)  # type: ignore[arg-type]


@pytest.fixture(params=["pg18", "pg15"])
def visits(request: pytest.FixtureRequest) -> Iterator[Visits]:
    server: PgServer = request.getfixturevalue(request.param)
    made = Visits(server, server.fresh_database())
    with server.memberships_apart():
        made.sql(SCHEMA)
        install(server.conninfo(made.name), POLICY, "company")
        made.sql(f"GRANT CREATE ON DATABASE {made.name} TO eraser")
        yield made
        server.drop_database(made.name)


ONE = pytest.mark.parametrize("visits", ["pg18"], indirect=True)


def plan_of(clearing: Clearing) -> Plan:
    survey = clearing.locate(STEP)
    return planner.plan(STEP, survey.located, clearing.lines(STEP), POLICY.digest, "test")


def words(clearing: Clearing) -> Counter[str]:
    found: Counter[str] = Counter()
    for receipt in clearing.receipts(STEP):
        found.update({w: n for w, n in receipt.counts.get("usage.visit", {}).items() if w != "upto"})
    return +found


def proved(visits: Visits, plan: Plan) -> set[Verdict]:
    found = limits.gone(POLICY, visits, STEP, plan)
    return {c.verdict for e in found for c in e.checks if not c.name.startswith("beyond.")}


def test_what_is_due_to_the_last_row_goes_with_its_files(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    (due,) = visits.sql(f"SELECT count(*) FROM usage.visit WHERE {DUE}")
    stays = f"SELECT md5(string_agg(v::text, ';' ORDER BY visit_id)) FROM usage.visit AS v WHERE NOT {DUE}"
    before = visits.sql(stays)
    deleted: list[int] = []
    was = Piece.at_once
    monkeypatch.setattr(Piece, "at_once", lambda *a: (deleted.append(a[5]), was(*a))[1])
    clearing = visits.clearing()
    plan = plan_of(clearing)
    assert {x.dataset: x.items for x in plan.located if x.items} == {"usage.visit": due}
    baseline = limits.baseline(POLICY, visits, STEP, plan, {"usage.visit": due})  # type: ignore[arg-type]
    assert {c.verdict for e in baseline for c in e.checks} == {Verdict.PASSED}
    clearing.dispose(STEP, plan)

    assert clearing.by_rows == {}
    assert visits.sql(TABLES) == LEFT
    assert visits.sql(stays) == before
    assert (
        visits.sql(
            "SELECT relname FROM pg_class WHERE relname LIKE 'visit_2024%' OR relname LIKE 'visit_old%'"
        )
        == []
    )
    (by_rows,) = visits.sql(f"SELECT count(*) FROM generate_series(37, 100) AS i, LATERAL (SELECT timestamptz '2024-01-01'"
                            f" + make_interval(days => i * 10) AS visited_at) AS x WHERE {DUE}")  # fmt: skip
    assert sum(deleted) == by_rows < due, "of the year that is due in part"
    assert words(clearing) == {"erased": due} and clearing.left == {} and clearing.by_rows == {}
    said = visits.sql(
        "SELECT (partition, rows, xid = ANY(SELECT xid FROM quietus.receipt))::text FROM quietus.dropped"
    )
    assert sorted(said) == ["(usage.visit_2024,21,t)", "(usage.visit_old,15,t)"]
    settled = clearing.settled(STEP)
    assert {x.dataset: x for x in settled.located} == {x.dataset: x for x in plan.located}
    assert proved(visits, plan) == {Verdict.PASSED}
    # A row of long ago still finds a place, and so does one of today.
    visits.sql(
        "INSERT INTO usage.visit VALUES (1000, 'A1', '10.0.0.1', 'x', '2024-02-01'), (1001, 'A1', '10.0.0.1', 'x', now())"
    )
    again = visits.clearing()
    again.dispose(STEP.model_copy(update={"id": "case_000002_s1"}), _next(again))
    assert visits.sql("SELECT visit_id FROM usage.visit WHERE visit_id >= 1000") == [1001]


def _next(clearing: Clearing) -> Plan:
    step = STEP.model_copy(update={"id": "case_000002_s1"})
    survey = clearing.locate(step)
    return planner.plan(step, survey.located, clearing.lines(step), POLICY.digest, "test")


@ONE
@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize("point", ["clearing.before_commit", "clearing.after_commit"])
def test_killed_at_any_point_it_comes_to_the_same_end(visits: Visits, point: str, time: int) -> None:
    (due,) = visits.sql(f"SELECT count(*) FROM usage.visit WHERE {DUE}")
    plan = plan_of(visits.clearing())
    came = 0

    def at(here: str) -> None:
        nonlocal came
        came += here == point
        if came == time:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            visits.clearing(at=at).dispose(STEP, plan)
        os._exit(0)  # reached only if the point was not
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was never reached"

    clearing = visits.clearing()
    clearing.dispose(STEP, plan)
    assert words(clearing) == {"erased": due} and clearing.by_rows == {}
    assert visits.sql(TABLES) == LEFT and visits.sql("SELECT count(*) FROM quietus.dropped") == [2]
    assert visits.sql(f"SELECT count(*) FROM usage.visit WHERE {DUE}") == [0]
    assert proved(visits, plan) == {Verdict.PASSED}


REFERS = """
CREATE TABLE usage.refers (visit_id bigint, visited_at timestamptz, FOREIGN KEY (visit_id, visited_at) REFERENCES usage.visit);
GRANT SELECT ON usage.refers TO eraser;
"""
NOTE = """
CREATE TABLE usage.note (note text);
CREATE FUNCTION usage.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END';
CREATE TRIGGER note BEFORE DELETE ON usage.visit FOR EACH ROW EXECUTE FUNCTION usage.note();
"""


@ONE
@pytest.mark.parametrize(
    ("what", "why", "stay"),
    [
        ("UPDATE usage.visit SET visited_at = '2024-05-31' WHERE visit_id = 3", "of its 15 rows 14 were located", [3]),
        ("INSERT INTO usage.visit VALUES (1000, 'A1', '10.0.0.1', 'x', '2024-02-01')",
         "of its 16 rows 15 were located", [1000]),
        ("DELETE FROM usage.visit WHERE visit_id = 3", "of its 14 rows 14 were located", []),
        ("hold", "of its 21 rows 19 were located, are due now and not held", [4, 14]),
        (NOTE, "the trigger note acts on what is deleted there", []),
        ("CREATE RULE away AS ON DELETE TO usage.visit_old DO ALSO NOTIFY away", "the rule away", []),
        ("CREATE PUBLICATION all_of_it FOR TABLE usage.visit", "the publication all_of_it", []),
        ("CREATE VIEW usage.first AS SELECT * FROM usage.visit_old", "the server refused", []),
        (REFERS + "INSERT INTO usage.refers SELECT visit_id, visited_at FROM usage.visit WHERE visit_id = 5",
         "a constraint forbids it", [5]),
        (REFERS, None, []),
    ],
)  # fmt: skip
def test_whatever_stands_against_it_its_rows_go(
    visits: Visits, what: str, why: str | None, stay: list[int]
) -> None:
    clearing = visits.clearing()
    plan = plan_of(clearing)
    if what == "hold":
        visits.held = HeldPeople((HELD,), {"HOLD-000001": frozenset({"A4"})})
    else:
        visits.sql(what)
    clearing.dispose(STEP, plan)
    assert clearing.left == {}
    assert visits.sql("SELECT visit_id FROM usage.visit WHERE visited_at < '2024-06-01' ORDER BY 1") == stay
    assert ("usage.visit_old" in visits.sql(TABLES)) is (why is not None)
    assert (why or "") in clearing.by_rows.get("usage.visit", "")
    assert bool(clearing.by_rows) is (why is not None)


@ONE
def test_whoever_has_it_in_use_is_not_made_to_wait(visits: Visits) -> None:
    """A long read or an open transaction of writers: the rows go by themselves, as far as they are free."""
    clearing = visits.clearing()
    plan = plan_of(clearing)
    with psycopg.connect(visits.server.conninfo(visits.name)) as reader:
        reader.execute("SELECT count(*) FROM usage.visit_old")
        clearing.dispose(STEP, plan)
        assert "another transaction was in the way" in clearing.by_rows["usage.visit"]
        assert "usage.visit_old" in visits.sql(TABLES)
    assert clearing.left == {} and visits.sql(f"SELECT count(*) FROM usage.visit WHERE {DUE}") == [0]


@ONE
def test_a_partition_that_was_made_since_the_install_goes_by_rows_until_the_next(visits: Visits) -> None:
    visits.sql("REVOKE SELECT ON usage.visit_old FROM eraser")
    clearing = visits.clearing()
    clearing.dispose(STEP, plan_of(clearing))
    assert "may not read usage.visit_old" in clearing.by_rows["usage.visit"] and clearing.left == {}
    assert visits.sql(f"SELECT count(*) FROM usage.visit WHERE {DUE}") == [0] and len(visits.sql(TABLES)) == 6


@ONE
def test_of_a_backlog_in_stages_no_partition_goes_that_has_more_than_may_go_tonight(visits: Visits) -> None:
    budget = [20]

    def take(wanted: int, *_: str) -> int:
        taken = min(wanted, budget[0])
        budget[0] -= taken
        return taken

    clearing = visits.clearing(budget=take, size=Pieces(4))
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    # By name 2024 comes first, and has 21: twenty of its rows go. The next night takes it whole, and the years before.
    assert visits.sql("SELECT count(*) FROM usage.visit") == [80] and len(visits.sql(TABLES)) == 6
    again = visits.clearing(size=Pieces(4))
    again.dispose(STEP.model_copy(update={"id": "case_000002_s1"}), _next(again))
    assert visits.sql(TABLES) == LEFT and again.by_rows == {}


@ONE
@pytest.mark.parametrize("part", ["visit_now", "visit_rest", "visit_2024_0", "account.account"])
def test_the_eraser_may_drop_what_is_past_and_nothing_else(visits: Visits, part: str) -> None:
    address = part if "." in part else f"usage.{part}"
    with psycopg.connect(visits.postgres("", Role.ERASER), autocommit=True) as conn:
        for deed in ("DROP TABLE {}", "TRUNCATE {}", "ALTER TABLE usage.visit DETACH PARTITION {}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(deed.format(address).encode())
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            conn.execute("SELECT quietus.drop_partition('usage.visit', %s::regclass, 's', 'd', 1)", [address])
    with (
        psycopg.connect(visits.postgres("", Role.PROVER), autocommit=True) as conn,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)),
    ):
        conn.execute("SELECT quietus.drop_partition('usage.visit', 'usage.visit_old', 's', 'd', 1)")
    assert len(visits.sql(TABLES)) == 6


KEPT = POLICY.model_copy(update={"stores": tuple(
    x.model_copy(update={"maintenance": Maintenance(window="00:00-24:00", rewrite_limit="1 GB", head_room="1 GB")})
    if x.id == "company" else x for x in POLICY.stores
)})  # fmt: skip
QUICK = Patience(statement=60, lock=1, settle=1)


def files(visits: Visits) -> list[Any]:
    return visits.sql(
        "SELECT relname || ' ' || pg_relation_filenode(oid) FROM pg_class WHERE relname ~ '^visit_' AND relkind = 'r'"
    )


def scrubbed(visits: Visits) -> dict[str, Fate]:
    done = Rewriting(KEPT, "company", visits, datasets={"usage.visit"}, patience=QUICK).run()  # type: ignore[arg-type]
    return {o.relation: o.fate for o in done.outcomes}


def unwritten(visits: Visits) -> frozenset[str]:
    """Of which tables a scrub's evidence says that they were not written anew since the night."""
    step = remains._Step("CASE-000001", STEP.id, "", AS_OF, (VISIT,))
    with Reader.of(visits, "company", "company").connect() as connection:  # type: ignore[arg-type]
        return remains._files(SimpleNamespace(catalogue=KEPT), connection, step).unwritten  # type: ignore[arg-type]


@ONE
def test_where_only_whole_partitions_went_no_other_is_written_anew(visits: Visits) -> None:
    """Nothing died in those that are left. What the server knew of the ones that went is dead in its statistics."""
    visits.sql(f"DELETE FROM usage.visit WHERE visited_at >= '2025-01-01' AND {DUE}")
    clearing = visits.clearing()
    clearing.dispose(STEP, plan_of(clearing))
    assert visits.sql(TABLES) == LEFT and clearing.by_rows == {}
    before = files(visits)
    assert unwritten(visits) == set(STATISTICS)
    assert scrubbed(visits) == dict.fromkeys(LEFT, Fate.CLEAN) | dict.fromkeys(STATISTICS, Fate.REWRITTEN)
    assert files(visits) == before and unwritten(visits) == frozenset()
    assert set(scrubbed(visits).values()) == {Fate.CLEAN}


@ONE
def test_where_rows_went_by_themselves_too_all_that_are_left_are_written_anew(visits: Visits) -> None:
    clearing = visits.clearing()
    clearing.dispose(STEP, plan_of(clearing))
    assert unwritten(visits) == {"usage.visit", *STATISTICS}
    assert scrubbed(visits) == dict.fromkeys([*LEFT, *STATISTICS], Fate.REWRITTEN)
    assert unwritten(visits) == frozenset()


@ONE
def test_a_table_of_which_no_partition_is_left_waits_for_none(visits: Visits) -> None:
    visits.sql("DELETE FROM usage.visit WHERE visited_at >= '2025-01-01'")
    visits.sql("DROP TABLE usage.visit_2025, usage.visit_now, usage.visit_rest")
    clearing = visits.clearing()
    clearing.dispose(STEP, plan_of(clearing))
    assert visits.sql(TABLES) == []
    assert scrubbed(visits)["usage.visit"] is Fate.CLEAN and unwritten(visits) == frozenset()
