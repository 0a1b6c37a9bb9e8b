"""What is declared. Loaded from YAML by ``include.catalogue``; frozen, and rejects unknown keys."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from include.model.times import Counting
from include.model.words import DatasetKind, LegalRank, Ownership, Rung, StoreKind

Ident = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
DatasetId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")]
CategoryId = Annotated[str, StringConstraints(pattern=r"^PI-\d{3}$")]
RuleId = Annotated[str, StringConstraints(pattern=r"^RS-\d{2}$")]
Iso8601Period = Annotated[
    str, StringConstraints(pattern=r"^P(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?)?$")
]


class Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- what the policy says -------------------------------------------------------------------


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

    @property
    def restrains_deletion(self) -> bool:
        """True if a statute, not a company wish, forbids disposing before the end (PIPL 47 para. 2)."""
        return (
            self.kind != "ceiling"
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
    at_end: Literal["erase", "anonymise", "unlink", "transfer", "expire"]
    stays: str
    unbound: str | None = None  # why no dataset and no backup set is bound to it

    def floor(self, period: str = "main") -> Period | None:
        """The named period if it restrains deletion, else None."""
        for p in self.periods:
            if p.name == period and p.restrains_deletion:
                return p
        return None


class RecipientRole(StrEnum):
    ENTRUSTED = "P"
    INDEPENDENT = "I"
    MIXED = "P/I"
    LEDGER = "L"


class Recipient(Declared):
    id: Ident
    row: str
    name: str
    phone: str | None
    service: str
    fields: str
    categories: tuple[CategoryId, ...]
    purpose: str
    role: RecipientRole
    channel: Literal["opendsr", "email", "manual", "ledger", "information"]
    notice: str
    expected: tuple[str, ...]


# --- where the data lives -------------------------------------------------------------------


class StoreDeclared(Declared):
    """A place with its own server. Secrets come from connections, never from here."""

    id: Ident
    kind: StoreKind
    region: str = "CN"
    connection: str  # connection ids are "<connection>_<role>"
    modifiable: bool = True  # false: no quietus schema may be made; restriction is detect-only
    business_roles: tuple[str, ...] = ()  # database roles of the company's own applications
    description: str


class Link(Declared):
    """How an item leads to its subject. Exactly one of ``column`` and ``via``.

    ``column``: this dataset's own column (or record field, or key-template variable) holds the
    account id. ``via``: join ``on`` (my column to theirs) to another dataset, which leads on.
    """

    column: str | None = None
    via: DatasetId | None = None
    on: dict[str, str] = Field(default_factory=dict)
    ownership: Ownership = Ownership.SOLE
    role: str = ""  # "handler", "legal representative", "counter-signer": for explanations


class Start(Declared):
    """Where a rule finds its starting point for a row of this dataset. Exactly one is set.

    ``column``: a date or timestamp column of the row itself.
    ``query``: a named query in ``starting_points/<query>.sql``, joined ``on`` (my column to its).
    A row that the query does not return is not under the rule; a row it returns with a null
    ``started_at`` is under the rule and its clock has not started.
    """

    column: str | None = None
    query: Ident | None = None
    on: dict[str, str] = Field(default_factory=dict)


class Bound(Declared):
    """A rule that binds rows of a dataset."""

    rule: RuleId
    period: Ident = "main"
    start: Start | None = None  # None: the case's own event (cancellation accepted) starts it


class Column(Declared):
    """A mapped column, record field or key variable. No category means: holds no personal data."""

    category: CategoryId | None = None
    categories: tuple[CategoryId, ...] = ()  # free text, documents: several kinds at once
    derived_from: tuple[str, ...] = ()  # "dataset:column" it was computed from
    note: str = ""

    @property
    def all_categories(self) -> tuple[CategoryId, ...]:
        return ((self.category,) if self.category else ()) + self.categories


class Cut(Declared):
    """Anonymise by cutting: these columns are set to these constants; everything else stays."""

    set: dict[str, str | int | bool | None]


class Effect(Declared):
    """A declared side effect of disposing of this dataset's rows, counted per disposed row or whole."""

    table: str  # "schema.table"
    operation: Literal["insert", "update", "delete"]
    per_row: bool = True
    reason: str


