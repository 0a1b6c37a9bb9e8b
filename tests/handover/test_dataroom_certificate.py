"""A data room that is over has a certificate for the counterparty, which anybody checks offline; and no forgery passes."""

from __future__ import annotations

import base64
import copy
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from typer.testing import CliRunner

from include.cases import certifying
from include.cases.keys import FileKeyStore
from include.commands import _common as common
from include.commands import dataroom as command
from include.commands import verify as verify_command
from include.handover import dataroom, dataroom_certificate, dataroom_files
from include.handover.dataroom_certificate import Certificate
from include.handover.dataroom_files import Rooms
from include.ledger import attest, log, verify, verify_dataroom
from include.ledger.signer import SignerClient
from include.model.errors import NotProved, Refused
from tests.cases.restoring import killed_at
from tests.cases.retention.house import DAY
from tests.cases.shutdown.ended import Ledgered
from tests.cases.test_certifying import RECORDS, answering, whole
from tests.conftest import PgServer, S3Server
from tests.handover.both import certificate, pem
from tests.handover.test_dataroom import BUCKET, Deal, _autocommit, killed, shop_of
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

pytestmark = pytest.mark.postgres
__all__ = ["new_company"]  # a fixture


class Kept(Deal):
    """A deal whose ledger is a real one."""

    def record(self, kind: str, case: str | None, body: dict[str, Any], key: str) -> None:
        self.house.desk.record(kind, case, body, key)

    @property
    def home(self) -> Path:
        return Path(self.house.pem).parent  # type: ignore[attr-defined]

    @property
    def pem(self) -> bytes:
        return (self.home / "pub.pem").read_bytes()

    def over(self, *, late: int = 0) -> str:
        number = self.open()
        dataroom_files.export(self.rooms, number)
        self.end(number)
        dataroom_files.clear(self.rooms, number, as_of=DAY)
        day = DAY + timedelta(days=late)
        self.returned(number, self.statement(number, on=day), as_of=day)
        return number

    def certificate(self, number: str, **more: Any) -> Certificate:
        return dataroom_certificate.certificate(
            self.house.desk, number, as_of=DAY + timedelta(days=40), **more
        )


@pytest.fixture
def kept(
    new_company: Callable[..., Company], pg18: PgServer, moto: S3Server, tmp_path: Path
) -> Iterator[Kept]:
    for login in RECORDS:
        pg18.add_role(login)
    name, server, shop = pg18.fresh_database("room_book", whole), answering(tmp_path / "signer"), shop_of()
    house = Ledgered(
        company=new_company(shop[0], shop[1], "data rooms"), records=lambda role: pg18.conninfo(name, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32), socket=str(tmp_path / "signer" / "s"),
        pem=str(tmp_path / "signer" / "pub.pem"),
    )  # fmt: skip
    client = moto.client()
    client.create_bucket(Bucket=BUCKET)
    made = Kept(house, None, rsa.generate_private_key(public_exponent=65537, key_size=2048))  # type: ignore[arg-type]
    made.rooms = Rooms(
        house.company.catalogue, house, lambda: _autocommit(house), tmp_path / "rooms", BUCKET, moto.client, moto.client,
        moto.client, made.record,
    )  # fmt: skip
    yield made
    server.shutdown()
    client.delete_bucket(Bucket=BUCKET)
    pg18.drop_database(name)


