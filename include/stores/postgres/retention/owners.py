"""Whose a row is, over every owning link, as SQL about one row: when its owners' accounts ended, whether one of them is
among some people, and who they are. Access alone is no ownership."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dataset, Link
from include.model.words import DatasetKind, Ownership
from include.stores.postgres.live import Live
from include.stores.postgres.periods import prc_day
from include.stores.postgres.server import joined, name
from include.stores.postgres.survey import column_of, is_subject, moment_of, on

BETWEEN = "\x1f"
"""Between ids in a list of them: no id has a control character."""


@dataclass(frozen=True)
class Owners:
    """SQL about the owners of a row ``alias`` of a dataset. ``absent``: the day on which an account ended that is not here, where
    rows came without theirs; None: of such a one nothing is known."""

    catalogue: Catalogue
    live: Live
    absent: sql.Composable | None = None

    def ended(self, dataset: Dataset, alias: str, depth: int = 0) -> sql.Composable:
        """The day on which the owner's account ended, in China. Of several sole owners the first, for the row goes with
        whichever goes first; of a shared row the last, and null while one of them has not ended. A link that leads to nobody
        (a second party that there is not) is waited for by none."""
        owning = _owning(dataset)
        shared = any(link.ownership is not Ownership.SOLE for link in owning)
        days = [self._link_ended(dataset, link, alias, depth, shared=shared) for link in owning]
        if not days:
            return sql.SQL("NULL::date")
        if not shared and len(days) > 1:
            return self._first(owning, days, alias)
        if not shared:
            return days[0]
        last = sql.SQL("greatest({})").format(joined(", ", days))
        if self.absent is not None:
            last = sql.SQL("coalesce({}, {})").format(last, self.absent)
        return sql.SQL("nullif({}, 'infinity'::date)").format(last)

    def _first(self, links: Sequence[Link], days: Sequence[sql.Composable], alias: str) -> sql.Composable:
        """The first of several days. Of a row that came without an account, a link with nothing in it names none of them: else
        somebody else's row, whose account lives, would be due by it."""
        if self.absent is None:
            return sql.SQL("least({})").format(joined(", ", days))
        named = [
            joined(" AND ", (sql.SQL("{} IS NOT NULL").format(name(alias, c)) for c in columns))
            for columns in ([link.column] if link.column is not None else list(link.on) for link in links)
        ]
        told = (sql.SQL("CASE WHEN {} THEN {} END").format(n, d) for n, d in zip(named, days, strict=True))
        return sql.SQL("CASE WHEN {} THEN least({}) ELSE {} END").format(
            joined(" OR ", (sql.SQL("({})").format(n) for n in named)), joined(", ", told), self.absent
        )

    def ended_beside(
        self, dataset: Dataset, alias: str, depth: int = 0
    ) -> tuple[sql.Composable, sql.Composable] | None:  # fmt: skip
        """The same as joins to put beside the row, with the day in them: a database joins a million rows faster than it looks
        as many accounts up. None where a row may have several owners, or an owner is not found by a key."""
        owning = _owning(dataset)
        if len(owning) != 1 or owning[0].ownership is not Ownership.SOLE:
            return None
        (link,) = owning
        if link.column is not None:
            return self._account_beside(dataset, link.column, alias, depth)
        parent = self.catalogue.dataset(link.via or "")
        up = f"j{depth}"
        above = self.ended_beside(parent, up, depth + 1) if set(link.on.values()) == set(parent.key) else None
        if above is None:
            return None
        match = self._match(dataset, parent, link, alias, up)
        join = sql.SQL(" LEFT JOIN {} AS {} ON {}").format(name(parent.address), name(up), match)
        return sql.SQL("{}{}").format(join, above[0]), above[1]

    def _account_beside(
        self, dataset: Dataset, column: str, alias: str, depth: int
    ) -> tuple[sql.Composable, sql.Composable] | None:  # fmt: skip
        home = self.home
        if home.accounts is None or home.accounts.ended is None or home.id == dataset.id:
            return None
        a = f"b{depth}"
        mine = sql.SQL("{}::text").format(name(alias, column))
        match = is_subject(column_of(self.live, home, home.key[0]), name(a, home.key[0]), mine)
        join = sql.SQL(" LEFT JOIN {} AS {} ON {}").format(name(home.address), name(a), match)
        day = self._at_the_latest(
            prc_day(name(a, home.accounts.ended), moment_of(self.live, home, home.accounts.ended)),
            name(a, home.key[0]),
        )
        if self.absent is None:
            return join, day
        return join, sql.SQL("CASE WHEN {} IS NOT NULL THEN {} ELSE {} END").format(
            name(a, home.key[0]), day, self.absent
        )

    def _at_the_latest(self, day: sql.Composable, account: sql.Composable) -> sql.Composable:
        """When the whole company stopped, the relation with every account ended that day at the latest."""
        stop = self.catalogue.stop
        if stop is None or not stop.ended:
            return day
        return sql.SQL("CASE WHEN {} IS NOT NULL THEN least(coalesce({}, {stop}), {stop}) END").format(
            account, day, stop=sql.SQL("{}::date").format(sql.Literal(stop.closed_on))
        )

    def _link_ended(
        self, dataset: Dataset, link: Link, alias: str, depth: int, *, shared: bool
    ) -> sql.Composable:
        """By one link. Of a shared row null: it leads to nobody; infinity: to somebody whose account has not ended."""
        if link.column is not None:
            day = self._account_ended(dataset, link.column, alias, depth)
            if not shared:
                return day
            return sql.SQL("CASE WHEN {} IS NOT NULL THEN coalesce({}, 'infinity'::date) END").format(
                name(alias, link.column), day
            )
        parent = self.catalogue.dataset(link.via or "")
        up = f"o{depth}"
        day = self.ended(parent, up, depth + 1)
        of = sql.SQL("max(coalesce({}, 'infinity'::date))" if shared else "min({})")
        return sql.SQL("(SELECT {day} FROM {table} AS {up} WHERE {match})").format(
            day=self._or_absent(of.format(day)), table=name(parent.address), up=name(up),
            match=self._match(dataset, parent, link, alias, up),
        )  # fmt: skip

    def _account_ended(self, dataset: Dataset, column: str, alias: str, depth: int) -> sql.Composable:
        home = self.home
        assert home.accounts is not None  # noqa: S101 (that is what makes it the home)
        if home.accounts.ended is None:
            return sql.SQL("NULL::date")
        kind = moment_of(self.live, home, home.accounts.ended)
        if dataset.id == home.id and column == home.key[0]:
            return self._at_the_latest(prc_day(name(alias, home.accounts.ended), kind), name(alias, column))
        a = f"a{depth}"
        mine = sql.SQL("{}::text").format(name(alias, column))
        match = is_subject(column_of(self.live, home, home.key[0]), name(a, home.key[0]), mine)
        day = self._at_the_latest(prc_day(name(a, home.accounts.ended), kind), name(a, home.key[0]))
        if self.absent is not None:  # there is one account of an id, or none
            day = self._or_absent(sql.SQL("min({})").format(day))
        return sql.SQL("(SELECT {} FROM {} AS {} WHERE {})").format(day, name(home.address), name(a), match)

    def _or_absent(self, day: sql.Composable) -> sql.Composable:
        """What is said of all that a link leads to, or that it leads to nothing that is here."""
        if self.absent is None:
            return day
        return sql.SQL("CASE WHEN count(*) = 0 THEN {} ELSE {} END").format(self.absent, day)

    def above(
        self, dataset: Dataset, link: Link, mine: str, theirs: str
    ) -> tuple[Dataset, frozenset[tuple[str, str]], sql.Composable] | None:  # fmt: skip
        """The table by whose rows a link leads to the owners of rows, the columns of both that it joins, and the join as SQL.
        None: nobody's clock or hold is known by it, or there is no such table."""
        if link.via is not None:
            parent = self.catalogue.dataset(link.via)
            if parent.address not in self.live.tables:
                return None
            return parent, frozenset(link.on.items()), on(self.live, dataset, parent, link, mine, theirs)
        if link.column is None or link.ownership is Ownership.ACCESS_ONLY or self.home.id == dataset.whole:
            return None  # an account is its own
        if self.home.address not in self.live.tables:
            return None
        key = self.home.key[0]
        column, text = (
            column_of(self.live, self.home, key),
            sql.SQL("{}::text").format(name(mine, link.column)),
        )
        match = sql.SQL("({})").format(is_subject(column, name(theirs, key), text))
        return self.home, frozenset({(link.column, key)}), match

    def _match(self, dataset: Dataset, parent: Dataset, link: Link, mine: str, theirs: str) -> sql.Composable:
        """The join of a ``via`` link. What a path in a bucket says is text, and no cast of it may fail."""
        if dataset.kind is DatasetKind.TABLE:
            return on(self.live, dataset, parent, link, mine, theirs)
        return joined(
            " AND ",
            (
                is_subject(column_of(self.live, parent, b), name(theirs, b), name(mine, a))
                for a, b in link.on.items()
            ),
        )

    def known(self, dataset: Dataset, alias: str, *, owning: bool = False) -> sql.Composable:
        """Whether the row leads to somebody: an account, or a row above it; ``owning``: to somebody who owns it."""
        ways: list[sql.Composable] = []
        for link in _owning(dataset) if owning else dataset.links:
            parent = self.home if link.column is not None else self.catalogue.dataset(link.via or "")
            key = column_of(self.live, self.home, self.home.key[0])
            match = (
                is_subject(key, name("k", key.name), sql.SQL("{}::text").format(name(alias, link.column)))
                if link.column is not None
                else self._match(dataset, parent, link, alias, "k")
            )
            ways.append(sql.SQL("EXISTS (SELECT FROM {} AS k WHERE {})").format(name(parent.address), match))
        return joined(" OR ", ways) if ways else sql.SQL("false")

    def named(self, dataset: Dataset, alias: str) -> sql.Composable:
        """Whether the row names an owner at all, whether there is one or not."""
        ways = (
            joined(" AND ", (sql.SQL("{} IS NOT NULL").format(name(alias, c)) for c in columns))
            for columns in (
                [link.column] if link.column is not None else list(link.on) for link in _owning(dataset)
            )
        )
        every = [sql.SQL("({})").format(way) for way in ways]
        return sql.SQL("({})").format(joined(" OR ", every)) if every else sql.SQL("false")

    @property
    def home(self) -> Dataset:
        found = next((d for d in self.catalogue.datasets if d.accounts is not None), None)
        if found is None:
            raise CatalogueError(
                "no dataset is declared to be the accounts", about=self.catalogue.name,
                next_step="declare `accounts` of the table that is keyed by the account id",
            )  # fmt: skip
        return found

    def among(self, dataset: Dataset, alias: str, people: Sequence[str], depth: int = 0) -> sql.Composable:
        """Whether one of these people owns the row, or may see it: a hold covers both."""
        if not people:
            return sql.SQL("false")
        ways: list[sql.Composable] = []
        for link in dataset.links:
            if link.column is not None:
                ways.append(
                    sql.SQL("{}::text = ANY({})").format(name(alias, link.column), sql.Literal(list(people)))
                )
                continue
            parent = self.catalogue.dataset(link.via or "")
            up = f"h{depth}"
            ways.append(
                sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
                    name(parent.address), name(up), self._match(dataset, parent, link, alias, up),
                    self.among(parent, up, people, depth + 1),
                )
            )  # fmt: skip
        return sql.SQL("coalesce({}, false)").format(sql.SQL("({})").format(joined(" OR ", ways)))

    def whose(
        self, dataset: Dataset, alias: str, of: Callable[[sql.Composable], sql.Composable], depth: int = 0
    ) -> sql.Composable:
        """Whether the row belongs to people of whom ``of`` is true: of a sole owner's id, or of every owner's of a shared row."""
        sole = [x for x in _owning(dataset) if x.ownership is Ownership.SOLE]
        shared = [x for x in _owning(dataset) if x.ownership is not Ownership.SOLE]
        ways = [self._owned(dataset, x, alias, of, depth, so=True) for x in sole]
        if shared:
            some = joined(" OR ", [self._owned(dataset, x, alias, of, depth, so=True) for x in shared])
            free = joined(" OR ", [self._owned(dataset, x, alias, of, depth, so=False) for x in shared])
            ways.append(sql.SQL("(({}) AND NOT ({}))").format(some, free))
        return sql.SQL("coalesce({}, false)").format(
            sql.SQL("({})").format(joined(" OR ", ways)) if ways else sql.SQL("false")
        )

    def _owned(
        self, dataset: Dataset, link: Link, alias: str, of: Callable[[sql.Composable], sql.Composable], depth: int,
        *, so: bool,
    ) -> sql.Composable:  # fmt: skip
        """Whether a link leads to somebody of whom it is true (``so``), or of whom it is not."""
        not_ = sql.SQL("" if so else "NOT ")
        if link.column is not None:
            column = name(alias, link.column)
            return sql.SQL("({c} IS NOT NULL AND {n}{t})").format(c=column, n=not_, t=of(column))
        parent = self.catalogue.dataset(link.via or "")
        up = f"w{depth}"
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {}{})").format(
            name(parent.address), name(up), self._match(dataset, parent, link, alias, up), not_,
            self.whose(parent, up, of, depth + 1),
        )  # fmt: skip

    def accepted(
        self, dataset: Dataset, alias: str, versions: Sequence[str], depth: int = 0
    ) -> sql.Composable:
        """Whether the row has an owner, and each of its owners accepted one of these versions of the policy last. What is several
        people's is kept longer with the consent of all of them."""
        some, others = [], []
        for link in _owning(dataset):
            if link.column is not None:
                mine = name(alias, link.column)
                did = self._accepted(mine, versions)
                some.append(did)
                others.append(sql.SQL("({} IS NOT NULL AND NOT {})").format(mine, did))
                continue
            parent = self.catalogue.dataset(link.via or "")
            up = f"v{depth}"
            above = self.accepted(parent, up, versions, depth + 1)
            of = sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {}{})")
            match = self._match(dataset, parent, link, alias, up)
            for found, not_ in ((some, ""), (others, "NOT ")):
                found.append(of.format(name(parent.address), name(up), match, sql.SQL(not_), above))
        if not some:
            return sql.SQL("false")
        return sql.SQL("(({}) AND NOT ({}))").format(joined(" OR ", some), joined(" OR ", others))

    def _accepted(self, account: sql.Composable, versions: Sequence[str]) -> sql.Composed:
        home = self.home
        if home.accounts is None or home.accounts.accepted is None:
            raise CatalogueError(
                "the policy has versions, and nothing says which its holders accepted", about=home.id,
                next_step="name the column in `accounts.accepted`",
            )  # fmt: skip
        mine = sql.SQL("{}::text").format(account)
        return sql.SQL("EXISTS (SELECT FROM {} AS y WHERE {} AND y.{}::text = ANY({}))").format(
            name(home.address), is_subject(column_of(self.live, home, home.key[0]), name("y", home.key[0]), mine),
            name(home.accounts.accepted), sql.Literal(list(versions)),
        )  # fmt: skip

    def subjects(self, dataset: Dataset, source: sql.Composable, depth: int = 0) -> sql.Composable:
        """SELECT of the owners' ids of the rows of ``source``, which has the dataset's columns."""
        parts: list[sql.Composable] = []
        for link in _owning(dataset):
            t, up = f"c{depth}", f"p{depth}"
            if link.column is not None:
                parts.append(
                    sql.SQL("SELECT {c}::text AS id FROM {s} AS {t} WHERE {c} IS NOT NULL").format(
                        c=name(t, link.column), s=source, t=name(t)
                    )
                )
                continue
            parent = self.catalogue.dataset(link.via or "")
            rows = sql.SQL("(SELECT {up}.* FROM {s} AS {t} JOIN {p} AS {up} ON {m})").format(
                up=name(up), s=source, t=name(t), p=name(parent.address),
                m=self._match(dataset, parent, link, t, up),
            )  # fmt: skip
            parts.append(self.subjects(parent, rows, depth + 1))
        return joined(" UNION ALL ", parts) if parts else sql.SQL("SELECT NULL::text AS id WHERE false")

    def listed(self, dataset: Dataset, alias: str) -> sql.Composable:
        """The owners' ids of one row as text, each once and in order, with :data:`BETWEEN` between; empty: it has none."""
        (only, *others) = _owning(dataset) or (None,)
        if only is None:
            return sql.SQL("''::text")
        if only.column is not None and not others:  # no subquery for what stands in the row
            return sql.SQL("coalesce({}::text, '')").format(name(alias, only.column))
        row = sql.SQL("(SELECT {}.*)").format(name(alias))
        return sql.SQL(
            "coalesce((SELECT string_agg(DISTINCT l.id, {} ORDER BY l.id) FROM ({}) AS l WHERE l.id IS NOT NULL), '')"
        ).format(sql.Literal(BETWEEN), self.subjects(dataset, row))


def alone(catalogue: Catalogue, dataset: Dataset) -> bool:
    """Whether each owner of a row is its sole owner, on every way to one: then it goes with whichever goes first."""
    return all(
        x.ownership is Ownership.SOLE and (x.via is None or alone(catalogue, catalogue.dataset(x.via)))
        for x in _owning(dataset)
    )


def _owning(dataset: Dataset) -> tuple[Link, ...]:
    return tuple(x for x in dataset.links if x.ownership is not Ownership.ACCESS_ONLY)
