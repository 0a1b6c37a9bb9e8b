#!/usr/bin/env python3
"""The offline verifier of Quietus certificates. One file; standard library and ``cryptography`` alone.

    python verify.py certificate.json --key pub.pem

It needs no network and trusts nobody but the holder of the key, whose statements it checks against
each other: that the certificate is signed; that the head of the log in it is signed; that every
entry it relies on is in that log; that its item groups are exactly those that the log recorded; that
all evidence of the case is there and none of it failed; that its books balance; that no item claims a
rung that its evidence does not bear out, nor less than its category asks for; that its dates can be.
Exit code 0: all of it holds. 1: something does not, and is named. 2: the call itself was wrong.

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
FORMAT = "quietus-certificate/5"
# Earlier formats said less. What was issued in one verifies by its own rules, but nothing newer than it was.
FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4 = (f"quietus-certificate/{n}" for n in (1, 2, 3, 4))
ENDED = {
    FORMAT_1: "2026-12-01T00:00:00Z", FORMAT_2: "2027-01-01T00:00:00Z", FORMAT_3: "2027-02-01T00:00:00Z",
    FORMAT_4: "2027-03-01T00:00:00Z",
}  # fmt: skip
MAX_BYTES = 64 * 1024 * 1024
PRC = timezone(timedelta(hours=8))
# disposition -> its word in a balance; the books balance over exactly these seven.
PAST = {
    "erase": "erased", "deidentify": "deidentified", "anonymise": "anonymised", "transfer": "transferred",
    "unlink": "unlinked", "retain": "retained", "hold": "held",
}  # fmt: skip
# The formats before the fifth called what was only cut anonymised: they have six, and nothing in them was measured.
PAST_4 = {fate: word for fate, word in PAST.items() if fate != "deidentify"}
STAYS = ("retain", "hold")
# Kinds of ledger entries that bear out a rung: in full, and without counts for a person's edition.
EVIDENCE = {"auditor": "evidence", "person": "evidence.person"}
# Kinds of proofs that say where an item stands now. A baseline or a balance says how we know.
SPEAKS = ("anonymity", "gone", "own_log", "residue", "restricted")
# Those of them that look where no query can: into files, and at the server's own log.
BELOW_QUERIES = ("own_log", "residue")
# Checks, by their first word, that speak about items that stay; the others of these kinds, about items that went.
ABOUT_STAYING = ("denied", "enforced", "frozen", "hidden", "kept", "marked", "measure", "noise", "refused")
# What stays can be frozen and hidden, no more; but what only a lock keeps may be noise, for nobody has its key any more.
# What went is at least gone from every row and current object.
# Anonymous is only what was measured and attacked; of what was only cut somebody can still be found.
HIDDEN, GONE, NOISE, ANONYMOUS = 1, 2, 9, 10
# Where a recipient that was told stands; the person is told of those alone who keep something, or are silent.
OUTCOMES, TO_THE_PERSON = (
    ("gone", "caught", "retained", "unlinked", "escalated", "open"),
    ("retained", "escalated"),
)
# What a certificate says beside its groups and its proofs; hashed together into the log.
NOT_FACTS = ("groups", "entries", "completeness", "checkpoint", "successions")


class Bad(Exception):
    """Something is wrong with what we were given, in plain words."""


def bad(what: str) -> NoReturn:
    raise Bad(what)


@dataclass
class Report:
    """What the verifier found, worst first. ``problems`` empty means that everything holds."""

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
    return encoded(PAYLOAD_TYPE, payload)


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def load_key(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        bad("the key file is not a PEM public key")
    return key if isinstance(key, Ed25519PublicKey) else bad("the key is not an Ed25519 public key")


def signed_text(note: Any, name: str, keys: list[Ed25519PublicKey], what: str) -> str:
    """The text of a C2SP note that each of these keys has signed, in this order, and nobody else."""
    text, blank, tail = str(need(note, str, what)).rpartition("\n\n")
    lines = tail[:-1].split("\n") if blank and tail.endswith("\n") else bad(f"{what} is not a signed note")
    text += "\n"
    for line, key in zip(lines, keys, strict=False):
        match = re.fullmatch(r"— (\S+) (\S+)", line) or bad(f"{what} has a malformed signature line")
        blob = unbase64(match[2], f"a signature of {what}")
        mine = hashlib.sha256(name.encode() + b"\n\x01" + key.public_bytes_raw()).digest()[:4]
        if match[1] != name or blob[:4] != mine:
            bad(f"{what} is not signed by the key of this log")
        try:
            key.verify(blob[4:], text.encode())
        except (InvalidSignature, UnicodeEncodeError):
            bad(f"the signature on {what} is not good")
    if len(lines) != len(keys):
        bad(f"{what} has {len(lines)} signatures instead of {len(keys)}")
    return text


Head = tuple[int, bytes]  # (size, root)


def succession(note: Any, origin: str) -> tuple[Ed25519PublicKey, Ed25519PublicKey, Head]:
    """(old, new) keys of a statement of succession that both have signed, and the last head of the old one."""
    what = "a statement of key succession"
    form = r"quietus key succession v1\n(\S+)\nold (\S+)\nnew (\S+)\nhead ([1-9]\d{0,17}) (\S+)\n\n"
    head = re.match(form, need(note, str, what))
    raw = [unbase64(head[i], f"a value in {what}") for i in (2, 3, 5)] if head else []
    if not head or head[1] != origin or any(len(value) != 32 for value in raw):
        bad(f"{what} is malformed")
    old, new = (Ed25519PublicKey.from_public_bytes(key) for key in raw[:2])
    signed_text(note, origin, [old, new], what)
    return old, new, (int(head[4]), raw[2])


def succeeded(key: Ed25519PublicKey, origin: str, notes: list[Any]) -> Ed25519PublicKey:
    """The key to which ours, by the chain of these statements, handed the log; ours if by none."""
    for old, new, _ in (succession(note, origin) for note in notes):
        if old.public_bytes_raw() == key.public_bytes_raw():
            key = new
    return key


def check_successions(p: dict[str, Any], key: Ed25519PublicKey) -> None:
    """The statements that a certificate carries are a chain that ends with the key that signed, and the log
    grew from each of their heads to the next, and to the certificate's own."""
    origin = origin_of(p["checkpoint"])
    chain = [succession(note, origin) for note in p["successions"]]
    signers = [old for old, _, _ in chain[1:]] + [key]
    for n, (_, new, _) in enumerate(chain):
        if new.public_bytes_raw() != signers[n].public_bytes_raw():
            bad("the statements of key succession do not lead to the key that signed")
    heads = [head for _, _, head in chain] + [checkpoint(p["checkpoint"], key, origin)]
    for n, (size, root) in enumerate(heads[1:]):
        if size < heads[n][0] or (size == heads[n][0] and root != heads[n][1]):
            bad("the log is not the one that was handed on: it is shorter, or another of the same length")


