"""What is not what was signed is refused, and named; what differs is named by digest, and never marked received."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from include.handover import fetching, packing, receipts, register, sealed, shards
from include.handover.sending import sealed_key, statement_key
from include.ledger import attest, verify
from include.model.errors import BooksDoNotBalance, LedgerError, NoRoom, QuietusError, Refused
from include.model.handover import BagReceipt, BagState, Consigned
from include.model.words import Role
from tests.handover.both import AUTHORITY, INBOX, ORDER, TABLES, Attesting, Both, certificate, pem, usage

SmallDisk = Callable[[Path, int], AbstractContextManager[Path]]
NAME = "cert.crl_entry-00001"


@pytest.fixture
def sent(both: Both) -> Both:
    """One small dataset is packed and sent."""
    both.datasets = (TABLES[1],)
    both.pack()
    both.send()
    return both


@pytest.fixture
def stored(sent: Both) -> Both:
    assert not sent.receive().refused
    return sent


def state(both: Both, name: str = NAME) -> BagState:
    return next(b.state for b in both.bags() if b.name == name)


def resigned(both: Both, signer: Attesting | None = None, **changes: object) -> bytes:
    """Its receipt with something else in it, signed anew."""
    said = json.loads(
        attest.opened(both.receipt(NAME), "quietus-bag-receipt/1", attest.public_key(both.their_signer.pem))
    )
    return (signer or both.their_signer)(BagReceipt.model_validate(said | changes).canonical())


# --- receipts ---------------------------------------------------------------------------------------


def test_a_receipt_that_is_forged_or_about_something_else(stored: Both) -> None:
    forger = Attesting(stored.home / "forger", "forger")
    said = json.loads(stored.receipt(NAME))
    payload = said["payload"]
    said["payload"] = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    statement = next(b.envelope for b in stored.bags() if b.name == NAME)
    wrong: list[tuple[bytes, type[QuietusError], str]] = [
        (resigned(stored, forger), LedgerError, "not by the key"),
        (json.dumps(said).encode(), LedgerError, "not by the key|damaged"),
        (b"{}", LedgerError, "damaged"),
        (statement or b"", LedgerError, "is no quietus-bag-receipt/1"),
        (resigned(stored, order="SO-0002"), Refused, "of another order"),
        (resigned(stored, bag="book.hold-00001"), Refused, "for another bag"),
        (resigned(stored, statement="0" * 64), Refused, "another statement"),
        (resigned(stored, root="1" * 64), BooksDoNotBalance, "another root"),
        (resigned(stored, items=1), BooksDoNotBalance, "another root"),
    ]
    for file, kind, words in wrong:
        with pytest.raises(kind, match=words):
            stored.verify(NAME, file)
        assert state(stored) is BagState.SENT, words
    stored.verify(NAME)
    assert state(stored) is BagState.RECEIVED
    stored.verify(NAME)  # the same again says nothing new
    assert state(stored) is BagState.RECEIVED


def test_a_receipt_that_a_custodian_could_not_read_is_not_believed(stored: Both) -> None:
    """It is signed by the right key, and means what it should, but is not written so."""
    payload = attest.opened(
        stored.receipt(NAME), "quietus-bag-receipt/1", attest.public_key(stored.their_signer.pem)
    )
    said = json.loads(payload)
    for loose in (
        {"items": str(said["items"])},
        {"differences": {}},
        {"stored_at": said["stored_at"].replace("T", " ")},
    ):
        file = stored.their_signer(verify.canonical(said | loose))
        with pytest.raises(LedgerError, match="malformed"):
            stored.verify(NAME, file)
        with stored.book() as conn:
            assert conn.execute("SELECT FROM casebook.handover_receipt").fetchall() == []
        assert state(stored) is BagState.SENT


def test_the_key_that_is_believed_is_the_one_by_which_bags_were_packed(stored: Both) -> None:
    """Whoever can hand a file to the command must not choose the key as well."""
    forger = Attesting(stored.home / "forger", "forger")
    asked = stored.consignment
    theirs = asked.successor.model_copy(update={"receipt_key": forger.pem})
    other = asked.model_copy(update={"successor": theirs})
    with stored.book() as conn, pytest.raises(Refused, match="another consignment"):
        receipts.verify(conn, other, NAME, resigned(stored, forger), actor="ops/test")
    assert state(stored) is BagState.SENT


CHANGES = {
    "changed": ("UPDATE cert.crl_entry SET reason = 'superseded' WHERE serial = (SELECT min(serial) FROM cert.crl_entry)",
                (0, 1, 0)),
    "missing": ("DELETE FROM cert.crl_entry WHERE serial = (SELECT min(serial) FROM cert.crl_entry)", (1, 0, 0)),
    "extra": ("SET session_replication_role = replica; INSERT INTO cert.crl_entry"
              " SELECT (jsonb_populate_record(c, '{\"serial\": \"0123\"}')).* FROM cert.crl_entry AS c LIMIT 1", (1, 0, 1)),
    "clock": ("UPDATE quietus_handover.bag SET clocks = (SELECT array_agg(replace(c, '\"due\":', '\"due_\":') ORDER BY n)"
              " FROM unnest(clocks) WITH ORDINALITY AS u(c, n)) WHERE dataset = 'cert.crl_entry'", None),
}  # fmt: skip
"""One after the other; what is counted then: missing, changed, extra."""


def test_what_differs_at_the_successor_is_named_and_its_bag_waits(stored: Both) -> None:
    for aside in ("cert.crl_entry", "quietus_handover.bag"):
        stored.sql(stored.theirs, f"CREATE TABLE {aside.split('.')[1]} AS SELECT * FROM {aside}")
    for what, (deed, expected) in CHANGES.items():
        stored.sql(stored.theirs, deed)
        found = {r.bag: r.differences for r in stored.receive().receipts}
        of = found[NAME]
        if expected is not None:
            assert (len(of.missing), len(of.changed), len(of.extra)) == expected, what
        else:
            assert of.changed, what
        assert all(d.none for name, d in found.items() if name != NAME), "it stops that bag alone"
        with pytest.raises(BooksDoNotBalance, match="nothing of this bag may be deleted") as told:
            stored.verify(NAME)
        assert "superseded" not in str(told.value)
        assert state(stored) is BagState.SENT and not stored.reconciled()
    stored.sql(
        stored.theirs,
        "SET session_replication_role = replica; DELETE FROM cert.crl_entry; INSERT INTO cert.crl_entry SELECT * FROM crl_entry;"
        " UPDATE quietus_handover.bag AS b SET clocks = a.clocks FROM public.bag AS a WHERE a.bag = b.bag",
    )
    stored.receive()
    stored.verify(NAME)
    assert state(stored) is BagState.RECEIVED, "once it is repaired, a receipt says so"
    with pytest.raises(Refused, match="the successor signed for it"):
        stored.send(again=NAME)
    # It lost something after that: our copy may be gone, and the sealed file is all there is.
    stored.sql(stored.theirs, CHANGES["missing"][0])
    stored.receive()
    with pytest.raises(BooksDoNotBalance):
        stored.verify(NAME)
    assert stored.send(again=NAME) == [NAME] and state(stored) is BagState.RECEIVED


# --- bags --------------------------------------------------------------------------------------------


def tampered_file(both: Both) -> None:
    client = both.theirs.s3("inbox", Role.COURIER)
    whole = bytearray(client.get_object(Bucket=INBOX, Key=sealed_key(ORDER, NAME))["Body"].read())
    whole[-500] ^= 1
    client.put_object(Bucket=INBOX, Key=sealed_key(ORDER, NAME), Body=bytes(whole))


def cut_file(both: Both) -> None:
    client = both.theirs.s3("inbox", Role.COURIER)
    whole = client.get_object(Bucket=INBOX, Key=sealed_key(ORDER, NAME))["Body"].read()
    client.put_object(Bucket=INBOX, Key=sealed_key(ORDER, NAME), Body=whole[:-100])


def forged_statement(both: Both) -> None:
    forger = Attesting(both.home / "forger", "forger")
    payload = next(b.payload for b in both.bags() if b.name == NAME)
    both.theirs.s3("inbox", Role.COURIER).put_object(
        Bucket=INBOX, Key=statement_key(ORDER, NAME), Body=forger(payload)
    )


def swapped_statement(both: Both) -> None:
    other = next(b.envelope for b in both.bags() if b.name != NAME)
    both.theirs.s3("inbox", Role.COURIER).put_object(
        Bucket=INBOX, Key=statement_key(ORDER, NAME), Body=other or b""
    )


class Endless:
    """The inbox's client, of which one file never ends."""

    def __init__(self, client: Any) -> None:
        self._client, self.read = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, **which: Any) -> Any:
        if which["Key"] == sealed_key(ORDER, NAME):
            return {"Body": self.Body(self)}
        return self._client.get_object(**which)

    class Body:
        def __init__(self, of: Any) -> None:
            self.of = of

        def read(self, octets: int) -> bytes:
            self.of.read += octets
            if self.of.read > 32 << 20:
                raise OSError(errno.ENOSPC, "the disk would be full")
            return b"x" * octets


