"""A partner takes back what it gave us about somebody who is our own customer: on real stores, with every proof."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from include.cases import book, papers, provers, upstream, verbs
from include.cases.notices import outbox
from include.model.times import observed_now
from include.model.words import CaseState, Channel, Disposition, Ground, Requester
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import CATALOGUE, ON, TODAY, House

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PEOPLE = 120
SUPPLIED = "partner.supplied"


@pytest.fixture(scope="module")
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for login in ROLES:
        pg18.add_role(login)
    yield House.made(
        pg18, pg18.fresh_database("case_book", build), empty_moto, tmp_path_factory.mktemp("keys"), PEOPLE
    )


def test_what_a_partner_supplied_goes_and_is_proved_gone_and_nothing_else_is_touched(house: House) -> None:
    account = house.names["ordinary"]
    with house.company() as conn:
        conn.execute(
            "INSERT INTO partner.supplied (account_id, partner, holder_name, reference, received_at)"
            " SELECT %(who)s, x.partner, p.full_name, x.reference, now() FROM account.person p,"
            " (VALUES ('bank', 'B-1'), ('bank', 'B-1'), ('insurer', 'I-1')) AS x (partner, reference)"
            " WHERE p.account_id = %(who)s",
            {"who": account},
        )
        conn.execute(
            "DELETE FROM partner.supplied WHERE account_id = %s AND reference NOT LIKE '_-1'", (account,)
        )
    house._last = None
    before = house.now()
    bank = next(u for u in CATALOGUE.upstream if u.id == "bank")
    request = upstream.receive(house.desk, bank, uuid4(), "B-1", calls_back=False, as_of=TODAY)
    case_no = request.case_no
    assert case_no is not None
    proof = {"method": "written_request_compared", "fields": ["PI-001", "PI-004"]}
    verbs.ask_identity(house.desk, case_no, **proof, **ON)
    verbs.record_identity(house.desk, case_no, outcome="matched", **proof, **ON)
    rehearsal = verbs.rehearse(house.desk, case_no, **ON)
    verbs.approve(house.desk, case_no, approver="reviewer/wang", as_of=TODAY, plan=rehearsal.fingerprint())
    verbs.restrict(house.desk, case_no, **ON)
    assert "nobody is restricted" in provers.prove_restricted(house.desk, case_no, **ON)
    plan = verbs.settle_and_plan(house.desk, case_no, **ON)
    provers.prove_baseline(house.desk, case_no, **ON)
    assert provers.carry_out(house.desk, case_no, **ON) > 0
    provers.prove_gone(house.desk, case_no, **ON)
    provers.prove_undeclared(house.desk, case_no, **ON)
    verbs.balance(house.desk, case_no, **ON)
    verbs.open_backup_track(house.desk, case_no, **ON)
    assert verbs.rest(house.desk, case_no, **ON).state is CaseState.WAITING

    fates = {(x.disposition, x.not_reached): x.items for x in plan.lines_of(SUPPLIED)}
    assert fates == {(Disposition.ERASE, False): 2, (Disposition.RETAIN, True): 1}
    house._last = None
    after = house.now()
    changed = {
        k for k in before.items.keys() | after.items.keys() if before.items.get(k) != after.items.get(k)
    }
    assert len(changed) == 2 and {place for place, _ in changed} == {SUPPLIED}
    assert all("bank" in before.items[k] and k not in after.items for k in changed)
    assert before.logs == after.logs
    with house.desk.book() as conn:
        case = book.case(conn, case_no)
        assert (case.ground, case.requester) == (Ground.ENTRUSTMENT_ENDED, Requester.UPSTREAM)
        assert papers.open_findings(conn, case_no) == [] and outbox.listing(conn, case_no) == []
    own = verbs.open_case(
        house.desk, account, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="support/li", received_at=observed_now(), as_of=TODAY,
    )  # fmt: skip
    assert not own.joined, "our customer is one, and may cancel"
