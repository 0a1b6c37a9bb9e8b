"""Everybody is told that the service stops, and who takes over (ESL 23; PIPL 22; policy 5.6), before it does.

One letter for all, in Chinese first, which names nobody; sent over our own mail server, each to the address that the company's
tables have. Page by page of the accounts, so hundreds of thousands are no more to hold than a page. Who was told is kept as the
keyed token of the account, never an address: neither in the book, nor in the ledger or Airflow, which hear counts.

A run may be killed and started again: a letter that was being handed over then is in doubt and is not sent twice. Whom it cannot
reach is told by the announcement, or by the company's own second channel (:func:`unreached`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg
from jinja2 import Environment, StrictUndefined, Template
from psycopg import sql

from include.cases import book, sealing, subjects, turns
from include.cases.accounts import home
from include.cases.keys import KeyRef, Purpose
from include.cases.lookups import looking_up
from include.cases.rooms import Desk
from include.cases.shutdown import orders, tellings
from include.cases.shutdown.consigning import consigned
from include.cases.shutdown.dates import Path
from include.cases.shutdown.orders import COMPANY, Order
from include.cases.shutdown.tellings import IN_DOUBT, LATER, NO_ADDRESS, SENDING, UNREACHED, Telling
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable, Refused
from include.model.times import observed_now

PAGE = 2_000
BATCH = 100
"""So many letters are in doubt at most if a run is killed."""
PEOPLE = "people told"
"""Of the event."""
GUARDIAN = "guardian of account_id"
"""The kind of a guardian's token: of the guarded account, for no guardian has one of her own."""
SUBJECT = "关于停止运营及个人信息移交的通知"
LAWS = {
    "RS-03": "《电子签名法》第二十三条、第二十四条",
    "RS-04": "《电子签名法》第二十三条、第二十四条",
    "RS-10": "《电子签名法》第二十四条",
}


def at_no_point(_: str) -> None:
    """Nobody waits for a named point."""


@dataclass(frozen=True)
class Run:
    """What one run did. ``telling``: how it stands now; ``stopped``: why it did not come to everybody, or nothing."""

    telling: Telling
    sent: int = 0
    stopped: str = ""


@dataclass(frozen=True)
class _Holder:
    id: str = field(repr=False)
    address: str | None = field(repr=False)
    token: bytes = field(repr=False)
    guardian: bool = False


