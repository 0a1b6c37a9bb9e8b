"""The sandbox's synthetic people: customers to every body with an interface, and caught is who lies about them."""

# ruff: noqa: F401, F811  fixtures of another folder
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases import book, verbs
from include.cases.accounts import CatalogueAccounts
from include.cases.guards import Facts
from include.cases.keys import FileKeyStore
from include.cases.notices import answering, outbox, record, synthetic, telling, truth
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.doors import Endpoint
from include.model.notices import Answer
from include.model.times import observed_now, prc_date
from include.model.words import Channel, Ground, Requester, Role
from include.recipients.opendsr import OpenDSR
from include.sandbox import seed as seeding
from include.sandbox.loading import load as load_rows
from include.sandbox.loading import make_partitions
from include.sandbox.people import synthetic as people
from include.sandbox.recipients.bodies import Door, Stance, bodies
from include.sandbox.recipients.populace import settle
from include.sandbox.registering import register_synthetic_people
from tests.cases.conftest import case_book, reader, writer
from tests.conftest import PgServer
from tests.sandbox.outside import TOKENS, Company, running

pytestmark = pytest.mark.postgres
CATALOGUE = load()
INTERFACES = {b.id for b in bodies().values() if b.door is Door.OPENDSR}
ACCOUNTS = people.accounts(2, seed=1)


@dataclass
class Places:
    """The case book, and the company."""

    records: str
    company: str

    def postgres(self, connection: str, role: Role) -> str:
        return self.records if connection == "records" else self.company

    def s3(self, connection: str, role: Role) -> Any:
        raise AssertionError

    def text(self, name: str) -> str:
        raise AssertionError

    def endpoint(self, name: str) -> Endpoint:
        raise AssertionError


@pytest.fixture(scope="module")
def company(pg18: PgServer) -> Iterator[str]:
    name = pg18.fresh_database()
    owner = pg18.conninfo(name)
    seeding.apply_schema(owner)
    today = prc_date(observed_now())
    with psycopg.connect(owner) as conn:
        make_partitions(conn, today)
        load_rows(conn, people.rows(2, 1, today))
        conn.execute("COMMENT ON SCHEMA account IS 'made for this test'")
    yield owner
    pg18.drop_database(name)


@pytest.fixture
def outside(tmp_path: Path, company: str) -> Iterator[Company]:
    with running(tmp_path) as found:
        settle(company, found.outside.world)
        yield found


@pytest.fixture
def desk(writer: str, company: str, tmp_path: Path, outside: Company) -> Desk:
    places = Places(writer, company)

    def channel(recipient: Any) -> OpenDSR:
        at = f"{outside.outside.url}/{recipient.id}/v2"
        trusts = str(outside.outside.authority.certificate)
        return OpenDSR(recipient, Endpoint(at, secret=TOKENS[recipient.id], authority=trusts))

    return Desk(
        catalogue=CATALOGUE, connections=places, keys=FileKeyStore(tmp_path / "keys", b"k" * 32), stores=lambda: (),
        accounts=CatalogueAccounts(CATALOGUE, places), append=lambda evidence, key: [key], channel=channel,
        record=lambda kind, case_no, body, key: None, code="test",
    )  # fmt: skip


def on() -> dict[str, Any]:
    return {"as_of": prc_date(observed_now()), "actor": "system/test"}


def told(desk: Desk, account: str, *recipients: str) -> str:
    """A cancellation of theirs as it is once approved, and these recipients told."""
    case_no = verbs.open_case(
        desk, account, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="ops/zhao", received_at=observed_now(),
    ).case_no  # fmt: skip
    facts = Facts(
        as_of=on()["as_of"], own_initiative=False, identity_matched=True, approved=True, notice_written=True
    )
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no)
        whom = synthetic.also_told(conn, desk.keys, case, CATALOGUE, ())
        outbox.write(
            conn,
            case,
            desk.seal(case),
            [w for w in whom if w.recipient.id in recipients],
            facts=facts,
            actor="a/b",
        )
    for one in recipients:
        telling.tell(desk, one, **on())
    return case_no


def answered(desk: Desk, case_no: str, outside: Company) -> None:
    """Each says what became of it, as the next pass would hear."""
    with desk.book() as conn:
        rows = outbox.listing(conn, case_no)
    for row in rows:
        channel = desk.channel(next(r for r in CATALOGUE.recipients if r.id == row["recipient"]))
        said = channel.ask(row["request_id"])
        channel.close()
        assert isinstance(said, Answer), said
        answering.take(desk, said, **on())


def test_every_interface_has_them_and_they_are_registered_under_its_numbers(
    desk: Desk, company: str, outside: Company
) -> None:
    assert register_synthetic_people(desk, ACCOUNTS, as_of=on()["as_of"]) == 2
    assert register_synthetic_people(desk, ACCOUNTS, as_of=on()["as_of"]) == 0
    with desk.book() as conn:
        assert [set(r["recipients"]) for r in synthetic.listing(conn)] == [INTERFACES, INTERFACES]
    with psycopg.connect(company) as conn:
        numbers = conn.execute(
            "SELECT recipient_id, vendor_txn_id FROM partner.transfer WHERE recipient_id = ANY(%s)",
            [list(INTERFACES)],
        ).fetchall()
        assert conn.execute("SELECT DISTINCT account_id FROM partner.transfer").fetchall() == [
            (a,) for a in sorted(ACCOUNTS)
        ]
    assert all(outside.knows(ref, body) for body, ref in numbers)
    channel = desk.channel(next(r for r in CATALOGUE.recipients if r.id == "juhe"))
    assert channel.knows(next(ref for body, ref in numbers if body == "juhe")) is True
    channel.close()


def test_who_lies_about_them_is_caught_and_who_deletes_is_verified(
    desk: Desk, outside: Company, reader: str
) -> None:
    register_synthetic_people(desk, ACCOUNTS, as_of=on()["as_of"])
    outside.behave(Stance.LYING, body="juhe")
    outside.behave(Stance.ERASING, body="jinshi")
    case_no = told(desk, ACCOUNTS[0], "juhe", "jinshi")
    answered(desk, case_no, outside)
    assert truth.to_look_at(desk, as_of=on()["as_of"]) == ("jinshi", "juhe")
    for one in ("juhe", "jinshi"):
        truth.look_again(desk, one, **on())
    with book.connect(reader) as conn:
        found = {r["recipient"]: record.truthfulness(r) for r in record.record(conn)}
        assert found == {"juhe": "verified 0 of 1, caught 1", "jinshi": "verified 1 of 1"}
        (first, second) = synthetic.listing(conn)
    assert (first["case_no"], first["words"], first["verified"], first["caught"]) == (case_no, 2, 1, 1)
    assert second["case_no"] is None


def test_a_body_that_never_had_them_proves_nothing_by_its_no(
    desk: Desk, outside: Company, reader: str
) -> None:
    synthetic.add(desk, ACCOUNTS[0], {"juhe": ("never-given",)}, as_of=on()["as_of"], actor="ops/zhao")
    case_no = told(desk, ACCOUNTS[0], "juhe")
    answered(desk, case_no, outside)
    truth.look_again(desk, "juhe", **on())
    with book.connect(reader) as conn:
        (only,) = record.record(conn)
    assert record.truthfulness(only) == "verified 0 of 1, not seen before 1"
