"""Every question that the suites make for the first policy's 60-odd tables is one that the database understands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include import catalogue as catalogues
from include import proofs
from include.model.flow import Provision
from include.model.words import Disposition, StoreKind, Verdict
from include.stores.postgres import PostgresStore, install
from tests.conftest import PgServer
from tests.proofs.test_gone import wrong
from tests.stores.postgres.making import Fixed, plan_of, step

SCHEMA = Path(__file__).parents[2] / "include" / "sandbox" / "schema"
PERSON = "acct_0123456789ab"
PEOPLE = """
INSERT INTO account.account SELECT 'acct_0123456789a' || x, 'person', 'user_' || x, 'CN', '1', '2020-01-01'
  FROM unnest('{b,c}'::text[]) AS u(x);
INSERT INTO account.person SELECT account_id, '张三', 'id_card',
       '11010519900307' || CASE user_name WHEN 'user_b' THEN '7011' ELSE '702X' END,
       '1390000000' || CASE user_name WHEN 'user_b' THEN '1' ELSE '2' END, user_name || '@mail.example' FROM account.account;
INSERT INTO account.session SELECT gen_random_uuid(), account_id, md5(account_id), '10.0.0.1', now() FROM account.account;
INSERT INTO account.api_token (account_id, token_hash, created_at) SELECT account_id, 'x', now() FROM account.account;
"""


@pytest.fixture
def sandbox(pg18: PgServer) -> Iterator[str]:
    name = pg18.fresh_database()
    with psycopg.connect(pg18.conninfo(name), autocommit=True) as connection:
        for file in sorted(SCHEMA.glob("*.sql")):
            connection.execute(file.read_bytes())
        connection.execute(PEOPLE)
    yield name
    pg18.drop_database(name)


def test_every_question_is_answered(pg18: PgServer, sandbox: str) -> None:
    whole = catalogues.load()
    databases = tuple(s for s in whole.stores if s.kind is StoreKind.POSTGRES)
    catalogue = whole.model_copy(update={"stores": databases})
    install(pg18.conninfo(sandbox), catalogue, "company")
    connections = Fixed(lambda role: pg18.conninfo(sandbox, role))
    store = PostgresStore(catalogue, "company", connections)
    it = step(PERSON)
    store.open(it)
    survey = store.survey(it)
    store.restrict(it)
    assert wrong(proofs.restricted(catalogue, connections, it)[0]) == {}

    provisions = [
        Provision(
            dataset=d.id, disposition=Disposition(d.action), rule=d.binds[0].rule, law="PIPL 47", cut=d.cut
        )
        for d in store.datasets
    ]
    survey = store.survey(it)
    plan = plan_of(it, survey, store.weigh(it, provisions))
    (before,) = proofs.baseline(catalogue, connections, it, plan)
    assert wrong(before) == {}
    values = proofs.collect_values(catalogue, connections, it)
    assert PERSON in values.found
    store.dispose(it, plan)
    started = time.monotonic()
    (after,) = proofs.gone(catalogue, connections, it, plan)
    took = time.monotonic() - started
    assert {n for n, v in wrong(after).items() if v is Verdict.FAILED or not n.startswith("beyond.")} == set()
    assert took < 10
    (net,) = proofs.dragnet(catalogue, connections, it, plan, values)
    assert wrong(net) == {}
