"""Columns that fall due by themselves: they go, every other column stays as it was, and the night says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from include.cases import certifying, papers
from include.cases.keys import FileKeyStore
from include.cases.retention import breaker, due, late, whole
from include.cases.retention import night as nightly
from include.cases.retention.held import HeldPeople
from include.cases.retention.nights import Night
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.catalogue import Catalogue
from include.model.estate import Bound, Column, Derived, Part, Start
from include.model.times import PRC
from include.model.words import CaseState, LegalRank, Verdict
from tests.cases.retention import house as houses
from tests.cases.retention.house import DAY, House
from tests.cases.small import rule
from tests.conftest import PgServer
from tests.stores.postgres.making import Company

SCHEMA = (
    houses.SCHEMA
    + """
ALTER TABLE s.ticket ADD COLUMN proof text, ADD COLUMN shown text, ADD COLUMN checked timestamptz;
UPDATE s.ticket SET closed = '2026-11-20', proof = 'document ' || id, shown = 'passport',
  checked = timestamptz '2026-11-24 12:00+08' - CASE WHEN id % 2 = 1 THEN interval '25 hours' ELSE interval '23 hours' END;
"""
)
VIEW = "CREATE MATERIALIZED VIEW s.shown AS SELECT id, proof FROM s.ticket;"
SHOWN = Derived(store="company", address="s.shown", kind="matview", of=("s.ticket",))
NOON = datetime(2026, 11, 24, 12, tzinfo=PRC)
ODD = 4  # of eight tickets


def shop(*more: Bound) -> Catalogue:
    proof = Part(
        id="proof", title="proof of identity", set={"proof": None, "shown": "gone"},
        binds=(Bound(rule="RS-23", period="proof", start=Start(column="checked")),),
    )  # fmt: skip
    soon = rule("RS-23", "PT24H", "ceiling", LegalRank.STANDARD, "GB/T 35273 8.5 e)")
    soon = soon.model_copy(
        update={"periods": tuple(p.model_copy(update={"name": "proof"}) for p in soon.periods)}
    )
    ticket = houses.SHOP.dataset("s.ticket")
    changed = ticket.model_copy(
        update={
            "parts": (proof,),
            "binds": (*ticket.binds, *more),
            "columns": {
                **ticket.columns,
                **{c: Column() for c in ("proof", "shown")},
            },
        }
    )
    return houses.SHOP.model_copy(update={
        "rules": (*houses.SHOP.rules, soon, rule("RS-09", "P5Y", "floor", LegalRank.LAW, "ESL 24")),
        "datasets": tuple(changed if d.id == ticket.id else d for d in houses.SHOP.datasets),
    })  # fmt: skip


@pytest.fixture
def new(
    new_company: Callable[..., Company],
    pg18: PgServer,
    case_book: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., House]:
    def make(*more: Bound, view: bool = False) -> House:
        of = shop(*more)
        if view:
            of = of.model_copy(update={"derived": (SHOWN,)})
        house = House(
            company=new_company(of, SCHEMA + (VIEW if view else ""), f"columns {len(more)} {view}"),
            records=lambda role: pg18.conninfo(case_book, role), keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
        )  # fmt: skip
        monkeypatch.setattr(certifying, "certify", house._certify)
        return house

    return make


def by_the_minute(house: House, at: datetime = NOON) -> Night:
    return whole.run(house.desk, as_of=DAY, at=at, actor=houses.ROBOT)


def others(house: House) -> list[tuple[object, ...]]:
    """Every column but those of the part, of every row; and all other tables."""
    rows = house.company.sql("SELECT id, account_id, closed, body, checked FROM s.ticket ORDER BY id")
    return [*rows, *((t, *house.company.digest(t)) for t in houses.TABLES if t != "s.ticket")]


def proofs(house: House) -> list[tuple[object, ...]]:
    return house.company.sql("SELECT id, proof, shown FROM s.ticket ORDER BY id")


def test_columns_go_by_the_minute_and_every_other_column_stays(new: Callable[..., House]) -> None:
    house = new()
    before, whole_rows = others(house), proofs(house)
    lines = {x.dataset: (x.due, x.late) for x in late.table(late.late(house.company.catalogue, house, NOON))}
    assert lines == {"s.ticket.proof": (ODD, 60)}
    night = by_the_minute(house)
    assert (night.due, night.gone, night.remaining) == (ODD, ODD, 0)
    assert house.counts(night) == {"s.ticket.proof": {"erased": ODD}}
    assert others(house) == before
    assert proofs(house) == [(i, None, "gone") if i % 2 else (i, *rest) for i, *rest in whole_rows]
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    with house.desk.book() as conn:
        looked = {c.name: c.verdict for _, e in papers.evidence(conn, str(night.case_no)) for c in e.checks}
    assert (
        looked["gone.s.ticket.proof"]
        is looked["touched.s.ticket"]
        is looked["due.s.ticket.proof"]
        is Verdict.PASSED
    )
    assert by_the_minute(house).case_no is None, "nothing is due any more"
    assert by_the_minute(house, NOON + timedelta(hours=2)).gone == ODD


def test_by_days_it_is_counted_beside_its_row_and_goes_the_same_night(new: Callable[..., House]) -> None:
    house = new()
    rows = {
        r.dataset: r.due for r in due.table(due.see(house.company.catalogue, house, DAY + timedelta(days=2)))
    }
    assert (rows["s.ticket.proof"], rows.get("s.ticket")) == (8, None)
    house.company.sql(
        "UPDATE s.ticket SET closed = '2025-01-01' WHERE id IN (1, 2)"
    )  # whole rows are over, too
    night = house.night(DAY + timedelta(days=2))
    counts = house.counts(night)
    assert counts["s.ticket"] == {"erased": 2} and sum(counts["s.ticket.proof"].values()) == 8
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    assert [p for _, p, _ in proofs(house)] == [None] * 6


def test_a_law_that_keeps_the_row_keeps_its_columns(new: Callable[..., House]) -> None:
    house = new(Bound(rule="RS-09", start=Start(column="closed")))
    assert late.table(late.late(house.company.catalogue, house, NOON)) == []
    assert by_the_minute(house).case_no is None and all(p for _, p, _ in proofs(house))


def test_a_column_that_comes_back_is_found(
    new: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.cases.retention import night_proofs
    from include.model.errors import NotProved

    house = new()
    prove = night_proofs.prove

    def again(*of: object, **more: object) -> str:
        house.company.sql("UPDATE s.ticket SET proof = 'document 1' WHERE id = 1")
        return prove(*of, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(night_proofs, "prove", again)
    with pytest.raises(NotProved, match=r"gone.s.ticket.proof"):
        by_the_minute(house)


def test_a_view_that_shows_them_is_renewed_and_looked_at(new: Callable[..., House]) -> None:
    house = new(view=True)
    night = by_the_minute(house)
    assert house.company.value("SELECT count(proof) FROM s.shown") == 8 - ODD
    with house.desk.book() as conn:
        looked = {c.name: c.verdict for _, e in papers.evidence(conn, str(night.case_no)) for c in e.checks}
    assert looked["fresh.s.shown.s.ticket.proof"] is Verdict.PASSED


def test_a_hold_over_their_table_holds_them(new: Callable[..., House]) -> None:
    house = new()
    order = HoldOrder("HOLD-000001", HoldBasis.COURT, "law", Scope(datasets=frozenset({"s.ticket"})))
    held = HeldPeople((order,), {"HOLD-000001": frozenset()})
    (line,) = late.table(late.late(house.company.catalogue, house, NOON, held=held))
    assert (line.dataset, line.due, line.held) == ("s.ticket.proof", 0, ODD)


@pytest.mark.parametrize("point", ["clearing.located", "clearing.before_commit", "clearing.after_commit"])
def test_killed_at_any_point_it_goes_on_to_the_same_end(new: Callable[..., House], point: str) -> None:
    house = new()
    before = others(house)
    pid = os.fork()
    if pid == 0:

        def die(here: str) -> None:
            if here == point:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with house.clearing(at=die):
                by_the_minute(house)
        finally:
            os._exit(7)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    night = by_the_minute(house)
    assert house.counts(night) == {"s.ticket.proof": {"erased": ODD}} and others(house) == before
    assert house.state(night) is CaseState.WAITING


def test_runs_of_as_much_each_are_asked_about_until_a_person_let_most_of_the_last_go(
    new: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, asked = new(), []
    monkeypatch.setattr(breaker, "FEW", 2)
    for n in range(5):
        at = NOON + n * timedelta(minutes=10)
        first = 100 * (n + 1)
        house.company.sql(
            "INSERT INTO s.ticket SELECT i, 'acct_000000000001', '2026-11-20', 'b', 'document', 'passport',"
            f" timestamptz '2026-11-23 11:00+08' FROM generate_series({first}, {first + ODD - 1}) i"
        )
        night = by_the_minute(house, at)
        asked.append(night.waits_for_a_person)
        if night.waits_for_a_person:
            nightly.approve(house.desk, str(night.case_no), as_of=DAY, actor="ops/li")
            night = by_the_minute(house, at)
        assert night.ended_at is not None and night.gone == night.due >= ODD
    assert asked == [True, True, True, False, False]
