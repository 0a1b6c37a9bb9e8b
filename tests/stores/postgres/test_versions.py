"""A longer company period reaches whoever accepted the version of the policy that says it, and nobody else: in SQL, by rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from include.cases.retention.accepted import Asked
from include.cases.retention.asking import Asking
from include.cases.retention.due import see, table
from include.cases.retention.held import HeldPeople
from include.cases.retention.late import late
from include.cases.retention.late import table as minutes_of
from include.cases.retention.limits import question
from include.model.catalogue import Catalogue
from include.model.interval import Standing
from include.model.versions import PolicyVersion
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.server import Server
from tests.conftest import PgServer
from tests.stores.postgres.dated import AS_OF, CATALOGUE, One, Oracle, made

OLD, NEW = CATALOGUE.versions[-1].id, "2026-10"


def longer(*names: str) -> Catalogue:
    """The first policy with these company periods twice as long, all of them if none is named, since its next version."""
    rules = []
    for rule in CATALOGUE.rules:
        periods = [
            p.model_copy(update={"duration": twice(p.duration)})
            if p.shortenable and (not names or f"{rule.id}/{p.name}" in names)
            else p
            for p in rule.periods
        ]
        rules.append(rule.model_copy(update={"periods": tuple(periods)}))
    says = {f"{r.id}/{p.name}": p.duration for r in rules for p in r.periods if p.shortenable}
    versions = (*CATALOGUE.versions, PolicyVersion(id=NEW, says=says))
    return CATALOGUE.model_copy(update={"rules": tuple(rules), "versions": versions})


def twice(duration: str) -> str:
    return re.sub(r"\d+", lambda n: str(2 * int(n.group())), duration)


@pytest.fixture(scope="module")
def estate(pg18: PgServer) -> Iterator[One]:
    """The sandbox's company, of which every other person accepted the new version."""
    one = made(pg18)
    with psycopg.connect(pg18.conninfo(one.name)) as conn:
        conn.execute(
            "UPDATE account.account SET policy_version = %s WHERE account_id IN (SELECT account_id FROM"
            " (SELECT account_id, row_number() OVER (ORDER BY account_id) AS n FROM account.account) AS x WHERE n %% 2 = 0)",
            [NEW],
        )
        # Places of the day before, of people who are there still.
        conn.execute(
            "INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at)"
            " SELECT account_id, 1, 1, 1, '2026-11-22 16:00:00+00' FROM account.account WHERE cancelled_at IS NULL"
        )
    yield one
    pg18.drop_database(one.name)


def found(catalogue: Catalogue, one: One) -> dict[tuple[str, str], int]:
    seen = see(catalogue, one, AS_OF, rows=37)  # type: ignore[arg-type]
    assert set(seen.unverified) == {d.id for d in CATALOGUE.of_store("objects")}
    return {(r.rule, r.dataset): r.due for r in table(seen)}


def test_what_sql_finds_is_due_by_what_each_owner_accepted(estate: One) -> None:
    catalogue = longer().in_parts
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        oracle = Oracle(conn, catalogue)
    expected: Counter[tuple[str, str]] = Counter()
    for d in catalogue.of_store("company", DatasetKind.TABLE):
        for row in oracle.rows[d.id]:
            rule, stands = oracle.standing(d, row)
            if stands is Standing.DUE and not oracle.bare(d, row):
                expected[rule, d.id] += 1
    told = found(catalogue, estate)
    assert told == dict(expected)
    # Who accepted which makes the difference: more than if all had accepted, and less than if nobody had.
    everybody = catalogue.model_copy(update={"versions": ()})
    as_before = catalogue.model_copy(update={"versions": catalogue.versions[:1]})
    some, all_, none = (sum(x.values()) for x in (told, found(everybody, estate), found(as_before, estate)))
    assert all_ < some < none
    assert found(CATALOGUE, estate) == found(as_before, estate)


