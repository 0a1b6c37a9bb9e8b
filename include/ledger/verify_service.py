#!/usr/bin/env python3
"""The offline verifier of the certificate of a service that stopped.

    python verify_service.py certificate.json --key pub.pem

Beside ``verify.py``, whose checks of signatures, log and proofs it uses; nothing else is needed, and no network. It checks that
the certificate is signed, that the log recorded these very facts, that nothing was collected since T0 and whatever nobody could
see of that is named, with the document by which somebody answers for it, that the books balance, are those of the log, and passed
a suite of expectations, that every bag was signed for without a difference before its source began to go, that what went is what
the named cases took, that every recipient's track and backup set ended, that the whole estate was looked through afterwards and
holds what stays and no more, that the media of each store, backup set and key were sanitised by a record, or both approvers say
what becomes of them, that whatever could not be looked for in it is named, with the document by which both approvers answer for
it, and that each item which stays has a law, a custodian and an end. What else the log says of the order, such as anything
newer, the custodian's verifier sees (``verify_ledger.py``), which has all of it. Exit code 0: all of it holds. 1: something does
not, and is named. 2: the call itself was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if __package__:
    from include.ledger import verify
else:  # run as a file, as a custodian does: the one beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]

PAYLOAD_TYPE = "application/vnd.quietus.service-certificate+json"
FORMAT, FORMER = "quietus-service-certificate/2", "quietus-service-certificate/1"
"""The former one does not say what became of the media of each store, backup set and key, and need not say that a suite of
expectations judged the books."""
NOT_FACTS = ("entries", "entry", "checkpoint", "successions")
"""What it says beside its facts: they are hashed together into the log."""
_PAYLOAD = (
    "format:str order:str serial:int scope:str services:list t0:str closed_on:str successor:dict? custodian:str? catalogue:str "
    "code:str as_of:str observed_at:str simulated:bool statement:str books:list residual:list bags:list cases:list others:list "
    "recipients:list copies:list open_cases:int unseen:list proofs:dict entry:int entries:list checkpoint:str "
    "successions:list"
)
_BOOK = "dataset:str located:int transferred:int deleted:int anonymised:int retained:int custodian:str?"
_KEPT = "dataset:str categories:list disposition:str rule:str law:str items:int first:str? last:str? waits:int custodian:str?"
_BAG = "bag:str dataset:str items:int root:str statement:str receipt:str entry:int first:int notices:list"
_GATE = "gate:str done_on:str document:str digest:str entry:int short:dict?"
_SHORT = "document:str digest:str answered_on:str entries:list"
"""Of a gate that was done later than the law lets it, under ``short``: who answers for that by what."""
LEADS = {"notified": 90, "reported": 60, "announced": 30}
"""Days before collection was closed (Electronic Signature Law 23; E-commerce Law 16), of who stops of its own will."""
E_GOVERNMENT, E_GOVERNMENT_DAYS = "reported_e_government", 90
VOLUNTARY = "voluntary"
_NOTICED = "notice:int digest:str items:int root:str entry:int"
"""Of a bag about which the successor followed notices, under ``noticed``: the last of them, and how it left the bag."""
_LEFT = "custodian:str items:int document:str digest:str withdrew:int entries:list settled:int"
"""Of a bag whose successor withdrew, under ``left``: so many of its items stay with that company, and who answers for that."""
_CASE = "case:str items:int certificate:str serial:int entry:int begun:int"
_OTHER = "case:str items:int cut:int certificate:str? serial:int? entry:int? final:bool waits:list"
_WAITS = "backup_set:str due:str?"
_MEDIUM = "record:int entry:int"
_CARRIER = (
    "medium:str record:int? entry:int? becomes:str? who:str? until:str? document:str? digest:str? "
    "answered_on:str? entries:list"
)
"""Under ``carriers``: what became of the media of a store, a backup set or a key: ``record`` is of one medium of it."""
_UNSEEN = "store:str place:str why:str document:str digest:str answered_on:str entry:int seen:int?"
_UNSOUGHT = (
    "store:str why:str identifiers:int document:str digest:str answered_on:str gathered:int entries:list"
)
"""Under ``unsought``, if it is there: stores in which identifiers could not be looked for, and who answers for that."""
_PROOFS = (
    "opened:int closed:int located:list books:int collection:int recipients:int? dragnet:list retest:int"
)
LOOKED, ACCEPTED, BOOKS, CONSERVED = (
    "collection looked at",
    "unverified accepted",
    "books",
    "conservation proved",
)
GATHERED, LOST = "identifiers gathered", "key of identifiers declared lost"
SHORT = "shorter notice answered for"
SPOKEN_FOR = "media answered for"
STAYS, RENTED, LATER = "stays", "rented", "later"
"""What becomes of media that are not sanitised yet."""
WITHDREW, LEFT, SETTLED = "successor withdrew", "left with who withdrew", "went on without who withdrew"
APPROVERS = (1, 2)
BEGUN = ("source deletion begun", "disposal begun")
"""Of the events. Those that say by which case something of the order is disposed of, and of which bags."""
PERMITTED = "source deletion approved"
STANDS = ("t0", "successor", "custodian")
"""What an order may change on its way: the entry of the certificate says how each stands in the end."""
ENDS = ("transferred", "deleted", "anonymised", "retained")
Entries = dict[int, dict[str, Any]]
Said = dict[str, Any]


def shape(p: Any) -> None:
    """Every field is there and of its kind."""
    more = " unsought:list" * ("unsought" in verify.need(p, dict, "the certificate"))
    more += " carriers:list" * (p.get("format") != FORMER)
    more += " gates:list" * (p.get("format") != FORMER)
    more += " media:list" * (p.get("format") == FORMER or "media" in p)  # as the first of the others did, too
    verify.has_shape(p, _PAYLOAD + more, "the certificate")
    if p["format"] not in (FORMAT, FORMER):
        verify.bad(f"this verifier reads {FORMAT}; the certificate says it is something else")
    for name, form in (
        ("books", _BOOK),
        ("residual", _KEPT),
        ("bags", _BAG),
        ("cases", _CASE),
        ("others", _OTHER),
        ("media", _MEDIUM),
        ("unseen", _UNSEEN),
        ("unsought", _UNSOUGHT),
        ("carriers", _CARRIER),
        ("gates", _GATE),
    ):
        for n, line in enumerate(p.get(name, ())):
            noticed = name == "bags" and isinstance(line, dict) and "noticed" in line
            left = name == "bags" and isinstance(line, dict) and "left" in line
            more = " noticed:dict" * noticed + " left:dict" * left
            verify.has_shape(line, form + more, f"line {n} of its {name}")
            if name == "gates" and line["short"] is not None:
                verify.has_shape(line["short"], _SHORT, f"the answer of line {n} of its gates")
            if left:
                verify.has_shape(line["left"], _LEFT, f"what is left of line {n} of its bags")
            if noticed:
                verify.has_shape(line["noticed"], _NOTICED, f"the notice of line {n} of its bags")
            if any(isinstance(v, int) and not isinstance(v, bool) and v < 0 for v in line.values()):
                verify.bad(f"line {n} of its {name} has a negative number")
            for wait in line.get("waits", ()) if name == "others" else ():
                verify.has_shape(wait, _WAITS, f"what line {n} of its others waits for")
    verify.need(p["proofs"], dict, "its proofs")
    suite = " conservation:int" * (p["format"] != FORMER or "conservation" in p["proofs"])
    suite += " approved:list" * ("approved" in p["proofs"])
    verify.has_shape(p["proofs"], _PROOFS + suite, "its proofs")
    verify.check_shape_of_recipients(p)
    verify.check_shape_of_copies(p)


def facts(p: Said) -> str:
    """What the log records of a certificate: all that it says."""
    said = {name: value for name, value in p.items() if name not in NOT_FACTS}
    return hashlib.sha256(b"quietus service v1\n" + verify.canonical(said)).hexdigest()


# --- what the log says ------------------------------------------------------------------------------


def event(p: Said, entries: Entries, index: Any, what: str) -> Said:
    """The body of an event of this order in the log. Raises Bad if that entry is none."""
    entry = entries.get(verify.need(index, int, f"the entry of {what!r}"))
    if entry is None or entry["kind"] != "shutdown" or entry["body"].get("order") != p["order"]:
        verify.bad(f"the ledger entry that says {what!r} of this order is not among the entries given")
    if entry["body"].get("what") != what:
        verify.bad(f"ledger entry {index} does not say {what!r}")
    return dict(entry["body"])


def check_recorded(p: Said, entries: Entries) -> Iterator[str]:
    """The log has these very facts, and the order as it stood."""
    said = event(p, entries, p["entry"], "certified")
    if (said.get("serial"), said.get("facts")) != (p["serial"], facts(p)):
        yield "the ledger recorded other facts: something was dropped, added or changed"
    for name in STANDS:
        if said.get(name, "") != p[name]:
            yield f"the ledger recorded another {name}"
    if late := sorted(i for i in entries if i > p["entry"]):
        yield f"it rests on ledger entry {late[0]}, which came after it was recorded"


def check_order(p: Said, entries: Entries) -> Iterator[str]:
    """The order is the one that was opened, and its collection was closed on that day."""
    opened = event(p, entries, p["proofs"]["opened"], "opened")
    if (opened.get("scope"), opened.get("services")) != (p["scope"], p["services"]):
        yield "the order was about something else"
    closed = event(p, entries, p["proofs"]["closed"], "collection closed")
    if closed.get("as_of") != p["closed_on"]:
        yield "collection was closed on another day"


def check_gates(p: Said, entries: Entries) -> Iterator[str]:
    """Each gate was passed by a document, as many days before collection was closed as the law wants; or both approvers of the
    order answer for fewer. A licence that was revoked has no days."""
    if p["format"] == FORMER:
        return
    opened = event(p, entries, p["proofs"]["opened"], "opened")
    days = {**LEADS, **({E_GOVERNMENT: E_GOVERNMENT_DAYS} if opened.get("e_government") else {})}
    told = Counter(x["gate"] for x in p["gates"])
    for gate in sorted(days):
        if told[gate] != 1:
            yield f"gate {gate} is told {told[gate]} times"
    closed = verify.day(p["closed_on"], "closed_on")
    for x in p["gates"]:
        said = event(p, entries, x["entry"], "gate")
        if any(said.get(k) != x[k] for k in ("gate", "done_on", "document", "digest")):
            yield f"gate {x['gate']}: the ledger has another day or document"
        wanted = days.get(x["gate"], 0) if opened.get("path") == VOLUNTARY else 0
        kept = (closed - verify.day(x["done_on"], "the day of a gate")).days
        if wanted > kept and x["short"] is None:
            yield f"gate {x['gate']}: was done {kept} days before collection was closed, and the law wants {wanted}"
        elif x["short"] is not None:
            yield from _short_answered(p, x, entries)


def _short_answered(p: Said, x: Said, entries: Entries) -> Iterator[str]:
    by = x["short"]
    words = [event(p, entries, index, SHORT) for index in by["entries"]]
    if Counter(w.get("approver") for w in words) != Counter(APPROVERS):
        yield f"gate {x['gate']}: was done later than the law lets it, and not both approvers of the order answer for it"
        return
    same = {"document": by["document"], "digest": by["digest"]}
    if any(
        w.get("gates", {}).get(x["gate"]) != x["done_on"] or any(w.get(k) != v for k, v in same.items())
        for w in words
    ) or by["answered_on"] != max(w["as_of"] for w in words):
        yield f"gate {x['gate']}: the answer that the ledger has is another"


def check_collection(p: Said, entries: Entries) -> Iterator[str]:
    """Nothing was written since T0, and nobody can write, as the last look has it. Whatever that look could not see is told, and
    somebody answered for it, by a document, after it was seen for the last time. That look came after the last deed."""
    last = p["proofs"]["collection"]
    if last < last_deed(p, entries):
        yield "the last look at collection came before the last deed"
    looked = event(p, entries, last, LOOKED)
    verdict, missed = looked.get("verdict"), Counter(missed_by(looked))
    if verdict not in ("passed", "unverified") or any(x["grew"] or x["writers"] for x in looked["stores"]):
        yield f"the last look at collection is {verdict}: something was written since T0, or still can be"
    if (verdict == "passed") == bool(missed):
        yield f"the last look at collection is {verdict}, and could not see {len(missed)} places"
    told = Counter((x["store"], x["place"], x["why"]) for x in p["unseen"])
    for _, place, why in sorted((missed - told).elements()):
        yield f"the last look at collection could not see {place} ({why}), and nobody answers for it"
    for _, place, _ in sorted((told - missed).elements()):
        yield f"{place} is told as not seen, and the last look at collection did not say so"
    for x in p["unseen"]:
        said = event(p, entries, x["entry"], ACCEPTED)
        same = {"document": x["document"], "digest": x["digest"], "as_of": x["answered_on"]}
        if [x["store"], x["place"], x["why"]] not in said.get("unseen", ()) or any(
            said.get(k) != v for k, v in same.items()
        ):
            yield f"{x['place']}: the answer that the ledger has is another"
        if x["seen"] is not None:
            event(p, entries, x["seen"], LOOKED)
        if not (-1 if x["seen"] is None else x["seen"]) < x["entry"] < last:
            yield f"{x['place']}: nobody answered for it between the look that saw it last and the last look"
    looks = {
        i: e["body"]
        for i, e in entries.items()
        if e["kind"] == "shutdown" and e["body"].get("what") == LOOKED
    }
    yield from seen_again(p, looks)


def last_deed(p: Said, entries: Entries) -> int:
    """The last entry about something that the order's cases did: that one was begun, or what was seen of it, as the log lists it
    with the case's own certificate."""
    said = [0]
    for c in p["cases"]:
        entry = entries.get(c["entry"], {"body": {}})
        said += [c["begun"], *(verify.need(i, int, "evidence") for i in entry["body"].get("evidence", ()))]
    return max(said)


