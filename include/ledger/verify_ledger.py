#!/usr/bin/env python3
"""The offline verifier of a ledger that was handed to a custodian.

    python verify_ledger.py DIRECTORY --key pub.pem

The directory is a bag (RFC 8493) with this file and those that it needs beside it, and no network is asked. It checks that
every file is the one that the manifests name, that the log in it has the root that the authority signed, that the service's
certificate is valid, that every case's certificate that it names is there and says what it says of it, and that each of them
is valid and was made from this very log. The whole log is asked for what the certificate cannot show by itself: that it rests
on the last look at collection, the last books and the last receipt of each bag, and names everything that was located; that
nothing which failed came after it, nor a receipt that says otherwise, but that the successor signed anew or both approvers of
the order answer for it, which is named, as is one for tombstones that were packed since; that no look saw what it tells as not
seen once somebody had answered for it; that no gate on which it rests counted no more, and its format is none that was left
before; that no bag's source began to go before its receipt; and that T0, successor and custodian are those of the order. What the
successor signed is held against the log, too (``verify_receipts``). Exit code 0: all of it holds. 1: something does not, and is
named. 2: the call itself was wrong.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = (
    sys.dont_write_bytecode or __name__ == "__main__"
)  # nothing is added to what is checked

if __package__:
    from include.ledger import (
        verify,
        verify_receipts,
        verify_service,
        verify_service_books,
        verify_service_said,
    )
else:  # run as a file, as a custodian does: those beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]
    import verify_receipts  # type: ignore[import-not-found, no-redef]
    import verify_service  # type: ignore[import-not-found, no-redef]
    import verify_service_books  # type: ignore[import-not-found, no-redef]
    import verify_service_said  # type: ignore[import-not-found, no-redef]

ASKED = (
    "shutdown", "handover.bag", "handover.notice", verify_receipts.REQUEST, "sanitised", *verify_receipts.KINDS,
)  # fmt: skip
"""Kinds of entries of which the whole log is asked."""
TOMBSTONES = ("book.tombstone", "book.tombstone_key")
"""Datasets of bags that are still made after the certificate: of whom a case deletes then the successor hears, too."""
LATE = "late difference accepted"
"""Of the events. An approver of the order answers for receipts that came after the certificate, by a document."""
APPROVERS = {1, 2}
Said = dict[str, Any]
Entries = dict[int, Said]


def verify_directory(home: Path, pem: bytes) -> verify.Report:
    """Check a directory as ``quietus shutdown hand-ledger`` writes it. Raises OSError if it cannot be read."""
    report = verify.Report()
    try:
        key = verify.load_key(pem)
        report.problems += whole(home)
        note = (home / "data" / "ledger" / "checkpoint").read_text("utf-8")
        successions = json.loads((home / "data" / "ledger" / "successions.json").read_bytes())
        origin = verify.origin_of(note)
        size, root = verify.checkpoint(note, verify.succeeded(key, origin, successions), origin)
        hashes: list[bytes] = []
        log: Entries = {}
        for n, leaf in enumerate(_leaves(home / "data" / "ledger" / "entries.jsonl")):
            hashes.append(verify.leaf_hash(leaf))
            if (said := json.loads(leaf))["kind"] in ASKED:
                log[n] = said
        files = sorted((home / "data" / "certificates").glob("*.json"))
        roots = roots_at(hashes, {size, *(_size_of(file) for file in files)})
        if len(hashes) != size or roots.get(size) != root:
            report.problems.append(
                f"the log has {len(hashes)} entries, and is not the one of {size} whose root was signed"
            )
        service = (home / "data" / "certificates" / "service.json").read_bytes()
        found = verify_service.verify_file(service, pem)
        report.said = found.said | {"ledger entries": str(size)}
        report.problems += [f"service.json: {what}" for what in found.problems]
        given: dict[str, Said] = {}
        for file in files:
            content = file.read_bytes()
            p = verify.said_in(content)
            report.problems += [f"{file.name}: {what}" for what in _in_this_log(p, hashes, roots, origin)]
            if file.name == "service.json":
                told = p
            else:
                given[hashlib.sha256(content).hexdigest()] = p
                report.problems += [f"{file.name}: {what}" for what in verify.verify(content, pem).problems]
        report.problems += [f"service.json: {what}" for what in of_the_whole_log(told, log)]
        if after := [f"{what}: {how or 'nobody answers for it'}" for _, what, how in late(told, log)]:
            report.said["after it"] = "; ".join(after)
        report.problems += named_certificates(told, given)
        wrong, keys = verify_receipts.signed(home, told["order"], log)
        report.problems += wrong
        report.said["signed by"] = (
            f"the successor, with the key of SHA-256 {', '.join(keys)}" if keys else "nobody"
        )
        report.said["certificates"] = str(len(given) + 1)
    except verify.Bad as bad:
        report.problems.append(str(bad))
    except (ValueError, TypeError, KeyError, AttributeError, UnboundLocalError):
        report.problems.append("the directory is malformed")
    return report


# --- what only the whole log can say ----------------------------------------------------------------


def of_the_whole_log(p: Said, log: Entries) -> Iterator[str]:
    """What is wrong with a service's certificate by all that the log says of its order. ``log``: every entry of the kinds
    ``ASKED``, by its index."""
    mine = {i: e["body"] for i, e in sorted(log.items()) if e["body"].get("order") == p["order"]}
    events = {i: b for i, b in mine.items() if log[i]["kind"] == "shutdown"}
    receipts = {i: b for i, b in mine.items() if log[i]["kind"] == "handover.receipt"}
    looks = {i: b for i, b in events.items() if b["what"] == verify_service_said.LOOKED}
    yield from verify_service_books.seen_again(p, looks)
    yield from _newer(p, events)
    yield from _newer_receipts(p, receipts, _packed_anew(events))
    for index, what, how in late(p, log):
        if not how:
            yield f"ledger entry {index}, after the certificate, is {what}, and nobody answers for it"
    yield from _newer_answers(
        p, {i: b for i, b in mine.items() if log[i]["kind"] == "handover.notice_receipt"}
    )
    yield from _before_its_receipt(p, events)
    yield from _before_it_was_approved(events)
    yield from _as_it_stood(p, events)
    yield from _newer_gates(p, events)
    yield from _of_its_time(p, events)
    yield from _newer_of_media(p, events, {i: e["body"] for i, e in log.items() if e["kind"] == "sanitised"})


def _newer_gates(p: Said, events: Entries) -> Iterator[str]:
    """No gate was done again after what is told of it, and before the certificate, nor did it count no more from then on."""
    yield from verify_service_books.counts_no_more(p, events)
    since = {x["gate"]: x["entry"] for x in p.get("gates", ())}
    for index, said in sorted(events.items()):
        if said["what"] == "gate" and since.get(said["gate"], index) < index < p["entry"]:
            yield f"gate {said['gate']}: ledger entry {index} says it was done on {said['done_on']}, after what is told of it"


def _of_its_time(p: Said, events: Entries) -> Iterator[str]:
    """A certificate of the former format, which tells less, was made before the log said what only the present one tells of."""
    if p["format"] == verify_service_said.FORMER:
        for index, said in sorted(events.items()):
            if said["what"] in verify_service_said.SINCE_FORMER and index < p["entry"]:
                yield f"it is in a former format, which tells nothing of {said['what']!r}, and ledger entry {index} says that"


def _newer_of_media(p: Said, events: Entries, records: Entries) -> Iterator[str]:
    """No record that it rests on was put right before it, and both approvers said nothing newer of what has none."""
    for x in p.get("carriers", ()):
        for index, said in sorted(records.items()):
            if x["record"] is not None and said.get("corrects") == x["record"] and index < p["entry"]:
                yield f"{x['medium']}: ledger entry {index} took the place of record {x['record']}"
        words: dict[str, set[int]] = {}
        for index, said in sorted(events.items()):
            if said["what"] != verify_service_said.SPOKEN_FOR or x["medium"] not in said["media"]:
                continue
            about = json.dumps([said[k] for k in ("media", "becomes", "who", "until", "document", "digest")])
            words.setdefault(about, set()).add(said["approver"])
            whole = words[about] == APPROVERS and x["entries"]
            if whole and max(x["entries"]) < index < p["entry"]:
                yield f"{x['medium']}: by ledger entry {index} both approvers say something newer of it"


def _newer(p: Said, events: Entries) -> Iterator[str]:
    """It rests on the last look and the last books before it, and on every count. What came afterwards, from a run that was
    killed or beside it, may not have failed."""
    for proof, what in (
        ("collection", verify_service_said.LOOKED),
        ("books", verify_service_said.BOOKS),
        ("conservation", verify_service_said.CONSERVED),
    ):
        since = p["proofs"].get(proof, p["entry"])  # of a former certificate, which names no suite
        for index in (i for i, b in events.items() if b["what"] == what and i > since):
            if index < p["entry"]:
                yield f"ledger entry {index} says {what!r} once more, and the certificate rests on an earlier one"
            elif events[index].get("verdict") == "failed":
                yield f"ledger entry {index}, after the certificate, says {what!r}: failed"
    counts = {i for i, b in events.items() if b["what"] == "located"}
    for index in sorted(counts - set(p["proofs"]["located"])):
        yield f"ledger entry {index} says what was located, and the certificate does not name it"


def _packed_anew(events: Entries) -> dict[str, int]:
    """Bags of a company that withdrew, of which nothing is left with it: they count no more, from that entry on."""
    return {
        bag: index
        for index, said in events.items() if said["what"] == verify_service_said.SETTLED
        for bag in verify_service_said.every(said.get("counts_no_more", ()))
    }  # fmt: skip


def _newer_receipts(p: Said, receipts: Entries, anew: dict[str, int]) -> Iterator[str]:
    last = {b["bag"]: b["entry"] for b in p["bags"]}
    for index, said in receipts.items():
        bag = said.get("bag")
        if bag not in last and (index < anew.get(str(bag), 0) or _made_after(p, index, bag)):
            continue
        if bag not in last:
            yield f"ledger entry {index} is a receipt for bag {bag}, which the certificate does not name"
        elif last[bag] < index < p["entry"]:
            yield f"ledger entry {index} is a newer receipt for bag {bag} than the certificate names"


def _made_after(p: Said, index: int, bag: Any) -> bool:
    """Whether a receipt is for tombstones that were packed once it was certified."""
    return index > p["entry"] and str(bag).rpartition("-")[0] in TOMBSTONES


def late(p: Said, log: Entries) -> Iterator[tuple[int, str, str]]:
    """Receipts after the certificate that do not say what it says, or are for tombstones that were packed since: entry, what it
    is, and how it was settled, or nothing: it says what was packed, or a newer one says so again, or both approvers of the order
    answer for it by one document."""
    mine = {
        i: e["body"]
        for i, e in sorted(log.items())
        if e["body"].get("order") == p["order"] and i > p["entry"]
    }
    receipts = {i: b for i, b in mine.items() if log[i]["kind"] == "handover.receipt"}
    for index, said in receipts.items():
        name = said.get("bag")
        bag = next((b for b in p["bags"] if b["bag"] == name), None)
        if bag is None and not _made_after(p, index, name):
            continue
        if bag is None:
            what, good = f"a receipt for bag {name}, of people who were deleted after it", "as it was packed"
        else:
            what, good = f"a receipt for bag {name} that names differences", ""

        def holds(b: Said, bag: Said | None = bag) -> bool:
            return _as_packed(p, b, log) if bag is None else _as_certified(p, bag, b, log)

        if holds(said):
            if good:
                yield index, what, good
            continue
        again = [i for i, b in receipts.items() if i > index and b.get("bag") == name and holds(b)]
        words = [
            (i, b)
            for i, b in mine.items()
            if i > index and log[i]["kind"] == "shutdown" and b.get("what") == LATE
        ]
        anew = f"signed anew without, ledger entry {again[0]}" if again else ""
        yield index, what, anew or _answered(said, words)


def _as_packed(p: Said, said: Said, log: Entries) -> bool:
    """Whether a receipt names no difference, and says what was signed as the bag was packed."""
    same = ("order", "bag", "statement", "items", "root")
    return verify_service_books.without_difference(said) and any(
        all(e["body"].get(k) == said.get(k) for k in same)
        for e in log.values()
        if e["kind"] == "handover.bag" and e["body"].get("order") == p["order"]
    )


def _as_certified(p: Said, bag: Said, said: Said, log: Entries) -> bool:
    """Whether a receipt names no difference, and a root under which the bag was signed for: as it was packed, or as a notice
    left it."""
    told = [
        e["body"]
        for e in log.values()
        if e["kind"] == "handover.notice" and e["body"].get("order") == p["order"]
    ]
    counted = [(x["items"], x["root"]) for x in (bag, verify_service_books.as_left(bag))]
    counted += [(x.get("items"), x.get("root")) for x in told if x.get("bag") == bag["bag"]]
    return verify_service_books.without_difference(said) and (said.get("items"), said.get("root")) in counted


def _answered(said: Said, words: list[tuple[int, Said]]) -> str:
    """By which document both answer for a receipt, in words; or nothing."""
    by: dict[tuple[Any, Any], dict[Any, int]] = {}
    for index, word in words:
        if said.get("receipt") in word.get("receipts", ()):
            by.setdefault((word.get("document"), word.get("digest")), {}).setdefault(
                word.get("approver"), index
            )
    for (document, digest), entries in by.items():
        if document and digest and entries.keys() == APPROVERS:
            return (
                f"answered for by {document}, ledger entries {', '.join(map(str, sorted(entries.values())))}"
            )
    return ""


def _newer_answers(p: Said, answers: Entries) -> Iterator[str]:
    """After the answer that it names, none to a notice about the same bag says otherwise."""
    last = {b["bag"]: b["noticed"] for b in p["bags"] if "noticed" in b}
    for index, said in answers.items():
        told = last.get(said.get("bag", ""))
        if told is not None and index > told["entry"]:
            same = {k: told[k] for k in ("notice", "items", "root")} | dict.fromkeys(
                ("missing", "changed", "extra"), 0
            )
            if any(said.get(k) != v for k, v in same.items()):
                yield f"ledger entry {index} is a newer answer about bag {said.get('bag')}, and says otherwise"


def _before_its_receipt(p: Said, events: Entries) -> Iterator[str]:
    first = {b["bag"]: b["first"] for b in p["bags"]}
    for index, said in events.items():
        if said["what"] in verify_service_said.BEGUN:
            for bag in verify_service_said.every(said.get("bags", ())):
                if index < first.get(bag, 0):
                    yield f"ledger entry {index} says that the source of bag {bag} began to go, before its receipt"


def _before_it_was_approved(events: Entries) -> Iterator[str]:
    """By the whole log, as the service's own verifier asks of the cases that it names."""
    approved = set()
    for index, said in sorted(events.items()):
        if said["what"] == verify_service_said.PERMITTED:
            approved.add(said.get("consignment"))
        if said["what"] == verify_service_said.BEGUN[0] and said.get("consignment", None) not in {
            None,
            *approved,
        }:
            yield f"ledger entry {index} says that our copy began to go, before anybody approved that by a document"


