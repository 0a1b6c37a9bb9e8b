"""A night over buckets: what is due goes with every version, marker and upload, and nothing else is touched.

What is due each object's row says, judged by itself in plain Python; the night asks the database about paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from include.cases import planner
from include.cases.retention.asking import Asking
from include.cases.retention.due import see, table
from include.cases.retention.held import HeldPeople
from include.cases.retention.paths_due import PathsDue
from include.cases.retention.stayed import stayed
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.errors import Drifted, Refused, Stopped
from include.model.flow import Plan, Step
from include.model.interval import Standing
from include.model.times import observed_now, prc_date
from include.stores.pieces import Size
from include.stores.s3.clearing import Clearing
from include.stores.s3.server import Patience
from include.stores.shared import STAGED
from tests.cases.retention.test_objects import OBJECTS, Estate, furnished
from tests.conftest import PgServer
from tests.stores.postgres.dated import AS_OF, CATALOGUE, One, Oracle
from tests.stores.s3.world import Server
from tests.stores.sizes import Pieces

pytestmark = pytest.mark.s3
STEP = Step(id="case_000900_s1", case_no="CASE-000900", as_of=AS_OF, restricting=False, subjects=())
PATHS = 24  # of each dataset
FACES = "objects.face_video"
Thing = tuple[str, str, str]  # dataset, key, version or upload id


class Died(BaseException):
    """Stands for a kill: nothing in the product may catch it."""


@pytest.fixture(scope="module")
def company(pg18: PgServer) -> Iterator[tuple[One, Oracle]]:
    one, oracle = furnished(pg18)
    yield one, oracle
    pg18.drop_database(one.name)


@pytest.fixture
def estate(company: tuple[One, Oracle], moto: Any) -> Estate:
    """Buckets of their own beside the company's database, which nobody changes for good."""
    return Estate(*company, Server("moto", moto.endpoint, moto.access_key, moto.secret_key).client(), PATHS)


def night(estate: Estate, held: Callable[[], HeldPeople] = HeldPeople, **more: Any) -> Clearing:
    about = Asking(estate.catalogue, AS_OF, held)
    due = PathsDue(about, estate.one, more.pop("holds", lambda: None))  # type: ignore[arg-type]
    work = "quietus-work-" + estate.bucket(FACES).rsplit("-", 1)[1]
    return Clearing(
        estate.catalogue, "objects", estate.one, about.objects("objects"), due, about.aging, work=work, **more
    )  # type: ignore[arg-type]


def plan_of(clearing: Clearing) -> Plan:
    survey = clearing.locate(STEP)
    return planner.plan(STEP, survey.located, clearing.lines(STEP), CATALOGUE.digest, "test")


def everything(estate: Estate) -> dict[Thing, bytes]:
    """Every version with its bytes, every marker and every upload."""
    found: dict[Thing, bytes] = {}
    for d in OBJECTS:
        bucket = estate.bucket(d.id)
        prefix = d.prefix.partition("{")[0]
        said = estate.client.list_object_versions(Bucket=bucket, Prefix=prefix)
        for v in said.get("Versions", []):
            got = estate.client.get_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])
            found[d.id, v["Key"], v["VersionId"]] = got["Body"].read() + v["ETag"].encode()
        for m in said.get("DeleteMarkers", []):
            found[d.id, m["Key"], m["VersionId"]] = b"marker"
        for u in estate.client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", []):
            found[d.id, u["Key"], u["UploadId"]] = b"upload"
    return found


def due_of(estate: Estate, things: dict[Thing, bytes]) -> set[Thing]:
    """By the row that lends a path its variables."""
    paths = {
        (d.id, d.prefix.format(**row)) for d in OBJECTS for row in estate.rows[d.id]
        if estate.oracle.standing(d, row)[1] is Standing.DUE
    }  # fmt: skip
    return {t for t in things if (t[0], t[1][:-1]) in paths}


def words(clearing: Clearing) -> dict[str, int]:
    found: dict[str, int] = {}
    for receipt in clearing.receipts(STEP):
        for of in receipt.counts.values():
            for word, n in of.items():
                found[word] = found.get(word, 0) + (n if word != "upto" else 0)
    return {word: n for word, n in found.items() if n}


def sizes(clearing: Clearing) -> list[int]:
    """How many items go at a time when each chunk begins, from now on."""
    found: list[int] = []
    clearing.at = lambda here: found.append(clearing.size.items) if here == "clearing.intended" else None
    return found


