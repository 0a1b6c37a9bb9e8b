"""Recipients are told, asked and heard in the whole house: real bodies over HTTPS, Airflow's scheduler, our endpoint.

One case. Of its bodies one loses its callbacks, so that it has to be asked; one takes everything and never ends; one
signs with a key that is not its own; a fourth is as ever; and one has nothing that listens, so that a person tells it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from include.cases import book
from include.cases.notices import outbox
from include.model.errors import Refused
from include.model.words import Role
from include.sandbox.api import ENDED, SETTLED, wait
from include.sandbox.company import environment
from include.sandbox.demo import NOTICES
from include.sandbox.recipients.bodies import Door, Manner, bodies
from include.sandbox.recipients.world import World
from tests.e2e.conftest import House, Run

ERRANDS = "recipient_errands"
CALLED = [b.id for b in bodies().values() if b.door is Door.OPENDSR]
VISITED = [b.id for b in bodies().values() if b.door is Door.PERSON]
GIVEN = (
    "(SELECT array_agg(DISTINCT t.recipient_id) FROM partner.transfer t WHERE t.account_id = a.account_id)"
)
PDF = b"%PDF-1.7 a note of the call"


@dataclass
class Told:
    """A case whose recipients were told, and which of them behaves how."""

    house: House
    run: Run
    loses: str
    silent: str
    strange: str
    usual: str

    def notices(self) -> dict[str, dict[str, Any]]:
        with book.connect(environment(self.house.stack).postgres(book.RECORDS, Role.READER)) as conn:
            return {n["recipient"]: n for n in outbox.listing(conn, self.run.case_no)}

    def via(self, recipient: str) -> set[str]:
        with self.house.records() as conn:
            rows = conn.execute(
                "SELECT via FROM casebook.answer WHERE case_no = %s AND recipient = %s AND accepted",
                [self.run.case_no, recipient],
            ).fetchall()
        return {r[0] for r in rows}

    def asked_now(self, recipient: str) -> None:
        """Its next asking, which is in an hour, is due."""
        with self.house.records() as conn:
            conn.execute(
                "UPDATE casebook.outbox SET due_at = now() WHERE case_no = %s AND recipient = %s AND due_at IS NOT NULL",
                [self.run.case_no, recipient],
            )


@pytest.fixture(scope="module")
def told(house: House) -> Iterator[Told]:
    account = house.somebody(
        f"cardinality(ARRAY(SELECT unnest({GIVEN}) INTERSECT SELECT unnest(ARRAY{CALLED}))) >= 4"
        f" AND {GIVEN} && ARRAY{VISITED}"
    )
    with house.company() as conn:
        given = {
            r[0]
            for r in conn.execute(
                "SELECT recipient_id FROM partner.transfer WHERE account_id = %s", [account]
            )
        }
    loses, silent, strange, usual, *_ = sorted(given & set(CALLED))
    with closing(World(house.stack.outside)) as world:
        world.behave(silent, Manner.SILENT)
        world.behave(strange, Manner.WRONGLY_SIGNED)
        with world.state.change() as db:
            db.execute(
                f"CREATE TRIGGER lost AFTER INSERT ON callback WHEN NEW.body = '{loses}'"
                " BEGIN DELETE FROM callback WHERE number = NEW.number; END"
            )
        try:
            run = house.trigger(account).approved()
            assert run.ended() == "success", run.why()
            house.one_pass(NOTICES)
            yield Told(house, run, loses, silent, strange, usual)
        finally:
            with world.state.change() as db:
                db.execute("DROP TRIGGER lost")
            for body in (silent, strange):
                world.behave(body)


def test_a_recipient_that_is_done_says_so_and_one_whose_word_got_lost_is_asked(told: Told) -> None:
    wait(lambda: "heard" if "callback" in told.via(told.usual) else None, 60, told.usual)
    assert told.via(told.loses) == set()
    told.asked_now(told.loses)
    told.house.one_pass(NOTICES)
    assert told.via(told.loses) == {"poll"}
    notices = told.notices()
    for recipient in (told.usual, told.loses):
        assert notices[recipient]["state"] in ("tp_acked", "tp_retained"), recipient
        assert set(notices[recipient]["codes"]) & {"DELETED", "RETAINED_BY_LAW"}, recipient


def test_who_is_silent_or_signs_with_another_key_is_shown_and_stays_open(told: Told) -> None:
    notices = told.notices()
    assert notices[told.silent]["state"] == notices[told.strange]["state"] == "tp_notified"
    assert notices[told.silent]["delivery"] == "delivered" and notices[told.silent]["codes"] is None
    assert "sign" in notices[told.strange]["why"]
    auditor = told.house.user("auditor")
    page = auditor.page(f"/quietus/cases/{told.run.case_no}?lang=en").text
    assert "sign" in page and ("deleted" in page or "kept by law" in page)
    assert told.usual in auditor.page("/quietus/recipients?lang=en").text


def test_whom_only_a_person_can_tell_is_one_errand_with_one_run_and_its_proof(told: Told) -> None:
    admin, ops = told.house.user("admin"), told.house.user("ops")
    told.house.one_pass(NOTICES)
    runs = [
        r["dag_run_id"]
        for r in admin._call("GET", f"/api/v2/dags/{ERRANDS}/dagRuns?limit=100")["dag_runs"]
        if r["dag_run_id"].startswith(f"{told.run.case_no}.")
    ]
    assert runs and len({r.split(".")[1] for r in runs}) == len(runs), (
        "one run an errand, however often it is seen"
    )
    run_id = next(r for r in runs if r.split(".")[1] in VISITED)
    recipient = run_id.split(".")[1]

    def parked() -> str | None:
        states = {t.task_id: t.state for t in admin.tasks(ERRANDS, run_id)}
        return "parked" if states.get("ask") == "awaiting_input" else None

    wait(parked, 120, run_id)
    time.sleep(SETTLED)
    number = admin._call("GET", f"/api/v2/dags/{ERRANDS}/dagRuns/{run_id}")["conf"]["errand"]
    url = f"/quietus/errands/{number}"
    assert told.house.user("auditor").page(url).status_code == 404
    with pytest.raises(Refused, match=f"nothing is recorded.*{url}"):
        ops.answer(ERRANDS, run_id, "ask", "Done 已办理")
    assert parked() == "parked", "and it is asked still"
    page = ops.page(url)
    assert page.status_code == 200 and told.run.case_no in page.text
    mark = re.search(r'name="mark" value="([^"]+)"', page.text)
    assert mark is not None
    reply = ops._session.post(
        ops.url + url,
        data={"mark": mark.group(1), "deed": "carried"},
        files={"proof": ("p.pdf", PDF)},
        timeout=30,
    )
    assert reply.status_code == 200, reply.text
    assert told.notices()[recipient]["delivery"] == "delivered"
    assert "已自动完成" in reply.text, "nobody presses Done after that"
    assert (
        wait(lambda: s if (s := admin.run_state(ERRANDS, run_id)) in ENDED else None, 120, run_id)
        == "success"
    )
    answered = admin._call("GET", f"/api/v2/dags/{ERRANDS}/dagRuns/{run_id}/taskInstances/ask/-1/hitlDetails")
    assert answered["responded_by_user"]["name"] == "ops", "in the name of who recorded it"


def test_nobody_is_believed_unsigned(told: Told) -> None:
    """Through Airflow's server as it really is: not behind its log-in, and not open either."""
    url = f"{told.house.stack.airflow.url}/quietus/recipients/callback"
    for body, headers in ((b"{}", {}), (b"{}", {"X-OpenDSR-Processor-Domain": bodies()[told.usual].domain})):
        reply = requests.post(
            url, data=body, headers={"Content-Type": "application/json", **headers}, timeout=30
        )
        assert reply.status_code == 403
    assert (
        requests.post(
            url, data=b"13800138000", headers={"Content-Type": "text/plain"}, timeout=30
        ).status_code
        == 415
    )