class Dataset(Declared):
    """One table, bucket prefix or record file that holds personal data, and how it links to people."""

    id: DatasetId
    store: Ident
    kind: DatasetKind
    title: str
    # TABLE: "schema.table". OBJECTS: "bucket". RECORDS: "bucket".
    address: str
    # TABLE: primary-key columns in order. Empty for objects and records.
    key: tuple[str, ...] = ()
    # OBJECTS: key template such as "id/{account_id}/{application_id}/". RECORDS: prefix such as "access/".
    prefix: str = ""
    format: Literal["jsonl.gz", "parquet"] | None = None  # RECORDS only
    links: tuple[Link, ...]
    binds: tuple[Bound, ...]  # the first is the dataset's own rule; every floor among them applies
    action: Literal["erase", "anonymise", "unlink"] = "erase"
    cut: Cut | None = None  # what to set when the action is anonymise or unlink
    columns: dict[str, Column] = Field(default_factory=dict)
    # OBJECTS: the categories that the objects themselves hold.
    categories: tuple[CategoryId, ...] = ()
    # Rows that other datasets' disposals are declared to touch (triggers, re-aggregation).
    effects: tuple[Effect, ...] = ()
    region: str = "CN"

    @property
    def all_categories(self) -> tuple[CategoryId, ...]:
        """Every category in the dataset, in order of id, without repeats."""
        found = set(self.categories)
        for column in self.columns.values():
            found.update(column.all_categories)
        return tuple(sorted(found))


class NotPersonal(Declared):
    """A table or bucket that a survey may pass over, and why. Lint checks that it still looks so."""

    store: Ident
    address: str
    reason: str
    # Kinds of data that no longer lead to anybody, such as statistics.
    categories: tuple[CategoryId, ...] = ()


class Derived(Declared):
    """A copy that the database keeps of other datasets: a materialised view, refreshed after a disposal."""

    store: Ident
    address: str
    kind: Literal["matview"]
    of: tuple[DatasetId, ...]
    subject_column: str | None = None  # where a prover can look for the subject


class Measure(Declared):
    """What restricting a person means in one store beyond hiding rows: sessions and tokens revoked,
    certificates revoked and on the CRL, hosted keys destroyed with their record.

    ``measures/<id>.sql`` is one statement over the unqualified table ``cohort(subject_no, subject_id)``
    with psycopg parameters ``%(as_of)s`` and ``%(case_no)s``; running it twice changes nothing more.
    ``measures/<id>.proof.sql`` is a SELECT by the prover that returns one row per violation.
    """

    id: Ident
    store: Ident
    title: str
    law: str
    # Datasets in which it makes or changes rows, so that a plan may differ from its rehearsal there.
    touches: tuple[DatasetId, ...] = ()


class BackupSet(Declared):
    id: Ident
    store: Ident
    tool: Literal["basebackup", "pgbackrest", "barman", "dump", "object_versions"]
    location: str
    keep: Iso8601Period
    rule: RuleId = "RS-25"
    description: str


class Control(Declared):
    """An executable identifier that honours clauses: disabling it turns ``test`` red."""

    id: str
    kind: Literal["rule", "step", "suite", "dag", "guard"]
    code: str  # "include.cases.planner:plan": importable, or "dags/x.py"
    test: str  # "tests/…::test_name"
    what: str


_Named = TypeVar("_Named", Category, RetentionRule, StoreDeclared, Dataset)


def _by_id(things: tuple[_Named, ...], id: str) -> _Named:
    for thing in things:
        if thing.id == id:
            return thing
    raise KeyError(id)


class Catalogue(Declared):
    """A whole policy, as loaded. ``digest`` is the SHA-256 of its source files, pinned by plans."""

    name: str
    digest: str
    clauses: tuple[Clause, ...]
    categories: tuple[Category, ...]
    rules: tuple[RetentionRule, ...]
    recipients: tuple[Recipient, ...]
    stores: tuple[StoreDeclared, ...]
    datasets: tuple[Dataset, ...]
    not_personal: tuple[NotPersonal, ...]
    derived: tuple[Derived, ...] = ()
    backups: tuple[BackupSet, ...]
    measures: tuple[Measure, ...]
    measure_sql: dict[str, str]  # "<id>" and "<id>.proof" -> SQL text
    controls: tuple[Control, ...]
    starting_points: dict[str, str]  # name -> SQL text; contract in docs/catalogue.md

    def dataset(self, id: str) -> Dataset:
        """The dataset with this id. Raises KeyError."""
        return _by_id(self.datasets, id)

    def rule(self, id: str) -> RetentionRule:
        return _by_id(self.rules, id)

    def category(self, id: str) -> Category:
        return _by_id(self.categories, id)

    def store(self, id: str) -> StoreDeclared:
        return _by_id(self.stores, id)

    def of_store(self, store: str, *kinds: DatasetKind) -> tuple[Dataset, ...]:
        """The datasets of one store, of these kinds (all kinds if none is named), in declared order."""
        return tuple(d for d in self.datasets if d.store == store and (not kinds or d.kind in kinds))
