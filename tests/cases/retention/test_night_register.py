"""What a night only cuts is de-identified: it is never called anonymised, it has a last day, and a later night takes it then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from include.cases import book, papers, units
from include.cases.keys import FileKeyStore
from include.cases.retention import night_proofs, nights
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable, QuietusError
from include.model.estate import Bound, Cut, Start
from include.model.flow import Evidence
from include.model.policy import Period
from include.model.words import CaseState, Disposition, UnitState, Verdict
from tests.cases.retention import house as houses
from tests.cases.retention.house import House
from tests.conftest import PgServer
from tests.stores.postgres.making import Company

ENDS = Bound(rule="RS-12", period="register", start=Start(column="closed"))
LAST = date(2027, 10, 19)  # of what is left of tickets that were closed on 2025-10-19


def register(stays: str = "P2Y", kind: str = "both") -> Catalogue:
    """The shop, but a year is what the law demands of a ticket, too, and of one that is over its number and day stay longer."""
    rules = tuple(
        r if r.id != "RS-12" else r.model_copy(update={"periods": (
            *(p.model_copy(update={"kind": kind}) for p in r.periods),
            Period(name="register", duration=stays, kind="ceiling", basis=r.basis),
        )})
        for r in houses.SHOP.rules
    )  # fmt: skip
    cut = {"action": "deidentify", "cut": Cut(set={"account_id": None, "body": None}, ends=ENDS)}
    datasets = tuple(d.model_copy(update=cut) if d.id == "s.ticket" else d for d in houses.SHOP.datasets)
    return houses.SHOP.model_copy(update={"rules": rules, "datasets": datasets})


@pytest.fixture
def kept(
    new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path, request: pytest.FixtureRequest
) -> House:  # fmt: skip
    of = getattr(request, "param", ("P2Y", "both"))
    company = new_company(register(*of), houses.SCHEMA, f"register {' '.join(of)}")
    company.sql("INSERT INTO s.ticket VALUES (9, 'acct_000000000009', '2024-11-23', 'nobody cut it in time')")
    return House(
        company=company,
        records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )


def test_what_is_left_has_a_last_day_and_the_night_after_it_takes_it(kept: House) -> None:
    night = kept.night()
    assert kept.counts(night)["s.ticket"] == {"deidentified": 4, "erased": 1}, (
        "and what would be past its end is not cut"
    )
    assert kept.state(night) is CaseState.WAITING and not kept.findings(night)
    assert kept.left(night) == []
    with kept.desk.book() as conn:
        case = book.case(conn, night.case_no or "")
        plan = papers.plans(conn, case, "live")[-1]
        ended = {
            u.state for u in units.of_case(conn, case.case_no) if u.disposition is Disposition.DEIDENTIFY
        }
    cut = [x for x in plan.lines_of("s.ticket") if x.disposition is Disposition.DEIDENTIFY]
    assert [(x.until, x.items) for x in cut] == [(LAST, 4)]
    assert cut[0].law.endswith("what is left is de-identified (PIPL 73(3)) until: RS-12/register: PIPL 19")
    assert ended == {UnitState.DEIDENTIFIED}

    rows = "SELECT id FROM s.ticket WHERE account_id IS NULL AND body IS NULL ORDER BY 1"
    assert kept.company.sql(rows) == [(1,), (3,), (5,), (7,)]
    kept.night(LAST)
    assert len(kept.company.sql(rows)) == 4, "the last day is not over"
    gone = kept.night(LAST + timedelta(days=1))
    assert kept.counts(gone)["s.ticket"] == {"erased": 3, "needed": 1}, (
        "a note that stays refers to one, which is cut already"
    )
    assert kept.company.sql(rows) == [(3,)]
    assert kept.counts(kept.night(date(2027, 11, 24)))["s.ticket"]["erased"] == 1, "with its note"
    assert kept.company.sql(rows) == [(2,), (4,), (6,), (8,)], "whose own year is over since"


@pytest.mark.parametrize("seen", ["kept", "lost", "not at all"])
def test_what_a_later_night_took_of_it_keeps_no_earlier_one_from_being_proved(
    kept: House, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of tickets was seen to be there, was not, or nobody looked, before its own end came."""

    def trouble() -> None:
        kept.company.sql(
            "INSERT INTO u.visit SELECT 1, id, '2025-01-01', '/' FROM a.account WHERE id LIKE '%2'"
        )
        if seen == "lost":
            kept.company.sql("DELETE FROM s.ticket WHERE id = 5")

    with monkeypatch.context() as patch, pytest.raises(QuietusError):
        if seen == "not at all":
            patch.setattr(night_proofs, "_looked", _nobody)
        kept.night(then=trouble)
    with kept.desk.book() as conn:
        (first,) = nights.latest(conn)
    kept.night(LAST + timedelta(days=1))
    if seen == "lost":
        assert kept.state(first) is CaseState.ACTING and kept.findings(first) == {"gone_not_proved"}
        return
    assert kept.state(first) is CaseState.WAITING and not kept.findings(first)
    with kept.desk.book() as conn:
        *_, last = [e for _, e in papers.evidence(conn, str(first.case_no)) if e.kind == "gone"]
    said = {c.verdict for c in last.checks if c.name == "kept.s.ticket"}
    assert said == ({Verdict.UNVERIFIED} if seen == "not at all" else set())


def _nobody(*_: object) -> list[Evidence]:
    raise NotReachable("it does not answer", about="store company")


@pytest.mark.parametrize("kept", [("P2Y", "floor")], indirect=True)
def test_what_goes_by_a_floor_alone_is_cut_at_its_end_and_not_at_that_of_the_rest(kept: House) -> None:
    assert kept.counts(kept.night())["s.ticket"] == {"deidentified": 4, "erased": 1}


@pytest.mark.parametrize("kept", [("P1M", "both")], indirect=True)
def test_a_row_that_only_looks_cut_stays_under_the_law_that_keeps_it(kept: House) -> None:
    """Somebody registered ticket 2 without a name: what keeps it is asked first, and its own end after that."""
    kept.company.sql("UPDATE s.ticket SET body = NULL, account_id = NULL WHERE id = 2")
    there = "SELECT id FROM s.ticket WHERE id = 2"
    kept.night(date(2027, 11, 23))
    assert kept.company.sql(there) == [(2,)], "its month was over long ago, the law's year is not"
    kept.night(date(2027, 11, 24))
    assert kept.company.sql(there) == []
