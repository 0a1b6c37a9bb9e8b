"""Why is this still here, or why did it go: of one person, or of one row, whoever has a case or not.

Each group of items is told with its interval: the first day on which it may lawfully go, the last on which it may still be
there, and the rule and law that set each; with the holds that keep it, and what cases did. Of a row that is gone it is told by
which case or night it went while that is at work, and afterwards which may have taken it, for no book keeps keys. The asker
typed an account or a key; neither is in an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from psycopg import sql

from include.cases import book, papers, sealing, subjects
from include.cases.book import Conn
from include.cases.discretion import LAW, WAITS_FOR, Discretion
from include.cases.keys import Purpose
from include.cases.retention import records
from include.cases.retention.due import Judged, ask, judge
from include.cases.retention.held import HeldPeople, held_people
from include.cases.retention.limits import question
from include.cases.retention.stopped import stopped
from include.cases.rooms import Desk
from include.cases.scopes import HoldOrder
from include.model.catalogue import Catalogue
from include.model.errors import QuietusError, Refused
from include.model.estate import Dataset
from include.model.interval import Bounded, Interval, Standing, collided
from include.model.retention import Question
from include.model.times import prc_date
from include.model.words import DatasetKind, Role
from include.stores.postgres.area import Area
from include.stores.postgres.retention.look import ROWS, Look, look
from include.stores.postgres.retention.whose import whose
from include.stores.postgres.server import Connection, Server, name
from include.stores.s3.once import Once

Key = tuple[str, ...]
NOT_ASKED = "not looked at: only tables were asked for"
SHOWN = 20  # of the cases that took rows of a dataset, the last


@dataclass(frozen=True)
class Stands:
    """Items of one dataset that stand alike. ``holds``: those that keep them; an empty ``earliest`` is said in ``until_then``."""

    dataset: str
    items: int
    stands: str
    earliest: date | None
    until_then: str
    latest: date | None
    by_then: str
    holds: tuple[str, ...] = ()

    def told(self) -> dict[str, object]:
        return {
            "dataset": self.dataset, "items": self.items, "stands": self.stands, "earliest": self.earliest,
            "earliest by": self.until_then, "last day": self.latest, "last day by": self.by_then,
            "holds": list(self.holds),
        }  # fmt: skip


@dataclass(frozen=True)
class Took:
    """What a case did to items of a dataset, by receipts. ``on``: the day of the last of them."""

    case_no: str
    ground: str
    dataset: str
    what: str
    items: int
    on: date


@dataclass
class Why:
    """``took``: of a person, what cases about them did; of a row that is gone, the case that took it, or those that may have.
    ``sure``: the one took it."""

    stands: list[Stands] = field(default_factory=list)
    cases: list[dict[str, object]] = field(default_factory=list)
    took: list[Took] = field(default_factory=list)
    sure: bool = True
    unverified: dict[str, str] = field(default_factory=dict)


def of_person(desk: Desk, account_id: str, told: Discretion, as_of: date, *, files: bool = True) -> Why:
    """How everything of one person stands, and what cases did to it. Raises Refused for what is no account id. ``files``: objects
    and shared files, too, for which buckets are listed and logs read."""
    people = (subjects.screened(account_id),)
    found = Why()
    held = held_people(desk)
    catalogue = stopped(desk).in_parts
    looked = _look(desk, catalogue, as_of, held, people, None, files=files)
    found.unverified = looked.unverified
    for dataset in catalogue.datasets:
        if dataset.kind is DatasetKind.RECORDS:
            _records(desk, catalogue, dataset, as_of, held, people, looked, files=files)
    found.stands = [_stands(it, looked.holds.get(it.dataset, ()), told, as_of) for it in looked.judged]
    with desk.book() as conn:
        numbers = _cases_of(conn, desk, account_id)
        for number in numbers:
            case = told.case(book.case(conn, number))
            found.cases.append(
                {"case": number, "state": case.state.value, "ground": case.ground.value, "opened": prc_date(case.received_at)}
            )  # fmt: skip
            found.took += _took(conn, number)
    return found


def of_row(desk: Desk, dataset_id: str, key: Key, told: Discretion, as_of: date) -> Why:
    """How one row of a table stands; of one that is gone, by which case it went. Raises Refused if it is no table, or no key
    of it; NotReachable."""
    catalogue = stopped(desk).in_parts
    dataset = next(
        (d for d in catalogue.datasets if d.id == dataset_id and d.kind is DatasetKind.TABLE), None
    )
    if dataset is None:
        raise Refused(
            "there is no such table", about=dataset_id, next_step="name one of `quietus catalogue matrix`"
        )
    if len(key) != len(dataset.key):
        raise Refused(
            f"its key has {len(dataset.key)} columns: {', '.join(dataset.key)}", about=dataset_id,
            next_step="give a --key for each, in this order",
        )  # fmt: skip
    held = held_people(desk)
    looked = _look(desk, catalogue, as_of, held, (), key, only=dataset)
    found = Why(unverified=looked.unverified)
    found.stands = [_stands(it, looked.holds.get(it.dataset, ()), told, as_of) for it in looked.judged]
    if not found.stands and not found.unverified:
        _gone(desk, dataset, key, found)
    return found


# --- how it stands ------------------------------------------------------------------------------------


@dataclass
class _Looked:
    judged: list[Judged] = field(default_factory=list)
    holds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unverified: dict[str, str] = field(default_factory=dict)


def _look(
    desk: Desk, catalogue: Catalogue, as_of: date, held: HeldPeople, people: Sequence[str], key: Key | None, *,
    only: Dataset | None = None, files: bool = False,
) -> _Looked:  # fmt: skip
    found = _Looked()

    def one(server: Server, connection: Connection, it: Look) -> str | None:
        theirs = whose(it, people, key)
        judged = list(
            judge(catalogue, it.dataset, as_of, look(server, connection, theirs, ROWS), everything=True)
        )
        found.judged += judged
        if any(x.held for x in judged):
            found.holds[it.dataset.id] = tuple(
                o.number for o in held.covering(it.dataset, *catalogue.opened_by(it.dataset.id))
                if _holds(server, connection, theirs, o, held)
            )  # fmt: skip
        return None

    def questions(dataset: Dataset) -> Question | None:
        if (only is not None and dataset.id != only.id) or (
            dataset.kind is not DatasetKind.TABLE and not files
        ):
            return None
        return question(catalogue, dataset, as_of, everything=True, bare=True)

    found.unverified = ask(catalogue, desk.connections, questions, held, one, once=Once())
    if only is None and not files:
        found.unverified |= {d.id: NOT_ASKED for d in catalogue.datasets if d.kind is DatasetKind.OBJECTS}
    return found


def _holds(server: Server, connection: Connection, it: Look, hold: HoldOrder, held: HeldPeople) -> bool:
    """Whether one hold keeps something of what is looked at."""
    came = frozenset(held.released).union(*(o.scope.came for o in held.orders))
    alone = replace(
        it, held=tuple(sorted(held.people[hold.number])), everybody_held=hold.scope.everybody,
        released=tuple(sorted(came - hold.scope.came)),
    )  # fmt: skip
    return any(group.held for group in look(server, connection, alone, ROWS))


def _records(
    desk: Desk, catalogue: Catalogue, dataset: Dataset, as_of: date, held: HeldPeople, people: Sequence[str],
    looked: _Looked, *, files: bool,
) -> None:  # fmt: skip
    if not files:
        looked.unverified[dataset.id] = NOT_ASKED
        return
    try:
        # Asked as if a hold named this person and nobody else: what is held is theirs.
        asked = replace(
            records.aging(catalogue, dataset, as_of, held), held=frozenset(people), everybody=False
        )
        groups, said = records.groups(records.logs(catalogue, desk.connections, asked))
        theirs = [x for x in judge(catalogue, dataset, as_of, groups, everything=True) if x.held]
    except QuietusError as error:
        looked.unverified[dataset.id] = str(error)
        return
    if said:
        looked.unverified[dataset.id] = said[0]
    holds = tuple(
        o.number for o in held.covering(dataset)
        if o.scope.everybody or not held.people[o.number].isdisjoint(people)
    )  # fmt: skip
    looked.judged += (replace(x, held=bool(holds)) for x in theirs)
    looked.holds[dataset.id] = holds


def _stands(it: Judged, holds: Iterable[str], told: Discretion, as_of: date) -> Stands:
    found = it.interval
    stands = found.stands(as_of)
    if it.held:
        named = tuple(sorted(n for n in holds if n not in told.hidden))
        if not named:
            return Stands(it.dataset, it.items, Standing.KEPT.value, None, f"{LAW}: {WAITS_FOR}", None, "")
        return replace(_plain(it, found, "held"), holds=named)
    return _plain(it, found, stands.value)


def _plain(it: Judged, found: Interval, stands: str) -> Stands:
    if found.conflict:
        return Stands(it.dataset, it.items, stands, None, collided(found.conflict), None, "")
    until_then = "no law keeps it"
    if found.kept_by is not None:
        until_then = _said(found.kept_by) + ("; its clock has not started" if found.waiting else "")
    by_then = "nothing sets one"
    if found.ended_by is not None:
        by_then = _said(found.ended_by) + ("" if found.latest else "; its clock has not started")
    return Stands(it.dataset, it.items, stands, found.earliest, until_then, found.latest, by_then)


def _said(limit: Bounded) -> str:
    return f"{limit.name}: company period" if limit.company else f"{limit.name}: {limit.law}"


# --- what was done ------------------------------------------------------------------------------------


def _cases_of(conn: Conn, desk: Desk, account_id: str) -> list[str]:
    """Every case about this person, open or not, by the tokens that are left."""
    tokens = sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
    rows = conn.execute(
        "SELECT DISTINCT case_no FROM casebook.case_subject WHERE token = ANY(%s) ORDER BY case_no",
        (list(tokens.values()),),
    ).fetchall()
    return [str(r["case_no"]) for r in rows]


def _took(conn: Conn, case_no: str, dataset: str | None = None) -> Iterator[Took]:
    case = book.case(conn, case_no)
    counted: dict[tuple[str, str], tuple[int, date]] = {}
    for step in papers.planned(conn, case):
        for receipt in step.receipts:
            for place, words in receipt.counts.items():
                for word, items in words.items():
                    if items and word.partition("@")[0] in PAST and dataset in (None, place):
                        before = counted.get((place, word), (0, date.min))
                        counted[place, word] = (before[0] + items, max(before[1], prc_date(receipt.done_at)))
    for (place, word), (items, on) in sorted(counted.items()):
        yield Took(case_no, case.ground.value, place, word, items, on)


PAST = frozenset({"erased", "deidentified", "anonymised", "transferred", "unlinked"})


def _gone(desk: Desk, dataset: Dataset, key: Key, found: Why) -> None:
    """By which case a row went that is not there. A step's area names its keys until the step is closed; afterwards nobody
    knows of a single row, and the cases that took rows of the table are told."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT s.step_id, s.case_no, s.closed_at IS NULL AS open FROM casebook.step s WHERE s.kind = 'live' AND EXISTS ("
            "SELECT FROM casebook.receipt r WHERE r.step_id = s.step_id AND r.verb = 'dispose' AND r.body -> 'counts' ? %s)"
            " ORDER BY s.opened_at DESC",
            (dataset.id,),
        ).fetchall()
        named = next((r for r in rows if r["open"] and _named(desk, dataset, key, str(r["step_id"]))), None)
        found.sure = named is not None
        cases = [named] if named is not None else rows
        for number in list(dict.fromkeys(str(r["case_no"]) for r in cases))[:SHOWN]:
            found.took += _took(conn, number, dataset.id)


def _named(desk: Desk, dataset: Dataset, key: Key, step_id: str) -> bool:
    """Whether a step's area has this key."""
    store = desk.catalogue.store(dataset.store)
    server = Server(lambda: desk.connections.postgres(store.connection, Role.PROVER), store.id)
    area = Area.of(step_id)
    match = sql.SQL(" AND ").join(sql.SQL("{}::text = %s").format(name("k", c)) for c in dataset.key)
    with server.connect() as connection, server.reaching(f"{store.id} {dataset.id}"):
        connection.execute("SET default_transaction_read_only = on")
        there = connection.execute("SELECT to_regclass(%s)", [f'"{area.schema}"."{dataset.id}"']).fetchone()
        if there is None or there[0] is None:
            return False
        found = connection.execute(
            sql.SQL("SELECT FROM {} AS k WHERE {} LIMIT 1").format(sql.Identifier(area.schema, dataset.id), match), list(key)
        ).fetchone()  # fmt: skip
    return found is not None