def missed_by(looked: Said) -> list[tuple[str, str, str]]:
    """Each place that a look could not see: store, place, why."""
    return [(x["store"], place, why) for x in looked["stores"] for place, why in x["unasked"].items()]


def seen_again(p: Said, looks: Entries) -> Iterator[str]:
    """An answer stands for what was not seen when it was given, and until it is seen again. ``looks``: by their entries."""
    for x in p["unseen"]:
        where = (x["store"], x["place"], x["why"])
        for index, body in looks.items():
            of = body.get("order") == p["order"]
            if of and x["entry"] < index <= p["proofs"]["collection"] and where not in missed_by(body):
                yield f"{x['place']}: ledger entry {index} saw it after somebody had answered for it, and it is asked about anew"


def check_books(p: Said, entries: Entries) -> Iterator[str]:
    """located = transferred + deleted + anonymised + retained, as the log has it, of all that was located after T0."""
    located = _located(p, entries)
    yield from _out_of_order(p)
    books = event(p, entries, p["proofs"]["books"], BOOKS)
    if p["proofs"]["books"] < last_deed(p, entries):
        yield "the last books came before the last deed"
    recorded = {x["dataset"]: x for x in books.get("lines", ())}
    unseen = [{k: x[k] for k in x if k not in ("entry", "seen")} for x in p["unseen"]]
    if books.get("answered") != unseen:
        yield "the books that the ledger has name other places that could not be seen"
    wanted = (
        "unverified" if unseen else "passed"
    )  # nothing but those may be unverified: each line has no reason against it
    if books.get("verdict") != wanted or any(x["reasons"] or x["pending"] for x in recorded.values()):
        yield "the books that the ledger has do not balance"
    yield from _judged(p, entries)
    told = Counter(x["dataset"] for x in p["books"])
    for dataset in sorted(set(located) | set(recorded) | set(told)):
        if told[dataset] != 1:
            yield f"the books name {dataset} {told[dataset]} times"
    for dataset in sorted(d for d in told.keys() - located.keys() if not d.startswith("book.")):
        yield f"no entry says how much of {dataset} was located after T0"
    for x in p["books"]:
        total = sum(x[word] for word in ENDS)
        if x["located"] != total:
            yield f"the books do not balance for {x['dataset']}: {x['located']} located, {total} accounted for"
        if x["dataset"] in located and located[x["dataset"]] != x["located"]:
            yield f"of {x['dataset']} {located[x['dataset']]} items were located after T0, and {x['located']} are told"
        if any(recorded.get(x["dataset"], {}).get(word) != x[word] for word in ("located", *ENDS)):
            yield f"the books of {x['dataset']} are not those that the ledger recorded"
        if x["retained"] and not x["custodian"]:
            yield f"items of {x['dataset']} stay, and nobody is named who keeps them"


