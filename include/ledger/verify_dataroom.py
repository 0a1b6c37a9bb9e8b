#!/usr/bin/env python3
"""The offline verifier of the certificate of a data room that is over.

    python verify_dataroom.py certificate.json --key pub.pem

Beside ``verify.py``, whose checks of signatures, log and proofs it uses; nothing else is needed, and no network. It checks that
the certificate is signed, that the log recorded these very facts, that every sealed file that was in the room is the one that the
log names, that our copies were seen to be gone after the deal had ended and the last file was made, and that the counterparty, by
the agreed key, signed of just these files what became of its own. That is its word: what it did with its copies nobody here sees.
Exit code 0: all of it holds. 1: something does not, and is named. 2: the call itself was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if __package__:
    from include.ledger import verify
else:  # run as a file, as a counterparty does: the one beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]

PAYLOAD_TYPE = "application/vnd.quietus.dataroom-certificate+json"
FORMAT = "quietus-dataroom-certificate/1"
THEIRS = "application/vnd.quietus.dataroom-statement+json"
"""Of what the counterparty signs."""
WORDS = ("returned", "destroyed")
MAYBE = "may have been shown"
"""Of the event about a file of which nothing of ours shows whether it was in the room; under ``maybe``, if there is any, with
whether the counterparty's statement has it."""
NOT_FACTS = ("entries", "entry", "checkpoint", "successions")
"""What it says beside its facts: they are hashed together into the log."""
_PAYLOAD = (
    "format:str room:str serial:int deal:str counterparty:str purpose:str agreement:dict basis:str? rule:str law:str "
    "opened_on:str ended:dict due_on:str bags:list ours:dict theirs:dict late:bool as_of:str observed_at:str simulated:bool "
    "opened:int entry:int entries:list checkpoint:str successions:list"
)
_AGREEMENT = "document:str digest:str"
_ENDED = "how:str on:str document:str entry:int"
_BAG = "dataset:str columns:list items:int left_out:int sha256:str bytes:int entry:int"
_OURS = "gone_on:str versions:int entry:int"
_SAID = "how:str on:str key:str statement:str entry:int"
"""``key``: PEM of the agreed key; ``statement``: the signed file, in base64."""
Said = dict[str, Any]
Entries = dict[int, Said]


def shape(p: Any) -> None:
    """Every field is there and of its kind."""
    more = " maybe:list" * ("maybe" in verify.need(p, dict, "the certificate"))
    verify.has_shape(p, _PAYLOAD + more, "the certificate")
    if p["format"] != FORMAT:
        verify.bad(f"this verifier reads {FORMAT}; the certificate says it is something else")
    for name, form in (("agreement", _AGREEMENT), ("ended", _ENDED), ("ours", _OURS), ("theirs", _SAID)):
        verify.has_shape(p[name], form, f"its {name}")
    for n, line in enumerate(_files(p)):
        verify.has_shape(line, _BAG + " named:bool" * (n >= len(p["bags"])), f"line {n} of its bags")
        if any(line[k] < 0 for k in ("items", "left_out", "bytes")):
            verify.bad(f"line {n} of its bags has a negative number")


def _files(p: Said) -> list[Said]:
    """Those that were shown, then those that may have been."""
    return [*p["bags"], *p.get("maybe", ())]


def facts(p: Said) -> str:
    """What the log records of a certificate: all that it says."""
    said = {name: value for name, value in p.items() if name not in NOT_FACTS}
    return hashlib.sha256(b"quietus dataroom v1\n" + verify.canonical(said)).hexdigest()


def terms(p: Said) -> str:
    """What the log says of an agreement's parties from the day on which its room was opened: whose deal it is, and what for."""
    said = {name: p[name] for name in ("deal", "counterparty", "purpose")}
    return hashlib.sha256(b"quietus dataroom terms v1\n" + verify.canonical(said)).hexdigest()


def _entry(p: Said, entries: Entries, index: int, what: str | None, kind: str = "dataroom") -> Said:
    """The body of an entry of this room. Raises Bad if that entry is none."""
    entry = entries.get(index, {"kind": "", "body": {}})
    body = dict(entry["body"])
    if (
        entry["kind"] != kind
        or body.get("room") != p["room"]
        or (what is not None and body.get("what") != what)
    ):
        verify.bad(
            f"ledger entry {index} does not say {what or kind!r} of this room, or is not among the entries given"
        )
    return body


def check_recorded(p: Said, entries: Entries) -> Iterator[str]:
    """The log has these very facts, and nothing that it rests on came later."""
    said = _entry(p, entries, p["entry"], "certified")
    if (said.get("serial"), said.get("facts")) != (p["serial"], facts(p)):
        yield "the ledger recorded other facts: something was dropped, added or changed"
    if late := sorted(i for i in entries if i > p["entry"]):
        yield f"it rests on ledger entry {late[0]}, which came after it was recorded"