def due_now(estate: Estate) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in table(see(estate.catalogue, estate.one, AS_OF)):  # type: ignore[arg-type]
        if row.dataset.startswith("objects.") and row.due:
            found[row.dataset] = found.get(row.dataset, 0) + row.due
    return found


def test_everything_due_goes_and_nothing_else_changes(estate: Estate) -> None:
    before = everything(estate)
    due = due_of(estate, before)
    assert {before[t] for t in due} >= {b"marker", b"upload"} and len({t[0] for t in due}) >= 4
    clearing = night(estate, size=Pieces(7))
    plan = plan_of(clearing)
    assert sum(x.items for x in plan.located) == len(due) == sum(due_now(estate).values())
    clearing.dispose(STEP, plan)
    assert everything(estate) == {t: body for t, body in before.items() if t not in due}
    assert clearing.left == {} and due_now(estate) == {}
    assert sum(words(clearing).values()) == len(due) == sum(x.items for x in clearing.settled(STEP).located)
    assert words(clearing).keys() == {"erased", "erased@object_version"}
    receipts, requests = clearing.receipts(STEP), list[str]()
    estate.client.meta.events.register(
        "before-send.s3", lambda request, **_: requests.append(f"{request.method} {request.url}")
    )
    night(estate, size=Pieces(7)).dispose(STEP, plan)
    assert clearing.receipts(STEP) == receipts
    assert not [r for r in requests if "delete" in r or r.startswith("DELETE")], "twice changes nothing"
    with pytest.raises(Refused, match="disposed of already"):
        clearing.locate(STEP)
    clearing.close(STEP)
    assert clearing.begun_under(STEP) == plan.fingerprint(), "the receipts stay"


@pytest.mark.parametrize(("quick", "begins"), [(1_000.0, [1, 2, 4]), (0.0, [4, 2, 1])])
def test_how_many_go_at_a_time_is_learned_from_what_the_last_cost(
    estate: Estate, quick: float, begins: list[int]
) -> None:
    clearing = night(estate, size=Size(begins[0], 1, 1_000, quick))
    learned = sizes(clearing)
    clearing.dispose(STEP, plan_of(clearing))
    assert learned[:3] == begins, learned
    assert due_now(estate) == {}


def test_of_a_server_that_says_it_is_busy_less_is_asked_at_a_time(estate: Estate) -> None:
    clearing = night(estate, size=Size(4, 1, 1_000, 1_000.0), patience=Patience(first=0.001))
    asked: list[dict[str, str]] = []

    def ask(params: dict[str, Any], **_: Any) -> None:
        asked[:] = params["Delete"]["Objects"][:1]

    def answer(parsed: dict[str, Any], **_: Any) -> None:
        if clearing.patience.pauses == 0:
            parsed["Errors"] = [{"Code": "SlowDown", **asked[0]}]

    estate.client.meta.events.register("provide-client-params.s3.DeleteObjects", ask)
    estate.client.meta.events.register("after-call.s3.DeleteObjects", answer)
    learned = sizes(clearing)
    clearing.dispose(STEP, plan_of(clearing))
    assert clearing.patience.pauses == 1 and learned[:3] == [4, 2, 4], learned
    assert due_now(estate) == {}


@pytest.mark.parametrize("point", ["intended", "deleted", "passed", "receipt"])
def test_killed_at_a_named_point_a_run_comes_to_the_same_end(estate: Estate, point: str) -> None:
    before = everything(estate)
    due = due_of(estate, before)
    seen: list[str] = []

    def dies(at: str) -> None:
        seen.append(at)
        if seen.count(f"clearing.{point}") == 2:
            raise Died

    first = night(estate, size=Pieces(7))
    plan = plan_of(first)
    killed = night(estate, size=Pieces(7), at=dies)
    with pytest.raises(Died):
        killed.dispose(STEP, plan)
    assert first.begun_under(STEP) == plan.fingerprint()
    again = night(estate, size=Pieces(7))
    with pytest.raises(Refused, match="disposed of already"):
        again.locate(STEP)
    other = plan.model_copy(update={"code": "other"})
    with pytest.raises(Drifted, match="another plan"):
        again.dispose(STEP, other)
    again.dispose(STEP, plan)
    assert everything(estate) == {t: body for t, body in before.items() if t not in due}
    assert sum(words(again).values()) == len(due) and "not_due" not in words(again), (
        "what went before counts once"
    )
    assert sum(x.items for x in again.settled(STEP).located) == len(due)