def _judged(p: Said, entries: Entries) -> Iterator[str]:
    """A suite of expectations held these books against all that was told of them, and nothing in it failed or was not seen."""
    if (index := p["proofs"].get("conservation")) is None:
        if p["format"] != FORMER:
            yield "nothing says that a suite judged the books"
        return
    if event(p, entries, index, CONSERVED).get("verdict") != "passed":
        yield "the suite that judges the books did not pass"
    if index < p["proofs"]["books"]:
        yield "the suite that judges the books was run before the last of them"


def _located(p: Said, entries: Entries) -> dict[str, int]:
    """How much of each dataset was located after T0: what was said first counts."""
    found: dict[str, int] = {}
    for index in p["proofs"]["located"]:
        for dataset, fates in event(p, entries, index, "located").get("datasets", {}).items():
            found.setdefault(dataset, sum(fates.values()))
    return found


def _out_of_order(p: Said) -> Iterator[str]:
    before = p["proofs"]["closed"]
    for index in p["proofs"]["located"]:
        if index <= before:
            yield f"ledger entry {index}: what was located is told out of its order, or was counted before collection was closed"
        before = index


def check_bags(p: Said, entries: Entries) -> Iterator[str]:
    """Each bag was signed for without a difference, under our root, as it was packed or as the last notice left it; what was
    transferred is what is in bags."""
    moved: Counter[str] = Counter()
    for name, times in Counter(b["bag"] for b in p["bags"]).items():
        if times > 1:
            yield f"bag {name} is told {times} times"
    for b in p["bags"]:
        moved[b["dataset"]] += moved_by(b)
        yield from _noticed(p, b, entries)
        yield from _left(p, b, entries)
        yield from _signed_for(p, b, entries)
    for x in p["books"]:
        if x["transferred"] != moved.pop(x["dataset"], 0):
            yield f"of {x['dataset']} other numbers are told as transferred and in bags"
    for dataset in sorted(d for d, n in moved.items() if n):
        yield f"bags of {dataset} are in no books"
    if p["bags"] and not p["successor"]:
        yield "bags were handed over, and no successor is named"


