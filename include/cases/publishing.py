"""The gate: nothing leaves as a set that names nobody but through here, tried for re-identification at that very moment.

Policy 2.10 (results of research), 3.3 (statistics), 3.4 (use beyond our purposes): what is given out is written by the prover,
who measures and attacks the set first, under the lock by which releases wait for each other, and counts it once more in the very
snapshot in which it is written: what was tried is what is given out. Refused is what is only de-identified, what no case ever
released, what somebody is found in, what could not be tried, and a set whose originals may still lie in the files. Each file's
digest is in the book and in the ledger, so that whoever finds one can ask whether it came this way.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row

from include.cases import book
from include.cases.book import Conn, checked_actor
from include.cases.retention import release_runs
from include.cases.rooms import Desk
from include.model.errors import NotProved, NotReachable, Refused
from include.model.estate import NotPersonal
from include.model.releases import Release
from include.model.words import Role, Verdict

if TYPE_CHECKING:
    from include.proofs.anonymity import Measured
    from include.proofs.retest import Retested
    from include.proofs.server import Connection, Reader

KIND = "publication"
"""Of the ledger's entry."""
OURS = (Role.ERASER, Role.PROVER, Role.MAINTAINER, Role.GATEKEEPER, Role.PLANTER, Role.CUSTODIAN)
"""The duties in a company's store: what these read, they read for a case."""


@dataclass(frozen=True)
class Publication:
    """One row of ``casebook.publication``."""

    number: int
    what: str
    recipient: str
    purpose: str
    document: str
    sha256: str
    rows: int
    report: dict[str, Any]
    as_of: date
    published_at: datetime
    published_by: str


def publish(
    desk: Desk, what: str, out: Path, *, recipient: str, purpose: str, document: str, as_of: date, actor: str
) -> Publication:  # fmt: skip
    """Try the set, and write it to a file that only its owner may read. Raises Refused, with nothing written, for what may not
    leave; NotProved, naming the checks, if somebody is found or it could not be tried."""
    for name, said in (("recipient", recipient), ("purpose", purpose), ("document", document)):
        if not said.strip():
            raise Refused(f"nothing says the {name}", about=what, next_step=f"name the {name}, and no person")
    if out.exists():
        raise Refused("there is a file of that name", about=str(out), next_step="give another name")
    it = _of(desk, what)
    reader = _reader(desk, it)
    with _standing_still(reader, it.id if isinstance(it, Release) else what):
        if isinstance(it, Release):
            _made_by_a_case(desk, it)
        before = _digest_now(reader, it)
        tried = _tried(desk, it)
        if tried.verdict is not Verdict.PASSED or tried.why:
            bad = ", ".join(f"{c.name} ({c.why})" for c in tried.wrong) or tried.why
            raise NotProved(
                f"it is not given out: {bad}", about=what,
                next_step="see docs/anonymity.md; a set in which somebody is found is personal data again",
            )  # fmt: skip
        with _written(desk, reader, it, out) as (path, digest, rows, counted):
            if (counted, digest) != (tried.measured, before):
                raise NotProved(
                    "it changed while it was tried", about=what,
                    next_step="nothing is given out; try again when nobody writes to it",
                )  # fmt: skip
            made = _keep(
                desk, what, tried, digest, rows, recipient=recipient, purpose=purpose, document=document, as_of=as_of, actor=actor
            )  # fmt: skip
            path.replace(out)
    return made


def published(conn: Conn, sha256: str | None = None) -> list[Publication]:
    """What was given out, newest first; ``sha256``: of that file."""
    with conn.cursor(row_factory=class_row(Publication)) as cursor:
        return cursor.execute(
            "SELECT * FROM casebook.publication WHERE %(d)s::text IS NULL OR sha256 = %(d)s ORDER BY number DESC",
            {"d": sha256},
        ).fetchall()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises Refused if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refused(
            f"it cannot be read: {error.strerror}", about=str(path), next_step="name a file"
        ) from None


