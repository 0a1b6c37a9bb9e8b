"""The dragnet over buckets: every version of every object, its key, its body and what is written beside it."""

from __future__ import annotations

from collections import Counter
from typing import IO

from include.model.abreast import abreast
from include.model.errors import Refused
from include.model.flow import Check
from include.model.words import DatasetKind, Rung, Verdict
from include.proofs.bodies import Unreadable, texts
from include.proofs.bucket import Bucket, Pattern, Thing
from include.proofs.objects import STAYS, Looking
from include.proofs.values import Net

CARRY = 256  # characters carried over between two pieces of a body


def buckets(looking: Looking, net: Net) -> list[Check]:
    """Every bucket but our own, every version of every object, its key and its body."""
    names, why = looking.buckets()
    checks = [check for name in names if (check := _bucket(looking, name, net)) is not None]
    return [*checks, unverified(f"dragnet.{looking.store.id}", None, why)] if why else checks


def _bucket(looking: Looking, name: str, net: Net) -> Check | None:
    """The bucket's check; None if it was nobody's that is declared, and was removed meanwhile."""
    check = f"dragnet.{name}"
    try:
        stays, files = _expected(looking, name)
        bucket = Bucket(looking.client, name)
        patterns = [
            Pattern(d.prefix) for d in looking.datasets if d.address == name and d.kind is DatasetKind.OBJECTS
        ]

        def look(thing: Thing) -> str:
            # Under a declared path it is clear whose an object is, and ``gone`` asks for the person's own; of what
            # cannot be read anywhere else, nobody can say whom it names.
            declared = any(p.variables(thing.key) for p in patterns)
            if thing.kind == "upload":
                return "" if declared else "upload"
            if thing.id in stays or any(thing.key.startswith(p) for p in files):
                return ""
            try:
                hit = net.hits(thing.key) or (thing.kind == "version" and _in_body(bucket, thing, net))
            except Unreadable:
                return "excused" if declared else "unreadable"
            return "hit" if hit else ""

        seen = Counter(abreast(look, bucket.under([""])))
    except Refused as error:
        names, hidden = looking.buckets()
        if not hidden and name not in names:
            return None
        return unverified(check, None, error.what)
    hits, unreadable, excused, uploads = (seen[x] for x in ("hit", "unreadable", "excused", "upload"))
    if not hits and (unreadable or uploads):
        return unverified(
            check, None,
            f"{unreadable} objects under no declared path cannot be read into (pictures, films, PDF, ciphertext and"
            f" the like), and {uploads} open uploads cannot be read",
        )  # fmt: skip
    said = f"{excused} objects that cannot be read into lie under declared paths, and were told by them"
    return Check(
        name=check, dataset=None, rung=Rung.R2, verdict=Verdict.FAILED if hits else Verdict.PASSED,
        expected=0, observed=hits,
        why="objects name the person, in their keys, metadata, tags or bodies" if hits else said if excused else "",
    )  # fmt: skip


def _expected(looking: Looking, bucket: str) -> tuple[set[tuple[str, str]], list[str]]:
    """Versions that the plan keeps; and prefixes of record files in which records of the person must stay."""
    stays: set[tuple[str, str]] = set()
    files: list[str] = []
    for dataset in looking.datasets:
        if dataset.address != bucket:
            continue
        for row in looking.manifests.rows("weighed", dataset.id):
            if row.get("disposition") in STAYS:
                if dataset.kind is DatasetKind.RECORDS:
                    files.append(dataset.prefix)
                    break
                stays.add((row["key"], row["version"]))
    return stays, files


def _in_body(bucket: Bucket, thing: Thing, net: Net) -> bool:
    body, beside = bucket.whole(thing)
    return net.hits(beside) or says(body, net)


def says(body: IO[bytes], net: Net) -> bool:
    """Whether a value is in a body. Raises Unreadable if none was found and not all could be seen."""
    carried = ""
    for piece in texts(body):
        text = carried + piece.decode("utf-8", "replace")
        if net.hits(text):
            return True
        carried = text[-CARRY:]
    return False


def unverified(name: str, dataset: str | None, why: str) -> Check:
    """The check of what could not be looked at."""
    return Check(name=name, dataset=dataset, rung=Rung.R2, verdict=Verdict.UNVERIFIED, why=why)


__all__ = ["buckets", "says", "unverified"]
