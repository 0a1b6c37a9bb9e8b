"""A small company, its catalogue, and one way through the verbs. Shared by the tests and the bench."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg

from include.model.catalogue import Catalogue
from include.model.estate import Bound, Cut, Dataset, Effect, Link, Measure, Start, StoreDeclared
from include.model.flow import Floor, Held, Line, Plan, Provision, Receipt, Step, Survey
from include.model.sessions import session
from include.model.times import Counting
from include.model.words import DatasetKind, Disposition, Ownership, Role, StoreKind
from include.stores.postgres import Patience, PostgresStore, install

TODAY = date(2026, 11, 24)
BUSINESS = ("shop_app", "shop_batch")

SCHEMA = """
CREATE SCHEMA account; CREATE SCHEMA sign; CREATE SCHEMA cert; CREATE SCHEMA log;
CREATE TABLE account.account (id text PRIMARY KEY, name text, phone text);
CREATE TABLE account.session (id bigint PRIMARY KEY, account_id text NOT NULL REFERENCES account.account, ip text);
CREATE INDEX ON account.session (account_id);
CREATE TABLE sign.contract (id int PRIMARY KEY, title text);
CREATE TABLE sign.party (contract_id int REFERENCES sign.contract, account_id text REFERENCES account.account,
                         PRIMARY KEY (contract_id, account_id));
CREATE INDEX ON sign.party (account_id);
CREATE TABLE sign.page (contract_id int REFERENCES sign.contract, no int, body text, PRIMARY KEY (contract_id, no));
CREATE TABLE cert.certificate (serial text PRIMARY KEY, account_id text REFERENCES account.account,
                               expires_on date, revoked_on date, dn text, previous text REFERENCES cert.certificate);
CREATE INDEX ON cert.certificate (account_id); CREATE INDEX ON cert.certificate (previous);
CREATE TABLE cert.application (id uuid PRIMARY KEY, serial text REFERENCES cert.certificate, id_card text);
CREATE INDEX ON cert.application (serial);
CREATE TABLE log.access (at timestamptz, id bigint, account_id text, path text, PRIMARY KEY (at, id))
    PARTITION BY RANGE (at);
CREATE TABLE log.access_old PARTITION OF log.access FOR VALUES FROM ('2000-01-01') TO ('2026-07-01');
CREATE TABLE log.access_new PARTITION OF log.access FOR VALUES FROM ('2026-07-01') TO ('2100-01-01');
CREATE INDEX ON log.access (account_id);
CREATE TABLE sign.folder (id int PRIMARY KEY, owner_id text, viewer_id text, label text);
CREATE INDEX ON sign.folder (owner_id); CREATE INDEX ON sign.folder (viewer_id);
GRANT USAGE ON SCHEMA account, sign, cert, log TO shop_app, shop_batch;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA account, sign, cert, log TO shop_app, shop_batch;
"""

PEOPLE = """
INSERT INTO account.account SELECT 'A'||i, 'name '||i, '1380000'||i FROM generate_series(1, {n}) i;
INSERT INTO account.session SELECT i*10+j, 'A'||i, '10.0.0.'||j FROM generate_series(1, {n}) i, generate_series(1, 3) j;
INSERT INTO sign.contract SELECT i, 'contract '||i FROM generate_series(1, {n}) i;
-- contract i: A<i>, and A<i+1> where i is odd
INSERT INTO sign.party SELECT i, 'A'||i FROM generate_series(1, {n}) i;
INSERT INTO sign.party SELECT i, 'A'||(i+1) FROM generate_series(1, {n} - 1, 2) i;
INSERT INTO sign.page SELECT i, j, 'page' FROM generate_series(1, {n}) i, generate_series(1, 2) j;
-- A chain of two: the first expired seven years ago; the second is over for odd people, live for even ones
INSERT INTO cert.certificate SELECT 'S'||i||'a', 'A'||i, '2019-01-01', NULL, 'CN=name '||i, NULL FROM generate_series(1, {n}) i;
INSERT INTO cert.certificate SELECT 'S'||i||'b', 'A'||i,
       CASE WHEN i % 2 = 0 THEN date '2027-01-01' ELSE date '2020-06-01' END, NULL, 'CN=name '||i, 'S'||i||'a'
  FROM generate_series(1, {n}) i;
