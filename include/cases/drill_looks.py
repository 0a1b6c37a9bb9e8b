"""The looks of a drill into a restored copy: by the links, as the prover; and into the bytes, for everybody in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from include.backups.restoring.scratch import Scratch
from include.cases import residue, scrubbing
from include.cases.drill_cohort import Cohort, Member, buried
from include.cases.elsewhere import Elsewhere
from include.cases.rooms import Desk
from include.model.doors import Connections
from include.model.words import DatasetKind, Role
from include.proofs.residue import names
from include.proofs.suites import STAYS


@dataclass(frozen=True)
class Copied:
    """A desk whose one store is the restored copy, and not itself."""

    desk: Desk
    found: Scratch

    @classmethod
    def of(cls, desk: Desk, store: str, found: Scratch) -> Copied:
        """The roles that the work needs are admitted, as the connections name them."""
        connection = desk.catalogue.store(store).connection
        logins = {role: _login(desk.connections, connection, role) for role in (Role.PROVER, Role.ERASER)}
        found.admit(tuple(logins.values()))
        return cls(
            replace(desk, connections=Elsewhere(desk.connections, connection, _in_scratch(found))), found
        )


def _in_scratch(found: Scratch) -> Callable[[str], str]:
    """The same role and database in the scratch: without its secret, by who we are."""

    def there(conninfo: str) -> str:
        known = psycopg.conninfo.conninfo_to_dict(conninfo)
        return found.conninfo(str(known["dbname"]), str(known["user"]))

    return there


def _login(connections: Connections, connection: str, role: Role) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(connections.postgres(connection, role))["user"])


@dataclass
class OfCase:
    """What is in the copy of one case. ``rows``: that the links lead to, beyond what the plan keeps; ``places``: in the bytes,
    for certain; ``unasked``: in those of tables that hold nothing whose bytes are to go, so that nobody writes them anew;
    ``perhaps_kept``: in the log or in statistics, which repeat what is in other tables, too; ``told``: each value there is one
    that may stand in these; ``doubtful``: places that may hold another number. ``bytes_too``: see the cohort."""

    bytes_too: bool = False
    rows: int = 0
    places: int = 0
    unasked: int = 0
    perhaps_kept: int = 0
    told: bool = False
    doubtful: int = 0

    @property
    def failing(self) -> int:
        """What must not be there of somebody who should be gone."""
        return self.rows + (self.places if self.bytes_too else 0)


@dataclass
class Seen:
    """What is in the copy of one part of the cohort, by case."""

    of: dict[str, OfCase] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        return len(self.of)

    @property
    def present(self) -> int:
        return sum(bool(x.rows or x.places or x.unasked) for x in self.of.values())

    @property
    def known(self) -> int:
        """Of how many the copy knows at all: enough to say that the look is not blind."""
        return sum(bool(x.rows or x.places or x.unasked or x.perhaps_kept) for x in self.of.values())

    @property
    def doubtful(self) -> int:
        return sum(bool(x.bytes_too and x.doubtful and not x.failing) for x in self.of.values())

    @property
    def untold(self) -> int:
        """Of how many the bytes were to go, and log or statistics say what may be kept or not."""
        return sum(
            bool(x.bytes_too and x.perhaps_kept and not x.told and not x.failing) for x in self.of.values()
        )

    @property
    def failed(self) -> dict[str, int]:
        """How much there is of each case of which there should be nothing."""
        return {no: x.failing for no, x in self.of.items() if x.failing}

    def counts(self) -> dict[str, int]:
        """For the ledger. ``only_bytes``: where gone rows were asked for, and not that their bytes go."""
        return {
            "cases": self.cases, "known": self.known, "present": self.present, "doubtful": self.doubtful,
            "rows": sum(x.rows for x in self.of.values()), "places": sum(x.places + x.unasked for x in self.of.values()),
            "only_bytes": sum(bool((x.places or x.unasked) and not x.failing) for x in self.of.values()),
            "perhaps_kept": sum(bool(x.perhaps_kept) for x in self.of.values()),
        }  # fmt: skip


def look(at: Copied, cohort: Cohort, store: str, paths: Sequence[Path]) -> tuple[Seen, Seen, int]:
    """Both looks: of whom should be gone, of whom should be there, and how much was not read."""
    beyond, within, unread = scan(at.desk, cohort, store, paths)
    known = _named_by_tombstones(at.desk, cohort, store)
    for seen, members in ((beyond, cohort.beyond), (within, cohort.within)):
        for one in members:
            if one.forgotten and one.case_no not in known:
                continue  # no account of the copy is theirs
            member = one
            if one.forgotten:
                member = replace(one, step=one.step.model_copy(update={"subjects": known[one.case_no]}))
            rows, unanswered = _rows(at.desk, member, store)
            seen.of[member.case_no].rows = rows
            unread += unanswered
    return beyond, within, unread


def scan(desk: Desk, cohort: Cohort, store: str, paths: Sequence[Path]) -> tuple[Seen, Seen, int]:
    """Into the bytes, for everybody in one pass."""
    beyond = Seen({m.case_no: OfCase(m.bytes_too) for m in cohort.beyond})
    within = Seen({m.case_no: OfCase(m.bytes_too) for m in cohort.within})
    everybody = [m.case_no for m in (*cohort.beyond, *cohort.within) if not m.forgotten]
    if not everybody:
        return beyond, within, 0
    there = [p for p in paths if p.exists()]
    looked = residue.look(desk, everybody, there, store)
    unasked = _not_written_anew(desk, store)
    blurred = {m.case_no for m in (*cohort.beyond, *cohort.within) if _elsewhere(desk, m, store)}
    for found in looked.found:
        of = beyond.of.get(found.case_no) or within.of[found.case_no]
        if found.kept:
            continue
        if not found.sure:
            of.doubtful += found.pages
        elif found.case_no in blurred and residue.may_repeat(found.place):
            of.perhaps_kept += found.pages
        elif names.table(found.place) in unasked:
            of.unasked += found.pages
        else:
            of.places += found.pages
    asked = [no for no, of in beyond.of.items() if of.bytes_too and of.perhaps_kept and not of.failing]
    for case_no in residue.repeats_kept(desk, asked, there, store, also=unasked) if asked else ():
        beyond.of[case_no].told = True
    return beyond, within, len(looked.unread)


def _named_by_tombstones(desk: Desk, cohort: Cohort, store: str) -> dict[str, tuple[str, ...]]:
    """Whom the copy knows of the cases whose keys are destroyed, by case: every account in it is held against the tombstones."""
    if not any(m.forgotten for m in (*cohort.beyond, *cohort.within)):
        return {}
    from include.proofs.restored import accounts

    with desk.book() as conn:
        return buried(conn, desk.keys, accounts(desk.catalogue, desk.connections, store))


def _not_written_anew(desk: Desk, store: str) -> frozenset[str]:
    """The declared tables, and views of them, that hold nothing whose bytes are to go. What nobody declared is none of them."""
    asking = scrubbing.asking(desk.catalogue, store)
    tables = desk.catalogue.of_store(store, DatasetKind.TABLE)
    asked = {r for d in tables if d.id in asking for r in scrubbing.roots(desk.catalogue, d)}
    return frozenset(r for d in tables for r in scrubbing.roots(desk.catalogue, d)) - asked


def _elsewhere(desk: Desk, member: Member, store: str) -> bool:
    """Whether a case's values may rightly be in other tables: the plan keeps some, or they went where bytes need not go."""
    asking = scrubbing.asking(desk.catalogue, store)
    return any(
        line.items
        and desk.catalogue.dataset(line.dataset).store == store
        and (line.disposition in STAYS or line.dataset not in asking)
        for line in member.plan.lines
    )


def still_there(at: Copied, members: Sequence[Member], store: str) -> int:
    """Of how many of these the links still lead to something, or could not be followed."""
    return sum(any(_rows(at.desk, member, store)) for member in members if not member.forgotten)


def _rows(desk: Desk, member: Member, store: str) -> tuple[int, int]:
    """Rows of the case's people beyond what its plan keeps; and the questions that were not answered."""
    from include.proofs.restored import in_copy

    seen = in_copy(desk.catalogue, desk.connections, store, member.step, member.plan)
    return seen.rows, seen.unanswered


def system_of(desk: Desk, store: str) -> int:
    """The identifier of the store's own cluster, as it says now. Raises NotReachable."""
    return names.of(desk.connections, store, desk.catalogue.store(store).connection).system
