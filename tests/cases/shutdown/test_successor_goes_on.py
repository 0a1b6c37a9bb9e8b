"""What a successor took over goes on with the clocks that came along: its own nights take it on the day that they say, and on no
other, whatever its own rules would say; not under a hold that came, until that is released here; and what came to be stored only
is shown to none of its applications."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from include.cases import holds, planner, releasing, verbs, wiring
from include.cases.accounts import CatalogueAccounts, Standing
from include.cases.keys import FileKeyStore
from include.cases.retention import night as nightly
from include.cases.retention.nights import Night
from include.cases.shutdown import objecting
from include.handover import adopting, forgetting, proving, stages
from include.handover.custody import prepare
from include.handover.receiving import receive
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.words import CaseState, Channel, Ground, LegalRank, Role, Verdict
from tests.cases.conftest import ROLES, build
from tests.cases.retention.house import House
from tests.cases.shutdown.test_closing import T0
from tests.cases.shutdown.two import MARKER, PHOTOS, Ours, Two, client, two
from tests.cases.small import rule
from tests.conftest import PgServer, S3Server
from tests.handover.both import Attesting
from tests.handover.test_whole_way import _emptied
from tests.stores.postgres.making import Company, install, step

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
FIRST, NOTES, LAST = date(2030, 10, 20), date(2030, 10, 21), date(2031, 11, 24)
"""On which the older visits must have gone with their photos, the notes, and all the rest: five years, and a day, after each."""
HELD, OBJECTS = "acct_000000000002", "acct_000000000003"
NEW = 1000
"""A visit of the successor's own."""


@dataclass
class Successor(House):
    """Who took over, with a case book of its own; by its own rule a visit stays one year."""

    objects: Any = None
    two: Two = field(kw_only=True)

    def s3(self, connection: str, role: Role) -> Any:
        assert connection == "photos"
        return self.objects

    def there(self, table: str = "u.visit") -> set[int]:  # type: ignore[override]
        return {int(i) for (i,) in self.company.sql(f"SELECT id FROM {table}")}

    def seen(self, role: str = "shop_app") -> set[int]:
        """Of visits, by an application of its own."""
        return {int(i) for (i,) in self.company.sql("SELECT id FROM u.visit", user=role)}

    def photos(self) -> set[str]:
        return set(self.two.objects(self.two.theirs.objects))

    def tags(self, key: str) -> set[str]:
        """Of its oldest version."""
        version = next(v for v, what in self.two.objects(self.two.theirs.objects)[key] if what != MARKER)
        told = self.objects.get_object_tagging(Bucket=self.two.ours.bucket, Key=key, VersionId=version)
        return {x["Value"] for x in told["TagSet"]}

    def due(self, day: date) -> dict[str, int]:
        found = {r.dataset: r.due for r in nightly.look(self.desk, day).rows}
        return {d: n for d, n in found.items() if n}

    def take(self, day: date) -> Night:
        night = self.night(day)
        if night.waits_for_a_person:
            nightly.approve(self.desk, str(night.case_no), as_of=day, actor="ops/li")
            night = self.night(day)
        return night


def by_its_own(of: Catalogue) -> Catalogue:
    """Another policy than the authority's: what came must not be judged by it."""
    mine = rule("RS-03", "P1Y", "both", LegalRank.LAW, "ESL 24")
    end = rule("RS-28", "P0D", "ceiling", LegalRank.LAW, "PIPL 22")
    return of.model_copy(update={"rules": (*(mine if r.id == "RS-03" else r for r in of.rules), end)})


def before_t0(house: Ours, number: str) -> None:
    """A court holds the visits of one person; another objects to the handover."""
    verbs.open_hold(
        house.desk, basis="court", document_no="(2026) 7", issuing_body="court", law="Civil Procedure Law 67", as_of=T0,
        actor="legal/zhao", account_ids=frozenset({HELD}), datasets=frozenset({"u.visit"}),
    )  # fmt: skip
    at = replace(house.desk, accounts=CatalogueAccounts(house.desk.catalogue, house))
    objecting.object_to(
        at, number, OBJECTS, channel=Channel.APP, method="signed_in_session", fields=("PI-001",), as_of=T0, actor="support/li"
    )  # fmt: skip


