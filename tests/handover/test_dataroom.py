"""A deal's data room: what an agreement allows and nothing else, sealed; gone from us, and a word from them, or an alarm."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from include.cases import book
from include.cases.keys import FileKeyStore
from include.cases.retention import stopping
from include.catalogue.loader import ITRUS, load
from include.handover import bag as bags_of
from include.handover import dataroom, dataroom_files, sealed
from include.handover.dataroom_files import Rooms
from include.ledger import attest, verify
from include.ledger.screen import screened
from include.model.catalogue import Catalogue
from include.model.errors import LedgerError, NotProved, NotReachable, Refused, Stopped
from include.model.estate import Column
from include.model.words import LegalRank
from tests.cases.retention import house as houses
from tests.cases.retention.house import DAY, House
from tests.cases.small import rule
from tests.conftest import PgServer, S3Server
from tests.handover.both import certificate, pem
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

__all__ = ["new_company"]
BUCKET = "data-rooms"
SHOWN = {"u.visit": ["at"], "u.click": ["at"]}


@pytest.fixture
def pg_server(pg18: PgServer) -> PgServer:
    return pg18


@dataclass
class Deal:
    """The shop, the rooms' bucket, and a counterparty with its keys."""

    house: House
    rooms: Rooms
    key: rsa.RSAPrivateKey
    signs: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ledger: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def record(self, kind: str, _case: str | None, body: dict[str, Any], key: str) -> None:
        screened(body)
        assert self.ledger.setdefault(key, (kind, body)) == (kind, body), "a key says one thing"

    @property
    def said(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self.ledger.values())

    def open(self, columns: dict[str, list[str]] = SHOWN, **more: Any) -> str:
        public = self.signs.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        of = {
            "deal": "Project Heron", "counterparty": "Heron Capital", "purpose": "due diligence", "document": "NDA-7",
            "digest": "ab" * 32, "basis": None, "approvers": ["legal/wang", "ceo/zhao"],
            "certificate": pem(certificate(self.key, "heron")), "statement_key": public.decode(), "columns": columns,
            "as_of": DAY, "actor": "legal/wang",
        }  # fmt: skip
        with self.house.desk.book() as conn:
            return dataroom.open_room(
                conn, self.house.company.catalogue, self.record, **{**of, **more}
            ).number

    def end(self, number: str) -> dataroom.DataRoom:
        with self.house.desk.book() as conn:
            return dataroom.end(
                conn,
                self.house.company.catalogue,
                self.record,
                number,
                how="dropped",
                document="MIN-9",
                as_of=DAY,
            )

    def close(self, number: str, rooms: Rooms) -> dataroom.DataRoom:
        return dataroom_files.close(rooms, number, how="dropped", document="MIN-9", as_of=DAY)

    def statement(self, number: str, how: str = "destroyed", *, on: date = DAY, **files: str) -> bytes:
        with self.house.desk.book() as conn:
            given = {b.dataset: b.sha256 for b in dataroom.given(conn, number)}
        payload = dataroom.statement(number, how, on, {**given, **files})
        return attest.envelope(payload, self.signs.sign, self.signs.public_key())

    def returned(self, number: str, file: bytes, as_of: date = DAY) -> dataroom.DataRoom:
        with self.house.desk.book() as conn:
            return dataroom.returned(conn, self.record, number, file, as_of=as_of)

    def alarms(self, as_of: date) -> list[str]:
        with self.house.desk.book() as conn:
            return dataroom.alarms(conn, as_of)


def shop_of() -> tuple[Catalogue, str]:
    """The shop with columns of no kind, under the rule of data rooms; and its schema."""
    shop = houses.SHOP
    columns = {"u.visit": ("id", "account_id", "at", "path"), "u.click": ("id", "account_id", "at")}
    datasets = tuple(
        d.model_copy(update={"columns": {c: Column() for c in columns.get(d.id, ())}}) for d in shop.datasets
    )
    rules = (*shop.rules, rule("RS-29", "P30D", "ceiling", LegalRank.POLICY, "policy 4.3(7)"))
    return shop.model_copy(update={"datasets": datasets, "rules": rules}), houses.SCHEMA


