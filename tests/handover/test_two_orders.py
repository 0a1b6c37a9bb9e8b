"""One authority hands over to the same company twice, as of a service and then of the whole company: objects that the first order
brought are none too many of the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from include.model.words import Role
from tests.handover.both import PHOTOS, Both
from tests.handover.test_objects_stored import BUCKET, OBJECTS, photos, received, sent
from tests.handover.test_whole_way import _emptied

pytestmark = pytest.mark.postgres
__all__ = ["photos"]  # a fixture


def ended(of: Both) -> None:
    """Everything of it is signed for, it has come to its end, and nothing of it is here any more."""
    for bag in of.bags():
        of.verify(bag.name)
    assert of.reconciled()
    with of.book() as conn:
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = t0 WHERE number = %s", (of.order,))
        conn.commit()
    _emptied(of.ours.s3(OBJECTS, Role.ERASER), BUCKET)


@pytest.fixture
def second(photos: Both) -> Both:
    """The first order, with six photos in bags of one person or two, is over; the second can be opened."""
    sent(photos)
    assert set(received(photos)) == {(0, 0, 0)}
    ended(photos)
    return replace(photos, order="SO-000002", ledger=[])


def named(of: Both) -> None:
    """The successor's key of each other object: whose photo it would be."""
    keys = [
        o["Key"] for o in of.theirs.s3(OBJECTS, Role.CUSTODIAN).list_objects_v2(Bucket=BUCKET)["Contents"]
    ]
    assert len(keys) == 6
    of.ours.s3(OBJECTS, Role.ERASER).put_object(Bucket=BUCKET, Key=keys[2], Body=b"another one of hers")


@pytest.mark.parametrize(
    "more", [lambda _: None, named], ids=["nothing is left for it", "one key comes again"]
)
def test_the_second_is_reconciled_too(photos: Both, second: Both, more: Callable[[Both], None]) -> None:
    more(second)
    sent(second)
    assert set(received(second)) == {(0, 0, 0)}
    for bag in second.bags():
        second.verify(bag.name)
    assert second.reconciled()
    assert set(received(photos)) == {(0, 0, 0)}, "nor is what it brought too many of the first"


def test_what_nobody_sent_or_is_to_be_gone_is_too_many_of_both(photos: Both, second: Both) -> None:
    sent(second)
    theirs = second.theirs.s3(OBJECTS, Role.CUSTODIAN)
    theirs.put_object(Bucket=BUCKET, Key="photos/zzz/1/1.jpg", Body=b"nobody sent it")
    assert sum(extra for _, _, extra in received(second)) == 1
    second.sql(
        second.theirs,
        "UPDATE quietus_handover.item SET notice = 1, fate = 'deleted' WHERE dataset = '"
        + PHOTOS.dataset
        + "' AND no = 0",
    )  # as if it had been deleted at a notice, and came again
    assert sum(extra for _, _, extra in received(second)) > 1


def test_however_many_they_are(second: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for in pages, so that memory stays flat."""
    from include.handover import recounting

    monkeypatch.setattr(recounting, "PAGE", 2)
    sent(second)
    assert set(received(second)) == {(0, 0, 0)}
