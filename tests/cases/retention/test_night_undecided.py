"""What two laws collide over, or no rule speaks of, is named by the night that sees it first, and touched by none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.cases.retention import undecided
from include.cases.retention.seen import look
from include.model.catalogue import Catalogue
from include.model.estate import Bound, Start
from include.model.words import LegalRank
from tests.cases.retention.house import DAY, GONE, House
from tests.cases.small import rule

NEXT = DAY + timedelta(days=1)
COLLIDES = "RS-12/main (PIPL 19) must be over before RS-17/main (Accounting Law 23) allows it"
SILENT = "no rule says anything of these items: none of the starting points returns them"
OF_SOME = (
    "SELECT k.id AS click_id, k.at AS started_at FROM cohort AS s JOIN u.click AS k ON k.account_id = s.subject_id"
    " WHERE k.id > 10"
)


def bound(catalogue: Catalogue, dataset: str, *binds: Bound) -> Catalogue:
    of = tuple(d.model_copy(update={"binds": binds}) if d.id == dataset else d for d in catalogue.datasets)
    return catalogue.model_copy(update={"datasets": of})


@pytest.fixture
def colliding(house: House) -> House:
    """A law says that visits go after a year, another that they stay for thirty."""
    law = rule("RS-17", "P30Y", "floor", LegalRank.LAW, "Accounting Law 23")
    at = Start(column="at")
    catalogue = bound(
        house.company.catalogue, "u.visit", Bound(rule="RS-12", start=at), Bound(rule="RS-17", start=at)
    )
    house.company.catalogue = catalogue.model_copy(update={"rules": (*catalogue.rules, law)})
    return house


def told(house: House, what: str) -> list[tuple[object, ...]]:
    return house.sql("SELECT case_no, detail FROM casebook.event WHERE what = %s ORDER BY event_id", what)


def test_a_conflict_is_named_once_with_its_laws_and_stands_until_it_is_decided(colliding: House) -> None:
    first = colliding.night()
    assert set(colliding.counts(first)) == GONE.keys() - {"u.visit"}
    detail = {"dataset": "u.visit", "items": 30, "what": COLLIDES}
    assert told(colliding, "laws collide") == [(first.case_no, detail)]
    (line,) = [x for x in colliding.left(first) if x.startswith("u.visit: ")]
    assert line.startswith(f"u.visit: 30 items wait for a decision: {COLLIDES}. Next: decide which rule")
    assert colliding.ledger[-1][1]["undecided"] == 30
    second = colliding.night(NEXT)
    assert not [x for x in colliding.left(second) if "decision" in x], "once, not every night"
    assert len(told(colliding, "laws collide")) == 1
    with colliding.desk.book() as conn:
        (stands,) = undecided.open_now(conn)
    assert (stands.dataset, stands.items, stands.since) == ("u.visit", 30, DAY)
    # Decided: the floor goes first.
    at = Start(column="at")
    colliding.company.catalogue = bound(
        colliding.company.catalogue, "u.visit", Bound(rule="RS-12", start=at, gives_way=("RS-17",)),
        Bound(rule="RS-17", start=at),
    )  # fmt: skip
    third = colliding.night(NEXT + timedelta(days=1))
    assert not [x for x in colliding.left(third) if "decision" in x]
    with colliding.desk.book() as conn:
        assert undecided.open_now(conn) == []


def test_a_night_that_opens_no_case_names_them_too(colliding: House) -> None:
    colliding.company.sql("DELETE FROM s.note; DELETE FROM s.ticket; DELETE FROM u.click")
    colliding.company.sql("UPDATE a.account SET ended = NULL")
    night = colliding.night()
    assert night.case_no is None
    assert len(colliding.left(night)) == 1 and COLLIDES in colliding.left(night)[0]


def test_one_that_cannot_be_asked_about_is_not_settled(colliding: House) -> None:
    colliding.night()
    colliding.company.sql("ALTER TABLE u.visit RENAME COLUMN at TO seen_at")
    colliding.company.sql("DELETE FROM s.note; DELETE FROM s.ticket")
    night = colliding.night(NEXT)
    assert night.case_no is None
    with colliding.desk.book() as conn:
        assert len(undecided.open_now(conn)) == 1


def test_what_no_rule_speaks_of_is_named(house: House) -> None:
    catalogue = house.company.catalogue.model_copy(update={"starting_points": {"clicks": OF_SOME}})
    start = Start(query="clicks", on={"id": "click_id"})
    house.company.catalogue = bound(catalogue, "u.click", Bound(rule="RS-12", start=start))
    (silent,) = look(house.desk, DAY).undecided
    assert (silent.code, silent.dataset, silent.items) == ("no_rule", "u.click", 10)
    night = house.night()
    assert told(house, "no rule speaks") == [
        (night.case_no, {"dataset": "u.click", "items": 10, "what": SILENT})
    ]
    assert [x for x in house.left(night) if x.startswith("u.click: 10 items wait for a decision")]
    assert house.company.sql("SELECT count(*) FROM u.click WHERE id <= 10") == [(10,)]
    assert house.counts(night)["u.click"] == {"erased": 5}