@pytest.fixture
def deal(
    new_company: Callable[..., Company], pg18: PgServer, moto: S3Server, case_book: str, tmp_path: Path
) -> Iterator[Deal]:
    house = House(
        company=new_company(*shop_of(), "data rooms"),
        records=lambda role: pg18.conninfo(case_book, role), keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )  # fmt: skip
    client = moto.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = Deal(house, None, key)  # type: ignore[arg-type]
    made.rooms = Rooms(
        house.company.catalogue, house, lambda: _autocommit(house), tmp_path / "rooms", BUCKET, moto.client, moto.client,
        moto.client, made.record,
    )  # fmt: skip
    yield made
    listed = client.list_object_versions(Bucket=BUCKET)
    for it in (*listed.get("Versions", []), *listed.get("DeleteMarkers", [])):
        client.delete_object(Bucket=BUCKET, Key=it["Key"], VersionId=it["VersionId"])
    client.delete_bucket(Bucket=BUCKET)


@contextmanager
def _autocommit(house: House) -> Iterator[book.Conn]:
    with house.desk.book() as conn:
        yield conn


def test_what_the_agreement_names_is_sealed_to_the_counterparty_and_nothing_else(
    deal: Deal, tmp_path: Path
) -> None:
    deal.house.company.sql(
        "INSERT INTO quietus.restriction (subject_id, case_no, step, since) VALUES ('acct_000000000002', 'C', 's', now())"
    )
    number = deal.open()
    made = {b.dataset: b for b in dataroom_files.export(deal.rooms, number)}
    left_out = deal.house.company.sql("SELECT count(*) FROM u.visit WHERE account_id = 'acct_000000000002'")[
        0
    ][0]
    assert left_out and (made["u.visit"].items, made["u.visit"].left_out) == (60 - left_out, left_out)
    client = deal.rooms.sees()
    body = client.get_object(Bucket=BUCKET, Key=f"{number}/u.visit.cms")["Body"].read()
    assert body.startswith(b"\x30") and b"2026" not in body
    source = tmp_path / "got.cms"
    source.write_bytes(body)
    with source.open("rb") as file:
        opening = sealed.Opening(file, deal.key, _theirs(deal, number))
        bag = bags_of.untar(opening, tmp_path, "u.visit")  # type: ignore[arg-type]
        opening.drain()
    bags_of.validate(bag)
    lines = (bag / "data" / "rows.csv").read_text().splitlines()
    assert lines[0] == "at" and len(lines) == 1 + 60 - left_out
    assert not list((deal.rooms.home / number).glob("*.work")), "no plaintext is left"
    assert dataroom_files.export(deal.rooms, number) == list(made.values())
    assert len(client.list_object_versions(Bucket=BUCKET)["Versions"]) == 2, "nothing is put twice"


def test_a_file_of_the_same_name_and_size_is_not_taken_for_ours(deal: Deal) -> None:
    number, client, key = deal.open({"u.visit": ["at"]}), deal.rooms.puts(), ""

    def before(here: str) -> None:
        nonlocal key
        if here == "dataroom.kept":
            key = f"{number}/u.visit.cms"
            size = (deal.rooms.home / key).stat().st_size
            client.put_object(Bucket=BUCKET, Key=key, Body=b"x" * size)

    (made,) = dataroom_files.export(replace(deal.rooms, at=before), number)
    lies = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert hashlib.sha256(lies).hexdigest() == made.sha256


def _theirs(deal: Deal, number: str) -> Any:
    with deal.house.desk.book() as conn:
        return sealed.recipient(dataroom.of(conn, number).certificate)


