"""The key store, and seals that open only where they belong."""

from __future__ import annotations

import base64
import json
import secrets
import stat

import pytest

from include.cases import sealing
from include.cases.keys import MARK, FileKeyStore, Purpose
from include.model.errors import NotReachable, Refused

KEK = secrets.token_bytes(32)


@pytest.fixture
def keys(tmp_path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", KEK)


def test_a_key_comes_back_as_it_was_made_also_for_another_process(keys, tmp_path) -> None:
    ref = keys.make("case-000001", "CASE-000001", Purpose.SEALING)
    again = FileKeyStore(tmp_path / "keys", KEK)
    assert len(keys.secret(ref.id, Purpose.SEALING)) == 32
    assert again.secret(ref.id, Purpose.SEALING) == keys.secret(ref.id, Purpose.SEALING)


def test_neither_the_directory_nor_a_key_is_open_to_others(keys, tmp_path) -> None:
    keys.make("k", "o", Purpose.SEALING)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    files = sorted((tmp_path / "keys").iterdir())
    assert [f.name for f in files] == ["k.v1.key", MARK]  # and no temporary file is left
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}


def test_the_key_is_not_on_disk_in_any_spelling(keys, tmp_path) -> None:
    ref = keys.make("k", "o", Purpose.SEALING)
    secret = keys.secret(ref.id, Purpose.SEALING)
    stored = (tmp_path / "keys" / "k.v1.key").read_bytes()
    for form in (secret, secret.hex().encode(), base64.b64encode(secret)):
        assert form not in stored


def test_versions_count_up_and_stay_readable(keys) -> None:
    refs = [keys.make("subject_token", "case book", Purpose.SUBJECT_TOKEN) for _ in range(11)]
    assert [r.version for r in keys.versions("subject_token")] == list(range(1, 12))
    assert len({keys.secret(r.id, Purpose.SUBJECT_TOKEN) for r in refs}) == 11


def test_a_destroyed_key_is_gone_recorded_and_never_reused(keys, tmp_path) -> None:
    ref = keys.make("k", "CASE-000001", Purpose.SEALING)
    first = keys.destroy(ref.id)
    assert keys.destroy(ref.id) == first
    assert first.owner == "CASE-000001"
    assert not (tmp_path / "keys" / "k.v1.key").exists()
    with pytest.raises(Refused, match="was destroyed"):
        keys.secret(ref.id, Purpose.SEALING)
    assert keys.make("k", "o", Purpose.SEALING).version == 2
    assert [r.version for r in keys.versions("k")] == [2]


def test_a_crash_between_record_and_shredding_is_finished_later_and_reads_nothing(keys, tmp_path) -> None:
    ref = keys.make("k", "o", Purpose.SEALING)
    stored = (tmp_path / "keys" / "k.v1.key").read_bytes()
    keys.destroy(ref.id)
    (tmp_path / "keys" / "k.v1.key").write_bytes(stored)  # as if the crash had come before the unlink
    with pytest.raises(Refused, match="was destroyed"):
        keys.secret(ref.id, Purpose.SEALING)
    assert keys.versions("k") == ()
    assert keys.finish_destroying() == ("k.v1",)
    assert not (tmp_path / "keys" / "k.v1.key").exists()


def test_a_key_serves_one_purpose_only(keys) -> None:
    ref = keys.make("k", "o", Purpose.TOMBSTONE)
    with pytest.raises(Refused, match="another purpose"):
        keys.secret(ref.id, Purpose.SEALING)


@pytest.mark.parametrize("field", ["owner", "purpose", "version", "id"])
def test_a_key_file_passed_off_as_another_does_not_open(keys, tmp_path, field) -> None:
    keys.make("k", "o", Purpose.SEALING)
    file = tmp_path / "keys" / "k.v1.key"
    body = json.loads(file.read_text())
    body[field] = {"owner": "p", "purpose": "tombstone", "version": 2, "id": "k.v2"}[field]
    file.write_text(json.dumps(body))
    with pytest.raises(Refused, match="the key file was changed"):
        keys.secret("k.v1", Purpose(body["purpose"]))


def test_a_new_wrapping_key_takes_over_and_the_old_one_opens_nothing(keys, tmp_path) -> None:
    ref = keys.make("k", "o", Purpose.SEALING)
    before = keys.secret(ref.id, Purpose.SEALING)
    other = secrets.token_bytes(32)
    assert keys.rewrap(other) == 1
    assert keys.rewrap(other) == 0
    assert FileKeyStore(tmp_path / "keys", other).secret(ref.id, Purpose.SEALING) == before
    with pytest.raises(Refused, match="another wrapping key"):
        keys.secret(ref.id, Purpose.SEALING)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "a" * 80])
