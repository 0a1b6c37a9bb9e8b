"""T0: collection is closed, proved by another role, and given back if the order is withdrawn.

What is taken is written down before it is taken; so whatever instant it is killed at, the next run takes the rest and nothing is
taken that could not be given back. Databases by the *gatekeeper*, buckets by the *eraser*; looked at by the *prover*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import begun, needles, orders, tellings, who_asked
from include.cases.shutdown.dates import Gate, Path
from include.cases.shutdown.disposing import under_way
from include.cases.shutdown.orders import COMPANY, Order
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import NotProved, NotReachable, QuietusError, Refused
from include.model.estate import StoreDeclared
from include.model.shutdown import Looked, Picture, Right
from include.model.words import DatasetKind, Role, StoreKind, Verdict
from include.stores.postgres.collection import Writing
from include.stores.postgres.live import Live
from include.stores.postgres.server import Server
from include.stores.s3.collection import Puts

OURS = (Role.ERASER, Role.PROVER, Role.MAINTAINER, Role.PLANTER, Role.GATEKEEPER)
At = Callable[[str], None]
P = ParamSpec("P")
R = TypeVar("R")


def nothing(_: str) -> None:
    """Nobody waits for a named point."""


@dataclass(frozen=True)
class Proof:
    """What was seen after T0, store by store."""

    order: str
    looked: tuple[Looked, ...]

    @property
    def verdict(self) -> Verdict:
        if any(x.grew or x.writers for x in self.looked):
            return Verdict.FAILED
        return Verdict.UNVERIFIED if any(x.unasked for x in self.looked) else Verdict.PASSED

    def __str__(self) -> str:
        said = []
        for x in self.looked:
            said += [f"{place} grew by {n} since T0" for place, n in sorted(x.grew.items())]
            said += [f"{role} can still write {place}" for role, place in x.writers]
            said += [f"UNVERIFIED {place}: {why}" for place, why in sorted(x.unasked.items())]
            if x.mighty:
                said.append(f"{x.store}: no right stops its {len(x.mighty)} superusers")
        return f"{self.order}: {self.verdict}" + "".join(f"; {s}" for s in said)


def _one_at_a_time(
    verb: Callable[Concatenate[Desk, str, P], R],
) -> Callable[Concatenate[Desk, str, P], R]:
    """Closing and withdrawing an order take turns: what one takes while the other gives back would be taken for good. Raises
    NotReachable if it takes the other too long."""

    @wraps(verb)
    def alone(desk: Desk, number: str, /, *args: P.args, **more: P.kwargs) -> R:
        with desk.book() as conn:
            try:
                conn.execute(
                    "SELECT pg_advisory_lock(hashtextextended('casebook.shutdown ' || %s, 0))", (number,)
                )
            except psycopg.OperationalError:
                raise NotReachable(
                    "it is being closed or withdrawn by somebody else", about=number, next_step="try again once that ended"
                ) from None  # fmt: skip
            try:
                return verb(desk, number, *args, **more)
            finally:
                if not (conn.closed or conn.broken):
                    conn.execute(
                        "SELECT pg_advisory_unlock(hashtextextended('casebook.shutdown ' || %s, 0))",
                        (number,),
                    )

    return alone


# --- close ------------------------------------------------------------------------------------------


@_one_at_a_time
def close(
    desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str, at: At = nothing
) -> Order:  # fmt: skip
    """Take every right to write of what the order is about. Again takes what came back since. Raises Refused before T0, or
    while a gate is not done, nobody takes over or people were told of another T0, with nothing taken; a revoked licence waits
    for none of it."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, of):
        if of.closed_on is None:
            _may_be_closed(desk, conn, of, as_of)
        if of.closing_at is None:
            conn.execute(
                "UPDATE casebook.shutdown_order SET closing_at = clock_timestamp() WHERE number = %s", (number,)
            )  # fmt: skip
            orders.say(desk, conn, number, "closing begun", as_of, actor, {"t0": of.t0.isoformat()})
    at("shutdown.close.begun")
    for store in _stores(desk, of):
        _take(desk, of, store, at)
    with orders.deed(desk, number) as (conn, of):
        if of.closed_on is None:
            _may_be_closed(
                desk, conn, of, as_of
            )  # a gate may have been put right meanwhile, or the successor gone
            rights = len(taken(conn, number))
            orders.passed(conn, number, Gate.CLOSED, of.t0, as_of, paper, actor)
            conn.execute(
                "UPDATE casebook.shutdown_order SET closed_on = %s WHERE number = %s", (as_of, number)
            )
            detail = {"document": paper.number, "digest": paper.digest, "rights_taken": rights}
            orders.say(desk, conn, number, orders.COLLECTION_CLOSED, as_of, actor, detail)
        return orders.order(conn, number)


