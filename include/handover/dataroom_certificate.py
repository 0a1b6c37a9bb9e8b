"""The certificate of a data room that is over: what was in it, until when, that our copies are gone, and the counterparty's word.

It is for the counterparty, and for whoever asks later: signed by our ledger's signer, who signs only what the offline verifier
(:mod:`include.ledger.verify_dataroom`) accepts, and resting on entries of the ledger. Issued once; killed anywhere, the next call
goes on.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import certifying
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.handover import dataroom
from include.handover.dataroom import DataRoom
from include.ledger import issue, log, verify, verify_dataroom
from include.ledger.sequencer import publish, sequence
from include.ledger.verify_dataroom import FORMAT
from include.model.errors import NotProved, Refused
from include.model.times import observed_now, prc_date

KIND = "dataroom"
"""Of the ledger's entries."""
At = Callable[[str], None]


@dataclass(frozen=True)
class Certificate:
    """As it was given out."""

    room: str
    envelope: str

    @property
    def payload(self) -> dict[str, Any]:
        return verify.said_in(self.envelope)


def certificate(desk: Desk, number: str, *, as_of: date, at: At = lambda _: None) -> Certificate:
    """The certificate of a room, issued once. Raises Refused while the room is not over, NotReachable without ledger or signer or
    while somebody else is at it; NotProved, with nothing recorded, if an entry is missing or says what no verifier would take."""
    with certifying.ledger_desk(desk) as ledger, desk.book() as conn, dataroom.held(conn, number) as room:
        if room.certificate_envelope is not None:
            return Certificate(number, room.certificate_envelope)
        if not room.over:
            raise Refused(
                f"it is not over: {room.stands(as_of)}", about=number,
                next_step="`quietus dataroom clear` destroys our copies, `returned` takes the counterparty's statement",
            )  # fmt: skip
        sequence(ledger.sequencer)
        said = facts(desk, conn, ledger, room, as_of)
        _would_verify(ledger, said)
        digest = verify_dataroom.facts(said)
        key = f"{KIND}:{number}:certified:{digest[:32]}"
        desk.record(
            KIND, None, {"room": number, "what": "certified", "serial": said["serial"], "facts": digest}, key
        )
        at("dataroom.recorded")
        (said["entry"],) = _indexes(ledger, [key])
        size, note = publish(ledger.sequencer, ledger.signer)
        said |= {"checkpoint": note, "successions": list(ledger.signer.successions())}
        relied = sorted(_relied(said))
        said["entries"] = [e.model_dump(mode="json") for e in issue.included(ledger.reader, relied, size)]
        envelope = ledger.signer.certify_room(verify.canonical(said)).decode()
        at("dataroom.signed")
        conn.execute(
            "UPDATE casebook.data_room SET certificate_envelope = %s WHERE number = %s", (envelope, number)
        )
    return Certificate(number, envelope)


def facts(desk: Desk, conn: Conn, ledger: issue.Desk, room: DataRoom, as_of: date) -> dict[str, Any]:
    """All that it says, without what proves it."""
    assert room.ended and room.ended_on and room.due_on and room.ours_gone_on and room.said_on  # noqa: S101 - it is over
    number, observed, bags = room.number, observed_now(), dataroom.given(conn, room.number)
    (period,) = [p for p in desk.catalogue.rule(dataroom.RULE).periods if p.name == "main"]
    signed = json.loads(
        verify.unbase64(json.loads(bytes(room.said_envelope or b""))["payload"], "the statement")
    )["bags"]
    unsure = dataroom.maybe(conn, number)
    opened, ended, gone, said, *files = _indexes(
        ledger,
        [*(f"{KIND}:{number}:{what}" for what in ("opened", room.ended, "gone", "said")),
         *(f"dataroom.bag:{number}:{b.dataset}" for b in bags), *(f"{KIND}:{number}:maybe:{b.dataset}" for b in unsure)],
    )  # fmt: skip
    told = [
        {"dataset": b.dataset, "columns": room.columns[b.dataset], "items": b.items, "left_out": b.left_out,
         "sha256": b.sha256, "bytes": b.bytes, "entry": n}
        for b, n in zip([*bags, *unsure], files, strict=True)
    ]  # fmt: skip
    return {
        "format": FORMAT, "room": number, "serial": _serial(ledger, number), "deal": room.deal,
        "counterparty": room.counterparty, "purpose": room.purpose,
        "agreement": {"document": room.document, "digest": room.digest}, "basis": room.basis,
        "rule": dataroom.RULE, "law": "; ".join(b.cite for b in period.basis), "opened_on": room.opened_on.isoformat(),
        "ended": {"how": room.ended, "on": room.ended_on.isoformat(), "document": room.ended_document, "entry": ended},
        "due_on": room.due_on.isoformat(),
        "bags": told[: len(bags)],
        **({"maybe": [{**b, "named": b["dataset"] in signed} for b in told[len(bags) :]]} if unsure else {}),
        "ours": {"gone_on": room.ours_gone_on.isoformat(), "versions": 0, "entry": gone},
        "theirs": {
            "how": room.said, "on": room.said_on.isoformat(), "key": room.statement_key,
            "statement": base64.b64encode(bytes(room.said_envelope or b"")).decode(), "entry": said,
        },
        "late": max(room.ours_gone_on, room.said_on) > room.due_on, "as_of": as_of.isoformat(),
        "observed_at": observed.isoformat(), "simulated": as_of != prc_date(observed), "opened": opened,
    }  # fmt: skip


def _would_verify(ledger: issue.Desk, said: dict[str, Any]) -> None:
    """Raises NotProved with what the verifier would find wrong, before the log is told that it was certified."""
    last = log.size(ledger.reader)
    p = json.loads(
        verify.canonical(said | {"entry": last, "entries": [], "checkpoint": "", "successions": []})
    )
    entries = {e.index: json.loads(e.leaf) for e in log.entries(ledger.reader, sorted(_relied(p) - {last}))}
    try:
        verify_dataroom.shape(p)
        problems = verify_dataroom.content_problems(p, entries, recorded=False)
    except verify.Bad as bad:
        problems = [str(bad)]
    if problems:
        raise NotProved(
            f"the certificate would not verify: {'; '.join(problems)}", about=said["room"],
            next_step="find out what the ledger says otherwise than the book; nothing was recorded",
        )  # fmt: skip


def _serial(ledger: issue.Desk, number: str) -> int:
    """One more than were recorded: a call that was killed after it recorded one has issued none."""
    said = (e.body for e in log.entries_of_kind(ledger.reader, KIND))
    return 1 + sum((b.get("room"), b.get("what")) == (number, "certified") for b in said)


def _relied(said: dict[str, Any]) -> set[int]:
    found = {said["entry"], said["opened"], *(said[k]["entry"] for k in ("ended", "ours", "theirs"))}
    return found | {b["entry"] for b in (*said["bags"], *said.get("maybe", ()))}


def _indexes(ledger: issue.Desk, keys: Sequence[str]) -> list[int]:
    """Where these entries are in the log. Raises NotProved if one is not there yet."""
    sequence(ledger.sequencer)
    there = log.indexes_of_keys(ledger.reader, keys)
    if missing := [k for k in keys if k not in there]:
        raise NotProved(
            f"{len(missing)} entries are not in the ledger, such as {missing[0]}", about="ledger",
            next_step="run again the command that says it (`quietus dataroom show`), then try again",
        )  # fmt: skip
    return [there[k] for k in keys]
