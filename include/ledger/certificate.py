"""What a certificate says, as frozen types. ``verify.py`` reads the same fields without these types.

A :class:`Draft` is what the case knows; :mod:`include.ledger.issue` makes of it two *editions*: the
auditor's shows everything, the person's leaves out confidential holds without a trace (policy 11.4(4),
clause 123: who is under criminal investigation may not learn it from us).
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from include.model.flow import CaseNo, Flow, Located
from include.model.words import CopyKind, Disposition, Ground, Rung, Verdict

CategoryOrNone = Annotated[str, StringConstraints(pattern=r"^(PI-\d{3}|none)$")]
Count = Annotated[int, Field(ge=0)]
EntryIndex = Annotated[int, Field(ge=0)]


class Kind(StrEnum):
    INTERIM = "interim"  # the live work is done; something is still pending, and says what
    FINAL = "final"


class Edition(StrEnum):
    PERSON = "person"
    AUDITOR = "auditor"


class UnverifiedRung(Flow):
    """A rung that could not be observed, beyond what the category requires, and why."""

    rung: Rung
    why: str


class ItemGroup(Flow):
    """The items of one dataset x category x copy that had one fate.

    A row that carries three categories is counted in three groups, one per category: so the groups of
    *each* category of a dataset and copy add up to its balance. ``category`` "none" is for what is
    kept or destroyed without being a category of personal data, such as a hosted key.

    ``evidence`` are the ledger indexes of evidence entries of this case, whose checks name this dataset
    and copy. ``pending`` (interim only): the required rung is not reached yet; a :class:`Pending` track
    "rung" for the same dataset, category and copy says until when. ``rung_reached`` is then what was
    reached so far, or None.
    """

    dataset: str
    category: CategoryOrNone
    copy_kind: CopyKind = CopyKind.LIVE
    disposition: Disposition
    items: Annotated[int, Field(ge=1)]
    rung_required: Rung
    rung_reached: Rung | None
    verdict: Verdict
    evidence: tuple[EntryIndex, ...]
    law: str
    until: date | None = None
    waits_for: str | None = None
    hold: str | None = None
    pending: bool = False
    confidential: bool = False  # a hold that the person may not be told of
    unverified: tuple[UnverifiedRung, ...] = ()
    why: str = ""


class Pending(Flow):
    """Something that is not over: a rung to come, a backup to expire, a recipient to answer."""

    track: Literal["rung", "backups", "recipients", "dates"]
    dataset: str | None = None
    category: str | None = None
    copy_kind: CopyKind | None = None
    rung: Rung | None = None
    name: str  # of the backup set, the recipient, the rule
    due: date | None
    what: str


class BalanceLine(Flow):
    """located = erased + anonymised + transferred + unlinked + retained + held"""

    dataset: str
    copy_kind: CopyKind
    located: Count
    erased: Count = 0
    anonymised: Count = 0
    transferred: Count = 0
    unlinked: Count = 0
    retained: Count = 0
    held: Count = 0


class IncludedEntry(Flow):
    """An entry of the ledger with its way to the root of the certificate's checkpoint."""

    index: EntryIndex
    leaf: str  # base64 of the canonical JSON that is hashed
    proof: tuple[str, ...]  # base64, leaf side first


class Completeness(Flow):
    """Which entry fixes this edition's groups and facts, and the salt that opens its commitment."""

    entry: EntryIndex
    salt: str


class Draft(Flow):
    """What a case hands in for its certificate. ``located`` is the survey's word, not the eraser's.

    ``serial`` counts the certificates of a case: the same serial again is a retry, and must say the
    same. ``statement`` is the sentence of the policy that this certificate keeps.
    """

    case_no: CaseNo
    ground: Ground
    kind: Kind
    serial: Annotated[int, Field(ge=1)]
    catalogue: str
    code: str
    plans: tuple[str, ...]  # fingerprints of the plans that were carried out
    as_of: date
    observed_at: datetime
    simulated: bool = False  # ``as_of`` is a replayed or imagined date
    statement: str
    located: tuple[Located, ...]
    groups: tuple[ItemGroup, ...]
    pending: tuple[Pending, ...] = ()

    @model_validator(mode="after")
    def _confidential_is_a_hold(self) -> Self:
        for group in self.groups:
            if group.confidential and group.disposition is not Disposition.HOLD:
                raise ValueError("only a hold may be confidential")
        if self.observed_at.tzinfo is None:
            raise ValueError("observed_at needs a time zone")
        return self


class Certificate(Flow):
    """The payload that is signed. Its canonical JSON is the certificate's meaning."""

    format: Literal["quietus-certificate/1"] = "quietus-certificate/1"
    case_no: CaseNo
    ground: Ground
    kind: Kind
    edition: Edition
    serial: int
    catalogue: str
    code: str
    plans: tuple[str, ...]
    as_of: date
    observed_at: datetime
    simulated: bool
    statement: str
    groups: tuple[ItemGroup, ...]
    balance: tuple[BalanceLine, ...]
    pending: tuple[Pending, ...]
    entries: tuple[IncludedEntry, ...]
    completeness: Completeness
    checkpoint: str
    successions: tuple[str, ...]


# In every certificate of either edition, so that its presence tells nothing.
SCOPE = (
    "This certificate lists every item group whose mention the law permits to its reader; "
    "policy article 11.4 names the cases in which details may not be given."
)