def checkpoint(note: Any, key: Ed25519PublicKey, origin: str) -> Head:
    """(size, root) of a checkpoint signed by this key in the name of this log."""
    lines = signed_text(note, origin, [key], "the checkpoint").split("\n")
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

# Field: kinds it may have. "?" after a kind: it may be null. The first format, and what the later ones added.
_PAYLOAD = (
    "format:str case_no:str ground:str kind:str edition:str serial:int catalogue:str code:str plans:list "
    "as_of:str observed_at:str simulated:bool statement:str groups:list balance:list pending:list "
    "entries:list completeness:dict checkpoint:str successions:list"
)
_PAYLOAD_2 = _PAYLOAD.replace("plans:list", "steps:list rungs:int evidence:list")
_PAYLOAD_3 = _PAYLOAD_2 + " recipients:list rechecks:list figures:int?"
_PAYLOAD_4 = _PAYLOAD_3 + " copies:list horizon:dict?"
_PAYLOADS = {
    FORMAT_1: _PAYLOAD, FORMAT_2: _PAYLOAD_2, FORMAT_3: _PAYLOAD_3, FORMAT_4: _PAYLOAD_4, FORMAT: _PAYLOAD_4,
}  # fmt: skip
_GROUP = (
    "dataset:str category:str copy_kind:str disposition:str items:int rung_required:int rung_reached:int? "
    "verdict:str evidence:list law:str until:str? waits_for:str? hold:str? pending:bool confidential:bool "
    "unverified:list why:str"
)
_GROUP_2 = _GROUP + " step:str kept_for:str?"
_BALANCE = "dataset:str copy_kind:str located:int "
_PENDING = "track:str dataset:str? category:str? copy_kind:str? rung:int? name:str due:str? what:str"
_PENDING_2 = _PENDING + " confidential:bool"
_TOLD = (
    "recipient:str name:str outcome:str round:int? code:str? categories:list told_on:str? ended_on:str? law:str "
    "until:str? stopped_on:str? preserved:bool"
)
_COPY = "backup_set:str store:str position:str? until:str? because:str gone_on:str? evidence:list"
_STEP = "step:str plans:list restricting:bool stores:list"
_KINDS: dict[str, type] = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}


def past_of(p: dict[str, Any]) -> dict[str, str]:
    """The dispositions that a certificate's format knows, with their words."""
    return PAST if p["format"] == FORMAT else PAST_4


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
    form = need(p, dict, "the certificate").get("format")
    has_shape(p, _PAYLOADS.get(form if isinstance(form, str) else "", _PAYLOADS[FORMAT]), "the certificate")
    has_shape(p["completeness"], "entry:int salt:str", "the completeness proof")
    if form not in _PAYLOADS:
        bad(f"this verifier reads {', '.join(_PAYLOADS)}; the certificate says it is something else")
    if form in ENDED and moment(p["observed_at"], "observed_at") >= moment(ENDED[form], "a date"):
        bad(f"the certificate is in the format {form}, which was given up before it was made")
    new, past = form != FORMAT_1, past_of(p)
    if p["kind"] not in ("interim", "final") or p["edition"] not in EVIDENCE:
        bad("the certificate's kind or edition is not a known one")
    for n, g in enumerate(p["groups"]):
        has_shape(g, _GROUP_2 if new else _GROUP, f"item group {n}")
        for number in g["evidence"]:
            need(number, int, f"evidence of item group {n}")
        for note in g["unverified"]:
            has_shape(note, "rung:int why:str", f"an unverified rung of item group {n}")
        if g["items"] < 1 or g["disposition"] not in past:
            bad(f"item group {n} has no items or an unknown disposition")
    for n, b in enumerate(p["balance"]):
        has_shape(b, _BALANCE + " ".join(f"{word}:int" for word in past.values()), f"line {n} of the balance")
        if min(b[name] for name in ("located", *past.values())) < 0:
            bad(f"line {n} of the balance has a negative count")
    for n, w in enumerate(p["pending"]):
        has_shape(w, _PENDING_2 if new else _PENDING, f"pending track {n}")
    if new:
        check_shape_of_proofs(p)
    check_shape_of_recipients(p)
    check_shape_of_copies(p)


