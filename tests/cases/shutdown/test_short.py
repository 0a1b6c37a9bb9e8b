"""After T0 it turns out that the law's days before it were not kept: the truth is recorded, and both approvers answer for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.shutdown import orders, short
from include.cases.shutdown.dates import Gate
from include.cases.shutdown.told import Paper
from include.commands import _common as common
from include.commands import shutdown as command
from include.handover import service_page
from include.ledger import verify_service, verify_service_books
from include.model.errors import NotProved, Refused
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, forged, handed, house
from tests.cases.shutdown.test_orders import TOLD
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures
WORD = Paper("D-8", "8" * 64)
SAID = "gate reported: was done on {}, {} days before collection was closed, and the law wants 60 (ESL 23; MIIT Measures 24)"


def of_it(p: dict[str, Any], **more: Any) -> None:
    next(x for x in p["gates"] if x["gate"] == "reported").update(more)


def of_answer(p: dict[str, Any], **more: Any) -> None:
    next(x for x in p["gates"] if x["gate"] == "reported")["short"].update(more)


FORGERIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: p.pop("gates"), "gates"),
    (lambda p: p["gates"].clear(), "gate announced is told 0 times"),
    (lambda p: p["gates"].append(p["gates"][0]), "is told 2 times"),
    (lambda p: of_it(p, short=None), "gate reported: was done 40 days before collection was closed, and the law wants 60"),
    (lambda p: of_it(p, done_on="2020-01-01", short=None), "gate reported: the ledger has another day or document"),
    (lambda p: of_it(p, document="D-6"), "gate reported: the ledger has another day or document"),
    (lambda p: of_it(p, entry=p["proofs"]["closed"]), "does not say 'gate'"),
    (lambda p: of_it(p, short={}), "the answer of line"),
    (lambda p: p["gates"][0].update(short=next(x["short"] for x in p["gates"] if x["short"])), "gate notified: was done"),
    (lambda p: of_answer(p, document="D-6"), "gate reported: the answer that the ledger has is another"),
    (lambda p: of_answer(p, answered_on="2026-01-01"), "gate reported: the answer that the ledger has is another"),
    (lambda p: of_answer(p, entries=[]), "not both approvers of the order answer for it"),
    (lambda p: of_answer(p, entries=[p["proofs"]["closed"]] * 2), "does not say 'shorter notice answered for'"),
]  # fmt: skip


def corrected(ended: Ended, days: int) -> None:
    """It was filed so many days before T0, as a person records by now."""
    on = T0 - timedelta(days=days)
    orders.pass_gate(
        ended.desk, ended.number, Gate.REPORTED, on=on, paper=PAPER, as_of=T0, actor="legal/zhao"
    )


def answer(ended: Ended, who: str, paper: Paper = WORD) -> tuple[str, ...]:
    return short.answer(ended.desk, ended.number, paper=paper, as_of=T0, actor=who)


def found(ended: Ended) -> tuple[short.Short, ...]:
    with ended.desk.book() as conn:
        return short.found(conn, orders.order(conn, ended.number))


def test_a_report_that_came_too_late_is_answered_for_by_both(ended: Ended) -> None:
    ended.everything()
    one, two = TOLD.approvers
    assert found(ended) == ()
    with pytest.raises(Refused, match="no gate was done later than the law lets it"):
        answer(ended, one)
    corrected(ended, 60)
    assert found(ended) == (), "the day of filing is not counted, and sixty follow it"
    corrected(ended, 59)
    with pytest.raises(NotProved) as because:
        ended.certificate()
    assert SAID.format(T0 - timedelta(days=59), 59) in str(because.value)
    with pytest.raises(Refused, match="not one of the two who approved"):
        answer(ended, "ops/wu")
    assert answer(ended, one) == (two.partition("/")[0],)
    assert answer(ended, two, Paper("D-9", "9" * 64)) == (one.partition("/")[0],)
    with pytest.raises(NotProved, match="the law wants 60"):
        ended.certificate()
    assert answer(ended, two) == ()
    # It was later still: that is another day, and nobody answered for it.
    corrected(ended, 40)
    with pytest.raises(NotProved, match="40 days before collection was closed"):
        ended.certificate()
    for who in TOLD.approvers:
        answer(ended, who)
    # By another paper it is another filing, though of the same day.
    orders.pass_gate(
        ended.desk, ended.number, Gate.REPORTED, on=T0 - timedelta(days=40), paper=Paper("R-2", "2" * 64), as_of=T0,
        actor="legal/zhao",
    )  # fmt: skip
    with pytest.raises(NotProved, match="40 days before collection was closed"):
        ended.certificate()
    for who in TOLD.approvers:
        answer(ended, who)
    made = ended.certificate()
    told = {x["gate"]: x for x in made.payload["gates"]}
    assert told.keys() == {"notified", "reported", "announced"} and told["notified"]["short"] is None
    assert (told["reported"]["short"]["document"], told["reported"]["short"]["answered_on"]) == (
        "D-8",
        T0.isoformat(),
    )
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert report.problems == []
    assert report.said["shorter notice than the law wants"].startswith(
        f"reported on {T0 - timedelta(days=40)} (answered for by D-8"
    )
    assert "法定期限不足 · A shorter notice than the law wants" in service_page.page(made)
    forged(ended, made.payload, FORGERIES)
    handed(ended)


def test_the_command_shows_what_is_short_and_takes_the_word(
    ended: Ended, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(common, "desk", lambda: ended.desk)
    ended.everything()
    file = tmp_path / "word.pdf"
    file.write_bytes(b"word")

    def run(*more: str) -> tuple[int, str]:
        done = CliRunner().invoke(command.app, ["answer-short", ended.number, *more], catch_exceptions=False)
        return done.exit_code, done.output

    assert run() == (0, f"{ended.number}: the law's days were kept\n")
    corrected(ended, 0)
    code, said = run()
    assert code == 1 and "0 days before collection was closed, and the law wants 60" in said.replace(
        "\n", " "
    )
    for who, expected in zip(TOLD.approvers, (1, 0), strict=True):
        monkeypatch.setattr(common, "me", lambda role, who=who: who)
        assert run("--document", "D-8", "--file", str(file))[0] == expected
    code, said = run()
    assert code == 0 and "both approvers answered for it" in said.replace("\n", " ")


def opened(path: str) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """What a certificate says of an order of this path, whose collection was closed on T0, and of gates that were done ten days
    later."""
    late = (T0 + timedelta(days=10)).isoformat()
    gates = ["notified", "reported", "announced", "successor_told"]
    lines = [
        {"gate": g, "done_on": late, "document": "D-1", "digest": "1" * 64, "entry": n, "short": None}
        for n, g in enumerate(gates, 1)
    ]
    bodies = [{"what": "opened", "path": path}, *({"what": "gate", **line} for line in lines)]
    p = {
        "format": verify_service.FORMAT,
        "order": "SO-1",
        "closed_on": T0.isoformat(),
        "gates": lines,
        "proofs": {"opened": 0},
    }
    return p, {n: {"kind": "shutdown", "body": {"order": "SO-1", **b}} for n, b in enumerate(bodies)}


def test_a_revoked_licence_and_a_late_successor_have_no_days() -> None:
    """Collection is closed at once, whatever else is done; and people are told of a successor that is named after T0."""
    assert list(verify_service_books.check_gates(*opened("licence_revoked"))) == []
    said = list(verify_service_books.check_gates(*opened("voluntary")))
    assert [x.partition(":")[0] for x in said] == ["gate notified", "gate reported", "gate announced"]
    p, entries = opened("licence_revoked")
    p["gates"][0]["short"] = {
        "document": "D-8",
        "digest": "8" * 64,
        "answered_on": "2027-01-01",
        "entries": [],
    }
    (problem,) = verify_service_books.check_gates(p, entries)
    assert problem.startswith("gate notified: was done -10 days before")
    p, entries = opened("licence_revoked")
    del p["gates"][1]
    assert list(verify_service_books.check_gates(p, entries)) == ["gate reported is told 0 times"]


def test_what_an_order_was_judged_by_before_is_enough_of_the_second_regulators_days_for_ever() -> None:
    """60 working days were taken as 90 days when certificates were issued that are verified now."""
    p, entries = opened("voluntary")
    line = p["gates"][0] | {"gate": "reported_e_government", "entry": 5}
    p["gates"].append(line)
    entries[0]["body"]["e_government"] = True

    def said(days: int) -> list[str]:
        line["done_on"] = (T0 - timedelta(days=days)).isoformat()
        entries[5] = {"kind": "shutdown", "body": {"order": "SO-1", "what": "gate", **line}}
        return [x for x in verify_service_books.check_gates(p, entries) if "e_government" in x]

    assert said(89) == [
        "gate reported_e_government: was done 89 days before collection was closed, and the law wants 90"
    ]
    assert said(90) == said(100) == []