def test_a_sealed_file_that_never_ends_is_read_no_further_than_was_signed_and_stops_alone(sent: Both) -> None:
    endless = Endless(sent.theirs.s3("inbox", Role.COURIER))
    sent.theirs.stands_in["inbox"] = endless
    got = sent.receive()
    assert list(got.refused) == [NAME] and "tampered with" in got.refused[NAME] and len(got.receipts) == 4
    assert endless.read == sent.statements()[NAME].bytes + 1
    assert not list(sent.home.glob("in/**/*.part"))
    sent.theirs.stands_in.clear()
    sent.theirs.stands_in["inbox"] = endless._client
    assert not sent.receive().refused


def test_a_bag_that_was_tampered_with_is_not_stored_and_stops_alone(sent: Both) -> None:
    client = sent.theirs.s3("inbox", Role.COURIER)
    whole = {
        k: client.get_object(Bucket=INBOX, Key=k)["Body"].read()
        for k in (sealed_key(ORDER, NAME), statement_key(ORDER, NAME))
    }
    for deed, words in (
        (tampered_file, "tampered with"), (cut_file, "cut off"), (forged_statement, "not by the key"),
        (swapped_statement, "about another bag"),
    ):  # fmt: skip
        deed(sent)
        got = sent.receive()
        assert list(got.refused) == [NAME] and words in got.refused[NAME]
        assert len(got.receipts) == 4, "the others are stored"
        assert sent.sql(sent.theirs, "SELECT count(*) FROM cert.crl_entry") == [(0,)]
        with pytest.raises(ClientError):
            sent.receipt(NAME)
        for key, content in whole.items():
            client.put_object(Bucket=INBOX, Key=key, Body=content)
    assert not sent.receive().refused


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda lines: lines[1:], "not that of what it holds"), (lambda lines: [b"nothing\n", *lines[1:]], "not that of"),
        (lambda lines: [b"99999\t\n", *lines[1:]], "not that of"), (None, "cannot be read as a bag"),
    ],
    ids=["a line is missing", "a line is none", "no such clock", "no list of clocks"],
)  # fmt: skip
def test_a_bag_that_its_sender_packed_wrongly_and_signed_stops_alone(
    sent: Both, monkeypatch: pytest.MonkeyPatch, wrong: Any, words: str
) -> None:
    opened = fetching.opened

    @contextmanager
    def packed_wrongly(inbox: Any, order: str, name: str) -> Iterator[Any]:
        with opened(inbox, order, name) as arrived:
            if name == NAME and wrong:
                items = arrived.path / "data/items.tsv"
                items.write_bytes(b"".join(wrong(items.read_bytes().splitlines(keepends=True))))
            elif name == NAME:
                del arrived.said["clocks"]
            yield arrived

    monkeypatch.setattr(fetching, "opened", packed_wrongly)
    got = sent.receive()
    assert list(got.refused) == [NAME] and words in got.refused[NAME] and len(got.receipts) == 4
    assert sent.sql(sent.theirs, "SELECT count(*) FROM cert.crl_entry") == [(0,)]
    monkeypatch.setattr(fetching, "opened", opened)
    assert not sent.receive().refused