def test_it_says_what_was_in_it_until_when_and_how_it_was_proved(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = kept.open()
    dataroom_files.export(kept.rooms, number)
    with pytest.raises(Refused, match="it is not over: open"):
        kept.certificate(number)
    kept.end(number)
    kept.returned(number, kept.statement(number))
    with pytest.raises(Refused, match="our copies are not shown to be gone"):
        kept.certificate(number)
    dataroom_files.clear(kept.rooms, number, as_of=DAY)
    made = kept.certificate(number)
    assert kept.certificate(number) == made, "issued once"
    report = verify_dataroom.verify_file(made.envelope.encode(), kept.pem)
    assert report.problems == []
    assert (
        report.said["was in it"]
        == "80 rows: u.click (at), 20 rows, 0 left out; u.visit (at), 60 rows, 0 left out"
    )
    assert report.said["until"].endswith("by RS-29 (policy 4.3(7))") and "LATE" not in report.said["until"]
    assert (
        report.said["their copies"]
        == f"destroyed on {DAY}: signed by the agreed key; their word, and not seen"
    )
    assert "acct_" not in made.envelope and "acct_" not in json.dumps(made.payload)
    given_out(kept, number, monkeypatch)
    for forge, problem in FORGERIES:
        p = copy.deepcopy(made.payload)
        forge(p)
        found = verify_dataroom.verify_file(signed(kept, p), kept.pem).problems
        assert any(problem in x for x in found), (problem, found)
        with pytest.raises(Refused, match="would not verify"):
            SignerClient(kept.home / "s").certify_room(verify.canonical(p))
    theirs = json.loads(base64.b64decode(made.payload["theirs"]["statement"]))
    p = copy.deepcopy(made.payload)
    stranger = Ed25519PrivateKey.generate()
    payload = base64.b64decode(theirs["payload"])
    p["theirs"]["statement"] = base64.b64encode(
        attest.envelope(payload, stranger.sign, stranger.public_key())
    ).decode()
    found = verify_dataroom.verify_file(signed(kept, p), kept.pem).problems
    assert "the counterparty's statement is not signed by the agreed key" in found
    tampered = json.loads(made.envelope) | {
        "signatures": [{**json.loads(made.envelope)["signatures"][0], "sig": "AAAA"}]
    }
    assert "the signature is not good" in str(
        verify_dataroom.verify_file(verify.canonical(tampered), kept.pem).problems
    )


FORGERIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: p["bags"].pop(), "the ledger recorded other facts"),
    (lambda p: p["bags"].pop(), "is of another room or day, or of other files"),
    (lambda p: p["bags"].pop(), "by the log 2 files were in the room and 0 may have been, and others are told"),
    (lambda p: p["bags"][0].update(items=19), "the file of u.click that the ledger has is another"),
    (lambda p: p["bags"][0].update(sha256="0" * 64), "the file of u.click that the ledger has is another"),
    (lambda p: p["bags"].append(p["bags"][0]), "the file of u.click is told 2 times"),
    (lambda p: p["bags"][0].update(columns=["at", "path"]), "the ledger recorded other facts"),
    (lambda p: p["agreement"].update(document="NDA-8"), "it was opened under another agreement"),
    (lambda p: p.update(counterparty="Egret Capital"), "the ledger recorded other facts"),
    (lambda p: p.update(counterparty="Egret Capital"), "deal, counterparty or purpose are others than when the room was opened"),
    (lambda p: p["bags"][0].update(columns=["at", "path"]), "of u.click other columns were agreed"),
    (lambda p: p.update(due_on="2030-01-01"), "its copies were due on another day"),
    (lambda p: p["ended"].update(how="closed"), "does not say 'closed' of this room"),
    (lambda p: p["ours"].update(versions=1), "something of our copies was left"),
    (lambda p: p["ours"].update(gone_on="2030-01-01"), "or they were seen to be gone on another day"),
    (lambda p: p["ours"].update(entry=p["opened"]), "does not say 'our copies gone' of this room"),
    (lambda p: p["theirs"].update(how="returned"), "does not say 'said returned' of this room"),
    (lambda p: p["theirs"].update(on="2020-01-01"), "the counterparty's statement that the ledger has is another"),
    (lambda p: p.update(late=True), "is told otherwise than by its dates"),
    (lambda p: p.update(as_of="2020-01-01"), "it tells of days that had not come"),
    (lambda p: p.update(room="DR-000009"), "of this room, or is not among the entries given"),
    (lambda p: p.update(format="quietus-dataroom-certificate/2"), "it is something else"),
    (lambda p: p["entries"].pop(), "is not among the entries given"),
]  # fmt: skip


def test_what_would_not_verify_leaves_nothing_in_the_ledger(kept: Kept) -> None:
    def another_day(kind: str, case: str | None, body: dict[str, Any], key: str) -> None:
        gone = {"as_of": "2020-01-01"} if body.get("what") == "our copies gone" else {}
        kept.record(kind, case, body | gone, key)

    number = kept.open()
    dataroom_files.export(kept.rooms, number)
    kept.end(number)
    dataroom_files.clear(replace(kept.rooms, record=another_day), number, as_of=DAY)
    kept.returned(number, kept.statement(number))
    for _ in range(2):
        with pytest.raises(NotProved, match=r"would not verify: .*seen to be gone on another day"):
            kept.certificate(number)
    with certifying.ledger_desk(kept.house.desk) as ledger:
        said = [e.body["what"] for e in log.entries_of_kind(ledger.reader, "dataroom")]
    assert "our copies gone" in said and "certified" not in said


def test_that_our_copies_are_gone_is_seen_after_the_deals_end(kept: Kept) -> None:
    p = kept.certificate(kept.over()).payload
    entries = {e["index"]: json.loads(base64.b64decode(e["leaf"])) for e in p["entries"]}
    assert list(verify_dataroom.check_ours(p, entries)) == []
    p["ended"]["entry"] = p["ours"]["entry"] + 1
    (problem,) = verify_dataroom.check_ours(p, entries)
    assert problem == "our copies were seen to be gone before the deal had ended"


