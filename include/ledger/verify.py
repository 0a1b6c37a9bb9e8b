#!/usr/bin/env python3
"""The offline verifier of Quietus certificates. One file; standard library and ``cryptography`` alone.

    python verify.py certificate.json --key pub.pem

It needs no network and trusts nobody but the holder of the key, whose statements it checks against
each other: that the certificate is signed; that the head of the log in it is signed; that every
entry it relies on is in that log; that its item groups are exactly those that the log recorded; that
its books balance; that no item claims a rung that its evidence does not bear out; that its dates can
be. Exit code 0: all of it holds. 1: something does not, and is named. 2: the call itself was wrong.

Formats: DSSE v1 envelope, RFC 8785 JSON (integers only), C2SP signed-note and tlog-checkpoint,
RFC 6962 tree hashes. ``docs/ledger.md`` explains the certificate field by field.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PAYLOAD_TYPE = "application/vnd.quietus.certificate+json"
FORMAT = "quietus-certificate/1"
MAX_BYTES = 64 * 1024 * 1024
PRC = timezone(timedelta(hours=8))
# disposition -> its word in a balance; the books balance over exactly these six.
PAST = {
    "erase": "erased", "anonymise": "anonymised", "transfer": "transferred",
    "unlink": "unlinked", "retain": "retained", "hold": "held",
}  # fmt: skip
STAYS = ("retain", "hold")
# Kinds of ledger entries that bear out a rung: in full, and without counts for a person's edition.
EVIDENCE = ("evidence", "evidence.person")
# What a certificate says beside its groups and its proofs; hashed together into the log.
NOT_FACTS = ("groups", "entries", "completeness", "checkpoint", "successions")


class Bad(Exception):
    """Something is wrong with what we were given, in plain words."""


def bad(what: str) -> NoReturn:
    raise Bad(what)


@dataclass
class Report:
    """What the verifier found. ``problems`` empty means that everything holds."""

    problems: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)  # what it is about, for printing

    @property
    def ok(self) -> bool:
        return not self.problems


# --- canonical JSON and base64: one text for one meaning, so that no byte is free to change -----


def canonical(value: Any) -> bytes:
    """RFC 8785 for values without floats: keys in UTF-16 order, no spaces, shortest escapes."""

    def ordered(v: Any) -> Any:
        if isinstance(v, dict):
            return {k: ordered(v[k]) for k in sorted(v, key=lambda k: k.encode("utf-16-be"))}
        return [ordered(x) for x in v] if isinstance(v, list) else v

    return json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":")).encode()


def parse(data: bytes, what: str) -> Any:
    """The JSON value, if these bytes are its canonical form."""

    def number(text: str) -> int:
        return int(text) if len(text) < 18 else bad(f"{what} holds a number that is too large")

    def no_float(_: str) -> Any:
        bad(f"{what} holds a number that is not a whole number")

    try:
        value = json.loads(data, parse_float=no_float, parse_int=number, parse_constant=no_float)
        exact = canonical(value) == data
    except (ValueError, RecursionError):
        bad(f"{what} is not JSON")
    return value if exact else bad(f"{what} is not in canonical form: something was added, moved or respaced")


def unbase64(text: Any, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
        exact = base64.b64encode(raw).decode() == text
    except (ValueError, TypeError):
        bad(f"{what} is not base64")
    return raw if exact else bad(f"{what} is not base64 as an encoder writes it")


def need(value: Any, kind: type, what: str) -> Any:
    """The value, if it is of this kind (a bool is not an int here)."""
    wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    return bad(f"{what} is missing or not {kind.__name__}") if wrong else value


def keys_are(value: Any, keys: str, what: str) -> dict[str, Any]:
    if set(need(value, dict, what)) != set(keys.split()):
        bad(f"{what} does not have exactly the fields: {keys}")
    return dict(value)


def day(text: Any, what: str) -> date:
    try:
        return date.fromisoformat(need(text, str, what))
    except ValueError:
        bad(f"{what} is not a date")


def moment(text: Any, what: str) -> datetime:
    try:
        found = datetime.fromisoformat(re.sub("Z$", "+00:00", need(text, str, what)))
    except ValueError:
        bad(f"{what} is not a time")
    return found if found.tzinfo else bad(f"{what} has no time zone")


# --- signatures -------------------------------------------------------------------------------


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def load_key(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        bad("the key file is not a PEM public key")
    return key if isinstance(key, Ed25519PublicKey) else bad("the key is not an Ed25519 public key")


def signed_text(note: Any, name: str, key: Ed25519PublicKey, what: str) -> str:
    """The text of a C2SP note that has exactly one signature line by this key, and only known ones."""
    text, blank, tail = str(need(note, str, what)).rpartition("\n\n")
    lines = tail[:-1].split("\n") if blank and tail.endswith("\n") else bad(f"{what} is not a signed note")
    text += "\n"
    mine = hashlib.sha256(name.encode() + b"\n\x01" + key.public_bytes_raw()).digest()[:4]
    for line in lines:
        match = re.fullmatch(r"— (\S+) (\S+)", line)
        blob = (
            unbase64(match[2], f"a signature of {what}")
            if match
            else bad(f"{what} has a malformed signature line")
        )
        if match and match[1] == name and blob[:4] == mine:
            try:
                key.verify(blob[4:], text.encode())
            except (InvalidSignature, UnicodeEncodeError):
                bad(f"the signature on {what} is not good")
            return text
    bad(f"{what} is not signed by the key of this log")


def succession(note: Any, origin: str) -> tuple[Ed25519PublicKey, Ed25519PublicKey]:
    """(old, new) keys of a statement of succession that both have signed."""
    what = "a statement of key succession"
    form = r"quietus key succession v1\n(\S+)\nold (\S+)\nnew (\S+)\nhead \d+ \S+\n\n"
    head = re.match(form, need(note, str, what))
    raw = [unbase64(head[i], f"a key in {what}") for i in (2, 3)] if head else []
    if not head or head[1] != origin or any(len(key) != 32 for key in raw):
        bad(f"{what} is malformed")
    keys = [Ed25519PublicKey.from_public_bytes(key) for key in raw]
    for key in keys:
        signed_text(note, origin, key, what)
    return keys[0], keys[1]


def succeeded(key: Ed25519PublicKey, origin: str, notes: list[Any]) -> Ed25519PublicKey:
    """The key to which ours, by the chain of these statements, handed the log; ours if by none."""
    for old, new in (succession(note, origin) for note in notes):
        if old.public_bytes_raw() == key.public_bytes_raw():
            key = new
    return key


def check_successions(p: dict[str, Any], key: Ed25519PublicKey) -> None:
    """The statements that a certificate carries are a chain, and it ends with the key that signed."""
    chain = [succession(note, origin_of(p["checkpoint"])) for note in p["successions"]]
    signers = [old for old, _ in chain[1:]] + [key]
    for n, (_, new) in enumerate(chain):
        if new.public_bytes_raw() != signers[n].public_bytes_raw():
            bad("the statements of key succession do not lead to the key that signed")


def checkpoint(note: Any, key: Ed25519PublicKey, origin: str) -> tuple[int, bytes]:
    """(size, root) of a checkpoint signed by this key in the name of this log."""
    lines = signed_text(note, origin, key, "the checkpoint").split("\n")
    if len(lines) != 4 or lines[0] != origin or not re.fullmatch(r"[1-9]\d{0,17}", lines[1]):
        bad("the checkpoint is malformed")
    root = unbase64(lines[2], "the root in the checkpoint")
    return (
        (int(lines[1]), root) if len(root) == 32 else bad("the root in the checkpoint is not 32 bytes long")
    )


def origin_of(note: Any) -> str:
    return str(need(note, str, "the checkpoint")).split("\n", 1)[0]


# --- the tree ---------------------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962's MTH, a level at a time: an odd last node moves up as it is."""
    row = leaves
    while len(row) > 1:
        pairs = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        row = pairs + row[len(pairs) * 2 :]
    return row[0] if row else hashlib.sha256(b"").digest()


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    here, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            leaf = node_hash(sibling, leaf)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and leaf == root and 0 <= index < size