def who_else_reads(desk: Desk) -> dict[str, tuple[str, ...]]:
    """Of every anonymised release, the roles that may read past the gate and are not declared to."""
    from include.proofs import readers

    return {
        r.id: readers.undeclared(desk.catalogue, _reader(desk, r), r, _our_log_ins(desk, r))
        for r in desk.catalogue.releases
        if r.claims == "anonymised"
    }


def _our_log_ins(desk: Desk, release: Release) -> frozenset[str]:
    """Of the connections that are declared for the release's store. A role without one is no role of ours."""
    store = desk.catalogue.store(desk.catalogue.dataset(release.dataset).store)
    found = set()
    for role in OURS:
        try:
            found.add(
                str(conninfo_to_dict(desk.connections.postgres(store.connection, role)).get("user", ""))
            )
        except Refused:
            continue
    return frozenset(found - {""})


# --- what may leave -------------------------------------------------------------------------------


def _of(desk: Desk, what: str) -> Release | NotPersonal:
    for release in desk.catalogue.releases:
        if what in (release.id, release.into, release.dataset):
            if release.claims != "anonymised" or what == release.dataset:
                raise Refused(
                    "it is de-identified only, so personal, and leaves by no gate (PIPL 73(3))", about=what,
                    next_step="publish a set that was released as anonymised, or ask for consent (PIPL 23)",
                )  # fmt: skip
            if release.into is None:
                raise Refused(
                    "its rows were changed in place, beside those that were not", about=what,
                    next_step="release it into a table of its own",
                )  # fmt: skip
            return release
    for place in desk.catalogue.not_personal:
        if what == place.address and place.at_least and place.columns:
            return place
    raise Refused(
        "nothing of that name may be given out", about=what,
        next_step="name a release that is anonymised, or statistics with `columns` and `at_least` in not_personal.yaml",
    )  # fmt: skip


def _made_by_a_case(desk: Desk, release: Release) -> None:
    """Every release of the set was proved, to the bytes of the old files, and none is on its way."""
    with desk.book() as conn:
        if (open_ := release_runs.under_way(conn, release.id)) is not None:
            raise NotProved(
                f"the release of {open_.as_of} is under way, and its rows are not proved", about=release.id,
                next_step=f"let {open_.case_no} come to its rest (`quietus anonymity release {release.id}` goes on with it)",
            )  # fmt: skip
        runs = [r for r in release_runs.latest(conn, release.id) if r.released]
        if not runs:
            raise Refused(
                "no release of it was made and tried", about=release.id,
                next_step=f"`quietus anonymity release {release.id}`, or the DAG anonymised_releases",
            )  # fmt: skip
        for run in runs:
            if (said := release_runs.shown(conn, run.case_no)) is not Verdict.PASSED:
                raise NotProved(
                    f"the release of {run.as_of} is {said or 'not tried'}: its originals may still be read", about=release.id,
                    next_step="run table_scrub, then `quietus anonymity look-again`; what failed is in the case's findings",
                )  # fmt: skip


def _tried(desk: Desk, it: Release | NotPersonal) -> Retested:
    from include.proofs.retest import recount, retest

    if isinstance(it, Release):
        return retest(desk.catalogue, desk.connections, it)
    return recount(desk.catalogue, desk.connections, it)


# --- the file -------------------------------------------------------------------------------------


def _reader(desk: Desk, it: Release | NotPersonal) -> Reader:
    from include.proofs.server import Reader

    store = desk.catalogue.store(
        it.store if isinstance(it, NotPersonal) else desk.catalogue.dataset(it.dataset).store
    )
    return Reader.of(desk.connections, store.id, store.connection)


@contextmanager
def _standing_still(reader: Reader, what: str) -> Iterator[None]:
    """No release of the set is made meanwhile. Raises NotReachable while one is under way."""
    with reader.reaching(), reader.connect() as connection:
        try:
            connection.execute(
                "SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", [f"quietus release {what}"]
            )
        except psycopg.errors.LockNotAvailable:
            raise NotReachable("a release of it is under way", about=what, next_step="try again") from None
        yield


