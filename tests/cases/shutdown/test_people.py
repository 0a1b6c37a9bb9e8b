"""Everybody is told, once, by letters over a real mail server; the gate waits for it; who objects is known and named nowhere."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases import sealing
from include.cases.accounts import CatalogueAccounts
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.cases.shutdown import closing, objecting, orders, people, tellings
from include.cases.shutdown.dates import FILED, Gate
from include.cases.shutdown.told import Successor
from include.commands import _common as common
from include.commands import shutdown as command
from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.model.estate import Guarded, Reached
from include.model.words import Channel
from tests.cases.restoring import killed_at
from tests.cases.retention.house import DAY as NOW
from tests.cases.retention.house import House
from tests.cases.shutdown.test_closing import PAPER, T0, close, company, gatekeeper, opened
from tests.cases.shutdown.test_command import today
from tests.cases.shutdown.test_orders import TOLD
from tests.recipients.letterbox import Letterbox, receiving

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "today"]  # fixtures

REACH = "privacy@authority.example"
US = "no-reply@authority.example"


class Mailing(House):
    """The shop, whose accounts' holders have addresses."""

    box: Letterbox

    def endpoint(self, name: str) -> Endpoint:
        assert name == "mail"
        return Endpoint(self.box.url, login=US)

    @property
    def desk(self) -> Desk:
        made = super().desk
        return replace(made, accounts=CatalogueAccounts(made.catalogue, self))


@pytest.fixture
def box() -> Iterator[Letterbox]:
    with receiving() as box:
        yield box


@pytest.fixture
def mailing(house: House, box: Letterbox) -> Mailing:
    """Of ten people one has no address, and one has none that is one."""
    catalogue = house.company.catalogue
    accounts = catalogue.dataset("a.account")
    assert accounts.accounts is not None
    reached = accounts.model_copy(
        update={
            "accounts": accounts.accounts.model_copy(
                update={"reached": (Reached(dataset="a.account", column="name"),)}
            )
        }
    )
    datasets = tuple(reached if d.id == "a.account" else d for d in catalogue.datasets)
    house.company.catalogue = catalogue.model_copy(update={"datasets": datasets})
    company(house, "UPDATE a.account SET name = 'p' || right(id, 2) || '@people.example'")
    company(house, "UPDATE a.account SET name = NULL WHERE id = 'acct_000000000004'")
    company(house, "UPDATE a.account SET name = 'x@y.example> SIZE=1' WHERE id = 'acct_000000000005'")
    made = Mailing(house.company, house.records, house.keys, house.ledger)
    made.box = box
    return made


def tell(mailing: Mailing, number: str, **more: Any) -> people.Run:
    return people.notify(mailing.desk, number, reach=REACH, as_of=NOW, actor="legal/zhao", page=3, **more)


def gate(mailing: Mailing, number: str, which: Gate = Gate.NOTIFIED) -> orders.Order:
    return orders.pass_gate(mailing.desk, number, which, on=NOW, paper=PAPER, as_of=NOW, actor="legal/zhao")


def letters(mailing: Mailing) -> list[str]:
    return sorted(str(mailing.box.read(n)["To"]) for n in range(len(mailing.box.letters)))


