"""A key never goes while an object that it opens must stay, and goes with its last object."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.cases.part import Part
from include.cases.planner import provide
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.errors import CatalogueError
from include.model.estate import Bound, Column, Dataset, Keys, Link, SealedBy, Start
from include.model.flow import Provision
from include.model.words import DatasetKind, Disposition, Ground
from include.stores.s3.fate import NOT_STARTED, Judge
from include.stores.s3.items import Item
from tests.cases.small import TODAY, catalogue

KEYS = "scan.key"
PEOPLE = ("a", "b")
SERIALS = ("1", "2")
BY_SERIAL = Start(query="ended", on={"serial": "serial"})
ON = {"account_id": "owner", "serial": "number"}
STAYS = (Disposition.RETAIN, Disposition.HOLD)


def keys(*binds: Bound) -> Dataset:
    return Dataset(
        id=KEYS, store="main", kind=DatasetKind.TABLE, title="keys", address=KEYS, key=("key_id",),
        links=(Link(column="owner"),), binds=binds or (Bound(rule="RS-01"),),
        keys=Keys(id="key_id", wrapped="wrapped", kek="kek"),
        columns={"key_id": Column(), "owner": Column(), "number": Column(), "kek": Column(),
                 "wrapped": Column(category="PI-001")},
    )  # fmt: skip


def objects(id_: str, category: str, binds: tuple[Bound, ...]) -> Dataset:
    return Dataset(
        id=id_, store="files", kind=DatasetKind.OBJECTS, title="objects", address=id_.replace(".", "-"),
        prefix="{account_id}/{serial}/", links=(Link(column="account_id"),), binds=binds,
        columns={"account_id": Column(), "serial": Column()}, categories=(category,),
        sealed_by=SealedBy(dataset=KEYS, on=ON),
    )  # fmt: skip


def fate(provision: Provision, started: dict[str, date | str], person: str, serial: str) -> Disposition:
    """What a store gives one item: the order of a hold, a period and the rest is the stores' own."""

    def starts(start: Start) -> dict[tuple[str, ...], date | str]:
        assert list(start.on.values()) == ["serial"]
        return {(s,): when for s, when in started.items()}

    item = Item("version", "k", "v", True, subjects=(PEOPLE.index(person),))
    item.values = {"account_id": person, "owner": person, "serial": serial, "number": serial}
    fate = Judge(provision, TODAY, TODAY, starts).weigh(item).disposition
    assert fate is not None
    return fate


BINDS = st.lists(
    st.sampled_from([Bound(rule="RS-01"), Bound(rule="RS-03", start=BY_SERIAL), Bound(rule="RS-12", start=BY_SERIAL)]),
    min_size=1, unique_by=str,
).map(tuple)  # fmt: skip
STARTED = st.one_of(st.integers(0, 3000).map(lambda days: TODAY - timedelta(days=days)), st.just(NOT_STARTED))
SCOPES = st.builds(
    Scope,
    subjects=st.frozensets(st.sampled_from(PEOPLE)),
    cases=st.frozensets(st.sampled_from(["CASE-000001", "CASE-000002"])),
    categories=st.frozensets(st.sampled_from(["PI-001", "PI-004", "PI-008"])),
    datasets=st.frozensets(st.sampled_from([KEYS, "scan.one", "scan.two"])),
)


PLAIN = (Bound(rule="RS-01"),)
A_HOLD = Scope(subjects=frozenset({"a"}), categories=frozenset({"PI-004"}))


@example(one=PLAIN, two=PLAIN, scopes=[A_HOLD], started={})
@given(
    one=BINDS, two=BINDS, scopes=st.lists(SCOPES, max_size=3),
    started=st.dictionaries(st.sampled_from(SERIALS), STARTED),
)  # fmt: skip
def test_a_key_stays_exactly_as_long_as_something_that_it_opens(one, two, scopes, started) -> None:
    opened = [objects("scan.one", "PI-004", one), objects("scan.two", "PI-008", two)]
    cat = catalogue(datasets=(*catalogue().datasets, keys(), *opened))
    holds = [HoldOrder(f"HOLD-{n:06d}", HoldBasis.COURT, "law", s) for n, s in enumerate(scopes)]
    found = provide(cat, Ground.CANCELLATION, TODAY, case_no="CASE-000001", tokens=PEOPLE, holds=holds)
    assert not found.findings
    by = {p.dataset: p for p in found.provisions}
    for person in PEOPLE:
        for serial in SERIALS:
            objects_stay = any(fate(by[d.id], started, person, serial) in STAYS for d in opened)
            own = any(
                (h := o.held(cat.dataset(KEYS), "CASE-000001", PEOPLE)) is not None
                and PEOPLE.index(person) in h.subject_nos
                for o in holds
            )
            assert (fate(by[KEYS], started, person, serial) in STAYS) == (objects_stay or own)


def test_a_step_that_does_not_reach_all_that_a_key_opens_leaves_the_key() -> None:
    cat = catalogue(datasets=(*catalogue().datasets, keys(), objects("scan.one", "PI-004", (Bound(rule="RS-01"),))))  # fmt: skip

    def provided(**more):
        found = provide(cat, Ground.LIMIT_REACHED, TODAY, case_no="CASE-000001", tokens=PEOPLE, **more)
        return {p.dataset: p for p in found.provisions}

    assert set(provided(datasets=[KEYS, "web.log"])) == {"web.log"}
    assert set(provided(datasets=[KEYS, "scan.one"])) == {KEYS, "scan.one"}
    reached = provided(reach=Part({KEYS: ("owner", "x"), "scan.one": ("account_id", "x")}, "own contract"))
    assert reached[KEYS].reaches is not None and reached[KEYS].reaches.only is None
    for rows in ({KEYS: None}, {"scan.one": None}, {KEYS: None, "scan.one": ("account_id", "x")}):
        left = provided(reach=Part(rows, "own contract"))[KEYS].reaches
        assert left is not None and left.only is None
    goes = provided(reach=Part({KEYS: None, "scan.one": None}, "own contract"))
    assert goes[KEYS].reaches is None and goes["scan.one"].reaches is None, "with all that it opens"
    assert goes["web.log"].reaches is not None


def test_a_period_that_a_key_cannot_know_stops_the_case() -> None:
    by_object = Bound(rule="RS-12", start=Start(column="last_modified"))
    cat = catalogue(datasets=(*catalogue().datasets, keys(), objects("scan.one", "PI-004", (by_object,))))
    with pytest.raises(CatalogueError, match="a period of it starts by what"):
        provide(cat, Ground.CANCELLATION, TODAY, case_no="CASE-000001", tokens=PEOPLE)
