"""What is due in the sandbox's own schema, found by SQL, against the same worked out row by row in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from include.cases.retention.due import see, table
from include.cases.retention.held import HeldPeople
from include.cases.retention.late import late
from include.cases.retention.late import table as minutes_of
from include.cases.retention.limits import question
from include.cases.retention.objects import Partly
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable
from include.model.estate import Bound, Start
from include.model.interval import Standing
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.starts import kinds
from include.stores.postgres.server import Server
from tests.stores.postgres import dated
from tests.stores.postgres.dated import AS_OF, One, Oracle, made

CATALOGUE = dated.CATALOGUE.in_parts
"""As nights work on it: a part of a row that ends before it is a dataset of its own."""


@pytest.fixture(scope="module")
def estate(request: pytest.FixtureRequest) -> Iterator[Callable[[str], One]]:
    found: dict[str, One] = {}

    def of(server: str) -> One:
        if server not in found:
            found[server] = made(request.getfixturevalue(server))
        return found[server]

    yield of


SERVERS = ("pg18", "pg15")


@pytest.mark.parametrize("server", SERVERS)
def test_what_sql_finds_is_what_is_due_row_by_row(estate: Callable[[str], One], server: str) -> None:
    one = estate(server)
    with psycopg.connect(one.server.conninfo(one.name)) as conn:
        oracle = Oracle(conn, CATALOGUE)
    expected: Counter[tuple[str, str]] = Counter()
    keys: dict[str, set[tuple[str, ...]]] = {}
    for d in CATALOGUE.of_store("company", DatasetKind.TABLE):
        keys[d.id] = set()
        for row in oracle.rows[d.id]:
            rule, stands = oracle.standing(d, row)
            assert stands is not Standing.CONFLICT, d.id
            if stands is Standing.DUE and not oracle.bare(d, row):
                expected[rule, d.id] += 1
                keys[d.id].add(tuple(row[k] for k in d.key))
    seen = see(CATALOGUE, one, AS_OF, rows=37)  # type: ignore[arg-type]
    assert set(seen.unverified) == {d.id for d in CATALOGUE.of_store("objects")}
    assert {(r.rule, r.dataset): r.due for r in table(seen)} == dict(expected)
    assert len(expected) > 25, expected
    # A disposing step gets the same rows by key, in order, a chunk at a time.
    with Server(lambda: one.postgres("company", Role.PROVER), "company").connect() as connection:
        live = Live.read(connection)
        for d in CATALOGUE.of_store("company", DatasetKind.TABLE):
            asked = question(CATALOGUE, d, AS_OF)
            queries = sorted({x.start.query for x in asked.limits if x.start and x.start.query})
            it = Look(CATALOGUE, live, d, asked, kinds(connection, CATALOGUE, queries, AS_OF, {}))
            found, after = [], None
            while (edge := connection.execute(it.edge(after, 37)).fetchone()) is not None:
                upto = tuple(str(v) for v in edge)
                rows = connection.execute(it.due_rows(it.between(after, upto))).fetchall()
                found += [row[: len(d.key)] for row in rows]
                after = upto
            by = ", ".join(d.key)
            every = connection.execute(f"SELECT {by} FROM {d.address} ORDER BY {by}".encode()).fetchall()
            assert found == [k for k in every if k in keys[d.id]], d.id


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("at", ["2026-11-23T23:59:59+00:00", "2026-11-24T04:34:00+00:00"])
def test_what_sql_calls_late_is_late_to_the_minute_row_by_row(
    estate: Callable[[str], One], server: str, at: str
) -> None:
    one, moment = estate(server), datetime.fromisoformat(at)
    with psycopg.connect(one.server.conninfo(one.name)) as conn:
        conn.execute("SET timezone = 'America/St_Johns'")  # what a server's clock shows is nobody's day
        oracle = Oracle(conn, CATALOGUE)
    expected: dict[tuple[str, str], list[datetime]] = {}
    for d in CATALOGUE.of_store("company", DatasetKind.TABLE):
        for row in oracle.rows[d.id]:
            if not oracle.bare(d, row) and (found := oracle.late(d, row, moment)):
                expected.setdefault((found[0], d.id), []).append(found[1])
    seen = late(CATALOGUE, one, moment, rows=37)  # type: ignore[arg-type]
    told = {(r.rule, r.dataset): (r.due, r.late) for r in minutes_of(seen)}
    assert told == {k: (len(v), (moment - min(v)) // timedelta(minutes=1)) for k, v in expected.items()}
    assert {d for _, d in told} >= {"account.login_code", "account.session", "ra.biometric", "usage.location"}
    assert not seen.unverified.keys() & {d for _, d in told}
    # The first of two that differ by a second only is over, the other is not.
    last = max(x for v in expected.values() for x in v)
    before = late(CATALOGUE, one, last - timedelta(seconds=1))  # type: ignore[arg-type]
    upto = late(CATALOGUE, one, last)  # type: ignore[arg-type]
    assert sum(x.items for x in upto.found) > sum(x.items for x in before.found)


def test_a_held_code_is_counted_and_late_for_nobody(estate: Callable[[str], One]) -> None:
    one, moment = estate("pg18"), datetime(2026, 11, 24, 4, tzinfo=UTC)
    order = HoldOrder(
        "HOLD-000001", HoldBasis.COURT, "law", Scope(datasets=frozenset({"account.login_code"}))
    )
    held = HeldPeople((order,), {"HOLD-000001": frozenset()})
    seen = late(CATALOGUE, one, moment, held=held)  # type: ignore[arg-type]
    rows = [r for r in minutes_of(seen) if r.dataset == "account.login_code"]
    assert rows and all((r.due, r.late) == (0, None) and r.held > 0 for r in rows)


def test_a_store_that_does_not_answer_leaves_its_datasets_unverified() -> None:
    class Nowhere:
        def postgres(self, connection: str, role: Role) -> str:
            return "host=127.0.0.1 port=9 dbname=x connect_timeout=1"

        def s3(self, connection: str, role: Role) -> Any:
            raise NotReachable("it does not answer", about=connection)

    seen = see(CATALOGUE, Nowhere(), AS_OF)  # type: ignore[arg-type]
    assert seen.judged == []
    assert set(seen.unverified) == {d.id for d in CATALOGUE.datasets}


def test_a_hold_takes_its_people_out_and_counts_them(estate: Callable[[str], One]) -> None:
    one = estate("pg18")
    with psycopg.connect(one.server.conninfo(one.name)) as conn:
        (who,) = conn.execute("SELECT account_id FROM account.account ORDER BY 1 LIMIT 1").fetchone() or ("",)
    order = HoldOrder(
        "HOLD-000001",
        HoldBasis.COURT,
        "law",
        Scope(subjects=frozenset({"t"}), datasets=frozenset({"usage.location"})),
    )
    held = HeldPeople((order,), {"HOLD-000001": frozenset({who})})
    free = {r.dataset: r for r in table(see(CATALOGUE, one, AS_OF))}  # type: ignore[arg-type]
    with_hold = {r.dataset: r for r in table(see(CATALOGUE, one, AS_OF, held=held))}  # type: ignore[arg-type]
    before, after = free["usage.location"], with_hold["usage.location"]
    assert after.held >= 2 and before.held == 0
    assert after.due == before.due - after.held
    assert with_hold["support.ticket"] == free["support.ticket"]


def test_a_hold_over_sealed_objects_holds_their_keys(estate: Callable[[str], One]) -> None:
    one = estate("pg18")
    order = HoldOrder(
        "HOLD-000001", HoldBasis.COURT, "law", Scope(datasets=frozenset({"objects.locked_evidence"}))
    )
    held = HeldPeople((order,), {"HOLD-000001": frozenset()})
    seen = see(CATALOGUE, one, AS_OF, held=held, everything=True)  # type: ignore[arg-type]
    keys = [j for j in seen.judged if j.dataset == "sign.evidence_key"]
    assert keys and all(j.held for j in keys), "without its key the object would be gone"
    assert not any(j.held for j in seen.judged if j.dataset == "sign.document")


def test_nothing_can_be_written_by_it(estate: Callable[[str], One]) -> None:
    one = estate("pg18")
    with (
        psycopg.connect(one.postgres("company", Role.PROVER)) as conn,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        conn.execute("DELETE FROM usage.location")


def test_a_shared_row_whose_parties_rows_went_is_told_and_goes_by_a_date_of_its_own(
    estate: Callable[[str], One],
) -> None:
    one = estate("pg18")
    before = see(CATALOGUE, one, AS_OF).unverified  # type: ignore[arg-type]
    assert "sign.contract" not in before
    with psycopg.connect(one.server.conninfo(one.name), autocommit=True) as conn:
        (left,) = conn.execute(
            "INSERT INTO sign.contract (title, digest, created_at) VALUES ('t', 'd', '2019-01-01'), (NULL, 'bare', '2019-01-01')"
            " RETURNING contract_id"
        ).fetchone() or (0,)  # fmt: skip
        try:
            seen = see(CATALOGUE, one, AS_OF, rows=37)  # type: ignore[arg-type]
            assert isinstance(seen.unverified["sign.contract"], Partly), "the rest was judged"
            assert seen.unverified["sign.contract"].startswith("2 rows of several owners are nobody's")
            assert not seen.unverified.keys() - before.keys() - {"sign.contract"}
            cut = see(_cut(CATALOGUE, "sign.contract", "created_at"), one, AS_OF)  # type: ignore[arg-type]
            assert cut.unverified["sign.contract"].startswith("1 rows of several owners"), (
                "and one is cut, and ends by its date"
            )
            dated = _dated(CATALOGUE, "sign.contract", "created_at")
            by_its_own = see(dated, one, AS_OF)  # type: ignore[arg-type]
            assert "sign.contract" not in by_its_own.unverified
            assert any(r.dataset == "sign.contract" and r.due for r in table(by_its_own))
        finally:
            conn.execute("DELETE FROM sign.contract WHERE contract_id IN (%s, %s)", (left, left + 1))


def _cut(catalogue: Catalogue, id_: str, column: str) -> Catalogue:
    """Rows of it are cut, and what is left ends by this column."""
    ends = Bound(rule="RS-04", period="register", start=Start(column=column))
    return catalogue.model_copy(update={"datasets": tuple(
        d.model_copy(update={"action": "deidentify", "cut": d.cut.model_copy(update={"ends": ends})})
        if d.id == id_ and d.cut is not None else d
        for d in catalogue.datasets
    )})  # fmt: skip


def _dated(catalogue: Catalogue, dataset: str, column: str) -> Catalogue:
    """The same catalogue, with a dataset whose rules count from a column of its own."""
    start = Start(column=column)
    return catalogue.model_copy(
        update={
            "datasets": tuple(
                d if d.id != dataset
                else d.model_copy(update={"binds": tuple(b.model_copy(update={"start": start}) for b in d.binds)})
                for d in catalogue.datasets
            )
        }
    )  # fmt: skip
