"""The certificate of a service that stopped: assembled from the book and the ledger, signed, kept; and the order ends.

Nothing is in it that its offline verifier (:mod:`include.ledger.verify_service`) does not hold against the log, or the
custodian's against the whole of it (:mod:`include.ledger.verify_ledger`). Both are asked before the log is told that it was
certified, which it never takes back; the signer signs only what the first accepts. Killed anywhere, the next call goes on: what
was issued is never issued anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book, certificates, certifying
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import both, leaving, needles, orders, permitting, short, told_recipients
from include.cases.shutdown.dates import Gate
from include.cases.shutdown.located import LOCATED
from include.cases.shutdown.orders import Order
from include.cases.yearly import retesting, sanitising
from include.handover import disposers, ending, notices, register
from include.handover.ending import Ending
from include.handover.estate import DRAGNET
from include.handover.said import begun as cases_of
from include.handover.said import events as events_of
from include.handover.transferring import transfer
from include.ledger import issue, log, verify, verify_ledger, verify_service, verify_service_said
from include.ledger.certificate import Copy
from include.ledger.sequencer import publish, sequence
from include.ledger.verify_service import FORMAT
from include.model import ranges
from include.model.errors import NotProved
from include.model.times import observed_now, prc_date
from include.model.words import Ground

CERTIFIED, ENDED = "certified", "ended"
"""Of the events."""
MOST = 10  # things wrong that a refusal names
At = Callable[[str], None]


@dataclass(frozen=True)
class Service:
    """A certificate as it was given out."""

    order: str
    serial: int
    envelope: str
    issued_on: date

    @property
    def payload(self) -> dict[str, Any]:
        return verify.said_in(self.envelope)


def certificate(desk: Desk, number: str, *, as_of: date, actor: str, at: At = lambda _: None) -> Service:
    """The certificate of an order's service, issued once; then the order is ended. Raises NotProved naming all that is open,
    NotReachable without ledger or signer, Refused."""
    with desk.book() as conn:
        there = kept(conn, number)
    if there is None:
        found = ending.look(desk, number, as_of=as_of, actor=actor)
        ending.may_end(found)
        there = _issue(desk, found, as_of, actor, at)
    _end(desk, number, as_of=as_of, actor=actor, at=at)
    return there


def kept(conn: Conn, number: str) -> Service | None:
    """The one that was issued; None: none was."""
    row = conn.execute(
        "SELECT number, serial, envelope, issued_on FROM casebook.shutdown_certificate WHERE number = %s"
        " ORDER BY serial DESC LIMIT 1",
        (number,),
    ).fetchone()
    return None if row is None else Service(row["number"], row["serial"], row["envelope"], row["issued_on"])


def _end(desk: Desk, number: str, *, as_of: date, actor: str, at: At) -> None:
    with desk.book() as conn:
        if not orders.order(conn, number).in_force:
            return
        bags = bool(register.bags(conn, number))
    with orders.deed(desk, number) as (conn, _):
        needles.drop(desk, conn, number, as_of=as_of, actor=actor)
    at("service.dropped")
    moved = transfer(desk, number, as_of=as_of, actor=actor) if bags else 0
    with orders.deed(desk, number) as (conn, _):
        orders.say(desk, conn, number, ENDED, as_of, actor, {"units_transferred": moved})
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = %s WHERE number = %s", (as_of, number))


# --- issuing ------------------------------------------------------------------------------------------


def _issue(desk: Desk, found: Ending, as_of: date, actor: str, at: At) -> Service:
    number = found.order.number
    with certifying.ledger_desk(desk) as ledger, desk.book() as conn:
        sequence(ledger.sequencer)
        said = facts(desk, conn, ledger, found, as_of)
        with orders.deed(desk, number) as (mine, _):
            if (other := kept(mine, number)) is not None:  # of another run, meanwhile
                return other
            said["serial"] = 1 + sum(e["what"] == CERTIFIED for e in events_of(mine, number))
            # Nobody says anything else of the order until the end of this transaction.
            _would_verify(mine, ledger, said)
            detail = {
                "serial": said["serial"], "facts": verify_service.facts(said),
                **{name: said[name] for name in verify_service_said.STANDS},
            }  # fmt: skip
            orders.say(desk, mine, number, CERTIFIED, as_of, actor, detail)
        at("service.recorded")
        recorded = [e for e in events_of(conn, number) if e["what"] == CERTIFIED]
        (entry,) = _indexes(ledger, [e["key"] for e in recorded if e["detail"]["serial"] == said["serial"]])
        size, note = publish(ledger.sequencer, ledger.signer)
        said |= {"entry": entry, "checkpoint": note}
        said["successions"] = list(ledger.signer.successions())
        relied = sorted(_relied(said))
        said["entries"] = [e.model_dump(mode="json") for e in issue.included(ledger.reader, relied, size)]
        envelope = ledger.signer.certify_service(verify.canonical(said))
        at("service.signed")
        with orders.deed(desk, number) as (mine, _):
            if (other := kept(mine, number)) is not None:
                return other
            mine.execute(
                "INSERT INTO casebook.shutdown_certificate (number, serial, content, envelope, issued_on)"
                " VALUES (%s, %s, %s, %s, %s)",
                (number, said["serial"], detail["facts"], envelope.decode(), as_of),
            )
    return Service(number, int(said["serial"]), envelope.decode(), as_of)


def _would_verify(conn: Conn, ledger: issue.Desk, said: dict[str, Any]) -> None:
    """Raises NotProved with what the verifiers would find wrong, but for the one entry that is not there yet."""
    sequence(ledger.sequencer)
    last = log.size(ledger.reader)
    p = json.loads(
        verify.canonical(said | {"entry": last, "entries": [], "checkpoint": "", "successions": []})
    )
    whole = {
        e.index: json.loads(e.leaf)
        for kind in verify_ledger.ASKED
        for e in log.entries_of_kind(ledger.reader, kind)
    }
    named = [c for c in (*p["cases"], *p["others"]) if c["serial"] is not None]
    editions = [certificates.issued(conn, c["case"], c["serial"]).auditor for c in named]
    given = {hashlib.sha256(e.encode()).hexdigest(): verify.said_in(e) for e in editions}
    problems: list[str] = []
    try:
        verify_service_said.shape(p)
        entries = {
            e.index: json.loads(e.leaf) for e in log.entries(ledger.reader, sorted(_relied(p) - {last}))
        }
        problems += verify_service.content_problems(p, entries, recorded=False)
        problems += [*verify_ledger.of_the_whole_log(p, whole), *verify_ledger.named_certificates(p, given)]
    except verify.Bad as bad:
        problems.append(str(bad))
    if problems:
        raise NotProved(
            f"the certificate would not verify: {'; '.join(problems[:MOST])}"
            + (f" (and {len(problems) - MOST} more)" if len(problems) > MOST else ""), about=p["order"],
            next_step="ask again: something may have been done or said meanwhile; if it stays, find out what the ledger says"
            " otherwise",
        )  # fmt: skip


def facts(desk: Desk, conn: Conn, ledger: issue.Desk, found: Ending, as_of: date) -> dict[str, Any]:
    """All that it says, without what proves it."""
    of, observed = found.order, observed_now()
    begun, took = cases_of(conn, of.number), disposers.took(conn, of.number)
    told = told_recipients.standing(desk, of.number)
    return {
        "format": FORMAT, "order": of.number, "serial": 0, "scope": of.scope, "services": sorted(of.services),
        "t0": of.t0.isoformat(), "closed_on": (of.closed_on or of.t0).isoformat(),
        "successor": {"name": of.successor, "certificate": of.successor_certificate} if of.successor else None,
        "custodian": of.custodian, "catalogue": desk.catalogue.digest, "code": desk.code, "as_of": as_of.isoformat(),
        "observed_at": observed.isoformat(), "simulated": as_of != prc_date(observed),
        "statement": certifying.statement(desk.catalogue, Ground.SHUTDOWN),
        "books": [_book(x.told()) for x in found.books.lines],
        "residual": ending.residual(desk, of, as_of), "bags": _bags(conn, ledger, of),
        "cases": [
            {**_case(conn, ledger, no, found.cases[no], e["key"]), "items": took[no].gone if no in took else 0}
            for no, e in sorted(begun.items())
        ],
        "others": [disposers.other(conn, no, what) for no, what in took.items() if no not in begun],
        "recipients": [t.model_dump(mode="json") for t in told.told],
        "copies": [c.model_dump(mode="json") for c in _copies(conn, ledger, list(begun))],
        "gates": _gates(conn, ledger, of), "carriers": _carriers(ledger, found), "open_cases": _open_cases(conn),
        "unseen": _unseen(ledger, found), "proofs": _proofs(conn, ledger, of), **_unsought(ledger, found),
    }  # fmt: skip


def _gates(conn: Conn, ledger: issue.Desk, of: Order) -> list[dict[str, Any]]:
    """What was filed, when, by which document; and who answers for it, if that was later than the law lets it."""
    events = [e for e in events_of(conn, of.number) if e["what"] == "gate"]
    late = short.found(conn, of)
    by = short.answered(conn, of, late) if late else None
    answer = None if by is None else {
        "document": by.document, "digest": by.digest, "answered_on": by.answered_on.isoformat(),
        "entries": _indexes(ledger, [f"{orders.KIND}:{event}" for event in by.events]),
    }  # fmt: skip
    found = []
    for g in orders.gates(conn, of.number):
        if g["gate"] == Gate.CLOSED:
            continue
        line = {
            "gate": str(g["gate"]), "done_on": g["done_on"].isoformat(), "document": g["document"], "digest": g["digest"]
        }  # fmt: skip
        event = next(e for e in reversed(events) if all(e["detail"][k] == v for k, v in line.items()))
        (entry,) = _indexes(ledger, [event["key"]])
        is_late = any(s.gate == g["gate"] for s in late)
        found.append({**line, "entry": entry, "short": answer if is_late else None})
    return found


def _book(line: dict[str, Any]) -> dict[str, Any]:
    return {
        k: line[k]
        for k in ("dataset", "located", "transferred", "deleted", "anonymised", "retained", "custodian")
    }


def _unseen(ledger: issue.Desk, found: Ending) -> list[dict[str, Any]]:
    """Where nobody could see that nothing is collected, and who answers for it by what."""

    def at(event: int | None) -> int | None:
        return None if event is None else _indexes(ledger, [f"{orders.KIND}:{event}"])[0]

    return [{**x.told(), "entry": at(x.event), "seen": at(x.seen)} for x in found.books.answered]


def _unsought(ledger: issue.Desk, found: Ending) -> dict[str, Any]:
    """In which stores nobody's identifiers could be looked for, and who answers for that; nothing, if all were."""

    def at(*events: int) -> list[int]:
        return _indexes(ledger, [f"{orders.KIND}:{event}" for event in events])

    told = [{**x.told(), "gathered": at(x.gathered)[0], "entries": at(*x.by.events)} for x in found.unsought]
    return {"unsought": told} if told else {}


