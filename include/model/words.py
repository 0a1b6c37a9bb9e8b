"""Closed vocabularies. A value that is not here does not exist in code, tables, pages or letters."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Disposition(StrEnum):
    """What must become of one located item. The books balance over exactly these seven.

    What a step cuts is de-identified: nobody measured whether somebody can still be found in it, so it is personal (PIPL 73(3)),
    and has an end of its own. Anonymised is only what was released, measured and attacked (R10, docs/anonymity.md).
    """

    ERASE = "erase"
    DEIDENTIFY = "deidentify"
    ANONYMISE = "anonymise"
    TRANSFER = "transfer"
    UNLINK = "unlink"
    RETAIN = "retain"
    HOLD = "hold"

    @property
    def past(self) -> str:
        """The word for it in a balance or a letter: ``erase`` becomes ``erased``."""
        return {
            "erase": "erased",
            "deidentify": "deidentified",
            "anonymise": "anonymised",
            "transfer": "transferred",
            "unlink": "unlinked",
            "retain": "retained",
            "hold": "held",
        }[self.value]

    @property
    def changes_data(self) -> bool:
        """Whether carrying it out writes to the store (retain and hold leave the item as it is)."""
        return self not in (Disposition.RETAIN, Disposition.HOLD)


class Rung(IntEnum):
    """How gone an item is (docs/ladder.md). Rungs are ordered, but each is proved by itself."""

    R0 = 0  # frozen
    R1 = 1  # hidden
    R2 = 2  # rows gone
    R3 = 3  # MVCC-dead
    R4 = 4  # live bytes gone
    R5 = 5  # WAL gone
    R6 = 6  # backups expired
    R7 = 7  # lock-bound
    R8 = 8  # third party
    R9 = 9  # key destroyed
    R10 = 10  # anonymous
    R11 = 11  # no inference
    R12 = 12  # media


class Verdict(StrEnum):
    """The result of one check. A check that could not be made is never ``passed``."""

    PASSED = "passed"
    FAILED = "failed"
    UNVERIFIED = "unverified"


class StoreKind(StrEnum):
    POSTGRES = "postgres"
    S3 = "s3"


class DatasetKind(StrEnum):
    TABLE = "table"  # rows of one PostgreSQL table (partitions included)
    OBJECTS = "objects"  # objects under one bucket prefix, whole objects belong to a subject
    RECORDS = "records"  # record files (JSONL.gz, Parquet) that mix many subjects


class Ownership(StrEnum):
    """Whose an item is. ``sole``: goes with its subject. ``shared``: goes with its last owner.

    ``access_only``: the subject may see it but it is somebody else's; only the link goes.
    """

    SOLE = "sole"
    SHARED = "shared"
    ACCESS_ONLY = "access_only"


class CopyKind(StrEnum):
    LIVE = "live"
    REPLICA = "replica"
    OBJECT_VERSION = "object_version"
    BACKUP_SET = "backup_set"
    WAL_ARCHIVE = "wal_archive"
    RECIPIENT = "recipient"


class Ground(StrEnum):
    """Why a case exists: policy 1.4, 8.3, 11.2 and PIPL 47 (law.md F5 adds what 11.2 omits)."""

    CANCELLATION = "cancellation"
    WITHDRAWN_CONSENT = "withdrawn_consent"
    UNLAWFUL_PROCESSING = "unlawful_processing"
    NO_CONSENT = "no_consent"
    BREACH_OF_AGREEMENT = "breach_of_agreement"
    SERVICE_ENDED = "service_ended"
    OBJECTION = "objection"
    MINOR = "minor"
    LIMIT_REACHED = "limit_reached"
    PURPOSE_ACHIEVED = "purpose_achieved"
    SHUTDOWN = "shutdown"
    ENTRUSTMENT_ENDED = "entrustment_ended"
    DORMANT = "dormant"

    @property
    def own_initiative(self) -> bool:
        """Grounds that we may act on unasked (law.md E, transition 5). Whether a case was opened so is a fact
        of the case, not of its ground: a minor that somebody reports is a request like any other."""
        return self in (
            Ground.LIMIT_REACHED,
            Ground.PURPOSE_ACHIEVED,
            Ground.MINOR,
            Ground.SHUTDOWN,
            Ground.WITHDRAWN_CONSENT,
            Ground.DORMANT,
        )

    @property
    def whole_person(self) -> bool:
        """Grounds that end the relation, so that everything of the person goes: the same restriction, the same
        disposal. All others reach only a part (one purpose, one service, data that somebody else supplied)."""
        return self in (
            Ground.CANCELLATION,
            Ground.SERVICE_ENDED,
            Ground.MINOR,
            Ground.SHUTDOWN,
            Ground.DORMANT,
        )

    @property
    def requestable(self) -> bool:
        """What a person may ask for today. A ground that reaches only a part cannot be carried out until the part can
        be named, and is refused rather than taken for the whole. What a partner entrusted to us it asks for itself,
        and its part is known (PIPL 21)."""
        return self.whole_person and self not in (Ground.SHUTDOWN, Ground.DORMANT)


class Channel(StrEnum):
    """How a request came in: the five channels of policy 12.2, and our own schedule."""

    APP = "app"
    EMAIL = "email"
    PHONE = "phone"
    LETTER = "letter"
    WEBSITE = "website"
    SCHEDULE = "schedule"

    @property
    def requestable(self) -> bool:
        """Whether a person's request can come in by it."""
        return self is not Channel.SCHEDULE


