"""SIGKILL at every point on both sides: gone on with to the same end, no finished bag written again, nothing stored twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.model.handover import BagState
from include.model.words import Role
from tests.conftest import S3Server
from tests.handover.both import INBOX, ORDER, TABLES, Both


def _whole(both: Both) -> None:
    assert not both.pack().left
    both.send()
    got = both.receive()
    assert not got.refused, got.refused
    for bag in both.bags():
        both.verify(bag.name)
    assert both.reconciled()
    key = both.sql(
        both.theirs,
        "SELECT count(*), count(DISTINCT key) FROM quietus_handover.item WHERE dataset = 'sign.signature'",
    )
    sent = sum(b.statement.items for b in both.bags("sign.signature"))
    assert key == [(sent, sent)] and sent > 20
    assert both.sql(both.theirs, "SELECT count(*) FROM sign.signature") == [(sent,)]


PACKING = [
    ("handover.piece", 2),
    ("handover.sealed", 1),
    ("handover.sealed", 2),
    ("handover.packed", 1),
    ("handover.signed", 1),
]
SENDING = [("handover.upload_begun", 1), ("handover.completed", 1), ("handover.uploaded", 2), ("handover.told", 1),
           ("handover.sent", 1)]  # fmt: skip
RECEIVING = [("handover.fetched", 1), ("handover.opened", 1), ("handover.before_store_commit", 1), ("handover.stored", 1),
             ("handover.recounted", 1), ("handover.receipted", 1)]  # fmt: skip


@pytest.fixture
def short(both: Both) -> Both:
    both.datasets = (TABLES[3],)
    return both


@pytest.mark.parametrize("kills", [PACKING, SENDING, RECEIVING], ids=["packing", "sending", "receiving"])
def test_killed_at_every_point_one_after_the_other(short: Both, kills: list[tuple[str, int]]) -> None:
    before: dict[str, str] = {}
    for point, time in kills:
        work: Callable[[Both], object] = Both.pack
        if kills is not PACKING:
            short.pack()
            work = Both.send if kills is SENDING else Both.receive
        if kills is RECEIVING:
            short.send()
        short.killed_at(point, work, time)
        now = {b.name: b.statement.sha256 for b in short.bags()}
        assert before.items() <= now.items(), f"{point}: a finished bag was written again"
        before = now
    _whole(short)
    assert {b.name: b.statement.sha256 for b in short.bags()}.items() >= before.items()


def test_an_upload_that_was_killed_at_a_part_goes_on_with_the_next(short: Both) -> None:
    short.bounds = type(short.bounds)(bytes=64 << 20, rows=1000, keys=1000)
    short.datasets = (TABLES[3],)
    short.sql(short.ours, _larger())
    short.pack()
    big = next(b for b in short.bags() if b.statement.dataset == "sign.signature")
    parts = -(-big.statement.bytes // (5 << 20))
    assert parts > 2
    names = [b.name for b in short.bags()]
    before = names.index(big.name)
    short.killed_at("handover.part", lambda b: b.send(), before + parts - 1)
    client = short.ours.s3("inbox", Role.COURIER)
    row = next(b for b in short.bags() if b.name == big.name)
    there = client.list_parts(Bucket=INBOX, Key=f"{ORDER}/{big.name}.cms", UploadId=row.upload_id)["Parts"]
    assert [p["PartNumber"] for p in there] == list(range(1, parts))
    came = 0

    def count(point: str) -> None:
        nonlocal came
        came += point == "handover.part"

    short.at(count).send()
    assert came == 1 + len(names) - before - 1, "of its parts one was left, and the bags after it"
    assert not client.list_multipart_uploads(Bucket=INBOX).get("Uploads")
    assert next(b.state for b in short.bags() if b.name == big.name) is BagState.SENT


def _larger() -> str:
    """Some megabytes in one table."""
    return (
        "SET session_replication_role = replica;"
        " UPDATE sign.signature SET signature_value = decode(repeat(md5(signature_id::text), 24000), 'hex')"
    )


def test_the_same_way_over_cephs_gateway(short: Both, ceph: S3Server) -> None:
    """Killed at a part, too: its listing of parts is compared by what it tells of each."""
    ceph.client().create_bucket(Bucket=INBOX)
    for side in (short.ours, short.theirs):
        side.stands_in["inbox"] = ceph.client()
    short.bounds = type(short.bounds)(bytes=64 << 20, rows=1000, keys=1000)
    short.sql(short.ours, _larger())
    short.pack()
    place = [b.name for b in short.bags()].index("sign.signature-00001")
    short.killed_at("handover.part", lambda b: b.send(), place + 2)
    came: list[str] = []
    short.at(came.append).send()
    assert came.count("handover.part") == len(short.bags()) - 1 - place + _parts(short) - 2
    assert not short.receive().refused
    for bag in short.bags():
        short.verify(bag.name)
    assert short.reconciled()


def _parts(both: Both) -> int:
    return -(-next(b for b in both.bags() if b.name == "sign.signature-00001").statement.bytes // (5 << 20))