def test_killed_in_the_first_chunk_the_night_is_begun(estate: Estate) -> None:
    """There is no receipt yet, and something may be gone: it must not be located anew without that."""

    def dies(at: str) -> None:
        if at == "clearing.intended":
            raise Died

    clearing = night(estate, at=dies)
    plan = plan_of(clearing)
    assert clearing.begun_under(STEP) is None
    with pytest.raises(Died):
        clearing.dispose(STEP, plan)
    assert list(clearing.receipts(STEP)) == [] and clearing.begun_under(STEP) == plan.fingerprint()


def test_a_locked_version_stays_with_the_marker_that_hides_it_and_says_until_when(estate: Estate) -> None:
    bucket = estate.bucket("objects.locked_evidence")
    before = everything(estate)
    mine = sorted(t for t in due_of(estate, before) if t[0] == "objects.locked_evidence")
    version = next(t for t in mine if before[t] not in (b"marker", b"upload"))
    end = observed_now() + timedelta(days=2)
    estate.client.put_object_retention(
        Bucket=bucket, Key=version[1], VersionId=version[2], Retention={"Mode": "GOVERNANCE", "RetainUntilDate": end}
    )  # fmt: skip
    marker = estate.client.delete_object(Bucket=bucket, Key=version[1])["VersionId"]
    clearing = night(estate)
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    left = {t: b for t, b in everything(estate).items() if t in before and t in due_of(estate, before)}
    assert set(left) == {version}
    hidden = {v["VersionId"] for v in estate.client.list_object_versions(Bucket=bucket)["DeleteMarkers"]}
    assert marker in hidden, "without it the version would come to light again"
    assert words(clearing)["locked"] == 2 and clearing.left == {}
    said = stayed(clearing.receipts(STEP))
    assert said["objects.locked_evidence"][0] == 2 == due_now(estate)["objects.locked_evidence"]
    assert prc_date(end).isoformat() in said["objects.locked_evidence"][1]
    located = {(x.dataset, x.copy_kind): x.items for x in plan.located}
    settled = {(x.dataset, x.copy_kind): x.items for x in clearing.settled(STEP).located}
    assert sum(located.values()) - sum(settled.values()) == 2 and located.keys() == settled.keys()
    # Once the lock is over it is taken like anything else.
    estate.client.put_object_retention(
        Bucket=bucket, Key=version[1], VersionId=version[2], BypassGovernanceRetention=True,
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": observed_now() - timedelta(seconds=1)},
    )  # fmt: skip
    after = STEP.model_copy(update={"id": "case_000901_s1"})
    located_again = clearing.locate(after)
    again = planner.plan(after, located_again.located, clearing.lines(after), CATALOGUE.digest, "test")
    clearing.dispose(after, again)
    assert due_now(estate) == {}


def test_whom_a_hold_names_by_now_is_passed_over(estate: Estate) -> None:
    before = everything(estate)
    mine = sorted(t for t in due_of(estate, before) if t[0] == FACES)
    who = mine[0][1].partition("/")[0]
    order = HoldOrder(
        "HOLD-000001", HoldBasis.COURT, "law", Scope(datasets=frozenset({FACES}), subjects=frozenset({"t"}))
    )
    held = [HeldPeople()]
    clearing = night(estate, lambda: held[0], holds=lambda: len(held[0].orders))
    plan = plan_of(clearing)
    held[0] = HeldPeople((order,), {"HOLD-000001": frozenset({who})})
    clearing.dispose(STEP, plan)
    left = {t for t in everything(estate) if t in due_of(estate, before)}
    theirs = {t for t in mine if t[1].startswith(f"{who}/")}
    assert left == theirs and words(clearing)["not_due"] == len(theirs)
    assert stayed(clearing.receipts(STEP)) == {}, "what is held is not said to be left"
    seen = see(estate.catalogue, estate.one, AS_OF, held=held[0])  # type: ignore[arg-type]
    assert {r.dataset: (r.due, r.held) for r in table(seen) if r.dataset.startswith("objects.")} == {
        FACES: (0, len(theirs))
    }


