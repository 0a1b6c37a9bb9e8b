"""A small shop with a case book, in which nights are held by the verbs, without Airflow and without a ledger's signer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import pytest

from include.cases import book, certifying, papers
from include.cases.keys import FileKeyStore
from include.cases.retention import ended, nights, whole
from include.cases.retention import night as nightly
from include.cases.retention.nights import Night
from include.cases.rooms import Desk
from include.ledger.screen import screened
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Accounts, Bound, Cut, Start
from include.model.words import CaseState, LegalRank, Role
from include.stores.postgres import PostgresStore
from include.stores.postgres import clearing as stores
from include.stores.postgres.clearing import Clearing
from tests.cases.small import rule
from tests.stores.postgres.making import PATIENCE, Company, catalogue, dataset, own, via

DAY = date(2026, 11, 24)
ROBOT = "system/airflow"

SCHEMA = """
CREATE SCHEMA a; CREATE SCHEMA u; CREATE SCHEMA s;
CREATE TABLE a.account (id text PRIMARY KEY, name text, ended date);
CREATE TABLE u.visit (id int PRIMARY KEY, account_id text REFERENCES a.account, at date, path text);
CREATE TABLE u.click (id int PRIMARY KEY, account_id text REFERENCES a.account, at date);
CREATE TABLE s.ticket (id int PRIMARY KEY, account_id text REFERENCES a.account, closed date, body text);
CREATE TABLE s.note (id int PRIMARY KEY, ticket_id int REFERENCES s.ticket, written date);
CREATE INDEX ON u.visit (account_id); CREATE INDEX ON u.click (account_id); CREATE INDEX ON s.ticket (account_id);
CREATE INDEX ON s.note (ticket_id);
GRANT USAGE ON SCHEMA a, u, s TO shop_app, shop_batch;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA a, u, s TO shop_app, shop_batch;
-- Ten people, of whom one left long ago. Visits and clicks: one in two is over. A note that must stay needs ticket 3.
INSERT INTO a.account SELECT 'acct_'||lpad(i::text, 12, '0'), 'name '||i, CASE WHEN i = 10 THEN date '2026-01-01' END
  FROM generate_series(1, 10) i;
INSERT INTO u.visit SELECT i, 'acct_'||lpad((i % 9 + 1)::text, 12, '0'), date '2026-11-24' - (i % 2) * 400 - 1, '/'
  FROM generate_series(1, 60) i;
INSERT INTO u.click SELECT i, 'acct_'||lpad((i % 9 + 1)::text, 12, '0'), date '2026-11-24' - (i % 2) * 400 - 1
  FROM generate_series(1, 20) i;
INSERT INTO s.ticket SELECT i, 'acct_'||lpad(i::text, 12, '0'), date '2026-11-24' - (i % 2) * 400 - 1, 'b'
  FROM generate_series(1, 8) i;