def check_room(p: Said, entries: Entries) -> Iterator[str]:
    """It is of the agreement that it was opened under, and of the end that the deal had."""
    opened = _entry(p, entries, p["opened"], "opened")
    said = {**p["agreement"], "basis": p["basis"], "as_of": p["opened_on"]}
    if any(opened.get(k) != v for k, v in said.items()):
        yield "it was opened under another agreement, or another basis, or on another day"
    if strange := sorted({b["dataset"] for b in _files(p)} - set(opened.get("datasets", ()))):
        yield f"the agreement names no {', '.join(strange)}"
    if "statement_key" in opened:  # what was opened before that was said says nothing of these
        if opened["statement_key"] != verify.key_id(verify.load_key(p["theirs"]["key"].encode())):
            yield "the counterparty's key is another than was agreed when the room was opened"
        if opened.get("terms") != terms(p):
            yield "deal, counterparty or purpose are others than when the room was opened"
        shown = verify.need(opened.get("shown"), dict, "what may be shown")
        for b in _files(p):
            if shown.get(b["dataset"]) != b["columns"]:
                yield f"of {b['dataset']} other columns were agreed when the room was opened"
    ended = _entry(p, entries, p["ended"]["entry"], p["ended"]["how"])
    if (ended.get("document"), ended.get("due_on")) != (p["ended"]["document"], p["due_on"]):
        yield "the deal ended by another document, or its copies were due on another day"


def check_bags(p: Said, entries: Entries) -> Iterator[str]:
    """Each sealed file is the one that the log names."""
    for dataset, times in Counter(b["dataset"] for b in _files(p)).items():
        if times > 1:
            yield f"the file of {dataset} is told {times} times"
    for n, b in enumerate(_files(p)):
        shown = n < len(p["bags"])
        said = _entry(p, entries, b["entry"], *((None, "dataroom.bag") if shown else (MAYBE,)))
        if any(said.get(k) != b[k] for k in ("dataset", "items", "left_out", "sha256", "bytes")):
            yield f"the file of {b['dataset']} that the ledger has is another"


def check_ours(p: Said, entries: Entries) -> Iterator[str]:
    """Our copies were seen to be gone after the deal's end, and after the last of them was made; and they were as many."""
    said = _entry(p, entries, p["ours"]["entry"], "our copies gone")
    if (said.get("versions"), said.get("as_of")) != (0, p["ours"]["gone_on"]) or p["ours"]["versions"] != 0:
        yield "something of our copies was left, or they were seen to be gone on another day"
    if p["ours"]["entry"] < max((b["entry"] for b in p["bags"]), default=0):
        yield "a file was made after our copies were seen to be gone"
    if p["ours"]["entry"] < p["ended"]["entry"]:
        yield "our copies were seen to be gone before the deal had ended"
    counted = {"files": len(p["bags"]), "maybe": len(p.get("maybe", ()))}
    if "files" in said and any(said.get(k) != n for k, n in counted.items()):
        yield f"by the log {said['files']} files were in the room and {said.get('maybe')} may have been, and others are told"


def check_theirs(p: Said, entries: Entries) -> Iterator[str]:
    """The counterparty signed, by the agreed key, what became of just these files."""
    file = verify.unbase64(p["theirs"]["statement"], "the counterparty's statement")
    said = _entry(p, entries, p["theirs"]["entry"], f"said {p['theirs']['how']}")
    signed = [b for n, b in enumerate(_files(p)) if n < len(p["bags"]) or b["named"]]
    same = {"on": p["theirs"]["on"], "files": len(signed), "statement": hashlib.sha256(file).hexdigest()}
    if any(said.get(k) != v for k, v in same.items()) or p["theirs"]["how"] not in WORDS:
        yield "the counterparty's statement that the ledger has is another"
    envelope = json.loads(file)
    payload = verify.unbase64(envelope["payload"], "the counterparty's payload")
    (signature,) = envelope["signatures"]
    try:
        key = verify.load_key(p["theirs"]["key"].encode())
        key.verify(verify.unbase64(signature["sig"], "its signature"), verify.encoded(THEIRS, payload))
    except InvalidSignature:
        yield "the counterparty's statement is not signed by the agreed key"
    word = verify.parse(payload, "the counterparty's statement")
    told = {"room": p["room"], "how": p["theirs"]["how"], "on": p["theirs"]["on"],
            "bags": {b["dataset"]: b["sha256"] for b in signed}}  # fmt: skip
    if any(word.get(k) != v for k, v in told.items()):
        yield "the counterparty's statement is of another room or day, or of other files"


