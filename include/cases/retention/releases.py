"""A release by the calendar: what was drawn of people becomes a set in which nobody is found (policy 2.10, 3.4).

One case of our own initiative for each release that has rows enough, about items and nobody in particular, as a night's. All of
the dataset is taken that nobody holds and no case has restricted; pseudonyms go with the rows in one transaction, before
anything is released. Books, proofs and certificate are those of any case: located = anonymised + erased, and *anonymised* is
said of what the prover measured and attacked. If no declared level hides everybody, the rows stay, personal as they are, and
the next release tries.

Every verb may be killed and called again. The originals that the attack knows are kept in memory only: after a kill between
deed and proof the attacker is the one of the yearly test, who knows what can be known by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql

from include.cases import anonymising, book, holds, own_plans, papers, planner
from include.cases.book import Case, Conn
from include.cases.closing import open_backup_track, rest
from include.cases.opening import open_night
from include.cases.provers import record
from include.cases.proving import balance, record_evidence, says_more
from include.cases.retention import stopping
from include.cases.retention.due import look_at
from include.cases.retention.held import HeldPeople, held_people
from include.cases.retention.limits import question
from include.cases.retention.proposals import in_sandbox
from include.cases.retention.release_runs import Run, latest, run_of, shown, under_way
from include.cases.retention.taken import with_taken
from include.cases.rooms import Desk
from include.cases.scrubbing import directory
from include.model.errors import Drifted, NotProved, Refused
from include.model.flow import Evidence, Line, Located, Plan, Step
from include.model.releases import Release
from include.model.words import CaseState, Disposition, Role, Verdict
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Server, one

if TYPE_CHECKING:
    from include.proofs.linkage import Original
    from include.stores.postgres.anonymise.clearing import Free, Releasing

KIND = "release"
"""Of the ledger's entry: what a release located, what was released of it, and what it may be called."""
TRIES = 3  # times that it is located, at most, before a person looks into it


# --- the beginning --------------------------------------------------------------------------------


def begin(desk: Desk, release_id: str, *, as_of: date, actor: str) -> Run | str:
    """Count, by the prover, and open a case; the one that is under way, if there is one. In words, why there is none: too few
    people to hide anybody among. Raises Refused while disposing is stopped, and outside a sandbox while nobody owns the
    figures."""
    release = _declared(desk, release_id)
    desk.are_ours()
    with desk.book() as conn:
        stopping.may_go_on(conn)
        if (there := under_way(conn, release_id)) is not None:
            return there
    free = counted(desk, release, as_of, held_people(desk))
    if free.people < release.k:
        return f"{release_id}: {free.people} people are in it, too few to hide anybody among {release.k}"
    with desk.book() as conn, book.deed(conn, f"release {release_id}"):
        if (there := under_way(conn, release_id)) is not None:
            return there
        case_no = open_night(desk, conn, as_of, actor)
        conn.execute(
            "INSERT INTO casebook.release_run (case_no, release, as_of, located) VALUES (%s, %s, %s, %s)",
            (case_no, release_id, as_of, free.items[release.dataset]),
        )
        book.note(
            conn, case_no, as_of, actor, "release begun", detail={"release": release_id, "rows": free.items[release.dataset]}
        )  # fmt: skip
        return run_of(conn, case_no)


def counted(desk: Desk, release: Release, as_of: date, held: HeldPeople) -> Free:
    """How much of it could be released now, by the prover. Raises NotReachable, CatalogueError."""
    from include.stores.postgres.anonymise import clearing

    server = _prover(desk, release)
    with server.connect() as connection, server.reaching(f"release {release.id}"):
        connection.execute("SET default_transaction_read_only = on")
        looks = _looks(desk, release, as_of, held)(server, connection, Live.read(connection))
        return clearing.count(connection, desk.catalogue, release, looks)


