"""The book of data rooms: an agreement opens one, the deal's end starts its clock, a signed statement ends it (policy 4.3(7)).

Before a deal, data is shown under an agreement and for its purpose; whether it goes with the company is another question, of
which the persons are told (PIPL 22). What the counterparty did with its copies we cannot see: its statement is its word, and
said to be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg.rows import class_row

from include.cases import book
from include.cases.book import Conn, checked_actor
from include.cases.periods import last_day
from include.handover import sealed
from include.ledger import attest, verify, verify_dataroom
from include.ledger.log import KeyTaken
from include.model.catalogue import Catalogue
from include.model.errors import LedgerError, NotReachable, Refused
from include.model.estate import Column, Dataset
from include.model.handover import KEY_MATERIAL, NEVER
from include.model.words import DatasetKind

RULE = "RS-29"
FORMAT = "quietus-dataroom-statement/1"
_TO_NOBODY = ("raw biometrics (PIPL 28)", "keys and what is signed with (ESL 13)")
Record = Callable[[str, str | None, dict[str, Any], str], None]


@dataclass(frozen=True)
class DataRoom:
    """One row of ``casebook.data_room``. ``columns``: of each dataset, which are shown."""

    number: str
    deal: str
    counterparty: str
    purpose: str
    document: str
    digest: str
    basis: str | None
    approvers: list[str]
    certificate: str
    statement_key: str
    columns: dict[str, list[str]]
    opened_on: date
    opened_by: str
    home: str | None
    bucket: str | None
    ended: str | None
    ended_on: date | None
    ended_document: str | None
    due_on: date | None
    ours_gone_on: date | None
    said: str | None
    said_on: date | None
    said_envelope: bytes | None
    certificate_envelope: str | None

    @property
    def over(self) -> bool:
        """Whether our copies are gone and the counterparty has said what became of its own."""
        return bool(self.said and self.ours_gone_on)

    def overdue(self, as_of: date) -> bool:
        """Whether the deal has ended, its last day is over, and the room is not."""
        return self.due_on is not None and as_of > self.due_on and not self.over

    def stands(self, as_of: date) -> str:
        """In words, where it is."""
        if self.over:
            return f"over: our copies are gone, and {self.counterparty} signed that its own are {self.said}, which is its word"
        if self.ended is None:
            return "open"
        left = [] if self.ours_gone_on else ["our copies are not shown to be gone"]
        left += [] if self.said else [f"{self.counterparty} has not said what became of its copies"]
        late = " (OVERDUE)" if self.overdue(as_of) else ""
        return f"the deal was {self.ended}; until {self.due_on}{late}: {', '.join(left)}"


@dataclass(frozen=True)
class Bag:
    """What was exported of one dataset: once, for ever. ``put``: in the room; False: not seen there once the
    deal had ended, so it may have been; None: nobody looked yet."""

    number: str
    dataset: str
    items: int
    left_out: int
    sha256: str
    bytes: int
    put: bool | None = None


# --- the agreement --------------------------------------------------------------------------------


def open_room(
    conn: Conn, catalogue: Catalogue, record: Record, *, deal: str, counterparty: str, purpose: str, document: str,
    digest: str, basis: str | None, approvers: Sequence[str], certificate: str, statement_key: str,
    columns: Mapping[str, Sequence[str]], as_of: date, actor: str, ours: Ed25519PublicKey | None = None,
) -> DataRoom:  # fmt: skip
    """Open one under an agreement that two persons approved; of an agreement that has one, that. Raises Refused for what no
    agreement can allow: raw biometrics, keys, any personal column without the law by which its people may be shown (PIPL 13,
    23, 29), other terms under the document of a room, and a statement key that is ``ours``, the ledger's signer's."""
    sealed.recipient(certificate)
    if attest.public_key(statement_key) == ours:
        raise Refused(
            "the statement key is our own signer's: we would sign for the counterparty", about=deal,
            next_step="ask the counterparty for its own key, and compare it by phone",
        )  # fmt: skip
    pair = [checked_actor(a) for a in approvers]
    if len(pair) != 2 or pair[0].partition("/")[2] == pair[1].partition("/")[2]:
        raise Refused("two different persons approve it", about=deal, next_step="name two, as role/name")
    if not columns:
        raise Refused("nothing is to be shown", about=deal, next_step="name datasets with their columns")
    for dataset, names in columns.items():
        may_be_shown(catalogue, dataset, names, basis)
    shown = {d: list(names) for d, names in columns.items()}
    terms = (deal, counterparty, purpose, document, digest, basis, pair, certificate, statement_key)
    conn.execute(
        "INSERT INTO casebook.data_room (number, deal, counterparty, purpose, document, digest, basis, approvers, certificate,"
        " statement_key, columns, opened_on, opened_by)"
        " VALUES ('DR-' || lpad(nextval('casebook.data_room_number')::text, 6, '0'),"
        " %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (document) DO NOTHING",
        (*terms, json.dumps(shown), as_of, checked_actor(actor)),
    )  # fmt: skip
    made = next(r for r in rooms(conn) if r.document == document)
    theirs = (
        made.deal,
        made.counterparty,
        made.purpose,
        made.document,
        made.digest,
        made.basis,
        made.approvers,
    )
    if (*theirs, made.certificate, made.statement_key, made.columns) != (*terms, shown):
        raise Refused(
            f"{made.number} was opened under that document with other terms", about=deal,
            next_step="give the number of another agreement, or the same terms",
        )  # fmt: skip
    _say_opened(record, made)
    return made


def _say_opened(record: Record, room: DataRoom) -> None:
    """Of the row, and again if a call died before it: the key is the same. Whose word is believed at the end, and what the terms
    are, is said now, so that nobody can choose them afterwards."""
    body: dict[str, Any] = {
        "room": room.number, "what": "opened", "document": room.document, "digest": room.digest,
        "datasets": sorted(room.columns), "columns": sum(len(c) for c in room.columns.values()), "basis": room.basis,
        "as_of": room.opened_on.isoformat(),
    }  # fmt: skip
    said = {
        "statement_key": verify.key_id(attest.public_key(room.statement_key)), "shown": dict(sorted(room.columns.items())),
        "terms": verify_dataroom.terms(vars(room)),
    }  # fmt: skip
    key = f"dataroom:{room.number}:opened"
    try:
        record("dataroom", None, body | said, key)
    except KeyTaken:  # it was opened before these were said
        record("dataroom", None, body, key)


def may_be_shown(catalogue: Catalogue, id_: str, names: Sequence[str], basis: str | None) -> Dataset:
    """The dataset. Raises Refused for what an agreement cannot allow."""
    try:
        dataset = catalogue.dataset(id_)
    except KeyError:
        raise Refused(
            "no such dataset is declared", about=id_, next_step="name one of the catalogue's"
        ) from None
    if dataset.kind is not DatasetKind.TABLE or dataset.keys is not None:
        raise Refused(
            "only tables are shown in a data room, and no keys", about=id_, next_step="leave it out"
        )
    if any(b.rule in NEVER for b in dataset.binds):
        raise Refused("raw biometrics are shown to nobody (PIPL 28)", about=id_, next_step="leave it out")
    unknown = [c for c in names if c not in dataset.columns]
    if unknown or not names:
        raise Refused(
            f"{', '.join(unknown) or 'no column'} is not declared of it",
            about=id_,
            next_step="name columns of the dataset",
        )
    for name in names:
        personal = _personal(catalogue, dataset, name, dataset.columns[name])
        if personal in _TO_NOBODY:
            raise Refused(f"{personal} are shown to nobody", about=f"{id_}.{name}", next_step="leave it out")
        if personal and not basis:
            raise Refused(
                f"it {personal}, and nothing says by which law its people may be shown", about=f"{id_}.{name}",
                next_step="leave it out, or name the basis (PIPL 13, 23; of sensitive data 29)",
            )  # fmt: skip
    return dataset


def _personal(catalogue: Catalogue, dataset: Dataset, name: str, column: Column) -> str:
    """Why a column is somebody's, in a word; empty only for what is of no kind, and neither key, link nor made of such."""
    leading = {c for link in dataset.links for c in ((link.column,) if link.column else link.on)}
    leading |= {
        c for d in catalogue.datasets for link in d.links if link.via == dataset.id for c in link.on.values()
    }
    found = [catalogue.category(c) for c in column.all_categories]
    if any(set(c.rules) & set(NEVER) for c in found):
        return _TO_NOBODY[0]
    if any(c.id in KEY_MATERIAL for c in found):
        return _TO_NOBODY[1]
    if name in leading or name in dataset.key or column.identifies:
        return "leads to somebody"
    if any(c.sensitive for c in found):
        return "is sensitive"
    return "is personal" if found or column.derived_from else ""