def lost_file(both: Both) -> None:
    both.theirs.s3("inbox", Role.COURIER).delete_object(Bucket=INBOX, Key=sealed_key(ORDER, NAME))


def test_a_bag_that_was_damaged_or_lost_on_its_way_is_sent_again(sent: Both) -> None:
    for deed in (tampered_file, cut_file, lost_file):
        deed(sent)
        with suppress(Refused):
            assert NAME in sent.receive().refused
        assert sent.send(again=NAME) == [NAME]
    assert not sent.receive().refused
    sent.verify(NAME)
    with pytest.raises(Refused, match="the successor signed for it"):
        sent.send(again=NAME)


def test_what_was_killed_while_it_was_sent_again_goes_on(sent: Both) -> None:
    tampered_file(sent)
    sent.killed_at("handover.part", lambda b: b.send(again=NAME))
    assert sent.send(again=NAME) == [NAME]
    assert not sent.receive().refused
    assert next(b.upload_id for b in sent.bags() if b.name == NAME) is None


def test_another_file_of_the_same_length_is_not_taken_for_the_bag(both: Both) -> None:
    both.datasets = (TABLES[1],)
    both.pack()
    length = next(b.statement.bytes for b in both.bags() if b.name == NAME)
    both.ours.s3("inbox", Role.COURIER).put_object(
        Bucket=INBOX, Key=sealed_key(ORDER, NAME), Body=b"x" * length
    )
    with pytest.raises(Refused, match="was not sent yet"):
        both.send(again=NAME)
    both.send()
    assert not both.receive().refused