def _signed_for(p: Said, b: Said, entries: Entries) -> Iterator[str]:
    """Its newest receipt, and the first one after which it might go here: both without a difference, under the root of ours that
    was due when it was signed."""
    if b["first"] > b["entry"]:
        yield f"bag {b['bag']}: its first receipt came after its last"
    for index, more in ((b["entry"], ("receipt",)), (b["first"], ())):
        entry = entries.get(index)
        if entry is None or entry["kind"] != "handover.receipt":
            yield f"bag {b['bag']}: no receipt for it is among the entries given"
            continue
        said = entry["body"]
        same = {"order": p["order"], **{k: b[k] for k in ("bag", "statement", *more)}}
        if any(said.get(k) != v for k, v in same.items()) or (
            said.get("items"),
            said.get("root"),
        ) not in _due(p, b, entries, index):
            yield f"bag {b['bag']}: the receipt that the ledger has is another"
        if any(said.get(k) != 0 for k in ("missing", "changed", "extra")):
            yield f"bag {b['bag']}: its receipt names differences"


def _due(p: Said, b: Said, entries: Entries, receipt: int) -> list[tuple[Any, Any]]:
    """What a receipt may name: once its last notice was followed what that left, and before as it was packed, or as any notice
    left it. By the times at which the successor signed, or, where the log does not say them, by the order of entries."""
    if "noticed" in b:
        answer = entries.get(b["noticed"]["entry"], {"body": {}})["body"].get("done_at")
        signed = entries[receipt]["body"].get("stored_at")
        if answer is None or signed is None:
            after = receipt > b["noticed"]["entry"]
        else:
            after = datetime.fromisoformat(str(signed)) >= datetime.fromisoformat(str(answer))
        if after:
            return [(as_left(b)["items"], as_left(b)["root"])]
    told = [entries.get(index, {"kind": "", "body": {}}) for index in b["notices"]]
    return [
        (b["items"], b["root"]),
        *(
            (n["body"].get("items"), n["body"].get("root"))
            for n in told
            if n["kind"] == "handover.notice"
            and (n["body"].get("order"), n["body"].get("bag")) == (p["order"], b["bag"])
        ),
    ]


def as_left(b: Said) -> Said:
    """Where items and root of a bag are told as they were in the end."""
    return dict(b.get("noticed", b))


def moved_by(b: Said) -> int:
    """How many items a bag moved: of one whose successor withdrew those that stay with that company, else all of it."""
    return int(b["left"]["items"] if "left" in b else as_left(b)["items"])


def _left(p: Said, b: Said, entries: Entries) -> Iterator[str]:
    """Of a company that withdrew: the log says so, that both approvers answer for it, and how many items stay there."""
    if "left" not in b:
        return
    said = b["left"]
    withdrew = event(p, entries, said["withdrew"], WITHDREW)
    if (withdrew.get("order"), said["withdrew"] > b["entry"]) != (p["order"], True):
        yield f"bag {b['bag']}: it was signed for after its successor had withdrawn"
    words = [event(p, entries, index, LEFT) for index in said["entries"]]
    same = {k: said[k] for k in ("document", "digest")} | {"company": said["custodian"]}
    if sorted(int(w.get("approver", 0)) for w in words) != list(APPROVERS) or any(
        w.get(k) != v for w in words for k, v in same.items()
    ):
        yield f"bag {b['bag']}: not both approvers answer for what is left with {said['custodian']}"
    settled = event(p, entries, said["settled"], SETTLED)
    items = settled.get("part", {}).get(b["bag"], as_left(b)["items"])
    named = b["bag"] in every(settled.get("left", ()))
    if (settled.get("company"), items, named) != (said["custodian"], said["items"], True):
        yield f"bag {b['bag']}: the ledger says otherwise how much of it is left with {said['custodian']}"
    if not all(said["withdrew"] < i < said["settled"] for i in said["entries"]):
        yield f"bag {b['bag']}: what is left of it was settled out of order"
    if not 0 < said["items"] <= as_left(b)["items"]:
        yield f"bag {b['bag']}: more of it is left than was in it"


