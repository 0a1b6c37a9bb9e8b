"""What remains of cases in a database's live files, as evidence: R3 and R4, for every category that asks for them.

Looked at as the prover: who could still see what was deleted; whether each file is the one that was written anew since; and,
where this machine can read the files, whether a value of the person is in their bytes, in one pass for all cases. What could
not be looked at is UNVERIFIED with its reason. WAL is not looked into here: it is R5's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from include.cases import residue, scrubbing
from include.cases.controls import doubt
from include.cases.provers import sealed
from include.cases.proving import record_evidence, says_more
from include.cases.residue import Found, Looked
from include.cases.rooms import Desk
from include.model.errors import NotProved, QuietusError
from include.model.estate import Dataset
from include.model.flow import Check, Evidence
from include.model.times import observed_now
from include.model.words import Rung, StoreKind, Verdict
from include.proofs.residue import names
from include.proofs.server import Connection, Reader
from include.proofs.values import Piece, Values
from include.stores.postgres.physical import facts
from include.stores.postgres.physical.facts import Facts, mvcc_dead
from include.stores.postgres.rights import STATISTICS

KIND = "residue"
WAL = "pg_wal"
Said = tuple[Verdict, int | None, str]
EMPTY = "nothing that was located held content of a category whose bytes are to go"
NOTHING = "of what went no content is known that a scan could look for, or rows that are there have the same"

_FILES = """
SELECT f.root, coalesce(w.filenode::bigint = f.filenode AND w.clean_before > %(xid)s::text::xid8, false),
       (w.lsn - '0/0')::bigint
  FROM (SELECT n.nspname || '.' || c.relname AS relation, rn.nspname || '.' || r.relname AS root,
               pg_catalog.pg_relation_filenode(c.oid) AS filenode
          FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_class AS r
            ON r.oid = CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
          JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
         WHERE c.relkind IN ('r', 'm')) AS f
  LEFT JOIN quietus.rewritten AS w ON w.relation = f.relation
 WHERE f.root = ANY(%(roots)s)
"""
"""Of every file of some tables: whether it is the one that was written anew when nobody could see what a transaction deleted."""

_WAYS = """
SELECT c.key, bool_or(p.xid IS NULL), bool_or(p.xid IS NOT NULL) FROM quietus.receipt AS r
  CROSS JOIN LATERAL jsonb_each(r.counts) AS c LEFT JOIN quietus.dropped AS p ON p.xid = r.xid AND p.step = r.step
 WHERE r.step = %s AND r.verb = 'dispose' GROUP BY c.key
