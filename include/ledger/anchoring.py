"""Heads brought outside without a break; and a break, where there was one, said in the log for ever.

What was kept outside may be lost: a bucket that is not yesterday's, a server that forgot. To anchor everything that
is stored once more would hide that, for nobody outside vouches for what is stored by now. So the log itself says from
which head on it is kept outside, in an entry of kind ``anchor``. If that head is not there any more, nothing more is
anchored until somebody begins anew, and that is an entry too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from include.ledger import log
from include.ledger.anchor import Anchor, AnchorFinding
from include.model.errors import LedgerError

KIND = "anchor"
_NEXT = "look for the bucket; if it is gone for good: quietus ledger begin-anew"


@dataclass(frozen=True)
class Begun:
    """From which head on the log is kept outside, as an entry of the log says."""

    entry: int
    size: int
    root: bytes
    anew: bool  # what was outside before that is lost


def begun(conn: log.Conn) -> tuple[Begun, ...]:
    """Every beginning, the first one first; empty before there was any."""
    rows = conn.execute(
        "SELECT index, leaf FROM ledger.entry WHERE case_no IS NULL AND kind = %s ORDER BY index", (KIND,)
    ).fetchall()
    said = [(index, json.loads(leaf)["body"]) for index, leaf in rows]
    return tuple(Begun(i, b["size"], bytes.fromhex(b["root"]), b["anew"]) for i, b in said)


def lost(conn: log.Conn, anchor: Anchor) -> AnchorFinding | None:
    """The heads kept outside are not where they were. Raises LedgerError without a bucket, NotReachable."""
    beginnings = begun(conn)
    if not beginnings or anchor.holds(beginnings[-1].size, beginnings[-1].root):
        return None
    first = beginnings[-1]
    what = f"the head of {first.size} entries, kept outside since entry {first.entry}, is not there any more"
    return AnchorFinding("lost", anchor.place, what)


def catch_up(reader: log.Conn, writer: log.Conn, anchor: Anchor) -> int:
    """Anchor every stored head that is not outside yet; how many there were.

    Raises LedgerError if what was outside is lost: to fill the bucket again would hide it.
    """
    if finding := lost(reader, anchor):
        raise LedgerError(finding.what, about=anchor.place, next_step=_NEXT)
    done = anchor.catch_up(reader)
    if not begun(reader):
        _say(reader, writer, anchor, anew=False)
    return done


def begin_anew(reader: log.Conn, writer: log.Conn, anchor: Anchor) -> int:
    """Accept that what was outside is lost, and anchor what is stored now; how many heads.

    From then on the log says that what was before has no witness outside. Raises LedgerError if nothing is lost.
    """
    if lost(reader, anchor) is None:
        raise LedgerError("nothing is lost", about=anchor.place, next_step="there is no reason to begin anew")
    done = anchor.catch_up(reader)
    _say(reader, writer, anchor, anew=True)
    return done


def _say(reader: log.Conn, writer: log.Conn, anchor: Anchor, *, anew: bool) -> None:
    """The beginning as an entry, once its head is outside: killed in between, the next run says it."""
    row = reader.execute("SELECT size, root FROM ledger.checkpoint ORDER BY size LIMIT 1").fetchone()
    if row is None:
        return
    size, root = int(row[0]), bytes(row[1])
    body = {"bucket": anchor.bucket, "size": size, "root": root.hex(), "anew": anew}
    log.append(writer, KIND, None, body, key=f"{KIND}:{anchor.bucket}:{log.size(reader) if anew else 0}")
