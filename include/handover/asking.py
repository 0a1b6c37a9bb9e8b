"""Who asks for what the successor alone has by now: people of cases that were decided after our copy of a bag went, people who
turned to us once even their account was gone, and whoever objected since (policy 5.6; PIPL 22, 47; law.md E, 15).

A case finds nothing of theirs under the laws of a handover here any more, so no notice tells of it. Whose the items of a bag are
is kept as keyed tokens until no request can be passed on any more; so the successor is asked by digests, and hears of nobody by
name. Taken until the ledger is handed to its custodian: from then on nobody is here who could sign.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from include.cases import book, decisions, parts, sealing, subjects
from include.cases.accounts import Standing
from include.cases.book import Case, Conn, checked_actor
from include.cases.keys import Purpose
from include.cases.retention.due import named
from include.cases.retention.held import HeldPeople
from include.cases.rooms import Desk
from include.cases.shutdown import begun, objecting, orders, way
from include.cases.shutdown.who_asked import still_here
from include.handover import whose
from include.handover.register import Bag
from include.model import ranges
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.words import Channel

TAKEN = "request taken"
"""Of the event."""


@dataclass(frozen=True)
class Asks:
    """Who asks by one case or request. ``tokens``: every token under which something of hers may have been packed -> one that
    stands for the person; ``since``: until when her case looked here for what is hers, or when she asked; ``datasets``: what it
    reaches; None: everything of hers; ``objects``: she objects to the handover, and asks for no deletion; ``gone``: her account
    was gone here when she turned to us: no notice tells of her, so the successor is asked whenever our copy goes."""

    tokens: Mapping[bytes, bytes] = field(repr=False)
    since: datetime
    datasets: frozenset[str] | None = None
    objects: bool = False
    gone: bool = False

    def reaches(self, dataset: str) -> bool:
        return self.datasets is None or dataset in self.datasets

    def late(self, since: datetime) -> bool:
        """Whether a bag of which our copy began to go then says nothing of it, and no notice about it does."""
        return self.gone or self.since >= since


def take(
    desk: Desk, number: str, account_ids: Sequence[str], *, channel: Channel, method: str, fields: Sequence[str], as_of: date,
    actor: str,
) -> int:  # fmt: skip
    """Take the request of a person who has no account here any more; its number. ``account_ids``: each under which she may have
    been known. The same person again has the same; an account that she did not name before has a request of its own. ``method``
    and ``fields``: how it was checked who asks, and which categories were compared. Of what was packed and is here still the
    successor is asked once our copy went.

    Raises Refused, with nothing stored, for an unexplained check, while an account is there (a case is what it needs), if
    nothing of one of them was packed, or once nothing is passed on any more; NotReachable.
    """
    ids = tuple(dict.fromkeys(map(subjects.screened, account_ids)))
    how = decisions.method_named(method, number)
    if not channel.requestable:
        raise Refused("a person asks by a person's channel", about=number, next_step="name the channel")
    if not fields or not decisions.within_registration(desk.catalogue, tuple(fields)):
        raise Refused(
            "nobody knows who asks: no field was compared, or one beyond what registration collected", about=number,
            next_step="compare fields collected at registration, and name them",
        )  # fmt: skip
    if any(desk.accounts.standing(id_) is not Standing.UNKNOWN for id_ in ids):
        raise Refused(
            "the account is here still", about="account id",
            next_step="open a case for it: what that finds with the successor is passed on by itself",
        )  # fmt: skip
    # Its bags may have been packed under any version of the key, and one for which a notice comes yet under the newest.
    tokens = [every(desk, id_) for id_ in ids]
    with desk.book() as conn, book.deed(conn, number):
        of = orders.order(conn, number, lock=True)
        still_here(conn, of)
        if not tokens or not all(whose.bags_of(conn, number, of_one) for of_one in tokens):
            raise Refused(
                "there is no such account, and nothing of it went to the successor", about="account id",
                next_step="check the id with support",
            )  # fmt: skip
        known = [_taken(conn, number, of_one) for of_one in tokens]
        request = next((x for x in known if x is not None), None)
        if None in known:
            row = conn.execute(
                "INSERT INTO casebook.shutdown_request (number, asked_on, channel, method, fields, recorded_by)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING request",
                (number, as_of, channel.value, how.value, list(fields), checked_actor(actor)),
            ).fetchone()
            request = int(row["request"]) if row else 0
            orders.say(
                desk, conn, number, TAKEN, as_of, actor, {"request": request, "channel": channel.value}
            )
        for of_one, before in zip(tokens, known, strict=True):
            conn.execute(
                "INSERT INTO casebook.shutdown_request_token (number, token, request) SELECT %s, unnest(%s::bytea[]), %s"
                " ON CONFLICT DO NOTHING",
                (number, sorted(of_one), request if before is None else before),
            )
    return request or 0


def every(desk: Desk, account_id: str) -> frozenset[bytes]:
    """A person's token under each living version of the key."""
    return frozenset(sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id).values())