def letter(catalogue: Catalogue, of: Order, reach: str) -> str:
    """What everybody is told. ``reach``: where people turn to: an office's mailbox or number (policy 12.2)."""
    moves: dict[str, list[str]] = {}
    english: list[str] = []
    for it in consigned(catalogue, of):
        dataset = catalogue.dataset(it.dataset)
        names = moves.setdefault(LAWS.get(it.rule, it.rule), [])
        for id_ in dataset.all_categories:
            kind = catalogue.category(id_)
            if kind.zh not in names:
                names.append(kind.zh)
                english.append(kind.en)
    what = "本公司全部服务" if of.scope == COMPANY else f"本公司下列服务（{'、'.join(of.services)}）"
    return _template().render(
        what=what, what_en="Our company's service" if of.scope == COMPANY else f"Our service ({', '.join(of.services)})",
        t0=of.t0.isoformat(), successor=of.successor, contact=of.successor_contact, custodian=of.custodian,
        custodian_contact=of.custodian_contact, moves=sorted(moves.items()), kinds_en=english, reach=reach, number=of.number,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _template() -> Template:
    made = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
    text = files("include.cases.shutdown").joinpath("letter.zh.txt.j2").read_text("utf-8")
    return made.from_string(text)


def notify(
    desk: Desk, number: str, *, as_of: date, actor: str, reach: str = "", at: Any = at_no_point, page: int = PAGE
) -> Run:  # fmt: skip
    """Tell everybody who was not told yet. ``reach``: where they turn to; nothing: to where the letter came from. Another
    successor, or another T0, is another letter, and so another telling of all.

    Raises Refused if the catalogue does not say where holders are reached, NotReachable if the accounts do not answer.
    """
    from include.cases.shutdown.told import checked_contact
    from include.recipients.opening import OUR_MAIL_SERVER
    from include.recipients.smtp import Post

    with orders.deed(desk, number) as (_, of):
        closed = of.closed_on is not None  # when this run began: whoever came before that, it comes to
    if not orders.reached(desk.catalogue):
        raise Refused(
            "the catalogue does not say where holders of accounts are reached", about=home(desk.catalogue).id,
            next_step="declare `reached` of its accounts, or tell people by other means and record the gate by a document",
        )  # fmt: skip
    post = Post(desk.connections.endpoint(OUR_MAIL_SERVER))
    checked_contact("address at which people reach us", reach or post.sender)
    said = letter(desk.catalogue, of, reach or post.sender)
    with desk.book() as conn:
        conn.autocommit = True
        if not turns.got(conn, f"casebook.shutdown people {number}"):
            raise NotReachable(
                "people are being told by somebody else", about=number, next_step="wait for that run"
            )
        with book.deed(conn, number):
            digest = hashlib.sha256(said.encode()).hexdigest()
            telling = tellings.begin(
                conn, number, digest, of.successor, of.t0, as_of=as_of, actor=book.checked_actor(actor)
            )
        ref, before = _ref(desk, conn, telling), _counts(conn, number, telling)
        sent, stopped = 0, ""
        try:
            for holders in _pages(desk, ref, page):
                sent += _page(conn, telling, ref.version, holders, post, of, said, at)
                if post.down is not None:
                    stopped = post.down.why or "the mail server does not answer"
                    break
        finally:
            post.close()
        if not stopped:
            with book.deed(conn, number):
                tellings.whole(conn, telling, as_of)
        now = next(t for t in tellings.tellings(conn, number) if t.telling == telling)
    with orders.deed(desk, number) as (conn, of):
        # That a run that began with collection closed came to its end is said also if it found nobody new.
        first = not stopped and closed and not _since_closed(conn, of)
        if now.states != before or (now.whole_on == as_of and sent) or first:
            detail = {"letter": digest, "successor": of.successor, "whole": now.whole_on is not None,
                      "ended": not stopped and closed, "states": dict(sorted(now.states.items()))}  # fmt: skip
            orders.say(desk, conn, number, PEOPLE, as_of, actor, detail)
    return Run(now, sent, stopped)


def unreached(desk: Desk, number: str) -> Iterator[str]:
    """The account ids of whom the newest telling could not reach, or has not come to, for the company's second channel; behind a
    tab ``guardian``, if it is the holder's guardian. Personal;
    they are shown to nobody else and kept nowhere."""
    with desk.book() as conn:
        last = next(iter(tellings.tellings(conn, number)), None)
        ref = None if last is None else _ref(desk, conn, last.telling)
    if last is None or ref is None:
        return
    for holders in _pages(desk, ref, PAGE):
        with desk.book() as conn:
            known = tellings.states_of(conn, last.telling, [h.token for h in holders])
        for h in holders:
            if known.get(h.token, LATER) in UNREACHED:
                yield f"{h.id}\tguardian" if h.guardian else h.id


def waits_for_letters(desk: Desk, of: Order) -> bool:
    """Whether nothing is handed over before everybody has the letter: a revoked licence waits for none."""
    return of.path is Path.VOLUNTARY and orders.reached(desk.catalogue)


def all_know(desk: Desk, conn: book.Conn, of: Order) -> None:
    """That everybody was told who takes over, also whoever came after the letter (PIPL 22). Raises Refused, NotReachable."""
    if (why := untold(desk, conn, of)) is not None:
        what, next_step = why
        raise Refused(f"{what} (PIPL 22)", about=of.number, next_step=f"{next_step}; then this again")


def untold(desk: Desk, conn: book.Conn, of: Order) -> tuple[str, str] | None:
    """Why not everybody knows who takes over, and what to do; None: all do, or it waits for no letter. When the whole company
    stops nobody comes any more once collection is closed, and each account is looked for. While other services go on people
    still come, and are none of this one's: then it is asked whether a run that began with that came to its end. Raises
    NotReachable."""
    if not waits_for_letters(desk, of):
        return None
    last = next(iter(tellings.heard(conn, of.number, of.successor)), None)
    if last is None or last.whole_on is None:
        return (
            f"not everybody was told that {of.successor or 'somebody'} takes over",
            "run `quietus shutdown notify-people` to its end",
        )
    if of.scope != COMPANY:
        if of.closed_on is None or _since_closed(conn, of):
            return None
        return (
            "who came after the letter was not told who takes over: nobody was looked for since collection was closed",
            "run `quietus shutdown notify-people` to its end, which tells nobody twice",
        )
    ref, late = _ref(desk, conn, last.telling), 0
    for holders in _pages(desk, ref, PAGE):
        known = tellings.states_of(conn, last.telling, [h.token for h in holders])
        late += sum(h.token not in known for h in holders)
    if not late:
        return None
    return (
        f"{late:,} people came after the letter, and were not told who takes over",
        "run `quietus shutdown notify-people`, which tells nobody twice",
    )


def _since_closed(conn: book.Conn, of: Order) -> bool:
    """Whether a run came to its end since collection was closed, with this successor's name."""
    closed = False
    for e in orders.history(conn, of.number):
        closed = closed or e["what"] == orders.COLLECTION_CLOSED
        if (
            closed
            and e["what"] == PEOPLE
            and e["detail"].get("ended")
            and e["detail"]["successor"] == of.successor
        ):
            return True
    return False


# --- of what it is made -----------------------------------------------------------------------------------


def _ref(desk: Desk, conn: book.Conn, telling: int) -> KeyRef:
    """The key by which a telling knows people: a newer one would make everybody a stranger, and tell them twice."""
    version = tellings.version_of(conn, telling)
    known = {ref.version: ref for ref in desk.keys.versions(Purpose.SUBJECT_TOKEN.value)}
    return known.get(version or 0) or sealing.current(desk.keys, Purpose.SUBJECT_TOKEN)


def _counts(conn: book.Conn, number: str, telling: int) -> Any:
    return next(t.states for t in tellings.tellings(conn, number) if t.telling == telling)


def _page(
    conn: book.Conn, telling: int, version: int, holders: Sequence[_Holder], post: Any, of: Order, said: str, at: Any
) -> int:  # fmt: skip
    """Tell a page of people; how many letters the server took."""
    known = tellings.states_of(conn, telling, [h.token for h in holders])
    waiting = [h for h in holders if known.get(h.token, LATER) in (LATER, NO_ADDRESS)]
    none = [(h.token, NO_ADDRESS) for h in waiting if h.address is None and known.get(h.token) != NO_ADDRESS]
    tellings.note(conn, telling, version, none)
    to_send, taken = [h for h in waiting if h.address is not None], 0
    for n in range(0, len(to_send), BATCH):
        batch = to_send[n : n + BATCH]
        tellings.note(conn, telling, version, [(h.token, SENDING) for h in batch])
        at("people.sending")
        ended = []
        for h in batch:
            out = post.deliver(h.address, _message(of, said, str(h.address), post.sender))
            state = {"delivered": tellings.TOLD, "refused": tellings.REFUSED, "in_doubt": IN_DOUBT}.get(
                out.outcome, LATER
            )
            taken += state == tellings.TOLD
            ended.append((h.token, state))
        at("people.sent")
        tellings.note(conn, telling, version, ended)
        if post.down is not None:
            break
    return taken


def _message(of: Order, said: str, to: str, sender: str) -> bytes:
    made = EmailMessage(policy=policy.SMTP)
    made["From"], made["To"] = Address(addr_spec=sender), Address(addr_spec=to)
    made["Subject"] = f"{SUBJECT}（{of.number}）"
    made["Date"] = format_datetime(observed_now())
    made["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    made.set_content(said, charset="utf-8", cte="base64")
    return made.as_bytes()


def _pages(desk: Desk, ref: Any, size: int) -> Iterator[list[_Holder]]:
    """Every account with its holder's address and token, page by page; ended ones too, whose files are still here. Behind those
    of a page their guardians (Children's PI Provisions 19-23), each by a token of the guarded account."""
    from include.recipients.smtp import is_address

    dataset, after = home(desk.catalogue), ""
    query = _query(desk.catalogue)
    with looking_up(
        desk.catalogue, desk.connections, dataset, seconds=120, silent="it does not answer",
        unreadable="the accounts, or their holders' addresses, cannot be read", about=f"store {dataset.store}",
    ) as conn:  # fmt: skip
        conn.autocommit = True
        while rows := _rows(conn, query, after, size):
            tokens = sealing.digest_each(desk.keys, ref, subjects.KIND, [r[0] for r in rows])
            holders = [
                _Holder(r[0], r[1] if r[1] and is_address(r[1]) else None, t)
                for r, t in zip(rows, tokens, strict=True)
            ]
            minors = [r for r in rows if r[2]]
            theirs = sealing.digest_each(desk.keys, ref, GUARDIAN, [r[0] for r in minors])
            yield holders + [
                _Holder(r[0], r[3] if r[3] and is_address(r[3]) else None, t, guardian=True)
                for r, t in zip(minors, theirs, strict=True)
            ]
            after = rows[-1][0]


def _rows(
    conn: psycopg.Connection[Any], query: sql.Composed, after: str, size: int
) -> list[tuple[str, str | None, bool, str | None]]:
    rows = conn.execute(query, {"after": after, "n": size}).fetchall()
    return [(str(r[0]), r[1], bool(r[2]), r[3]) for r in rows]


def _query(catalogue: Catalogue) -> sql.Composed:
    accounts = home(catalogue)
    key = sql.Identifier("a", accounts.key[0])
    addresses: list[sql.Composable] = []
    guarded, guardian = _guarded(catalogue, key)
    for it in accounts.accounts.reached if accounts.accounts is not None else ():
        of = catalogue.dataset(it.dataset)
        link = next(x.column for x in of.links if x.column)
        addresses.append(
            sql.SQL("(SELECT min(r.{c}::text) FROM {t} AS r WHERE r.{l}::text = {k}::text)").format(
                c=sql.Identifier(it.column),
                t=sql.Identifier(*of.address.split(".")),
                l=sql.Identifier(link or ""),
                k=key,
            )
        )
    return sql.SQL(
        'SELECT {k}::text, coalesce({a}), {g}, {ga} FROM {t} AS a WHERE {k}::text COLLATE "C" > %(after)s'
        ' ORDER BY {k}::text COLLATE "C" LIMIT %(n)s'
    ).format(
        k=key, a=sql.SQL(", ").join(addresses), g=guarded, ga=guardian, t=sql.Identifier(*accounts.address.split("."))
    )  # fmt: skip


def _guarded(catalogue: Catalogue, key: sql.Composable) -> tuple[sql.Composable, sql.Composable]:
    """Whether an account's holder has a guardian, and the guardian's address, as SQL."""
    accounts = home(catalogue).accounts
    if accounts is None or accounts.guarded is None:
        return sql.SQL("false"), sql.SQL("NULL::text")
    of = catalogue.dataset(accounts.guarded.dataset)
    link = next(x.column for x in of.links if x.column)
    rows = sql.SQL("FROM {} AS g WHERE g.{}::text = {}::text").format(
        sql.Identifier(*of.address.split(".")), sql.Identifier(link or ""), key
    )
    address: sql.Composable = sql.SQL("NULL::text")
    if accounts.guarded.column is not None:
        address = sql.SQL("(SELECT min(g.{}::text) {})").format(sql.Identifier(accounts.guarded.column), rows)
    return sql.SQL("EXISTS (SELECT {})").format(rows), address
