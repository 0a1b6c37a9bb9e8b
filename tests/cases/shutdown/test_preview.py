"""A preview counts every item once, with one fate each, and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.retention.due import Judged
from include.cases.retention.limits import binds, bounded
from include.cases.shutdown import orders
from include.cases.shutdown import preview as previews
from include.cases.shutdown.fates import fate, is_biometric
from include.catalogue import load
from include.handover.clocks import stays
from include.model.estate import Bound, Start
from include.model.handover import HANDED_OVER
from include.model.interval import interval
from include.model.retention import Clock, Group
from include.model.words import Disposition
from tests.cases.retention.house import DAY as NOW
from tests.cases.retention.house import House
from tests.cases.shutdown.test_orders import TOLD

ITRUS = load()
T0 = NOW + timedelta(days=100)


def judged(dataset: str, *days: date | str | None, held: bool = False) -> Judged:
    """Some items of a dataset of the policy, by the day of each of its clocks; "-": not under it."""
    of = tuple(binds(ITRUS, ITRUS.dataset(dataset)))
    clocks = tuple(Clock(applies=d != "-", day=d if isinstance(d, date) else None) for d in days)
    it = interval(bounded(of, Group(clocks=clocks, held=held, items=3)))
    return Judged(dataset, it, held, 3, clocks)


def of(dataset: str, *days: date | str | None, held: bool = False, ends: bool = True) -> tuple[str, str]:
    found = fate(ITRUS, ITRUS.dataset(dataset), judged(dataset, *days, held=held), T0, ends=ends)
    return found.disposition.value, found.rule


LONG_AGO, LATELY = date(2015, 1, 1), date(2026, 6, 1)


@pytest.mark.parametrize(
    ("dataset", "days", "expected"),
    [
        ("ra.application", (LATELY, None, "-"), ("transfer", "RS-03/main")),
        ("ra.application", (None, None, "-"), ("transfer", "RS-03/main")),  # a certificate that lives
        ("ra.application", ("-", None, LATELY), ("erase", "RS-03/no_certificate")),  # nothing came of it
        (
            "ra.application",
            (LONG_AGO, None, "-"),
            ("erase", "RS-03/main"),
        ),  # its time is over: it does not go
        ("cert.certificate", (LATELY, "-"), ("transfer", "RS-04/main")),
        ("cert.certificate", (LONG_AGO, "-"), ("erase", "RS-04/main")),  # cutting is not enough any more
        ("cert.certificate", ("-", LONG_AGO), ("transfer", "RS-04/register")),  # was cut before
        ("cert.certificate", ("-", date(2001, 1, 1)), ("erase", "RS-04/register")),
        ("sign.signature", (LATELY,), ("transfer", "RS-10/main")),
        ("billing.invoice", (LATELY, LATELY), ("retain", "RS-17/tax")),
        ("usage.access_log", (LATELY, LATELY), ("erase", "RS-12/cap")),
        ("usage.access_log", (NOW, NOW), ("retain", "RS-12/main")),
        ("account.consent", (None,), ("retain", "RS-22/main")),  # the relation ends on T0
        ("objects.face_video", (None, LATELY, LATELY, LATELY), ("erase", "RS-07/target")),
        ("account.person", (None,), ("erase", "RS-01/main")),
    ],
)
def test_what_becomes_of_what(dataset: str, days: tuple[date | None, ...], expected: tuple[str, str]) -> None:
    assert of(dataset, *days) == expected


def test_a_hold_stays_here_and_goes_along_with_what_goes() -> None:
    assert of("account.person", None, held=True)[0] == "hold"
    assert of("objects.face_video", None, LATELY, LATELY, LATELY, held=True)[0] == "hold"
    assert of("ra.application", LATELY, None, "-", held=True)[0] == "transfer"
    assert of("ra.application", LONG_AGO, None, "-", held=True)[0] == "transfer"  # only the hold keeps it


def test_a_relation_that_goes_on_starts_no_clock() -> None:
    found = fate(ITRUS, ITRUS.dataset("account.consent"), judged("account.consent", None), T0, ends=False)
    assert (found.disposition, found.until, found.waits) == (Disposition.RETAIN, None, True)
    ended = fate(ITRUS, ITRUS.dataset("account.consent"), judged("account.consent", None), T0, ends=True)
    assert ended.until is not None and ended.until >= T0 and not ended.waits


def test_raw_biometrics_stay_here_even_where_the_vetting_file_binds_them() -> None:
    faces = ITRUS.dataset("objects.face_video")
    bound = faces.model_copy(update={"binds": (Bound(rule="RS-03", start=Start(column="at")),)})
    clocks = (Clock(applies=True, day=LATELY),)
    it = interval(bounded(tuple(binds(ITRUS, bound)), Group(clocks=clocks, held=False, items=3)))
    found = fate(ITRUS, bound, Judged(bound.id, it, False, 3, clocks), T0, ends=True)
    assert (found.disposition, found.rule) == (Disposition.RETAIN, "RS-03/main") and "counsel" in found.odd


DAYS = st.one_of(st.none(), st.just("-"), st.dates(date(2010, 1, 1), date(2027, 12, 31)))


@given(data=st.data())
def test_only_what_the_law_hands_over_goes_and_raw_biometrics_never(data: st.DataObject) -> None:
    dataset = data.draw(st.sampled_from(ITRUS.datasets))
    days = data.draw(st.lists(DAYS, min_size=len(dataset.all_binds), max_size=len(dataset.all_binds)))
    held = data.draw(st.booleans())
    ends = data.draw(st.booleans())
    it = judged(dataset.id, *days, held=held)
    found = fate(ITRUS, dataset, it, T0, ends=ends)
    if found.disposition is Disposition.TRANSFER:
        assert found.rule.partition("/")[0] in HANDED_OVER and not is_biometric(ITRUS, dataset)
    limits = bounded(tuple(binds(ITRUS, dataset)), Group(clocks=it.clocks, held=held, items=3))
    runs = any((x.floor or x.name == "RS-04/register") and (x.ends is None or x.ends >= T0) for x in limits)
    if runs or held:  # neither a statute nor a hold is ever passed over
        assert not found.disposition.changes_data or found.disposition is Disposition.TRANSFER
    if not runs and not held:
        assert found.disposition not in (Disposition.TRANSFER, Disposition.RETAIN, Disposition.HOLD)


@given(data=st.data())
def test_what_is_packed_is_what_the_preview_says_whether_relations_end_or_not(data: st.DataObject) -> None:
    dataset = data.draw(st.sampled_from(ITRUS.datasets))
    days = data.draw(st.lists(DAYS, min_size=len(dataset.all_binds), max_size=len(dataset.all_binds)))
    it = judged(dataset.id, *days, held=data.draw(st.booleans()))
    of = tuple(binds(ITRUS, dataset))
    why = stays(ITRUS, dataset, of, it.clocks, it.interval, T0, held=it.held)
    for ends in (True, False):
        goes = fate(ITRUS, dataset, it, T0, ends=ends).disposition is Disposition.TRANSFER
        assert goes == (why is None)


@pytest.mark.postgres
def test_a_preview_counts_everything_once_and_changes_nothing(house: House) -> None:
    told = replace(TOLD, t0=T0, custodian=None)
    number = orders.open_order(house.desk, told, as_of=NOW, actor="legal/zhao")
    before = house.sql("SELECT count(*) FROM casebook.shutdown_event")
    there = house.there()
    found = previews.preview(house.desk, number, as_of=NOW)
    lines = {(x.dataset, x.disposition, x.law): (x.items, x.custodian, x.first, x.last) for x in found.lines}
    assert lines == {
        ("a.account", "erase", "PIPL 47"): (1, None, None, None),  # due by itself
        ("a.account", "erase", "policy 5.6(3)"): (9, None, None, None),
        ("u.visit", "transfer", "ESL 24"): (60, "Example CA Co", date(2030, 10, 19), date(2031, 11, 23)),
        ("u.click", "retain", "PIPL 56"): (20, previews.NOBODY, date(2030, 3, 4), date(2030, 3, 4)),
        ("s.ticket", "erase", "CSL 23(3)"): (4, None, None, None),
        ("s.ticket", "retain", "CSL 23(3)"): (4, previews.NOBODY, date(2027, 11, 23), date(2027, 11, 23)),
        ("s.note", "retain", "ESL 24"): (8, previews.NOBODY, date(2030, 10, 20), date(2031, 11, 23)),
    }
    assert found.located == 106 == sum(found.totals.values())
    assert [f.code for f in found.findings] == ["decide", "no_custodian"]
    assert "raw biometrics that a statute keeps" in found.findings[0].what
    assert house.sql("SELECT count(*) FROM casebook.shutdown_event") == before and house.there() == there
    with house.desk.book() as conn:
        kept = previews.kept(conn, number)
    assert kept is not None and kept["totals"] == found.totals and kept == found.body()


@pytest.mark.postgres
def test_a_preview_of_a_service_is_about_its_datasets(house: House) -> None:
    number = orders.open_order(
        house.desk, replace(TOLD, t0=T0, services=("cert",)), as_of=NOW, actor="legal/zhao"
    )
    assert {x.dataset for x in previews.preview(house.desk, number, as_of=NOW).lines} == {"u.visit"}