def _taken(conn: Conn, number: str, tokens: frozenset[bytes]) -> int | None:
    row = conn.execute(
        "SELECT min(request) AS request FROM casebook.shutdown_request_token WHERE number = %s AND token = ANY(%s)",
        (number, list(tokens)),
    ).fetchone()
    return None if row is None or row["request"] is None else int(row["request"])


def went(conn: Conn, number: str) -> dict[str, datetime]:
    """Bags of which our copy went, by deletions that came to their end: bag -> when the first of them was begun."""
    rows = conn.execute(
        "SELECT observed_at, detail ->> 'case' AS case_no, detail -> 'bags' AS bags FROM casebook.shutdown_event"
        " WHERE number = %s AND what = %s ORDER BY event_id",
        (number, begun.BEGUN),
    ).fetchall()
    gone = begun.deleted_in(conn, number)  # by the last of its cases; the first may have taken something, too
    ended = {bag for bag, case_no in gone.items() if not way.under_way(conn, case_no)}
    took = {case_no for case_no in {r["case_no"] for r in rows} if begun.has_receipts(conn, case_no)}
    found: dict[str, datetime] = {}
    for r in rows:
        if r["case_no"] in took:
            for bag in ended.intersection(ranges.long(r["bags"])):
                found.setdefault(bag, r["observed_at"])
    return found


def who_asks(desk: Desk, conn: Conn, number: str) -> list[Asks]:
    """Everybody: people of cases that were decided to be carried out, those whose request was taken, and who objects."""
    rows = conn.execute(
        "SELECT r.recorded_at, array_agg(t.token ORDER BY t.token) AS tokens FROM casebook.shutdown_request AS r"
        " JOIN casebook.shutdown_request_token AS t USING (request) WHERE r.number = %s GROUP BY r.request ORDER BY r.request",
        (number,),
    ).fetchall()
    # A request is taken of nobody who has an account here.
    found = [Asks(_one_person(map(bytes, r["tokens"])), r["recorded_at"], gone=True) for r in rows]
    without = objecting.without_account(conn, number)
    rows = conn.execute(
        "SELECT o.objection, o.recorded_at, array_agg(t.token ORDER BY t.token) AS tokens FROM casebook.shutdown_objection AS o"
        " JOIN casebook.shutdown_objection_token AS t USING (objection) WHERE o.number = %s GROUP BY o.objection"
        " ORDER BY o.objection",
        (number,),
    ).fetchall()
    found += [
        Asks(
            _one_person(map(bytes, r["tokens"])),
            r["recorded_at"],
            objects=True,
            gone=r["objection"] in without,
        )
        for r in rows
    ]
    first = min(went(conn, number).values(), default=None)
    if first is None:
        return found
    rows = conn.execute(
        "SELECT case_no, since FROM (SELECT e.case_no, coalesce(max(e.observed_at) FILTER (WHERE e.what = 'disposed'),"
        " max(e.observed_at) FILTER (WHERE e.from_state = 'acting' AND e.to_state <> 'acting'), clock_timestamp()) AS since"
        " FROM casebook.event AS e WHERE e.unit_id IS NULL"
        " AND EXISTS (SELECT FROM casebook.case_subject AS s WHERE s.case_no = e.case_no)"
        " GROUP BY e.case_no HAVING bool_or(e.to_state = 'acting')) AS decided WHERE since >= %s ORDER BY 1",
        (first,),
    ).fetchall()
    cases = {c.case_no: c for c in book.some(conn, [r["case_no"] for r in rows])}
    for r in rows:
        case = cases[r["case_no"]]
        part = None if case.ground.whole_person else parts.reached(desk, conn, case)
        if part is None and not case.ground.whole_person:
            continue  # of such a ground nobody can say yet what it reaches
        reach = (
            None
            if part is None
            else frozenset(
                d.id for d in desk.catalogue.datasets if d.id in part.rows and part.of(d.id) is None
            )
        )
        found.append(Asks(_of_case(desk, conn, case), r["since"], reach))
    return found