# --- the end of the deal --------------------------------------------------------------------------


def end(
    conn: Conn, catalogue: Catalogue, record: Record, number: str, *, how: str, document: str, as_of: date
) -> DataRoom:  # fmt: skip
    """The deal was closed or dropped: from that day all is to be back or destroyed within RS-29. Again it changes nothing.
    Raises NotReachable while an export puts something in the room."""
    (period,) = [p for p in catalogue.rule(RULE).periods if p.name == "main"]
    due = last_day(as_of, period.duration, period.counting)
    with held(conn, number) as room:
        if room.ended is None:
            conn.execute(
                "UPDATE casebook.data_room SET ended = %s, ended_on = %s, ended_document = %s, due_on = %s WHERE number = %s",
                (how, as_of, document, due, number),
            )
        elif (room.ended, room.ended_document) != (how, document):
            raise Refused(
                f"the deal was {room.ended} by {room.ended_document}",
                about=number,
                next_step="nothing is to be done",
            )
    room = of(conn, number)
    say_ended(record, room)
    return room


def say_ended(record: Record, room: DataRoom) -> None:
    """Of the row; again if a call died before it. What is seen afterwards is said afterwards."""
    body = {
        "room": room.number,
        "what": room.ended,
        "document": room.ended_document,
        "due_on": str(room.due_on),
    }
    record("dataroom", None, body, f"dataroom:{room.number}:{room.ended}")