def _bags(conn: Conn, ledger: issue.Desk, of: Order) -> list[dict[str, Any]]:
    """Each with its newest receipt, by which it is with the successor, and its first, after which it might go here."""
    rows = conn.execute(
        "SELECT bag, envelope FROM casebook.handover_receipt WHERE order_no = %s AND reconciled ORDER BY receipt_no",
        (of.number,),
    ).fetchall()
    newest = {str(r["bag"]): hashlib.sha256(bytes(r["envelope"])).hexdigest() for r in rows}
    first = {str(r["bag"]): hashlib.sha256(bytes(r["envelope"])).hexdigest() for r in reversed(rows)}
    followed = _followed(conn, ledger, of)
    told: dict[str, list[str]] = {}
    for n in notices.of_order(conn, of.number):
        told.setdefault(n.said.bag, []).append(f"handover.notice:{of.number}:{n.said.bag}:{n.said.notice}")
    found = []
    left = _left(conn, ledger, of)
    former = [b for b in register.former(conn, of.number) if b.left]
    for bag in [*register.bags(conn, of.number), *former]:
        digest = newest[bag.name]
        keys = [f"handover.receipt:{of.number}:{bag.name}:{x[:32]}" for x in (digest, first[bag.name])]
        entry, earliest = _indexes(ledger, keys)
        statement = hashlib.sha256(bag.payload).hexdigest()
        found.append(
            {"bag": bag.name, "dataset": bag.statement.dataset, "items": bag.statement.items, "root": bag.statement.root,
             "statement": statement, "receipt": digest, "entry": entry, "first": earliest,
             "notices": _indexes(ledger, told.get(bag.name, [])), **followed.get(bag.name, {}), **left.get(bag.name, {})}
        )  # fmt: skip
    return found


