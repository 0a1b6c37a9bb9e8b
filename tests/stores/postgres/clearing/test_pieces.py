"""Pages and pieces of a night over two tables of logs: by which order a table is gone through, and what a piece asks again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from bench.night import AS_OF, INDEXES, SCHEMA, STEP, policy
from include.cases import planner
from include.cases.retention.asking import Asking
from include.cases.retention.held import HeldPeople
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.errors import Stopped
from include.model.flow import Evidence, Plan
from include.model.words import Role, Verdict
from include.proofs import limits
from include.stores.postgres import install
from include.stores.postgres.clearing import Clearing, keys, packs
from include.stores.postgres.clearing.piece import Piece
from include.stores.postgres.clearing.snapshot import Snapshot
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.shared import STAGED
from tests.conftest import PgServer
from tests.stores.sizes import Pieces

POLICY = policy()
DUE, ALL = 20, 50  # visits; each with two clicks
# Every second visit of those that are due is of one moment.
ROWS = f"""
INSERT INTO account.account (account_id) SELECT 'A' || i FROM generate_series(0, 9) AS i;
INSERT INTO usage.visit SELECT i, 'A' || i % 10, '10.0.0.1', 'x', CASE WHEN i > {DUE} THEN timestamptz '2026-01-01'
  WHEN i % 2 = 0 THEN '2025-01-01' ELSE timestamptz '2025-03-01' + make_interval(days => i::int) END
  FROM generate_series(1, {ALL}) AS i;
