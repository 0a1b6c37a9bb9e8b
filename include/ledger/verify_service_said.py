"""What the certificate of a service says: its fields, the words of the events that it rests on, and how an event is found in the
log. For ``verify_service.py`` and the files beside it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

if __package__:
    from include.ledger import verify
else:  # run as a file, as a custodian does: the one beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]

FORMAT, FORMER = "quietus-service-certificate/2", "quietus-service-certificate/1"
"""The former one says neither which gates were passed nor what became of the media of each store, backup set and key, and need
not say that a suite of expectations judged the books."""
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
MOVED = "T0 moved"
VOIDING = (WITHDREW, MOVED)
"""Of the events. Those by which what people were told counts no more: each names the gates under ``counts_no_more``."""
SINCE_FORMER = (SPOKEN_FOR, SHORT)
"""Of the events. What a certificate of the former format does not tell of, and no log had before there was a newer one. Of the
suite that judged the books logs told before."""
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


def event(p: Said, entries: Entries, index: Any, what: str) -> Said:
    """The body of an event of this order in the log. Raises Bad if that entry is none."""
    entry = entries.get(verify.need(index, int, f"the entry of {what!r}"))
    if entry is None or entry["kind"] != "shutdown" or entry["body"].get("order") != p["order"]:
        verify.bad(f"the ledger entry that says {what!r} of this order is not among the entries given")
    if entry["body"].get("what") != what:
        verify.bad(f"ledger entry {index} does not say {what!r}")
    return dict(entry["body"])


def by_both(words: list[Said]) -> bool:
    """Whether these are words of both approvers of the order, one of each."""
    return Counter(w.get("approver") for w in words) == Counter(APPROVERS)


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