@pytest.mark.parametrize(
    ("columns", "more", "why"),
    [
        ({"u.visit": ["account_id"]}, {}, "leads to somebody, and nothing says by which law"),
        ({"u.visit": ["nose"]}, {}, "nose is not declared"),
        ({"x.y": ["a"]}, {}, "no such dataset"),
        ({}, {}, "nothing is to be shown"),
        (SHOWN, {"approvers": ["legal/wang", "ceo/wang"]}, "two different persons"),
        (SHOWN, {"certificate": "-"}, "certificate cannot be read"),
    ],
)  # fmt: skip
def test_what_an_agreement_cannot_allow_opens_no_room(
    deal: Deal, columns: dict[str, list[str]], more: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        deal.open(columns, **more)
    assert deal.open({"u.visit": ["account_id"]}, basis="PIPL 23: separate consent").startswith("DR-")


@pytest.mark.parametrize(
    ("dataset", "column", "why", "by_a_basis"),
    [
        ("account.person", "email", "it is personal, and nothing says by which law", True),
        ("account.account", "account_id", "leads to somebody", True),
        ("ra.application", "account_id", "leads to somebody", True),
        ("stat.pseudonym", "pseudonym", "leads to somebody", True),
        ("cert.hosted_key", "wrapped_key", "keys and what is signed with .* are shown to nobody", False),
        ("ra.video_key", "wrapped", "no keys", False),
        ("cert.hosted_key", "hsm", "", True),
    ],
)
def test_of_the_policy_itself_nothing_personal_is_shown_without_a_basis_and_no_key_with_one(
    dataset: str, column: str, why: str, *, by_a_basis: bool
) -> None:
    policy = load(ITRUS)
    for basis, refused in ((None, bool(why)), ("PIPL 23: separate consent", not by_a_basis)):
        with pytest.raises(Refused, match=why) if refused else nullcontext():
            dataroom.may_be_shown(policy, dataset, [column], basis)


def test_every_column_of_a_kind_needs_a_basis() -> None:
    policy = load(ITRUS)
    for dataset in policy.datasets:
        for column, said in dataset.columns.items():
            if said.all_categories:
                with pytest.raises(Refused):
                    dataroom.may_be_shown(policy, dataset.id, [column], None)


def test_an_agreement_opens_one_room_and_for_other_terms_none(deal: Deal) -> None:
    theirs = pem(certificate(deal.key, "heron"))
    with pytest.raises(Refused, match="the statement key is our own signer's"):
        deal.open(certificate=theirs, ours=deal.signs.public_key())
    number = deal.open(certificate=theirs)
    deal.ledger.clear()  # as after a kill before the entry
    assert deal.open(certificate=theirs, as_of=DAY + timedelta(days=1), actor="legal/li") == number
    assert deal.ledger[f"dataroom:{number}:opened"][1]["as_of"] == DAY.isoformat()
    with pytest.raises(Refused, match=f"{number} was opened under that document with other terms"):
        deal.open({"u.visit": ["at"]}, certificate=theirs)


def test_while_disposing_is_stopped_our_copies_stay(deal: Deal) -> None:
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    deal.end(number)
    with deal.rooms.book() as conn:
        stopping.stop(conn, "an incident", actor="ops/zhao")
    with pytest.raises(Stopped):
        dataroom_files.clear(deal.rooms, number, as_of=DAY)
    assert (deal.rooms.home / number).exists()
    with deal.rooms.book() as conn:
        stopping.lift(conn, actor="ops/zhao")
    assert dataroom_files.clear(deal.rooms, number, as_of=DAY).ours_gone_on == DAY


def test_its_bags_are_in_one_place_and_no_other_is_proved_empty(deal: Deal, tmp_path: Path) -> None:
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    for other in (replace(deal.rooms, bucket="another"), replace(deal.rooms, home=tmp_path / "elsewhere")):
        with pytest.raises(Refused, match=f"its bags are in .* the bucket {BUCKET}"):
            dataroom_files.export(other, number)
    deal.end(number)
    for other in (replace(deal.rooms, bucket="another"), replace(deal.rooms, home=tmp_path / "elsewhere")):
        with pytest.raises(Refused, match=f"its bags are in .* the bucket {BUCKET}"):
            dataroom_files.clear(other, number, as_of=DAY)
    assert (deal.rooms.home / number).exists()
    assert dataroom_files.clear(deal.rooms, number, as_of=DAY).ours_gone_on == DAY


@pytest.mark.parametrize("point", ["dataroom.sealed", "dataroom.kept"])
def test_while_a_bag_is_made_and_put_the_deal_does_not_end(deal: Deal, point: str) -> None:
    number, refused = deal.open(), []

    def end(here: str) -> None:
        if here == point:
            with deal.house.desk.book() as conn:
                conn.execute("SET lock_timeout = '100ms'")
                with pytest.raises(NotReachable, match="somebody exports, ends or clears it"):
                    dataroom.end(
                        conn, deal.house.company.catalogue, deal.record, number, how="dropped", document="M", as_of=DAY
                    )  # fmt: skip
            refused.append(here)

    dataroom_files.export(replace(deal.rooms, at=end), number)
    assert len(refused) == len(SHOWN)
    assert deal.end(number).ended == "dropped"


def test_what_was_not_said_to_the_ledger_is_said_by_the_next_call(deal: Deal) -> None:
    number = deal.open()
    made = dataroom_files.export(deal.rooms, number)
    ended = deal.end(number)
    deal.ledger.clear()  # as after kills between each deed and its entry
    with deal.house.desk.book() as conn:
        again = dataroom.end(
            conn, deal.house.company.catalogue, deal.record, number, how="dropped", document="MIN-9",
            as_of=DAY + timedelta(days=3),
        )  # fmt: skip
    assert again == ended and deal.ledger[f"dataroom:{number}:dropped"][1]["due_on"] == str(ended.due_on)
    dataroom_files.clear(deal.rooms, number, as_of=DAY)
    deal.returned(number, deal.statement(number))
    deal.ledger.clear()
    dataroom_files.clear(deal.rooms, number, as_of=DAY + timedelta(days=1))
    deal.returned(number, deal.statement(number), as_of=DAY + timedelta(days=1))
    assert [b["what"] for k, b in deal.said if k == "dataroom"] == [
        "dropped", "our copies gone", "said destroyed",
    ], "the end is said before what was seen after it"  # fmt: skip
    assert {b["sha256"] for k, b in deal.said if k == "dataroom.bag"} == {b.sha256 for b in made}


def test_the_book_lets_no_terms_of_an_agreement_be_changed(deal: Deal) -> None:
    deal.open()
    with pytest.raises(psycopg.errors.InsufficientPrivilege), deal.house.desk.book() as conn:
        conn.execute("UPDATE casebook.data_room SET basis = 'any'")


def test_raw_biometrics_are_shown_to_nobody_by_whatever_basis(deal: Deal) -> None:
    first = deal.house.company.catalogue
    bound = first.dataset("u.visit").binds[0].model_copy(update={"rule": "RS-07"})
    faces = first.dataset("u.visit").model_copy(update={"binds": (bound,)})
    deal.house.company.catalogue = first.model_copy(
        update={"datasets": tuple(faces if d.id == "u.visit" else d for d in first.datasets)}
    )
    with pytest.raises(Refused, match="raw biometrics"):
        deal.open({"u.visit": ["at"]}, basis="PIPL 23: separate consent")


def test_after_the_deal_our_copies_go_and_the_counterparty_must_sign_or_it_alarms(deal: Deal) -> None:
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    with pytest.raises(Refused, match="the deal has not ended"):
        dataroom_files.clear(deal.rooms, number, as_of=DAY)
    with pytest.raises(Refused, match="has not ended"):
        deal.returned(number, deal.statement(number))
    room = deal.end(number)
    assert room.due_on == DAY + timedelta(days=30) and deal.end(number) == room
    with pytest.raises(Refused, match="nothing is shown any more"):
        dataroom_files.export(deal.rooms, number)
    client = deal.rooms.puts()
    client.delete_object(Bucket=BUCKET, Key=f"{number}/u.visit.cms")  # only hides it
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{number}/more.cms")
    late = DAY + timedelta(days=31)
    assert deal.alarms(DAY + timedelta(days=30)) == []
    assert "our copies are not shown to be gone, Heron Capital has not said" in deal.alarms(late)[0]
    gone = dataroom_files.clear(deal.rooms, number, as_of=DAY)
    assert gone.ours_gone_on == DAY and not (deal.rooms.home / number).exists()
    assert not {"Versions", "DeleteMarkers"} & set(client.list_object_versions(Bucket=BUCKET))
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)
    assert "OVERDUE" in deal.alarms(late)[0] and "our copies" not in deal.alarms(late)[0]
    over = deal.returned(number, deal.statement(number))
    assert over.stands(late).endswith(
        "signed that its own are destroyed, which is its word"
    ) and not deal.alarms(late)
    assert [b["what"] for k, b in deal.said if k == "dataroom"] == [
        "opened", "dropped", "our copies gone", "said destroyed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "how", ["forged", "another file", "of another room", "too early", "another word", "no statement"]
)
def test_a_statement_that_is_not_theirs_or_not_of_all_files_is_not_taken(deal: Deal, how: str) -> None:
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    deal.end(number)
    file = {
        "forged": lambda: replace(deal, signs=Ed25519PrivateKey.generate()).statement(number),
        "another file": lambda: deal.statement(number, **{"u.visit": "0" * 64}),
        "of another room": lambda: attest.envelope(
            dataroom.statement("DR-999999", "destroyed", DAY, {}), deal.signs.sign, deal.signs.public_key()
        ),
        "too early": lambda: deal.statement(number, on=DAY - timedelta(days=1)),
        "another word": lambda: deal.statement(number, "lost"),
        "no statement": lambda: b"{}",
    }[how]()  # fmt: skip
    with pytest.raises((LedgerError, Refused)):
        deal.returned(number, file)
    with deal.house.desk.book() as conn:
        assert dataroom.of(conn, number).said is None


