"""A case's certificate, made now and laid out where people fetch it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quietus_console.work import now, shelf

from include.cases import handing_out
from include.cases.rooms import Desk
from include.model.errors import NotProved, QuietusError

SHOWN = 20  # case numbers that a message names


def hand_out(at: Desk, case_no: str) -> str:
    """Where its two editions and its page of proofs lie."""
    return handing_out.hand_out(at, case_no, shelf(), **now())


def hand_out_each(at: Desk, case_nos: Iterable[str]) -> list[str]:
    """Each case's, made anew; what those say that cannot be certified. One of them keeps no other waiting."""
    failed = []
    for case_no in case_nos:
        try:
            hand_out(at, case_no)
        except QuietusError as error:
            failed.append(f"{case_no}: {error}")
    return failed


def certified_anew(case_nos: Sequence[str], failed: Sequence[str], about: str) -> str:
    """What became of these cases, in words. Raises NotProved if any of them could not be certified."""
    if failed:
        more = f" (and {len(failed) - SHOWN} more)" if len(failed) > SHOWN else ""
        raise NotProved(
            f"{len(failed)} of {len(case_nos)} cases could not be certified: {'; '.join(failed[:SHOWN])}{more}",
            about=about, next_step="see each with `quietus case show`; the next run tries again",
        )  # fmt: skip
    return f"{len(case_nos)} cases certified anew"
