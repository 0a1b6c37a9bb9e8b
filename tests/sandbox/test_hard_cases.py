"""The hard cases, each by its name, through every verb over both stores: the plan, the book and the bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest

from include.cases import holds
from include.cases.notices import outbox
from include.model.errors import Refused
from include.model.template import Template
from include.model.words import CaseState, DatasetKind, Disposition, Ground, UnitState
from include.sandbox import buckets
from include.sandbox.legal import EVIDENCE, LAW, hold_open_disputes
from include.sandbox.people.cases import ORDER
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import CATALOGUE, TODAY, House, Left, Snapshot

pytestmark = pytest.mark.slow
PEOPLE = 60
IN_FIVE_YEARS = date(2031, 11, 24)
ERASE, DEIDENTIFY, UNLINK, RETAIN = (
    Disposition.ERASE, Disposition.DEIDENTIFY, Disposition.UNLINK, Disposition.RETAIN,
)  # fmt: skip
VETTING = ("ra.application", "ra.id_card", "ra.image", "ra.match_result")


@pytest.fixture(scope="module")
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One company for all: everybody leaves it once, and nobody's leaving may be noticed by the next."""
    for login in ROLES:
        pg18.add_role(login)
    made = House.made(
        pg18, pg18.fresh_database("case_book", build), empty_moto, tmp_path_factory.mktemp("keys"), PEOPLE
    )
    hold_open_disputes(made.desk, as_of=TODAY)
    yield made
    pg18.drop_database(made.places.company)
    pg18.drop_database(made.places.records)


# --- what holds for everybody -------------------------------------------------------------------------

GROUNDS = {"minor_without_consent": Ground.MINOR, "minor_of_16": Ground.MINOR}
BY_THE_BOOK = ("ordinary", "arbitration", "minor_of_16")
"""Who leaves through a case of the book; for the others the stores' verbs are enough."""


STAY = {
    "neighbour": "ordinary", "same_phone_b": "same_phone_a", "recycled_phone_new": "recycled_phone_old",
    "representative": "enterprise", "namesake_b": "namesake_a",
}  # fmt: skip
"""Who is there to be left alone: whoever leaves must not touch them, and the test of the other says so by name."""


def test_every_hard_case_has_a_test_here() -> None:
    assert WHAT_IS_SPECIAL.keys() | STAY.keys() | {"cancelled"} == set(ORDER)
    assert not WHAT_IS_SPECIAL.keys() & STAY.keys()


@pytest.mark.parametrize("name", [n for n in ORDER if n not in STAY and n != "cancelled"])
def test_who_leaves_is_found_whole_and_nobody_else_is_touched(house: House, name: str) -> None:
    left = house.leave(name, GROUNDS.get(name, Ground.CANCELLATION), by_the_book=name in BY_THE_BOOK)

    assert house.strangers_touched(left) == set()
    others_log = {k: v for k, v in left.before.logs.items() if k != left.account}
    assert {k: v for k, v in left.after.logs.items() if k != left.account} == others_log

    located = {x.dataset: x.items for x in left.plan.located}
    had = Counter(place for place, _ in house.of(name, left.before))
    for dataset in CATALOGUE.datasets:
        # Restricting revokes what is live, so the revocation list grows before the survey that counts.
        if dataset.kind is DatasetKind.TABLE and dataset.id != "cert.crl_entry":
            assert located.get(dataset.id, 0) == had[dataset.address], dataset.id

    still = house.of(name, left.after)
    for dataset in CATALOGUE.datasets:
        fates = {x.disposition for x in left.plan.lines_of(dataset.id)}
        if fates == {ERASE} and dataset.kind is DatasetKind.TABLE:
            assert not [i for i in still if i[0] == dataset.address], f"{dataset.id} is still there"
        if fates == {ERASE} and dataset.kind is DatasetKind.OBJECTS:
            match = Template(dataset.prefix).match
            assert not [i for i in still if i[0] == dataset.address and match(i[1][0])], dataset.id
        if fates == {RETAIN} and dataset.kind is DatasetKind.TABLE and dataset.action == "erase":
            assert Counter(p for p, _ in still)[dataset.address] >= had[dataset.address], dataset.id
    WHAT_IS_SPECIAL[name](house, left)


def test_a_stranger_who_is_touched_would_be_seen(house: House) -> None:
    left = house.leave("bare")
    for place in ("account.person", "sign.contract", buckets.FINGERPRINTS, buckets.SEALS):
        item = next(iter(house.of("neighbour", left.after, place)))
        other = dict(left.after.items)
        other[item] += "."
        assert house.strangers_touched(replace(left, after=Snapshot(other, left.after.logs))) == {item}
        del other[item]
        assert house.strangers_touched(replace(left, after=Snapshot(other, left.after.logs))) == {item}