def signed(kept: Kept, p: dict[str, Any]) -> bytes:
    """As somebody with the signer's own key would."""
    key, payload = ours(kept), verify.canonical(p)
    sig = key.sign(verify.encoded(verify_dataroom.PAYLOAD_TYPE, payload))
    signature = {"keyid": verify.key_id(key.public_key()), "sig": base64.b64encode(sig).decode()}
    return verify.canonical(
        {"payload": base64.b64encode(payload).decode(), "payloadType": verify_dataroom.PAYLOAD_TYPE, "signatures": [signature]}
    )  # fmt: skip


def given_out(kept: Kept, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gives the file with what checks it, which needs nothing of ours."""
    out = kept.home.parent / "given"
    monkeypatch.setattr(common, "desk", lambda: kept.house.desk)
    ran = CliRunner().invoke(command.app, ["certificate", number, "--out", str(out)], catch_exceptions=False)
    assert ran.exit_code == 0 and f"{number}.json" in ran.output
    key = str(kept.home / "pub.pem")
    alone = subprocess.run(
        [sys.executable, "verify_dataroom.py", f"{number}.json", "--key", key], cwd=out, env={"PATH": "/usr/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert alone.returncode == 0 and alone.stdout.startswith("VALID"), alone.stdout + alone.stderr
    with pytest.raises(typer.Exit) as ended:
        verify_command.command(out / f"{number}.json", Path(key))
    assert ended.value.exit_code == 0


def test_what_came_back_late_is_told_as_that(kept: Kept) -> None:
    made = kept.certificate(kept.over(late=31))
    assert made.payload["late"] is True
    report = verify_dataroom.verify_file(made.envelope.encode(), kept.pem)
    assert report.problems == [] and report.said["until"].endswith(": LATE")


@pytest.mark.parametrize("point", ["dataroom.recorded", "dataroom.signed"])
def test_killed_anywhere_it_is_issued_all_the_same(kept: Kept, point: str) -> None:
    number = kept.over()
    assert killed_at(point, lambda at: kept.certificate(number, at=at)), f"{point} was never reached"
    made = kept.certificate(number)
    assert made.payload["serial"] == 2, "what was recorded first was given to nobody"
    assert verify_dataroom.verify_file(made.envelope.encode(), kept.pem).problems == []


@pytest.mark.parametrize(
    ("point", "put"),
    [("dataroom.sealed", False), ("dataroom.kept", False), ("dataroom.put", True), ("dataroom.known", True)],
)
def test_killed_in_an_export_and_then_closed_it_tells_of_what_was_put_and_of_nothing_else(
    kept: Kept, point: str, put: bool
) -> None:
    number = kept.open()
    killed(kept, point, lambda rooms: dataroom_files.export(rooms, number))
    kept.close(number, kept.rooms)
    dataroom_files.clear(kept.rooms, number, as_of=DAY)
    kept.returned(number, kept.statement(number))
    made = kept.certificate(number)
    maybe = made.payload.get("maybe", [])
    assert [b["dataset"] for b in made.payload["bags"]] == (["u.click"] if put else [])
    assert [b["dataset"] for b in maybe] == (["u.click"] if point == "dataroom.kept" else [])
    assert verify_dataroom.verify_file(made.envelope.encode(), kept.pem).problems == []


@pytest.mark.parametrize("named", [False, True])
def test_what_was_put_and_is_not_there_any_more_may_have_been_shown(kept: Kept, named: bool) -> None:
    """A killed export knew nothing of its put, and a lifecycle took the file out before the deal ended."""
    number = kept.open()
    killed(kept, "dataroom.put", lambda rooms: dataroom_files.export(rooms, number))
    client = kept.rooms.takes()
    for key, version in list(dataroom_files._versions(client, kept.rooms.bucket, number)):
        client.delete_object(Bucket=kept.rooms.bucket, Key=key, VersionId=version)
    kept.close(number, kept.rooms)
    dataroom_files.clear(kept.rooms, number, as_of=DAY)
    with kept.house.desk.book() as conn:
        (bag,) = dataroom.bags(conn, number)
    files = {bag.dataset: bag.sha256} if named else {}
    word = dataroom.statement(number, "destroyed", DAY, files)
    kept.returned(number, attest.envelope(word, kept.signs.sign, kept.signs.public_key()))
    made = kept.certificate(number)
    report = verify_dataroom.verify_file(made.envelope.encode(), kept.pem)
    assert report.problems == []
    assert made.payload["bags"] == [] and [b["dataset"] for b in made.payload["maybe"]] == ["u.click"]
    assert report.said["may have been shown"].endswith(
        "the counterparty says that it had it" if named else "nothing shows whether it was in the room"
    )
    (unsure,) = made.payload["maybe"]
    entries = verify.check_log(made.payload, verify.load_key(kept.pem), [])
    forged = {**made.payload, "maybe": [{**unsure, "items": 1 + unsure["items"]}]}
    assert [*verify_dataroom.check_bags(forged, entries)] == [
        "the file of u.click that the ledger has is another"
    ]
    forged = {**made.payload, "maybe": [{**unsure, "named": not named}]}
    assert [*verify_dataroom.check_theirs(forged, entries)] == [
        "the counterparty's statement that the ledger has is another",
        "the counterparty's statement is of another room or day, or of other files",
    ]


def test_a_file_after_which_another_was_made_was_in_the_room(kept: Kept) -> None:
    number = kept.open()
    dataroom_files.export(kept.rooms, number)
    with kept.house.desk.book() as conn, conn.transaction(force_rollback=True):
        conn.execute("INSERT INTO casebook.data_room_bag (number, dataset, items, left_out, sha256, bytes) VALUES"
                     " (%s, 'u.later', 1, 0, %s, 1)", (number, "0" * 64))  # fmt: skip
        assert dataroom.followed(conn, number) == {"u.click", "u.visit"}
        conn.execute("INSERT INTO casebook.data_room_bag (number, dataset, items, left_out, sha256, bytes) VALUES"
                     " (%s, 'u.last', 1, 0, %s, 1)", (number, "0" * 64))  # fmt: skip
        moved = importlib.import_module("include.cases.migrations.versions.0043_what_may_have_been_shown")
        conn.execute(
            moved.SQL[moved.SQL.index(b"INSERT") :]
        )  # what was exported before anybody kept that it was put
        put = {b.dataset: b.put for b in dataroom.bags(conn, number)}
        assert put == {"u.click": True, "u.visit": True, "u.later": True, "u.last": None}
    with kept.house.desk.book() as conn:
        assert dataroom.followed(conn, number) == {"u.click"}
    kept.close(number, kept.rooms)
    dataroom_files.clear(kept.rooms, number, as_of=DAY)


def test_a_key_that_was_chosen_afterwards_is_found_by_the_log(kept: Kept) -> None:
    number = kept.over()
    p = copy.deepcopy(kept.certificate(number).payload)
    stranger = Ed25519PrivateKey.generate()
    for signs, problem in (
        (stranger, "the counterparty's key is another than was agreed when the room was opened"),
        (ours(kept), "the counterparty's statement is signed by the authority's own key"),
    ):
        payload = base64.b64decode(json.loads(base64.b64decode(p["theirs"]["statement"]))["payload"])
        file = attest.envelope(payload, signs.sign, signs.public_key())
        p["theirs"] |= {"statement": base64.b64encode(file).decode(), "key": public(signs)}
        assert problem in verify_dataroom.verify_file(signed(kept, p), kept.pem).problems


def test_of_a_room_that_was_opened_before_the_log_said_the_key_that_is_not_claimed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = ("statement_key", "shown", "terms", "files", "maybe")

    def before(kind: str, case: str | None, body: dict[str, Any], key: str) -> None:
        kept.house.desk.record(kind, case, {k: v for k, v in body.items() if k not in new}, key)

    theirs = pem(certificate(kept.key, "heron"))
    with monkeypatch.context() as patch:
        patch.setattr(kept, "record", before)
        number = kept.open(certificate=theirs)
    assert kept.open(certificate=theirs) == number, "the same terms again are that room"
    dataroom_files.export(kept.rooms, number)
    kept.end(number)
    dataroom_files.clear(replace(kept.rooms, record=before), number, as_of=DAY)
    dataroom_files.clear(kept.rooms, number, as_of=DAY)
    kept.returned(number, kept.statement(number))
    report = verify_dataroom.verify_file(kept.certificate(number).envelope.encode(), kept.pem)
    assert report.problems == []
    assert report.said["was in it"].endswith("the log does not say how many files that were")
    assert report.said["their copies"].endswith(
        "signed by a key of which the log does not say that it was agreed; their word, and not seen"
    )


def public(key: Ed25519PrivateKey) -> str:
    spki = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return spki.decode()


def ours(kept: Kept) -> Ed25519PrivateKey:
    key = load_pem_private_key((kept.home / "key.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key