class Requester(StrEnum):
    SELF = "self"
    GUARDIAN = "guardian"
    HEIR = "heir"
    OBJECTOR = "objector"
    UPSTREAM = "upstream"
    US = "us"

    @property
    def requestable(self) -> bool:
        """Who may ask about an account. An objector has none with us: what somebody else supplied about them
        is a part of that other person's account."""
        return self not in (Requester.US, Requester.OBJECTOR)


class CaseState(StrEnum):
    """A case, rolled up from its units (law.md section E)."""

    RECEIVED = "received"
    ID_PENDING = "id_pending"
    ID_FAILED = "id_failed"
    TRIGGERED = "triggered"
    ASSESSING = "assessing"
    REFUSED = "refused"
    ACTING = "acting"  # at least one unit is being restricted or disposed
    HELD = "held"  # parked: every remaining unit is under a hold
    WAITING = "waiting"  # live work done and proved; backups, recipients or dates pend
    CLOSED = "closed"
    REOPENED = "reopened"


class UnitState(StrEnum):
    """Where one subject x category x dataset x copy stands (law.md section E)."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    HELD = "held"
    LIVE_AGAIN = "live_again"  # left as it is: the consent on which it rests was given again
    DELETING_LIVE = "deleting_live"
    DELETE_FAILED = "delete_failed"
    LIVE_DELETED = "live_deleted"
    DEIDENTIFIED = "deidentified"  # cut: personal still, and gone by a period of its own
    ANONYMISED = "anonymised"
    TRANSFERRED = "transferred"
    BACKUP_PENDING = "backup_pending"
    BACKUP_PURGED = "backup_purged"
    TP_NOTIFIED = "tp_notified"
    TP_ACKED = "tp_acked"
    TP_RETAINED = "tp_retained"
    TP_UNLINKED = "tp_unlinked"
    TP_ESCALATED = "tp_escalated"
    TP_SUPERSEDED = "tp_superseded"  # a later notice of the same case asks for what this one left open


class Role(StrEnum):
    """One database role, one secret, one duty. A step is handed one role's secret and no other."""

    ERASER = "eraser"  # company store: survey, restrict, dispose
    PROVER = "prover"  # company store: read only, sees past row security
    MAINTAINER = "maintainer"  # company database: writes tables anew, in their window
    CASE_WRITER = "case_writer"  # case book: read and write
    LEDGER_WRITER = "ledger_writer"  # ledger: insert into the queue only
    SEQUENCER = "sequencer"  # ledger: assigns indexes, inserts entries
    READER = "reader"  # case book and ledger: read only
    ANCHOR = "anchor"  # the bucket outside: put heads under lock, read them
    JANITOR = (
        "janitor"  # Airflow's metadata and task logs: reads a few columns, deletes what is past its limit
    )
    GATEKEEPER = "gatekeeper"  # company database: takes rights to write at a shutdown, and gives them back
    PLANTER = (
        "planter"  # company store: a schema and buckets of its own each night, and nothing of the company's
    )
    COURIER = "courier"  # the successor's inbox: puts bags, takes receipts
    CUSTODIAN = "custodian"  # as a successor, the company store: puts what is handed over, reads it back


class LegalRank(StrEnum):
    """Only the first three can restrain a deletion (PIPL 47 para. 2, law.md F16)."""

    LAW = "law"
    ADMINISTRATIVE_REGULATION = "administrative_regulation"
    DELEGATED = "delegated"  # a rule made under an express delegation, such as accounting periods
    DEPARTMENTAL_RULE = "departmental_rule"
    STANDARD = "standard"
    CONTRACT = "contract"
    POLICY = "policy"
    COMPANY = "company"

    @property
    def restrains_deletion(self) -> bool:
        return self in (
            LegalRank.LAW,
            LegalRank.ADMINISTRATIVE_REGULATION,
            LegalRank.DELEGATED,
        )