def _noticed(p: Said, b: Said, entries: Entries) -> Iterator[str]:
    """The successor followed the notice that is told, and then had the bag as that left it."""
    if "noticed" not in b:
        return
    entry = entries.get(b["noticed"]["entry"])
    if entry is None or entry["kind"] != "handover.notice_receipt":
        yield f"bag {b['bag']}: no answer to its last notice is among the entries given"
        return
    said = {k: v for k, v in b["noticed"].items() if k != "entry"}
    same = {**said, "order": p["order"], "bag": b["bag"], "missing": 0, "changed": 0, "extra": 0}
    if any(entry["body"].get(k) != v for k, v in same.items()):
        yield f"bag {b['bag']}: the answer to its last notice that the ledger has is another, or names differences"


def check_cases(p: Said, entries: Entries) -> Iterator[str]:
    """What was deleted here went by cases of this order that have a certificate of their own; every bag went by one that was
    begun once the successor had signed for it; and all that went, went by a case that is named."""
    taken: dict[str, int] = {}
    approved = {
        i: event(p, entries, i, PERMITTED).get("consignment") for i in p["proofs"].get("approved", ())
    }
    for c in p["cases"]:
        begun = entries.get(c["begun"], {"kind": "", "body": {}})
        body = begun["body"]
        if begun["kind"] != "shutdown" or (body.get("order"), body.get("case")) != (p["order"], c["case"]):
            yield f"{c['case']}: the ledger does not say that it is of this order"
        if body.get("what") not in BEGUN:
            yield f"{c['case']}: ledger entry {c['begun']} does not say that it was begun"
        # What was begun before anybody was asked for a document names no consignment.
        if "consignment" in body and not any(
            i < c["begun"] and of == body["consignment"] for i, of in approved.items()
        ):
            yield f"{c['case']}: our copy began to go before anybody approved that by a document"
        for bag in every(body.get("bags", ())):
            taken[bag] = min(c["begun"], taken.get(bag, c["begun"]))
        yield from _certified(c, entries)
    for b in p["bags"]:
        if b["bag"] in taken and taken[b["bag"]] < b["first"]:
            yield f"bag {b['bag']}: its source began to go before the successor had signed for it"
        if moved_by(b) and b["bag"] not in taken and not b["dataset"].startswith("book."):
            yield f"bag {b['bag']}: no case took it away here"
    yield from _others(p, entries)


def _certified(c: Said, entries: Entries) -> Iterator[str]:
    entry = entries.get(c["entry"])
    if entry is None or entry["kind"] != "dispositions" or entry["case_no"] != c["case"]:
        yield f"{c['case']}: its certificate is not in the log, or not among the entries given"
    elif (entry["body"].get("edition"), entry["body"].get("serial")) != ("auditor", c["serial"]):
        yield f"{c['case']}: the log has another certificate of it"


def _others(p: Said, entries: Entries) -> Iterator[str]:
    """Nights and people's cases that went on after T0 have certificates of their own, or none yet. What they took and what the
    order's took is what the books say is not here any more."""
    for name, times in Counter(c["case"] for c in (*p["cases"], *p["others"])).items():
        if times > 1:
            yield f"{name} is told {times} times"
    for c in p["others"]:
        if c["certificate"] is not None:
            yield from _certified(c, entries)
        elif c["final"] or c["waits"] or c["serial"] is not None or c["entry"] is not None:
            yield f"{c['case']}: no certificate of it is named, and it is told what that says"
        if c["final"] and c["waits"]:
            yield f"{c['case']}: its certificate is told as final, and it waits"
    went = sum(c["items"] for c in (*p["cases"], *p["others"]))
    told = sum(
        x["deleted"] + x["anonymised"] + x["transferred"] * (not x["dataset"].startswith("book."))
        for x in p["books"]
    )
    if went != told:
        yield f"by the books {told} items are not here any more, and the cases that are named took {went}"


def every(names: Any) -> Iterator[str]:
    """Names of bags, of which an entry says those in a row as one: ``x-0001..0003``."""
    for name in names:
        head, dots, last = str(name).rpartition("..")
        stem, dash, first = head.rpartition("-")
        if not (dots and dash and first.isdecimal() and last.isdecimal() and len(first) == len(last) <= 6):
            yield str(name)  # itself, then: no bag has such a name
            continue
        for number in range(int(first), int(last) + 1):
            yield f"{stem}-{number:0{len(first)}d}"


def check_recipients(p: Said, entries: Entries) -> Iterator[str]:
    """Whoever was to be told has come to an end."""
    index = p["proofs"]["recipients"]
    wanted = (
        set() if index is None else set(event(p, entries, index, "recipients told").get("recipients", ()))
    )
    if missing := sorted(wanted - {r["recipient"] for r in p["recipients"]}):
        yield f"of {', '.join(missing)} it is not said what became of the notice"
    if index is None and p["recipients"]:
        yield "recipients are told of, and the ledger does not say that they were told"
    for r in p["recipients"]:
        for what in verify.told_problems(r, "auditor"):
            yield f"{r['recipient']}: {what}"
        if r["outcome"] == "open":
            yield f"{r['recipient']}: is silent, and was not escalated"


def check_copies(p: Said, entries: Entries) -> Iterator[str]:
    """No backup set reaches back to before what went."""
    for c in p["copies"]:
        if c["gone_on"] is None:
            yield f"backup set {c['backup_set']} still reaches back"
        yield from verify.copy_problems(c, entries)