def check_days(p: Said, entries: Entries) -> Iterator[str]:
    """Dates can be, and whether it was late is what they say."""
    days = {k: verify.day(v, k) for k, v in (
        ("opened", p["opened_on"]), ("ended", p["ended"]["on"]), ("due", p["due_on"]), ("ours", p["ours"]["gone_on"]),
        ("theirs", p["theirs"]["on"]), ("as_of", p["as_of"]),
    )}  # fmt: skip
    if not days["opened"] <= days["ended"] <= min(days["ours"], days["theirs"], days["due"]):
        yield "copies were back or gone before the deal had ended, or it ended before it was opened"
    if max(days["ours"], days["theirs"]) > days["as_of"]:
        yield "it tells of days that had not come"
    if p["late"] != (max(days["ours"], days["theirs"]) > days["due"]):
        yield "whether copies were kept past their last day is told otherwise than by its dates"
    observed = verify.moment(p["observed_at"], "observed_at")
    if days["as_of"] > observed.astimezone(verify.PRC).date() and not p["simulated"]:
        yield "the business date is after the day of observation, and the certificate is no simulation"


def content_problems(p: Said, entries: Entries, *, recorded: bool = True) -> list[str]:
    """What a certificate says, against itself and against the log. ``recorded``: it is in the log already; who is about to record
    it asks about all else before, for an entry is never taken back."""
    found = [*check_recorded(p, entries)] if recorded else []
    for check in (check_room, check_bags, check_ours, check_theirs, check_days):
        found += check(p, entries)
    return found


def check_payload(data: bytes, key: Ed25519PublicKey) -> verify.Report:
    """Everything but the envelope: also what the signer checks before it signs. ``key`` signed the head."""
    report = verify.Report()
    try:
        p = verify.parse(data, "the certificate")
        shape(p)
        report.said = said_of(p, in_log=False)
        verify.check_successions(p, key)
        entries = verify.check_log(p, key, report.problems)
        report.said = said_of(p, in_log="statement_key" in _entry(p, entries, p["opened"], "opened"))
        if "files" not in _entry(p, entries, p["ours"]["entry"], "our copies gone"):
            report.said["was in it"] += "; the log does not say how many files that were"
        if verify.load_key(p["theirs"]["key"].encode()).public_bytes_raw() == key.public_bytes_raw():
            report.problems.append("the counterparty's statement is signed by the authority's own key")
        report.problems += content_problems(p, entries)
    except verify.Bad as e:
        report.problems.append(str(e))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        report.problems.append("the certificate is malformed")
    return report


def said_of(p: Said, *, in_log: bool) -> dict[str, str]:
    """What it is about, for printing. ``in_log``: whether the log has the counterparty's key since the room was opened."""
    by = "the agreed key" if in_log else "a key of which the log does not say that it was agreed"
    rows = sum(b["items"] for b in p["bags"])
    unsure = [
        f"{_of_files([b])}: "
        + (
            "the counterparty says that it had it"
            if b["named"]
            else "nothing shows whether it was in the room"
        )
        for b in p.get("maybe", ())
    ]
    return {
        "room": f"{p['room']}, {p['deal']}, shown to {p['counterparty']} for {p['purpose']}",
        "agreement": f"{p['agreement']['document']} (SHA-256 {p['agreement']['digest']})",
        "was in it": f"{rows} rows: " + _of_files(p["bags"]),
        **({MAYBE: "; ".join(unsure)} if unsure else {}),
        "until": f"the deal was {p['ended']['how']} on {p['ended']['on']}; all was due by {p['due_on']}, by {p['rule']}"
        f" ({p['law']})" + (": LATE" if p["late"] else ""),
        "our copies": f"destroyed; seen by the prover to be gone on {p['ours']['gone_on']}",
        "their copies": f"{p['theirs']['how']} on {p['theirs']['on']}: signed by {by}; their word, and not seen",
    }  # fmt: skip


def _of_files(files: list[Said]) -> str:
    return "; ".join(
        f"{b['dataset']} ({', '.join(b['columns'])}), {b['items']} rows, {b['left_out']} left out"
        for b in files
    )


def verify_file(envelope: bytes, pem: bytes) -> verify.Report:
    """Check a data room's certificate against a public key. Never raises on bad input."""
    return verify.opened(envelope, pem, PAYLOAD_TYPE, "certificate of a data room", check_payload)


def main(arguments: list[str] | None = None, out: Callable[[str], Any] = print) -> int:
    parser = argparse.ArgumentParser(
        description="Verify the certificate of a data room that is over, offline."
    )
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
    valid = "signed, in the log, our copies seen to be gone, and the counterparty signed for its own"
    return int(verify.tell(report, valid, out))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any locale will do
    sys.exit(main())