@pytest.fixture
def successor(
    new_company: Callable[..., Company], pg18: PgServer, moto: S3Server, empty_moto: S3Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Successor]:  # fmt: skip
    """After it received everything, and before its first night."""
    for role in (*ROLES, "gatekeeper"):
        pg18.add_role(role)
    pg18.add_role("custodian", "BYPASSRLS")
    monkeypatch.setattr(stages, "SignerClient", lambda _: SimpleNamespace(attest=Attesting(tmp_path, "ours")))
    with two(new_company, pg18, moto, empty_moto, tmp_path, before=before_t0) as both:
        conninfo = pg18.conninfo(both.theirs.database)
        catalogue = by_its_own(both.ours.company.catalogue)
        install(conninfo, catalogue, "company")
        prepare(conninfo, catalogue, "company")
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(f"GRANT CREATE ON DATABASE {both.theirs.database} TO eraser".encode())
        for verb in ("pack", "send", "receive", "verify"):
            both.do(verb)
        _emptied(
            client(both.theirs.objects, os.getpid()), "quietus-work"
        )  # of another company's case of the same number
        book = pg18.fresh_database("case_book", build)
        company = Company(
            lambda role: pg18.conninfo(both.theirs.database, role), catalogue, "quietus_admin", {}
        )
        yield Successor(
            company=company, records=lambda role: pg18.conninfo(book, role), keys=FileKeyStore(tmp_path / "theirs", b"s" * 32),
            objects=client(both.theirs.objects, os.getpid()), two=both,
        )  # fmt: skip
        pg18.drop_database(book)


def of(account: str) -> set[int]:
    return {i for i in range(1, 61) if f"acct_{i % 9 + 1:012d}" == account}


OLDER = {i for i in range(1, 61) if i % 2}


def test_nights_at_the_successor_take_what_is_due_by_the_clocks_that_came(successor: Successor) -> None:
    s = successor
    everything, photos = s.there(), s.photos()
    assert everything == set(range(1, 61))
    s.company.sql("INSERT INTO u.visit VALUES (%s, NULL, '2026-11-24', '/')", NEW)

    # By its own rule all of it would have gone years ago: of that only its own visit goes.
    assert s.due(FIRST - DAY) == {"u.visit": 1}
    before = s.take(FIRST - DAY)
    assert s.counts(before) == {"u.visit": {"erased": 1}} and s.there() == everything and s.photos() == photos

    night = s.take(FIRST)
    gone = OLDER - of(HELD)
    assert s.there() == everything - gone, (
        "neither more nor less than the clocks say, and nothing that is held"
    )
    assert s.there("s.note") == set(range(1, 9)), "it is due the day after"
    assert s.photos() == {k for k in photos if int(k.split("/")[1]) % 2 == 0}
    assert s.counts(night)["u.visit"] == {"erased": len(gone)} and s.left(night) == []
    assert s.state(night) is CaseState.WAITING and s.certified[-1] == night.case_no, (
        "proved: it waits for backups alone"
    )
    rows = {(r.rule, r.dataset): r for r in nightly.look(s.desk, FIRST).rows}
    assert rows["RS-03/main", "u.visit"].held == len(OLDER & of(HELD)), "it is told as held"

    assert s.counts(s.take(NOTES)) == {"s.note": {"erased": 7}}, "of which nobody here knows the owners"
    s.take(LAST)
    assert s.there() == of(HELD) and not s.there("s.note") and not s.photos()


def test_a_hold_that_came_holds_until_it_is_released_here(successor: Successor) -> None:
    s = successor
    s.take(FIRST)
    (new,) = adopting.adopt_holds(s.desk, s.two.custody(), s.two.number, actor="legal/lin").values()
    assert not adopting.adopt_holds(s.desk, s.two.custody(), s.two.number, actor="legal/lin"), "once is once"
    with s.desk.book() as conn:
        (held,) = holds.listing(conn)
    assert (held["hold"], held["document_no"], held["opened_on"]) == (new, "(2026) 7", T0)
    assert held["items"] == [f"came Old CA/{s.two.number}/HOLD-000001"] and not held["everybody"]
    s.take(FIRST + DAY)
    assert s.there() & OLDER == OLDER & of(HELD), "adopted, it holds the same and no more"
    releasing.release_hold(s.desk, new, document="(2030) 9", as_of=FIRST + DAY, actor="legal/lin")
    s.take(FIRST + 2 * DAY)
    assert not s.there() & OLDER, "released, it goes by the clock that never stopped"


Fate = tuple[str, str, date | None, str | None]
"""Dataset, disposition, until when, under which hold."""


def plan(s: Successor, day: date) -> Counter[Fate]:
    """What a cancellation of both people would do on a day, in items."""
    with s.desk.book() as conn:
        provided = planner.provide(
            s.desk.catalogue, Ground.CANCELLATION, day, case_no="CASE-000077", tokens=("", ""), holds=holds.orders(conn),
            released=holds.released_of_those_that_came(conn),
        )  # fmt: skip
    assert not provided.findings
    about, stores = step(HELD, OBJECTS, as_of=day), wiring.stores(s.desk.catalogue, s)  # type: ignore[arg-type]
    try:
        for store in stores:
            store.open(about)
            store.survey(about)
        lines = [x for y in stores for x in y.weigh(about, provided.of_store(s.desk.catalogue, y.id))]
    finally:
        for store in stores:
            store.close(about)
    found = Counter[Fate]()
    for x in lines:
        found[x.dataset, x.disposition.value, x.until, x.hold] += x.items
    return +found