# --- what is special about each -----------------------------------------------------------------------


def untouched(house: House, left: Left, name: str) -> None:
    theirs = house.of(name, left.before)
    assert len(theirs) > 10
    assert not left.changed & theirs.keys()


def fates(left: Left, dataset: str) -> set[Disposition]:
    return {x.disposition for x in left.plan.lines_of(dataset)}


def ordinary(house: House, left: Left) -> None:
    untouched(house, left, "neighbour")
    shared = house.of("cosigner", left.before, "sign.contract", buckets.CONTRACTS)
    assert shared and not left.changed & shared.keys(), "the contract is the other party's too"
    assert left.until("cert.certificate") == {IN_FIVE_YEARS}, "a live chain ends with the account"
    # One application came to nothing: it is kept for no certificate.
    assert left.items("ra.application", RETAIN) == 3 and left.items("ra.application", ERASE) == 1
    assert left.items("objects.face_video", ERASE) > 3, "older versions and the open upload too"
    assert not [i for i in left.after.items if left.after.items[i] == "open upload"]
    told = {t.split(",")[2] for t in house.of("ordinary", left.before, "partner.transfer").values()}
    with house.desk.book() as conn:
        assert {n["recipient"] for n in outbox.listing(conn, left.case_no)} == told
    assert len(told) > 10, "who was given data of hers, and nobody else"


def cosigner(house: House, left: Left) -> None:
    house.leave("ordinary", by_the_book=True)
    ours = house.of("ordinary", left.before, "sign.contract").keys()
    contracts = house.of("cosigner", left.before, "sign.contract").keys()
    both = ours & contracts
    assert both <= left.changed, "the last party leaves, and what the contract says goes"
    for item in both:
        assert "借款" not in left.after.items.get(item, "")


def arbitration(house: House, left: Left) -> None:
    held = {x.dataset for x in left.plan.lines if x.disposition is Disposition.HOLD}
    assert held == EVIDENCE | {"sign.evidence_key"}, "what opens the evidence is held with it"
    for item in house.of("arbitration", left.before):
        if item[0] in EVIDENCE or item[0] in (buckets.CONTRACTS, buckets.LOCKED):
            assert item not in left.changed
    assert not house.of("arbitration", left.after, "account.person", "support.call_record")


def minor(house: House, left: Left) -> None:
    assert fates(left, "account.minor") == {ERASE}
    name = _name(house, left)
    assert not house.of(name, left.after, "account.minor", "account.person")
    # That a guardian consented is proof of what was lawful, and stays with the other consents.
    consent = house.of(name, left.before, "account.guardian_consent")
    assert bool(consent) == (name == "minor_with_consent") and not left.changed & consent.keys()


def chain(house: House, left: Left) -> None:
    for dataset in (*VETTING, "cert.certificate"):
        assert left.until(dataset) == {IN_FIVE_YEARS}, "counted from the end of the last of the chain"
        assert left.items(dataset, RETAIN) >= 4 and fates(left, dataset) == {RETAIN}


def expired_last_month(house: House, left: Left) -> None:
    for dataset in (*VETTING, "cert.certificate"):
        assert left.until(dataset) == {date(2031, 10, 25)}, dataset
        assert left.items(dataset, RETAIN) >= 2


def expired_six_years(house: House, left: Left) -> None:
    for dataset in VETTING:
        assert fates(left, dataset) == {ERASE}, dataset
    assert fates(left, "cert.certificate") == {DEIDENTIFY}
    rows = house.of("expired_six_years", left.after, "cert.certificate").values()
    assert len(rows) == 2 and not [r for r in rows if "CN=" in r or left.account in r]
    for dataset in (
        "cert.certificate",
        "cert.issuance_log",
    ):  # personal still, so there is a day on which it goes
        cut = [x for x in left.plan.lines_of(dataset) if x.disposition is DEIDENTIFY]
        assert cut and all(x.until is not None and x.until > TODAY for x in cut)
        assert all("company period RS-04/register" in x.law for x in cut)


def same_phone_a(house: House, left: Left) -> None:
    untouched(house, left, "same_phone_b")
    ((_, line),) = house.of("same_phone_b", left.after, "account.person").items()
    mobile = line.split(",")[4]
    assert mobile in next(iter(house.of("same_phone_a", left.before, "account.person").values()))


def recycled_phone_old(house: House, left: Left) -> None:
    untouched(house, left, "recycled_phone_new")
    assert fates(left, "account.person_history") == {ERASE}


