"""A recipient that says it deleted and still knows the person is caught, named and told again; once."""

from __future__ import annotations

from typing import Any

import pytest

from include.cases import papers
from include.cases.keys import FileKeyStore
from include.cases.notices import answering, outbox, record, truth
from include.model.errors import NotReachable
from include.model.notices import Answer, AnswerCode, Part
from tests.cases.small import TODAY, Transfers, World, world
from tests.cases.test_verbs import approved

pytestmark = pytest.mark.postgres

ON: dict[str, Any] = {"as_of": TODAY, "actor": "system/test"}


class Asked:
    """A recipient's channel. ``knows``: what it says of any number; None: it does not say."""

    def __init__(self, knows: bool | None) -> None:
        self.says, self.asked, self.down = knows, list[str](), False

    def knows(self, reference: str) -> bool | None:
        if self.down:
            raise NotReachable("it does not answer", about="sms")
        self.asked.append(reference)
        return self.says

    def close(self) -> None:
        pass


@pytest.fixture
def asked() -> Asked:
    return Asked(False)


@pytest.fixture
def w(writer: str, tmp_path, asked: Asked) -> World:
    return world(
        writer, FileKeyStore(tmp_path / "keys", b"k" * 32), company=Transfers(), channel=lambda _body: asked
    )


@pytest.fixture
def case_no(w: World) -> str:
    """A case whose recipient said that it deleted everything."""
    case_no = approved(w)
    with w.desk.book() as conn:
        (row,) = [n for n in outbox.listing(conn, case_no) if n["recipient"] == "sms"]
    answer = Answer(
        request_id=row["request_id"], recipient="sms", parts=(Part(code=AnswerCode.DELETED),), via="callback", digest="d"
    )  # fmt: skip
    answering.take(w.desk, answer, **ON)
    return case_no


def rounds(w: World, case_no: str) -> list[tuple[int, str]]:
    with w.desk.book() as conn:
        return [(n["round"], n["because"]) for n in outbox.listing(conn, case_no) if n["recipient"] == "sms"]


def test_a_lie_is_named_and_the_next_notice_written_once(w: World, case_no: str, asked: Asked) -> None:
    asked.says = True
    assert truth.to_look_at(w.desk, as_of=TODAY) == ("sms",)
    found = truth.look_again(w.desk, "sms", **ON)
    assert (found.asked, found.caught, found.unverified) == (1, 1, 0)
    assert asked.asked == ["txn-1", "txn-2"], "by its own numbers and nothing else"
    assert rounds(w, case_no) == [(1, "decision"), (2, "not_deleted")]
    with w.desk.book() as conn:
        assert [f["code"] for f in papers.open_findings(conn, case_no)] == ["recipient_still_knows"]
        assert {r["recipient"]: (r["caught"], r["taken_back"]) for r in record.record(conn)}["sms"] == (1, 0)
    assert truth.to_look_at(w.desk, as_of=TODAY) == ()
    assert truth.look_again(w.desk, "sms", **ON).asked == 0
    assert len(rounds(w, case_no)) == 2


@pytest.mark.parametrize("says", [False, None])
def test_neither_a_no_nor_silence_about_a_customer_accuses_anybody_or_verifies_anything(
    w: World, case_no: str, asked: Asked, says: bool | None
) -> None:
    asked.says = says
    found = truth.look_again(w.desk, "sms", **ON)
    assert (found.asked, found.caught, found.verified, found.unverified) == (1, 0, 0, 1)
    assert rounds(w, case_no) == [(1, "decision")]


def test_who_cannot_be_asked_now_is_asked_later(w: World, case_no: str, asked: Asked) -> None:
    asked.down = True
    with pytest.raises(NotReachable):
        truth.look_again(w.desk, "sms", **ON)
    assert truth.to_look_at(w.desk, as_of=TODAY) == ("sms",)


def test_who_has_not_answered_is_not_asked(w: World) -> None:
    approved(w)
    assert truth.to_look_at(w.desk, as_of=TODAY) == ()