def check_dragnet(p: Said, entries: Entries) -> Iterator[str]:
    """The whole estate was looked through after the last deed, every part of the look is here, and nothing failed."""
    parts: dict[str, list[Said]] = {}
    moments = set()
    for index in p["proofs"]["dragnet"]:
        said = event(p, entries, index, "dragnet")
        moments.add(said.get("observed_at"))
        if p["format"] != FORMER and said.get("media") != sorted(x["medium"] for x in p["carriers"]):
            yield f"ledger entry {index}: when the estate was looked through it was on other media"
        parts.setdefault(said["store"], []).append(said)
        if index < max(p["proofs"]["books"], *(c[k] for c in p["cases"] for k in ("begun", "entry")), 0):
            yield f"ledger entry {index}: the estate was looked through before the last deed"
        for what, told in (
            ("cases", [c["case"] for c in p["cases"]]),
            ("recipients", [r["recipient"] for r in p["recipients"]]),
            ("backup_sets", [f"{c['store']}: {c['backup_set']}" for c in p["copies"]]),
        ):
            if said.get(what) != sorted(set(told)):
                yield f"ledger entry {index}: when the estate was looked through the order had other {what.replace('_', ' ')}"
    if not parts:
        yield "the estate was not looked through"
    if len(moments) > 1:
        yield "the parts of the look through the estate are of several looks"
    for store, those in parts.items():
        if sorted(x["part"] for x in those) != list(range(those[0]["parts"])):
            yield f"the look through store {store} is not whole"
    looked = [(store, check) for store, those in parts.items() for x in those for check in x["checks"]]
    yield from _passed(p, looked, entries)
    yield from _held(p, {check["name"]: check for _, check in looked})


def check_carriers(p: Said, entries: Entries) -> Iterator[str]:
    """Of each store, backup set and key a medium was sanitised since the last case that took something from it, by a record in
    the log, and nothing of it stays; or both approvers said what becomes of its media, or of the others."""
    if p["format"] == FORMER:
        return
    told = Counter(x["medium"] for x in p["carriers"])
    yield from (f"{medium} is told {n} times" for medium, n in told.items() if n > 1)
    needed = {f"backup_set:{c['backup_set']}" for c in p["copies"]}
    if p["scope"] == "company":
        stores = {event(p, entries, index, "dragnet")["store"] for index in p["proofs"]["dragnet"]}
        needed |= {f"store:{store}" for store in stores}
    for medium in sorted(needed - told.keys()):
        yield f"{medium}: nothing says what became of its media"
    held, taken = _on_stores(p, entries), _taken_on(p, entries)
    retained = {b["dataset"] for b in p["books"] if b["retained"]} | {k["dataset"] for k in p["residual"]}
    for x in p["carriers"]:
        kind, _, name = x["medium"].partition(":")
        store = next(
            (c["store"] for c in p["copies"] if (kind, c["backup_set"]) == ("backup_set", name)), name
        )
        # Of a set that is among no copies nobody sees here whose it is.
        unknown = kind == "backup_set" and store == name and store not in held
        every_one = {d for those in held.values() for d in those}
        carries = {name} if kind == "keys" else every_one if unknown else held.get(store, set())
        if x["record"] is not None:
            since = max([p["closed_on"], *(taken[d] for d in carries & taken.keys())])
            yield from _sanitised(x, entries, since)
        if x["record"] is None or x["becomes"] is not None or x["entries"]:
            yield from _spoken_for(p, x, entries)
        elif left := sorted(carries & retained):
            yield f"{x['medium']}: {left[0]} stays, and of media beside that of record {x['record']} nobody says what becomes"


def _on_stores(p: Said, entries: Entries) -> dict[str, set[str]]:
    """The datasets of each store, as the look through the estate counted what it holds."""
    found: dict[str, set[str]] = {}
    for index in p["proofs"]["dragnet"]:
        said = event(p, entries, index, "dragnet")
        names = [c["name"] for c in said.get("checks", ())]
        found.setdefault(said["store"], set()).update(
            n.removeprefix("holds.") for n in names if n.startswith("holds.")
        )
    return found


def _taken_on(p: Said, entries: Entries) -> dict[str, str]:
    """Of each dataset the last day on which a case of the order was begun that took something of it."""
    of = {b["bag"]: b["dataset"] for b in p["bags"]}
    found: dict[str, str] = {}
    for c in p["cases"]:
        body = entries.get(c["begun"], {"body": {}})["body"]
        if "as_of" not in body:  # it is none of the order's, and that is named
            continue
        names = {of[b] for b in every(body.get("bags", ())) if b in of} | {*body.get("going", ())}
        day = str(verify.day(body["as_of"], "the day of a case"))
        found |= {d: max(day, found.get(d, day)) for d in names}
    return found


def _sanitised(x: Said, entries: Entries, since: str) -> Iterator[str]:
    entry = entries.get(x["entry"], {"kind": "", "body": {}})
    body, (kind, _, name) = entry["body"], x["medium"].partition(":")
    about = {
        "store": body.get("store") == name,
        "backup_set": body.get("backup_set") == name,
        "keys": body.get("medium") == "key" and name in (body.get("datasets") or ()),
    }
    if entry["kind"] != "sanitised" or body.get("record") != x["record"] or not about.get(kind):
        yield f"{x['medium']}: record {x['record']}, which says that it was sanitised, is not among the entries given"
    elif verify.day(body["sanitised_on"], "the day of a record") < verify.day(since, "a day"):
        yield f"{x['medium']}: record {x['record']} is of before the last case that took from it, and it had data on it since"


def _spoken_for(p: Said, x: Said, entries: Entries) -> Iterator[str]:
    medium = x["medium"]
    words = [event(p, entries, index, SPOKEN_FOR) for index in x["entries"]]
    if Counter(w.get("approver") for w in words) != Counter(APPROVERS):
        yield f"{medium}: no record says that it was sanitised, and not both approvers of the order say what becomes of it"
        return
    said = {k: x[k] for k in ("becomes", "who", "until", "document", "digest")}
    same = all(medium in w.get("media", ()) and all(w.get(k) == v for k, v in said.items()) for w in words)
    if not same or x["answered_on"] != max(w["as_of"] for w in words):
        yield f"{medium}: what becomes of it is another by the ledger"
    if min(x["entries"]) < p["proofs"]["closed"]:
        yield f"{medium}: what becomes of it was said before collection was closed"
    if x["becomes"] not in (STAYS, RENTED, LATER) or (x["becomes"] == LATER) != (x["until"] is not None):
        yield f"{medium}: nothing says what becomes of it"
    elif x["until"] is not None and verify.day(x["until"], "a day") < verify.day(p["as_of"], "as_of"):
        yield f"{medium}: it was to be sanitised by {x['until']}, and no record says so"
    if x["becomes"] == RENTED and not x["who"]:
        yield f"{medium}: it is rented, and nobody is named whose it is"
    if x["becomes"] == STAYS and (x["who"] != p["custodian"] or (p["scope"] == "company" and not x["who"])):
        yield f"{medium}: it stays in service with somebody else than the custodian"


