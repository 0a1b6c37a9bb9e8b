"""Years later, with nothing kept of the release but the catalogue, whoever can be found in a set is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from include.model.estate import NotPersonal
from include.model.releases import Sensitive
from include.model.words import Verdict
from include.proofs.retest import Retested, recount, retest
from tests.proofs.test_anonymity import ORDERED, people, plant
from tests.stores.postgres import releasing
from tests.stores.postgres.making import Company, Fixed
from tests.stores.postgres.releasing import MOVED, fill, release

Maker = Callable[..., Company]


@pytest.fixture
def years_later(new_company: Maker) -> Company:
    """Sixty people were released; nobody kept what they were."""
    there = releasing.company(new_company, ORDERED)
    fill(there, people(60))
    release(there)
    return there


def tried(there: Company) -> Retested:
    return retest(there.catalogue, Fixed(there.conninfo), there.catalogue.releases[0])


def failed(found: Retested) -> set[str]:
    return {c.name.partition(".")[0] for c in found.wrong}


def test_a_sound_set_passes_every_year_and_says_no_value(years_later: Company) -> None:
    found = tried(years_later)
    assert (found.verdict, found.wrong) == (Verdict.PASSED, ())
    assert found.measured is not None and found.measured.k >= ORDERED.k and found.tries > 20
    assert {c.name.partition(".")[0] for c in found.checks} == {
        "k", "l", "t", "rare", "identifiers", "pseudonyms", "linkage",
    }  # fmt: skip
    assert not any(town in repr(found) for town in (*releasing.TOWNS, "Guangdong", "flu"))


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([("1990-03", "Futian", "[0, 10)", "flu")], {"k", "l", "linkage"}),
        ([("1990", "North", "[0, 50)", "gout")] * 8, {"l", "t", "linkage"}),
        ([("1990", "North", "[0, 50)", i) for i in ("flu", "cough", "gout", "leprosy")], {"rare", "linkage"}),
    ],
    ids=["a row that stands alone", "a class of one secret", "a rare value"],
)
def test_what_came_into_the_set_since_is_found(
    years_later: Company, rows: list[tuple[Any, ...]], names: set[str]
) -> None:
    plant(years_later, *rows)
    found = tried(years_later)
    assert found.verdict is Verdict.FAILED and names <= failed(found)


def test_whoever_is_still_personal_today_knows_somebody_in_the_set(years_later: Company) -> None:
    """The live rows are the attacker's: of two columns that he knows, a pair that few share."""
    fill(years_later, [(date(1977, 7, 7), "Pudong", 113, "flu")], first=100)
    plant(years_later, *[("1977", "Tianhe", "*", i) for i in ("flu", "cough", "gout") for _ in range(3)])
    plant(years_later, *[("1991", "East", "*", i) for i in ("flu", "cough", "gout") for _ in range(3)])
    assert tried(years_later).verdict is Verdict.PASSED
    plant(years_later, ("1977", "East", "*", "flu"))
    assert "linkage" in failed(tried(years_later))


def test_in_a_set_with_nothing_in_it_nobody_is_found(new_company: Maker) -> None:
    there = releasing.company(new_company, ORDERED)
    fill(there, people(10))
    found = tried(there)
    assert (found.verdict, found.checks, found.why) == (Verdict.PASSED, (), "nothing was released")


def test_what_is_only_deidentified_is_never_tried_and_never_called_anonymous(new_company: Maker) -> None:
    there = releasing.company(
        new_company, MOVED.model_copy(update={"claims": "deidentified", "why": "a serial", "sensitive": {"ill": Sensitive()}})
    )  # fmt: skip
    found = tried(there)
    assert found.checks == () and found.why == "de-identified, so still personal: a serial"


def test_a_set_that_cannot_be_read_is_unverified_and_never_passed(years_later: Company) -> None:
    years_later.sql("DROP TABLE stat.released")
    found = tried(years_later)
    assert found.verdict is Verdict.UNVERIFIED and failed(found) == {"linkage"}


def test_statistics_that_count_too_few_are_found(years_later: Company) -> None:
    years_later.sql("CREATE TABLE stat.monthly (month date, accounts int)")
    years_later.sql("GRANT SELECT ON stat.monthly TO PUBLIC")
    place = NotPersonal(store="company", address="stat.monthly", reason="counts", at_least={"accounts": 20})

    def counted() -> Verdict:
        return recount(years_later.catalogue, Fixed(years_later.conninfo), place).verdict

    years_later.sql("INSERT INTO stat.monthly VALUES ('2026-01-01', 20), ('2026-02-01', 500)")
    assert counted() is Verdict.PASSED
    years_later.sql("INSERT INTO stat.monthly VALUES ('2026-03-01', 19)")
    assert counted() is Verdict.FAILED
    years_later.sql("UPDATE stat.monthly SET accounts = NULL WHERE accounts = 19")
    assert counted() is Verdict.FAILED, "what is not counted is not known to be enough"
    years_later.sql("REVOKE SELECT ON stat.monthly FROM PUBLIC")
    years_later.sql("DROP TABLE stat.monthly")
    assert counted() is Verdict.UNVERIFIED