INSERT INTO usage.click SELECT visit_id * 2 + n, visit_id, 'x', visited_at FROM usage.visit, generate_series(0, 1) AS n;
"""


@dataclass
class Logs:
    """A database of visits and clicks, as every role of ours reaches it."""

    server: PgServer
    name: str
    held: HeldPeople = field(default_factory=HeldPeople)

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.name, role.value)

    def sql(self, statement: str) -> list[Any]:
        with psycopg.connect(self.server.conninfo(self.name), autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            return [x for (x,) in cursor.fetchall()] if cursor.description else []

    def clearing(self, **more: Any) -> Clearing:
        asking = Asking(POLICY, AS_OF, held=lambda: self.held)
        more = {"holds": lambda: self.held, **more}
        return Clearing(POLICY, "company", self, asking.looks, asking.fates, **more)  # type: ignore[arg-type]

    def dispose(self, clearing: Clearing, plan: Plan) -> dict[str, dict[str, int]]:
        clearing.dispose(STEP, plan)
        assert clearing.left == {}
        return {d: {w: n for w, n in said.items() if w != "upto" and n}
                for r in clearing.receipts(STEP) for d, said in r.counts.items()}  # fmt: skip


def plan_of(clearing: Clearing) -> Plan:
    survey = clearing.locate(STEP)
    return planner.plan(STEP, survey.located, clearing.lines(STEP), POLICY.digest, "test")


@pytest.fixture(params=["pg18", "pg15"])
def logs(request: pytest.FixtureRequest) -> Iterator[Logs]:
    yield from furnished(request.getfixturevalue(request.param))


def furnished(server: PgServer) -> Iterator[Logs]:
    """The logs of a house on a server, and Quietus installed there."""
    made = Logs(server, server.fresh_database())
    with server.memberships_apart():
        made.sql(SCHEMA + ROWS + INDEXES)
        install(server.conninfo(made.name), POLICY, "company")
        made.sql(f"GRANT CREATE ON DATABASE {made.name} TO eraser")
        yield made
        server.drop_database(made.name)


def paged_by(logs: Logs) -> set[str]:
    clearing = logs.clearing()
    with clearing._server.connect() as connection:
        looks = clearing.looks(clearing._server, connection, Live.read(connection))
    return {c for d in ("usage.visit", "usage.click") for c in looks[d].paged_by}


def test_a_table_is_gone_through_by_the_date_that_makes_its_rows_due_where_an_index_leads(logs: Logs) -> None:
    assert paged_by(logs) == {"visited_at", "clicked_at"}
    due = {"usage.visit": DUE, "usage.click": 2 * DUE}
    assert {x.dataset: x.items for x in logs.clearing(page=7).locate(STEP).located if x.items} == due
    found = logs.sql(NAMED)
    logs.sql("DROP INDEX usage.visit_visited_at_idx; DROP INDEX usage.click_clicked_at_idx")
    assert paged_by(logs) == {"visit_id", "click_id"}
    assert {x.dataset: x.items for x in logs.clearing(page=7).locate(STEP).located if x.items} == due
    assert logs.sql(NAMED) == found


def test_a_table_that_is_known_to_be_of_one_range_is_not_asked_where_it_ends(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    edges = Counter[str]()
    ask = Look._edge_or_end

    def counted(look: Look, *a: Any) -> Any:
        edges[look.dataset.id] += 1
        return ask(look, *a)

    def located(page: int) -> tuple[dict[str, int], Counter[str]]:
        edges.clear()
        found = {x.dataset: x.items for x in logs.clearing(page=page).locate(STEP).located if x.items}
        return found, edges.copy()

    monkeypatch.setattr(Look, "_edge_or_end", counted)
    due = {"usage.visit": DUE, "usage.click": 2 * DUE}
    found, asked = located(keys.PAGE)
    assert found == due and asked["account.account"], "nobody counted yet"
    logs.sql("ANALYZE account.account; ANALYZE usage.visit; ANALYZE usage.click")
    assert located(keys.PAGE) == (due, Counter())
    found, asked = located(7)
    assert found == due and min(asked["usage.visit"], asked["usage.click"]) > 1, (
        "a page may have more than seven"
    )
    # It grew, and nobody analyzed it since.
    logs.sql(f"INSERT INTO usage.click SELECT 1000 + g, 1, 'x', '2025-01-01' FROM generate_series(1, {keys.PAGE}) AS g;"
             " SELECT pg_stat_force_next_flush()")  # fmt: skip
    found, asked = located(keys.PAGE)
    assert found == due | {"usage.click": 2 * DUE + keys.PAGE} and asked["usage.click"] == 2


@pytest.mark.parametrize(
    ("longest", "day"),
    [(60.0, "2025-01-01"), (0.0, "2025-06-01")],
    ids=["as of one moment", "as of several"],
)
def test_a_row_whose_date_is_set_later_meanwhile_is_named_once(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, longest: float, day: str
) -> None:
    @dataclass(frozen=True)
    class Moved(Look):
        def parts(self, *a: Any) -> Iterator[Any]:
            for n, part in enumerate(super().parts(*a)):
                yield part
                if n == 0 and self.dataset.id == "usage.visit":  # was seen, and is seen again on a later page
                    logs.sql("UPDATE usage.visit SET visited_at = '2025-06-01' WHERE visit_id = 2")

    monkeypatch.setattr(keys, "Snapshot", lambda connection: Snapshot(connection, longest))
    clearing = logs.clearing(page=7)
    looks = clearing.looks
    clearing.looks = lambda *a: {d: Moved(**x.asked()) for d, x in looks(*a).items()}
    assert {x.dataset: x.items for x in clearing.locate(STEP).located if x.items}["usage.visit"] == DUE
    said = f'SELECT "#day1" FROM "q_{STEP.id}"."usage.visit" WHERE visit_id = 2'
    assert [str(day) for day in logs.sql(said)] == [day]


def test_a_piece_out_of_which_nothing_falls_goes_in_one_statement(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    clearing = logs.clearing()
    plan = plan_of(clearing)
    monkeypatch.setattr(Piece, "carry_out", None)
    assert logs.dispose(clearing, plan) == {
        "usage.visit": {"erased": DUE},
        "usage.click": {"erased": 2 * DUE},
    }
    assert logs.sql("SELECT count(*) FROM usage.visit") == [ALL - DUE]
    assert logs.sql("SELECT count(*) FROM usage.click") == [2 * (ALL - DUE)]


HELD = HoldOrder("HOLD-000001", HoldBasis.COURT, "law", Scope(subjects=frozenset({"t"})))


@pytest.mark.parametrize(
    ("what", "said", "stay"),
    [
        # A click became younger: it is not due, and its visit is needed by it.
        ("UPDATE usage.click SET clicked_at = '2026-01-01' WHERE click_id = 8",
         {"usage.click": {"erased": 39, "not_due": 1}, "usage.visit": {"erased": 19, "needed": 1}}, ([4], [8])),
        # A visit became younger; clicks have a date of their own.
        ("UPDATE usage.visit SET visited_at = '2026-01-01' WHERE visit_id = 4",
         {"usage.click": {"erased": 40}, "usage.visit": {"erased": 19, "not_due": 1}}, ([4], [])),
        # Gone already, by somebody's own case.
        ("DELETE FROM usage.click WHERE click_id = 8",
         {"usage.click": {"erased": 39, "not_due": 1}, "usage.visit": {"erased": 20}}, ([], [])),
        # A row that is not due came, and refers to one that is.
        ("INSERT INTO usage.click VALUES (1000, 4, 'x', '2026-01-01')",
         {"usage.click": {"erased": 40}, "usage.visit": {"erased": 19, "needed": 1}}, ([4], [1000])),
        # A hold names the owner of visits 4 and 14 by now.
        ("hold", {"usage.click": {"erased": 36, "not_due": 4}, "usage.visit": {"erased": 18, "not_due": 2}},
         ([4, 14], [8, 9, 28, 29])),
    ],
)  # fmt: skip
def test_what_falls_out_of_a_piece_stays_and_the_rest_goes(
    logs: Logs, what: str, said: dict[str, dict[str, int]], stay: tuple[list[int], list[int]]
) -> None:
    clearing = logs.clearing()
    plan = plan_of(clearing)
    if what == "hold":
        logs.held = HeldPeople((HELD,), {"HOLD-000001": frozenset({"A4"})})
    else:
        logs.sql(what)
    assert logs.dispose(clearing, plan) == said
    assert logs.sql(f"SELECT visit_id FROM usage.visit WHERE visit_id <= {DUE} ORDER BY 1") == stay[0]
    assert logs.sql(f"SELECT click_id FROM usage.click WHERE visit_id <= {DUE} ORDER BY 1") == stay[1]
    located = {x.dataset: x.items for x in clearing.settled(STEP).located}
    assert located["usage.click"] == said["usage.click"]["erased"]
    assert located["usage.visit"] == said["usage.visit"]["erased"]


def test_stopped_when_unpacked_and_before_anything_went_it_goes_on(logs: Logs) -> None:
    """What was planned is known by its packs' digest, which no key table has."""
    asked = iter(range(10))

    def stop() -> None:
        if next(asked) == 2:  # in packs, to unpack them, and now
            raise Stopped("by a person", about="a test", next_step="go on")

    clearing = logs.clearing(may_go_on=stop)
    plan = plan_of(clearing)
    logs.sql("DELETE FROM usage.click WHERE click_id = 8")
    with pytest.raises(Stopped):
        clearing.dispose(STEP, plan)
    assert (logs.sql(PACKED), list(clearing.receipts(STEP))) == (["r"], [])
    assert logs.dispose(logs.clearing(), plan)["usage.click"] == {"erased": 39, "not_due": 1}


