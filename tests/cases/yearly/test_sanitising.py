"""A record of a medium says how, by whom and on what paper, and is refused where it can be seen not to be so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases.keys import FileKeyStore, Purpose
from include.cases.yearly.sanitising import KIND, Told, in_force, record
from include.cases.yearly.unsanitised import carriers, missing
from include.model.backups import BackupCopy, Copies, CopyOf
from include.model.errors import Refused
from include.model.estate import Keys
from include.model.media import Medium, Method
from include.model.policy import Proposal
from tests.cases.small import TODAY, World, catalogue, world

pytestmark = pytest.mark.postgres

DISK = Told(
    medium=Medium.DISK, label="SN Z4D0X1, rack 7", method=Method.ERASE, technique="nvme sanitize, block erase", on=TODAY,
    operator="ops/zhang", verifier="ops/li", checked="1 % of blocks read back", document="MS-2026-014",
    standard="NIST SP 800-88r2", verified=1, datasets=("web.log",),
)  # fmt: skip


@pytest.fixture
def w(writer: str, tmp_path: Path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def keep(w: World, **more: Any) -> int:
    other = {"datasets": ()} if {"store", "backup_set"} & more.keys() else {}
    return record(w.desk, replace(DISK, **(other | more)), as_of=TODAY, actor="ops/wu")


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
        ({"datasets": ()}, "disk: what the medium held is said by its store, its backup set or its datasets"),
        ({"store": "main", "datasets": ("web.log",)}, "by one of them"),
        ({"store": "main", "backup_set": "nightly"}, "by one of them"),
        ({"datasets": ("web.log", "web.none")}, "web.none: there is no such dataset"),
        ({"store": "attic"}, "attic: there is no such store. *Next: name one of: main, files"),
        ({"standard": "DoD 5220.22-M"}, "the procedure disk does not go by that standard.*NIST SP 800-88r2"),
        ({"verified": 0}, "0 % of it was verified, and the procedure disk asks for 1 % of erase"),
        ({"verified": 101}, "101 % of it was verified"),
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


def some_sensitive(**changes: Any) -> Any:
    """PI-004 is sensitive: account.account has it in store main, scan.image in files."""
    made = catalogue()
    kinds = tuple(c.model_copy(update={"sensitive": c.id == "PI-004"}) for c in made.categories)
    return made.model_copy(update={"categories": kinds, **changes})


@pytest.fixture
def levels(writer: str, tmp_path: Path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), some_sensitive)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"datasets": ("account.account",)}, "disk that held account.account: erase is below the procedure disk_sensitive: for"
         " sensitive data it does not suffice.*crypto_erase, physical"),
        ({"store": "main"}, "disk that held account.account: erase is below"),
        ({"backup_set": "files"}, "disk that held scan.image: erase is below"),
        ({"datasets": ("web.log", "scan.image")}, "disk that held scan.image: erase is below"),
        ({"store": "main", "method": Method.CRYPTO_ERASE, "key": "LUKS", "verified": 9},
         "9 % of it was verified, and the procedure disk_sensitive asks for 10 % of crypto_erase"),
    ],
)  # fmt: skip
def test_what_is_below_the_procedure_for_the_most_sensitive_dataset_is_refused(
    levels: World, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        keep(levels, **more)
    assert kept(levels) == [] and levels.said == {}


def test_a_record_says_what_the_medium_held_by_which_standard_and_how_much_was_read_back(
    levels: World,
) -> None:
    number = keep(
        levels, backup_set="files", method=Method.CRYPTO_ERASE, key="LUKS header of rack 7", verified=10
    )
    with levels.desk.book() as conn:
        (found,) = in_force(conn)
    assert (found.datasets, found.sensitive, found.procedure) == (["scan.image"], True, "disk_sensitive")
    assert (found.standard, found.verified_percent) == ("NIST SP 800-88r2", 10)
    body = levels.said[f"{KIND}:{number}"][2]
    assert body["datasets"] == ["scan.image"] and body["sensitive"] is True and body["verified_percent"] == 10
    assert (body["standard"], body["procedure"], body["store"]) == (
        "NIST SP 800-88r2",
        "disk_sensitive",
        None,
    )
    assert keep(levels), "what is not sensitive is overwritten"


def test_a_procedure_that_nobody_owns_holds_in_a_sandbox_only(w: World) -> None:
    def unowned(desk: Any, **connections: str) -> Any:
        made = tuple(p.model_copy(update={"proposal": Proposal()}) for p in desk.catalogue.media)
        return replace(desk, catalogue=desk.catalogue.model_copy(update={"media": made}))

    desk = unowned(w.desk)
    with pytest.raises(Refused, match=r"nobody owns the procedure disk.*owner.*approved_on"):
        record(desk, DISK, as_of=TODAY, actor="ops/wu")
    assert kept(w) == []

    class Sandbox:
        def text(self, name: str) -> str:
            return "yes" if name == "sandbox" else str(w.desk.connections.text(name))

        def __getattr__(self, name: str) -> Any:
            return getattr(w.desk.connections, name)

    assert record(replace(desk, connections=Sandbox()), DISK, as_of=TODAY, actor="ops/wu")  # type: ignore[arg-type]
    none = w.desk.catalogue.model_copy(update={"media": ()})
    with pytest.raises(Refused, match=r"no procedure for data that is not sensitive on a disk.*media\.yaml"):
        record(replace(w.desk, catalogue=none), DISK, as_of=TODAY, actor="ops/wu")


def test_a_record_of_before_stays_readable_and_says_nothing_of_what_it_held(w: World, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(
            "INSERT INTO casebook.sanitisation (medium, label, method, technique, sanitised_on, operator, verifier, verified_by,"
            " document, recorded_by) VALUES ('disk', 'SN 1', 'erase', 'overwritten', '2026-01-01', 'ops/zhang', 'ops/li', 'read',"
            " 'MS-1', 'ops/wu')"
        )
    keep(w, store="files")
    with w.desk.book() as conn:
        old, new = in_force(conn)
    assert (old.datasets, old.sensitive, old.procedure, old.standard, old.verified_percent) == (None,) * 5
    assert new.datasets == ["scan.image"]
    with psycopg.connect(database) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(
            "INSERT INTO casebook.sanitisation (medium, label, method, technique, sanitised_on, operator, verifier, verified_by,"
            " document, recorded_by, datasets) VALUES ('disk', 'SN 1', 'erase', 'overwritten', '2026-01-01', 'ops/zhang',"
            " 'ops/li', 'read', 'MS-1', 'ops/wu', '{web.log}')"
        )


def test_stores_backup_sets_and_keys_without_a_record_are_listed(w: World) -> None:
    keyed = tuple(
        d.model_copy(update={"keys": Keys(id="a", wrapped="b", kek="c")}) if d.id == "web.log" else d
        for d in w.desk.catalogue.datasets
    )
    all_ = carriers(w.desk.catalogue.model_copy(update={"datasets": keyed}))

    def left(since: date | None = None) -> list[str]:
        with w.desk.book() as conn:
            return [c.name for c in missing(all_, in_force(conn), since)]

    everything = ["backup_set:files", "backup_set:nightly", "keys:web.log", "store:files", "store:main"]
    assert left() == everything
    keep(w)  # a disk of a dataset is no medium of the store, and no key
    assert left() == everything
    number = keep(w, store="main")
    assert left() == everything[:-1] and left(date(2026, 11, 25)) == everything
    keep(w, backup_set="nightly")
    keep(w, medium=Medium.KEY, label="kek of 2024")
    assert left() == ["backup_set:files", "store:files"]
    keep(w, store="files", corrects=number)
    assert left() == ["backup_set:files", "store:main"], (
        "a record that another took the place of is in no force"
    )
    assert [c.name for c in carriers(w.desk.catalogue, {"scan.image"})] == ["backup_set:files", "store:files"]
