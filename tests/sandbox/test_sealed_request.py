"""Two people of the company leave: what opened their videos, recordings and signatures goes with these, or stays with them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from uuid import UUID

import pytest

from include.cases import book, papers, provers, verbs
from include.model import sealed
from include.model.errors import NotProved, NotReachable
from include.model.flow import Check
from include.model.words import CaseState, CopyKind, Disposition, Verdict
from include.sandbox import buckets
from include.stores.s3 import S3Store
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import ON, House

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PEOPLE = 120
VIDEO, CALLS, LOCKED = "objects.face_video", "objects.call_recordings", "objects.locked_evidence"


@pytest.fixture(scope="module")
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for login in ROLES:
        pg18.add_role(login)
    yield House.made(
        pg18, pg18.fresh_database("case_book", build), empty_moto, tmp_path_factory.mktemp("keys"), PEOPLE
    )


def keys(house: House, table: str, name: str) -> list[tuple[UUID, str, bytes]]:
    with house.company() as conn:
        return conn.execute(  # type: ignore[return-value]
            f"SELECT key_id, kek, wrapped FROM {table} WHERE account_id = %s", (house.names[name],)
        ).fetchall()


def disposed(house: House, name: str) -> str:
    case_no = house.opened(name)
    verbs.restrict(house.desk, case_no, **ON)
    verbs.settle_and_plan(house.desk, case_no, **ON)
    provers.prove_baseline(house.desk, case_no, **ON)
    provers.carry_out(house.desk, case_no, **ON)
    return case_no


def tried(house: House, case_no: str) -> dict[tuple[str, CopyKind], Check]:
    """What the last look says of the keys: by the check's name and copy."""
    found: list[Check] = []
    append = house.desk.append

    def keep(evidence, key):  # type: ignore[no-untyped-def]
        found.extend(evidence.checks)
        return append(evidence, key)

    object.__setattr__(house.desk, "append", keep)
    try:
        provers.prove_gone(house.desk, case_no, **ON)
    finally:
        object.__setattr__(house.desk, "append", append)
    return {(c.name, c.copy_kind): c for c in found if c.name.startswith(("key_destroyed.", "noise."))}


def test_what_must_stay_stays_readable_and_the_rest_is_noise(house: House) -> None:
    evidence = keys(house, "sign.evidence_key", "ordinary")
    assert len(evidence) == 2 and keys(house, "ra.video_key", "ordinary")
    case_no = disposed(house, "ordinary")
    assert keys(house, "ra.video_key", "ordinary") == keys(house, "support.recording_key", "ordinary") == []
    said = {k: c.verdict for k, c in tried(house, case_no).items()}
    assert said[f"key_destroyed.{VIDEO}", CopyKind.LIVE] is Verdict.PASSED
    assert said[f"key_destroyed.{VIDEO}", CopyKind.OBJECT_VERSION] is Verdict.UNVERIFIED, "an upload was open"
    assert said[f"key_destroyed.{CALLS}", CopyKind.LIVE] is Verdict.PASSED
    assert not any(LOCKED in name for name, _ in said)
    assert keys(house, "sign.evidence_key", "ordinary") == evidence, "five years (ESL 24)"
    s3, opened = house.places.objects.client(), 0
    for item in house.of("ordinary", house.now(), buckets.LOCKED):
        body = s3.get_object(Bucket=buckets.LOCKED, Key=item[1][0])["Body"].read()
        (row,) = [r for r in evidence if r[0] == sealed.key_of(body)]
        key = house.places.keks.unwrap(row[1], row[0], row[2])
        opened += b"".join(sealed.unseal(key, item[1][0], io.BytesIO(body))).startswith(b"\x30\x82")
    assert opened == 2
    verbs.balance(house.desk, case_no, **ON)
    assert verbs.rest(house.desk, case_no, **ON).state is CaseState.WAITING


def test_what_only_a_lock_keeps_is_there_and_nobody_can_read_it(house: House) -> None:
    name = "recycled_phone_new"
    with house.company() as conn:  # the law lets it go: six years are over
        conn.execute(
            "UPDATE cert.certificate SET not_before = not_before - interval '8 years',"
            " not_after = not_after - interval '8 years' WHERE account_id = %s",
            (house.names[name],),
        )
    house._last = None
    (row,) = keys(house, "sign.evidence_key", name)
    there = house.of(name, house.now(), buckets.LOCKED)
    assert len(there) == 1
    case_no = disposed(house, name)
    house._last = None
    assert house.of(name, house.now(), buckets.LOCKED) == there, "it is locked (R7)"
    assert keys(house, "sign.evidence_key", name) == []
    with house.desk.book() as conn:
        plan = papers.latest_plan(conn, book.case(conn, case_no))
        kept = bytes(
            conn.execute("SELECT sealed FROM casebook.ciphertext WHERE case_no = %s", (case_no,)).fetchone()["sealed"]
        )  # fmt: skip
    assert {(x.disposition, x.law) for x in plan.lines_of(LOCKED)} == {(Disposition.RETAIN, "Object Lock")}
    assert sealed.MAGIC not in kept and house.names[name].encode() not in kept, "sealed with the case's key"
    assert tried(house, case_no)[f"noise.{LOCKED}", CopyKind.LIVE].verdict is Verdict.PASSED
    with house.company() as conn:
        conn.execute("CREATE TABLE usage.left_behind (note text)")
        conn.execute("INSERT INTO usage.left_behind VALUES (%s)", (row[2].hex(),))
    with pytest.raises(NotProved, match="noise"):
        tried(house, case_no)
    with house.company() as conn:
        conn.execute("DROP TABLE usage.left_behind")


def test_a_disposal_that_dies_between_key_and_objects_is_proved_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's row is gone, the objects are still there: what was kept before is what is tried after."""
    name = "same_phone_b"
    case_no = house.opened(name)
    verbs.restrict(house.desk, case_no, **ON)
    verbs.settle_and_plan(house.desk, case_no, **ON)
    provers.prove_baseline(house.desk, case_no, **ON)

    def away(*_: object) -> None:
        raise NotReachable("the S3 server does not answer", about="objects")

    with monkeypatch.context() as dying:
        dying.setattr(S3Store, "dispose", away)
        with pytest.raises(NotReachable):
            provers.carry_out(house.desk, case_no, **ON)
    assert keys(house, "ra.video_key", name) == []
    house._last = None
    assert house.of(name, house.now(), buckets.FACE_VIDEO)
    provers.prove_baseline(house.desk, case_no, **ON)  # as a task that is tried again does
    provers.carry_out(house.desk, case_no, **ON)
    assert tried(house, case_no)[f"key_destroyed.{VIDEO}", CopyKind.LIVE].verdict is Verdict.PASSED