def _may_be_closed(desk: Desk, conn: Conn, of: Order, as_of: date) -> None:
    """Raises Refused before T0, and while something must come first."""
    orders.days(conn, of).closable(as_of)
    if wanting := missing(desk, conn, of):
        raise Refused("; ".join(wanting), about=of.number, next_step=" ".join(wanting.values()))


def missing(desk: Desk, conn: Conn, of: Order) -> dict[str, str]:
    """What must come before T0, whatever its day: each with what to do. A revoked licence waits for none of it."""
    if of.path is not Path.VOLUNTARY:
        return {}
    wanting = {
        f"not done yet: {g}": "Record it with its document."
        for g in orders.days(conn, of).open if g is not Gate.CLOSED
    }  # fmt: skip
    if orders.reached(desk.catalogue) and (why := _not_told(conn, of)):
        wanting[why] = "Run `quietus shutdown notify-people`, which tells whoever does not know it yet."
    if of.successor is None and of.ministry_asked_on is None:
        wanting["nobody takes over"] = "Name a successor, or ask the ministry to arrange one."
    return wanting


def _not_told(conn: Conn, of: Order) -> str:
    """Why people do not all know on which day it stops; nothing: they do."""
    last = next(iter(tellings.heard(conn, of.number, of.successor)), None)
    if last is None:
        return "nobody was told"
    if last.t0 != of.t0:
        return f"people were told that it stops on {last.t0}, and it stops on {of.t0}"
    return "" if last.whole_on else f"only {last.heard:,} people were told that it stops on {of.t0}"


def _take(desk: Desk, of: Order, store: StoreDeclared, at: At) -> None:
    if store.kind is StoreKind.POSTGRES:
        writing = _writing(desk, of, store, Role.GATEKEEPER)
        _write_down(desk, of.number, store.id, writing.rights())
        at("shutdown.close.written_down")
        with desk.book() as conn:
            known = taken(conn, of.number, store.id)
        picture = writing.take(known)
        counter = _writing(desk, of, store, Role.PROVER).counter()
        picture = picture.model_copy(update={"counter": counter})
    else:
        puts = _puts(desk, of, store)
        _write_down(desk, of.number, store.id, puts.rights())
        at("shutdown.close.written_down")
        picture = puts.take()
    at("shutdown.close.taken")
    with desk.book() as conn, book.deed(conn, of.number):
        conn.execute(
            "INSERT INTO casebook.shutdown_picture (number, store, picture) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (of.number, store.id, Jsonb(picture.model_dump(mode="json"))),
        )


def _write_down(desk: Desk, number: str, store: str, rights: tuple[Right, ...]) -> None:
    with orders.deed(desk, number) as (conn, _), conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.shutdown_taken (number, store, place, part, privilege, grantor, grantee, grantable)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (number, store, place, part, privilege, grantor, grantee)"
            " DO UPDATE SET grantable = excluded.grantable, given_back_at = NULL",
            [
                (number, store, r.place, r.part, r.privilege, r.grantor, r.grantee, r.grantable)
                for r in rights
            ],
        )