def _passed(p: Said, looked: list[tuple[str, Said]], entries: Entries) -> Iterator[str]:
    """Each check of the look passed, but for identifiers that could not be looked for in a store, which are told and answered
    for."""
    told = {(x["store"], f"needle.{x['store']}", "unverified", x["why"]): x for x in p.get("unsought", ())}
    missed = []
    for store, check in looked:
        if (where := (store, check["name"], check["verdict"], check["why"])) in told:
            missed.append(where)
        elif check["verdict"] != "passed":
            yield f"the look through the estate did not pass: {check['name']} is {check['verdict']}"
        elif check["observed"] != check["expected"]:
            yield f"the look through the estate did not pass: {check['name']} saw {check['observed']}"
    for x in p.get("unsought", ()):
        if (x["store"], f"needle.{x['store']}", "unverified", x["why"]) not in missed:
            yield f"{x['store']} is told as not looked through for identifiers, and the look did not say so"
        yield from _answered_for(p, x, entries)


def _answered_for(p: Said, x: Said, entries: Entries) -> Iterator[str]:
    """Both approvers declared the key of what was gathered lost, by that document, and before the look."""
    about = f"identifiers in {x['store']}"
    if event(p, entries, x["gathered"], GATHERED).get("identifiers") != x["identifiers"]:
        yield f"{about}: by the ledger another number of them was gathered"
    words = [event(p, entries, index, LOST) for index in x["entries"]]
    if Counter(w.get("approver") for w in words) != Counter(APPROVERS):
        yield f"{about}: not both approvers of the order answer for it"
        return
    said = {k: x[k] for k in ("document", "digest", "identifiers")}
    if any(w.get(k) != v for w in words for k, v in said.items()) or x["answered_on"] != max(
        w["as_of"] for w in words
    ):
        yield f"{about}: the answer that the ledger has is another"
    if not x["gathered"] < min(x["entries"]) < max(x["entries"]) < min(p["proofs"]["dragnet"], default=0):
        yield f"{about}: nobody answered for it between their gathering and the look"


def _held(p: Said, seen: dict[str, Said]) -> Iterator[str]:
    """Each dataset was looked at for as much as the books say stays of it."""
    for x in p["books"]:
        if x["dataset"].startswith("book."):
            continue
        check = seen.get(f"holds.{x['dataset']}")
        if check is None:
            yield f"nobody looked whether {x['dataset']} holds what stays and no more"
        elif check["expected"] not in (x["retained"], x["retained"] + x["anonymised"]):
            yield f"{x['dataset']} was looked at for {check['expected']} items, and {x['retained']} are told to stay"


def check_residual(p: Said) -> Iterator[str]:
    """All that stays has a law, a custodian and an end that has not passed, and is as much as the books say."""
    kept: Counter[str] = Counter()
    for k in p["residual"]:
        kept[k["dataset"]] += k["items"]
        if not k["law"].strip() or not k["custodian"]:
            yield f"{k['dataset']}: something stays without a law, or with nobody"
        ends = [verify.day(k[x], f"a {x} day") for x in ("first", "last") if k[x] is not None]
        if len(ends) != (0 if k["waits"] >= k["items"] else 2):  # none, where all of it waits for its start
            yield f"{k['dataset']}: something stays, and nothing says until when"
        if any(end < verify.day(p["as_of"], "as_of") for end in ends):
            yield f"{k['dataset']}: something stays though its last day is over"
    for x in p["books"]:
        if x["retained"] != kept.pop(x["dataset"], 0):
            yield f"of {x['dataset']} other numbers stay by the books and by the list of what stays"
    for dataset in sorted(kept):
        yield f"{dataset} is on the list of what stays, and in no books"


def check_rest(p: Said, entries: Entries) -> Iterator[str]:
    """Anonymous sets were tried again after the last books; media are in the log; dates can be."""
    retest = entries.get(p["proofs"]["retest"], {"kind": "", "body": {}})
    if retest["kind"] != "retest":
        yield "the test of what is called anonymous is not among the entries given"
    elif p["proofs"]["retest"] < p["proofs"]["books"]:
        yield "what is called anonymous was tested before the last books"
    if any(x["anonymised"] for x in p["books"]) and not retest["body"].get("sets"):
        yield "something was made anonymous, and no set was tested"
    if p["proofs"]["collection"] < p["proofs"]["closed"]:
        yield "the last look at collection came before it was closed"
    for one in retest["body"].get("sets", ()):
        if one["verdict"] != "passed":
            yield f"{one['set']} is not anonymous: its test is {one['verdict']}"
    for m in p.get("media", ()):
        if entries.get(m["entry"], {"kind": ""})["kind"] != "sanitised":
            yield f"the record {m['record']} of a medium is not among the entries given"
    as_of, observed = verify.day(p["as_of"], "as_of"), verify.moment(p["observed_at"], "observed_at")
    if as_of > observed.astimezone(verify.PRC).date() and not p["simulated"]:
        yield "the business date is after the day of observation, and the certificate is no simulation"
    if verify.day(p["t0"], "T0") > as_of or verify.day(p["closed_on"], "closed_on") > as_of:
        yield "it ends before T0"
    for index, entry in entries.items():
        at = entry["body"].get("observed_at")
        if at is not None and verify.moment(at, f"observed_at of ledger entry {index}") > observed:
            yield f"ledger entry {index} was observed after the certificate was made"