INSERT INTO cert.application SELECT gen_random_uuid(), 'S'||i||'b', 'id card '||i FROM generate_series(1, {n}) i;
INSERT INTO log.access SELECT '2026-01-05', i, 'A'||i, '/old' FROM generate_series(1, {n}) i;
INSERT INTO log.access SELECT '2026-11-01', i, 'A'||i, '/new' FROM generate_series(1, {n}) i;
INSERT INTO sign.folder SELECT i, 'A'||i, 'A'||(i % {n} + 1), 'folder' FROM generate_series(1, {n}) i;
"""


def dataset(id: str, key: str, *links: Link, **more: Any) -> Dataset:
    return Dataset(
        id=id,
        store="company",
        kind=DatasetKind.TABLE,
        title=id,
        address=more.pop("address", id),
        key=tuple(key.split()),
        links=links,
        binds=more.pop("binds", (Bound(rule="RS-01"),)),
        **more,
    )


def own(column: str, ownership: Ownership = Ownership.SOLE) -> Link:
    return Link(column=column, ownership=ownership)


def via(parent: str, ownership: Ownership = Ownership.SOLE, **on: str) -> Link:
    return Link(via=parent, on=on, ownership=ownership)


def catalogue(
    *datasets: Dataset,
    measures: dict[str, str] | None = None,
    starting_points: dict[str, str] | None = None,
    business_roles: tuple[str, ...] = BUSINESS,
) -> Catalogue:
    measures = measures or {}
    return Catalogue(
        name="test",
        digest="0" * 64,
        clauses=(),
        categories=(),
        rules=(),
        recipients=(),
        stores=(
            StoreDeclared(
                id="company",
                kind=StoreKind.POSTGRES,
                region="CN",
                connection="company",
                business_roles=business_roles,
                description="test",
            ),
        ),
        datasets=datasets,
        not_personal=(),
        backups=(),
        measures=tuple(Measure(id=m, store="company", title=m, law="law") for m in measures),
        measure_sql=measures,
        controls=(),
        starting_points=starting_points or {},
    )


CHAIN_END = """
SELECT c.serial, CASE WHEN chain.ends > %(as_of)s THEN NULL ELSE chain.ends END AS started_at
  FROM cert.certificate AS c
  JOIN (SELECT account_id, max(least(expires_on, revoked_on)) AS ends FROM cert.certificate GROUP BY account_id) AS chain
    USING (account_id)
 WHERE c.account_id IN (SELECT subject_id FROM cohort)
"""
REVOKE = """
UPDATE cert.certificate SET revoked_on = %(as_of)s
 WHERE account_id IN (SELECT subject_id FROM cohort) AND revoked_on IS NULL AND expires_on > %(as_of)s
"""

ACCOUNT = dataset("account.account", "id", own("id"), cut=Cut(set={"name": None, "phone": None}))
SESSION = dataset("account.session", "id", own("account_id"))
PARTY = dataset("sign.party", "contract_id account_id", own("account_id"))
CONTRACT = dataset("sign.contract", "id", via("sign.party", Ownership.SHARED, id="contract_id"))
PAGE = dataset("sign.page", "contract_id no", via("sign.contract", contract_id="id"))
CERTIFICATE = dataset(
    "cert.certificate", "serial", own("account_id"), action="deidentify", cut=Cut(set={"dn": None})
)
APPLICATION = dataset("cert.application", "id", via("cert.certificate", serial="serial"))
ACCESS = dataset("log.access", "at id", own("account_id"))
FOLDER = dataset("sign.folder", "id", own("owner_id"), own("viewer_id", Ownership.ACCESS_ONLY))
SHOP = catalogue(
    ACCOUNT,
    SESSION,
    PARTY,
    CONTRACT,
    PAGE,
    CERTIFICATE,
    APPLICATION,
    ACCESS,
    FOLDER,
    measures={"revoke": REVOKE},
    starting_points={"chain_end": CHAIN_END},
)

REGISTERED = tuple(
    d.model_copy(
        update={
            "cut": Cut(
                set={"dn": None},
                ends=Bound(rule="RS-04", period="register", start=Start(column="expires_on")),
            )
        }
    )
    if d is CERTIFICATE
    else d
    for d in SHOP.datasets
)
"""The shop's tables where cases are certified: what is left of its cut certificates has an end (RS-04/register)."""

FIVE_YEARS = Floor(
    rule="RS-03",
    period="main",
    duration="P5Y",
    counting=Counting.CALENDAR,
    start=Start(query="chain_end", on={"serial": "serial"}),
    law="ESL 24",
)
SIX_MONTHS = Floor(
    rule="RS-12",
    period="main",
    duration="P6M",
    counting=Counting.CALENDAR,
    start=Start(column="at"),
    law="CSL 23(3)",
)