def say_gone(record: Record, room: DataRoom, *, files: int, maybe: int) -> None:
    """That the prover saw no copy of ours any more. ``files``: how many were in the room, and of how many (``maybe``) that is not
    known, so that no certificate can leave one out; a room that was cleared before that was said says nothing of it."""
    body: dict[str, Any] = {
        "room": room.number, "what": "our copies gone", "versions": 0, "as_of": str(room.ours_gone_on),
    }  # fmt: skip
    key = f"dataroom:{room.number}:gone"
    try:
        record("dataroom", None, body | {"files": files, "maybe": maybe}, key)
    except KeyTaken:
        record("dataroom", None, body, key)


def statement(number: str, how: str, on: date, bags: Mapping[str, str]) -> bytes:
    """What a counterparty signs: every sealed file by its digest, and that all copies of it are back or destroyed."""
    said = {
        "format": FORMAT,
        "room": number,
        "how": how,
        "on": on.isoformat(),
        "bags": dict(sorted(bags.items())),
    }
    return verify.canonical(said)


def returned(conn: Conn, record: Record, number: str, file: bytes, *, as_of: date) -> DataRoom:
    """Take a statement. Raises LedgerError if the agreed key did not sign it; Refused if it is about another room, or names other
    files than were given, or comes before the deal's end, or while of a file nobody knows whether it was given. It is evidence of
    a word, and of nothing that we could see."""
    room = of(conn, number)
    payload = attest.opened(file, FORMAT, attest.public_key(room.statement_key))
    said = json.loads(payload)
    try:
        about, how, on, files = said["room"], said["how"], date.fromisoformat(said["on"]), dict(said["bags"])
        exact = statement(about, how, on, files) == payload
    except (KeyError, TypeError, ValueError):
        exact = False
    if not exact:  # the offline verifier would take no certificate that rests on it
        raise LedgerError(
            "the statement is malformed: it is not to the byte what `quietus dataroom sign` writes of the same", about=number,
            next_step="nothing was taken; ask for another, the day as YYYY-MM-DD, the bags as an object of dataset to SHA-256",
        )  # fmt: skip
    files_of = {b.dataset: b.sha256 for b in given(conn, number)}
    also = [b for b in maybe(conn, number) if files.get(b.dataset) == b.sha256]  # it had them, then
    files_of |= {b.dataset: b.sha256 for b in also}
    wrong = (
        f"it is about {about}" if about != number
        else f"it says {how!r}" if how not in ("returned", "destroyed")
        else "it names other files than were given" if files != files_of
        else "the deal has not ended" if room.ended_on is None
        else "its day is not between the deal's end and today" if not room.ended_on <= on <= as_of
        else ""
    )  # fmt: skip
    if wrong:
        raise Refused(
            f"the statement is not taken: {wrong}",
            about=number,
            next_step="ask for one that says it of all files",
        )
    conn.execute(
        "UPDATE casebook.data_room SET said = %s, said_on = %s, said_envelope = %s WHERE number = %s AND said IS NULL",
        (how, on, file, number),
    )
    room = of(conn, number)  # the first one stands
    record("dataroom", None, {"room": number, "what": f"said {room.said}", "on": str(room.said_on), "files": len(files_of),
                              "statement": attest.digest(room.said_envelope or b"")}, f"dataroom:{number}:said")  # fmt: skip
    return room


# --- the book -------------------------------------------------------------------------------------


@contextmanager
def held(conn: Conn, number: str) -> Iterator[DataRoom]:
    """The room in a transaction, in which nobody else exports, ends or clears it. Raises NotReachable while somebody does."""
    with book.deed(conn, number):
        try:
            # An export may take longer than a session may otherwise wait between two statements.
            conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            conn.execute("SELECT FROM casebook.data_room WHERE number = %s FOR NO KEY UPDATE", (number,))
        except psycopg.errors.LockNotAvailable:
            raise NotReachable(
                "somebody exports, ends or clears it just now", about=number, next_step="try again when that is done"
            ) from None  # fmt: skip
        yield of(conn, number)