def _of_case(desk: Desk, conn: Conn, case: Case) -> dict[bytes, bytes]:
    """Of the people of a case: bags may have been packed under several versions of the key, before it was opened and since."""
    found = {bytes.fromhex(t): bytes.fromhex(t) for t in subjects.tokens(conn, case)}
    if len(desk.keys.versions(Purpose.SUBJECT_TOKEN.value)) > 1:
        try:
            ids = subjects.ids(conn, desk.keys, case)
        except Refused:  # the case's key is destroyed: who it was about is known by the stored tokens alone
            return found
        for id_ in ids:
            found |= _one_person(every(desk, id_))
    return found


def _one_person(tokens: Iterable[bytes]) -> dict[bytes, bytes]:
    of_one = sorted(tokens)
    return dict.fromkeys(of_one, of_one[0])


def asked_for(
    conn: Conn, number: str, bag: str, dataset: Dataset, who: Sequence[Asks], since: datetime, *, alone: bool
) -> Mapping[bytes, set[bytes]]:
    """Items of a bag that these people ask to be deleted: digest -> whose, a token for each person. ``since``: when our copy of
    it began to go: what was decided before that is in the bag, or in a notice about it, unless her account was gone by then."""
    late = [a for a in who if not a.objects and a.late(since) and a.reaches(dataset.id)]
    return _theirs(conn, number, bag, late, alone=alone)


def objected_to(
    conn: Conn, number: str, bag: str, dataset: Dataset, who: Sequence[Asks], since: datetime, *, alone: bool
) -> Mapping[bytes, set[bytes]]:
    """Items of a bag of which an owner objects since then, or did without an account, and no owner is left who neither objects
    nor asks: a shared item is restricted once it is so of all of them, as it would have been packed."""
    late = {t for a in who if a.objects and a.late(since) for t in a.tokens}
    every = [a for a in who if a.objects or (a.late(since) and a.reaches(dataset.id))]
    return _theirs(conn, number, bag, every, alone=alone, one_of=late) if late else {}


def _theirs(
    conn: Conn, number: str, bag: str, who: Sequence[Asks], *, alone: bool, one_of: Collection[bytes] | None = None
) -> dict[bytes, set[bytes]]:  # fmt: skip
    """``one_of``: tokens, of which an owner has one at least."""
    asking = {t: person for a in who for t, person in a.tokens.items()}
    found = whose.goes_with(conn, number, bag, asking, alone=alone) if asking else {}
    return {
        leaf: {asking[t] for t in of}
        for leaf, of in found.items()
        if one_of is None or not of.isdisjoint(one_of)
    }


def objected_late(conn: Conn, number: str, since: Mapping[str, datetime]) -> dict[str, frozenset[str]]:
    """Who objected once our copy of a bag began to go, and it went: bag -> who. What is left of it here, for whatever reason,
    is as it was packed: requests pass them on, and no notice tells of them. ``since``: when, by account id, in memory only."""
    found = {
        bag: frozenset(id_ for id_, at in since.items() if at >= began)
        for bag, began in (went(conn, number) if since else {}).items()
    }
    return {bag: who for bag, who in found.items() if who}


def but_held(
    desk: Desk, conn: Conn, bag: Bag, dataset: Dataset, said: Mapping[bytes, set[bytes]], held: HeldPeople
) -> Mapping[bytes, set[bytes]]:  # fmt: skip
    """The same without what an open hold covers: whom it names may have much there, and it is evidence, wherever it lies."""
    everybody, people = named(desk.catalogue, held, dataset)
    if everybody or not said:
        return {}
    tokens = {t for id_ in people for t in every(desk, id_)}
    covered = whose.owned_by(conn, bag.statement.order, bag.name, tokens) if tokens else set()
    return {leaf: who for leaf, who in said.items() if leaf not in covered}
