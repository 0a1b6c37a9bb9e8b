"""A night's case, by the verbs: its books, what it says that it left, and what it does after it was stopped or went wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from include.cases import certifying, papers
from include.cases.keys import FileKeyStore
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs, nights, stopping, whole
from include.cases.retention.stayed import NEEDED
from include.model.errors import NotProved, NotReachable, Refused, Stopped
from include.model.estate import Bound, Start
from include.model.times import PRC
from include.model.words import CaseState, LegalRank
from include.stores.postgres import install
from tests.cases.retention import house as houses
from tests.cases.retention.house import DAY, DUE, GONE, House
from tests.cases.small import rule
from tests.conftest import PgServer
from tests.stores.postgres.making import Company
from tests.stores.sizes import Pieces


def test_a_night_takes_what_is_due_and_its_case_rests(house: House) -> None:
    night = house.night()
    assert (night.due, night.gone) == (sum(DUE.values()), sum(GONE.values()))
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    assert house.left(night) == ["1 items are still due, 1 of them overdue", *_needed("s.ticket")]
    after = house.there()
    again = house.night(DAY + timedelta(days=1))
    assert house.there() == after and again.gone == 0
    assert house.state(again) is CaseState.WAITING and not house.findings(again)


def test_stopped_between_two_pieces_it_stands_still_and_goes_on_from_there(house: House) -> None:
    came = 0

    def at(point: str) -> None:
        nonlocal came
        came += point == "clearing.after_commit"
        if point == "clearing.after_commit" and came == 2:
            with house.desk.book() as conn:
                stopping.stop(conn, "an incident", actor="ops/zhao")

    before = house.there()
    with house.clearing(size=Pieces(12), at=at), pytest.raises(Stopped, match="an incident"):
        house.night()
    half = house.there()
    assert came == 2 and before != half, "the pieces before it are through"
    with pytest.raises(Stopped):
        house.night()
    assert house.there() == half, "and no run after it begins another"
    with house.desk.book() as conn:
        stopping.lift(conn, actor="ops/zhao")
    night = house.night()
    assert (night.due, night.gone) == (sum(DUE.values()), sum(GONE.values()))


def _needed(*datasets: str) -> list[str]:
    return [f"{d}: {NEEDED}" for d in datasets]


def test_a_night_of_which_nothing_is_there_any_more_ends_too(house: House) -> None:
    night = house.begin()
    for table in ("s.note", "s.ticket", "u.visit", "u.click", "a.account"):
        house.company.sql(f"DELETE FROM {table}")
    night = house.night()
    assert (night.due, night.gone, night.remaining) == (sum(DUE.values()), 0, 0)
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    assert house.left(night) == []
    assert house.night(DAY + timedelta(days=1)).case_no is None


def test_a_budget_counts_what_went_and_not_what_was_passed_over(house: House) -> None:
    night = house.begin()
    house.company.sql("UPDATE s.note SET written = '2026-11-23'")  # all tickets are needed by then
    night = house.night(budget=44)
    assert (night.gone, house.counts(night)["s.ticket"]) == (41, {"needed": 4})
    assert "a.account" in house.counts(night), "the last one went by what the four had not used"


def test_a_dataset_that_is_left_unfinished_and_needed_says_both(house: House) -> None:
    house.company.sql(
        "CREATE FUNCTION s.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;"
        "CREATE TRIGGER no BEFORE DELETE ON s.ticket FOR EACH ROW WHEN (OLD.id = 7) EXECUTE FUNCTION s.no()"
    )
    with house.clearing(size=Pieces(2)):
        night = house.night(tries=2)  # the second finds nothing to do, and what was said stays said
    assert house.counts(night)["s.ticket"] == {"erased": 1, "needed": 1}
    assert not house.findings(night), "what is due is what the night says that it left"
    said = [x for x in house.left(night) if x.startswith("s.ticket")]
    assert len(said) == 2 and "refused" in said[0] and said[1:] == _needed("s.ticket")
    with pytest.raises(Refused, match="has ended"):
        nightly.dispose(house.desk, night.case_no or "", as_of=DAY, actor="ops/li")
    house.company.sql("DROP TRIGGER no ON s.ticket")
    again = house.night(DAY + timedelta(days=1))
    assert house.counts(again) == {"s.ticket": {"erased": 2, "needed": 1}}
    assert house.left(again)[1:] == _needed("s.ticket")


def not_proved(house: House) -> nights.Night:
    """A night after whose deed a row of what went came back."""

    def import_again() -> None:
        house.company.sql(
            "INSERT INTO u.visit SELECT 1, id, '2025-01-01', '/' FROM a.account WHERE id LIKE '%2'"
        )

    with pytest.raises(NotProved):
        house.night(then=import_again)
    with house.desk.book() as conn:
        (first,) = nights.latest(conn)
    return first


def test_a_whole_row_that_is_due_and_was_not_said_to_be_left_is_seen_beside_bare_ones(house: House) -> None:
    """A night may leave rows bare that it set free itself. By how much it took, a whole one would pass among them."""

    def planted() -> None:
        house.company.sql("INSERT INTO a.account VALUES ('acct_000000000011', 'name 11', '2026-01-01')")

    with pytest.raises(NotProved, match=r"due\.a\.account: more is due than the night says that it left"):
        house.night(then=planted)
    assert house.certified == []


def test_a_night_that_was_not_proved_is_taken_up_by_the_next(house: House) -> None:
    first = not_proved(house)
    assert house.state(first) is CaseState.ACTING
    assert house.findings(first) == {"gone_not_proved", "due_not_proved"}
    second = house.night(DAY + timedelta(days=1))
    assert (second.gone, second.case_no != first.case_no) == (1, True)
    assert [house.state(n) for n in (first, second)] == [CaseState.WAITING] * 2
    assert house.findings(first) == house.findings(second) == set()
    assert house.certified == [first.case_no, second.case_no]
    as_it_was = house.of(first)
    assert (as_it_was.gone, as_it_was.remaining) == (sum(GONE.values()), 2), (
        "what it said is not written anew"
    )


proved = night_proofs._again


def test_an_old_night_that_fails_again_is_told_by_every_later_one_until_it_is_proved(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = not_proved(house)

    def refused(*_: object, **__: object) -> CaseState:
        raise NotReachable("it does not answer", about="store company")

    with monkeypatch.context() as patch:
        patch.setattr(
            night_proofs,
            "_again",
            lambda desk, no, **on: refused() if no == first.case_no else proved(desk, no, **on),
        )
        second = house.night(DAY + timedelta(days=1))
    said = [x for x in house.left(second) if str(first.case_no) in x]
    assert (
        len(said) == 1 and "the night of 2026-11-24: gone.u.visit" in said[0] and "1 more finding" in said[0]
    )
    assert not [x for x in house.left(first) if str(first.case_no) in x], (
        "of itself a night says no more than before"
    )
    third = house.night(DAY + timedelta(days=2))
    assert house.state(first) is CaseState.WAITING
    assert not [x for x in house.left(third) if "the night of" in x]


def test_an_old_night_without_a_certificate_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as no_signer:
        no_signer.setattr(House, "_certify", lambda *_, **__: None)
        first, second = house.night(), house.night(DAY + timedelta(days=1))
    (said,) = [x for x in house.left(second) if "certificate" in x]
    assert said.startswith(f"{first.case_no}, the night of 2026-11-24: it is proved, and has no certificate")
    third = house.night(DAY + timedelta(days=2))
    assert not [x for x in house.left(third) if "certificate" in x]


def test_a_run_by_the_minute_takes_rows_by_their_own_moment_and_claims_nothing_else(
    new_company: Callable[..., Company],
    pg18: PgServer,
    case_book: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soon = rule("RS-02", "PT10M", "ceiling", LegalRank.LAW, "PIPL 47")
    by = (Bound(rule="RS-02", start=Start(column="at")),)
    shop = houses.SHOP.model_copy(update={
        "rules": (*houses.SHOP.rules, soon),
        "datasets": tuple(d.model_copy(update={"binds": by}) if d.id == "u.click" else d for d in houses.SHOP.datasets),
    })  # fmt: skip
    house = House(
        company=new_company(shop, houses.SCHEMA, "clicks by the minute"),
        records=lambda role: pg18.conninfo(case_book, role), keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )  # fmt: skip
    monkeypatch.setattr(certifying, "certify", house._certify)
    night = whole.run(house.desk, as_of=DAY, at=datetime(2026, 11, 24, 12, tzinfo=PRC), actor=houses.ROBOT)
    assert (night.gone, house.state(night)) == (10, CaseState.WAITING)
    with house.desk.book() as conn:
        (said,) = [e for _, e in papers.evidence(conn, str(night.case_no)) if e.kind == "due"]
    assert [c.name for c in said.checks] == ["due.u.click"]


PARTED = """
ALTER TABLE u.click RENAME TO was;
CREATE TABLE u.click (id int, account_id text REFERENCES a.account, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE u.click_old PARTITION OF u.click FOR VALUES FROM ('2025-01-01') TO ('2025-11-01');
CREATE TABLE u.click_rest PARTITION OF u.click DEFAULT;
INSERT INTO u.click SELECT * FROM u.was; DROP TABLE u.was;
CREATE INDEX ON u.click (account_id);
"""


def test_the_case_tells_of_partitions_that_went_and_of_those_that_could_not(house: House) -> None:
    house.company.sql(PARTED)
    install(house.company.conninfo("quietus_admin"), house.company.catalogue, "company")
    told = "SELECT detail FROM casebook.event WHERE what = 'partitions due' ORDER BY event_id"
    with house.clearing(at=_ends_at("clearing.after_commit")), pytest.raises(_Ended):
        house.night()
    night = house.night()
    assert (night.due, night.gone) == (sum(DUE.values()), sum(GONE.values()))
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    assert house.sql(told) == [({"dropped": ["u.click_old"], "by_rows": {}},)]
    assert house.company.value("SELECT to_regclass('u.click_old') IS NULL")
    # The next night another one's turn would have come, but somebody has it in use.
    house.company.sql(
        "CREATE TABLE u.click_2025 PARTITION OF u.click FOR VALUES FROM ('2025-01-01') TO ('2025-12-01');"
        " INSERT INTO u.click SELECT i, NULL, '2025-11-24' FROM generate_series(100, 104) AS i;"
        " CREATE VIEW u.clicks AS SELECT * FROM u.click_2025; GRANT SELECT ON u.click_2025 TO eraser"
    )
    second = house.night(DAY + timedelta(days=1))
    assert second.gone == 5 and house.state(second) is CaseState.WAITING and not house.findings(second)
    (_, (said,)) = house.sql(told)
    assert said["dropped"] == [] and "the server refused" in said["by_rows"]["u.click"]


class _Ended(Exception):
    pass


def _ends_at(point: str) -> Callable[[str], None]:
    def at(here: str) -> None:
        if here == point:
            raise _Ended

    return at
