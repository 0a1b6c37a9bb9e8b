"""The company's people lie with whoever was given their data, as the transfer register says: once, and in bulk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from include.model.errors import NotReachable
from include.sandbox import seed as seeding
from include.sandbox.loading import load, make_partitions
from include.sandbox.people.everybody import makings, rows_of
from include.sandbox.recipients.deeds import Asked, answer, months_after
from include.sandbox.recipients.populace import settle
from include.sandbox.recipients.truth import truth
from include.sandbox.recipients.world import Record, World
from tests.conftest import PgServer

TODAY = date(2026, 11, 24)
CASES = seeding.hard_cases(1)


@pytest.fixture(scope="module")
def company(pg18: PgServer) -> Iterator[str]:
    """The rows of a small company, by its conninfo."""
    name = pg18.fresh_database()
    owner = pg18.conninfo(name)
    seeding.apply_schema(owner)
    with psycopg.connect(owner) as conn:
        make_partitions(conn, TODAY)
        load(conn, (row for making in makings(60, 1, TODAY) for row in rows_of(making)))
        conn.execute("COMMENT ON SCHEMA account IS 'made for this test'")
    yield owner
    pg18.drop_database(name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "outside")
    yield made
    made.close()


def transfers(owner: str, account: str) -> dict[str, int]:
    with psycopg.connect(owner) as conn:
        return {
            str(body): int(n)
            for body, n in conn.execute(
                "SELECT recipient_id, count(*) FROM partner.transfer WHERE account_id = %s GROUP BY 1",
                [account],
            )
        }


def test_each_body_has_what_the_register_says_it_was_given(company: str, world: World) -> None:
    said: list[str] = []
    new = settle(company, world, said.append)
    with psycopg.connect(company) as conn:
        rows = conn.execute("SELECT recipient_id, vendor_txn_id, account_id FROM partner.transfer").fetchall()
    assert new == len(rows) == sum(world.known().values()) > 100
    assert said == [f"recipients: {new:,} records of the company's people lie with them"]
    assert all(world.knows(str(body), str(ref)) for body, ref, _ in rows)
    for name in ("ordinary", "arbitration", "bare"):
        had = {k.body: k.given for k in truth(world, CASES[name])}
        assert had == transfers(company, CASES[name])
    assert {k.body: k.given for k in truth(world, CASES["bare"])} == {}


def test_what_a_body_forgot_does_not_come_back_with_the_next_start(company: str, world: World) -> None:
    settle(company, world)
    body, known = next((k.body, k) for k in truth(world, CASES["ordinary"]) if k.body == "baiwang")
    refs = tuple(
        ref
        for (ref,) in world.state.rows("SELECT ref FROM record WHERE body = ? AND mark IS NOT NULL", (body,))
    )
    with world.state.change() as db:
        # Years later nothing that a law kept is kept any longer.
        answer(db, world.behaviour(body), Asked(refs), months_after(TODAY, 100))
    assert settle(company, world) == 0
    assert [k.still for k in truth(world, CASES["ordinary"]) if k.body == body] == [0]
    assert known.given > 0


def test_a_world_that_lost_its_memory_is_told_of_nobody_who_is_restricted_or_gone(
    company: str, world: World
) -> None:
    with psycopg.connect(company) as conn:
        conn.execute("CREATE SCHEMA quietus")
        conn.execute("CREATE TABLE quietus.restriction (subject_id text)")
        conn.execute("INSERT INTO quietus.restriction VALUES (%s)", [CASES["ordinary"]])
    try:
        settle(company, world)
    finally:
        with psycopg.connect(company) as conn:
            conn.execute("DROP SCHEMA quietus CASCADE")
    assert truth(world, CASES["ordinary"]) == ()
    assert {k.body: k.given for k in truth(world, CASES["neighbour"])} == transfers(
        company, CASES["neighbour"]
    )


def test_an_sms_vendor_finds_people_by_their_number_and_others_do_not(company: str, world: World) -> None:
    settle(company, world)
    by_number = {b for (b,) in world.state.rows("SELECT DISTINCT body FROM record WHERE value IS NOT NULL")}
    assert by_number and by_number <= {"emay", "weilai", "chuanglan"}


def test_a_company_that_nobody_is_in_yet_fills_nothing(pg18: PgServer, world: World) -> None:
    name = pg18.fresh_database()
    assert settle(pg18.conninfo(name), world) == 0 and world.fact("filled") is None
    pg18.drop_database(name)
    with pytest.raises(NotReachable, match="does not answer"):
        settle("host=127.0.0.1 port=9 user=nobody dbname=x", world)


@pytest.mark.slow
def test_a_hundred_thousand_records_are_fine(world: World) -> None:
    """They are loaded in seconds of one core (100,000 people have three and a half times as many), and one of them is
    found, and goes, at once."""
    records = (
        Record(("juhe", "yizhengtong", "emay", "webank_chain")[n % 4], f"{n * 2654435761 % 2**32:08x}-{n}", f"acc-{n // 4}",
               ("PI-001", "PI-037"), TODAY - timedelta(days=n % 1000))
        for n in range(100_000)
    )  # fmt: skip
    begun = time.process_time()
    assert world.register(records) == 100_000
    assert time.process_time() - begun < 15
    begun = time.process_time()
    with world.state.change() as db:
        parts = answer(db, world.behaviour("juhe"), Asked((f"{4 * 2654435761 % 2**32:08x}-4",)), TODAY)
    assert parts[0]["count"] == 1
    assert [k.body for k in truth(world, "acc-1") if k.gone] == ["juhe"]
    assert time.process_time() - begun < 0.5
