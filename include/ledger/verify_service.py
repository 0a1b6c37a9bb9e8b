#!/usr/bin/env python3
"""The offline verifier of the certificate of a service that stopped.

    python verify_service.py certificate.json --key pub.pem

Beside ``verify.py``, whose checks of signatures, log and proofs it uses, and its own ``verify_service_*.py``; nothing else is
needed, and no network. It checks that the certificate is signed, that the log recorded these very facts, that nothing was
collected since T0 and whatever nobody could see of that is named, with the document by which somebody answers for it, that the
books balance, are those of the log, and passed a suite of expectations, that every bag was signed for without a difference before
its source began to go, that what went is what the named cases took, that every recipient's track and backup set ended, that the
whole estate was looked through afterwards and holds what stays and no more, that the media of each store, backup set and key were
sanitised by a record, or both approvers say what becomes of them, that whatever could not be looked for in it is named, with the
document by which both approvers answer for it, and that each item which stays has a law, a custodian and an end. What else the
log says of the order, such as anything newer, the custodian's verifier sees (``verify_ledger.py``), which has all of it. Exit
code 0: all of it holds. 1: something does not, and is named. 2: the call itself was wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if __package__:
    from include.ledger import verify
    from include.ledger import verify_service_books as books
    from include.ledger import verify_service_end as end
    from include.ledger import verify_service_said as terms
else:  # run as a file, as a custodian does: those beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]
    import verify_service_books as books  # type: ignore[import-not-found, no-redef]
    import verify_service_end as end  # type: ignore[import-not-found, no-redef]
    import verify_service_said as terms  # type: ignore[import-not-found, no-redef]

PAYLOAD_TYPE = "application/vnd.quietus.service-certificate+json"
FORMAT, facts = terms.FORMAT, terms.facts
"""By which, as by ``PAYLOAD_TYPE``, the signer knows this kind of certificate."""
Entries = dict[int, dict[str, Any]]
Said = dict[str, Any]


def check_recorded(p: Said, entries: Entries) -> Iterator[str]:
    """The log has these very facts, and the order as it stood."""
    said = terms.event(p, entries, p["entry"], "certified")
    if (said.get("serial"), said.get("facts")) != (p["serial"], terms.facts(p)):
        yield "the ledger recorded other facts: something was dropped, added or changed"
    for name in terms.STANDS:
        if said.get(name, "") != p[name]:
            yield f"the ledger recorded another {name}"
    if late := sorted(i for i in entries if i > p["entry"]):
        yield f"it rests on ledger entry {late[0]}, which came after it was recorded"


def content_problems(p: Said, entries: Entries, *, recorded: bool = True) -> list[str]:
    """What a certificate says, against itself and against the log. ``recorded``: it is in the log already; who is about to record
    it asks about all else before, for an entry is never taken back."""
    found: list[str] = [*check_recorded(p, entries)] if recorded else []
    for check in (
        books.check_order,
        books.check_gates,
        books.check_collection,
        books.check_books,
        books.check_bags,
        books.check_cases,
        end.check_recipients,
        end.check_copies,
        end.check_dragnet,
        end.check_carriers,
    ):
        found += check(p, entries)
    return [*found, *end.check_residual(p), *end.check_rest(p, entries)]


# --- a certificate ----------------------------------------------------------------------------------


def check_payload(data: bytes, key: Ed25519PublicKey) -> verify.Report:
    """Everything but the envelope: also what the signer checks before it signs. ``key`` signed the head."""
    report = verify.Report()
    try:
        p = verify.parse(data, "the certificate")
        terms.shape(p)
        totals = {w: sum(x[w] for x in p["books"]) for w in ("located", *terms.ENDS)}
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
    if p["format"] == terms.FORMER:
        said["gates"] = "not said when the parties, the ministry and the public were told"
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
    if p["format"] == terms.FORMER:
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
        terms.STAYS: f"stays in service with {x['who'] or 'the company'}",
        terms.RENTED: f"is rented from {x['who']}",
        terms.LATER: f"is to be sanitised by {x['until']}",
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
