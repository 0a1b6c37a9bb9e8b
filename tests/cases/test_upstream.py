"""A partner tells us to delete: what it opens, what it learns, and what it does not."""

from __future__ import annotations

import dataclasses
from unittest.mock import ANY
from uuid import UUID, uuid4

import pytest

from include.cases import became, book, opening, papers, planner, supplied, units, upstream, verbs
from include.cases.keys import FileKeyStore
from include.cases.notices import outbox
from include.cases.upstream import Request
from include.model.errors import CatalogueError, Refused
from include.model.estate import Bound, Column, Supplied
from include.model.notices import AnswerCode
from include.model.policy import Upstream
from include.model.times import observed_now
from include.model.words import CaseState, Channel, Disposition, Ground, Requester
from tests.cases.small import GHOST, GONE, LI, TODAY, WANG, Row, World, catalogue, table, world
from tests.cases.test_verbs import BOSS, carried_out, on, proved

pytestmark = pytest.mark.postgres

BANK = Upstream(id="bank", name="银行", partner="bank", region="CN")
INSURER = Upstream(id="insurer", name="保险", partner="insurer", region="CN")
REFERENCES = {("bank", "b-1"): (LI,), ("bank", "b-2"): (WANG,), ("insurer", "i-1"): (LI,), ("bank", "b-0"): (GONE,),
              ("bank", "b-9"): (LI, WANG)}  # fmt: skip