def _left(conn: Conn, ledger: issue.Desk, of: Order) -> dict[str, dict[str, Any]]:
    """By bag of a company that withdrew, how many items stay with it alone, and who answers for that by what."""
    found: dict[str, dict[str, Any]] = {}
    items = {b.name: b.left for b in register.former(conn, of.number)}
    events = {e["event_id"]: e for e in events_of(conn, of.number)}
    for e in events.values():
        if e["what"] != leaving.SETTLED:
            continue
        words = both.answer(conn, of, leaving.LEFT, lambda d, n=e["detail"]["withdrew"]: d["withdrew"] == n)  # type: ignore[misc]
        assert words is not None  # noqa: S101 - it was settled by that
        keys = [events[n]["key"] for n in (e["detail"]["withdrew"], *words.events)] + [e["key"]]
        withdrew, *entries, settled = _indexes(ledger, keys)
        for bag in ranges.long(e["detail"]["left"]):
            told = {
                "custodian": e["detail"]["company"], "items": items[bag], "document": words.document, "digest": words.digest,
                "withdrew": withdrew, "entries": entries, "settled": settled,
            }  # fmt: skip
            found[bag] = {"left": told}
    return found


def _followed(conn: Conn, ledger: issue.Desk, of: Order) -> dict[str, dict[str, Any]]:
    """By bag, the last notice about it that the successor followed, and the entry of its answer."""
    rows = conn.execute(
        "SELECT DISTINCT ON (r.bag) r.bag, r.notice, r.envelope, n.payload, n.items, n.root"
        " FROM casebook.handover_notice_receipt AS r JOIN casebook.handover_notice AS n USING (order_no, bag, notice)"
        " WHERE r.order_no = %s AND r.reconciled ORDER BY r.bag, r.notice DESC, r.receipt_no DESC",
        (of.number,),
    ).fetchall()
    found = {}
    for r in rows:
        name, answer = notices.name(r["bag"], r["notice"]), hashlib.sha256(bytes(r["envelope"])).hexdigest()
        (index,) = _indexes(ledger, [f"handover.notice_receipt:{name}:{answer[:32]}"])
        digest = hashlib.sha256(bytes(r["payload"])).hexdigest()
        told = {
            "notice": r["notice"],
            "digest": digest,
            "items": r["items"],
            "root": r["root"],
            "entry": index,
        }
        found[str(r["bag"])] = {"noticed": told}
    return found