def taken(conn: Conn, number: str, store: str | None = None) -> tuple[Right, ...]:
    """What was taken, or written down to be, and not given back."""
    rows = conn.execute(
        "SELECT place, part, privilege, grantor, grantee, grantable FROM casebook.shutdown_taken"
        " WHERE number = %s AND (%s::text IS NULL OR store = %s) AND given_back_at IS NULL ORDER BY taken_id",
        (number, store, store),
    ).fetchall()
    return tuple(Right(**r) for r in rows)


# --- prove ------------------------------------------------------------------------------------------


def prove(desk: Desk, number: str, *, as_of: date, actor: str) -> Proof:
    """Look at every store as another role: nothing was written since T0, and nobody can write. Said in the book and in the
    ledger, whatever it is. Raises Refused if collection is not closed."""
    with desk.book() as conn:
        of = orders.order(conn, number)
        pictures = {
            r["store"]: Picture.model_validate(r["picture"])
            for r in conn.execute(
                "SELECT store, picture FROM casebook.shutdown_picture WHERE number = %s", (number,)
            )
        }
    if of.closed_on is None or not of.in_force:
        raise Refused(
            "collection is not closed", about=number, next_step="use `quietus shutdown close-collection` on T0"
        )  # fmt: skip
    proof = Proof(number, tuple(_look(desk, of, s, pictures.get(s.id)) for s in _stores(desk, of)))
    with desk.book() as conn, book.deed(conn, number):
        detail = {"verdict": proof.verdict.value, "stores": [x.body() for x in proof.looked]}
        orders.say(desk, conn, number, "collection looked at", as_of, actor, detail)
    return proof


def proved(proof: Proof) -> str:
    """Raises NotProved if something was written since T0, or somebody still can. What could not be seen is said."""
    if proof.verdict is Verdict.FAILED:
        raise NotProved(
            str(proof), about="collection",
            next_step="find who wrote, take that right, and run `quietus shutdown close-collection` again (docs/shutdown.md)",
        )  # fmt: skip
    return str(proof)


def _look(desk: Desk, of: Order, store: StoreDeclared, picture: Picture | None) -> Looked:
    if picture is None:
        return Looked(store.id, unasked={store.id: "there is no picture of T0"})
    try:
        if store.kind is StoreKind.POSTGRES:
            return _writing(desk, of, store, Role.PROVER).look(picture, store.business_roles)
        return _puts(desk, of, store).look(picture)
    except QuietusError as error:
        return Looked(store.id, unasked={store.id: str(error)})


# --- withdraw ---------------------------------------------------------------------------------------


@_one_at_a_time
def withdraw(
    desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str, at: At = nothing
) -> Order:  # fmt: skip
    """Withdraw an order by a document. What was taken is given back first, exactly that. Again goes on where it was left. Raises
    Refused once the successor signed for a bag, for nothing takes that back (unless it withdrew before anything went here by it),
    and while something is disposed of by it."""
    checked_paper(paper, number)
    with orders.deed(desk, number, approved=False) as (conn, of):
        _may_withdraw(conn, of)
        if not any(e["what"] == orders.WITHDRAWING for e in orders.history(conn, number)):
            # From here on nothing is begun by it, and no receipt is taken: rights are given back store by store.
            said = {"document": paper.number, "digest": paper.digest}
            orders.say(desk, conn, number, orders.WITHDRAWING, as_of, actor, said)
    at("shutdown.withdraw.begun")
    for store in _stores(desk, of):
        with desk.book() as conn:
            ours = taken(conn, number, store.id)
        if not ours:
            continue
        if store.kind is StoreKind.POSTGRES:
            _writing(desk, of, store, Role.GATEKEEPER).give_back(ours)
        else:
            _puts(desk, of, store).give_back()
        at("shutdown.withdraw.given_back")
        with desk.book() as conn, book.deed(conn, number):
            conn.execute(
                "UPDATE casebook.shutdown_taken SET given_back_at = clock_timestamp()"
                " WHERE number = %s AND store = %s AND given_back_at IS NULL",
                (number, store.id),
            )
    with orders.deed(desk, number, approved=False) as (conn, of):
        _may_withdraw(conn, of)
        needles.drop(desk, conn, number, as_of=as_of, actor=actor)
        conn.execute(
            "UPDATE casebook.shutdown_order SET withdrawn_on = %s, withdrawn_document = %s WHERE number = %s",
            (as_of, paper.number, number),
        )
        who_asked.forget(conn, number)  # nothing is passed on any more
        detail = {"document": paper.number, "digest": paper.digest, "was": of.state}
        orders.say(desk, conn, number, "withdrawn", as_of, actor, detail)
        return orders.order(conn, number)