def test_the_seal_shows_a_single_bit_by_itself(successors_key: rsa.RSAPrivateKey) -> None:
    mine = certificate(successors_key, "successor")
    out = io.BytesIO()
    seal = sealed.Sealing(out, mine, 100_000)
    seal.write(b"v" * 100_000)
    seal.finish()
    for at in (-1, -20, -50_000):
        whole = bytearray(out.getvalue())
        whole[at] ^= 4
        with pytest.raises(LedgerError, match="not whole"):
            sealed.Opening(io.BytesIO(bytes(whole)), successors_key, mine).drain()
    with pytest.raises(LedgerError):
        sealed.Opening(io.BytesIO(out.getvalue()[:-1]), successors_key, mine).drain()
    with pytest.raises(LedgerError):
        sealed.Opening(io.BytesIO(b"no cms"), successors_key, mine)
    with pytest.raises(Refused, match="another certificate"):
        sealed.Opening(io.BytesIO(out.getvalue()), successors_key, certificate(successors_key, "other"))


# --- certificates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["broken", "over", "no chain", "small", "garbage"])
def test_a_successors_certificate_that_nobody_vouches_for(
    fault: str, successors_key: rsa.RSAPrivateKey
) -> None:
    root = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    by = ("root", root)
    good = pem(certificate(successors_key, "successor", issuer=by)) + pem(authority(root))
    assert sealed.recipient(good)
    bad = {
        "broken": pem(certificate(successors_key, "successor", issuer=by)) + pem(authority(successors_key)),
        "over": pem(certificate(successors_key, "successor", issuer=by, days=0)) + pem(authority(root)),
        "no chain": pem(certificate(successors_key, "successor", issuer=by)),
        "small": pem(certificate(_small_key(), "successor")),
        "garbage": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
    }[fault]
    with pytest.raises(Refused):
        sealed.recipient(bad)


def authority(
    key: rsa.RSAPrivateKey, *more: x509.ExtensionType, depth: int | None = None
) -> x509.Certificate:
    """One that signed itself, and may issue."""
    return certificate(
        key, "root", extensions=[x509.BasicConstraints(ca=True, path_length=depth), *more]
    )  # fmt: skip


def test_who_issues_a_successors_certificate_is_an_authority(successors_key: rsa.RSAPrivateKey) -> None:
    """A customer of an authority has a certificate of the same chain, and a key that signs."""
    middle, root = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    own = certificate(successors_key, "successor", issuer=("middle", middle))

    def chain(of: Sequence[x509.ExtensionType], above: x509.Certificate) -> str:
        by = certificate(middle, "middle", issuer=("root", root), extensions=of)
        return pem(own) + pem(by) + pem(above)

    top, signs = authority(root), usage("key_cert_sign", "crl_sign")
    assert sealed.recipient(chain([AUTHORITY, signs], top)) == own
    assert sealed.recipient(chain([AUTHORITY], authority(root, depth=1))) == own
    no_authority = x509.BasicConstraints(ca=False, path_length=None)
    bad = {
        "nothing said": chain([], top),
        "a customer": chain([no_authority, usage("digital_signature")], top),
        "not for issuing": chain([AUTHORITY, usage("digital_signature")], top),
        "too deep": chain([AUTHORITY], authority(root, depth=0)),
        "a root that says nothing": chain([AUTHORITY], certificate(root, "root")),
    }
    for what, text in bad.items():
        with pytest.raises(Refused, match="no certification authority"):
            sealed.recipient(text)
            pytest.fail(what)


