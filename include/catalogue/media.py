"""The part of lint that is about media: each has a procedure for data of each level, and a sensitive level asks for no less."""

from __future__ import annotations

from include.catalogue.problems import Report
from include.model.media import POSSIBLE, MediaProcedure, Medium
from include.model.words import LegalRank


def check(report: Report) -> None:
    """Report what is wrong with procedures, and media that have none. A catalogue without any takes no record of a medium."""
    procedures = report.catalogue.media
    by = {(p.medium, p.sensitive): p for p in procedures}
    for index, p in enumerate(procedures):
        if by[p.medium, p.sensitive] is not p:
            report.add(
                "media", index, ("sensitive",), f"{_level(p)} of a {p.medium} has two procedures", "keep one"
            )
        if never := sorted(p.methods.keys() - POSSIBLE[p.medium]):
            report.add("media", index, ("methods",), f"a {p.medium} is never sanitised by {', '.join(never)}",
                       f"use of: {', '.join(sorted(POSSIBLE[p.medium]))}")  # fmt: skip
        if bool(p.proposal.owner) != bool(p.proposal.approved_on):
            report.add("media", index, ("proposal",), "a company procedure has an owner and a day of approval, or neither yet",
                       "give both")  # fmt: skip
        for n, basis in enumerate(p.basis):
            if basis.rank is not LegalRank.STANDARD:
                report.add("media", index, ("basis", n), f"{basis.cite} is no standard, and a record says which it followed",
                           "cite a standard, with its rank")  # fmt: skip
        if p.sensitive and (plain := by.get((p.medium, False))):
            _no_less(report, index, p, plain)
    for medium in Medium if procedures else ():
        for sensitive in (False, True):
            if (medium, sensitive) not in by:
                report.add_file("media.yaml", f"a {medium} with {'sensitive' if sensitive else 'other'} data has no procedure",
                                "say which methods suffice, or no record of one is taken")  # fmt: skip


def _no_less(report: Report, index: int, p: MediaProcedure, plain: MediaProcedure) -> None:
    for method, share in p.methods.items():
        if method not in plain.methods:
            report.add("media", index, ("methods", method), f"{method} suffices for sensitive data, and not for other",
                       f"let {plain.id} name it, too, or drop it here")  # fmt: skip
        elif share < plain.methods[method]:
            report.add("media", index, ("methods", method), f"less is read back of it ({share} %) than of other data"
                       f" ({plain.methods[method]} %)", "ask for as much at least")  # fmt: skip


def _level(p: MediaProcedure) -> str:
    return "sensitive data" if p.sensitive else "other data"