def placed(conn: Conn, number: str, home: str, bucket: str) -> DataRoom:
    """The room, all of whose bags are in one directory and one bucket: those of its first export. Raises Refused for others,
    and once the deal has ended."""
    with held(conn, number) as room:
        may_export(room)
        in_its_place(room, home, bucket)
        conn.execute(
            "UPDATE casebook.data_room SET home = %s, bucket = %s WHERE number = %s", (home, bucket, number)
        )
    return of(conn, number)


def may_export(room: DataRoom) -> None:
    """Raises Refused once the deal has ended."""
    if room.ended is not None:
        raise Refused(
            f"the deal was {room.ended}", about=room.number, next_step="nothing is shown any more; open another room"
        )  # fmt: skip


def in_its_place(room: DataRoom, home: str, bucket: str) -> None:
    """Raises Refused if its bags are elsewhere: an empty place says nothing of another."""
    if room.home is not None and (room.home, room.bucket) != (home, bucket):
        raise Refused(
            f"its bags are in {room.home} and in the bucket {room.bucket}", about=room.number, next_step="name these"
        )  # fmt: skip


def of(conn: Conn, number: str) -> DataRoom:
    """Raises Refused if there is none of that number."""
    found = next((r for r in rooms(conn) if r.number == number), None)
    if found is None:
        raise Refused("there is no such data room", about=number, next_step="see `quietus dataroom show`")
    return found


def rooms(conn: Conn) -> list[DataRoom]:
    """Every one, newest first."""
    with conn.cursor(row_factory=class_row(DataRoom)) as cursor:
        return cursor.execute("SELECT * FROM casebook.data_room ORDER BY number DESC").fetchall()


def bags(conn: Conn, number: str) -> list[Bag]:
    with conn.cursor(row_factory=class_row(Bag)) as cursor:
        return cursor.execute(
            "SELECT number, dataset, items, left_out, sha256, bytes, put FROM casebook.data_room_bag"
            " LEFT JOIN casebook.data_room_put USING (number, dataset) WHERE number = %s ORDER BY dataset",
            (number,),
        ).fetchall()


def given(conn: Conn, number: str) -> list[Bag]:
    """The files that were in the room. Raises Refused while of one nobody has looked whether it was."""
    every = bags(conn, number)
    if unknown := [b.dataset for b in every if b.put is None]:
        raise Refused(
            f"whether {', '.join(unknown)} was ever put in the room is not known yet: a run was killed", about=number,
            next_step="run `quietus dataroom export` again; once the deal has ended, `close`, which looks",
        )  # fmt: skip
    return [b for b in every if b.put]


def maybe(conn: Conn, number: str) -> list[Bag]:
    """The files of which nothing shows whether they were in the room: once the deal had ended they did not lie there, and what
    lay there for a while may have been taken out by a lifecycle, by ops or by the counterparty."""
    return [b for b in bags(conn, number) if b.put is False]


def followed(conn: Conn, number: str) -> frozenset[str]:
    """Datasets after whose file another was made: each is put before the next is begun, so these were."""
    rows = conn.execute(
        "SELECT dataset FROM casebook.data_room_bag WHERE number = %(room)s"
        " AND exported_at < (SELECT max(exported_at) FROM casebook.data_room_bag WHERE number = %(room)s)",
        {"room": number},
    ).fetchall()
    return frozenset(str(r["dataset"]) for r in rows)


def say(record: Record, made: Bag) -> None:
    """To the ledger, that it was in the room; once for a bag, whenever a call that was killed is made again."""
    record(
        "dataroom.bag", None,
        {"room": made.number, "dataset": made.dataset, "items": made.items, "left_out": made.left_out, "sha256": made.sha256,
         "bytes": made.bytes},
        f"dataroom.bag:{made.number}:{made.dataset}",
    )  # fmt: skip


def known(conn: Conn, bag: Bag, *, put: bool) -> None:
    """That it is in the room now; or once it has ended, that it was not seen there. The first word stands."""
    conn.execute(
        "INSERT INTO casebook.data_room_put (number, dataset, put) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (bag.number, bag.dataset, put),
    )


def alarms(conn: Conn, as_of: date) -> list[str]:
    """Rooms of deals that ended, of which somebody's copies are past their last day."""
    return [f"{r.number} ({r.counterparty}): {r.stands(as_of)}" for r in rooms(conn) if r.overdue(as_of)]