def test_a_case_at_the_successor_keeps_what_the_clocks_that_came_keep(successor: Successor) -> None:
    s = successor
    accounts = CatalogueAccounts(s.desk.catalogue, s)
    assert [accounts.standing(x) for x in (HELD, "acct_000000000999")] == [Standing.CAME, Standing.UNKNOWN], (
        "whose files came may ask for a case, though their account did not"
    )
    with pytest.raises(Refused, match="under a hold that is not in our case book"):
        plan(s, FIRST - DAY)
    (hold,) = adopting.adopt_holds(s.desk, s.two.custody(), s.two.number, actor="legal/lin").values()
    old, new = (len(of(OBJECTS) & x) for x in (OLDER, set(range(1, 61)) - OLDER))
    last: dict[Fate, int] = {
        ("u.visit", "hold", None, hold): 7,
        ("u.visit", "retain", LAST - DAY, None): new,
        (PHOTOS, "retain", LAST - DAY, None): 2,  # one, and the marker that hides it
    }
    first: dict[Fate, int] = {
        ("u.visit", "retain", FIRST - DAY, None): old,
        (PHOTOS, "retain", FIRST - DAY, None): 2,  # the first was replaced
    }
    assert plan(s, FIRST - DAY) == last | first, "by its own rule all of it would go"
    gone: dict[Fate, int] = {("u.visit", "erase", None, None): old, (PHOTOS, "erase", None, None): 2}
    assert plan(s, FIRST) == last | gone
    releasing.release_hold(s.desk, hold, document="(2030) 9", as_of=FIRST, actor="legal/lin")
    found = plan(s, FIRST)
    assert {d for _, d, *_ in found} == {"retain", "erase"}
    assert sum(n for (d, *_), n in found.items() if d == "u.visit") == 14, "released, each by its own clock"


def test_what_went_by_its_clock_is_no_difference_and_nothing_is_signed_anew(successor: Successor) -> None:
    s = successor
    s.take(FIRST)
    later = replace(s.two.custody(), today=lambda: FIRST)
    inbox = s.two.inbox()
    got = receive(inbox, later, Attesting(s.two.home, "theirs"), s.two.number)
    signed = {r.bag for r in got.receipts}
    assert not got.refused and all(r.differences.none for r in got.receipts)
    assert got.ended and not signed & got.ended.keys(), "what was signed of these stands"
    assert proving.theirs(inbox, later, lambda *_: None, s.two.number).verdict is Verdict.PASSED
    # What was noted of them leads to somebody, and goes, too; by the digests all is counted as before.
    noted = (
        "SELECT count(*) FROM quietus_handover.item WHERE dataset IN ('u.visit', 'o.photo') AND key <> '{}'"
    )
    (before,) = s.company.sql(noted)[0]
    assert forgetting.forget(s.two.custody(), s.two.number) == 0, "before its time nothing is forgotten"
    done = forgetting.forget(later, s.two.number)
    assert (
        done >= 26
        and s.company.sql(noted) == [(before - done,)]
        and forgetting.forget(later, s.two.number) == 0
    )
    left = "SELECT count(*) FROM quietus_handover.item WHERE path IS NOT NULL OR body LIKE '%acct%'"
    assert s.company.sql(left)[0][0] == sum(len(v) for v in s.two.objects(s.two.theirs.objects).values())
    assert proving.theirs(inbox, later, lambda *_: None, s.two.number).verdict is Verdict.PASSED
    s.company.sql("DELETE FROM u.visit WHERE id = 2")  # nothing let it go
    assert proving.theirs(inbox, later, lambda *_: None, s.two.number).verdict is Verdict.FAILED


def test_what_came_to_be_stored_only_is_shown_to_no_application(successor: Successor) -> None:
    s = successor
    assert s.seen() == s.there() - of(OBJECTS) and len(of(OBJECTS)) == 7
    assert (
        s.company.sql(
            "UPDATE u.visit SET path = '/x' WHERE id = ANY(%s) RETURNING id",
            [*of(OBJECTS)],
            user="shop_batch",
        )
        == []
    )
    assert s.due(FIRST)["u.visit"] == len(OLDER - of(HELD)), "it goes by its clock like all the rest"
    assert PHOTOS in s.due(FIRST)
    marked = {key for key in s.photos() if "restricted" in s.tags(key)}
    assert marked == {key for key in s.photos() if key.startswith(OBJECTS)}, (
        "by which its bucket's policy denies it"
    )
    got = receive(s.two.inbox(), s.two.custody(), Attesting(s.two.home, "theirs"), s.two.number)
    assert all(r.differences.none for r in got.receipts), "a tag of ours is no difference"
