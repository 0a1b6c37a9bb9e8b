"""Where the data lives, as a catalogue declares it: stores, datasets with their links and limits, what is derived, backups."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from include.model.declared import CategoryId, DatasetId, Declared, Ident, Iso8601Period, Region, RuleId, Size
from include.model.words import DatasetKind, Ownership, StoreKind


class PastRestriction(Declared):
    """A database role that must read everything, restricted or not (it makes backups, say), and why.

    It stays a hole in the restriction: what it can read is never claimed to be hidden."""

    role: str
    reason: str


class Maintenance(Declared):
    """When and how far a database's tables may be written anew, which rids their files of what was deleted.

    ``window``: from and to, Beijing time; it may pass midnight. ``rewrite_limit``: a table that is larger, with its indexes,
    is left. ``head_room``: how much of the disk the company keeps free for this; a table that is larger is left, too.
    """

    window: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$")
    rewrite_limit: Size
    head_room: Size

    @property
    def most(self) -> int:
        """Bytes of the largest table that may be written anew."""
        return min(size_in_bytes(self.rewrite_limit), size_in_bytes(self.head_room))


def size_in_bytes(size: Size) -> int:
    """``20 GB`` as a number of bytes; a unit is 1024 of the one below."""
    number, unit = size.split()
    return int(number) << {"MB": 20, "GB": 30, "TB": 40}[unit]


class StoreDeclared(Declared):
    """A place with its own server. Secrets come from connections, never from here."""

    id: Ident
    kind: StoreKind
    region: Region
    connection: str  # connection ids are "<connection>_<role>"
    modifiable: bool = True  # false: no quietus schema may be made; restriction is detect-only
    business_roles: tuple[str, ...] = ()  # database roles of the company's own applications
    past_restriction: tuple[PastRestriction, ...] = ()
    maintenance: Maintenance | None = None  # None: no table is written anew
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
    # Rules that also bind it, whose statutory period this one waits for: a collision of two statutes that was decided.
    gives_way: tuple[RuleId, ...] = ()


class Column(Declared):
    """A mapped column, record field or key variable. No category means: holds no personal data."""

    category: CategoryId | None = None
    categories: tuple[CategoryId, ...] = ()  # free text, documents: several kinds at once
    derived_from: tuple[str, ...] = ()  # "dataset:column" it was computed from
    # What of the row's own person or company it names whoever has the row. A number that is given to somebody else one
    # day (a phone) never names alone.
    identifies: Literal["document", "credit_code", "phone"] | None = None

    @property
    def all_categories(self) -> tuple[CategoryId, ...]:
        return ((self.category,) if self.category else ()) + self.categories


class Cut(Declared):
    """De-identify by cutting: these columns are set to these constants; everything else stays.

    ``ends``: the bind by which what is left goes, counted from a date of the row's own, for nobody's account leads to it any
    more. Of a dataset whose action is erase a cut row has none: it goes with the last row that needs it.
    """

    set: dict[str, str | int | bool | None]
    ends: Bound | None = None


class Part(Declared):
    """Columns of a row that fall due by themselves, while the row stays: they are set to these constants (GB/T 35273 8.5 e).

    Laws that keep the row keep them, too, until their last day. Nights and runs by the minute work on a part as on a dataset
    of its own, whose items are the columns of one row; no other room knows it.
    """

    id: Ident
    title: str
    set: dict[str, str | int | bool | None]
    binds: tuple[Bound, ...]


class Effect(Declared):
    """A declared side effect of disposing of this dataset's rows, counted per disposed row or whole."""

    table: str  # "schema.table"
    operation: Literal["insert", "update", "delete"]
    per_row: bool = True
    reason: str


class Dormancy(Declared):
    """That an account which nobody uses comes to an end by a company period of the table's own rule, once its holder was told."""

    period: str
    last_use: (
        str  # the starting point that says when each was used last; null: it is in use, whatever the day
    )
    noticed: str  # the column that is set when its holder was told
    notice: Iso8601Period  # how long the holder has from then on


class Reached(Declared):
    """That a column has the e-mail address at which an account's holder is told."""

    dataset: DatasetId
    column: str


class Guarded(Declared):
    """That a row of a table says that an account's holder has a guardian. ``column``: the guardian's e-mail address; None: nobody
    collects one, and guardians are told by the announcement."""

    dataset: DatasetId
    column: str | None = None


class Accounts(Declared):
    """That the rows of a table *are* the accounts, by whose id every case begins. ``reached``: where their holders' addresses
    are; the first that has one counts. Whoever has none is told by the announcement. ``guarded``: of whom a guardian is told,
    too. ``accepted``: the column with the version of the policy that the holder accepted last, as in ``versions.yaml``."""

    ended: str | None = None  # the column that is set once the account is cancelled
    began: str | None = None  # the column that says since when it is there
    accepted: str | None = None
    dormancy: Dormancy | None = None
    reached: tuple[Reached, ...] = ()
    guarded: Guarded | None = None


class Transfers(Declared):
    """That a table is the register of what was given to whom."""

    recipient: str  # the column with the recipient's id, as in recipients.yaml
    reference: str | None = None  # the recipient's own number for it
    fields: str | None = None  # what was given