def test_a_successors_key_is_for_encrypting(successors_key: rsa.RSAPrivateKey) -> None:
    assert sealed.recipient(pem(certificate(successors_key, "s", extensions=[usage("key_encipherment")])))
    with pytest.raises(Refused, match="not for encrypting"):
        sealed.recipient(pem(certificate(successors_key, "s", extensions=[usage("digital_signature")])))


def test_the_year_after_is_over(successors_key: rsa.RSAPrivateKey) -> None:
    mine = certificate(successors_key, "successor")
    with pytest.raises(Refused, match="over"):
        sealed.recipient(pem(mine), at=mine.not_valid_after_utc + timedelta(seconds=1))


def test_a_certificate_that_ended_since_it_was_compared_stays_the_key_of_the_handover(both: Both) -> None:
    """Months lie between the day on which it was compared by phone and the last bag."""
    both.certificate = certificate(both.key, "successor", days=0)
    with pytest.raises(Refused, match="over"):
        sealed.recipient(pem(both.certificate))
    outcome = both.pack()
    assert outcome.made and not outcome.left
    both.send()
    got = both.receive()
    assert not got.refused and {r.bag for r in got.receipts} == set(outcome.made)


def _small_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is to be refused


# --- what may not go, or cannot ------------------------------------------------------------------------


def test_raw_biometrics_never_go_and_the_rest_does(both: Both) -> None:
    both.datasets = (
        Consigned(dataset="ra.biometric", rule="RS-03"),
        Consigned(dataset="objects.face_video", rule="RS-03"),
        Consigned(dataset="objects.locked_evidence", rule="RS-10"),
        Consigned(dataset="cert.issuance_log", rule="RS-03"),
        TABLES[1],
    )
    left = both.pack().left
    assert "raw biometrics" in left["ra.biometric"] and "raw biometrics" in left["objects.face_video"]
    assert "which opens it, is not handed over" in left["objects.locked_evidence"]
    assert "does not bind" in left["cert.issuance_log"]
    assert len(left) == 4 and both.bags("cert.crl_entry")
    assert not both.reconciled()
    both.datasets = (TABLES[0],)
    with pytest.raises(Refused, match="another consignment"):
        both.pack()


def everything_received(both: Both) -> bool:
    """Send what is packed, receive it, verify; whether the book says that all of the order is reconciled, asked by number."""
    both.send()
    assert not both.receive().refused
    for bag in both.bags():
        both.verify(bag.name)
    assert {b.state for b in both.bags()} == {BagState.RECEIVED}
    with both.book() as conn:
        return register.reconciled(conn, ORDER)