def check_shape_of_proofs(p: dict[str, Any]) -> None:
    for n, step in enumerate(p["steps"]):
        has_shape(step, _STEP, f"step {n}")
        for text in (*step["plans"], *step["stores"]):
            need(text, str, f"a plan or store of step {n}")
    for number in p["evidence"]:
        need(number, int, "an entry of evidence")


def check_shape_of_recipients(p: dict[str, Any]) -> None:
    for n, r in enumerate(p.get("recipients", ())):
        has_shape(r, _TOLD, f"recipient {n}")
        for text in r["categories"]:
            need(text, str, f"a category of recipient {n}")
        for name in ("told_on", "ended_on", "until", "stopped_on"):
            if r[name] is not None:
                day(r[name], f"{name} of recipient {n}")
        if r["outcome"] not in OUTCOMES:
            bad(f"recipient {n} has an unknown outcome")
    for number in p.get("rechecks", ()):
        need(number, int, "an entry of a recheck")


def check_shape_of_copies(p: dict[str, Any]) -> None:
    for n, c in enumerate(p.get("copies", ())):
        has_shape(c, _COPY, f"backup set {n}")
        for name in ("until", "gone_on"):
            if c[name] is not None:
                day(c[name], f"{name} of backup set {n}")
        for number in c["evidence"]:
            need(number, int, f"evidence of backup set {n}")
    if p.get("horizon") is not None:
        has_shape(p["horizon"], "until:str? because:str", "the horizon")


Entries = dict[int, dict[str, Any]]  # of the ledger, by index


def check_log(p: dict[str, Any], key: Ed25519PublicKey, problems: list[str]) -> Entries:
    """The checkpoint is signed and every entry is under it. Returns index -> entry."""
    size, root = checkpoint(p["checkpoint"], key, origin_of(p["checkpoint"]))
    found: Entries = {}
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


