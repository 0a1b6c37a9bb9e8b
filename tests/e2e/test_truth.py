"""Who says that it deleted and still knows the person, through the real scheduler: caught, named, told again, talked to,
and done with. And who is silent, or signs with a key that is not its own, until its date is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from include.cases import book
from include.cases.notices import outbox
from include.cases.notices.rounds import STILL_KNOWS, place_of
from include.model.times import observed_now, prc_date
from include.model.words import Role
from include.sandbox.api import wait
from include.sandbox.company import environment
from include.sandbox.demo import CLOCKS, NOTICES
from include.sandbox.recipients.bodies import Door, Manner, Stance, bodies
from include.sandbox.recipients.truth import truth
from include.sandbox.recipients.world import World
from tests.e2e.conftest import House, Run

CALLED = [b.id for b in bodies().values() if b.door is Door.OPENDSR]
HONEST = [b.id for b in bodies().values() if b.door is Door.OPENDSR and b.stance is Stance.ERASING]
GIVEN = (
    "(SELECT array_agg(DISTINCT t.recipient_id) FROM partner.transfer t WHERE t.account_id = a.account_id)"
)


@dataclass
class Told:
    """A case whose recipients were told, and which of them lies, is silent, or is strange."""

    house: House
    world: World
    account: str
    run: Run
    liar: str
    silent: str
    strange: str

    def rounds(self, recipient: str) -> list[dict[str, Any]]:
        with book.connect(environment(self.house.stack).postgres(book.RECORDS, Role.READER)) as conn:
            return [n for n in outbox.listing(conn, self.run.case_no) if n["recipient"] == recipient]

    def looked(self, recipient: str) -> list[bool | None]:
        """What came of each look at whether it still knows."""
        with self.house.records() as conn:
            rows = conn.execute(
                "SELECT detail -> 'known' FROM casebook.event WHERE case_no = %s AND what = 'looked at again'"
                " AND detail ->> 'recipient' = %s ORDER BY observed_at",
                [self.run.case_no, recipient],
            ).fetchall()
        return [r[0] for r in rows]

    def really_has(self, recipient: str) -> int:
        return next((k.still for k in truth(self.world, self.account) if k.body == recipient), 0)

    def answered(self, recipient: str, round_: int) -> None:
        """Until its word on that round is in the book."""
        wait(
            lambda: "in" if self.rounds(recipient)[round_ - 1]["state"] == "tp_acked" else None,
            60, f"{recipient}, round {round_}",
        )  # fmt: skip


@pytest.fixture(scope="module")
def told(house: House) -> Iterator[Told]:
    account = house.somebody(
        f"cardinality(ARRAY(SELECT unnest({GIVEN}) INTERSECT SELECT unnest(ARRAY{CALLED}))) >= 3"
        f" AND {GIVEN} && ARRAY{HONEST}"
    )
    with house.company() as conn:
        given = {
            r[0]
            for r in conn.execute(
                "SELECT recipient_id FROM partner.transfer WHERE account_id = %s", [account]
            )
        }
    liar = sorted(given & set(HONEST))[0]
    silent, strange, *_ = sorted((given & set(CALLED)) - {liar})
    with closing(World(house.stack.outside)) as world:
        world.behave(liar, Stance.LYING)
        world.behave(silent, Manner.SILENT)
        world.behave(strange, Manner.WRONGLY_SIGNED)
        try:
            run = house.trigger(account).approved()
            assert run.ended() == "success", run.why()
            house.one_pass(NOTICES)
            yield Told(house, world, account, run, liar, silent, strange)
        finally:
            for body in (liar, silent, strange):
                world.behave(body)


def test_a_liar_is_believed_looked_at_again_caught_and_told_again(told: Told) -> None:
    told.answered(told.liar, 1)
    assert told.really_has(told.liar), "it says that it deleted, and has it"
    told.house.one_pass(NOTICES)
    assert told.looked(told.liar) == [True]
    (found,) = [f for f in told.run.findings() if f["code"] == STILL_KNOWS]
    assert found["place"] == place_of(told.liar)
    first, second = told.rounds(told.liar)
    # A run of every five minutes may have told it already, and it lies at once.
    assert second["because"] == "not_deleted" and second["state"] in ("tp_notified", "tp_acked")
    assert first["request_id"] != second["request_id"]
    page = told.house.user("auditor").page("/quietus/recipients?lang=en").text
    assert "caught 1" in page
    assert STILL_KNOWS in told.house.user("auditor").page(f"/quietus/cases/{told.run.case_no}?lang=en").text


def test_it_is_talked_to_answers_honestly_and_its_track_ends(told: Told) -> None:
    told.world.behave(told.liar)
    for _ in range(5):  # a round that it lied in meanwhile is looked at again, and told again
        told.house.one_pass(NOTICES)
        rounds = told.rounds(told.liar)
        if rounds[-1]["sent_at"] is None:
            continue  # this very pass found out that it lied: the next one tells it
        told.answered(told.liar, len(rounds))
        if not told.really_has(told.liar):
            break
    assert told.really_has(told.liar) == 0
    assert {f["code"] for f in told.run.findings()} == {STILL_KNOWS}, "an honest word does not settle it"
    said = told.house.command(
        "recipients", "confronted", told.run.case_no, told.liar, "--reason", "it lost the first message and said so"
    )  # fmt: skip
    assert "settled" in said and told.run.findings() == []
    told.house.one_pass(NOTICES)
    *caught, last = told.looked(told.liar)
    assert caught and all(caught) and last is False, "looked at once more, and this time it is true"
    assert {r["state"] for r in told.rounds(told.liar)} == {"tp_acked"}


def test_who_is_silent_is_escalated_and_who_signs_for_nothing_is_called_by_a_person(told: Told) -> None:
    for recipient in (told.silent, told.strange):
        assert [r["state"] for r in told.rounds(recipient)] == ["tp_notified"]
    with told.house.records() as conn:
        yesterday = prc_date(observed_now()) - timedelta(days=1)
        conn.execute(
            "UPDATE casebook.outbox SET remind_on = %(day)s, escalate_on = %(day)s"
            " WHERE case_no = %(no)s AND recipient = ANY(%(both)s)",
            {"day": yesterday, "no": told.run.case_no, "both": [told.silent, told.strange]},
        )
    told.house.one_pass(CLOCKS)
    (silent,), (strange,) = told.rounds(told.silent), told.rounds(told.strange)
    assert (silent["state"], silent["answer_code"]) == ("tp_escalated", "NO_REPLY")
    # Its receipts are none, so it counts as never told, and is not silent either.
    assert (strange["state"], strange["delivery"], strange["sent_at"]) == ("tp_notified", "errand", None)
    assert "sign" in strange["why"]
    page = told.house.user("auditor").page("/quietus/recipients?lang=en").text
    assert "given nothing more" in page
    assert told.silent in told.house.command("recipients", "stopped")
    told.house.command("recipients", "resume", told.silent, "--reason", "it answers again")
    assert told.silent not in told.house.command("recipients", "stopped")
