"""How often a night reads a shared log file, by whom, and how much of it: a budget that must not grow.

What was read of a version is remembered by whoever read it, prover and eraser each for themselves, and versions do not change.
So of a file in which nothing is due nothing is fetched. Of one that is rewritten the eraser fetches what it rewrites, and the
prover what was written after the deed. That a file is gone is told by listings.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.cases import closing, papers
from include.cases.keys import FileKeyStore
from include.cases.retention.due import see, table
from include.cases.retention.held import held_people
from include.cases.retention.nights import Night
from include.cases.retention.readings import remembering
from include.model.errors import NotProved
from include.model.estate import Bound, Start
from include.model.words import LegalRank, Role
from include.proofs.bucket import WORK
from include.stores.s3 import S3Store
from tests.cases.retention import house as houses
from tests.cases.retention.house import DAY, House
from tests.cases.small import rule
from tests.conftest import PgServer, S3Server
from tests.stores.postgres.making import Company
from tests.stores.s3.world import Server, World, jsonl

pytestmark = pytest.mark.s3
LOG = "log.access"
ANNA, BERT = "acct_000000000001", "acct_000000000002"
NEXT = DAY + timedelta(days=1)
YEAR = timedelta(days=365)
Reads = dict[tuple[str, str], int]  # by whom, of which file -> how many times


@dataclass
class Logged(House):
    """The shop with logs in a bucket; every reading of one is counted. ``reads``: (role, key, bytes), in order."""

    world: World = field(kw_only=True)
    reads: list[tuple[str, str, int]] = field(default_factory=list)
    clients: dict[Role, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bucket = self.world.bucket("logs")
        log = self.world.records(self.bucket).model_copy(
            update={"binds": tuple(Bound(rule="RS-13", period=p, start=Start(column="at")) for p in ("main", "register"))}
        )  # fmt: skip
        of = self.company.catalogue
        self.company.catalogue = of.model_copy(
            update={
                "stores": (*of.stores, *self.world.store().catalogue.stores),
                "datasets": (*of.datasets, log),
                "rules": (*of.rules, rule("RS-13", "P6M", "floor", LegalRank.LAW, "CSL 23(3)", register="P12M")),
            }
        )  # fmt: skip
        S3Store(self.company.catalogue, "vault", self).install()  # type: ignore[arg-type]

    def text(self, name: str) -> str:
        return "yes" if name == "sandbox" else super().text(name)

    def s3(self, connection: str, role: Role) -> Any:
        if role not in self.clients:
            self.clients[role] = made = self.world.server.client()

            def sent(params: Any, context: Any, **_: Any) -> None:
                context["asked"] = params

            def answered(parsed: Any, context: Any, **_: Any) -> None:
                asked = context.get("asked", {})
                if asked.get("Bucket") == self.bucket:
                    self.reads.append((role.value, asked["Key"], parsed.get("ContentLength", 0)))

            made.meta.events.register("provide-client-params.s3.GetObject", sent)
            made.meta.events.register("after-call.s3.GetObject", answered)
        return self.clients[role]

    def put(self, key: str, *rows: tuple[str | None, date]) -> None:
        said = [
            {"at": f"{day}T10:00:00+08:00", "account_id": who, "page": f"/{n}"}
            for n, (who, day) in enumerate(rows)
        ]
        self.world.s3.put_object(
            Bucket=self.bucket, Key=f"access/{key}", Body=gzip.compress(jsonl(said), mtime=0)
        )

    def lines(self, key: str) -> int:
        return len(self.world.log(self.bucket, f"access/{key}").splitlines())

    def size(self, key: str) -> int:
        return int(self.world.s3.head_object(Bucket=self.bucket, Key=f"access/{key}")["ContentLength"])

    def read(self) -> Reads:
        """How often each file was read since this was asked last."""
        found: Reads = {}
        for role, key, _ in self.reads:
            of = role, key.removeprefix("access/")
            found[of] = found.get(of, 0) + 1
        self.reads.clear()
        return found


@pytest.fixture
def house(
    new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path, empty_moto: S3Server
) -> Logged:
    s3 = empty_moto.client()
    if WORK in {b["Name"] for b in s3.list_buckets()["Buckets"]}:
        for area in s3.list_objects_v2(Bucket=WORK).get("Contents", []):
            s3.delete_object(Bucket=WORK, Key=area["Key"])  # of another test's night of the same number
    return Logged(
        company=new_company(houses.SHOP, houses.SCHEMA, "reads of logs"),
        records=lambda role: pg18.conninfo(case_book, role), keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
        world=World(Server("moto", empty_moto.endpoint, empty_moto.access_key, empty_moto.secret_key)),
    )  # fmt: skip


def furnished(house: Logged) -> None:
    house.put("still", (ANNA, DAY - timedelta(days=20)))
    house.put(
        "rewritten",
        (ANNA, DAY - YEAR - timedelta(days=2)),
        (BERT, DAY - YEAR),
        (None, DAY - timedelta(days=300)),
    )
    house.put("whole", (ANNA, DAY - YEAR - timedelta(days=40)), (BERT, DAY - YEAR - timedelta(days=40)))


def due(house: Logged, day: date) -> int:
    """As `quietus retention due` asks."""
    desk = house.desk
    seen = see(desk.catalogue, desk.connections, day, held=held_people(desk), once=remembering(desk))
    return sum(row.due for row in table(seen) if row.dataset == LOG)


def remembered(house: Logged) -> dict[str, int]:
    """By whom how many versions are."""
    return dict(house.sql("SELECT role, count(*) FROM casebook.reading GROUP BY 1"))


PROVER, ERASER = "prover", "eraser"


def test_what_a_night_reads_of_logs_stays_within_its_budget(house: Logged) -> None:
    furnished(house)
    sizes = {key: house.size(key) for key in ("still", "rewritten", "whole")}
    first = house.night()
    assert house.counts(first)[LOG] == {"erased": 3}
    written = house.size("rewritten")
    # Nobody knew them: each reads each file once. Beside that the eraser reads what goes, and the prover what was written.
    assert sorted(house.reads) == sorted(
        [(who, f"access/{key}", n) for who in (PROVER, ERASER) for key, n in sizes.items()]
        + [(ERASER, f"access/{key}", sizes[key]) for key in ("rewritten", "whole")]
        + [(PROVER, "access/rewritten", written)]
    )
    house.reads.clear()
    assert remembered(house) == {PROVER: 2, ERASER: 2}, "of what is gone nothing is remembered"

    assert due(house, NEXT) == 1 and house.read() == {}
    second = house.night(NEXT)
    assert house.counts(second)[LOG] == {"erased": 1} and house.lines("rewritten") == 1
    assert sorted(house.reads) == [
        (ERASER, "access/rewritten", written),
        (PROVER, "access/rewritten", house.size("rewritten")),
    ], (
        "of a file in which nothing is due nothing is read; of one that is rewritten both its versions, once each"
    )
    house.reads.clear()

    left = {(ERASER, f"access/{key}", house.size(key)) for key in ("still", "rewritten")}
    gone = house.night(DAY + YEAR)  # of all that is left the time is over
    assert house.counts(gone)[LOG] == {"erased": 2} and set(house.reads) == left and len(house.reads) == 2, (
        "nobody's memory is enough to destroy by; that they are gone listings tell"
    )
    house.reads.clear()
    assert house.world.versions(house.bucket) == [] and remembered(house) == {}
    house.night(DAY + YEAR + timedelta(days=1))
    assert house.read() == {}


def test_of_older_versions_that_hold_what_stays_each_is_read_once_more(house: Logged) -> None:
    old, stays = (ANNA, DAY - YEAR - timedelta(days=2)), (BERT, DAY - timedelta(days=300))
    for n in range(3):
        house.put("grown", *([old, stays] + [stays] * n))
    for who in (PROVER, ERASER):
        assert who not in {role for role, _, _ in house.reads}
    house.night()
    # Once each to know them. Then the eraser looks for what stays of the two older ones in the current one, and rewrites that.
    assert house.read() == {(PROVER, "grown"): 3 + 1, (ERASER, "grown"): 3 + 3 + 1}
    assert [house.lines("grown"), len(house.world.versions(house.bucket))] == [3, 1]


def hold(house: Logged, who: str) -> str:
    return closing.open_hold(
        house.desk, basis="dispute", document_no="D-1", issuing_body="court", law="Arbitration Law 58", as_of=DAY,
        actor="legal/wang", account_ids=frozenset({who}),
    )  # fmt: skip


def test_a_hold_is_another_question_and_all_is_read_anew_once(house: Logged) -> None:
    furnished(house)
    house.begin()  # the prover has read them, and knew of no hold
    hold(house, BERT)
    house.reads.clear()
    house.night()
    assert house.lines("rewritten") == 2 and house.lines("whole") == 1, "what he is named in stays"
    assert house.read()[PROVER, "still"] == 1
    later = DAY + timedelta(days=3)
    house.night(later)
    assert house.lines("rewritten") == 2 and house.read() == {}, "his record is due by now, and held"
    with house.desk.book() as conn:
        said = " ".join(
            str(x) for row in conn.execute("SELECT * FROM casebook.reading").fetchall() for x in row.values()
        )
    assert BERT not in said and ANNA not in said and "access/" not in said


def test_another_code_reads_anew(house: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put("still", (ANNA, DAY - timedelta(days=20)))
    house.night()
    house.night()
    assert house.read() == {(PROVER, "still"): 1, (ERASER, "still"): 1}
    desk = type(house).desk
    monkeypatch.setattr(type(house), "desk", property(lambda self: replace(desk.fget(self), code="newer")))  # type: ignore[attr-defined]
    house.night()
    assert house.read() == {(PROVER, "still"): 1, (ERASER, "still"): 1}


def test_the_prover_does_not_take_the_erasers_word(house: Logged) -> None:
    """What the eraser remembers of a file in which nothing is due is what it read of one that is over."""
    furnished(house)
    house.night()
    house.put("over", (ANNA, DAY - YEAR - timedelta(days=40)))
    before = house.world.versions(house.bucket, "access/still")
    house.sql(
        """UPDATE casebook.reading SET said = replace(said, %s, %s) WHERE role = 'eraser'""",
        (DAY - timedelta(days=20)).isoformat(), (DAY - YEAR - timedelta(days=40)).isoformat(),
    )  # fmt: skip
    with pytest.raises(NotProved):
        house.night()
    assert house.world.versions(house.bucket, "access/still") == before
    assert f"seen.{LOG}@live" in {c.place for c in _findings(house, house.of_last())}
    house.sql("DELETE FROM casebook.reading WHERE role = 'eraser'")
    assert house.counts(house.night())[LOG] == {"erased": 1}


@pytest.mark.parametrize("stays", [1, 2])
def test_what_both_remember_and_is_not_so_is_not_disposed_of_by(house: Logged, stays: int) -> None:
    """Of a file that is to be rewritten, and of one that would go whole."""
    furnished(house)
    house.put("beside", *((ANNA, DAY - timedelta(days=300 - n)) for n in range(stays)))
    house.night()
    before = house.world.versions(house.bucket, "access/beside")
    house.sql(
        "UPDATE casebook.reading SET said = replace(said, %s, %s)",
        (DAY - timedelta(days=300)).isoformat(), (DAY - YEAR - timedelta(days=9)).isoformat(),
    )  # fmt: skip
    house.sql("DELETE FROM casebook.reading WHERE said NOT LIKE %s", f"%{DAY - YEAR - timedelta(days=9)}%")
    with suppress(NotProved):
        house.night(NEXT)
    assert house.world.versions(house.bucket, "access/beside") == before


def _findings(house: Logged, night: Night) -> list[Any]:
    with house.desk.book() as conn:
        rows = papers.in_the_way(conn, str(night.case_no))
    return [SimpleNamespace(**row) for row in rows]