"""
"""Of each dataset that a step disposed of: whether rows went by themselves, and whether partitions went with their files."""

_LEFT_EMPTY = """
SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) AS t WHERE t.isleaf)
"""
"""Divided tables of which no partition is left, and so no file."""

_LAST = "SELECT max(xid)::text::bigint FROM quietus.receipt WHERE step = %s AND verb = 'dispose'"


@dataclass(frozen=True)
class _Step:
    """A step of a case with something whose bytes are to go. ``plan``: the fingerprint of the one in force."""

    case_no: str
    step_id: str
    plan: str
    as_of: date
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True)
class _Files:
    """What the server says of a step's files. ``unwritten``: tables whose files are not those that were written anew since;
    ``lsn``: where the log stood when the last of them was."""

    xid: int | None
    unwritten: frozenset[str]
    lsn: int


def look(desk: Desk, *, as_of: date, actor: str) -> str:
    """Look into the files of every database for all cases that wait for that, and record it. Again changes nothing more."""
    counts = dict.fromkeys(Verdict, 0)
    for declared in desk.catalogue.stores:
        if declared.kind is StoreKind.POSTGRES and (steps := _waiting(desk, declared.id)):
            for evidence in _looked(desk, declared.id, steps, as_of):
                if says_more(desk, evidence):
                    record_evidence(desk, evidence, as_of=as_of, actor=actor, strict=False)
                counts[evidence.verdict] += 1
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) or "no case waits for it"


def _waiting(desk: Desk, store: str) -> list[_Step]:
    """Steps of cases at rest in this store's nights, of which it is not known that their bytes are gone; a look that is in
    doubt is no knowledge."""
    found = []
    with desk.book() as conn:
        blind = [d for d in doubt.doubts(conn) if (d.proof, d.store) == (KIND, store)]
        rows = conn.execute(
            "SELECT DISTINCT s.case_no, s.step_id, t.plan, t.as_of FROM casebook.epoch_step s"
            " JOIN casebook.epoch e USING (epoch_id) JOIN casebook.case_ c USING (case_no) JOIN casebook.step t"
            " USING (step_id) WHERE e.store = %(store)s AND e.rewrite_wanted AND c.state IN ('waiting', 'held')"
            " AND NOT EXISTS (SELECT FROM casebook.evidence_ref r WHERE r.step_id = s.step_id AND r.kind = %(kind)s"
            "  AND r.store = %(store)s AND r.verdict = 'passed' AND r.observed_at > e.moment"
            "  AND NOT EXISTS (SELECT FROM unnest(%(days)s::date[], %(again)s::timestamptz[]) AS d (day, sees_again)"
            "   WHERE (r.observed_at AT TIME ZONE 'Asia/Shanghai')::date = d.day"
            "    AND r.observed_at < coalesce(d.sees_again, 'infinity'))) ORDER BY 1, 2",
            {
                "store": store,
                "kind": KIND,
                "days": [d.day for d in blind],
                "again": [d.sees_again for d in blind],
            },
        ).fetchall()
        for row in rows:
            if datasets := scrubbing.gone_from(desk.catalogue, conn, row["step_id"], store):
                found.append(_Step(row["case_no"], row["step_id"], row["plan"], row["as_of"], datasets))
    return found


# --- one store ------------------------------------------------------------------------------------


def _looked(desk: Desk, store: str, steps: Sequence[_Step], as_of: date) -> Iterator[Evidence]:
    """Raises NotReachable if the server does not answer."""
    with Reader.of(desk.connections, store, desk.catalogue.store(store).connection).connect() as connection:
        here = facts.look(connection)
        files = {step.step_id: _files(desk, connection, step) for step in steps}
    ready = sorted({s.case_no for s in steps if not files[s.step_id].unwritten})
    scan = _Scan.over(desk, store, ready, here, max((f.lsn for f in files.values()), default=0))
    for step in steps:
        on = files[step.step_id]
        checks = [c for d in step.datasets for c in _checks(desk, step, d, here, on, scan)]
        yield Evidence(
            kind=KIND, step=step.step_id, case_no=step.case_no, store=store, as_of=as_of,
            observed_at=observed_now(), plan=step.plan, checks=tuple(checks),
        )  # fmt: skip


def _files(desk: Desk, connection: Connection, step: _Step) -> _Files:
    roots = {r for d in step.datasets for r in scrubbing.roots(desk.catalogue, d)} | set(STATISTICS)
    ((xid,),) = connection.execute(_LAST, [step.step_id]).fetchall()
    if xid is None:
        return _Files(None, frozenset(roots), 0)
    rows = connection.execute(_FILES, {"xid": str(xid), "roots": sorted(roots)}).fetchall()
    written = {root for root, *_ in rows} - {root for root, anew, _ in rows if not anew}
    written |= _nothing_died_in(desk, connection, step)
    return _Files(
        xid, frozenset(roots - written), max((lsn for _, _, lsn in rows if lsn is not None), default=0)
    )


def _nothing_died_in(desk: Desk, connection: Connection, step: _Step) -> set[str]:
    """Tables of which partitions went with their files, and no row by itself: no file that is left held anything of it. The
    transaction of such a partition's receipt is let commit only if it wrote nothing in any table."""
    found = {str(address) for (address,) in connection.execute(_LEFT_EMPTY)}
    ((told,),) = connection.execute("SELECT to_regclass('quietus.dropped') IS NOT NULL").fetchall()
    if not told:  # an older version of us is installed there
        return found
    ways = connection.execute(_WAYS, [step.step_id]).fetchall()
    by_rows = {str(d) for d, rows, _ in ways if rows}
    of = [d for d in desk.catalogue.in_parts.datasets if d.id in by_rows]
    died = {d.address for d in of} | {e.table for d in of for e in d.effects if e.operation != "insert"}
    whole = {str(d) for d, _, partitions in ways if partitions}
    return found | ({d.address for d in step.datasets if d.id in whole} - died)


