"""A case's people, looked for in files: a live cluster's, a backup's, an archive's, a server's log.

What a scan looks for was sealed before the disposal (:mod:`include.cases.provers`), and is opened here, in memory, for as long as
the scan runs. What is kept by law or order is still in its table, so a table that keeps something of a case says nothing
against it; everywhere else what is found has outlived its deletion there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from include.cases import book, papers
from include.cases.provers import sought
from include.cases.rooms import Desk
from include.model.errors import Refused
from include.model.flow import Plan
from include.model.words import CopyKind, DatasetKind, Disposition, StoreKind, Verdict
from include.proofs.residue import names
from include.proofs.residue.files import Unread, sources
from include.proofs.residue.names import Cluster
from include.proofs.residue.scan import Residue, scan
from include.proofs.values import Piece, Values
from include.stores.postgres.rights import STATISTICS

OURS = "quietus."
"""Our schema in the company's database: the restriction list must know whom it restricts."""


@dataclass(frozen=True)
class Found:
    """One place that holds something of a case. ``kept``: the plan in force keeps rows of the case's people there."""

    case_no: str
    place: str
    pages: int
    how: tuple[str, ...]
    sure: bool
    kept: bool


@dataclass(frozen=True)
class FoundPiece:
    """A piece of what a case disposed of, and a file that holds it; a row that is there now may have it, too."""

    case_no: str
    piece: Piece
    place: str


@dataclass(frozen=True)
class Looked:
    """What was seen: places, what could not be read, and how much was."""

    found: tuple[Found, ...]
    unread: tuple[Unread, ...]
    files: int
    size: int
    digests: bool
    pieces: tuple[FoundPiece, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAILED if something outlived its deletion; UNVERIFIED if not everything was read, or not for certain."""
        left = [f for f in self.found if not f.kept]
        if any(f.sure for f in left):
            return Verdict.FAILED
        return Verdict.UNVERIFIED if left or self.unread else Verdict.PASSED


def look(
    desk: Desk, case_nos: Sequence[str], paths: Sequence[Path], store: str | None = None,
    pieces: Mapping[str, Collection[Piece]] = MappingProxyType({}),
) -> Looked:  # fmt: skip
    """Look for the people of these cases in everything under these paths, in one pass.

    ``store``: the catalogue's store whose cluster's files (or a copy of them) these are, so that its tables can be named.
    ``pieces``: what else to look for, by case, each by itself.
    The wrong files would be clean: theirs must bear the store's own identifier. Raises Refused for files of another cluster,
    for an unknown store, NotProved for a case of which nothing was sealed, NotReachable.
    """
    values = {no: sought(desk, case_no) for no, case_no in enumerate(case_nos)}
    kept = {no: _kept(desk, case_no) for no, case_no in enumerate(case_nos)}
    by_no = dict(enumerate(((c, p) for c, of in pieces.items() for p in of), start=len(case_nos)))
    values |= {no: Values(pieces=frozenset((piece,))) for no, (_, piece) in by_no.items()}
    residue, unread = scanned(desk, values, paths, store)
    return Looked(
        found=tuple(_found(case_nos, kept, residue)),
        unread=tuple(unread),
        files=residue.files,
        size=residue.size,
        digests=residue.digests,
        pieces=tuple(
            FoundPiece(*by_no[no], place)
            for no in sorted(residue.found.keys() & by_no.keys())
            for place in sorted({p.name for p in residue.found[no]})
        ),
    )


def scanned(
    desk: Desk, values: Mapping[int, Values], paths: Sequence[Path], store: str | None = None
) -> tuple[Residue, list[Unread]]:
    """One pass for whoever's values these are, by number; and all that was not read, or not for certain. Raises as
    :func:`look` does."""
    cluster = _cluster(desk, store) if store else None
    things = chain.from_iterable(sources(path) for path in paths)
    residue = scan(values, things, cluster.files if cluster else {})
    if cluster and residue.systems - {cluster.system}:
        raise Refused(
            "files of another cluster are among these, of which what is found or not says nothing",
            about=store or "", next_step="name the store whose files they are, or leave --store out",
        )  # fmt: skip
    unread = list(residue.unread)
    if cluster and not residue.systems:
        unread.append(
            Unread("all of it", f"nothing in it says that it is of store {store}: no control file, no WAL")
        )
    if residue.unnamed:
        unread.append(
            Unread("all of it", f"{residue.unnamed} more findings are at places that are not named")
        )
    return residue, unread


def repeats_kept(
    desk: Desk, case_nos: Sequence[str], paths: Sequence[Path], store: str, *, also: Collection[str] = ()
) -> frozenset[str]:
    """Of which of these cases the log and the statistics say nothing but what also stands in a table of which the plan keeps
    rows, or in one of ``also``, whose bytes need not go: another pass, that looks for each value by itself. Raises as
    :func:`look` does."""
    whose: list[str] = []
    values: dict[int, Values] = {}
    for case_no in case_nos:
        of = sought(desk, case_no)
        for one in (*(Values(frozenset({v})) for v in sorted(of.found)), Values(weak=of.weak)):
            values[len(whose)] = one
            whose.append(case_no)
    kept = {case_no: _kept(desk, case_no) for case_no in case_nos}
    residue, _ = scanned(desk, values, paths, store)
    more = set()
    for no, places in residue.found.items():
        tables = {names.table(place.name) for place in places}
        in_kept = any(t in kept[whose[no]] or t in also or t.startswith(OURS) for t in tables)
        if not in_kept and any(may_repeat(place.name) for place in places):
            more.add(whose[no])
    return frozenset(case_nos) - more


def may_repeat(place: str) -> bool:
    """Whether a place may say what is kept elsewhere: the log repeats every page, statistics every table's values."""
    return "." not in names.table(place).partition("/")[0] or names.table(place) in STATISTICS


def _cluster(desk: Desk, store: str) -> Cluster:
    databases = {s.id: s for s in desk.catalogue.stores if s.kind is StoreKind.POSTGRES}
    if store not in databases:
        raise Refused(
            "there is no such database", about=store, next_step=f"name one of: {', '.join(databases)}"
        )
    return names.of(desk.connections, store, databases[store].connection)


def _kept(desk: Desk, case_no: str) -> frozenset[str]:
    """The tables in which the plan in force keeps rows: what is kept by law or order, and what is cut and says whose it was."""
    with desk.book() as conn:
        plan: Plan = papers.latest_plan(conn, book.case(conn, case_no))
    return frozenset(
        desk.catalogue.dataset(line.dataset).address
        for line in plan.lines
        if line.items
        and line.disposition not in (Disposition.ERASE, Disposition.TRANSFER)
        and line.copy_kind is CopyKind.LIVE
        and desk.catalogue.dataset(line.dataset).kind is DatasetKind.TABLE
    )


def _found(case_nos: Sequence[str], kept: Mapping[int, frozenset[str]], residue: Residue) -> Iterator[Found]:
    for sure, places in ((True, residue.found), (False, residue.doubtful)):
        for no, of in sorted(places.items()):
            if no not in kept:
                continue  # a piece
            by_name: dict[str, set[tuple[int, str]]] = defaultdict(set)
            for place in of:
                by_name[place.name].add((place.page, place.how))
            for name, pages in sorted(by_name.items()):
                yield Found(
                    case_no=case_nos[no],
                    place=name,
                    pages=len({page for page, _ in pages}),
                    how=tuple(sorted({how for _, how in pages})),
                    sure=sure,
                    kept=names.table(name) in kept[no] or name.startswith(OURS),
                )