def test_what_is_late_is_so_by_what_each_owner_accepted(estate: One) -> None:
    catalogue, at = longer().in_parts, datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        oracle = Oracle(conn, catalogue)
    expected: dict[tuple[str, str], list[datetime]] = {}
    for d in catalogue.of_store("company", DatasetKind.TABLE):
        for row in oracle.rows[d.id]:
            if not oracle.bare(d, row) and (past := oracle.late(d, row, at)):
                expected.setdefault((past[0], d.id), []).append(past[1])
    told = {(r.rule, r.dataset): (r.due, r.late) for r in minutes_of(late(catalogue, estate, at, rows=37))}  # type: ignore[arg-type]
    assert told == {k: (len(v), (at - min(v)) // timedelta(minutes=1)) for k, v in expected.items()}
    before = {(r.rule, r.dataset): r.due for r in minutes_of(late(CATALOGUE, estate, at))}  # type: ignore[arg-type]
    assert sum(n for n, _ in told.values()) < sum(before.values())


def test_accounts_say_what_was_accepted_of_records_in_files(estate: One) -> None:
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        rows = dict(conn.execute("SELECT account_id, policy_version FROM account.account").fetchall())
    asked = Asked(CATALOGUE, estate)  # type: ignore[arg-type]
    few = [*sorted(rows)[:3], "nobody's"]
    assert set(rows.values()) == {OLD, NEW}
    assert asked(few) == {who: rows[who] for who in few[:3]}
    assert asked({*few, *rows}) == rows and asked([]) == {}
    assert "nobody's" not in repr(asked)


def test_a_look_without_a_former_period_asks_as_it_did(estate: One) -> None:
    """What was made longer makes its own tables' questions longer, and those of no other."""
    changed = longer("RS-12/cap")
    with Server(lambda: estate.postgres("company", Role.PROVER), "company").connect() as connection:
        live = Live.read(connection)
        before, after = (
            Asking(c, AS_OF, HeldPeople).looks(Server(lambda: "", "company"), connection, live)
            for c in (CATALOGUE, changed)
        )
    for d, look in before.items():
        bound = any((b.rule, b.period) == ("RS-12", "cap") for b in CATALOGUE.dataset(d).all_binds)
        same = look.groups(None, None).as_string(None) == after[d].groups(None, None).as_string(None)
        assert same is not bound, d
    assert before["usage.access_log"].plain and not after["usage.access_log"].plain


def test_who_accepts_while_a_night_is_at_work_keeps_what_was_due(estate: One) -> None:
    catalogue = longer("RS-12/cap")
    with Server(lambda: estate.postgres("company", Role.ERASER), "company").connect() as connection:
        live = Live.read(connection)
        server = Server(lambda: "", "company")
        look = Asking(catalogue, AS_OF, HeldPeople).looks(server, connection, live)["usage.access_log"]
        then = connection.execute(look.due_rows(look.between(None, None))).fetchall()
    assert question(catalogue, look.dataset, AS_OF).limits == look.question.limits
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        of = dict(conn.execute("SELECT log_id, account_id FROM usage.access_log").fetchall())
        old = dict(
            conn.execute(
                "SELECT log_id, occurred_at < '2024-11-24'::date - interval '8 hours' FROM usage.access_log"
            ).fetchall()
        )
        it = next(row[0] for row in then if of[row[0]] is not None and not old[row[0]])
        went = f"CREATE TEMP TABLE was AS SELECT * FROM ({look.due_rows(look.between(None, None)).as_string(conn)}) AS x"
        conn.execute(went.encode())
        again = look.again(psycopg.sql.SQL("SELECT log_id, occurred_at FROM was")).as_string(conn)
        still = look.still("was", "now").as_string(conn)
        asked = f"SELECT {still} FROM was JOIN ({again}) AS now USING (log_id, occurred_at) WHERE log_id = %s".encode()
        assert conn.execute(asked, [it]).fetchone() == (True,)
        conn.execute("UPDATE account.account SET policy_version = %s WHERE account_id = %s", [NEW, of[it]])
        assert conn.execute(asked, [it]).fetchone() == (False,)
        conn.rollback()


def test_what_is_several_peoples_is_kept_longer_with_the_consent_of_all(estate: One) -> None:
    catalogue = longer("RS-12/cap")
    contract = CATALOGUE.dataset("sign.contract")
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        owners = _accepted(catalogue, conn, contract)
        assert owners(True, True) is True
        assert owners(True, False) is False
        assert owners(False, False) is False
        assert owners() is False, "nobody's, so that nobody's consent can be shown"


def _accepted(catalogue: Catalogue, conn: psycopg.Connection[Any], contract: Any) -> Any:
    from include.stores.postgres.retention.owners import Owners

    condition = Owners(catalogue, Live.read(conn)).accepted(contract, "t", (NEW,)).as_string(conn)  # type: ignore[arg-type]
    number, *_ = conn.execute("SELECT contract_id FROM sign.contract LIMIT 1").fetchone() or (None,)
    some = [
        r[0] for r in conn.execute("SELECT account_id FROM account.account ORDER BY 1 LIMIT 2").fetchall()
    ]

    def asked(*accepted: bool) -> bool:
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute("DELETE FROM sign.contract_party WHERE contract_id = %s", [number])
        for who, did in zip(some, accepted, strict=False):
            conn.execute(
                "UPDATE account.account SET policy_version = %s WHERE account_id = %s",
                [NEW if did else OLD, who],
            )
            conn.execute(PARTY, [number, who])
        row = conn.execute(
            f"SELECT {condition} FROM sign.contract AS t WHERE contract_id = %s".encode(), [number]
        ).fetchone()
        conn.rollback()
        return bool(row and row[0])

    return asked


PARTY = "INSERT INTO sign.contract_party (contract_id, account_id, joined_at) VALUES (%s, %s, '2024-01-01')"
