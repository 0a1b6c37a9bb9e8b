"""What a certificate says, as frozen types. ``verify.py`` reads the same fields without these types.

A :class:`Draft` is what the case knows; :mod:`include.ledger.issue` makes of it two *editions*: the
auditor's shows everything, the person's leaves out confidential holds without a trace (policy 11.4(4),
clause 123: who is under criminal investigation may not learn it from us). Each has its own serial and its
own kind, so that neither tells of what only the other lists.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from include.model.flow import CaseNo, Flow, Located, StepId
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

    ``step`` is the step that gave the items this fate (empty in a person's edition). ``evidence`` are the
    ledger indexes of the step's evidence entries whose checks speak about this dataset, copy and fate: what
    stays can be frozen and hidden (R1), and of what went, checks of what stays prove nothing.
    ``pending`` (interim only): the required rung is not reached yet; a :class:`Pending` track
    "rung" for the same dataset, category and copy says until when. ``rung_reached`` is then what was
    reached so far, or None.

    ``hold`` holds the items themselves; ``kept_for`` is a hold on rows that refer to them, for which they are
    kept too. ``until`` of what was de-identified is the last day of what is left of it, which is personal still (PIPL 73(3)).
    ``confidential``: the hold named is one that the person may not be told of.
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
    confidential: bool = False
    unverified: tuple[UnverifiedRung, ...] = ()
    why: str = ""
    step: str = ""
    kept_for: str | None = None

    @property
    def only_for_a_hold(self) -> bool:
        """Whether nothing but a hold keeps the items: without it they would not be there."""
        held_for = self.disposition is Disposition.RETAIN and self.waits_for == self.kept_for is not None
        return self.disposition is Disposition.HOLD or held_for


class Pending(Flow):
    """Something that is not over: a rung to come, a backup to expire, a recipient to answer."""

    track: Literal["rung", "backups", "recipients", "dates", "holds"]
    dataset: str | None = None
    category: str | None = None
    copy_kind: CopyKind | None = None
    rung: Rung | None = None
    name: str  # of the backup set, the recipient, the rule
    due: date | None
    what: str
    confidential: bool = False  # it names a hold that the person may not be told of


Outcome = Literal["gone", "caught", "retained", "unlinked", "escalated", "open"]


class Told(Flow):
    """A recipient that was told, and where one of its notices stands.

    ``outcome``: gone (its word), caught (its word, and it was found to know the person still), retained, unlinked,
    escalated (silent past its date: whoever is so is given nothing more, since ``stopped_on`` unless that was lifted),
    open. ``law``: what it keeps something on. ``preserved``: it keeps what we told it to, for a hold; never told to the
    person. ``round``: which notice of the case to it; none in the person's edition.
    """

    recipient: str
    name: str
    outcome: Outcome
    round: int | None
    code: str | None = None
    categories: tuple[str, ...] = ()
    told_on: date | None = None
    ended_on: date | None = None
    law: str = ""
    until: date | None = None
    stopped_on: date | None = None
    preserved: bool = False


class Copy(Flow):
    """A backup set of a store in which something was disposed of, and whether what went can still come back from it.

    ``position``: where the store's log stood after the last of it, and after the rewrite if that was asked for; None if it
    has no log. ``gone_on``: the business date of the look that saw nothing reach back any more; ``evidence``: the ledger's
    entries of these looks, one for each night. Until then ``until`` is the last day by what is known, None while that is
    open, and ``because`` says what sets it.
    """

    backup_set: str
    store: str
    position: str | None
    until: date | None
    because: str
    gone_on: date | None = None
    evidence: tuple[EntryIndex, ...] = ()


class Horizon(Flow):
    """The last day on which anything that we know of can bring something back; None while it is open. ``because``: what
    sets it."""

    until: date | None
    because: str


class StepDone(Flow):
    """One step of a case that was carried out, and what must have been looked at for it.

    ``plans``: fingerprints of its plans, the one in force last. ``stores``: those that the plan is about.
    """

    step: StepId
    plans: Annotated[tuple[str, ...], Field(min_length=1)]
    restricting: bool
    stores: tuple[str, ...]


class BalanceLine(Flow):
    """located = erased + deidentified + anonymised + transferred + unlinked + retained + held"""

    dataset: str
    copy_kind: CopyKind
    located: Count
    erased: Count = 0
    deidentified: Count = 0
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
    """What a case hands in for its certificate. ``located`` is the survey's word, not the eraser's;
    ``balance`` counts what the stores' receipts say was done, and what the plan in force says stays.

    ``serial`` counts the certificates of a case, ``person_serial`` the person's editions among them: the same
    serial again is a retry, and must say the same. ``evidence``: the ledger indexes of *all* evidence of the
    case, passed or not; ``rechecks`` of all that says what came of asking recipients again; ``figures`` of the entry
    with how each recipient answers. ``copies``: backup sets. ``rungs``: what the catalogue asks for, by category.
    ``statement`` is the sentence of the policy that this certificate keeps.
    """

    case_no: CaseNo
    ground: Ground
    kind: Kind
    serial: Annotated[int, Field(ge=1)]
    person_serial: Annotated[int, Field(ge=1)] = 1
    catalogue: str
    code: str
    steps: Annotated[tuple[StepDone, ...], Field(min_length=1)]
    rungs: dict[str, Rung]
    evidence: tuple[EntryIndex, ...]
    as_of: date
    observed_at: datetime
    simulated: bool = False  # ``as_of`` is a replayed or imagined date
    statement: str
    located: tuple[Located, ...]
    balance: tuple[BalanceLine, ...]
    groups: tuple[ItemGroup, ...]
    pending: tuple[Pending, ...] = ()
    recipients: tuple[Told, ...] = ()
    rechecks: tuple[EntryIndex, ...] = ()
    figures: EntryIndex | None = None
    copies: tuple[Copy, ...] = ()

    @model_validator(mode="after")
    def _confidential_is_a_hold(self) -> Self:
        for group in self.groups:
            if group.confidential and group.hold is None and group.kept_for is None:
                raise ValueError("only a hold may be confidential")
        if self.observed_at.tzinfo is None:
            raise ValueError("observed_at needs a time zone")
        return self


class Certificate(Flow):
    """The payload that is signed. Its canonical JSON is the certificate's meaning."""

    format: Literal["quietus-certificate/5"] = "quietus-certificate/5"
    case_no: CaseNo
    ground: Ground
    kind: Kind
    edition: Edition
    serial: int
    catalogue: str
    code: str
    steps: tuple[StepDone, ...]
    rungs: EntryIndex
    evidence: tuple[EntryIndex, ...]
    as_of: date
    observed_at: datetime
    simulated: bool
    statement: str
    groups: tuple[ItemGroup, ...]
    balance: tuple[BalanceLine, ...]
    pending: tuple[Pending, ...]
    recipients: tuple[Told, ...]
    rechecks: tuple[EntryIndex, ...]
    figures: EntryIndex | None
    copies: tuple[Copy, ...]
    horizon: Horizon | None
    entries: tuple[IncludedEntry, ...]
    completeness: Completeness
    checkpoint: str
    successions: tuple[str, ...]


# In every certificate of either edition, so that its presence tells nothing.
SCOPE = (
    "This certificate lists every item group whose mention the law permits to its reader; "
    "policy article 11.4 names the cases in which details may not be given."
)