@dataclass(frozen=True)
class _Scan:
    """What the pass over the files saw; ``why``: why there was none, for all cases, or ``unknown``: for some. ``alive``: of the
    pieces that were found those that a row has now; ``blind``: why that could not be asked."""

    looked: Looked | None
    why: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)
    sealed: Mapping[str, Values] = field(default_factory=dict)
    alive: frozenset[Piece] = frozenset()
    blind: str = ""

    @classmethod
    def over(cls, desk: Desk, store: str, case_nos: Sequence[str], here: Facts, lsn: int) -> _Scan:
        directory = scrubbing.directory(desk, store)
        if directory is None:
            return cls(
                None,
                "the server's files cannot be read from here: a managed server hides them, or no connection names them",
            )
        if here.redo is None or here.redo < lsn:
            return cls(
                None,
                "the server made no checkpoint since its tables were written anew, so files are not what is in memory",
            )
        unknown, known = {}, {}
        for case_no in case_nos:
            try:
                known[case_no] = sealed(desk, case_no)
            except NotProved as nothing:
                unknown[case_no] = nothing.what
        if not known:
            return cls(None, "", unknown)
        people = [case_no for case_no, values in known.items() if values.of_somebody]
        pieces = {case_no: values.pieces for case_no, values in known.items()}
        try:
            looked = residue.look(desk, people, _paths(directory), store, pieces)
        except QuietusError as error:
            return cls(None, error.what, unknown)
        except OSError as error:
            return cls(None, f"the data directory cannot be read ({error.strerror})", unknown)
        alive, blind = _alive(desk, store, {f.piece for f in looked.pieces})
        return cls(looked, "", unknown, known, alive, blind)


def _alive(desk: Desk, store: str, found: Collection[Piece]) -> tuple[frozenset[Piece], str]:
    """Those that a row has now: something that was passed over in the end, or another with the same content."""
    from include import proofs

    try:
        return proofs.alive(desk.catalogue.in_parts, desk.connections, store, found), ""
    except QuietusError as error:
        return (
            frozenset(),
            f"whether a row has now what was found in the files could not be asked: {error.what}",
        )


def _paths(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.name != WAL)


# --- one dataset ----------------------------------------------------------------------------------


def _checks(
    desk: Desk, step: _Step, dataset: Dataset, here: Facts, on: _Files, scan: _Scan
) -> Iterator[Check]:
    def check(what: str, rung: Rung, verdict: Verdict, why: str, observed: int | None = None) -> Check:
        expected = None if observed is None else 0
        return Check(name=f"{what}.{dataset.id}", dataset=dataset.id, rung=rung, verdict=verdict, expected=expected,
                     observed=observed, why=why)  # fmt: skip

    if on.xid is None:
        why = "the store has no receipt of the disposal: it was restored to before it"
        yield check("dead", Rung.R3, Verdict.UNVERIFIED, why)
        yield check("rewritten", Rung.R4, Verdict.UNVERIFIED, why)
        return
    dead = mvcc_dead(here, on.xid)
    yield check("dead", Rung.R3, Verdict.PASSED if dead.gone else Verdict.UNVERIFIED, str(dead))
    roots = {*scrubbing.roots(desk.catalogue, dataset), *STATISTICS}
    if late := sorted(on.unwritten & roots):
        why = f"not written anew since the disposal, when nobody saw its dead any more: {', '.join(late)}"
        yield check("rewritten", Rung.R4, Verdict.UNVERIFIED, why)
        return
    yield check("rewritten", Rung.R4, Verdict.PASSED, "")
    verdict, observed, why = _bytes(desk, step, dataset, scan)
    yield check("bytes", Rung.R4, verdict, why, observed)