def content_problems(p: Said, entries: Entries, *, recorded: bool = True) -> list[str]:
    """What a certificate says, against itself and against the log. ``recorded``: it is in the log already; who is about to record
    it asks about all else before, for an entry is never taken back."""
    found: list[str] = [*check_recorded(p, entries)] if recorded else []
    for check in (
        check_order,
        check_gates,
        check_collection,
        check_books,
        check_bags,
        check_cases,
        check_recipients,
        check_copies,
        check_dragnet,
        check_carriers,
    ):
        found += check(p, entries)
    return [*found, *check_residual(p), *check_rest(p, entries)]


# --- a certificate ----------------------------------------------------------------------------------


def check_payload(data: bytes, key: Ed25519PublicKey) -> verify.Report:
    """Everything but the envelope: also what the signer checks before it signs. ``key`` signed the head."""
    report = verify.Report()
    try:
        p = verify.parse(data, "the certificate")
        shape(p)
        totals = {w: sum(x[w] for x in p["books"]) for w in ("located", *ENDS)}
        report.said = {n: str(p[n]) for n in ("order", "scope", "t0", "as_of", "observed_at")}
        report.said["books"] = f"located {totals.pop('located')} = " + " + ".join(
            f"{n} {w}" for w, n in totals.items()
        )
        report.said |= _not_over(p)
        verify.check_successions(p, key)
        report.problems += content_problems(p, verify.check_log(p, key, report.problems))
    except verify.Bad as e:
        report.problems.append(str(e))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        report.problems.append("the certificate is malformed")
    return report


def _not_over(p: Said) -> dict[str, str]:
    """What a reader should not overlook."""
    said = {}
    if "conservation" not in p["proofs"]:
        said["conservation"] = "not said that a suite judged the books"
    if late := [x for x in p.get("gates", ()) if x["short"] is not None]:
        said["shorter notice than the law wants"] = "; ".join(
            f"{x['gate']} on {x['done_on']} (answered for by {x['short']['document']}, ledger entries"
            f" {', '.join(map(str, x['short']['entries']))})"
            for x in late
        )
    if p["unseen"]:
        said["not seen"] = "; ".join(
            f"{x['place']}: {x['why']} (answered for by {x['document']}, ledger entry {x['entry']})"
            for x in p["unseen"]
        )
    if p.get("unsought"):
        said["not looked for"] = "; ".join(
            f"identifiers of others in {x['store']}: {x['why']} (answered for by {x['document']}, ledger entries"
            f" {', '.join(map(str, x['entries']))})"
            for x in p["unsought"]
        )
    said |= _of_media(p)
    if others := [c for c in p["others"] if not c["final"]]:
        said["also went"] = (
            f"{sum(c['items'] for c in others)} items by {', '.join(c['case'] for c in others)}, whose own certificates are"
            " not final yet"
        )
    if sets := {w["backup_set"] for c in p["others"] for w in c["waits"]}:
        said["in backups"] = f"something of those is in {', '.join(sorted(sets))} still"
    if p["residual"]:
        last = max((k["last"] for k in p["residual"] if k["last"]), default="open")
        said["stays"] = (
            f"{sum(k['items'] for k in p['residual'])} items with {p['custodian']}, the last until {last}"
        )
    for outcome, word in (("escalated", "silent"), ("retained", "kept by recipients")):
        if names := sorted({r["recipient"] for r in p["recipients"] if r["outcome"] == outcome}):
            said[word] = ", ".join(names)
    if p["open_cases"]:
        said["open cases"] = (
            f"{p['open_cases']} requests and nights wait for dates: they go on with whoever has the data"
        )
    return said


def _of_media(p: Said) -> dict[str, str]:
    """Which media were sanitised, and of which that is not said."""
    if p["format"] == FORMER:
        return {"media": "not said of each store, backup set and key what became of it"}
    said = {}
    if one := [x for x in p["carriers"] if x["record"] is not None]:
        said["sanitised"] = "; ".join(f"{x['medium']}: record {x['record']} of one medium" for x in one)
    if left := [x for x in p["carriers"] if x["becomes"] is not None]:
        said["not sanitised"] = "; ".join(
            f"{x['medium']}{'' if x['record'] is None else ', but for one medium,'} {_becomes(x)}"
            for x in left
        )
    return said


def _becomes(x: Said) -> str:
    how = {
        STAYS: f"stays in service with {x['who'] or 'the company'}",
        RENTED: f"is rented from {x['who']}",
        LATER: f"is to be sanitised by {x['until']}",
    }
    entries = ", ".join(map(str, x["entries"]))
    return f"{how.get(str(x['becomes']))} (answered for by {x['document']}, ledger entries {entries})"


def pae(payload: bytes) -> bytes:
    return verify.encoded(PAYLOAD_TYPE, payload)


def verify_file(envelope: bytes, pem: bytes) -> verify.Report:
    """Check a service's certificate against a public key. Never raises on bad input."""
    return verify.opened(envelope, pem, PAYLOAD_TYPE, "certificate of a service", check_payload)


def main(arguments: list[str] | None = None, out: Callable[[str], Any] = print) -> int:
    parser = argparse.ArgumentParser(description="Verify the certificate of a service that stopped, offline.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument(
        "--key", type=Path, required=True, help="the authority's public key, PEM, from elsewhere"
    )
    options = parser.parse_args(arguments)
    try:
        report = verify_file(options.certificate.read_bytes(), options.key.read_bytes())
    except OSError as e:
        out(f"cannot read {getattr(e, 'filename', None) or 'a file'}")
        return 2
    return tell(report, out)


def tell(report: verify.Report, out: Callable[[str], Any]) -> int:
    """Print a report of a service, or of its ledger; the exit code that it means."""
    valid = "signed, in the log, balanced, received, and nothing left but what is listed"
    return int(verify.tell(report, valid, out))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any locale will do
    sys.exit(main())
