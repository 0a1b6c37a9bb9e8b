"""A real SIGKILL while a message is under way: what is then sent again, and what goes to a person."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from uuid import UUID

import pytest

from include.cases.keys import FileKeyStore
from include.cases.notices import errands, telling
from include.model.times import observed_now
from tests.cases.notices.making import ACTOR, Body, desk, noticed, row
from tests.cases.small import TODAY

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_sender_killed_after_the_recipient_has_it(writer: str, tmp_path: Path, repeatable: bool) -> None:
    log = tmp_path / "acted"

    def killed(notice) -> None:
        with log.open("a") as file:
            file.write(f"{notice.request_id}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    keys = FileKeyStore(tmp_path / "keys", b"k" * 32)
    body = Body(repeatable=repeatable, after=killed)
    at = desk(writer, keys, [body])
    case_no = noticed(at)
    child = os.fork()
    if child == 0:
        telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child sent, and lived"
    cut_off = row(at, case_no)
    assert (cut_off["delivery"], cut_off["attempts"], cut_off["sent_at"]) == ("sending", 1, None)
    assert log.read_text().split() == [str(cut_off["request_id"])]

    body.after = None
    assert telling.due(at, now=observed_now(), as_of=TODAY) == ("sms",)
    told = telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    with at.book() as conn:
        waiting = [(e["case_no"], e["why"]) for e in errands.listing(conn)]
    if repeatable:
        assert (told.again, told.sent) == (1, 1) and waiting == []
        assert [n.request_id for n in body.seen] == [UUID(log.read_text().strip())], "the same notice again"
        assert not body.seen[0].reminder
    else:
        assert (told.errands, told.sent, body.seen) == (1, 0, []) and waiting == [(case_no, "in_doubt")]
        assert telling.due(at, now=observed_now(), as_of=TODAY) == ()
        errands.carried(at, cut_off["request_id"], proof=b"they have it", as_of=TODAY, actor="errand/li")
        found = row(at, case_no)
        assert found["delivery"] == "delivered" and found["sent_at"] and len(found["receipt"]) == 64
