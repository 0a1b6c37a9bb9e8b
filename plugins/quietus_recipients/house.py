"""The two endpoints' desks over the real rooms. Made at the first message: the certificates that are kept live as long as
this process; what each sender may send is counted in the case book."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from cryptography.x509 import Certificate
from quietus_console.connections import AirflowConnections
from quietus_console.work import desk, today
from quietus_recipients import callback, partners
from quietus_recipients.certificates import Certificates
from quietus_recipients.limits import IN_ALL, Allowance, Allowances

from include.cases import allowances, book, upstream
from include.cases.notices import answering
from include.catalogue import load
from include.model.notices import Answer, Judgement, Pending
from include.model.policy import Recipient, Upstream
from include.recipients.opendsr import OpenDSR
from include.recipients.our_signature import CONNECTION, OurSignature

CALLBACK = "callback"  # the connection with our own address, as recipients reach it


@functools.cache
def for_recipients() -> callback.Desk:
    return callback.Desk(
        recipients=lambda: load().recipients,
        certificates=Certificates(_certificate),
        callback_url=lambda: AirflowConnections().text(CALLBACK),
        take=_take,
        pending=_pending,
        each=Allowances(functools.partial(_spend, "recipient")),
        in_all=_share_of_all(),
    )


def _certificate(recipient: Recipient) -> Certificate:
    channel = OpenDSR(recipient, AirflowConnections().endpoint(f"recipient_{recipient.id}"))
    try:
        return channel.certificate()
    finally:
        channel.close()


def _take(answer: Answer) -> tuple[Judgement, ...]:
    return answering.take(desk(), answer, as_of=today(), actor=f"recipient/{answer.recipient}")


def _pending(said: Pending) -> None:
    answering.pending(desk(), said, as_of=today(), actor=f"recipient/{said.recipient}")


@functools.cache
def for_partners() -> partners.Desk:
    def connection(partner: Upstream) -> Any:
        return AirflowConnections().endpoint(f"upstream_{partner.id}")

    def receive(partner: Upstream, request_id: UUID, reference: str, calls_back: bool) -> upstream.Request:
        return upstream.receive(desk(), partner, request_id, reference, calls_back=calls_back, as_of=today())

    return partners.Desk(
        partners=lambda: load().upstream,
        token=lambda partner: str(connection(partner).secret),
        callback_url=lambda partner: str(connection(partner).url),
        signature=lambda: OurSignature.of(AirflowConnections().text(CONNECTION)),
        receive=receive,
        status=lambda partner, request_id: upstream.status(desk(), partner, request_id),
        cancel=lambda partner, request_id: upstream.cancel(desk(), partner, request_id, as_of=today()),
        each=Allowances(functools.partial(_spend, "partner")),
        in_all=_share_of_all(),
    )


def _spend(kind: str, sender: str, per_second: float, burst: float) -> int:
    with desk().book() as conn, book.deed(conn, sender):
        return allowances.take(conn, f"{kind}/{sender}", per_second=per_second, burst=burst)


def _share_of_all() -> Allowance:
    """This process's share of what is taken from everybody together: the workers of one API server take that, not each."""
    from airflow.configuration import conf

    workers = max(1, conf.getint("api", "workers"))
    return Allowance(IN_ALL[0] / workers, max(1.0, IN_ALL[1] / workers))