def test_nothing_is_reconciled_before_holds_tombstones_and_recipients_went(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.datasets = (TABLES[1],)
    with monkeypatch.context() as killed:
        killed.setattr(packing.bookbags, "pack", lambda *_: None)  # they are packed last
        both.pack()
    assert not everything_received(both)
    both.pack()
    assert everything_received(both)


def test_nothing_is_reconciled_while_a_dataset_that_was_consigned_was_left(both: Both) -> None:
    both.datasets = (TABLES[1], Consigned(dataset="objects.locked_evidence", rule="RS-10"))
    assert list(both.pack().left) == ["objects.locked_evidence"]
    assert not everything_received(both)


def test_the_name_of_a_sealed_file_is_on_disk_before_the_book_has_the_bag(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.datasets = (TABLES[1],)
    synced: list[bool] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.is_relative_to(both.home / "out"):  # the signer has files of its own
            synced.append(path.is_dir())
        real(handle)

    monkeypatch.setattr(shards.os, "fsync", fsync)
    made = both.pack().made
    assert synced == [False, True] * len(made), "the file, then its directory"


def test_a_table_that_grew_after_t0_is_named_and_its_bags_stay(both: Both) -> None:
    both.datasets = (TABLES[0],)
    both.killed_at("handover.packed", lambda b: b.pack(), 2)
    both.sql(
        both.ours,
        "SET session_replication_role = replica; INSERT INTO cert.certificate"
        ' SELECT (jsonb_populate_record(c, \'{"serial": "00"}\')).* FROM cert.certificate AS c LIMIT 1',
    )
    left = both.pack().left
    assert "wrote to it after T0" in left["cert.certificate"]
    assert not any(b.last for b in both.bags("cert.certificate")) and not both.reconciled()


def test_a_successor_that_has_rows_of_its_own_or_another_schema(sent: Both) -> None:
    sent.sql(
        sent.theirs,
        "SET session_replication_role = replica; INSERT INTO cert.crl_entry (serial, revoked_at, reason)"
        " VALUES ('77', now(), 'superseded')",
    )
    assert "no bag brought" in sent.receive().refused[NAME]
    sent.sql(
        sent.theirs,
        "DELETE FROM cert.crl_entry; ALTER TABLE cert.crl_entry ALTER COLUMN reason TYPE varchar(40)",
    )
    assert "of other types" in sent.receive().refused[NAME]
    assert sent.sql(sent.theirs, "SELECT count(*) FROM cert.crl_entry") == [(0,)]


class Full:
    """A bucket's client that has room for nothing but what it is asked about."""

    def __init__(self, client: object, code: str) -> None:
        self._client, self._code = client, code

    def __getattr__(self, name: str) -> object:
        if name in ("upload_part", "put_object"):

            def refuse(**_: object) -> None:
                raise ClientError({"Error": {"Code": self._code, "Message": "secret"}}, name)

            return refuse
        return getattr(self._client, name)


def test_a_full_bucket_is_named_and_sending_goes_on_when_there_is_room(both: Both) -> None:
    both.datasets = (TABLES[1],)
    both.pack()
    client = both.ours.stands_in["inbox"]
    both.ours.stands_in["inbox"] = Full(client, "QuotaExceeded")
    with pytest.raises(NoRoom, match=r"bucket is full \(QuotaExceeded\)") as told:
        both.send()
    assert "secret" not in str(told.value)
    both.ours.stands_in["inbox"] = client
    assert len(both.send()) == 5


def test_a_full_disk_of_ours_and_of_the_successor_is_named(both: Both, small_disk: SmallDisk) -> None:
    both.datasets = (TABLES[0],)
    with small_disk(both.home / "out", 24_000), pytest.raises(NoRoom, match="disk is full"):
        both.pack()
    assert not both.pack().left and len(both.send()) > 3
    with small_disk(both.home / "in", 24_000), pytest.raises(NoRoom, match="disk is full"):
        both.receive()
    assert not both.receive().refused
    for bag in both.bags():
        both.verify(bag.name)
    assert both.reconciled()


def test_a_full_database_of_the_successor_is_named_and_nothing_is_half_stored(
    sent: Both, small_disk: SmallDisk, open_home: Path
) -> None:
    with small_disk(open_home / "space", 128_000) as disk:
        owner = sent.theirs.server.cluster.data.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        disk.chmod(0o700)
        sent.sql(sent.theirs, f"CREATE TABLESPACE small LOCATION '{disk}'")
        sent.sql(sent.theirs, "ALTER TABLE cert.crl_entry SET TABLESPACE small")
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        try:
            with pytest.raises(NoRoom, match="no room left"):
                sent.receive()
            assert sent.sql(
                sent.theirs, "SELECT count(*) FROM quietus_handover.item WHERE dataset = 'cert.crl_entry'"
            ) == [(0,)]
            (disk / "filler").unlink()
            assert not sent.receive().refused
            sent.verify(NAME)
        finally:
            sent.sql(sent.theirs, "ALTER TABLE cert.crl_entry SET TABLESPACE pg_default")
            sent.sql(sent.theirs, "DROP TABLESPACE small")


def test_errors_of_ours_are_errors_of_the_family() -> None:
    assert issubclass(NoRoom, Refused) and issubclass(NoRoom, QuietusError)