def extends(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2, for old > 0."""
    if old >= new:
        return old == new and old_root == new_root and not proof
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    if not path:
        return False
    was = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


def commitment(what: str, edition: str, salt: bytes, data: bytes) -> str:
    """What the log records of one edition: it fixes the data and, salted, says nothing about it."""
    head = f"quietus {what} v1\n{edition}\n".encode()
    return hashlib.sha256(head + salt + data).hexdigest()


def groups_commitment(edition: str, salt: bytes, groups: list[Any]) -> str:
    root = root_of([leaf_hash(canonical(group)) for group in groups])
    return commitment("groups", edition, salt, len(groups).to_bytes(8, "big") + root)


def facts_commitment(edition: str, salt: bytes, payload: dict[str, Any]) -> str:
    facts = {name: value for name, value in payload.items() if name not in NOT_FACTS}
    return commitment("facts", edition, salt, canonical(facts))


# --- what a certificate may say ---------------------------------------------------------------

# Field: kinds it may have. "?" after a kind: it may be null.
_PAYLOAD = (
    "format:str case_no:str ground:str kind:str edition:str serial:int catalogue:str code:str plans:list "
    "as_of:str observed_at:str simulated:bool statement:str groups:list balance:list pending:list "
    "entries:list completeness:dict checkpoint:str successions:list"
)
_GROUP = (
    "dataset:str category:str copy_kind:str disposition:str items:int rung_required:int rung_reached:int? "
    "verdict:str evidence:list law:str until:str? waits_for:str? hold:str? pending:bool confidential:bool "
    "unverified:list why:str"
)
_BALANCE = "dataset:str copy_kind:str located:int " + " ".join(f"{word}:int" for word in PAST.values())
_PENDING = "track:str dataset:str? category:str? copy_kind:str? rung:int? name:str due:str? what:str"
_KINDS: dict[str, type] = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}


def has_shape(value: Any, shape: str, what: str) -> dict[str, Any]:
    """The value, if it is an object of exactly these fields and kinds."""
    fields = [pair.split(":") for pair in shape.split()]
    found = keys_are(value, " ".join(name for name, _ in fields), what)
    for name, kind in fields:
        if not (kind.endswith("?") and found[name] is None):
            need(found[name], _KINDS[kind.rstrip("?")], f"{name} of {what}")
    return found


def check_shape(p: Any) -> None:
    """Every field is there and of its kind; the checks after this need not ask again."""
    has_shape(p, _PAYLOAD, "the certificate")
    has_shape(p["completeness"], "entry:int salt:str", "the completeness proof")
    if p["format"] != FORMAT:
        bad(f"this verifier reads {FORMAT}; the certificate says it is something else")
    if p["kind"] not in ("interim", "final") or p["edition"] not in ("person", "auditor"):
        bad("the certificate's kind or edition is not a known one")
    for n, g in enumerate(p["groups"]):
        has_shape(g, _GROUP, f"item group {n}")
        for number in g["evidence"]:
            need(number, int, f"evidence of item group {n}")
        for note in g["unverified"]:
            has_shape(note, "rung:int why:str", f"an unverified rung of item group {n}")
        if g["items"] < 1 or g["disposition"] not in PAST:
            bad(f"item group {n} has no items or an unknown disposition")
    for n, b in enumerate(p["balance"]):
        has_shape(b, _BALANCE, f"line {n} of the balance")
        if min(b[name] for name in ("located", *PAST.values())) < 0:
            bad(f"line {n} of the balance has a negative count")
    for n, w in enumerate(p["pending"]):
        has_shape(w, _PENDING, f"pending track {n}")


def check_log(p: dict[str, Any], key: Ed25519PublicKey, problems: list[str]) -> dict[int, dict[str, Any]]:
    """The checkpoint is signed and every entry is under it. Returns index -> entry."""
    size, root = checkpoint(p["checkpoint"], key, origin_of(p["checkpoint"]))
    found: dict[int, dict[str, Any]] = {}
    for entry in p["entries"]:
        keys_are(entry, "index leaf proof", "a ledger entry")
        index = need(entry["index"], int, "the index of a ledger entry")
        leaf = unbase64(entry["leaf"], f"ledger entry {index}")
        proof = [
            unbase64(h, f"the proof of ledger entry {index}") for h in need(entry["proof"], list, "a proof")
        ]
        if index in found:
            bad(f"ledger entry {index} is given twice")
        if not included(leaf_hash(leaf), index, size, proof, root):
            problems.append(f"ledger entry {index} is not in the log that the checkpoint signs")
        said = keys_are(
            parse(leaf, f"ledger entry {index}"), "body case_no kind nonce v", f"ledger entry {index}"
        )
        need(said["body"], dict, f"the body of ledger entry {index}")
        found[index] = said
    return found


def check_completeness(p: dict[str, Any], entries: dict[int, dict[str, Any]], problems: list[str]) -> None:
    """The log recorded these groups and these facts, for this case and edition, and no others."""
    said = entries.get(p["completeness"]["entry"])
    if said is None or said["kind"] != "dispositions" or said["case_no"] != p["case_no"]:
        problems.append("the ledger entry that lists this case's item groups is not among the entries given")
        return
    salt, edition = unbase64(p["completeness"]["salt"], "the salt"), p["edition"]
    if len(salt) != 32:
        bad("the salt is not 32 bytes long")
    recorded = said["body"].get(edition)
    if not isinstance(recorded, dict) or said["body"].get("serial") != p["serial"]:
        problems.append("the ledger entry that lists item groups is that of another certificate")
        return
    if recorded.get("groups") != groups_commitment(edition, salt, p["groups"]):
        problems.append(
            "the list of item groups is not the one the ledger recorded: "
            "an item was dropped, added or changed"
        )
    if recorded.get("facts") != facts_commitment(edition, salt, p):
        problems.append("the balance, pending tracks, dates or headings are not those the ledger recorded")


def check_balance(p: dict[str, Any], problems: list[str]) -> None:
    """located = sum of dispositions, and the item groups of every category add up to the same."""
    lines = {(b["dataset"], b["copy_kind"]): b for b in p["balance"]}
    if len(lines) != len(p["balance"]):
        problems.append("the balance lists a dataset and copy twice")
    for (dataset, copy), b in lines.items():
        total = sum(b[word] for word in PAST.values())
        if b["located"] != total:
            problems.append(
                f"the books do not balance for {dataset} ({copy}): {b['located']} located, {total} accounted"
            )
    sums: dict[tuple[str, str, str], dict[str, int]] = {}
    for g in p["groups"]:
        per = sums.setdefault((g["dataset"], g["copy_kind"], g["category"]), dict.fromkeys(PAST.values(), 0))
        per[PAST[g["disposition"]]] += g["items"]
    for (dataset, copy, category), per in sums.items():
        b = lines.get((dataset, copy), {})
        if any(b.get(word) != count for word, count in per.items()):
            problems.append(
                f"the item groups of {category} in {dataset} ({copy}) do not add up to its balance"
            )
    for (dataset, copy), b in lines.items():
        if b["located"] and not any(k[:2] == (dataset, copy) for k in sums):
            problems.append(f"{dataset} ({copy}) has items located but no item group")


Seen = list[tuple[Any, Any]]  # (rung, verdict) of each check about an item group


def evidence_of(g: dict[str, Any], p: dict[str, Any], entries: dict[int, dict[str, Any]]) -> Seen:
    """What the evidence that a group names says about its dataset and copy: entries of this case only."""
    seen: Seen = []
    for index in g["evidence"]:
        entry = entries.get(index)
        if entry is None or entry["case_no"] != p["case_no"] or entry["kind"] not in EVIDENCE:
            continue
        for c in need(entry["body"].get("checks"), list, f"the checks of ledger entry {index}"):
            if (c["dataset"], c["copy_kind"]) == (g["dataset"], g["copy_kind"]):
                seen.append((need(c["rung"], int, f"a rung in ledger entry {index}"), c["verdict"]))
    return seen


def rung_problems(g: dict[str, Any], seen: Seen) -> Iterator[str]:
    """Rungs are ordered, but each is proved by itself: the one claimed, and the one required."""
    reached, required = g["rung_reached"], g["rung_required"]
    if not g["pending"] and (reached is None or reached < required):
        yield f"R{required} is required and was not reached"
    if reached is None:
        return
    claimed = {reached} if g["pending"] else {reached, required}
    if g["verdict"] != "passed":
        yield f"claims R{reached} as reached with the verdict {g['verdict']!r}"
    for rung in sorted(claimed):
        verdicts = {v for r, v in seen if r == rung}
        if verdicts != {"passed"}:
            found = ", ".join(sorted(map(str, verdicts))) or "no check of it"
            yield f"claims R{rung}, but its evidence says: {found}"
        if any(note["rung"] == rung for note in g["unverified"]):
            yield f"R{rung} is both claimed and UNVERIFIED"
    below = [r for r, v in seen if r < reached and r not in claimed and v != "passed"]
    if below:
        yield f"claims R{reached}, but its evidence did not pass R{min(below)}"


def duty_problems(g: dict[str, Any], p: dict[str, Any], waiting: set[tuple[Any, ...]]) -> Iterator[str]:
    """What a group must say for its disposition, and may not say in this kind and edition."""
    if g["pending"] and p["kind"] == "final":
        yield "still pending, but the certificate says it is final"
    if g["pending"] and (g["dataset"], g["category"], g["copy_kind"]) not in waiting:
        yield "pending, but no pending track says what it waits for"
    if not g["law"]:
        yield "no law is named"
    if g["disposition"] == "retain" and not (g["until"] or g["waits_for"]):
        yield "retained without a date or what the date waits for"
    if g["confidential"] and (p["edition"] == "person" or g["disposition"] != "hold"):
        yield "confidential where it cannot be"


def check_claims(p: dict[str, Any], entries: dict[int, dict[str, Any]], problems: list[str]) -> None:
    """No group claims a rung, a law or a date that its evidence or its disposition does not bear out."""
    waiting = {(w["dataset"], w["category"], w["copy_kind"]) for w in p["pending"] if w["track"] == "rung"}
    for g in p["groups"]:
        place = f"{g['category']} in {g['dataset']} ({g['copy_kind']}), {g['disposition']}"
        for index in g["evidence"]:
            if index not in entries:
                problems.append(f"{place}: the evidence it names, ledger entry {index}, is not included")
        problems += [f"{place}: {what}" for what in rung_problems(g, evidence_of(g, p, entries))]
        problems += [f"{place}: {what}" for what in duty_problems(g, p, waiting)]
    if p["kind"] == "final" and p["pending"]:
        problems.append("the certificate says it is final and still lists pending tracks")


def check_dates(p: dict[str, Any], entries: dict[int, dict[str, Any]], problems: list[str]) -> None:
    as_of, observed = day(p["as_of"], "as_of"), moment(p["observed_at"], "observed_at")
    if as_of > observed.astimezone(PRC).date() and not p["simulated"]:
        problems.append(
            "the business date is after the day of observation, and the certificate is no simulation"
        )
    for g in p["groups"]:
        if g["until"] is not None and g["disposition"] in STAYS and day(g["until"], "an until date") < as_of:
            problems.append(f"{g['category']} in {g['dataset']} is kept until {g['until']}, which is over")
    for w in p["pending"]:
        if w["due"] is not None and day(w["due"], "a due date") < as_of:
            problems.append(
                f"a pending track of {w['dataset'] or w['name']} was due on {w['due']}, which is over"
            )
    for index, entry in entries.items():
        at = entry["body"].get("observed_at")
        if at is not None and moment(at, f"observed_at of ledger entry {index}") > observed:
            problems.append(f"ledger entry {index} was observed after the certificate was made")


def check_payload(data: bytes, key: Ed25519PublicKey) -> Report:
    """Everything but the envelope: also what the signer checks before it signs. ``key`` signed the head."""
    report = Report()
    try:
        p = parse(data, "the certificate")
        check_shape(p)
        report.said = {
            name: str(p[name]) for name in ("case_no", "kind", "edition", "ground", "as_of", "observed_at")
        }
        report.said |= {"item groups": str(len(p["groups"])), "simulated": "yes" if p["simulated"] else "no"}
        check_successions(p, key)
        entries = check_log(p, key, report.problems)
        for check in (check_completeness, check_claims, check_dates):
            check(p, entries, report.problems)
        check_balance(p, report.problems)
    except Bad as e:
        report.problems.append(str(e))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        report.problems.append("the certificate is malformed")
    return report


def verify(envelope: bytes, pem: bytes) -> Report:
    """Check a certificate against a public key. Never raises on bad input."""
    try:
        if len(envelope) > MAX_BYTES:
            bad("the file is too large to be a certificate")
        key = load_key(pem)
        e = keys_are(
            parse(envelope.removesuffix(b"\n"), "the file"), "payload payloadType signatures", "the file"
        )
        if e["payloadType"] != PAYLOAD_TYPE:
            bad("the file is not a Quietus certificate: it has another payload type")
        payload = unbase64(e["payload"], "the payload")
        if len(need(e["signatures"], list, "signatures")) != 1:
            bad("the file must have exactly one signature")
        signature = keys_are(e["signatures"][0], "keyid sig", "the signature")
        sig = unbase64(signature["sig"], "the signature")
        if signature["keyid"] != key_id(key):
            key = _successor(payload, key, signature["keyid"])
        try:
            key.verify(sig, pae(payload))
        except InvalidSignature:
            bad("the signature on the certificate is not good: the certificate or the signature was changed")
        return check_payload(payload, key)
    except Bad as e:
        return Report([str(e)])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return Report(["the file is malformed"])


def _successor(payload: bytes, key: Ed25519PublicKey, wanted: Any) -> Ed25519PublicKey:
    """The successor of our key that signed, if the certificate carries statements that lead to it."""
    try:
        p = parse(payload, "the certificate")
        key = succeeded(key, origin_of(p["checkpoint"]), need(p["successions"], list, "successions"))
    except (KeyError, TypeError):
        bad("the certificate is malformed")
    if wanted != key_id(key):
        bad("the certificate is signed by another key than the one given, and no succession leads to it")
    return key


def check_extension(envelope: bytes, pem: bytes, previous: str, proof: bytes) -> str | None:
    """What is wrong with the claim that the certificate's log extends the one of an older checkpoint."""
    try:
        key = load_key(pem)
        p = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
        origin = origin_of(p["checkpoint"])
        old, old_root = checkpoint(previous, key, origin)
        size, root = checkpoint(p["checkpoint"], succeeded(key, origin, p["successions"]), origin)
        path = [
            unbase64(h, "the consistency proof")
            for h in need(json.loads(proof), list, "the consistency proof")
        ]
        return None if extends(old, size, old_root, root, path) else (
            "the log of the certificate does not extend the older checkpoint: "
            "its past was rewritten, or the proof is another's"
        )  # fmt: skip
    except Bad as e:
        return str(e)
    except (ValueError, TypeError, KeyError, RecursionError):
        return "the older checkpoint or the consistency proof is malformed"


def plain(text: str) -> str:
    """The text without anything that a terminal would act on."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def main(arguments: list[str] | None = None, out: Callable[[str], Any] = print) -> int:
    parser = argparse.ArgumentParser(description="Verify a Quietus certificate offline.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--key", type=Path, required=True, help="the authority's public key, PEM")
    parser.add_argument("--previous", type=Path, help="a checkpoint you kept from before")
    parser.add_argument(
        "--consistency", type=Path, help="JSON list of base64 hashes: proof that the log extends it"
    )
    options = parser.parse_args(arguments)
    if bool(options.previous) != bool(options.consistency):
        parser.error("--previous and --consistency go together")
    try:
        data, pem = options.certificate.read_bytes(), options.key.read_bytes()
        older = options.previous and (options.previous.read_text("utf-8"), options.consistency.read_bytes())
    except (OSError, UnicodeDecodeError) as e:
        out(f"cannot read {getattr(e, 'filename', None) or 'a file'}")
        return 2
    report = verify(data, pem)
    if report.ok and older and (problem := check_extension(data, pem, *older)):
        report.problems.append(problem)
    for name, value in report.said.items():
        out(plain(f"{name}: {value}"))
    for problem in report.problems:
        out(plain(f"NOT VALID: {problem}"))
    if report.ok:
        out("VALID: signed, complete, in the log, balanced, and borne out by its evidence")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any locale will do
    sys.exit(main())