def test_a_name_that_is_a_path_is_refused(keys, name) -> None:
    with pytest.raises(Refused):
        keys.make(name, "o", Purpose.SEALING)
    with pytest.raises(Refused):
        keys.secret(name + ".v1", Purpose.SEALING)


@pytest.mark.parametrize("kek", ["not base64!", base64.b64encode(b"short").decode()])
def test_a_bad_wrapping_key_is_refused_and_not_quoted(tmp_path, kek) -> None:
    with pytest.raises(Refused) as refused:
        FileKeyStore.from_text(str(tmp_path), kek)
    assert kek not in str(refused.value)


def test_a_seal_opens_only_for_its_own_case_and_field(keys) -> None:
    ref = keys.make("case-1", "CASE-000001", Purpose.SEALING)
    seal = sealing.Seal(keys, ref.id, "CASE-000001")
    sealed = seal.seal("case_subject.sealed_id.0", "acct_0123456789ab")
    assert seal.open("case_subject.sealed_id.0", sealed) == "acct_0123456789ab"
    assert b"acct" not in sealed
    for other, field in (
        (seal, "case_subject.sealed_id.1"),
        (sealing.Seal(keys, ref.id, "CASE-000002"), "case_subject.sealed_id.0"),
    ):
        with pytest.raises(Refused, match="broken"):
            other.open(field, sealed)
    with pytest.raises(Refused, match="broken"):
        seal.open("case_subject.sealed_id.0", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(Refused, match="unknown format"):
        seal.open("case_subject.sealed_id.0", b"\x02" + sealed[1:])


def test_sealing_twice_never_gives_the_same_bytes(keys) -> None:
    seal = sealing.Seal(keys, keys.make("c", "o", Purpose.SEALING).id, "CASE-000001")
    assert seal.seal("f", "x") != seal.seal("f", "x")


def test_a_digest_joins_the_same_person_and_tells_apart_kind_purpose_and_version(keys) -> None:
    token = sealing.current(keys, Purpose.SUBJECT_TOKEN)
    stone = sealing.current(keys, Purpose.TOMBSTONE)
    one = sealing.digest(keys, token, "account_id", "acct_0123456789ab")
    assert one == sealing.digest(keys, token, "account_id", "acct_0123456789ab")
    newer = keys.make("subject_token", "case book", Purpose.SUBJECT_TOKEN)
    others = {
        sealing.digest(keys, token, "phone", "acct_0123456789ab"),
        sealing.digest(keys, stone, "account_id", "acct_0123456789ab"),
        sealing.digest(keys, newer, "account_id", "acct_0123456789ab"),
    }
    assert len(others | {one}) == 4
    assert sealing.digests(keys, Purpose.SUBJECT_TOKEN, "account_id", "acct_0123456789ab")[1] == one


def opened(directory) -> FileKeyStore:
    return FileKeyStore.from_text(str(directory), base64.b64encode(KEK).decode())


def test_a_key_store_that_is_away_is_waited_for_and_none_is_made_in_its_place(keys, tmp_path) -> None:
    """An empty mount point, or none: no key is made there that would be lost when the store is back."""
    ref = keys.make("case-000001", "CASE-000001", Purpose.SEALING)
    place, away = tmp_path / "keys", tmp_path / "away"
    place.rename(away)
    for there in (False, True):
        if there:
            place.mkdir()
        store = opened(place)
        for ask in (
            lambda s: s.secret(ref.id, Purpose.SEALING),
            lambda s: s.make("case-000002", "CASE-000002", Purpose.SEALING),
            lambda s: s.versions("case-000001"),
            lambda s: s.destroy(ref.id),
        ):
            with pytest.raises(NotReachable, match="mount it"):
                ask(store)
    assert list(place.iterdir()) == []
    place.rmdir()
    away.rename(place)
    assert len(opened(place).secret(ref.id, Purpose.SEALING)) == 32


def test_a_key_store_of_before_there_was_a_mark_is_one(keys, tmp_path) -> None:
    ref = keys.make("k", "o", Purpose.SEALING)
    (tmp_path / "keys" / MARK).unlink()
    assert opened(tmp_path / "keys").secret(ref.id, Purpose.SEALING)