@contextmanager
def _written(
    desk: Desk, reader: Reader, it: Release | NotPersonal, out: Path
) -> Iterator[tuple[Path, str, int, Measured | None]]:  # fmt: skip
    """The set as CSV beside ``out``, rows in the order of their values: equal sets are equal files. It is counted in the very
    snapshot in which it is written: of a release, what was measured. Raises NotProved for a row that counts too few."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise Refused(
            f"it cannot be written: {error.strerror}", about=str(out), next_step="name a place"
        ) from None
    path, digest, rows = Path(name), hashlib.sha256(), -1  # the first line is the header
    try:
        with os.fdopen(handle, "wb") as file, _snapshot(reader) as connection:
            with connection.cursor().copy(_statement(it)) as copy:
                for part in copy:
                    digest.update(part)
                    rows += 1
                    file.write(part)
            counted = _counted(desk, reader, it, connection)
            file.flush()
            os.fsync(file.fileno())
        yield path, digest.hexdigest(), rows, counted
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _snapshot(reader: Reader) -> Iterator[Connection]:
    with reader.reaching(), reader.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield connection


def _counted(
    desk: Desk, reader: Reader, it: Release | NotPersonal, connection: Connection
) -> Measured | None:
    from include.proofs.anonymity import measure
    from include.proofs.server import Standing

    if isinstance(it, Release):
        return measure(Standing.on(reader, connection), desk.catalogue.dataset(it.dataset), it)
    for column, least in sorted(it.at_least.items()):
        few = connection.execute(
            sql.SQL("SELECT count(*) FROM {} AS t WHERE t.{at} IS NULL OR t.{at} < {n}").format(
                sql.Identifier(*it.address.split(".")), at=sql.Identifier(column), n=sql.Literal(least)
            )
        ).fetchone()
        if few != (0,):
            raise NotProved(
                f"it is not given out: rows count fewer than {least} people in {column}", about=it.address,
                next_step="see docs/anonymity.md",
            )  # fmt: skip
    return None


def _digest_now(reader: Reader, it: Release | NotPersonal) -> str:
    """Of the file that it would be now."""
    digest = hashlib.sha256()
    with _snapshot(reader) as connection, connection.cursor().copy(_statement(it)) as copy:
        for part in copy:
            digest.update(part)
    return digest.hexdigest()


def _statement(it: Release | NotPersonal) -> sql.Composed:
    columns = sorted(it.published if isinstance(it, Release) else it.columns)
    address = (it.into if isinstance(it, Release) else it.address) or ""
    names = sql.SQL(", ").join(sql.Identifier(c) for c in columns)
    return sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT (FORMAT csv, HEADER)").format(
        names, sql.Identifier(*address.split(".")), names
    )


def _keep(
    desk: Desk, what: str, tried: Retested, digest: str, rows: int, *, recipient: str, purpose: str, document: str,
    as_of: date, actor: str,
) -> Publication:  # fmt: skip
    it = tried.measured
    report: dict[str, Any] = {
        "verdict": tried.verdict.value, "tries": tried.tries, "grade": tried.grade, "graded": tried.graded,
        "measured": None if it is None else {
            "rows": it.rows, "classes": it.classes, "k": it.k, "l": dict(it.l),
            "t_thousandths": {c: round(t * 1000) for c, t in it.t.items()},
        },
        "checks": [
            {"name": c.name, "verdict": c.verdict.value, "expected": c.expected, "observed": c.observed} for c in tried.checks
        ],
    }  # fmt: skip
    body = {
        "set": what, "sha256": digest, "rows": rows, "recipient": recipient, "purpose": purpose, "document": document,
        "as_of": as_of.isoformat(), "by": actor, "test": report,
    }  # fmt: skip
    with desk.book() as conn, book.deed(conn, f"publication of {what}"):
        made = conn.execute(
            "INSERT INTO casebook.publication (what, recipient, purpose, document, sha256, rows, report, as_of, published_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING number",
            (
                what,
                recipient,
                purpose,
                document,
                digest,
                rows,
                json.dumps(report),
                as_of,
                checked_actor(actor),
            ),
        ).fetchone()
        assert made is not None  # noqa: S101  RETURNING gives the row that was inserted
        desk.record(KIND, None, body, f"{KIND}:{made['number']}")
        return published(conn)[0]