def _as_it_stood(p: Said, events: Entries) -> Iterator[str]:
    """T0, successor and custodian, by everything that was said of them until it was certified."""
    stands: Said = dict.fromkeys(verify_service_said.STANDS)
    for index, said in events.items():
        if index >= p["entry"]:
            break
        if said["what"] in ("opened", verify_service_said.MOVED, "closing begun"):
            stands["t0"] = said.get("t0")
        if said["what"] in ("opened", "custodian named"):
            stands["custodian"] = said.get("custodian")
        if said["what"] in ("opened", "successor named"):
            who = {"name": said.get("successor"), "certificate": said.get("successor_certificate")}
            stands["successor"] = who if who["name"] else None
        if said["what"] == verify_service_said.WITHDREW:
            stands["successor"] = None
    for name, value in stands.items():
        if p[name] != value:
            yield f"by what the log says of the order its {name} is another"


def named_certificates(p: Said, given: dict[str, Said]) -> Iterator[str]:
    """Each case's certificate that is named is there and is what it is told to be: of the order's own cases final, and every
    backup set that it waited for is among the service's, gone. ``given``: the contents of auditors' editions by SHA-256."""
    sets = {(c["backup_set"], c["store"]): c for c in p["copies"]}
    for c in (*p["cases"], *p["others"]):
        if c["certificate"] is None:
            continue
        there = given.get(c["certificate"])
        if there is None:
            yield f"the certificate of {c['case']} is missing"
            continue
        said = (there["case_no"], there["edition"], there["serial"], there["completeness"]["entry"])
        if said != (c["case"], "auditor", c["serial"], c["entry"]):
            yield f"the certificate that is named for {c['case']} is another one"
        if "begun" not in c:
            waits = {w["name"]: w["due"] for w in there["pending"] if w["track"] == "backups"}
            if (there["kind"] == "final", waits) != (
                c["final"],
                {w["backup_set"]: w["due"] for w in c["waits"]},
            ):
                yield f"{c['case']}: its certificate says otherwise what it waits for"
            continue
        if there["kind"] != "final":
            yield f"{c['case']}: its certificate is {there['kind']}"
        for copy in there["copies"]:
            ours = sets.get((copy["backup_set"], copy["store"]))
            if copy["gone_on"] is None or ours is None or not set(copy["evidence"]) <= set(ours["evidence"]):
                yield f"{c['case']}: backup set {copy['backup_set']} of its certificate is not told as gone"


