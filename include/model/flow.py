"""What passes between the five verbs. Frozen, JSON-able, and free of personal values.

Subject ids are opaque account ids; they live in a :class:`Step` in memory and in the company
store's own step area, never in a survey, plan, receipt, evidence or certificate.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from include.model.estate import Cut, Start
from include.model.times import Counting
from include.model.words import CopyKind, Disposition, Rung, Verdict

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
CaseNo = Annotated[str, StringConstraints(pattern=r"^CASE-\d{6,}$")]


class Flow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> bytes:
        """RFC 8785 canonical JSON, the form that is hashed, signed and logged."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    def fingerprint(self) -> str:
        """SHA-256 of the canonical form, in hex."""
        return hashlib.sha256(self.canonical()).hexdigest()


class Step(Flow):
    """One run of the verbs over one cohort. The id names the step area in every store.

    ``restricting``: this step ends the subjects' relation, so live certificates end on ``as_of``. ``since``: the day of the
    case's first step, from which a period runs that starts with the case; None in the first.
    """

    id: StepId
    case_no: CaseNo
    as_of: date
    restricting: bool
    subjects: tuple[str, ...] = Field(repr=False)  # subject_no is the position, from 0
    since: date | None = None

    @property
    def began(self) -> date:
        """When what ends with the case ended: in a case that waits and wakes, long before ``as_of``."""
        return self.since or self.as_of


class Located(Flow):
    """What a survey found in one dataset x copy: how many distinct items, and which (digest of keys)."""

    dataset: str
    copy_kind: CopyKind = CopyKind.LIVE
    items: int
    digest: str  # order-independent digest over item keys; equal digests mean the same items


class Survey(Flow):
    step: StepId
    store: str
    located: tuple[Located, ...]
    observed_at: datetime


class Floor(Flow):
    """A statutory period that forbids disposing before its end, resolved for one dataset."""

    rule: str
    period: str
    duration: str  # ISO 8601
    counting: Counting
    start: Start | None  # None: started by the case itself, on ``as_of``
    law: str  # the citation printed on plan, letter and certificate


class Held(Flow):
    """A hold, resolved to one dataset and to subjects of the cohort. ``came``: of one that came along with items that were taken
    over, its numbers there, each with its order: it holds the items that bear one, whosever they are."""

    hold: str  # the hold's own number, "HOLD-000007"
    subject_nos: tuple[int, ...]
    law: str
    came: tuple[str, ...] = ()


class Reach(Flow):
    """What a step reaches of a dataset: the rows whose column has this value; None: none of it. All else is left as it is,
    by ``law``."""

    only: tuple[str, str] | None
    law: str


NOT_REACHED = "nothing: the request does not reach it"
"""What an item waits for that is not this case's business."""


class Provision(Flow):
    """What the catalogue and the holds provide for one dataset in this step.

    A store applies it to every located item, set-based: a hold first, then the latest floor that
    is not over on ``as_of``, then shared ownership, else the disposition.
    """

    dataset: str
    disposition: Disposition  # ERASE, DEIDENTIFY or UNLINK
    rule: str
    law: str
    floors: tuple[Floor, ...] = ()
    holds: tuple[Held, ...] = ()
    cut: Cut | None = None
    reaches: Reach | None = None  # None: all of it
    ends: Floor | None = None  # until when what is left of a cut row stays; past that the row goes as a whole
    released: tuple[
        str, ...
    ] = ()  # holds that came along with items that were taken over, and hold nothing any more


LAST_OWNER = "its last owner"
OBJECT_LOCK = "Object Lock"
"""The law of what a server will not let go before a day: the copy cannot go, though nothing says that it must stay."""
_ROWS, _NOT_OURS = "rows of ", " that are not this case's"


def others_rows(dataset: str) -> str:
    """What an item waits for that rows of somebody else refer to."""
    return f"{_ROWS}{dataset}{_NOT_OURS}"


