"""What a service's certificate says of its order, its gates, the end of collection, its books, bags and cases, held against the
log. For ``verify_service.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

if __package__:
    from include.ledger import verify
    from include.ledger import verify_service_said as terms
else:  # run as a file, as a custodian does: those beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]
    import verify_service_said as terms  # type: ignore[import-not-found, no-redef]

LEADS = {"notified": 90, "reported": 60, "announced": 30}
"""Days before collection was closed (Electronic Signature Law 23; E-commerce Law 16), of who stops of its own will."""
E_GOVERNMENT, E_GOVERNMENT_DAYS = "reported_e_government", 90
"""The fewest by which an order was ever judged: 60 working days, a figure that was not verified, were taken as 90 before they
were taken as 100, and a certificate that was right stays so."""
VOLUNTARY = "voluntary"
Entries = dict[int, dict[str, Any]]
Said = dict[str, Any]


def check_order(p: Said, entries: Entries) -> Iterator[str]:
    """The order is the one that was opened, and its collection was closed on that day: on T0, or later, whatever its path."""
    opened = terms.event(p, entries, p["proofs"]["opened"], "opened")
    if (opened.get("scope"), opened.get("services")) != (p["scope"], p["services"]):
        yield "the order was about something else"
    closed = terms.event(p, entries, p["proofs"]["closed"], "collection closed")
    if closed.get("as_of") != p["closed_on"]:
        yield "collection was closed on another day"
    if verify.day(p["closed_on"], "closed_on") < verify.day(p["t0"], "t0"):
        yield f"collection was closed on {p['closed_on']}, before T0"


def check_gates(p: Said, entries: Entries) -> Iterator[str]:
    """Each gate was passed by a document; of who stops of its own will as many days before collection was closed as the law
    wants, or both approvers of the order answer for fewer, and none counts no more. That people were told of a late successor has
    no day, and nothing has where a licence was revoked."""
    if p["format"] == terms.FORMER:
        return
    opened = terms.event(p, entries, p["proofs"]["opened"], "opened")
    needed = {**LEADS, **({E_GOVERNMENT: E_GOVERNMENT_DAYS} if opened.get("e_government") else {})}
    days = needed if opened.get("path") == VOLUNTARY else {}
    told = Counter(x["gate"] for x in p["gates"])
    for gate in sorted(needed):
        if told[gate] != 1:
            yield f"gate {gate} is told {told[gate]} times"
    closed = verify.day(p["closed_on"], "closed_on")
    events = {
        i: e["body"]
        for i, e in entries.items()
        if e["kind"] == "shutdown" and e["body"].get("order") == p["order"]
    }
    yield from counts_no_more(p, events)
    for x in p["gates"]:
        said = terms.event(p, entries, x["entry"], "gate")
        if any(said.get(k) != x[k] for k in ("gate", "done_on", "document", "digest")):
            yield f"gate {x['gate']}: the ledger has another day or document"
        kept = (closed - verify.day(x["done_on"], "the day of a gate")).days
        wanted = days.get(x["gate"], kept)
        if (kept < wanted) != (x["short"] is not None):
            yield f"gate {x['gate']}: was done {kept} days before collection was closed, and the law wants {wanted}"
        elif x["short"] is not None:
            yield from _short_answered(p, x, entries)


def counts_no_more(p: Said, events: Entries) -> Iterator[str]:
    """Gates that are told by an entry after which they counted no more: the successor that people were told of withdrew, or T0
    was moved to before the day that they were told. ``events``: of the order, by their entries."""
    for x in p.get("gates", ()):
        for index, said in sorted(events.items()):
            void = said.get("what") in terms.VOIDING and x["gate"] in said.get("counts_no_more", ())
            if void and x["entry"] < index < p["entry"]:
                yield f"gate {x['gate']}: by ledger entry {index} what is told of it counts no more"


def _short_answered(p: Said, x: Said, entries: Entries) -> Iterator[str]:
    by = x["short"]
    words = [terms.event(p, entries, index, terms.SHORT) for index in by["entries"]]
    if not terms.by_both(words):
        yield f"gate {x['gate']}: was done later than the law lets it, and not both approvers of the order answer for it"
        return
    same = {"document": by["document"], "digest": by["digest"]}
    about = {"done_on": x["done_on"], "document": x["document"], "digest": x["digest"]}
    if any(
        w.get("gates", {}).get(x["gate"]) != about or any(w.get(k) != v for k, v in same.items())
        for w in words
    ) or by["answered_on"] != max(w["as_of"] for w in words):
        yield f"gate {x['gate']}: the answer that the ledger has is another"
    if min(by["entries"]) < x["entry"]:
        yield f"gate {x['gate']}: it was answered for before it was recorded"


def check_collection(p: Said, entries: Entries) -> Iterator[str]:
    """Nothing was written since T0, and nobody can write, as the last look has it. Whatever that look could not see is told, and
    somebody answered for it, by a document, after it was seen for the last time. That look came after the last deed."""
    last = p["proofs"]["collection"]
    if last < last_deed(p, entries):
        yield "the last look at collection came before the last deed"
    looked = terms.event(p, entries, last, terms.LOOKED)
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
        said = terms.event(p, entries, x["entry"], terms.ACCEPTED)
        same = {"document": x["document"], "digest": x["digest"], "as_of": x["answered_on"]}
        if [x["store"], x["place"], x["why"]] not in said.get("unseen", ()) or any(
            said.get(k) != v for k, v in same.items()
        ):
            yield f"{x['place']}: the answer that the ledger has is another"
        if x["seen"] is not None:
            terms.event(p, entries, x["seen"], terms.LOOKED)
        if not (-1 if x["seen"] is None else x["seen"]) < x["entry"] < last:
            yield f"{x['place']}: nobody answered for it between the look that saw it last and the last look"
    looks = {
        i: e["body"]
        for i, e in entries.items()
        if e["kind"] == "shutdown" and e["body"].get("what") == terms.LOOKED
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
    books = terms.event(p, entries, p["proofs"]["books"], terms.BOOKS)
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
        total = sum(x[word] for word in terms.ENDS)
        if x["located"] != total:
            yield f"the books do not balance for {x['dataset']}: {x['located']} located, {total} accounted for"
        if x["dataset"] in located and located[x["dataset"]] != x["located"]:
            yield f"of {x['dataset']} {located[x['dataset']]} items were located after T0, and {x['located']} are told"
        if any(recorded.get(x["dataset"], {}).get(word) != x[word] for word in ("located", *terms.ENDS)):
            yield f"the books of {x['dataset']} are not those that the ledger recorded"
        if x["retained"] and not x["custodian"]:
            yield f"items of {x['dataset']} stay, and nobody is named who keeps them"


def _judged(p: Said, entries: Entries) -> Iterator[str]:
    """A suite of expectations held these books against all that was told of them, and nothing in it failed or was not seen."""
    if (index := p["proofs"].get("conservation")) is None:
        if p["format"] != terms.FORMER:
            yield "nothing says that a suite judged the books"
        return
    if terms.event(p, entries, index, terms.CONSERVED).get("verdict") != "passed":
        yield "the suite that judges the books did not pass"
    if index < p["proofs"]["books"]:
        yield "the suite that judges the books was run before the last of them"


def _located(p: Said, entries: Entries) -> dict[str, int]:
    """How much of each dataset was located after T0: what was said first counts."""
    found: dict[str, int] = {}
    for index in p["proofs"]["located"]:
        for dataset, fates in terms.event(p, entries, index, "located").get("datasets", {}).items():
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
        if not without_difference(said):
            yield f"bag {b['bag']}: its receipt names differences"


def without_difference(said: Said) -> bool:
    """Whether an entry of a receipt names none: nor that items were deleted at a request, for which nobody asked."""
    return all(said.get(k) == 0 for k in ("missing", "changed", "extra")) and said.get("not_asked", 0) == 0


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
    withdrew = terms.event(p, entries, said["withdrew"], terms.WITHDREW)
    if (withdrew.get("order"), said["withdrew"] > b["entry"]) != (p["order"], True):
        yield f"bag {b['bag']}: it was signed for after its successor had withdrawn"
    words = [terms.event(p, entries, index, terms.LEFT) for index in said["entries"]]
    same = {k: said[k] for k in ("document", "digest")} | {"company": said["custodian"]}
    if sorted(int(w.get("approver", 0)) for w in words) != list(terms.APPROVERS) or any(
        w.get(k) != v for w in words for k, v in same.items()
    ):
        yield f"bag {b['bag']}: not both approvers answer for what is left with {said['custodian']}"
    settled = terms.event(p, entries, said["settled"], terms.SETTLED)
    items = settled.get("part", {}).get(b["bag"], as_left(b)["items"])
    named = b["bag"] in terms.every(settled.get("left", ()))
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
        i: terms.event(p, entries, i, terms.PERMITTED).get("consignment")
        for i in p["proofs"].get("approved", ())
    }
    for c in p["cases"]:
        begun = entries.get(c["begun"], {"kind": "", "body": {}})
        body = begun["body"]
        if begun["kind"] != "shutdown" or (body.get("order"), body.get("case")) != (p["order"], c["case"]):
            yield f"{c['case']}: the ledger does not say that it is of this order"
        if body.get("what") not in terms.BEGUN:
            yield f"{c['case']}: ledger entry {c['begun']} does not say that it was begun"
        # What was begun before anybody was asked for a document names no consignment.
        if "consignment" in body and not any(
            i < c["begun"] and of == body["consignment"] for i, of in approved.items()
        ):
            yield f"{c['case']}: our copy began to go before anybody approved that by a document"
        for bag in terms.every(body.get("bags", ())):
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