def _may_withdraw(conn: Conn, of: Order) -> None:
    _nobody_has_bags(conn, of)
    number = of.number
    if (going := under_way(conn, number)) is not None:
        raise Refused(
            f"{going.case_no} disposes of what goes to nobody", about=number,
            next_step="let it come to its end with `quietus shutdown dispose`, then withdraw",
        )  # fmt: skip


def _nobody_has_bags(conn: Conn, of: Order) -> None:
    """A successor that withdrew has none, as long as all of it is here still."""
    rows = conn.execute(
        "SELECT convert_from(statement, 'UTF8')::jsonb ->> 'recipient' AS recipient FROM casebook.handover_bag AS b"
        " WHERE order_no = %s AND EXISTS (SELECT FROM casebook.handover_receipt AS r"
        " WHERE (r.order_no, r.bag) = (b.order_no, b.bag))",
        (of.number,),
    ).fetchall()
    if theirs := [r for r in rows if r["recipient"] == of.successor_certificate]:
        raise Refused(
            f"the successor signed for {len(theirs)} bags of it, and nothing takes them back", about=of.number,
            next_step="go on with the order; agree with the successor, on paper, on anything else",
        )  # fmt: skip
    if went := begun.going_by(conn, of.number):
        raise Refused(
            f"{len(went)} bags go here, or went, on receipts of a successor that withdrew", about=of.number,
            next_step="agree with it, on paper, who takes what it has: `quietus shutdown books` names each bag",
        )  # fmt: skip


# --- of what it is made -----------------------------------------------------------------------------


def _stores(desk: Desk, of: Order) -> Iterator[StoreDeclared]:
    """Every store that holds something of what the order is about."""
    named = {d.store for d in of.datasets(desk.catalogue)}
    yield from (s for s in desk.catalogue.stores if s.id in named)


def _puts(desk: Desk, of: Order, store: StoreDeclared) -> Puts:
    ours = [d for d in of.datasets(desk.catalogue) if d.store == store.id]
    return Puts(store, ours, desk.connections, whole=of.scope == COMPANY)


def _writing(desk: Desk, of: Order, store: StoreDeclared, role: Role) -> Writing:
    server = Server(lambda: desk.connections.postgres(store.connection, role), store.id)
    ours = {user for r in OURS if (user := _user(desk, store.connection, r)) is not None}
    if of.scope == COMPANY:
        return Writing(server, ours)
    addresses = [
        d.address for d in of.datasets(desk.catalogue) if d.store == store.id and d.kind is DatasetKind.TABLE
    ]
    with server.connect() as connection, server.reaching():
        live = Live.read(connection)
    return Writing(server, ours, {p for a in addresses for p in (a, *live.partitions(a))})


def _user(desk: Desk, connection: str, role: Role) -> str | None:
    """The log-in of one of our roles there; None: there is none."""
    try:
        return str(conninfo_to_dict(desk.connections.postgres(connection, role))["user"])
    except (Refused, KeyError, psycopg.ProgrammingError):
        return None
