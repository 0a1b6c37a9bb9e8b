"""What a DAG task or the command line calls. Each takes a :class:`Desk` and a case number first.

In the order of a cancellation: :func:`open_case`, :func:`ask_identity`, :func:`record_identity`,
:func:`rehearse`, :func:`approve` (or :func:`refuse`), :func:`restrict`, :func:`settle_and_plan`,
:func:`dispose`, :func:`record_evidence`, :func:`balance`, :func:`open_backup_track`, :func:`rest`,
:func:`certify`, :func:`told`, :func:`close`. Every one may be called again after a crash.
"""

from include.cases.acting import accept_plan, dispose, restrict, settle_and_plan
from include.cases.certifying import certify
from include.cases.closing import (
    backup_purged,
    close,
    destroy_key,
    escalate_silent,
    open_backup_track,
    open_hold,
    record_answer,
    release_hold,
    reopen,
    rest,
    resume,
    told,
    tombstone,
)
from include.cases.deciding import approve, assess, refuse, rehearse, write_notices
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
from include.cases.rooms import Desk, desk

__all__ = [
    "Desk",
    "Opened",
    "accept_plan",
    "approve",
    "ask_identity",
    "ask_identity_if_due",
    "assess",
    "backup_purged",
    "balance",
    "certify",
    "close",
    "desk",
    "destroy_key",
    "dispose",
    "escalate_silent",
    "expire_identity",
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
    "settle_and_plan",
    "told",
    "tombstone",
    "write_notices",
]