def plan_and_prove(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """Locate, plan, and have the prover count the same. Once something was disposed of, the plan in force stays."""
    from include.proofs import limits

    for attempt in range(TRIES):
        run, release, _case, step, plans = _live(desk, case_no)
        held = held_people(desk)
        room = _room(desk, release, run.as_of, held)
        if plans and room.begun_under(step):
            return "goes on with what was located before"
        located = [x for x in room.locate(step).located if x.items]
        made = planner.plan(step, located, room.lines(step), desk.catalogue.digest, desk.code)
        with desk.book() as conn, book.deed(conn, case_no):
            fingerprint, base = own_plans.planned(
                desk, conn, case_no, made, units_of=made if located else _of_none(room, made), as_of=as_of, actor=actor
            )  # fmt: skip
            book.move(conn, case_no, CaseState.ACTING, base, actor)
            book.note(conn, case_no, as_of, actor, "planned",
                      detail={"plan": fingerprint, "items": sum(x.items for x in located)})  # fmt: skip
        free = counted(desk, release, run.as_of, held)
        found = limits.baseline(desk.catalogue, desk.connections, step, made, free.items)
        try:
            return record(desk, found, as_of=as_of, actor=actor)
        except NotProved:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("the loop returns or raises")


# --- the deed and its proof -----------------------------------------------------------------------


def carry_out(
    desk: Desk, case_no: str, *, as_of: date, actor: str, at: Callable[[str], None] = lambda _: None
) -> str:  # fmt: skip
    """Release, and have somebody else try to find the people again, who keeps some originals in memory meanwhile."""
    release = _live(desk, case_no)[1]
    sample = anonymising.originals(desk, release)
    for attempt in range(TRIES):
        try:
            _dispose(desk, case_no, as_of=as_of, actor=actor, at=at)
            break
        except Drifted:
            if attempt == TRIES - 1:
                raise
            plan_and_prove(desk, case_no, as_of=as_of, actor=actor)
            sample = anonymising.originals(desk, release)
    at("release.disposed")
    return _prove(desk, case_no, sample, as_of=as_of, actor=actor)


def _dispose(desk: Desk, case_no: str, *, as_of: date, actor: str, at: Callable[[str], None]) -> None:
    run, release, case, step, plans = _live(desk, case_no)
    if not plans:
        raise Refused("there is no plan in force", about=case_no, next_step="plan first")
    if run.released is not None:
        return
    with desk.book() as conn, holds.none_unnoticed(conn, case_no):
        room = _room(desk, release, run.as_of, held_people(desk), lambda: stopping.may_go_on(conn), at)
        begun = room.begun_under(step)
        plan = next((p for p in plans if p.fingerprint() == begun), plans[-1])
        room.dispose(step, plan)
        with book.deed(conn, case_no):
            papers.keep_receipts(conn, case, [r for r in room.receipts(step) if r.verb == "dispose"])
        there = {x.dataset for x in plan.located}
        located = [x for x in room.settled(step).located if x.items or x.dataset in there]
        made = planner.plan(step, located, room.lines(step), desk.catalogue.digest, desk.code)
        done = {
            d: sum(x.items for x in made.lines_of(release.dataset) if x.disposition is d) for d in Disposition
        }
        with book.deed(conn, case_no):
            own_plans.carried_out(desk, conn, case_no, made, as_of=as_of, actor=actor)
            conn.execute(
                "UPDATE casebook.release_run SET released = %s, erased = %s, unhidden = %s WHERE case_no = %s",
                (done[Disposition.ANONYMISE], done[Disposition.ERASE], room.unhidden, case_no),
            )
            book.note(conn, case_no, as_of, actor, "released",
                      detail={"release": release.id, "released": done[Disposition.ANONYMISE],
                              "erased": done[Disposition.ERASE]})  # fmt: skip


def _prove(desk: Desk, case_no: str, sample: tuple[Original, ...], *, as_of: date, actor: str) -> str:
    from include import proofs
    from include.proofs import limits

    run, release, _, step, plans = _live(desk, case_no)
    plan = plans[-1]
    due = _still_due(desk, release, run.as_of)
    found = [
        *limits.gone(desk.catalogue, desk.connections, step, plan),
        *proofs.touched(desk.catalogue, desk.connections, step, plan),
        # Rows that came meanwhile are the next release's; of those whose own time is over none is left.
        *limits.left(
            desk.catalogue,
            step,
            plan,
            due,
            due if run.unhidden else {},
            {},
            asked=frozenset((release.dataset,)),
        ),
    ]
    if run.released:
        found.append(anonymising.tried(desk, release, step, sample, directory(desk, _store(desk, release))))
    said = record(desk, found, as_of=as_of, actor=actor)
    _say(desk, case_no, found[-1] if run.released else None)
    return said


def finish(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """Balance the books, and let the case wait for files and backups. Where it stands then."""
    balance(desk, case_no, as_of=as_of, actor=actor)
    open_backup_track(desk, case_no, as_of=as_of, actor=actor)
    state = rest(desk, case_no, as_of=as_of, actor=actor).state.value
    with desk.book() as conn, book.deed(conn, case_no):
        conn.execute(
            "UPDATE casebook.release_run SET ended_at = coalesce(ended_at, clock_timestamp()) WHERE case_no = %s", (case_no,)
        )  # fmt: skip
    return state


def whole(
    desk: Desk, release_id: str, *, as_of: date, actor: str, at: Callable[[str], None] = lambda _: None
) -> Run | str:
    """A release from its beginning to its rest, in one process; or, in words, why there is none."""
    begun = begin(desk, release_id, as_of=as_of, actor=actor)
    if isinstance(begun, str):
        return begun
    plan_and_prove(desk, begun.case_no, as_of=as_of, actor=actor)
    carry_out(desk, begun.case_no, as_of=as_of, actor=actor, at=at)
    finish(desk, begun.case_no, as_of=as_of, actor=actor)
    with desk.book() as conn:
        return run_of(conn, begun.case_no)


def look_again(desk: Desk, *, as_of: date, actor: str) -> tuple[str, ...]:
    """Sets whose old rows still lay in the files when they were tried, tried again: the cases that may be certified further."""
    further = []
    with desk.book() as conn:
        waiting = [
            (run, step)
            for run in latest(conn)
            if run.released and (step := _unshown(conn, run.case_no)) is not None
        ]
    for run, step in waiting:
        release = desk.catalogue.release(run.release)
        found = anonymising.tried(desk, release, step, (), directory(desk, _store(desk, release)))
        if says_more(desk, found):
            record_evidence(desk, found, as_of=as_of, actor=actor, strict=False)
            _say(desk, run.case_no, found)
            if found.verdict is Verdict.PASSED:
                further.append(run.case_no)
    return tuple(further)


def _unshown(conn: Conn, case_no: str) -> Step | None:
    """The step of a case at rest whose set is not shown to be anonymous yet."""
    case = book.case(conn, case_no)
    row = papers.current_step(conn, case, "live")
    if row is None or case.state is not CaseState.WAITING:
        return None
    return None if shown(conn, case_no) is Verdict.PASSED else row.step(case, ())


# --- of which it is made --------------------------------------------------------------------------


def _declared(desk: Desk, release_id: str) -> Release:
    release = desk.catalogue.release(release_id)
    if release.claims != "anonymised" or release.into is None:
        raise Refused(
            "it is de-identified only, or changed in place: no run releases it", about=f"release {release_id}",
            next_step="cases and nights cut what is de-identified (docs/anonymity.md)",
        )  # fmt: skip
    if not (release.threshold.owner and release.threshold.approved_on) and not in_sandbox(desk.connections):
        raise Refused(
            "its figures have no owner or no day of approval", about=f"release {release_id}",
            next_step="give its `threshold` an `owner` and `approved_on`; without them it is made in a sandbox only",
        )  # fmt: skip
    if (
        release.grade is not None
        and not any(g.owned for g in desk.catalogue.grading)
        and not in_sandbox(desk.connections)
    ):
        raise Refused(
            f"it must reach grade {release.grade}, and nobody owns the reading that grades", about=f"release {release_id}",
            next_step="give the entry of grading.yaml its `owner` and `approved_on`; without them it holds in a sandbox only",
        )  # fmt: skip
    return release


def _live(desk: Desk, case_no: str) -> tuple[Run, Release, Case, Step, tuple[Plan, ...]]:
    desk.are_ours()
    with desk.book() as conn:
        case, run = book.case(conn, case_no), run_of(conn, case_no)
        with book.deed(conn, case_no):
            row = papers.open_step(conn, case, "live", run.as_of, restricting=False)
        return run, _declared(desk, run.release), case, row.step(case, ()), papers.plans(conn, case, "live")


Looks = Callable[[Server, Connection, Live], Mapping[str, Look]]


def _looks(desk: Desk, release: Release, as_of: date, held: HeldPeople) -> Looks:
    from include.stores.postgres.anonymise.clearing import everybody, restricted

    def looks(server: Server, connection: Connection, live: Live) -> Mapping[str, Look]:
        kept = restricted(connection)
        catalogue = with_taken(desk.catalogue, desk.connections)
        return {
            d: everybody(
                look_at(catalogue, server, connection, live, question(catalogue, catalogue.dataset(d), as_of), held),
                kept,
            )
            for d in (release.dataset, *release.pseudonyms)
        }  # fmt: skip

    return looks


def _still_due(desk: Desk, release: Release, as_of: date) -> dict[str, int]:
    """How many of its rows are past their own limits, held by nobody and restricted by no case, as the prover counts."""
    from include.stores.postgres.anonymise.clearing import restricted

    held, catalogue = held_people(desk), with_taken(desk.catalogue, desk.connections)
    dataset = catalogue.dataset(release.dataset)
    server = _prover(desk, release)
    with server.connect() as connection, server.reaching(f"release {release.id}"):
        connection.execute("SET default_transaction_read_only = on")
        look = look_at(
            catalogue,
            server,
            connection,
            Live.read(connection),
            question(catalogue, dataset, as_of),
            held,
        )
        free = replace(look, held=tuple(sorted({*look.held, *restricted(connection)})))
        (n,) = one(
            connection.execute(
                sql.SQL("SELECT count(*) FROM ({}) AS w").format(free.due_rows(sql.SQL("true")))
            )
        )
    return {dataset.id: int(n)}


def _store(desk: Desk, release: Release) -> str:
    return desk.catalogue.dataset(release.dataset).store


def _prover(desk: Desk, release: Release) -> Server:
    declared = desk.catalogue.store(_store(desk, release))
    return Server(lambda: desk.connections.postgres(declared.connection, Role.PROVER), declared.id)


def _room(
    desk: Desk, release: Release, as_of: date, held: HeldPeople, may_go_on: Callable[[], None] = lambda: None,
    at: Callable[[str], None] = lambda _: None,
) -> Releasing:  # fmt: skip
    from include.stores.postgres.anonymise.clearing import Releasing

    law = "; ".join(dict.fromkeys(b.cite for b in desk.catalogue.rule(release.rule).basis))
    return Releasing(
        desk.catalogue, _store(desk, release), desk.connections,
        _looks(desk, release, as_of, held), lambda _look, groups: [(release.rule, law)] * len(groups),
        may_go_on=may_go_on, at=at, release=release,
    )  # fmt: skip


def _of_none(room: Releasing, made: Plan) -> Plan:
    """A plan of no items with a line for each of its datasets, so that the case has something that ends."""
    of = room.release
    lines = [
        Line(dataset=d, disposition=Disposition.ERASE, items=0, rule=of.rule, law="PIPL 73(4)")
        for d in (of.dataset, *of.pseudonyms)
    ]
    none = [Located(dataset=x.dataset, items=0, digest="0" * 32) for x in lines]
    return made.model_copy(update={"lines": tuple(lines), "located": tuple(none)})


def _say(desk: Desk, case_no: str, found: Evidence | None) -> None:
    with desk.book() as conn:
        run = run_of(conn, case_no)
    release = desk.catalogue.release(run.release)
    word = (
        anonymising.word(release, found) if found is not None else "not released: still personal (PIPL 73(3))"
    )
    body = {
        "release": run.release, "case": case_no, "as_of": run.as_of.isoformat(), "located": run.located,
        "released": run.released, "erased": run.erased, "why": run.unhidden, "called": word,
        "checks": [] if found is None else [
            {"name": c.name, "verdict": c.verdict.value, "expected": c.expected, "observed": c.observed} for c in found.checks
        ],
    }  # fmt: skip
    desk.record(KIND, case_no, body, f"{KIND}:{case_no}:{found.fingerprint()[:32] if found else 'none'}")