def test_what_changed_or_went_meanwhile_is_passed_over(estate: Estate) -> None:
    before = everything(estate)
    due = due_of(estate, before)
    clearing = night(estate)
    plan = plan_of(clearing)
    changed = sorted(t for t in due if t[0] == "objects.seals")[0]
    ended = "UPDATE account.account SET cancelled_at = %s WHERE account_id = %s RETURNING cancelled_at"
    went = next(t for t in sorted(due) if t[0] == FACES and before[t] not in (b"marker", b"upload"))
    estate.client.delete_object(Bucket=estate.bucket(FACES), Key=went[1], VersionId=went[2])
    with psycopg.connect(estate.one.server.conninfo(estate.one.name), autocommit=True) as conn:
        who = changed[1].split("/")[1]
        (was,) = (
            conn.execute("SELECT cancelled_at FROM account.account WHERE account_id = %s", [who]).fetchone()
            or ()
        )
        conn.execute(ended, [None, who])
        try:
            clearing.dispose(STEP, plan)
        finally:
            conn.execute(ended, [was, who])
    assert changed in everything(estate)
    assert words(clearing)["not_due"] >= 2
    assert sum(words(clearing).values()) == len(due)
    settled = {x.dataset: x.items for x in clearing.settled(STEP).located if x.items and x.dataset == FACES}
    assert settled[FACES] < sum(1 for t in due if t[0] == FACES)


@pytest.mark.parametrize("whole", [False, True])
def test_a_refused_version_is_told_apart_from_a_locked_one(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    before = everything(estate)
    due = due_of(estate, before)
    refused = sorted(t for t in due if t[0] == FACES and before[t] != b"upload")
    original = estate.client.delete_objects

    def refusing(**how: Any) -> Any:
        if how["Bucket"] != estate.bucket(FACES):
            return original(**how)
        if whole:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "m"}}, "DeleteObjects")
        denied = [o | {"Code": "AccessDenied"} for o in how["Delete"]["Objects"]]
        return {"Errors": denied, "ResponseMetadata": {"RequestId": "r"}}

    monkeypatch.setattr(estate.client, "delete_objects", refusing)
    clearing = night(estate)
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    assert {t for t in everything(estate) if t in due} == set(refused)
    n, why = stayed(clearing.receipts(STEP))[FACES]
    assert n == len(refused) == words(clearing)["refused"] == due_now(estate)[FACES]
    assert "lacks the right" in why and "locked" not in why
    assert "locked" not in words(clearing)


def test_a_budget_lets_whole_keys_go_and_says_that_the_rest_waits(estate: Estate) -> None:
    due = due_of(estate, everything(estate))
    left = [9]

    def budget(wanted: int, *_: str) -> int:
        taken = min(wanted, left[0])
        left[0] -= taken
        return taken

    clearing = night(estate, budget=budget, size=Pieces(7))
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    gone = sum(words(clearing).values())
    assert 7 < gone <= 9 and set(clearing.left.values()) == {STAGED}
    assert (
        gone
        == sum(x.items for x in clearing.settled(STEP).located)
        == len(due) - sum(due_now(estate).values())
    )
    left[0] = 0
    none = night(estate, budget=budget)
    after = STEP.model_copy(update={"id": "case_000902_s1"})
    located = none.locate(after)
    planned = planner.plan(after, located.located, none.lines(after), CATALOGUE.digest, "test")
    none.dispose(after, planned)
    assert sum(x.items for x in located.located) == len(due) - gone
    assert sum(x.items for x in none.settled(after).located) == 0, (
        "what was not come to is given up for tonight"
    )
    none.dispose(after, planned)  # and a run that goes on says the same


def test_a_stop_stands_still_between_two_chunks(estate: Estate) -> None:
    due = due_of(estate, everything(estate))
    chunks = []

    def stops() -> None:
        chunks.append(1)
        if len(chunks) == 3:
            raise Stopped("nights are stopped", about="x")

    clearing = night(estate, may_go_on=stops, size=Pieces(7))
    plan = plan_of(clearing)
    with pytest.raises(Stopped):
        clearing.dispose(STEP, plan)
    assert len(clearing.receipts(STEP)) == 2
    night(estate, size=Pieces(7)).dispose(STEP, plan)
    assert due_now(estate) == {} and sum(words(clearing).values()) == len(due)


def test_a_bucket_that_is_not_there_is_left_and_the_rest_goes(estate: Estate) -> None:
    datasets = tuple(
        d.model_copy(update={"address": "no-such-bucket"}) if d.id == FACES else d
        for d in estate.catalogue.datasets
    )
    estate.catalogue = estate.catalogue.model_copy(update={"datasets": datasets})
    about = Asking(estate.catalogue, AS_OF, HeldPeople)
    clearing = Clearing(
        estate.catalogue, "objects", estate.one, about.objects("objects"), PathsDue(about, estate.one), about.aging,  # type: ignore[arg-type]
        work="quietus-work-away",
    )  # fmt: skip
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    assert "bucket does not exist" in clearing.left[FACES] and set(clearing.left) == {FACES}
    assert sum(words(clearing).values()) > 20
    assert due_now(estate) == {}
    clearing.close(STEP)