@pytest.mark.parametrize("how", ["basic day", "pairs", "a word more", "sloppy base64"])
def test_a_statement_that_no_verifier_would_read_is_not_taken(deal: Deal, how: str) -> None:
    """It means what it should, and the agreed key signed it; but no certificate could ever rest on it."""
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    deal.end(number)
    good = deal.statement(number)
    said = json.loads(base64.b64decode(json.loads(good)["payload"]))
    more: dict[str, Any] = {
        "basic day": {"on": said["on"].replace("-", "")},
        "pairs": {"bags": [list(pair) for pair in said["bags"].items()]},
        "a word more": {"note": "with regards"},
        "sloppy base64": {},
    }[how]
    payload = verify.canonical(said | more)
    file = attest.envelope(payload, deal.signs.sign, deal.signs.public_key())
    if how == "sloppy base64":  # its last bits are of no account, and one text says one thing
        file = file.replace(_mark(file), _other(_mark(file)))
    before = len(deal.said)
    with pytest.raises(LedgerError, match=r"malformed|damaged") as refused:
        deal.returned(number, file)
    assert "ask for another" in str(refused.value) or "fetch it again" in str(refused.value)
    with deal.house.desk.book() as conn:
        assert dataroom.of(conn, number).said is None and len(deal.said) == before
    assert deal.returned(number, good).said == "destroyed"


