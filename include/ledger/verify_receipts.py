"""What the successor signed, held against the log: part of the custodian's verifier (``verify_ledger.py``).

The log has receipts and answers by their SHA-256, and what they say. The files lie beside it, in ``data/receipts``: each is an
envelope (DSSE, https://github.com/secure-systems-lib/dsse) that the successor signed with the key which people compared when the
consignment was made; the log has that key. So whoever holds the directory sees that it was the successor who said that it has the
items, and not the authority for it: by the key's fingerprint, which the successor can be asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__:
    from include.ledger import verify
else:  # run beside verify_ledger.py, as a custodian does
    import verify  # type: ignore[import-not-found, no-redef]

KINDS = {
    "handover.receipt": ("quietus-bag-receipt/1", "application/vnd.quietus.bag-receipt+json"),
    "handover.notice_receipt": ("quietus-bag-notice-receipt/1", "application/vnd.quietus.bag-notice-receipt+json"),
    "handover.request_receipt": ("quietus-bag-request-receipt/1", "application/vnd.quietus.bag-request-receipt+json"),
}  # fmt: skip
"""Kind of entry -> format of what was signed, and its type in the envelope."""
CONSIGNED, NAMED = "consigned", ("opened", "successor named")
"""Of the events: which key the successor signs by, and who that is."""
REQUEST = "handover.request"
"""Kind of the entry of a request to delete items of a bag."""
SAME = ("order", "bag", "items", "root", "statement", "notice", "request", "digest", "deleted")
"""Members that file and entry both have, where either has one."""
TIMES = ("stored_at", "done_at")
"""When it was signed: by that it is judged what it had to name. An entry from before the log said it has none."""
Said = dict[str, Any]


def signed(home: Path, order: str, log: dict[int, Said]) -> tuple[list[str], list[str]]:
    """What is wrong with the receipts of an order, and the fingerprints (SHA-256 of the raw Ed25519 key) that they are signed by.
    ``log``: entries of these kinds and events of the order, by index, in their order."""
    problems: list[str] = []
    keys: list[str] = []
    agreed: verify.Ed25519PublicKey | None = None
    who: str | None = None
    asked: Counter[str] = Counter()
    for index, entry in sorted(log.items()):
        said = entry["body"]
        if said.get("order") != order:
            continue
        if entry["kind"] == "shutdown" and said.get("what") in NAMED:
            who = said.get("successor")
        elif entry["kind"] == REQUEST:
            asked[str(said.get("bag"))] += verify.need(said.get("asked"), int, "what was asked for")
        elif entry["kind"] == "shutdown" and said.get("what") == CONSIGNED:
            raw = bytes.fromhex(said.get("receipt_key", ""))
            agreed = verify.Ed25519PublicKey.from_public_bytes(raw) if raw else None
            fingerprint = hashlib.sha256(raw).hexdigest()
            keys += [fingerprint] if raw and fingerprint not in keys else []
        elif entry["kind"] in KINDS:
            if agreed is None:
                problems.append(
                    f"ledger entry {index}: the log does not say by which key the successor signs"
                )
                continue
            about = f"ledger entry {index}: what the successor signed of bag {said.get('bag')}"
            problems += (f"{about} {what}" for what in _wrong(home, entry["kind"], said, agreed, who))
            if said.get("asked", 0) - said.get("not_asked", 0) > asked[str(said.get("bag"))]:
                problems.append(
                    f"{about} says that more items went at requests and objections than the log has in them"
                )
    return problems, keys


def _wrong(home: Path, kind: str, said: Said, key: verify.Ed25519PublicKey, who: str | None) -> Iterator[str]:
    """``who``: the company that takes over, as the log named it last."""
    named = str(said.get("receipt"))
    file = home / "data" / "receipts" / f"{named}.json"
    if len(named) != 64 or not named.isalnum() or not file.is_file():
        yield "is not here"
        return
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != named:
        yield "is another file"
        return
    form, type_ = KINDS[kind]
    try:
        envelope = json.loads(content)
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        mark = base64.b64decode(signature["sig"], validate=True)
        key.verify(mark, verify.encoded(type_, payload))
        told = json.loads(payload)
        counts = {k: len(told["differences"][k]) for k in ("missing", "changed", "extra")}
        if kind == "handover.request_receipt":
            counts["kept"] = len(told["kept"])
        if kind == "handover.receipt":
            counts["asked"] = len(told.get("asked", ()))
        times = {k: (verify.moment(told.get(k), k), verify.moment(said[k], k)) for k in TIMES if k in said}
    except verify.InvalidSignature:
        yield "is not signed by the key that was agreed"
        return
    except (verify.Bad, ValueError, KeyError, TypeError):
        yield "cannot be read"
        return
    if envelope["payloadType"] != type_ or told.get("format") != form:
        yield "is something else"
    for name, value in ({k: told[k] for k in SAME if k in told} | counts).items():
        if said.get(name, 0 if name == "asked" else None) != value:
            yield f"has another {name} than the log says"
    yield from (
        f"has another {k} than the log says" for k, (file_s, log_s) in times.items() if file_s != log_s
    )
    if who is None or told.get("custodian") != who:
        yield "is another company's than the one that the log names"