def provide(cat: Catalogue, **floors: tuple[Floor, ...]) -> tuple[Provision, ...]:
    """The declared action of each dataset; floors and holds by dataset id with ``_`` for the dot."""
    return tuple(
        Provision(
            dataset=d.id,
            disposition=Disposition(d.action),
            rule="RS-01",
            law="PIPL 47",
            cut=d.cut,
            floors=floors.get(d.id.replace(".", "_"), ()),
        )
        for d in cat.datasets
    )


def shop_provisions(of: Catalogue = SHOP) -> tuple[Provision, ...]:
    return provide(
        of, cert_certificate=(FIVE_YEARS,), cert_application=(FIVE_YEARS,), log_access=(SIX_MONTHS,)
    )


def holding(provisions: Sequence[Provision], dataset_id: str, *nos: int) -> tuple[Provision, ...]:
    held = Held(hold="HOLD-000001", subject_nos=nos, law="Arb. Law 58")
    return tuple(
        p.model_copy(update={"holds": (held,)}) if p.dataset == dataset_id else p for p in provisions
    )


class Fixed:
    """Connections from a function role -> conninfo."""

    def __init__(self, of: Callable[[str], str]) -> None:
        self._of = of

    def postgres(self, connection: str, role: Role) -> str:
        return self._of(role.value)

    def s3(self, connection: str, role: Role) -> Any:
        raise NotImplementedError

    def text(self, name: str) -> str:
        raise NotImplementedError


_steps = itertools.count(1)


def step(*subjects: str, restricting: bool = True, as_of: date = TODAY) -> Step:
    n = next(_steps)
    return Step(id=f"s{n}", case_no=f"CASE-{n:06d}", as_of=as_of, restricting=restricting, subjects=subjects)


PATIENCE = Patience(statement=60, lock=2, settle=1, attempts=4)


@dataclass
class Company:
    """One database with the store on it."""

    conninfo: Callable[[str], str]
    catalogue: Catalogue
    admin: str
    options: dict[str, Any] = field(default_factory=dict)

    def store(self, **options: Any) -> PostgresStore:
        return PostgresStore(
            self.catalogue,
            "company",
            Fixed(self.conninfo),
            **{"patience": PATIENCE, **self.options, **options},
        )

    def install(self) -> None:
        install(self.conninfo(self.admin), self.catalogue, "company")

    def sql(self, statement: str, *parameters: Any, user: str = "") -> list[tuple[Any, ...]]:
        conninfo = self.conninfo(user or self.admin)
        with session(conninfo, "tests", lambda: psycopg.connect(conninfo, autocommit=True)) as connection:
            cursor = connection.execute(statement, parameters or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *parameters: Any, user: str = "") -> Any:
        return self.sql(statement, *parameters, user=user)[0][0]

    def prepare(
        self, it: Step, provisions: Sequence[Provision], store: PostgresStore | None = None
    ) -> tuple[Plan, Survey]:
        """Open, survey, weigh, plan."""
        store = store or self.store()
        store.open(it)
        survey = store.survey(it)
        return plan_of(it, survey, store.weigh(it, provisions)), survey

    def cancel(
        self, it: Step, provisions: Sequence[Provision], store: PostgresStore | None = None
    ) -> tuple[Plan, Receipt]:
        """The whole way: restrict, settle, survey, weigh, dispose."""
        store = store or self.store()
        store.open(it)
        store.restrict(it)
        store.settle(it)
        plan, _ = self.prepare(it, provisions, store)
        return plan, store.dispose(it, plan)

    def digest(self, table: str, where: str = "true") -> tuple[int, str]:
        """Rows and bytes of a table, whatever their order."""
        n, digest = self.sql(
            f"SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM {table} t WHERE {where}"
        )[0]
        return n, digest


def plan_of(it: Step, survey: Survey, lines: Sequence[Line]) -> Plan:
    provided = {line.dataset for line in lines}
    return Plan(
        step=it.id,
        case_no=it.case_no,
        as_of=it.as_of,
        catalogue="0" * 64,
        code="test",
        located=tuple(x for x in survey.located if x.dataset in provided or not x.items),
        lines=tuple(lines),
    )


def fates(plan: Plan) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in plan.lines:
        of = found.setdefault(line.dataset, {})
        of[line.disposition.value] = of.get(line.disposition.value, 0) + line.items
    return found


__all__ = ["Effect"]
