"""What a policy says, as its catalogue declares it: clauses, categories, rules, recipients, law. Unknown keys are refused."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from include.model.declared import CategoryId, DatasetId, Declared, Ident, Iso8601Period, Region, RuleId
from include.model.times import Counting
from include.model.words import LegalRank, Rung


class NoControl(StrEnum):
    """The closed list of reasons why no system control honours a clause."""

    DEFINITION = "definition"  # the sentence defines or informs, and promises nothing
    HUMAN_PROCEDURE = "human_procedure"  # kept by people: contracts, assessments, supervision
    OTHER_SYSTEM = "other_system"  # kept at collection time by the company's own products
    NEVER_EXPECTED = "never_expected"  # a permission the company does not use


class Clause(Declared):
    """One sentence of the policy, the control that honours it, or why none does."""

    no: int
    art: str
    zh: str
    en: str
    workflows: tuple[str, ...]
    evidence: str
    controls: tuple[str, ...] = ()
    no_control: NoControl | None = None
    reason: str | None = None
    open: str | None = None  # the promise is ours to keep and not kept yet: what is missing


class Category(Declared):
    """A kind of personal data. ``rung`` is how gone it must be when erased (docs/ladder.md)."""

    id: CategoryId
    service: str
    zh: str
    en: str
    sensitive: bool
    sensitivity_note: str = ""
    rules: tuple[RuleId, ...]
    rung: Rung = Rung.R2


class Basis(Declared):
    cite: str  # "ESL 24"
    rank: LegalRank
    text: str = ""  # what it says, in a few words


class Proposal(Declared):
    owner: str | None = None
    approved_on: date | None = None
    until_then: str = "sandbox only"


class Period(Declared):
    """One period of a rule. A ``floor`` must not be undercut, a ``ceiling`` not be exceeded."""

    name: Ident = "main"
    duration: Iso8601Period
    counting: Counting = Counting.CALENDAR
    kind: Literal["floor", "ceiling", "both"]
    basis: tuple[Basis, ...]
    proposal: Proposal | None = None  # no number in law: a company period with an owner
    unbound: str | None = None  # why no dataset and no backup set is bound to it, if the rule has others

    @property
    def restrains_deletion(self) -> bool:
        """True if a statute, not a company wish, forbids disposing before the end (PIPL 47 para. 2)."""
        return (
            self.kind != "ceiling"
            and self.proposal is None
            and any(b.rank.restrains_deletion for b in self.basis)
        )

    @property
    def shortenable(self) -> bool:
        """Whether it says by when data goes, and no statute says it: the company could always keep it shorter, so that to keep it
        longer takes the consent of whom it reaches (clauses 94, 131)."""
        return self.kind != "floor" and not self.restrains_deletion and not self.statutory_end

    @property
    def statutory_end(self) -> bool:
        """Whether a statute demands the end itself. What is ``both`` has its floor from a statute and its ceiling from the
        policy, which promises no more than that."""
        return (
            self.kind == "ceiling"
            and self.proposal is None
            and any(b.rank.restrains_deletion for b in self.basis)
        )


class RetentionRule(Declared):
    """RS-nn: what starts the clock, how long, what happens at the end, what may stay."""

    id: RuleId
    title: str
    starts: str  # in words, as in the schedule
    periods: tuple[Period, ...]
    basis: tuple[Basis, ...]
    at_end: Literal["erase", "deidentify", "unlink", "transfer", "expire"]
    stays: str
    unbound: str | None = None  # why no dataset and no backup set is bound to it

    def floor(self, period: str = "main") -> Period | None:
        """The named period if it restrains deletion, else None."""
        for p in self.periods:
            if p.name == period and p.restrains_deletion:
                return p
        return None


class OwnRecords(Declared):
    """A kind of records that our own machinery makes, and the rule by which it goes. The machinery names the kinds.

    ``after``: the period also runs from the last date by which this rule kept something of the same people.
    """

    id: Ident
    rule: RuleId
    period: Ident = "main"
    after: RuleId | None = None
    what: str


class RecipientRole(StrEnum):
    ENTRUSTED = "P"
    INDEPENDENT = "I"
    MIXED = "P/I"
    LEDGER = "L"


class KnownBy(Declared):
    """A value by which a recipient knows a person beside its own numbers, and where we have it.

    It goes into a notice only if nobody else of ours has the same value: a number that another subject uses is
    notified by the recipient's own numbers alone.
    """

    category: CategoryId
    dataset: DatasetId
    column: str


class Recipient(Declared):
    """Somebody who is given personal data. ``channel``: how it is told; ``information`` and ``ledger`` go by e-mail
    where the connection ``recipient_<id>`` has an address, else by a person.

    ``domain``: whose certificate signs its answers. ``registered``: since when the register of transfers has whatever it
    is given. ``used_when``: datasets of which a row shows that its service was used, for what went out before that;
    ``named_in`` has the column by which such a row names the recipient (by id or name), and then only rows that name it
    count; ``dated_by`` the column that says when. ``per_minute``: notices that it takes.
    ``says``: what its notice says beyond the usual, in the language of the notice. ``ask_again``: how long after an
    answer that it goes on keeping something, without a last day, it is asked whether it still must. No law has a number
    for that: [proposal], as often as a hold of our own is reviewed.
    """

    id: Ident
    row: str
    name: str
    phone: str | None
    service: str
    region: Region  # where it keeps what it is given
    fields: str
    categories: tuple[CategoryId, ...]
    purpose: str
    role: RecipientRole
    channel: Literal["opendsr", "email", "manual", "ledger", "information"]
    notice: str
    says: str = ""
    expected: tuple[str, ...]
    domain: str | None = None
    registered: date | None = None
    used_when: tuple[DatasetId, ...] = ()
    named_in: dict[DatasetId, str] = Field(default_factory=dict)
    dated_by: dict[DatasetId, str] = Field(default_factory=dict)
    known_by: tuple[KnownBy, ...] = ()
    per_minute: int = Field(default=600, gt=0)
    ask_again: Iso8601Period = "P6M"
    names_partners: bool = False  # it passes data on, and is to name to whom


class Upstream(Declared):
    """A partner that gave us data about people, and may tell us to delete it. It shows who it is by the token of the
    connection ``upstream_<id>``, whose address is where its callbacks go; no other address is ever called."""

    id: Ident
    name: str
    partner: str  # as the data it supplied names it
    region: Region


class Keeps(Declared):
    """An article that lets, or makes, somebody keep data. ``article`` is its number, such as "23(3)" or "annex 1".

    ``duration``: how long at most; none: the article names no number. ``binds``: the recipients that it is addressed
    to, and whose data of ours it fits; none: anybody.
    """

    article: Annotated[str, StringConstraints(pattern=r"^(\d+(\(\d+\))?|annex \d+)$")]
    duration: Iso8601Period | None = None
    counting: Counting = Counting.CALENDAR
    binds: tuple[Ident, ...] = ()
    text: str


class Law(Declared):
    """A law, rule, standard or contract that a recipient may cite for keeping what it was told to delete.

    ``names``: how it is cited, in any language. ``keeps``: its articles that count as an answer. ``under``: for one
    that is too weak by itself, the provision above it that would do.
    """

    id: Ident
    title: str
    names: tuple[str, ...]
    rank: LegalRank
    keeps: tuple[Keeps, ...] = ()
    under: str | None = None
