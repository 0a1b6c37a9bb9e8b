"""What was planted beside what the proofs named: what was found, what was missed, and who was named in vain. Pure.

Only here does somebody know both what was planted where and what each proof says, and this is told to neither.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from include.cases.controls.looking import InFiles, Looked
from include.cases.controls.results import Judged, Outcome, Result
from include.model.flow import Check
from include.model.words import Verdict
from include.planting.note import ELSEWHERE, Note, Plant
from include.planting.postgres import IN_FILES
from include.proofs.residue import names
from include.proofs.residue.scan import Place
from include.stores.postgres.rights import STATISTICS

DRAGNET, GONE, RESIDUE = "dragnet", "gone", "residue"
_WAL = re.compile(r"(?:.*/)?[0-9A-F]{24}(?:\.[\w.]+)?")


def proof_of(kind: str) -> str:
    """The kind of evidence that must find a kind of plant."""
    return RESIDUE if kind in IN_FILES else GONE if kind == "open_upload" else DRAGNET


def judge(note: Note, absent: Mapping[tuple[str, str], str], looked: Looked) -> Judged:
    """``absent``: (store, kind) -> why nothing of this kind could be planted there."""
    checks = {(e.store or "", e.kind, c.name): c for e in looked.evidence for c in e.checks}
    results = []
    for plant in sorted(note.plants, key=lambda p: (p.store, p.kind)):
        if why := absent.get((plant.store, plant.kind), ""):
            results.append(_result(plant, 0, Outcome.NOT_APPLICABLE, why))
        elif proof_of(plant.kind) == RESIDUE:
            results.append(_in_files(plant, looked))
        else:
            results.append(_by_check(plant, checks))
    results += [
        Result("", kind, "", 0, 0, Outcome.NOT_APPLICABLE, why) for kind, why in sorted(ELSEWHERE.items())
    ]
    return Judged(tuple(results), tuple(sorted({*_accused(note, looked), *_accused_in_files(note, looked)})))


def _result(plant: Plant, found: int, outcome: Outcome, why: str = "") -> Result:
    planted = 0 if outcome is Outcome.NOT_APPLICABLE else plant.rows
    return Result(plant.store, plant.kind, proof_of(plant.kind), planted, found, outcome, why)


# --- what a question to the server must show ----------------------------------------------------------


def _check_of(plant: Plant) -> str:
    match plant.kind:
        case "statistics":
            return f"statistics.{plant.place}"
        case "open_upload":
            return f"anew.{plant.place}"
        case _:
            return f"dragnet.{plant.place}"


def _by_check(plant: Plant, checks: Mapping[tuple[str, str, str], Check]) -> Result:
    check = checks.get((plant.store, proof_of(plant.kind), _check_of(plant)))
    if check is None:
        return _result(plant, 0, Outcome.MISSED, "nobody looked there")
    if check.verdict is Verdict.UNVERIFIED:
        return _result(plant, 0, Outcome.MISSED, f"it could not be looked at: {check.why}")
    if check.verdict is Verdict.PASSED:
        return _result(plant, 0, Outcome.MISSED, "it was looked at, and nothing was said of it")
    # Statistics count values, and a value is one however often it stood there.
    found = plant.rows if plant.kind == "statistics" else min(check.observed or 0, plant.rows)
    return _result(plant, found, Outcome.FOUND if found == plant.rows else Outcome.MISSED,
                   "" if found == plant.rows else "only some of it was named")  # fmt: skip


def _accused(note: Note, looked: Looked) -> Iterator[str]:
    """Failed checks where nothing was planted, or of more than was planted."""
    planted = {(p.store, proof_of(p.kind), _check_of(p)): p for p in note.plants if p.kind not in IN_FILES}
    for evidence in looked.evidence:
        for check in evidence.checks:
            if check.verdict is not Verdict.FAILED:
                continue
            plant = planted.get((evidence.store or "", evidence.kind, check.name))
            if plant is None:
                yield check.name
            elif plant.kind != "statistics" and (check.observed or 0) > plant.rows:
                yield f"{check.name} (more than was planted)"


# --- what the bytes must show -------------------------------------------------------------------------


def _in_files(plant: Plant, looked: Looked) -> Result:
    files = looked.files.get(plant.store) or InFiles(None, why="the store has no files that anybody knows of")
    if files.residue is None:
        return _result(plant, 0, Outcome.NOT_APPLICABLE, files.why)
    if plant.kind == "server_log" and files.no_log:
        return _result(plant, 0, Outcome.NOT_APPLICABLE, files.no_log)
    if any(_shows(plant, place) for place in _places(files, looked, plant.value)):
        return _result(plant, plant.rows, Outcome.FOUND)
    unread = (
        f"; {len(files.unread)} files could not be read, the first: {files.unread[0].why}"
        if files.unread
        else ""
    )
    return _result(plant, 0, Outcome.MISSED, f"its bytes were not seen{unread}")


def _places(files: InFiles, looked: Looked, value: str) -> Sequence[Place]:
    assert files.residue is not None  # noqa: S101
    number = next(n for n, v in looked.numbers.items() if v == value)
    return tuple(files.residue.found.get(number, Counter()))


def _shows(plant: Plant, place: Place) -> bool:
    match plant.kind:
        case "index_page":
            return place.name == f"{plant.place} (index {plant.part})"
        case "compressed_toast":
            return place.name.startswith(plant.place) and place.how in ("in chunks", "compressed")
        case "wal":
            return _WAL.fullmatch(place.name) is not None
        case "server_log":
            return not _WAL.fullmatch(place.name) and not _is_relation(place.name)
        case _:
            return place.name == plant.place


def _is_relation(name: str) -> bool:
    """A named table, or a relation's file that nobody could name; not a file of the server's."""
    if "/" in name:
        return name.startswith(("base/", "global/", "pg_tblspc/"))
    return "." in name and not name.endswith((".log", ".conf", ".json", ".csv"))


def _accused_in_files(note: Note, looked: Looked) -> Iterator[str]:
    """Tables that the scan names for a value of ours and that are not ours, or hold only other people."""
    for store, files in looked.files.items():
        if files.residue is None:
            continue
        decoys, schema = set(note.decoys_of(store)), note.schemas[store]
        for number in looked.numbers:
            for place in files.residue.found.get(number, ()):
                name = names.table(place.name)
                ours = name.startswith(f"{schema}.") and name not in decoys
                if _is_relation(place.name) and not ours and name not in STATISTICS:
                    yield f"residue.{name}"