class Supplied(Declared):
    """That a table says which partner supplied data about whom, and by which of the partner's own numbers."""

    partner: str  # the column with the partner, as in upstream.yaml
    reference: str


class Consents(Declared):
    """That a table says who consented, and when."""

    given: str  # the column with the moment
    purpose: str | None = None  # the column that says what for
    withdrawn: str | None = None  # the column with the moment at which it was taken back; null: it stands
    # The column with the version of the policy under which it was given. It is evidence, and moves no period: whose periods
    # are whose says `accounts.accepted` alone, which whoever goes back to an older version changes, too.
    version: str | None = None


class Digested(Declared):
    """A column with the digest of an original."""

    dataset: DatasetId
    column: str


class Anchored(Declared):
    """That a row's ``hash`` stands on a chain for ever: SHA-256 over the text of ``salt`` and an original's digest.

    Unlinked means that nothing we keep gives that hash again: neither this salt nor any other, nor none, with any
    digest that we still have of the person's originals.
    """

    hash: str
    salt: str
    of: tuple[Digested, ...]


class Keys(Declared):
    """That each row of a table is a data key, wrapped by a key-encryption key (``include.model.sealed``).

    ``id``: the column with the number that the objects name (uuid); ``wrapped``: the key (bytea); ``kek``: the name of the
    key-encryption key that wrapped it.
    """

    id: str
    wrapped: str
    kek: str


class SealedBy(Declared):
    """That the objects of a dataset are sealed with keys of another: once a key's row is gone, every copy of what it opens
    is noise. ``on``: variables of the path to columns of the key's row, by which an object finds its key."""

    dataset: DatasetId
    on: dict[str, str]


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
    action: Literal["erase", "deidentify", "unlink"] = "erase"
    cut: Cut | None = None  # what to set when the action is deidentify or unlink
    columns: dict[str, Column] = Field(default_factory=dict)
    # OBJECTS: the categories that the objects themselves hold.
    categories: tuple[CategoryId, ...] = ()
    # What it is to the company, besides a place with data: one table is its accounts, one may be its register.
    accounts: Accounts | None = None
    transfers: Transfers | None = None
    anchored: Anchored | None = None
    supplied: Supplied | None = None
    consents: Consents | None = None
    keys: Keys | None = None
    sealed_by: SealedBy | None = None  # OBJECTS only
    # The purpose whose consent alone it rests on, as the table of consents names it: without that it may not be kept.
    rests_on: str | None = None
    # Rows that other datasets' disposals are declared to touch (triggers, re-aggregation).
    effects: tuple[Effect, ...] = ()
    parts: tuple[Part, ...] = ()  # TABLE only
    part_of: DatasetId | None = None  # never declared: the dataset whose columns these are

    @property
    def whole(self) -> DatasetId:
        """The dataset that is declared: itself, or what it is a part of."""
        return self.part_of or self.id

    @property
    def every_bind(self) -> tuple[Bound, ...]:
        """Its binds, those of what is left of its cut rows, and those of its parts."""
        return (*self.all_binds, *(b for part in self.parts for b in part.binds))

    @property
    def all_binds(self) -> tuple[Bound, ...]:
        """Its binds, and that of what is left of its cut rows."""
        return (*self.binds, *((self.cut.ends,) if self.cut and self.cut.ends else ()))

    @property
    def sole_owner(self) -> str | None:
        """The column that names the one owner of each item; None if others own it, too, or it is found by way of another."""
        owning = [link for link in self.links if link.ownership is not Ownership.ACCESS_ONLY]
        return owning[0].column if len(owning) == 1 and owning[0].ownership is Ownership.SOLE else None

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
    columns: tuple[str, ...] = ()  # of a table: all of them, so that one which comes later is noticed
    # Kinds of data that no longer lead to anybody, such as statistics.
    categories: tuple[CategoryId, ...] = ()
    # Columns that count people, and how many a row counts at least: counted again every year (RS-27).
    at_least: dict[str, Annotated[int, Field(ge=2)]] = Field(default_factory=dict)


class Excepted(Declared):
    """A category that one dataset keeps under a rule which is none of the category's own, and why that is right.

    ``law``: why a statutory period among the category's own rules does not reach this copy. Lint asks for it
    wherever there is such a period, so that nobody loses a floor by an exception.
    """

    dataset: DatasetId
    category: CategoryId
    rule: RuleId  # one that binds the dataset
    reason: str
    law: str | None = None


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
    tool: Literal["basebackup", "pgbackrest", "barman", "dump", "object_versions", "own_log"]
    region: Region
    location: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]*$")]  # a directory or a bucket
    archive: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]*$")] | None = (
        None  # of base backups: where below their directory the server archives its log
    )
    keep: Iso8601Period
    rule: RuleId = "RS-25"
    period: Ident = "main"
    # Of its chains (a full copy and what leans on it), the share that may be expired at one time without a word from ops.
    at_most: Annotated[float, Field(gt=0, le=1)] = 0.5
    replica: bool = False  # of object versions: another bucket than the store's own, to which what is written there is copied
    hold: str | None = None  # an order by which nothing of it is expired: by whom, since when
    description: str

    @property
    def restored(self) -> bool:
        """Whether its copies are let go and restored one by one: a bucket's versions and a server's own log are not."""
        return self.tool not in ("object_versions", "own_log")