def _mark(file: bytes) -> bytes:
    """The signature in an envelope, as it is written."""
    return str(json.loads(file)["signatures"][0]["sig"]).encode()


def _other(mark: bytes) -> bytes:
    """The same signature in base64 whose last bits, which say nothing, are set."""
    other = mark[:-3] + bytes([mark[-3] + 1]) + b"=="
    assert mark.endswith(b"==") and base64.b64decode(other) == base64.b64decode(mark)
    return other


def test_while_something_is_left_in_the_bucket_nothing_is_called_gone(deal: Deal) -> None:
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    deal.end(number)

    class Cannot:
        def __getattr__(self, name: str) -> Any:
            return (lambda **_: None) if name == "delete_object" else getattr(deal.rooms.puts(), name)

    with pytest.raises(NotProved, match="2 versions or uploads are left"):
        dataroom_files.clear(replace(deal.rooms, takes=Cannot), number, as_of=DAY)  # type: ignore[arg-type]
    with deal.house.desk.book() as conn:
        assert dataroom.of(conn, number).ours_gone_on is None
    assert dataroom_files.clear(deal.rooms, number, as_of=DAY).ours_gone_on == DAY


@pytest.mark.parametrize(
    "point",
    ["dataroom.sealed", "dataroom.kept", "dataroom.put", "dataroom.known", "dataroom.ended", "dataroom.settled",
     "dataroom.files_gone", "dataroom.bucket_cleared"],
)  # fmt: skip
def test_killed_at_any_point_it_goes_on(deal: Deal, point: str) -> None:
    number = deal.open()

    def work(rooms: Rooms) -> dataroom.DataRoom:
        with deal.house.desk.book() as conn:
            ended = dataroom.of(conn, number).ended
        if ended is None:
            dataroom_files.export(rooms, number)
            deal.close(number, rooms)
        return dataroom_files.clear(rooms, number, as_of=DAY)

    killed(deal, point, work)
    assert work(deal.rooms).ours_gone_on == DAY
    with deal.house.desk.book() as conn:
        assert {b.dataset for b in dataroom.bags(conn, number)} == set(SHOWN)
    if point in ("dataroom.sealed", "dataroom.kept", "dataroom.known"):
        assert {f"dataroom.bag:{number}:{d}" for d in SHOWN} < deal.ledger.keys()


