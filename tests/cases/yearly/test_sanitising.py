"""A record of a medium says how, by whom and on what paper, and is refused where it can be seen not to be so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases.keys import FileKeyStore, Purpose
from include.cases.yearly.sanitising import KIND, Medium, Method, Told, in_force, record
from include.model.backups import BackupCopy, Copies, CopyOf
from include.model.errors import Refused
from tests.cases.small import TODAY, World, world

pytestmark = pytest.mark.postgres

DISK = Told(
    medium=Medium.DISK, label="SN Z4D0X1, rack 7", method=Method.ERASE, technique="nvme sanitize, block erase", on=TODAY,
    operator="ops/zhang", verifier="ops/li", checked="1 % of blocks read back", document="MS-2026-014",
)  # fmt: skip


@pytest.fixture
def w(writer: str, tmp_path: Path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def keep(w: World, **more: Any) -> int:
    return record(w.desk, replace(DISK, **more), as_of=TODAY, actor="ops/wu")


def kept(w: World) -> list[int]:
    with w.desk.book() as conn:
        return [r.record_no for r in in_force(conn)]


def copy(name: str) -> BackupCopy:
    return BackupCopy(name, CopyOf.FULL, None, None, None, None, None, "x")


def test_a_record_is_kept_and_said_without_anybodys_name(w: World) -> None:
    number = keep(w)
    with w.desk.book() as conn:
        (found,) = in_force(conn)
    assert (found.record_no, found.medium, found.operator, found.verifier) == (
        number,
        "disk",
        "ops/zhang",
        "ops/li",
    )
    kind, about, body = w.said[f"{KIND}:{number}"]
    assert (kind, about, body["label"], body["roles"]) == (KIND, None, "SN Z4D0X1, rack 7", ["ops", "ops"])
    assert "zhang" not in repr(body)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"medium": Medium.BUCKET, "method": Method.PHYSICAL}, "a bucket is not sanitised by physical.*crypto_erase, erase"),
        ({"medium": Medium.KEY, "method": Method.CRYPTO_ERASE, "key": "k"}, "a key is not sanitised by crypto_erase"),
        ({"medium": Medium.TAPE, "method": Method.PHYSICAL, "technique": "Degaussed at 1 T"}, "degaussing does not destroy"),
        ({"label": " "}, "the label is missing"),
        ({"technique": ""}, "the technique is missing"),
        ({"checked": ""}, "the check is missing"),
        ({"document": "=cmd"}, "the document is missing, or is not written"),
        ({"label": "disk of 13812345678"}, "the label holds a mobile number"),
        ({"document": "acct_0123456789ab"}, "the document holds"),
        ({"on": date(2026, 11, 25)}, "has not come yet"),
        ({"verifier": "security/zhang"}, "whoever sanitised a medium does not verify it"),
        ({"operator": "zhang"}, "not of the form role/user"),
        ({"method": Method.CRYPTO_ERASE}, "only if every copy of its key is gone"),
        ({"backup_set": "weekly"}, "no such backup set.*nightly, files"),
        ({"copies": ("a",)}, "copies are of a backup set"),
        ({"corrects": 7}, "record 7: there is no such record"),
    ],
)  # fmt: skip
def test_what_cannot_be_so_is_refused_and_nothing_is_kept(w: World, more: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        keep(w, **more)
    assert kept(w) == [] and w.said == {}


def test_copies_that_are_still_in_their_set_are_not_gone_with_a_medium(w: World) -> None:
    w.copies["nightly"] = Copies((copy("b"),))
    with pytest.raises(Refused, match="the set still has b"):
        keep(w, backup_set="nightly", copies=("a", "b"))
    keep(w, backup_set="nightly", copies=("a",))
    del w.copies["nightly"]  # its repository was on that disk
    keep(w, backup_set="nightly", copies=("b",))
    with w.desk.book() as conn:
        assert [(r.copies, r.copies_seen_gone) for r in in_force(conn)] == [(["a"], True), (["b"], None)]


def test_a_key_of_ours_that_lives_was_not_erased(w: World) -> None:
    key = w.desk.keys.make("vault", "ops", Purpose.SEALING).id
    told = {"method": Method.CRYPTO_ERASE, "key": key}
    for more in (told, {"medium": Medium.KEY, "label": key}):
        with pytest.raises(Refused, match="lives in our key store"):
            keep(w, **more)
    w.desk.keys.destroy(key)
    keep(w, **told)
    keep(w, **told | {"key": "LUKS header of rack 7"})
    assert len(kept(w)) == 2


def test_a_record_is_never_changed_but_another_takes_its_place(w: World, database: str) -> None:
    first = keep(w)
    second = keep(w, label="SN Z4D0X2, rack 7", corrects=first)
    assert kept(w) == [second]
    with pytest.raises(Refused, match="another one took its place"):
        keep(w, corrects=first)
    for sql in ("UPDATE casebook.sanitisation SET label = 'x'", "DELETE FROM casebook.sanitisation",
                "TRUNCATE casebook.sanitisation"):  # fmt: skip
        with psycopg.connect(database) as conn, pytest.raises(psycopg.Error, match="append-only"):
            conn.execute(sql.encode())


def test_what_the_ledger_does_not_take_is_not_in_the_book(w: World) -> None:
    def nothing(*_: object) -> None:
        raise Refused("the ledger is away", about="ledger")

    with pytest.raises(Refused, match="the ledger is away"):
        record(replace(w.desk, record=nothing), DISK, as_of=TODAY, actor="ops/wu")
    assert kept(w) == []