def check_completeness(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
    """The log recorded these groups and these facts, for this case and edition, and no others."""
    said = entries.get(p["completeness"]["entry"])
    if said is None or said["kind"] != "dispositions" or said["case_no"] != p["case_no"]:
        problems.append("the ledger entry that lists this case's item groups is not among the entries given")
        return
    salt, edition = unbase64(p["completeness"]["salt"], "the salt"), p["edition"]
    if len(salt) != 32:
        bad("the salt is not 32 bytes long")
    # In the first format one entry held both editions, under their names.
    ours = said["body"].get("edition") == edition
    recorded = said["body"].get(edition) if p["format"] == FORMAT_1 else said["body"] if ours else None
    if not isinstance(recorded, dict) or said["body"].get("serial") != p["serial"]:
        problems.append("the ledger entry that lists item groups is that of another certificate")
        return
    if recorded.get("groups") != groups_commitment(edition, salt, p["groups"]):
        problems.append(
            "the list of item groups is not the one the ledger recorded: "
            "an item was dropped, added or changed"
        )
    for what, verb in (("evidence", "is"), ("rechecks", "are")):
        if what in p and edition == "auditor" and recorded.get(what) != p[what]:
            problems.append(f"the {what} given {verb} not the {what} of this case that the ledger recorded")
    if recorded.get("facts") != facts_commitment(edition, salt, p):
        problems.append(
            "the balance, evidence, pending tracks, dates or headings are not those the ledger recorded"
        )


def check_balance(p: dict[str, Any], problems: list[str]) -> None:
    """located = sum of dispositions, and the item groups of every category add up to the same."""
    past = past_of(p)
    lines = {(b["dataset"], b["copy_kind"]): b for b in p["balance"]}
    if len(lines) != len(p["balance"]):
        problems.append("the balance lists a dataset and copy twice")
    for (dataset, copy), b in lines.items():
        total = sum(b[word] for word in past.values())
        if b["located"] != total:
            problems.append(
                f"the books do not balance for {dataset} ({copy}): {b['located']} located, {total} accounted"
            )
    sums: dict[tuple[str, str, str], dict[str, int]] = {}
    for g in p["groups"]:
        per = sums.setdefault((g["dataset"], g["copy_kind"], g["category"]), dict.fromkeys(past.values(), 0))
        per[past[g["disposition"]]] += g["items"]
    for (dataset, copy, category), per in sums.items():
        b = lines.get((dataset, copy), {})
        if any(b.get(word) != count for word, count in per.items()):
            problems.append(
                f"the item groups of {category} in {dataset} ({copy}) do not add up to its balance"
            )
    for (dataset, copy), b in lines.items():
        if b["located"] and not any(k[:2] == (dataset, copy) for k in sums):
            problems.append(f"{dataset} ({copy}) has items located but no item group")


# --- the evidence of the case -------------------------------------------------------------------


@dataclass
class Look:
    """One proof, as the ledger has it: what was looked at in one store, of one kind, in one step."""

    kind: str
    step: str
    store: str | None
    plan: str | None
    at: datetime
    entries: list[tuple[int, list[Any]]]  # (index, checks): long evidence lies in several entries

    @property
    def checks(self) -> list[Any]:
        return [check for _, checks in self.entries for check in checks]

    def __str__(self) -> str:
        return f"the proof {self.kind!r} of {self.store or 'the books'} in {self.step}"


def looks(entries: Entries, case_no: str, problems: list[str]) -> list[Look]:
    """The evidence of a case, put together from its entries, oldest first. A missing part is a problem."""
    parts: dict[bytes, list[tuple[int, dict[str, Any]]]] = {}
    for index, entry in sorted(entries.items()):
        if entry["kind"] == "evidence" and entry["case_no"] == case_no:
            for c in need(entry["body"].get("checks"), list, f"the checks of ledger entry {index}"):
                need(c["rung"], int, f"a rung in ledger entry {index}")
            same = {name: v for name, v in entry["body"].items() if name not in ("checks", "part")}
            parts.setdefault(canonical(same), []).append((index, entry["body"]))
    found = []
    for of in parts.values():
        body = of[0][1]
        at = moment(body["observed_at"], "observed_at of evidence")
        look = Look(body["kind"], body["step"], body["store"], body["plan"], at,
                    [(index, part["checks"]) for index, part in of])  # fmt: skip
        if sorted(part.get("part", 0) for _, part in of) != list(range(body.get("parts", 1))):
            problems.append(f"{look} is not whole: it has {body.get('parts', 1)} parts, {len(of)} are given")
        found.append(look)
    return sorted(found, key=lambda look: look.at)


def latest(found: list[Look]) -> dict[tuple[str, str, str | None], Look]:
    """The look of each kind, step and store that counts: a later one replaces an earlier one."""
    return {(look.kind, look.step, look.store): look for look in found}


def shortcomings(look: Look) -> Iterator[str]:
    """Why a proof does not count as passed. Beyond the gone rows, what could not be seen may say so; and so
    may a server that cannot refuse anybody anything: there a restriction only marks."""
    if not look.checks:
        yield f"{look} looked at nothing"
    for c in look.checks:
        excused = c["rung"] > GONE or c["name"].startswith("enforced.")
        if c["verdict"] != "passed" and not (c["verdict"] == "unverified" and excused):
            yield f"{look} did not pass: {c['name']} is {c['verdict']}"


OF_ITEMS = ("limit_reached", "shutdown")
"""Grounds of cases that are about items and nobody in particular: a night of retention limits, and what goes since a service
stopped. Their last look is for what is still due; a whole service is looked through for its own certificate."""


def evidence_missing(
    steps: list[Any], by: dict[tuple[str, str, str | None], Look], ground: str
) -> Iterator[str]:
    """What should have been looked at and was not: every kind of proof, in every store, under the plan in force.

    A baseline is of a plan of its step: a store that was begun keeps the plan it was begun with.
    """
    for n, step in enumerate(steps):
        wanted = [(kind, store) for kind in ("baseline", "gone") for store in step["stores"]]
        if n == len(steps) - 1:  # what nobody declared, and what is still there, are looked for once more
            last = "due" if ground in OF_ITEMS else "dragnet"
            kinds = (last, "restricted") if step["restricting"] else (last,)
            wanted += [(kind, store) for kind in kinds for store in step["stores"]]
        for kind, store in [*wanted, ("balance", None)]:
            look = by.get((kind, step["step"], store))
            plans = {"baseline": step["plans"], "restricted": [None]}.get(kind, step["plans"][-1:])
            if look is None or look.plan not in plans:
                which = "is missing" if look is None else "is of another plan than the one carried out"
                yield f"the proof {kind!r} of {store or 'the books'} in {step['step']} {which}"


def check_evidence(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
    """All evidence of the case is given, the last look of each kind passed, and none that is due is missing.

    A person's edition holds the verdicts on what it lists, and no evidence in full.
    """
    kind = EVIDENCE[p["edition"]]
    ours = [i for i, e in entries.items() if e["kind"] == kind and e["case_no"] == p["case_no"]]
    if sorted(ours) != p["evidence"]:
        problems.append("the evidence given is not the evidence of this case that the ledger recorded")
    if p["edition"] == "person":
        if any(entries[i]["body"].get("serial") != p["serial"] for i in ours):
            problems.append("the evidence given is that of another certificate of this case")
        return
    steps = [step["step"] for step in p["steps"]]
    if not steps or len(set(steps)) != len(steps) or not all(step["plans"] for step in p["steps"]):
        bad("the certificate does not say which plans were carried out")
    by = latest(looks(entries, p["case_no"], problems))
    problems += evidence_missing(p["steps"], by, p["ground"])
    problems += [what for look in by.values() for what in shortcomings(look)]


# --- what the groups claim ------------------------------------------------------------------------


Seen = list[tuple[int, int, Any]]  # (entry, rung, verdict) of each check about an item group


def speaks_of_staying(kind: str, name: str) -> bool:
    """Whether a check is about what stays. The step area's own word is about whichever fate it names."""
    if name.startswith("planned."):
        return name.endswith(tuple(f".{fate}" for fate in STAYS))
    return kind == "restricted" or name.partition(".")[0] in ABOUT_STAYING


def speaks_of(g: dict[str, Any], look: Look, check: dict[str, Any]) -> bool:
    """Whether a check is about a group: its step, its dataset, its copy, and items of its fate.

    A restriction is proved of a dataset with all its copies at once. How anonymous a set is says nothing of rows that were not
    released.
    """
    return bool(
        look.step == g["step"]
        and look.kind in SPEAKS
        and (look.kind != "anonymity" or g["disposition"] == "anonymise")
        and check["dataset"] == g["dataset"]
        and (check["copy_kind"] == g["copy_kind"] or look.kind == "restricted")
        and speaks_of_staying(look.kind, check["name"]) == (g["disposition"] in STAYS)
    )


def seen_of(g: dict[str, Any], by: dict[tuple[str, str, str | None], Look]) -> Seen:
    """What the last looks say about a group."""
    return [
        (index, c["rung"], c["verdict"])
        for look in by.values()
        for index, checks in look.entries
        for c in checks
        if speaks_of(g, look, c) and not looked_at_since(look, c, by)
    ]


def looked_at_since(look: Look, check: dict[str, Any], by: dict[tuple[str, str, str | None], Look]) -> bool:
    """Whether a check says no more than that queries cannot see a rung, and somebody looked below them for it."""
    if look.kind != "gone" or not check["name"].startswith("beyond.") or check["verdict"] != "unverified":
        return False
    place = ("dataset", "copy_kind", "rung")
    below = [by[found] for kind in BELOW_QUERIES if (found := (kind, look.step, look.store)) in by]
    return any(all(c[n] == check[n] for n in place) for other in below for c in other.checks)


def seen_by_person(g: dict[str, Any], p: dict[str, Any], entries: Entries) -> Seen:
    """What the entries that a group names say about it: of this case only."""
    seen: Seen = []
    for index in g["evidence"]:
        entry = entries.get(index)
        if entry is None or entry["case_no"] != p["case_no"] or entry["kind"] not in EVIDENCE.values():
            continue
        for c in need(entry["body"].get("checks"), list, f"the checks of ledger entry {index}"):
            same = (c["dataset"], c["copy_kind"]) == (g["dataset"], g["copy_kind"])
            if same and (p["format"] == FORMAT_1 or c["stays"] == (g["disposition"] in STAYS)):
                seen.append((index, need(c["rung"], int, f"a rung in ledger entry {index}"), c["verdict"]))
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
        verdicts = {v for _, r, v in seen if r == rung}
        if verdicts != {"passed"}:
            found = ", ".join(sorted(map(str, verdicts))) or "no check of it"
            yield f"claims R{rung}, but its evidence says: {found}"
        if any(note["rung"] == rung for note in g["unverified"]):
            yield f"R{rung} is both claimed and UNVERIFIED"
    below = [r for _, r, v in seen if r < reached and r not in claimed and v != "passed"]
    if below:
        yield f"claims R{reached}, but its evidence did not pass R{min(below)}"


def duty_problems(g: dict[str, Any], p: dict[str, Any], waiting: set[tuple[Any, ...]]) -> Iterator[str]:
    """What a group must say for its disposition, and may not say in this kind and edition."""
    if g["pending"] and p["kind"] == "final":
        yield "still pending, but the certificate says it is final"
    if g["pending"] and (g["dataset"], g["category"], g["copy_kind"]) not in waiting:
        yield "pending, but no pending track says what it waits for"
    if not g["law"].strip():
        yield "no law is named"
    if g["disposition"] == "retain" and not (g["until"] or g["waits_for"]):
        yield "retained without a date or what the date waits for"
    named = g["hold"] or g.get("kept_for")
    unnamed = p["format"] != FORMAT_1 and not named
    if g["confidential"] and (p["edition"] == "person" or unnamed):
        yield "confidential where it cannot be"
    if g["confidential"] and p["format"] == FORMAT_1 and g["disposition"] != "hold":
        yield "confidential where it cannot be"


def fate_problems(
    g: dict[str, Any], p: dict[str, Any], rungs: dict[str, Any], restricting: dict[str, bool]
) -> Iterator[str]:
    """Since the second format: how gone a fate must be at least, and can be at most."""
    required, reached, stays = g["rung_required"], g["rung_reached"], g["disposition"] in STAYS
    if stays and p["kind"] == "final":
        yield "it stays, but the certificate says it is final"
    noise = reached == NOISE and g["disposition"] == "retain"
    if stays and max(required, 0 if noise else reached or 0) > HIDDEN:
        yield f"what stays can be hidden (R{HIDDEN}) and no more; it claims R{max(required, reached or 0)}"
    if stays and restricting.get(g["step"]) and required != HIDDEN:
        yield f"what stays must be hidden (R{HIDDEN}) after a restriction; it asks for R{required}"
    if not stays:
        asked = GONE if g["category"] == "none" else rungs.get(g["category"])
        least = ANONYMOUS if g["disposition"] == "anonymise" and p["format"] == FORMAT else GONE
        if asked is None:
            yield "its category is not one of the policy's"
        elif required != max(least, need(asked, int, "the rung of a category")):
            yield f"the policy asks for R{max(least, asked)}; it asks for R{required}"
    if g["disposition"] == "deidentify":
        yield from rest_problems(g, p)
    if g["disposition"] == "hold" and not re.fullmatch(r"HOLD-\d{1,12}", g["hold"] or ""):
        yield "held without the number of a hold"
    if g["disposition"] != "hold" and g["hold"] is not None:
        yield "names a hold and is not held"


def rest_problems(g: dict[str, Any], p: dict[str, Any]) -> Iterator[str]:
    """Since the fifth format: what is left of what was cut is personal still, is not called anonymous, and has an
    end: a last day, or the rows that it goes with."""
    if g["until"] is not None:
        day(g["until"], "an until date")
    elif p["kind"] == "final" and not g["waits_for"]:
        yield "what is left of it is personal still, and nothing says until when, but the certificate says it is final"
    if (g["rung_reached"] or 0) >= ANONYMOUS:
        yield f"it is de-identified, and claims R{g['rung_reached']}"


def key_problems(
    g: dict[str, Any], p: dict[str, Any], by: dict[tuple[str, str, str | None], Look]
) -> Iterator[str]:
    """No key is destroyed while a backup may still have its row: it lay in another store than what it opened."""
    if g["rung_reached"] != NOISE:
        return
    own = {
        look.store
        for look in by.values()
        for c in look.checks
        if c["rung"] == NOISE and speaks_of(g, look, c)
    }
    for c in p.get("copies", ()):
        if c["gone_on"] is None and c["store"] not in own:
            yield f"claims R{NOISE}, but backup set {c['backup_set']} may still have its key"


def rungs_of(p: dict[str, Any], entries: Entries) -> dict[str, Any]:
    """Category -> rung that the policy asks for, as the ledger has it for every case under that policy."""
    said = entries.get(p["rungs"], {"kind": "", "body": {}})
    if said["kind"] != "rungs" or said["body"].get("catalogue") != p["catalogue"]:
        bad("the ledger entry with the rungs that the policy asks for is not among the entries given")
    return dict(need(said["body"].get("rungs"), dict, "the rungs of the policy"))


def check_claims(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
    """No group claims a rung, a law or a date that its evidence or its disposition does not bear out."""
    waiting = {(w["dataset"], w["category"], w["copy_kind"]) for w in p["pending"] if w["track"] == "rung"}
    in_full = p["format"] != FORMAT_1 and p["edition"] == "auditor"
    by = latest(looks(entries, p["case_no"], [])) if in_full else {}
    rungs = rungs_of(p, entries) if p["format"] != FORMAT_1 else {}
    restricting = {step["step"]: step["restricting"] for step in p.get("steps", ())}
    for g in p["groups"]:
        place = f"{g['category']} in {g['dataset']} ({g['copy_kind']}), {g['disposition']}"
        for index in g["evidence"]:
            if index not in entries:
                problems.append(f"{place}: the evidence it names, ledger entry {index}, is not included")
        seen = seen_of(g, by) if in_full else seen_by_person(g, p, entries)
        if in_full and g["step"] not in restricting:
            problems.append(f"{place}: its step is not one of the certificate's")
        if in_full and sorted({index for index, _, _ in seen}) != g["evidence"]:
            problems.append(f"{place}: the evidence it names is not all that speaks about it")
        problems += [f"{place}: {what}" for what in rung_problems(g, seen)]
        if in_full:
            problems += [f"{place}: {what}" for what in key_problems(g, p, by)]
        problems += [f"{place}: {what}" for what in duty_problems(g, p, waiting)]
        if p["format"] != FORMAT_1:
            problems += [f"{place}: {what}" for what in fate_problems(g, p, rungs, restricting)]
    if p["kind"] == "final" and p["pending"]:
        problems.append("the certificate says it is final and still lists pending tracks")


# --- who else was told ---------------------------------------------------------------------------------


def told_problems(r: dict[str, Any], edition: str) -> Iterator[str]:
    """What an outcome must come with, and who may read it."""
    if edition == "person" and (
        r["outcome"] not in TO_THE_PERSON or r["preserved"] or r["round"] is not None
    ):
        yield "is in an edition that may not tell of it"
    if edition == "auditor" and r["round"] is None:
        yield "does not say which notice it is about"
    if edition == "auditor" and r["outcome"] != "open" and r["told_on"] is None:
        yield f"is {r['outcome']}, and was never told"
    if r["outcome"] == "retained" and not r["law"].strip():
        yield "keeps something, and names neither a law nor a duty"
    if r["code"] == "RETAINED_BY_LAW" and r["outcome"] == "retained" and r["until"] is None:
        yield "keeps something by law without a last day"
    if r["preserved"] and r["outcome"] != "retained":
        yield "preserves something, and does not keep it"


def recheck_problems(p: dict[str, Any], entries: Entries) -> Iterator[str]:
    """Every recheck of the case is given, and nobody who was caught is said to have deleted."""
    ours = {
        i: e["body"] for i, e in entries.items() if e["kind"] == "recheck" and e["case_no"] == p["case_no"]
    }
    if sorted(ours) != p["rechecks"]:
        yield "the rechecks given are not those of this case"
    caught = {(b.get("recipient"), b.get("round")) for b in ours.values() if b.get("found") == "caught"}
    for r in p["recipients"]:
        if r["outcome"] == "gone" and (r["recipient"], r["round"]) in caught:
            yield f"{r['recipient']}: is said to have deleted, and was found to know the person still"


def check_recipients(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
    """Since the third format: where each recipient stands, and what came of asking it again."""
    for r in p["recipients"]:
        problems += [f"{r['recipient']}: {what}" for what in told_problems(r, p["edition"])]
    problems += recheck_problems(p, entries)
    if p["edition"] == "person":
        if p["figures"] is not None:
            problems.append("the person's edition holds figures that are the auditor's")
        return
    waiting = {w["name"] for w in p["pending"] if w["track"] == "recipients"}
    if waiting != {r["recipient"] for r in p["recipients"] if r["outcome"] == "open"}:
        problems.append("the recipients that are open are not those that the pending tracks name")
    figures = entries.get(p["figures"]) if p["figures"] is not None else None
    if p["figures"] is not None and (
        figures is None or (figures["kind"], figures["case_no"]) != ("recipients", None)
    ):
        problems.append("the ledger entry with the recipients' figures is not among the entries given")


# --- what could bring it back ------------------------------------------------------------------------


def log_position(text: Any, what: str) -> int:
    """A position in a database's log, such as 0/3A000028, in bytes."""
    found = re.fullmatch(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})", need(text, str, what))
    if found is None:
        bad(f"{what} is no position in a log")
    return int(found[1], 16) << 32 | int(found[2], 16)


def reaching_back(seen: dict[str, Any], what: str) -> Iterator[str]:
    """What of a look at a backup set, as the ledger has it, may still hold what went before: none, if it says gone."""
    night = None if seen["position"] is None else log_position(seen["position"], what)
    start, archive = seen["oldest_start"], seen["archive_from"]
    if start is not None and (night is None or log_position(start, what) <= night):
        yield f"{what}: a copy that is left begins before it"
    if archive is not None and (night is None or log_position(archive, what) < night):
        yield f"{what}: archived log that is left begins before it"
    if seen["oldest_made"] is not None and moment(seen["oldest_made"], what) <= moment(seen["moment"], what):
        yield f"{what}: a copy that is left was made before it"
    if seen["copies"] and start is None and seen["oldest_made"] is None:
        yield f"{what}: of the copies that are left nobody knows what they hold"
    yield from shown_again(seen, what)


def shown_again(seen: dict[str, Any], what: str) -> Iterator[str]:
    """What a restore drill found somebody in, and the look that came after still saw: positions cannot speak for that."""
    if left := sorted(set(seen.get("found_in", ())) & set(seen.get("names", ()))):
        yield f"{what}: {', '.join(left)}, in which a drill found somebody, is left"
    log, archive = seen.get("found_log"), seen["archive_from"]
    if log is not None and archive is not None and log_position(archive, what) < log_position(log, what):
        yield f"{what}: archived log is left in which a drill found somebody"


def copy_problems(c: dict[str, Any], entries: Entries) -> Iterator[str]:
    """A set that is said to be gone was seen to be, as of every night in which something went."""
    what = f"backup set {c['backup_set']}"
    if c["gone_on"] is None:
        if c["evidence"]:
            yield f"{what} still reaches back, and names what shows that it does not"
        return
    if not c["evidence"]:
        yield f"{what} is said to be gone, and nothing in the ledger shows it"
        return
    last = -1
    for index in c["evidence"]:
        entry = entries.get(index)
        if entry is None or (entry["kind"], entry["case_no"]) != ("copies", None):
            yield f"{what}: ledger entry {index} is not a look at a backup set, or not included"
            continue
        seen = entry["body"]
        if (seen["set"], seen["store"]) != (c["backup_set"], c["store"]):
            yield f"{what}: ledger entry {index} is of another set"
        yield from reaching_back(seen, what)
        last = max(last, -1 if seen["position"] is None else log_position(seen["position"], what))
    if c["position"] is not None and last < log_position(c["position"], what):
        yield f"{what} was looked at for an earlier night than the last of this case"


def check_copies(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
    """Since the fourth format: of each backup set whether it still reaches back, and one date after which nothing does."""
    for c in p["copies"]:
        problems += copy_problems(c, entries)
    open_ = {c["backup_set"] for c in p["copies"] if c["gone_on"] is None}
    if {w["name"] for w in p["pending"] if w["track"] == "backups"} != open_:
        problems.append("the backup sets that still reach back are not those that the pending tracks name")
    told = p["horizon"] or {"until": None}
    if open_ and p["horizon"] is None:
        problems.append("backups still reach back, and the certificate names no horizon")
    for c in p["copies"]:
        later = c["until"] is None or (told["until"] is not None and c["until"] > told["until"])
        if c["gone_on"] is None and told["until"] is not None and later:
            problems.append(f"the horizon is before the end of backup set {c['backup_set']}")


def check_dates(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
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


def check_content(p: dict[str, Any], entries: Entries, problems: list[str]) -> None:
    """What a certificate says, against itself and against its evidence: also what is asked before it is made."""
    if p["format"] != FORMAT_1:
        check_evidence(p, entries, problems)
    if "recipients" in p:
        check_recipients(p, entries, problems)
    if "copies" in p:
        check_copies(p, entries, problems)
    for check in (check_claims, check_dates):
        check(p, entries, problems)
    check_balance(p, problems)


def not_over(p: dict[str, Any]) -> dict[str, str]:
    """What a reader should not overlook in a certificate that is valid."""
    tracks = [w["track"] for w in p["pending"]]
    unseen = sorted({f"R{note['rung']}" for g in p["groups"] for note in g["unverified"]})
    said = {}
    if tracks:
        said["not over"] = ", ".join(f"{tracks.count(t)} {t}" for t in dict.fromkeys(tracks))
    if unseen:
        said["UNVERIFIED"] = ", ".join(unseen) + " of some item groups; each says why"
    if p.get("horizon"):
        said["horizon"] = f"{p['horizon']['until'] or 'open'}: {p['horizon']['because']}"
    if rest := [g for g in p["groups"] if g["disposition"] == "deidentify"]:
        last = max((g["until"] for g in rest if g["until"]), default="open")
        said["de-identified"] = (
            f"{len(rest)} item groups, personal still; the last of them is kept until {last}"
        )
    for outcome, word in (("escalated", "silent"), ("caught", "CAUGHT"), ("retained", "kept by recipients")):
        if names := sorted({r["recipient"] for r in p.get("recipients", ()) if r["outcome"] == outcome}):
            said[word] = ", ".join(names)
    if p["format"] in ENDED:
        which = {FORMAT_1: "first", FORMAT_2: "second", FORMAT_3: "third"}.get(p["format"], "fourth")
        said["format"] = f"the {which}, which says less and is checked by its own rules"
    return said


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
        report.said |= not_over(p)
        check_successions(p, key)
        entries = check_log(p, key, report.problems)
        check_completeness(p, entries, report.problems)
        check_content(p, entries, report.problems)
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


def opened(
    envelope: bytes, pem: bytes, kind: str, what: str, check: Callable[[bytes, Ed25519PublicKey], Report]
) -> Report:  # fmt: skip
    """Check a signed file of another kind: the envelope, and by ``check`` its payload under the key that signed it, which is the
    one given or a successor of it. Never raises on bad input."""
    try:
        if len(envelope) > MAX_BYTES:
            bad("the file is too large to be a certificate")
        key = load_key(pem)
        e = keys_are(
            parse(envelope.removesuffix(b"\n"), "the file"), "payload payloadType signatures", "the file"
        )
        if e["payloadType"] != kind:
            bad(f"the file is no {what}: it has another payload type")
        payload = unbase64(e["payload"], "the payload")
        (signature,) = need(e["signatures"], list, "signatures")
        keys_are(signature, "keyid sig", "the signature")
        if signature["keyid"] != key_id(key):
            p = parse(payload, "the certificate")
            key = succeeded(key, origin_of(p["checkpoint"]), p["successions"])
        if signature["keyid"] != key_id(key):
            bad("it is signed by another key than the one given, and no succession leads to it")
        try:
            key.verify(unbase64(signature["sig"], "the signature"), encoded(kind, payload))
        except InvalidSignature:
            bad("the signature is not good: the certificate or the signature was changed")
        return check(payload, key)
    except Bad as e:
        return Report([str(e)])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return Report(["the file is malformed"])


def encoded(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding of a payload of this kind: what is signed."""
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


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


def said_in(envelope: bytes | str) -> dict[str, Any]:
    """What an envelope says, whoever signed it."""
    return dict(json.loads(base64.b64decode(json.loads(envelope)["payload"])))


def check_extension(envelope: bytes, pem: bytes, previous: str, proof: bytes) -> str | None:
    """What is wrong with the claim that the certificate's log extends the one of an older checkpoint."""
    try:
        key = load_key(pem)
        p = said_in(envelope)
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
    parser = argparse.ArgumentParser(
        description="Verify a Quietus certificate offline.",
        epilog="Exit code 0: valid. 1: not valid, each reason in a line, the worst first. "
        "2: the call was wrong, or a file cannot be read.",
    )
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
    return tell(report, "signed, complete, in the log, balanced, and borne out by its evidence", out)


def tell(report: Report, valid: str, out: Callable[[str], Any]) -> int:
    """Print a report, the worst first; the exit code that it means. ``valid``: what it means that nothing is wrong."""
    if report.ok:
        out(f"VALID: {valid}")
    for problem in report.problems:
        out(plain(f"NOT VALID: {problem}"))
    for name, value in report.said.items():
        out(plain(f"{name}: {value}"))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any locale will do
    sys.exit(main())
