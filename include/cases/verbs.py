"""What a DAG task or the command line calls. Each takes a :class:`Desk` and a case number first.

In the order of a cancellation: :func:`open_case`, :func:`ask_identity`, :func:`record_identity`,
:func:`rehearse`, :func:`approve` (or :func:`refuse`), :func:`restrict`, :func:`settle_and_plan`,
:func:`dispose`, :func:`record_evidence`, :func:`balance`, :func:`open_backup_track`, :func:`rest`,
:func:`certify`, :func:`told`, :func:`close`. Every one may be called again after a crash.
"""

from include.cases.acting import restrict, settle_and_plan
from include.cases.assembling import desk
from include.cases.certifying import certify
from include.cases.closing import (
    close,
    destroy_key,
    open_backup_track,
    open_hold,
    record_answer,
    reopen,
    rest,
    resume,
    sent,
    told,
    tombstone,
)
from include.cases.deciding import accept_plan, approve, assess, refuse, rehearse, write_notices
from include.cases.disposing import dispose
from include.cases.opening import (
    Opened,
    ask_identity,
    ask_identity_if_due,
    expire_identity,
    open_case,
    open_own_initiative,
    record_identity,
)
from include.cases.proving import balance, record_evidence
from include.cases.releasing import narrow_hold, release_hold, review_hold
from include.cases.rooms import Desk

__all__ = [
    "Desk",
    "Opened",
    "accept_plan",
    "approve",
    "ask_identity",
    "ask_identity_if_due",
    "assess",
    "balance",
    "certify",
    "close",
    "desk",
    "destroy_key",
    "dispose",
    "expire_identity",
    "narrow_hold",
    "open_backup_track",
    "open_case",
    "open_hold",
    "open_own_initiative",
    "record_answer",
    "record_evidence",
    "record_identity",
    "refuse",
    "rehearse",
    "release_hold",
    "reopen",
    "rest",
    "restrict",
    "resume",
    "review_hold",
    "sent",
    "settle_and_plan",
    "told",
    "tombstone",
    "write_notices",
]
