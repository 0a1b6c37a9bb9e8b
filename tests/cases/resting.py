"""A whole cancellation by the verbs, as the promise's DAG has them in order, without Airflow: from the request to its rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from include.cases import provers, verbs
from include.cases.rooms import Desk
from include.model.times import observed_now, prc_date
from include.model.words import Channel, Ground, Requester

ROBOT = "system/airflow"


def on() -> dict[str, Any]:
    return {"as_of": prc_date(observed_now()), "actor": ROBOT}


def opened(at: Desk, account: str) -> str:
    return verbs.open_case(
        at, account, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="support/li", received_at=observed_now(),
    ).case_no  # fmt: skip


def begun_unasked(
    at: Desk, accounts: Sequence[str], verbs_: Sequence[Callable[..., Any]], as_of: date, actor: str
) -> str:
    """A case that we open unasked, of these people, and what is done with it first, in order."""
    case_no = verbs.open_own_initiative(
        at, list(accounts), ground=Ground.MINOR, trigger_user="system/nightly", as_of=as_of
    ).case_no
    for verb in verbs_:
        verb(at, case_no, as_of=as_of, actor=actor)
    return case_no


def rests(at: Desk, account: str) -> str:
    no = opened(at, account)
    proof = {"method": "signed_in_session", "fields": ["PI-001", "PI-004"], **on()}
    verbs.ask_identity(at, no, **proof)
    verbs.record_identity(at, no, outcome="matched", **proof)
    verbs.rehearse(at, no, **on())
    verbs.approve(at, no, approver="approver/wang", as_of=on()["as_of"])
    for verb in (
        verbs.restrict, provers.prove_restricted, verbs.settle_and_plan, provers.prove_baseline, provers.carry_out,
        provers.prove_gone, provers.prove_undeclared, verbs.balance, verbs.open_backup_track, verbs.rest,
    ):  # fmt: skip
        verb(at, no, **on())
    return no