def test_everybody_is_told_once_and_the_gate_waits_for_it(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    with pytest.raises(Refused, match=r"not everybody was told .*nobody was come to yet"):
        gate(mailing, number)
    for _ in range(2):
        run = tell(mailing, number)
        assert (run.telling.told, run.telling.unreached, run.stopped) == (8, 2, "")
    assert letters(mailing) == [f"p{n:02}@people.example" for n in (1, 2, 3, 6, 7, 8, 9, 10)]
    said = mailing.box.read(0).get_content()
    for words in (T0.isoformat(), "Example CA Co", "privacy@example.com", "《电子签名法》第二十三条", "异议", REACH, number,
                  "takes over"):  # fmt: skip
        assert words in said, words
    assert said.index("您好") < said.index("takes over"), "Chinese first"
    assert gate(mailing, number).t0 == T0
    (event,) = [b for _, b, _ in mailing.ledger if b["what"] == "gate"]
    assert event["people"] == {"told": 8, "unreached": 2}
    text = json.dumps([b for _, b, _ in mailing.ledger])
    assert "people.example" not in text and "acct_" not in text
    assert mailing.sql("SELECT count(*) FROM casebook.shutdown_told WHERE octet_length(token) = 32") == [
        (10,)
    ]
    company(mailing, "UPDATE a.account SET name = 'p04@people.example' WHERE id = 'acct_000000000004'")
    assert tell(mailing, number).sent == 1, "who has an address by now is told"


def test_a_new_successor_is_a_new_letter_to_all(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    tell(mailing, number)
    gate(mailing, number)
    orders.successor_withdrew(
        mailing.desk, number, paper=PAPER, ministry_asked=True, as_of=NOW, actor="legal/zhao"
    )
    other = Successor("Other CA Co", "office@other.example", "c" * 64)
    orders.name_successor(mailing.desk, number, other, paper=PAPER, as_of=NOW, actor="legal/zhao")
    with pytest.raises(Refused, match="nobody was come to yet"):
        gate(mailing, number)
    assert tell(mailing, number).sent == 8
    assert "Other CA Co" in mailing.box.read().get_content() and len(mailing.box.letters) == 16
    gate(mailing, number)


def test_another_t0_is_another_letter_to_all_and_nothing_is_closed_before_it(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    tell(mailing, number)
    for which in FILED:
        gate(mailing, number, which)

    def move(t0: date, as_of: date) -> None:
        orders.move(mailing.desk, number, t0, paper=PAPER, as_of=as_of, actor="legal/zhao")

    def close(as_of: date) -> None:
        closing.close(mailing.desk, number, paper=PAPER, as_of=as_of, actor="ops/sun")

    later = T0 + timedelta(days=20)
    move(later, NOW)
    with pytest.raises(Refused, match=f"told that it stops on {T0}, and it stops on {later}"):
        close(later)
    assert tell(mailing, number).sent == 8
    # Back: before the day that everybody has heard by now, so with a notice of its own.
    with pytest.raises(Refused, match="notified not done by"):
        move(T0, NOW + timedelta(days=11))
    move(T0, NOW + timedelta(days=10))
    with orders.deed(mailing.desk, number) as (conn, of):
        moved = [e["detail"] for e in orders.history(conn, number) if e["what"] == "T0 moved"]
        assert [d.get("counts_no_more") for d in moved] == [None, ["notified"]]
        assert orders.days(conn, of).open == (Gate.NOTIFIED, Gate.CLOSED)
    with pytest.raises(Refused, match=f"told that it stops on {later}, and it stops on {T0}"):
        gate(mailing, number)
    with pytest.raises(Refused, match="not done yet: notified"):
        close(T0)
    assert tell(mailing, number).sent == 8, "they heard the first letter, and another since"
    assert tell(mailing, number).sent == 0


def test_a_letter_that_only_some_have_is_what_they_heard_last(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    tell(mailing, number)
    for which in FILED:
        gate(mailing, number, which)
    later = T0 + timedelta(days=20)
    orders.move(mailing.desk, number, later, paper=PAPER, as_of=NOW, actor="legal/zhao")
    assert killed_at("people.sent", lambda at: tell(mailing, number, at=at))
    with orders.deed(mailing.desk, number) as (conn, of):
        (some, all_) = tellings.tellings(conn, number)
        assert some.whole_on is None and 0 < some.heard < 8 and all_.told == 8
        assert f"only {some.heard} people were told that it stops on {later}" in closing.missing(
            mailing.desk, conn, of
        )
    # Back: some have heard the later day by now, so everybody is told anew, ninety days ahead.
    with pytest.raises(Refused, match="notified not done by"):
        orders.move(mailing.desk, number, T0, paper=PAPER, as_of=NOW + timedelta(days=11), actor="legal/zhao")
    orders.move(mailing.desk, number, T0, paper=PAPER, as_of=NOW + timedelta(days=10), actor="legal/zhao")
    with orders.deed(mailing.desk, number) as (conn, of):
        assert orders.days(conn, of).open == (Gate.NOTIFIED, Gate.CLOSED)
        assert f"people were told that it stops on {later}, and it stops on {T0}" in closing.missing(
            mailing.desk, conn, of
        )
    assert tell(mailing, number).sent == 8


def test_whoever_came_after_the_letter_is_told_before_anything_is_handed_over(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))

    def all_know() -> None:
        with orders.deed(mailing.desk, number) as (conn, of):
            people.all_know(mailing.desk, conn, of)

    with pytest.raises(Refused, match="not everybody was told that"):
        all_know()
    tell(mailing, number)
    all_know()
    company(mailing, "INSERT INTO a.account (id, name) VALUES ('acct_000000000099', 'p99@people.example')")
    with pytest.raises(Refused, match="1 people came after the letter"):
        all_know()
    assert tell(mailing, number).sent == 1
    sealing.current(mailing.keys, Purpose.SUBJECT_TOKEN)
    mailing.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    all_know()
    assert tell(mailing, number).sent == 0, "a newer key makes nobody a stranger"


def closed_service(mailing: Mailing) -> str:
    """An order about one service, with everybody told, and collection closed."""
    number = opened(mailing, replace(TOLD, t0=T0, services=("cert",)))
    tell(mailing, number)
    for which in FILED:
        gate(mailing, number, which)
    close(mailing, number)
    return number


def tell_on_t0(mailing: Mailing, number: str) -> people.Run:
    return people.notify(mailing.desk, number, reach=REACH, as_of=T0, actor="legal/zhao", page=3)


def test_of_a_service_whoever_came_after_the_letter_is_looked_for_once_collection_is_closed(
    mailing: Mailing,
) -> None:
    """Others go on, and people still come to them: so it is asked whether anybody looked, not whether nobody is new."""
    number = closed_service(mailing)

    def untold() -> str:
        with orders.deed(mailing.desk, number) as (conn, of):
            return (people.untold(mailing.desk, conn, of) or ("",))[0]

    company(mailing, "INSERT INTO a.account (id, name) VALUES ('acct_000000000098', 'p98@people.example')")
    assert "nobody was looked for since collection was closed" in untold()
    with (
        orders.deed(mailing.desk, number) as (conn, of),
        pytest.raises(Refused, match="who came after the letter was not told"),
    ):
        people.all_know(mailing.desk, conn, of)
    assert tell_on_t0(mailing, number).sent == 1 and untold() == ""
    company(mailing, "INSERT INTO a.account (id, name) VALUES ('acct_000000000099', 'p99@people.example')")
    assert untold() == "", "who comes now is none of this service's"


def test_of_a_service_a_run_that_finds_nobody_new_is_known_to_have_ended(mailing: Mailing) -> None:
    number = closed_service(mailing)
    assert tell_on_t0(mailing, number).sent == 0
    with orders.deed(mailing.desk, number) as (conn, of):
        assert people.untold(mailing.desk, conn, of) is None
        ran = [e for e in orders.history(conn, number) if e["what"] == people.PEOPLE]
    assert len(ran) == 2 and ran[-1]["detail"]["ended"]
    tell_on_t0(mailing, number)
    with orders.deed(mailing.desk, number) as (conn, of):
        assert [e for e in orders.history(conn, number) if e["what"] == people.PEOPLE] == ran, "and said once"


@pytest.mark.parametrize("point", ["people.sending", "people.sent"])
def test_a_letter_that_was_under_way_when_it_was_killed_is_in_doubt_and_not_sent_twice(
    mailing: Mailing, point: str
) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    assert killed_at(point, lambda at: tell(mailing, number, at=at)), f"{point} was never reached"
    run = tell(mailing, number)
    assert run.telling.states["in_doubt"] == 3 and run.telling.told == 5
    assert len(set(letters(mailing))) == len(mailing.box.letters), "nobody has it twice"


def test_a_mail_server_that_goes_down_leaves_the_rest_for_the_next_run(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mailing, "endpoint", lambda *_: Endpoint("smtp://127.0.0.1:1", login=US))
        run = tell(mailing, number)
        assert run.stopped == "the mail server does not answer" and run.telling.whole_on is None
        with pytest.raises(Refused, match="were come to so far"):
            gate(mailing, number)
    run = tell(mailing, number)
    assert run.telling.told == 8 and run.telling.whole_on == NOW


def test_two_runs_do_not_tell_side_by_side(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))

    def another(point: str) -> None:
        with pytest.raises(NotReachable, match="by somebody else"):
            tell(mailing, number)

    assert tell(mailing, number, at=another).telling.told == 8


def test_an_objection_is_taken_like_a_request_and_names_nobody(mailing: Mailing) -> None:
    number = opened(mailing, replace(TOLD, t0=T0))
    asked: dict[str, Any] = {
        "channel": Channel.EMAIL, "method": "signed_in_session", "fields": ("PI-001",), "as_of": NOW,
        "actor": "support/li",
    }  # fmt: skip
    for who, more, why in (
        ("13812345678", {}, "a mobile number, not an account id"),
        ("acct_00000000zzzz", {}, "there is no such account"),
        ("acct_000000000001", {"fields": ()}, "no field was compared"),
        ("acct_000000000001", {"method": "a feeling"}, "method"),
        ("acct_000000000001", {"channel": Channel.SCHEDULE}, "person's channel"),
    ):
        with pytest.raises(Refused, match=why):
            objecting.object_to(mailing.desk, number, who, **{**asked, **more})
    assert objecting.object_to(mailing.desk, number, "acct_000000000003", **asked) == 1
    assert objecting.object_to(mailing.desk, number, "acct_000000000003", **asked) == 1, "once is once"
    assert objecting.objectors(mailing.desk, number) == {"acct_000000000003"}
    assert "acct_" not in json.dumps([b for _, b, _ in mailing.ledger])


def test_the_commands_say_counts_and_write_ids_to_a_file_of_ones_own(
    mailing: Mailing, today: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "desk", lambda: mailing.desk)
    number = opened(mailing, replace(TOLD, t0=T0))
    run = CliRunner().invoke(command.app, ["notify-people", number, "--reach", REACH], catch_exceptions=False)
    assert run.exit_code == 1 and "8 people are told, 2 could not be reached" in run.output
    to = tmp_path / "left"
    shown = CliRunner().invoke(command.app, ["notices", number, "--list", str(to)], catch_exceptions=False)
    assert "2 account ids" in shown.output and "acct_" not in shown.output
    assert to.read_text().split() == ["acct_000000000004", "acct_000000000005"]
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    said = ["object", number, "--method", "signed_in_session", "--field", "PI-001"]
    done = CliRunner().invoke(command.app, said, input="acct_000000000001\n", catch_exceptions=False)
    assert "objection 1 is recorded" in done.output and "acct_" not in done.output
    with mailing.desk.book() as conn:
        assert tellings.tellings(conn, number)[0].unreached == 2


def guarded(mailing: Mailing, column: str | None) -> None:
    """Two of the ten are minors: tickets stand for what says so, and of one the guardian's address is known."""
    accounts = mailing.company.catalogue.dataset("a.account")
    assert accounts.accounts is not None
    with_guardians = accounts.accounts.model_copy(
        update={"guarded": Guarded(dataset="s.ticket", column=column)}
    )
    changed = accounts.model_copy(update={"accounts": with_guardians})
    datasets = tuple(changed if d.id == "a.account" else d for d in mailing.company.catalogue.datasets)
    mailing.company.catalogue = mailing.company.catalogue.model_copy(update={"datasets": datasets})
    company(mailing, "DELETE FROM s.note")
    company(mailing, "DELETE FROM s.ticket WHERE id > 2")
    company(mailing, "UPDATE s.ticket SET body = CASE WHEN id = 1 THEN 'mother@people.example' ELSE '' END")


def test_a_minors_guardian_is_told_too_or_named_for_the_second_channel(mailing: Mailing) -> None:
    guarded(mailing, "body")
    number = opened(mailing, replace(TOLD, t0=T0))
    run = tell(mailing, number)
    assert (run.telling.told, run.telling.unreached) == (9, 3), "ten people and two guardians"
    assert "mother@people.example" in letters(mailing)
    assert "监护人" in mailing.box.read().get_content() and "A guardian" in mailing.box.read().get_content()
    assert tell(mailing, number).sent == 0, "once"
    assert sorted(people.unreached(mailing.desk, number)) == [
        "acct_000000000002\tguardian", "acct_000000000004", "acct_000000000005",
    ]  # fmt: skip
    (event,) = [gate(mailing, number) and b for _, b, _ in mailing.ledger if b["what"] == "people told"]
    assert event["states"] == {"no_address": 3, "told": 9}


def test_where_nobody_collects_a_guardians_address_all_guardians_are_named(mailing: Mailing) -> None:
    guarded(mailing, None)
    number = opened(mailing, replace(TOLD, t0=T0))
    assert tell(mailing, number).telling.unreached == 4
    assert [x for x in people.unreached(mailing.desk, number) if "guardian" in x] == [
        f"acct_00000000000{n}\tguardian" for n in (1, 2)
    ]