class Line(Flow):
    """One line of a plan: a group of items of one dataset x copy with one fate.

    ``until`` is the last day an item must stay; it goes the day after. Of DEIDENTIFY it is the last day of what is left.
    ``until`` of None with RETAIN means the clock has not started (``waits_for`` says for what). ``hold`` holds the items
    themselves; ``kept_for`` is a hold on other rows, for which these must be kept, too.
    """

    dataset: str
    copy_kind: CopyKind = CopyKind.LIVE
    disposition: Disposition
    items: int
    rule: str
    law: str
    until: date | None = None
    waits_for: str | None = None
    hold: str | None = None
    kept_for: str | None = None

    @property
    def only_for_a_hold(self) -> bool:
        """Whether nothing but a hold keeps the items: without it they would go."""
        held_for = self.disposition is Disposition.RETAIN and self.waits_for == self.kept_for is not None
        return self.disposition is Disposition.HOLD or held_for

    @model_serializer(mode="wrap")
    def _as_it_was_fingerprinted(self, said: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Plans were fingerprinted before a line knew ``kept_for``: where it says nothing it is left out."""
        line: dict[str, Any] = said(self)
        if self.kept_for is None:
            line.pop("kept_for", None)
        return line

    @property
    def not_reached(self) -> bool:
        """Whether it is only accounted for: located, and not this case's business."""
        return self.waits_for == NOT_REACHED

    @property
    def waits_for_others(self) -> bool:
        """Whether it stays only for somebody else's sake: it goes once nobody else needs it."""
        waits = self.waits_for or ""
        return waits == LAST_OWNER or (waits.startswith(_ROWS) and waits.endswith(_NOT_OURS))


class Plan(Flow):
    """The document that is previewed, approved, hashed and carried out."""

    step: StepId
    case_no: CaseNo
    as_of: date
    catalogue: str  # digest
    code: str  # version of Quietus
    located: tuple[Located, ...]
    lines: tuple[Line, ...]

    def lines_of(self, dataset: str) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.dataset == dataset)


class Receipt(Flow):
    """What a store did, written in the store with the deed itself. A resumed run reads these first.

    ``counts`` is dataset -> what happened -> items. ``position`` places the deed in the store's own
    history: a transaction id and WAL position, or request ids.
    """

    step: StepId
    store: str
    verb: Literal["restrict", "dispose"]
    chunk: int = 0
    plan: str  # fingerprint
    counts: dict[str, dict[str, int]]
    position: dict[str, str]
    done_at: datetime


class Check(Flow):
    """One thing looked at, by somebody other than the deleter. Counts only, no values.

    ``name`` is stable and names the proof, such as ``gone.account.session`` ; ``why`` says why a
    check failed or could not be made.
    """

    name: str
    dataset: str | None = None
    copy_kind: CopyKind = CopyKind.LIVE
    rung: Rung
    verdict: Verdict
    expected: int | None = None
    observed: int | None = None
    why: str = ""


class Evidence(Flow):
    """The result of one proof of one step, as it goes into the ledger."""

    kind: str  # "baseline", "restricted", "gone", "dragnet", "bystanders", "balance", ...
    step: StepId
    case_no: CaseNo
    store: str | None
    as_of: date
    observed_at: datetime
    plan: str | None  # fingerprint
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """FAILED if any check failed, else UNVERIFIED if any could not be made or none was, else PASSED."""
        verdicts = {c.verdict for c in self.checks}
        if Verdict.FAILED in verdicts:
            return Verdict.FAILED
        if Verdict.UNVERIFIED in verdicts or not self.checks:
            return Verdict.UNVERIFIED
        return Verdict.PASSED


class Finding(Flow):
    """Something that must be settled by a person before a case may go on or close."""

    code: str  # stable: "undeclared_table", "silent_delete", "late_write", ...
    dataset: str | None
    place: str  # "schema.table.column" or "bucket/prefix", never a value
    items: int | None
    what: str
    next_step: str
