"""A new key-encryption key: every data key is wrapped anew, none is lost, and what does not open is left and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from include.commands import keys as command
from include.model import sealed
from include.model.errors import Refused, Unopened
from include.model.keks import CONNECTION, Keks
from include.stores.postgres import rewrapping
from include.stores.postgres.collection import Writing
from include.stores.postgres.rewrapping import Rewrapped, by_kek, rewrap
from include.stores.postgres.server import Server
from tests.conftest import PgServer
from tests.proofs.sealing import DDL, KEYS, TABLES
from tests.stores.postgres.making import BUSINESS, PATIENCE, Company, Fixed, provide, step

OURS = ("eraser", "prover", "maintainer")
OLD, NEW = Keks.made("old"), Keks.made("new")
BOTH = Keks(dict(NEW.by_name) | dict(OLD.by_name))


@pytest.fixture(scope="module")
def pg_server(pg18: PgServer) -> PgServer:
    return pg18


@pytest.fixture
def company(new_company: Callable[..., Company]) -> Company:
    return new_company(TABLES, DDL, "sealed4")


@pytest.fixture
def secrets(company: Company) -> dict[UUID, bytes]:
    made = {uuid4(): sealed.new_key() for _ in range(23)}
    for n, (key_id, key) in enumerate(made.items()):
        company.sql("INSERT INTO account.video_key VALUES (%s, %s, 'old', %s)",
                    key_id, f"A{n % 4 + 1}", OLD.wrap(key_id, key))  # fmt: skip
    return made


def server(company: Company) -> Server:
    return Server(lambda: company.conninfo("eraser"), "company", PATIENCE)


def opened(company: Company, keks: Keks) -> dict[UUID, bytes]:
    rows = company.sql("SELECT key_id, kek, wrapped FROM account.video_key")
    return {i: keks.unwrap(kek, i, bytes(w)) for i, kek, w in rows}


def test_every_key_is_wrapped_anew_and_is_the_same_key(
    company: Company, secrets: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "BATCH", 5)
    assert by_kek(server(company), KEYS) == {"old": 23}
    assert rewrap(server(company), KEYS, BOTH) == Rewrapped(23, 0)
    assert by_kek(server(company), KEYS) == {"new": 23}
    assert opened(company, NEW) == secrets, "the old one may be destroyed"
    with pytest.raises(Unopened):
        opened(company, OLD)
    assert rewrap(server(company), KEYS, BOTH) == Rewrapped(0, 0), "a second run finds nothing to do"


def test_a_run_that_is_stopped_half_way_is_gone_on_with(
    company: Company, secrets: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "BATCH", 5)
    real, calls = Keks.wrap, 0

    def dying(self: Keks, key_id: UUID, key: bytes) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 13:
            raise KeyboardInterrupt
        return real(self, key_id, key)

    monkeypatch.setattr(Keks, "wrap", dying)
    with pytest.raises(KeyboardInterrupt):
        rewrap(server(company), KEYS, BOTH)
    assert by_kek(server(company), KEYS) == {"new": 10, "old": 13}
    assert opened(company, BOTH) == secrets
    monkeypatch.setattr(Keks, "wrap", real)
    assert rewrap(server(company), KEYS, BOTH) == Rewrapped(13, 0)
    assert opened(company, NEW) == secrets


def test_what_does_not_open_is_left_as_it_is_and_counted(
    company: Company, secrets: dict[UUID, bytes]
) -> None:
    strange, other = list(secrets)[:2]
    company.sql("UPDATE account.video_key SET kek = 'lost' WHERE key_id = %s", strange)
    company.sql(
        "UPDATE account.video_key SET wrapped = overlay(wrapped placing '\\x0000' from 30) WHERE key_id = %s",
        other,
    )
    before = company.sql(
        "SELECT * FROM account.video_key WHERE key_id = ANY(%s) ORDER BY 1", [strange, other]
    )
    assert rewrap(server(company), KEYS, BOTH) == Rewrapped(21, 2)
    after = company.sql("SELECT * FROM account.video_key WHERE key_id = ANY(%s) ORDER BY 1", [strange, other])
    assert after == before


def test_what_a_step_at_work_keeps_is_not_written(company: Company, secrets: dict[UUID, bytes]) -> None:
    it, store = step("A1"), company.store()
    company.prepare(it, provide(TABLES), store)
    assert rewrap(server(company), KEYS, BOTH).done == 23, "a rehearsal keeps nothing from being written"
    store.restrict(it)
    with pytest.raises(Refused, match="1 steps are at work"):
        rewrap(server(company), KEYS, OLD)
    store.close(it)
    assert rewrap(server(company), KEYS, Keks(dict(OLD.by_name) | dict(NEW.by_name))).done == 23


def test_a_table_without_keys_is_refused(company: Company) -> None:
    with pytest.raises(Refused, match="holds no keys"):
        by_kek(server(company), TABLES.datasets[0])


def test_the_command_says_what_wraps_what_and_wraps_it_anew(
    company: Company, secrets: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Given(Fixed):
        def text(self, name: str) -> str:
            assert name == CONNECTION
            return BOTH.text()

    monkeypatch.setattr("include.commands.keys.connections", lambda: Given(company.conninfo))
    monkeypatch.setattr("include.commands._common.catalogue", lambda: TABLES)
    run = CliRunner()

    def listed() -> list[tuple[str, int, str]]:
        said = json.loads(run.invoke(command.app, ["list", "--json"]).output)
        return [(row["wrapped with"], row["rows"], row["that"]) for row in said]

    assert listed() == [("old", 23, "is here")]
    company.sql("UPDATE account.video_key SET kek = 'lost' WHERE key_id = %s", next(iter(secrets)))
    done = run.invoke(command.app, ["rewrap"])
    assert done.exit_code == 3
    assert done.output == "account.video_key: 22 wrapped anew with new, 1 do not open and were left\n", (
        done.output
    )
    assert listed() == [("lost", 1, "is NOT here"), ("new", 22, "is the newest")]
    company.sql("DELETE FROM account.video_key WHERE kek = 'lost'")
    assert run.invoke(command.app, ["rewrap"]).exit_code == 0


def test_after_t0_keys_that_were_wrapped_anew_are_no_collection_and_others_are(
    company: Company, secrets: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "BATCH", 9)
    gate = Writing(Server(lambda: company.conninfo("quietus_admin"), "company", PATIENCE), OURS)
    picture = gate.take(gate.rights())
    prover = Writing(Server(lambda: company.conninfo("prover"), "company", PATIENCE), OURS)
    company.sql("UPDATE account.video_key SET kek = kek WHERE key_id = %s", min(secrets))
    assert prover.look(picture, BUSINESS).grew == {"account.video_key": 1}
    assert rewrap(server(company), KEYS, BOTH) == Rewrapped(23, 0)
    assert prover.look(picture, BUSINESS).grew == {}, "23 rows were written by 3 transactions, and said"
    assert company.sql("SELECT relation, kek, sum(keys) FROM quietus.rewrapped GROUP BY 1, 2") == [
        ("account.video_key", "new", 23)
    ]
    # A receipt is of so many rows of one table, and of no more: what came beside them is found.
    with psycopg.connect(company.conninfo("quietus_admin")) as conn:
        conn.execute(
            "INSERT INTO quietus.rewrapped (relation, kek, keys) VALUES ('account.video_key', 'new', 1)"
        )
        conn.execute("UPDATE account.video_key SET kek = kek WHERE key_id = ANY(%s)", [sorted(secrets)[:3]])
        conn.execute("INSERT INTO account.account VALUES ('acct_late', 'late')")
    assert prover.look(picture, BUSINESS).grew == {"account.video_key": 2, "account.account": 1}