def _case(conn: Conn, ledger: issue.Desk, case_no: str, serial: int, key: str) -> dict[str, Any]:
    made = certificates.issued(conn, case_no, serial)
    digest = hashlib.sha256(made.auditor.encode()).hexdigest()
    return {
        "case": case_no, "certificate": digest, "serial": serial, "entry": made.entry, "begun": _indexes(ledger, [key])[0]
    }  # fmt: skip


def _copies(conn: Conn, ledger: issue.Desk, cases: Sequence[str]) -> list[Copy]:
    """Of each backup set the last word, over all cases: where the log stood after the last deed, and all looks at it."""
    found: dict[tuple[str, str], Copy] = {}
    for no in cases:
        for copy in certifying.copies_of(conn, book.case(conn, no), ledger):
            key = copy.backup_set, copy.store
            was = found.get(key)
            if was is not None:
                later = copy if _at(copy) >= _at(was) else was
                both = tuple(sorted({*copy.evidence, *was.evidence}))
                gone = (
                    None
                    if None in (copy.gone_on, was.gone_on)
                    else max(filter(None, (copy.gone_on, was.gone_on)))
                )
                copy = later.model_copy(update={"evidence": both, "gone_on": gone})  # noqa: PLW2901
            found[key] = copy
    return [found[key] for key in sorted(found)]


def _at(copy: Copy) -> tuple[int, int]:
    high, _, low = (copy.position or "0/0").partition("/")
    return int(high, 16), int(low, 16)