# --- the directory ------------------------------------------------------------------------------------


def whole(home: Path) -> Iterator[str]:
    """BagIt (RFC 8493): every file is the one that its manifest names, and no other lies beside it."""
    for manifest, below in (("manifest-sha256.txt", "data"), ("tagmanifest-sha256.txt", "")):
        listed = {}
        for line in (home / manifest).read_text("utf-8").splitlines():
            digest, _, name = line.partition("  ")
            listed[name] = digest
        for name, digest in listed.items():
            if not re.fullmatch(r"[\w./-]+", name) or ".." in name or not (home / name).is_file():
                yield f"{name} is missing"
            elif _sha256(home / name) != digest:
                yield f"{name} is not the file that the manifest names"
        if below:
            there = {str(f.relative_to(home)) for f in (home / below).rglob("*") if f.is_file()}
            for name in sorted(there - listed.keys()):
                yield f"{name} is in no manifest"


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as content:
        while data := content.read(1 << 20):
            found.update(data)
    return found.hexdigest()


def _leaves(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        for n, line in enumerate(lines):
            said = json.loads(line)
            if said["index"] != n:
                verify.bad(f"line {n} of the log is not entry {n}")
            yield verify.unbase64(said["leaf"], f"entry {n}")


def _size_of(file: Path) -> int:
    """How long the log was from which a certificate was made."""
    payload = verify.said_in(file.read_bytes())
    return int(payload["checkpoint"].split("\n")[1])


def roots_at(hashes: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    """The log's root at each of these lengths, in one pass: of what is whole so far, the smaller tree goes to the right."""
    found: dict[int, bytes] = {}
    trees: list[tuple[int, bytes]] = []  # (height, root), each higher than the next
    for n, leaf in enumerate(hashes, 1):
        tree = (0, leaf)
        while trees and trees[-1][0] == tree[0]:
            tree = (tree[0] + 1, verify.node_hash(trees.pop()[1], tree[1]))
        trees.append(tree)
        if n in sizes:
            root = trees[-1][1]
            for _, left in reversed(trees[:-1]):
                root = verify.node_hash(left, root)
            found[n] = root
    return found


def _in_this_log(p: Said, hashes: list[bytes], roots: dict[int, bytes], origin: str) -> Iterator[str]:
    """Its entries are those of the log, and its head is one that the log had."""
    size, root = p["checkpoint"].split("\n")[1:3]
    if verify.origin_of(p["checkpoint"]) != origin or int(size) > len(hashes):
        yield "it is of another log, or of a longer one"
    elif roots.get(int(size)) != verify.unbase64(root, "a root"):
        yield "the log is not the one that it was made from"
    for e in p["entries"]:
        if e["index"] >= len(hashes) or hashes[e["index"]] != verify.leaf_hash(base64.b64decode(e["leaf"])):
            yield f"ledger entry {e['index']} is another in this log"


def main(arguments: list[str] | None = None, out: Callable[[str], Any] = print) -> int:
    parser = argparse.ArgumentParser(description="Verify a ledger that was handed over, offline.")
    parser.add_argument("directory", type=Path)
    parser.add_argument(
        "--key", type=Path, required=True, help="the authority's public key, PEM, from elsewhere"
    )
    options = parser.parse_args(arguments)
    try:
        report = verify_directory(options.directory, options.key.read_bytes())
    except (OSError, UnicodeDecodeError) as e:
        out(f"cannot read {getattr(e, 'filename', None) or 'a file'}")
        return 2
    return int(verify_service.tell(report, out))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any locale will do
    sys.exit(main())
