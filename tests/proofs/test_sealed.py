"""Once the row of a key is gone, nothing that can be found opens what it sealed; and what would, is found."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from include.model import sealed
from include.model.errors import Refused
from include.model.flow import Check, Evidence, Floor, Held, Step
from include.model.keks import Keks
from include.model.times import Counting
from include.model.words import CopyKind, Rung, Verdict
from include.proofs.names import S3
from tests.conftest import PgServer
from tests.proofs.controls import control
from tests.proofs.planter import Planter
from tests.proofs.sealing import DDL, ME, OTHER, TABLES, House
from tests.stores.postgres.making import Company, step
from tests.stores.s3.world import Server, World

NewHouse = Callable[..., House]
WORD = random.SystemRandom()


@pytest.fixture(scope="module")
def pg_server(pg18: PgServer) -> PgServer:
    return pg18


@pytest.fixture
def new_house(new_company: Callable[..., Company]) -> NewHouse:
    return lambda world, **more: House(new_company(TABLES, DDL, "sealed4"), world, **more)


@pytest.fixture
def house(new_house: NewHouse, moto_here: Server) -> House:
    """Two people with two sealed videos each, one of them with an older version."""
    return furnished(new_house(World(moto_here)))


def furnished(house: House) -> House:
    for who in (ME, OTHER):
        key = house.key(who)
        house.put(f"{who}/a.mp4", key)
        house.put(f"{who}/a.mp4", key, b"again")
        house.put(f"{who}/b.mp4", key, b"short")
    return house


def said(evidence: Evidence, *names: str) -> dict[tuple[str, CopyKind], Check]:
    return {
        (c.name.partition(".")[0], c.copy_kind): c
        for c in evidence.checks
        if c.name.partition(".")[0] in (names or ("keys", "opens", "key_destroyed", "noise"))
    }


def verdicts(evidence: Evidence, *names: str) -> dict[str, set[Verdict]]:
    found: dict[str, set[Verdict]] = {}
    for (name, _), check in said(evidence, *names).items():
        found.setdefault(name, set()).add(check.verdict)
    return found


def cancelled(house: House, it: Step) -> Evidence:
    plan = house.planned(it)
    assert house.baseline(it, plan).verdict is Verdict.PASSED
    house.dispose(it, plan)
    return house.gone(it, plan)


def test_with_its_key_gone_nothing_opens_what_was_kept(new_house: NewHouse, world: World) -> None:
    house = furnished(new_house(world))
    it = step(ME)
    plan = house.planned(it)
    before = house.baseline(it, plan)
    assert said(before)["opens", CopyKind.LIVE].observed == 3
    assert verdicts(before) == {"keys": {Verdict.PASSED}, "opens": {Verdict.PASSED}}
    (key_id,) = [s.key_id for s in house.kept.samples]
    copies = [b for k, _, b in house.world.versions(house.bucket, f"{ME}/") if b is not None]
    assert len(copies) == 3 and all(sealed.key_of(b) == key_id for b in copies)
    house.dispose(it, plan)
    after = house.gone(it, plan)
    assert after.verdict is Verdict.PASSED
    assert {(n, c) for n, c in said(after)} == {
        ("key_destroyed", CopyKind.LIVE), ("key_destroyed", CopyKind.OBJECT_VERSION)
    }  # fmt: skip
    assert {(c.rung, c.expected, c.observed) for c in said(after).values()} == {(Rung.R9, 0, 0)}
    assert house.company.sql("SELECT account_id FROM account.video_key") == [(OTHER,)]


@control("gone", "key_destroyed", S3)
@pytest.mark.parametrize(
    "how", ["left", "second row", "wrapped anew", "binary", "hex", "base64", "bare", "bare in base64"]
)
def test_a_key_that_is_kept_somewhere_is_found(house: House, how: str) -> None:
    it = step(ME)
    plan = house.planned(it)
    assert house.baseline(it, plan).verdict is Verdict.PASSED
    (key_id,) = [s.key_id for s in house.kept.samples]
    wrapped, bare = house.wrapped(key_id), house.secrets[key_id]
    house.dispose(it, plan)
    assert verdicts(house.gone(it, plan)) == {"key_destroyed": {Verdict.PASSED}}
    planter = Planter(house.company, WORD.randrange(10**6))
    if how in (
        "left",
        "second row",
        "wrapped anew",
    ):  # as a restore brings it back; or under another's name and another number
        number, who = (str(key_id), ME) if how == "left" else (str(WORD.randrange(10**9)).rjust(32, "0"), OTHER)  # fmt: skip
        if how == "wrapped anew":
            wrapped = house.keks.wrap(UUID(number), bare)
        planter.past_everything(
            "account.video_key",
            "INSERT INTO account.video_key VALUES"
            f" ('{number}', '{who}', '{house.keks.newest}', '\\x{wrapped.hex()}')",
        )
    else:
        value = {"binary": wrapped, "hex": wrapped.hex(), "base64": base64.b64encode(wrapped).decode(),
                 "bare": bare, "bare in base64": base64.urlsafe_b64encode(bare).decode().rstrip("=")}[how]  # fmt: skip
        table, column = planter.word(), planter.word()
        kind = "bytea" if isinstance(value, bytes) else "text"
        house.company.sql(f"CREATE TABLE log.{table} ({column} {kind})")
        house.company.sql(f"INSERT INTO log.{table} VALUES (%s)", value)
    found = said(house.gone(it, plan))
    assert {c.verdict for c in found.values()} == {Verdict.FAILED}
    assert {c.observed for c in found.values()} == {1}


@control("baseline", "keys", S3)
def test_a_key_that_is_to_go_before_what_it_opens_stops_the_case(house: House) -> None:
    it = step(ME)
    held = [Held(hold="HOLD-000001", subject_nos=(0,), law="Arb. Law 58")]
    plan = house.planned(it, holds=held, keys=False)
    found = said(house.baseline(it, plan))["keys", CopyKind.LIVE]
    assert (found.verdict, found.rung, found.observed) == (Verdict.FAILED, Rung.R0, 3)


def test_what_a_hold_or_a_period_keeps_keeps_its_key_and_can_still_be_read(house: House) -> None:
    it = step(ME, OTHER)
    held = [Held(hold="HOLD-000001", subject_nos=(0,), law="Arb. Law 58")]
    plan = house.planned(it, holds=held)
    assert verdicts(house.baseline(it, plan)) == {"keys": {Verdict.PASSED}, "opens": {Verdict.PASSED}}
    house.dispose(it, plan)
    assert house.company.sql("SELECT account_id FROM account.video_key") == [(ME,)]
    assert verdicts(house.gone(it, plan)) == {"key_destroyed": {Verdict.PASSED}}


def test_a_period_over_all_of_it_leaves_nothing_to_say_of_keys(house: House) -> None:
    floor = Floor(
        rule="RS-03", period="main", duration="P5Y", counting=Counting.CALENDAR, start=None, law="x"
    )
    it = step(ME)
    plan = house.planned(it, floor)
    assert verdicts(house.baseline(it, plan)) == {"keys": {Verdict.PASSED}}
    house.dispose(it, plan)
    assert verdicts(house.gone(it, plan)) == {}


def test_what_was_never_sealed_is_not_called_noise(house: House) -> None:
    house.put(f"{ME}/c.mp4", None, b"\x00\x00\x00\x18ftyp")
    after = said(cancelled(house, step(ME)))
    assert after["key_destroyed", CopyKind.LIVE].verdict is Verdict.UNVERIFIED
    assert "1 versions were not sealed" in after["key_destroyed", CopyKind.LIVE].why
    assert after["key_destroyed", CopyKind.OBJECT_VERSION].verdict is Verdict.PASSED


def test_an_open_upload_cannot_be_read_into(house: House) -> None:
    house.world.s3.create_multipart_upload(Bucket=house.bucket, Key=f"{ME}/c.mp4")
    after = said(cancelled(house, step(ME)))
    assert after["key_destroyed", CopyKind.LIVE].verdict is Verdict.PASSED
    assert after["key_destroyed", CopyKind.OBJECT_VERSION].verdict is Verdict.UNVERIFIED


@pytest.mark.parametrize("fault", ["no kek", "other kek", "another's body"])
def test_a_ciphertext_that_did_not_open_before_proves_nothing_after(house: House, fault: str) -> None:
    keks = house.keks
    if fault == "another's body":
        house.company.sql("UPDATE account.video_key SET wrapped = overlay(wrapped placing '\\x00' from 20)")
    else:
        house.keks = Keks.made("other" if fault == "no kek" else keks.newest)
    it = step(ME)
    plan = house.planned(it)
    before = house.baseline(it, plan)
    assert verdicts(before) == {"keys": {Verdict.PASSED}, "opens": {Verdict.UNVERIFIED}}
    assert house.kept.samples == []
    house.dispose(it, plan)
    house.keks = keks
    assert verdicts(house.gone(it, plan)) == {"key_destroyed": {Verdict.UNVERIFIED}}


def test_without_the_look_before_nothing_is_claimed_after(house: House) -> None:
    it = step(ME)
    plan = house.planned(it)
    house.dispose(it, plan)
    assert verdicts(house.gone(it, plan)) == {"key_destroyed": {Verdict.UNVERIFIED}}


def test_a_key_encryption_key_that_is_not_given_leaves_it_open(house: House) -> None:
    it = step(ME)
    plan = house.planned(it)
    house.baseline(it, plan)
    house.dispose(it, plan)
    house.company.sql("UPDATE account.video_key SET kek = 'of somebody else'")
    found = said(house.gone(it, plan))["key_destroyed", CopyKind.LIVE]
    assert found.verdict is Verdict.UNVERIFIED and "is not given" in found.why


@control("gone", "noise", S3)
def test_what_a_lock_keeps_is_noise_once_its_key_is_gone(new_house: NewHouse, moto_here: Server) -> None:
    house = new_house(World(moto_here), locks=True)
    until = datetime.now(UTC) + timedelta(days=3)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    key = house.key(ME)
    house.put(f"{ME}/a.p7s", key, b"locked", **lock)
    house.put(f"{ME}/b.p7s", key, b"free")
    it = step(ME, as_of=datetime.now(UTC).date())
    plan = house.planned(it)
    assert house.baseline(it, plan).verdict is Verdict.PASSED
    wrapped = house.wrapped(key)
    house.dispose(it, plan)
    after = house.gone(it, plan)
    assert after.verdict is Verdict.PASSED
    assert verdicts(after) == {"key_destroyed": {Verdict.PASSED}, "noise": {Verdict.PASSED}}
    assert house.company.sql("SELECT * FROM account.video_key") == []
    ((_, _, body),) = house.world.versions(house.bucket)  # it is there, as it was put
    assert body is not None and sealed.key_of(body) == key
    house.company.sql("CREATE TABLE log.copied (k bytea)")
    house.company.sql("INSERT INTO log.copied VALUES (%s)", wrapped)
    assert verdicts(house.gone(it, plan))["noise"] == {Verdict.FAILED}


def test_a_legal_hold_of_the_server_stops_a_key_from_going(new_house: NewHouse, moto_here: Server) -> None:
    house = new_house(World(moto_here), locks=True)
    house.put(f"{ME}/a.p7s", house.key(ME), b"held", ObjectLockLegalHoldStatus="ON")
    it = step(ME)
    plan = house.planned(it)
    assert verdicts(house.baseline(it, plan))["keys"] == {Verdict.FAILED}


def test_a_later_step_knows_what_an_earlier_one_kept(new_house: NewHouse, moto_here: Server) -> None:
    house = new_house(World(moto_here), locks=True)
    lock = {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=3),
    }
    house.put(f"{ME}/a.p7s", house.key(ME), b"locked", **lock)
    first = step(ME, as_of=datetime.now(UTC).date())
    plan = house.planned(first)
    house.baseline(first, plan)
    house.dispose(first, plan)
    ((key, version, _),) = house.world.versions(house.bucket)
    house.world.s3.put_object_retention(
        Bucket=house.bucket, Key=key, VersionId=version, Retention={}, BypassGovernanceRetention=True
    )
    second = step(ME, as_of=datetime.now(UTC).date())
    plan = house.planned(second)
    assert verdicts(house.baseline(second, plan)) == {"keys": {Verdict.PASSED}, "opens": {Verdict.PASSED}}
    house.dispose(second, plan)
    assert verdicts(house.gone(second, plan)) == {"key_destroyed": {Verdict.PASSED}}


def test_no_more_ciphertexts_are_kept_than_fit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.proofs.ciphertexts.MOST", 1)
    it = step(ME, OTHER)
    plan = house.planned(it)
    assert verdicts(house.baseline(it, plan))["opens"] == {Verdict.PASSED}
    house.dispose(it, plan)
    found = said(house.gone(it, plan))["key_destroyed", CopyKind.LIVE]
    assert found.verdict is Verdict.UNVERIFIED and "of 1 keys no ciphertext was kept" in found.why


def test_a_version_that_names_a_key_and_is_sealed_with_another_is_not_called_noise(house: House) -> None:
    (key_id,) = [
        UUID(str(i))
        for (i,) in house.company.sql("SELECT key_id FROM account.video_key WHERE account_id = %s", ME)
    ]
    house.secrets[key_id] = sealed.new_key()
    house.put(f"{ME}/c.mp4", key_id, b"with a key that nobody wrote down")
    it = step(ME)
    plan = house.planned(it)
    before = said(house.baseline(it, plan))["opens", CopyKind.LIVE]
    assert (before.verdict, before.expected, before.observed) == (Verdict.UNVERIFIED, 4, 3)
    house.dispose(it, plan)
    after = said(house.gone(it, plan))
    assert after["key_destroyed", CopyKind.LIVE].verdict is Verdict.UNVERIFIED
    assert "1 versions were not seen to open" in after["key_destroyed", CopyKind.LIVE].why
    assert after["key_destroyed", CopyKind.OBJECT_VERSION].verdict is Verdict.PASSED


def test_a_ring_of_keks_that_cannot_be_read_is_refused_without_quoting_it() -> None:
    for text in ("", "a", "a:AAAA", "a:!!", " ".join(["a:" + base64.b64encode(bytes(32)).decode()] * 2)):
        with pytest.raises(Refused) as refused:
            Keks.from_text(text)
        assert "AAAA" not in str(refused.value)
    ring = Keks({"new": bytes(32), "old": bytes(range(32))})
    assert Keks.from_text(ring.text()) == ring and ring.newest == "new"


def test_of_a_table_with_too_many_values_like_keys_nothing_is_claimed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.proofs.keyhunt.MOST_LIKE", 3)
    house.company.sql(
        "CREATE TABLE log.digests AS SELECT sha256(n::text::bytea) AS d FROM generate_series(1, 4) n"
    )
    found = said(cancelled(house, step(ME)))["key_destroyed", CopyKind.LIVE]
    assert found.verdict is Verdict.UNVERIFIED and "log.digests has more than 3 values" in found.why