@pytest.fixture
def w(writer: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> World:
    def accounts(
        catalogue: object, connections: object, partner: Upstream, reference: str
    ) -> tuple[str, ...]:
        return REFERENCES.get((partner.id, reference), ())

    monkeypatch.setattr(supplied, "accounts", accounts)
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def asked(w: World, reference: str, partner: Upstream = BANK, request_id: UUID | None = None) -> Request:
    return upstream.receive(w.desk, partner, request_id or uuid4(), reference, calls_back=True, as_of=TODAY)


def case_of(w: World, request: Request) -> book.Case:
    assert request.case_no is not None
    with w.desk.book() as conn:
        return book.case(conn, request.case_no)


def test_a_request_opens_a_case_that_people_check_and_approve(w: World) -> None:
    request = asked(w, "b-1")
    case = case_of(w, request)
    assert (case.requester, case.state, case.opened_by) == (
        Requester.UPSTREAM,
        CaseState.RECEIVED,
        "upstream/bank",
    )
    assert upstream.status(w.desk, BANK, request.request_id).status == "pending"
    with w.desk.book() as conn:
        assert upstream.without_a_run(conn) == (case.case_no,)
    opening.ask_identity_if_due(w.desk, case.case_no, as_of=TODAY, actor="system/t")
    with w.desk.book() as conn:
        assert upstream.without_a_run(conn) == ()


def test_the_same_request_again_is_the_same_and_its_id_serves_nobody_else(w: World) -> None:
    first = asked(w, "b-1")
    assert asked(w, "b-1", request_id=first.request_id) == first
    with pytest.raises(Refused, match="used before"):
        asked(w, "b-2", request_id=first.request_id)
    assert asked(w, "i-1", INSURER, first.request_id).partner == "insurer", "an id is one partner's"


def test_nothing_can_be_probed(w: World) -> None:
    """Unknown, another partner's, and long gone: all the same."""
    answers = set()
    for reference in ("nobody", "i-1", "b-0", LI):
        request = asked(w, reference)
        assert request.case_no is None
        now = upstream.status(w.desk, BANK, request.request_id)
        answers.add((now.status, now.answers[0].code))
    assert answers == {("completed", AnswerCode.NOTHING_HELD)}
    with w.desk.book() as conn:
        assert book.cases(conn) == []


def test_a_reference_of_two_people_is_nobodys(w: World) -> None:
    with pytest.raises(Refused, match="not one person's"):
        asked(w, "b-9")


def test_another_partner_does_not_see_it(w: World) -> None:
    request = asked(w, "b-1")
    with pytest.raises(Refused, match="no such request"):
        upstream.status(w.desk, INSURER, request.request_id)
    with pytest.raises(Refused, match="no such request"):
        upstream.cancel(w.desk, INSURER, request.request_id, as_of=TODAY)


def test_taken_back_while_pending_the_case_ends_and_nobody_is_asked_for_anything(w: World) -> None:
    request = asked(w, "b-1")
    assert upstream.cancel(w.desk, BANK, request.request_id, as_of=TODAY).status == "cancelled"
    assert case_of(w, request).state is CaseState.ID_FAILED
    assert upstream.cancel(w.desk, BANK, request.request_id, as_of=TODAY).status == "cancelled"
    with w.desk.book() as conn:
        assert upstream.without_a_run(conn) == ()


def test_taken_back_it_leaves_the_persons_own_request_alone(w: World) -> None:
    request = asked(w, "b-1")
    joined = verbs.open_case(
        w.desk, LI, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="support/li", received_at=observed_now(), as_of=TODAY,
    )  # fmt: skip
    upstream.cancel(w.desk, BANK, request.request_id, as_of=TODAY)
    assert case_of(w, request).state is CaseState.ID_FAILED
    with w.desk.book() as conn:
        assert book.case(conn, joined.case_no).state is CaseState.RECEIVED


def test_too_late_it_cannot_be_taken_back(w: World) -> None:
    request = asked(w, "b-1")
    assert request.case_no is not None
    opening.ask_identity_if_due(w.desk, request.case_no, as_of=TODAY, actor="system/t")
    opening.record_identity(
        w.desk, request.case_no, outcome="matched", method="written_request_compared", fields=("PI-001",),
        as_of=TODAY, actor="identity/chen",
    )  # fmt: skip
    assert upstream.status(w.desk, BANK, request.request_id).status == "in_progress"
    with pytest.raises(Refused, match="no longer pending"):
        upstream.cancel(w.desk, BANK, request.request_id, as_of=TODAY)


def test_a_partner_is_told_each_status_once(w: World) -> None:
    known, unknown = asked(w, "b-1"), asked(w, "nobody")
    found = {now.request.request_id: now for now in upstream.to_tell(w.desk, BANK)}
    assert {i: n.status for i, n in found.items()} == {
        known.request_id: "pending",
        unknown.request_id: "completed",
    }
    assert upstream.to_tell(w.desk, INSURER) == ()
    for now in found.values():
        upstream.told(w.desk, now)
    assert upstream.to_tell(w.desk, BANK) == ()
    upstream.cancel(w.desk, BANK, known.request_id, as_of=TODAY)
    assert [n.status for n in upstream.to_tell(w.desk, BANK)] == ["cancelled"]


def test_no_reference_is_kept_in_plain_text(w: World, database: str) -> None:
    import psycopg

    asked(w, "b-1")
    with psycopg.connect(database) as conn:
        # Without its own id, which is random, and may look like anything so short.
        (row,) = conn.execute(
            "SELECT replace(r::text, request_id::text, '') FROM casebook.upstream_request r"
        ).fetchall()
    assert "b-1" not in row[0] and LI not in row[0] and b"b-1".hex() not in row[0]
    assert GHOST not in row[0]


# --- what its request reaches -----------------------------------------------------------------------------


@pytest.fixture
def both(writer: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> World:
    """LI is our own customer; the bank and the insurer gave us something about LI, too."""
    monkeypatch.setattr(
        supplied, "accounts", lambda catalogue, connections, p, ref: REFERENCES.get((p.id, ref), ())
    )
    theirs = table("partner.supplied", "合作方提供", (Bound(rule="RS-01"),), ("PI-001",)).model_copy(
        update={"supplied": Supplied(partner="partner", reference="reference")}
    )
    theirs.columns.update(partner=Column(), reference=Column())
    made = world(
        writer, FileKeyStore(tmp_path / "keys", b"k" * 32),
        lambda: catalogue(datasets=(*catalogue().datasets, theirs), upstream=(BANK, INSURER)),
    )  # fmt: skip
    made.main.rows["partner.supplied"] = {
        1: Row(LI, text="bank"), 2: Row(LI, text="insurer"), 3: Row(LI, text="bank"), 4: Row(WANG, text="bank"),
    }  # fmt: skip
    return made


def finished(w: World, request: Request) -> str:
    case_no = request.case_no
    assert case_no is not None
    opening.ask_identity_if_due(w.desk, case_no, as_of=TODAY, actor="system/t")
    opening.record_identity(
        w.desk, case_no, outcome="matched", method="written_request_compared", fields=("PI-001",), as_of=TODAY,
        actor="identity/chen",
    )  # fmt: skip
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.open_backup_track(w.desk, case_no, **on())
    verbs.rest(w.desk, case_no, **on())
    return case_no


def test_a_partners_request_reaches_what_it_supplied_and_leaves_our_customer_a_customer(both: World) -> None:
    before = {n: dict(rows) for n, rows in both.main.rows.items() if n != "partner.supplied"}
    request = asked(both, "b-1")
    case_no = finished(both, request)
    assert set(both.main.rows["partner.supplied"]) == {2, 4}, "what it gave us of LI, and nothing else"
    assert {n: rows for n, rows in both.main.rows.items() if n != "partner.supplied"} == before
    case = case_of(both, request)
    assert (case.ground, case.state) == (Ground.ENTRUSTMENT_ENDED, CaseState.WAITING)
    with both.desk.book() as conn:
        assert {u.dataset for u in units.of_case(conn, case_no)} == {"partner.supplied"}
        plan = papers.latest_plan(conn, case)
        tombstones = conn.execute("SELECT kind FROM casebook.tombstone").fetchall()
        assert outbox.listing(conn, case_no) == [], "nobody else was given what the bank gave us"
    assert [t["kind"] for t in tombstones] == ["part"], (
        "a restore is replayed, and the customer is not held back"
    )
    fates = {(x.disposition, x.not_reached): x.items for x in plan.lines_of("partner.supplied")}
    assert fates == {(Disposition.ERASE, False): 2, (Disposition.RETAIN, True): 1}
    assert all(
        x.not_reached and x.law == planner.OWN_CONTRACT for x in plan.lines if x.dataset != "partner.supplied"
    )
    known = {"dataset": "account.account", "own": True}
    for language, words in (("en", "none that the request reaches"), ("zh", "不在本次请求范围内")):
        (said,) = became.told(plan, (), both.desk.catalogue, language=language, **known)  # type: ignore[arg-type]
        assert words in said


def test_the_partner_is_told_what_went_and_what_stays_by_our_own_contract(both: World) -> None:
    request = asked(both, "b-1")
    case_no = finished(both, request)
    assert upstream.status(both.desk, BANK, request.request_id).status == "in_progress"
    with both.desk.book() as conn, book.deed(conn, case_no):
        conn.execute("UPDATE casebook.case_ SET told_at = now() WHERE case_no = %s", (case_no,))
    both.backups_expire(TODAY)
    assert verbs.close(both.desk, case_no, **on()).state is CaseState.CLOSED
    now = upstream.status(both.desk, BANK, request.request_id)
    gone, ours = now.answers
    assert (now.status, gone.code, gone.count, gone.categories) == (
        "completed", AnswerCode.DELETED, 2, ("PI-001",),
    )  # fmt: skip
    assert (ours.code, ours.categories, ours.authorisation) == (
        AnswerCode.RETAINED_INDEPENDENT, ("PI-001",), planner.OWN_CONTRACT,
    )  # fmt: skip
    with both.desk.book() as conn:
        first = papers.latest_plan(conn, book.case(conn, case_no))
    woken = first.model_copy(
        update={"lines": tuple(x for x in first.lines if not x.disposition.changes_data)}
    )
    assert upstream._of_plans(both.desk, [first, woken], observed_now()) == (
        gone.model_copy(update={"at": ANY}), ours,
    ), "what an earlier step deleted is told, whatever woke the case later"  # fmt: skip


def test_the_persons_own_request_stands_beside_a_partners_and_takes_nothing_from_it(both: World) -> None:
    request = asked(both, "b-1")
    own = verbs.open_case(
        both.desk, LI, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="support/li", received_at=observed_now(), as_of=TODAY,
    )  # fmt: skip
    assert not own.joined and own.case_no != request.case_no
    assert asked(both, "b-1").case_no == own.case_no, "what reaches everything takes it along"
    assert asked(both, "i-1", INSURER).case_no == own.case_no


def test_two_partners_have_a_case_each_and_one_partner_one(both: World) -> None:
    bank, insurer = asked(both, "b-1"), asked(both, "i-1", INSURER)
    assert bank.case_no != insurer.case_no
    assert asked(both, "b-1").case_no == bank.case_no
    finished(both, insurer)
    assert set(both.main.rows["partner.supplied"]) == {1, 3, 4}


def test_a_partner_that_is_not_declared_any_more_reaches_nothing(both: World) -> None:
    request = asked(both, "b-1")
    gone = dataclasses.replace(both.desk, catalogue=both.desk.catalogue.model_copy(update={"upstream": ()}))
    opening.ask_identity_if_due(gone, request.case_no or "", as_of=TODAY, actor="system/t")
    opening.record_identity(
        gone, request.case_no or "", outcome="matched", method="written_request_compared", fields=("PI-001",),
        as_of=TODAY, actor="identity/chen",
    )  # fmt: skip
    with pytest.raises(CatalogueError, match="not declared"):
        verbs.rehearse(gone, request.case_no or "", **on())


def test_nobody_can_ask_on_that_ground_by_the_form(both: World) -> None:
    assert not Ground.ENTRUSTMENT_ENDED.requestable
    with pytest.raises(Refused, match="only a part"):
        verbs.open_case(
            both.desk, LI, ground=Ground.ENTRUSTMENT_ENDED, channel=Channel.APP, requester=Requester.SELF,
            trigger_user="support/li", received_at=observed_now(), as_of=TODAY,
        )  # fmt: skip