NAMED = f"""SELECT to_jsonb(k) - 'item' FROM "q_{STEP.id}"."usage.click" AS k ORDER BY click_id"""
PACKED = f'SELECT relkind::text FROM pg_class WHERE oid = \'"q_{STEP.id}"."usage.click"\'::regclass'


def _lines(plan: Plan) -> Plan:
    """Without digests, which are of packs as they lie."""
    return plan.model_copy(
        update={"located": tuple(x.model_copy(update={"digest": ""}) for x in plan.located)}
    )


def test_packs_say_what_a_key_table_says(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _lines(plan_of(logs.clearing(pack=6))), logs.sql(NAMED), logs.sql(PACKED)
    monkeypatch.setattr(packs, "packable", lambda _: False)
    assert (_lines(plan_of(logs.clearing())), logs.sql(NAMED)) == found[:2]
    assert (found[2], logs.sql(PACKED)) == (["v"], ["r"])


def test_what_falls_out_of_a_pack_unpacks_those_that_are_left(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    clearing = logs.clearing(pack=6, size=Pieces(6))
    plan = plan_of(clearing)
    logs.sql("UPDATE usage.click SET clicked_at = '2026-01-01' WHERE click_id = 38")  # of those that go last
    ways: list[str] = []
    for way in ("at_once", "carry_out"):
        was = getattr(Piece, way)
        monkeypatch.setattr(Piece, way, lambda *a, way=way, was=was: (ways.append(way), was(*a))[1])
    clearing.dispose(STEP, plan)
    words: Counter[str] = Counter()
    for receipt in clearing.receipts(STEP):
        words.update({w: n for w, n in receipt.counts.get("usage.click", {}).items() if w != "upto"})
    assert words == {"erased": 39, "not_due": 1}
    # Of clicks: packs, then one in which something falls out, and what is left of them with care.
    assert ways[0] == "at_once" and "carry_out" in ways[ways.index("at_once") + 2 :]
    assert logs.sql(PACKED) == ["r"]
    settled = {x.dataset: (x.items, x.digest) for x in clearing.settled(STEP).located}
    assert settled["usage.click"][0] == 39
    assert logs.sql(f"SELECT click_id FROM usage.click WHERE visit_id <= {DUE}") == [38]


@pytest.mark.parametrize("pack", [12, 2])
def test_as_many_go_tonight_as_may_whatever_a_pack_holds(
    logs: Logs, pack: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "unpack", None)  # of a backlog of millions, some thousands go each night
    budget = [5]

    def take(wanted: int, *_: str) -> int:
        taken = min(wanted, budget[0])
        budget[0] -= taken
        return taken

    clearing = logs.clearing(pack=pack, budget=take)
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    assert clearing.left == dict.fromkeys(("usage.click", "usage.visit"), STAGED)
    settled = {x.dataset: x.items for x in clearing.settled(STEP).located if x.items}
    assert settled == {"usage.click": 5} and budget == [0]
    assert logs.sql("SELECT count(*) FROM usage.click") == [2 * ALL - 5]
    named = f"""SELECT click_id FROM "q_{STEP.id}"."usage.click" ORDER BY click_id"""
    went = f"SELECT g FROM generate_series(2, {2 * ALL + 1}) AS g WHERE NOT EXISTS (SELECT FROM usage.click WHERE click_id = g)"
    assert logs.sql(named) == logs.sql(went)
    assert clearing.settled(STEP).located == clearing.settled(STEP).located
    monkeypatch.undo()
    # The next night takes the rest, of its own packs.
    again = logs.clearing(pack=pack, size=Pieces(7))
    next_ = STEP.model_copy(update={"id": "case_000001_s2"})
    survey = again.locate(next_)
    again.dispose(next_, planner.plan(next_, survey.located, again.lines(next_), POLICY.digest, "test"))
    assert again.left == {} and logs.sql("SELECT count(*) FROM usage.click") == [2 * (ALL - DUE)]


def test_a_pack_is_parted_where_a_piece_ends(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "unpack", None)
    clearing = logs.clearing(pack=12, size=Pieces(5))
    plan = plan_of(clearing)
    before = logs.sql(NAMED)
    clearing.dispose(STEP, plan)
    assert logs.sql(NAMED) == before and logs.sql(PACKED) == ["v"]
    sizes = [r.counts["usage.click"]["erased"] for r in clearing.receipts(STEP) if "usage.click" in r.counts]
    assert max(sizes) == 5 and sum(sizes) == 2 * DUE
    there = {x.dataset: x for x in clearing.settled(STEP).located}["usage.click"]
    assert there == {x.dataset: x for x in plan.located}["usage.click"]


def test_a_run_that_ends_between_two_packs_goes_on_after_the_first(logs: Logs) -> None:
    class Ended(Exception):
        pass

    def end(point: str) -> None:
        if point == "clearing.after_commit":
            raise Ended

    clearing = logs.clearing(pack=6, size=Pieces(12), at=end)
    plan = plan_of(clearing)
    with pytest.raises(Ended):
        clearing.dispose(STEP, plan)
    (gone,) = logs.sql(f"SELECT {2 * ALL} - count(*) FROM usage.click")
    assert 0 < gone <= 12
    logs.clearing(pack=6).dispose(STEP, plan)
    assert logs.sql("SELECT count(*) FROM usage.click") == [2 * (ALL - DUE)]
    words: Counter[str] = Counter()
    for receipt in clearing.receipts(STEP):
        words.update({w: n for w, n in receipt.counts.get("usage.click", {}).items() if w != "upto"})
    assert words == {"erased": 2 * DUE}


def test_what_a_cascade_would_take_along_is_looked_for_before(logs: Logs) -> None:
    logs.sql(
        "ALTER TABLE usage.click DROP CONSTRAINT click_visit_id_fkey,"
        " ADD FOREIGN KEY (visit_id) REFERENCES usage.visit ON DELETE CASCADE"
    )
    clearing = logs.clearing()
    plan = plan_of(clearing)
    logs.sql("INSERT INTO usage.click VALUES (1000, 4, 'x', '2026-01-01')")
    said = logs.dispose(clearing, plan)
    assert said["usage.visit"] == {"erased": DUE - 1, "needed": 1}
    assert logs.sql("SELECT click_id FROM usage.click WHERE click_id = 1000") == [1000]


def test_a_piece_is_found_by_its_keys(logs: Logs) -> None:
    """Not by the date's index: a piece would read every row that is due, and a hundred pieces a hundred times as many."""
    logs.sql(
        "INSERT INTO usage.visit SELECT i, 'A1', '10.0.0.1', 'x', '2025-01-01' FROM generate_series(100, 30000) AS i; ANALYZE"
    )
    clearing = logs.clearing()
    plan_of(clearing)
    with clearing._server.connect() as connection:
        look = clearing.looks(clearing._server, connection, Live.read(connection))["usage.visit"]
        for statement, how in (
            (
                "DELETE FROM usage.visit AS t WHERE " + look.going(_few()).as_string(connection),
                "visit_id = ANY",
            ),
            (look.again(_few()).as_string(connection), "visit_id = u.visit_id"),
        ):
            plan = "\n".join(r[0] for r in connection.execute(("EXPLAIN " + statement).encode()))
            assert "using visit_pkey" in plan and f"Index Cond: ({how}" in plan, plan
            assert "visited_at_idx" not in plan and "Seq Scan on visit" not in plan, plan


def _few() -> psycopg.sql.Composable:
    return psycopg.sql.SQL(
        'SELECT a.visit_id FROM "q_case_000001_s1"."usage.visit" AS a WHERE a.item <= 2000'
    )


def test_whoever_proves_looks_keys_up_by_the_thousand_and_sees_one_row_more_or_less(logs: Logs) -> None:
    clearing = logs.clearing(pack=6)
    plan = plan_of(clearing)
    assert logs.sql(PACKED) == ["v"]
    due = {x.dataset: x.items for x in plan.located}

    def failed(found: list[Evidence]) -> list[tuple[str, int | None]]:
        return [(c.name, c.observed) for e in found for c in e.checks if c.verdict is Verdict.FAILED]

    assert failed(limits.baseline(POLICY, logs, STEP, plan, due)) == []  # type: ignore[arg-type]
    (row,) = logs.sql("DELETE FROM usage.click WHERE click_id = 8 RETURNING to_jsonb(click)")
    assert failed(limits.baseline(POLICY, logs, STEP, plan, due)) == [("there.usage.click", 2 * DUE - 1)]  # type: ignore[arg-type]
    put_back = (
        f"INSERT INTO usage.click SELECT * FROM jsonb_populate_record(NULL::usage.click, '{json.dumps(row)}')"
    )
    logs.sql(put_back)
    clearing.dispose(STEP, plan)
    assert failed(limits.gone(POLICY, logs, STEP, plan)) == []
    logs.sql(f"ALTER TABLE usage.click DROP CONSTRAINT click_visit_id_fkey; {put_back}")
    assert failed(limits.gone(POLICY, logs, STEP, plan)) == [("gone.usage.click", 1)]


@pytest.mark.parametrize("pack", [12, 2])
def test_what_fell_due_first_goes_first_where_not_all_may(logs: Logs, pack: int) -> None:
    """Gone through by its key, the higher of which is older here, page by page."""
    logs.sql("DROP INDEX usage.click_clicked_at_idx")
    logs.sql("UPDATE usage.click SET clicked_at = timestamptz '2025-06-01' - make_interval(days => click_id::int)"
             f" WHERE visit_id <= {DUE}")  # fmt: skip
    budget = [5]

    def take(wanted: int, *_: str) -> int:
        taken = min(wanted, budget[0])
        budget[0] -= taken
        return taken

    since = Asking(POLICY, AS_OF, held=lambda: logs.held).since
    clearing = logs.clearing(pack=pack, page=7, budget=take, since=since, at_most=lambda *_: budget[0])
    clearing.dispose(STEP, plan_of(clearing))
    last = 2 * DUE + 1
    assert logs.sql(f"SELECT max(click_id) FROM usage.click WHERE visit_id <= {DUE}") == [last - 5]
    assert logs.sql("SELECT count(*) FROM usage.click") == [2 * ALL - 5]