def _bytes(desk: Desk, step: _Step, dataset: Dataset, scan: _Scan) -> Said:
    """What the bytes say of a table whose files were written anew: its own, and files that are no table's."""
    why = scan.why or scan.unknown.get(step.case_no, "")
    if scan.looked is None or why:
        return Verdict.UNVERIFIED, None, why or "nobody looked into the files"
    roots, of = set(scrubbing.roots(desk.catalogue, dataset)), scan.sealed[step.case_no]
    said = _of_pieces(step, dataset, scan, scan.looked, roots)
    if said[0] is not Verdict.PASSED or not of.of_somebody:
        return said
    verdict, observed, why = _of_people(step, scan.looked, roots)
    return verdict, observed, "; ".join(w for w in (said[2], why) if w)


def _of_pieces(step: _Step, dataset: Dataset, scan: _Scan, looked: Looked, roots: Collection[str]) -> Said:
    """Whether a piece of what went is there that no row has now."""
    of = scan.sealed[step.case_no]
    hits = [
        f for f in looked.pieces
        if f.case_no == step.case_no and f.piece.dataset == dataset.id and f.piece not in scan.alive
        and (names.table(f.place) in roots or _loose(f.place))
    ]  # fmt: skip
    telling = sum(p.dataset == dataset.id and p not in scan.alive for p in of.pieces)
    if hits and not scan.blind:
        places = ", ".join(sorted({f.place for f in hits})[:5])
        return Verdict.FAILED, len(hits), f"pieces of what went are in the bytes of {places}"
    why = scan.blind if hits else ""
    if not of.of_somebody and dataset.id not in of.empty:
        why = why or (_unclear(looked, (), ()) if telling else NOTHING)
    if why:
        return Verdict.UNVERIFIED, None, why
    if telling:
        return Verdict.PASSED, 0, f"pieces of {telling} values that went were looked for"
    return Verdict.PASSED, 0, EMPTY if dataset.id in of.empty else ""


def _of_people(step: _Step, looked: Looked, roots: Collection[str]) -> Said:
    """Whether a value of the person is there."""
    found = [f for f in looked.found if f.case_no == step.case_no]
    own = _at(found, roots)
    left = [f for f in (*own, *(f for f in found if _loose(f.place))) if not f.kept]
    if pages := sum(f.pages for f in left if f.sure):
        places = ", ".join(sorted({f.place for f in left if f.sure})[:5])
        return Verdict.FAILED, pages, f"values of the person are in the bytes of {places}"
    if why := _unclear(looked, found, left):
        return Verdict.UNVERIFIED, None, why
    remarks = []
    if kept := sum(f.pages for f in own):
        remarks.append(
            f"{kept} pages hold what is kept of the same person by law or order, in files written anew from live rows"
        )
    if not looked.digests:
        remarks.append("digests of values were not looked for: there were too many cases at once")
    return Verdict.PASSED, 0, "; ".join(remarks)


def _unclear(looked: Looked, found: Sequence[Found], left: Sequence[Found]) -> str:
    """Why a pass that found nothing left says nothing; empty if it does."""
    if left:
        return "what may be a part of a longer number stands in its files, and cannot be told apart"
    if looked.unread:
        return f"{len(looked.unread)} files were not read; the first: {looked.unread[0].why}"
    # Statistics say common values of every table. Written anew, they are of live rows: of those that are kept, if there are any.
    kept = any(f.kept for f in found if not f.place.startswith(residue.OURS))
    if _at(found, set(STATISTICS)) and not kept:
        return "statistics hold a value of the person, and nothing of the person is kept"
    return ""


def _loose(place: str) -> bool:
    """Whether a file is no table's."""
    return "/" in place or "." not in names.table(place)


def _at(found: Sequence[Found], tables: Collection[str]) -> list[Found]:
    return [f for f in found if names.table(f.place) in tables]


__all__ = ["KIND", "look"]