def enterprise(house: House, left: Left) -> None:
    own = {
        k
        for k in house.of("representative", left.before)
        if k[0] not in ("ent.representative", "ent.access_grant")
    }
    assert len(own) > 10 and not left.changed & own, "what is the representative's as a customer"
    assert not house.of("enterprise", left.after, "ent.enterprise", "ent.representative", "ent.contact")
    applications = house.of("enterprise", left.after, "ra.application")
    assert applications and not left.changed & applications.keys()
    firm = next(iter(house.of("enterprise", left.before, "ent.enterprise").values())).split(",")
    for row in applications.values():
        assert firm[1] in row and firm[2] in row, "the vetting file names the firm when the workspace is gone"


def namesake_a(house: House, left: Left) -> None:
    untouched(house, left, "namesake_b")


def sole_trader(house: House, left: Left) -> None:
    assert fates(left, "ent.enterprise") == fates(left, "account.person") == {ERASE}


def no_certificate(house: House, left: Left) -> None:
    for dataset in VETTING:
        assert fates(left, dataset) == {ERASE}, dataset


def bare(house: House, left: Left) -> None:
    assert {(x.dataset, x.disposition, x.items) for x in left.plan.lines} == {("account.account", ERASE, 1)}


def _name(house: House, left: Left) -> str:
    return next(n for n, account in house.names.items() if account == left.account)


WHAT_IS_SPECIAL: dict[str, Callable[[House, Left], None]] = {
    "ordinary": ordinary, "cosigner": cosigner, "minor_with_consent": minor, "minor_without_consent": minor,
    "minor_of_16": minor, "chain": chain, "expired_last_month": expired_last_month,
    "expired_six_years": expired_six_years, "arbitration": arbitration, "same_phone_a": same_phone_a,
    "recycled_phone_old": recycled_phone_old, "enterprise": enterprise, "namesake_a": namesake_a,
    "sole_trader": sole_trader, "no_certificate": no_certificate, "bare": bare,
}  # fmt: skip


def test_who_left_before_is_refused_and_nothing_changes(house: House) -> None:
    before = house.now()
    with pytest.raises(Refused, match="cancelled already"):
        house.opened("cancelled")
    house._last = None
    assert house.now() == before


# --- somebody who acts for another firm --------------------------------------------------------------


def test_a_customer_who_acts_for_another_firm_leaves_and_the_firm_keeps_its_record(house: House) -> None:
    with house.company() as connection:
        row = connection.execute(
            "SELECT account_id, enterprise_account_id, min(representative_id) FROM ent.representative"
            " WHERE account_id IS NOT NULL AND account_id <> %s GROUP BY 1, 2 ORDER BY 3 LIMIT 1",
            [house.names["representative"]],
        ).fetchone()
    assert row is not None, "nobody of these acts for a firm: take more people"
    house.names |= {"somebody who acts": str(row[0]), "a firm": str(row[1])}
    left = house.leave("somebody who acts")
    assert house.strangers_touched(left) == set()
    assert fates(left, "ent.representative") == {UNLINK}
    acts = house.of("somebody who acts", left.before, "ent.representative")
    for item, text in acts.items():
        assert item in left.changed
        assert left.after.items[item] == text.replace(left.account, ""), "only the link is cut"
    firms = house.of("a firm", left.before)
    assert left.changed & firms.keys() <= acts.keys() | house.of("somebody who acts", left.before).keys()
    assert not left.changed & house.of("a firm", left.before, "ra.application", "ent.enterprise").keys()


# --- an open arbitration ------------------------------------------------------------------------------


def test_what_a_dispute_needs_is_parked_with_its_reason_and_the_rest_proved_gone(house: House) -> None:
    left = house.leave("arbitration", by_the_book=True)
    case, units = house.rest(left)
    held = [u for u in units if u.state is UnitState.HELD]
    assert {u.dataset for u in held} == EVIDENCE | {"sign.evidence_key"}
    assert {(u.hold, u.law) for u in held} == {("HOLD-000001", LAW)}
    assert case.state is CaseState.WAITING, "other items wait for their dates beside them"


def test_disputes_are_held_once_and_a_released_one_stays_released(house: House) -> None:
    with house.desk.book() as conn:
        before = holds.listing(conn, released=True)
        holds.release(conn, before[-1]["hold"], document="award 7", as_of=TODAY, actor="legal/sun")
    assert hold_open_disputes(house.desk, as_of=TODAY) == 0
    with house.desk.book() as conn:
        assert len(holds.listing(conn)) == len(before) - 1