INSERT INTO s.note SELECT i, i, date '2026-11-24' - CASE WHEN i = 3 THEN 1 ELSE 400 END FROM generate_series(1, 8) i;
"""
TABLES = ("a.account", "u.visit", "u.click", "s.ticket", "s.note")


def _over(column: str) -> tuple[Bound, ...]:
    return (Bound(rule="RS-12", start=Start(column=column)),)


SHOP: Catalogue = catalogue(
    dataset("a.account", "id", own("id"), cut=Cut(set={"name": None}), accounts=Accounts(ended="ended")),
    dataset("u.visit", "id", own("account_id"), binds=_over("at")),
    dataset("u.click", "id", own("account_id"), binds=_over("at")),
    dataset("s.ticket", "id", own("account_id"), binds=_over("closed")),
    dataset("s.note", "id", via("s.ticket", ticket_id="id"), binds=_over("written")),
).model_copy(
    update={
        "rules": (
            rule("RS-01", "P30D", "ceiling", LegalRank.LAW, "PIPL 47"),
            rule("RS-12", "P1Y", "ceiling", LegalRank.LAW, "PIPL 19"),
        )
    }
)


AS_IF = """
DELETE FROM s.note WHERE written < '2025-11-24';
DELETE FROM s.ticket WHERE closed < '2025-11-24' AND id <> 3;
DELETE FROM u.visit WHERE at < '2025-11-24'; DELETE FROM u.click WHERE at < '2025-11-24';
DELETE FROM a.account WHERE ended < '2026-10-25';
"""
"""What a night does to the shop, in so many words."""
DUE = {"a.account": 1, "u.visit": 30, "u.click": 10, "s.ticket": 4, "s.note": 7}
GONE = DUE | {"s.ticket": 3}
"""What a night takes of it: ticket 3 is needed by its note."""


ISSUED = """
INSERT INTO casebook.certificate (case_no, serial, kind, content, draft, person, auditor, entry, issued_at)
VALUES (%s, 1, 'interim', 'c', '{}', '{}', '{}', 1, clock_timestamp())"""
"""What `certify` leaves in the book, without a ledger to sign it."""


@dataclass
class House:
    """The shop, what it would say in the ledger, and its desk."""

    company: Company
    records: Callable[[str], str]
    keys: FileKeyStore
    ledger: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    certified: list[str] = field(default_factory=list)

    # --- Connections
    def postgres(self, connection: str, role: Role) -> str:
        return self.records(role.value) if connection == "records" else self.company.conninfo(role.value)

    def s3(self, connection: str, role: Role) -> Any:
        raise AssertionError(connection)

    def text(self, name: str) -> str:
        raise Refused("the connection is not declared", about=name)

    @property
    def desk(self) -> Desk:
        def record(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
            screened(body)
            self.ledger.append((kind, body, key))

        return Desk(
            catalogue=self.company.catalogue, connections=self, keys=self.keys, accounts=None,  # type: ignore[arg-type]
            stores=lambda: [PostgresStore(self.company.catalogue, "company", self, patience=PATIENCE)],
            append=lambda _evidence, key: (key,), record=record,
        )  # fmt: skip

    @contextmanager
    def clearing(self, **more: Any) -> Iterator[None]:
        """Stores at night are made with this meanwhile."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stores, "Clearing", partial(Clearing, **more))
            yield

    # --- a night
    def begin(self, day: date = DAY) -> Night:
        return nightly.begin(self.desk, as_of=day, actor=ROBOT)

    def night(
        self, day: date = DAY, *, budget: int | None = None, tries: int = 1, before: Callable[[], object] = lambda: None,
        then: Callable[[], object] = lambda: None,
    ) -> Night:  # fmt: skip
        """A whole one, or what is left of the one that is under way. ``tries``: of the deed; ``before``, ``then``: what happens
        before and after it."""
        if budget is not None:
            no = str(self.begin(day).case_no)
            self.sql("UPDATE casebook.night SET needs_word = 'a test' WHERE case_no = %s", no)
            nightly.approve(self.desk, no, budget=budget, as_of=day, actor="ops/li")
        dispose = nightly.dispose

        def deed(*of: Any, **more: Any) -> Any:
            before()
            for _ in range(tries):
                done = dispose(*of, **more)
            then()
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nightly, "dispose", deed)
            patch.setattr(certifying, "certify", self._certify)
            return whole.run(self.desk, as_of=day, actor=ROBOT)

    def _certify(self, desk: Desk, case_no: str, **_: Any) -> None:
        with desk.book() as conn:
            certifying._may_be_certified(conn, book.case(conn, case_no))
        self.sql(ISSUED, case_no)
        self.certified.append(case_no)

    def of(self, night: Night) -> Night:
        with self.desk.book() as conn:
            return nights.of_id(conn, night.night_id)

    def of_last(self) -> Night:
        """The night that was begun last."""
        with self.desk.book() as conn:
            return nights.latest(conn, "days")[0]

    def state(self, night: Night) -> CaseState:
        assert night.case_no is not None
        with self.desk.book() as conn:
            return book.case(conn, night.case_no).state

    def findings(self, night: Night) -> set[str]:
        assert night.case_no is not None
        with self.desk.book() as conn:
            return {str(f["code"]) for f in papers.in_the_way(conn, night.case_no)}

    def left(self, night: Night) -> list[str]:
        return ended.nothing_is_left(self.desk, night.night_id)

    def counts(self, night: Night) -> dict[str, dict[str, int]]:
        """What the book's receipts say."""
        assert night.case_no is not None
        with self.desk.book() as conn:
            row = papers.current_step(conn, book.case(conn, night.case_no), "live")
            said = papers.receipts(conn, row.step_id, "dispose") if row else ()
        found: dict[str, Counter[str]] = {}
        for place, words in ((d, w) for r in said for d, w in r.counts.items()):
            found.setdefault(place, Counter()).update({w: n for w, n in words.items() if w != "upto"})
        return {place: dict(+words) for place, words in found.items() if +words}

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """In the case book."""
        with self.desk.book() as conn:
            cursor = conn.execute(statement, parameters)  # type: ignore[arg-type]
            rows = cursor.fetchall() if cursor.description else []
            conn.commit()
            return [tuple(r.values()) for r in rows]

    def there(self) -> dict[str, tuple[int, str]]:
        """Rows and bytes of each table."""
        return {t: self.company.digest(t) for t in TABLES}