def killed(deal: Deal, point: str, work: Callable[[Rooms], object]) -> None:
    """The process that works is no more, from that point on."""
    pid = os.fork()
    if pid == 0:

        def die(here: str) -> None:
            if here == point:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            work(replace(deal.rooms, at=die))
        finally:
            os._exit(7)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)


def test_while_nobody_looked_what_was_put_no_statement_is_taken(deal: Deal) -> None:
    number = deal.open()
    killed(deal, "dataroom.kept", lambda rooms: dataroom_files.export(rooms, number))
    killed(deal, "dataroom.ended", lambda rooms: deal.close(number, rooms))
    file = attest.envelope(
        dataroom.statement(number, "destroyed", DAY, {}), deal.signs.sign, deal.signs.public_key()
    )
    with pytest.raises(Refused, match=r"whether u\.click was ever put in the room is not known yet"):
        deal.returned(number, file)
    assert deal.close(number, deal.rooms).ended == "dropped"
    assert deal.ledger[f"dataroom:{number}:maybe:u.click"][1]["what"] == "may have been shown"
    assert deal.returned(number, file).said == "destroyed"


def test_the_book_does_not_let_a_bag_be_written_anew(deal: Deal) -> None:
    number = deal.open()
    dataroom_files.export(deal.rooms, number)
    with pytest.raises(psycopg.Error), deal.house.desk.book() as conn:
        conn.execute("UPDATE casebook.data_room_bag SET sha256 = %s", ("0" * 64,))
    with pytest.raises(psycopg.Error), deal.house.desk.book() as conn:
        conn.execute("UPDATE casebook.data_room_put SET put = false")