def _carriers(ledger: issue.Desk, found: Ending) -> list[dict[str, Any]]:
    """What became of the media of each store, backup set and key: the entry of a record of one, those of both words."""

    def at(kind: str, *numbers: int) -> list[int]:
        return _indexes(ledger, [f"{kind}:{n}" for n in numbers])

    return [
        {**s.told(), "entry": at(sanitising.KIND, s.record.record_no)[0] if s.record else None,
         "entries": at(orders.KIND, *s.word.by.events) if s.word else []}
        for s in found.media
    ]  # fmt: skip


def _open_cases(conn: Conn) -> int:
    row = conn.execute("SELECT count(*) AS n FROM casebook.case_ WHERE closed_at IS NULL").fetchone()
    return int(row["n"]) if row else 0


def _proofs(conn: Conn, ledger: issue.Desk, of: Order) -> dict[str, Any]:
    """Indexes of the events that it rests on, of the last of each kind."""
    events = events_of(conn, of.number)

    def at(what: str) -> list[int]:
        return _indexes(ledger, [e["key"] for e in events if e["what"] == what])

    parts = [e for e in events if e["what"] == DRAGNET]
    moment = parts[-1]["detail"]["observed_at"]
    told = at(told_recipients.TOLD)
    approved = at(permitting.PERMITTED)
    retest = log.latest_of_kind(ledger.reader, retesting.KIND)
    if retest is None:
        raise NotProved(
            "the test of what is anonymous is not in the ledger yet", about=of.number, next_step="try again"
        )
    return {
        "opened": at("opened")[-1], "closed": at("collection closed")[-1],
        "located": _located(ledger, of), "books": at(verify_service_said.BOOKS)[-1],
        "conservation": at(verify_service_said.CONSERVED)[-1],
        "collection": at(verify_service_said.LOOKED)[-1], "recipients": told[-1] if told else None,
        "dragnet": _indexes(ledger, [e["key"] for e in parts if e["detail"]["observed_at"] == moment]), "retest": retest,
        **({"approved": approved} if approved else {}),
    }  # fmt: skip


def _located(ledger: issue.Desk, of: Order) -> list[int]:
    """All counts after T0, as the log has them: also one that was said there, and then not kept in the book."""
    said = log.entries_of_kind(ledger.reader, orders.KIND)
    return [e.index for e in said if (e.body["order"], e.body["what"]) == (of.number, LOCATED)]


def _relied(said: dict[str, Any]) -> set[int]:
    p = said["proofs"]
    found = {
        said["entry"],
        *p["located"],
        *p["dragnet"],
        *p.get("approved", ()),
        *(p[k] for k in ("opened", "closed", "books", "conservation", "collection", "retest")),
    }
    found |= set() if p["recipients"] is None else {p["recipients"]}
    found |= {i for x in said["unseen"] for i in (x["entry"], x["seen"]) if i is not None}
    found |= {x["entry"] for name in ("bags", "cases", "others") for x in said[name]} - {None}
    found |= {i for x in said.get("unsought", ()) for i in (x["gathered"], *x["entries"])}
    found |= {i for b in said["bags"] for i in (b["first"], *b["notices"])}
    found |= {b["noticed"]["entry"] for b in said["bags"] if "noticed" in b}
    left = [b["left"] for b in said["bags"] if "left" in b]
    found |= {i for x in left for i in (x["withdrew"], x["settled"], *x["entries"])}
    found |= {i for x in said.get("carriers", ()) for i in (x["entry"], *x["entries"])} - {None}
    found |= {i for x in said.get("gates", ()) for i in (x["entry"], *(x["short"] or {}).get("entries", ()))}
    return found | {c["begun"] for c in said["cases"]} | {i for c in said["copies"] for i in c["evidence"]}


def _indexes(ledger: issue.Desk, keys: Sequence[str]) -> list[int]:
    """Where these entries are in the log. Raises NotProved if one is not there yet."""
    sequence(ledger.sequencer)
    there = log.indexes_of_keys(ledger.reader, keys)
    if missing := [k for k in keys if k not in there]:
        raise NotProved(
            f"{len(missing)} entries are not in the ledger yet, such as {missing[0]}", about="ledger",
            next_step="wait for the sequencer, then try again",
        )  # fmt: skip
    return [there[k] for k in keys]
