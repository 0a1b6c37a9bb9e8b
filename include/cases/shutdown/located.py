"""What is located when the books of a shutdown are opened: each dataset's items by their fate, once for ever.

Counted after collection was closed, by the question of the preview as of that day: then nothing is added any more, and what goes
afterwards has a receipt. The opening is an event of the order and an entry of the ledger, so it cannot be made to fit later. A
dataset that could not be asked is opened by a later count; one that was counted is never counted into the opening again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from include.cases.book import Conn
from include.cases.retention.due import Judged, see
from include.cases.retention.held import held_people
from include.cases.retention.objects import Partly
from include.cases.retention.taken import with_taken
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.fates import Fate, fate
from include.cases.shutdown.objected import told_apart
from include.cases.shutdown.orders import COMPANY, Order
from include.model.errors import Refused
from include.model.times import observed_now
from include.model.words import DatasetKind, Disposition, Ground

LOCATED = "located"
"""Of the event."""
Fates = Mapping[Disposition, int]


@dataclass(frozen=True)
class Opening:
    """``fates``: items of a dataset by what becomes of them; ``since``: the moment before they were counted, after which receipts
    are of these items."""

    fates: Fates
    since: datetime


def fates(
    desk: Desk, of: Order, *, objections: bool = True
) -> tuple[list[tuple[Judged, Fate]], dict[str, str]]:
    """What there is now of the order's datasets, in groups with their fates, as of the day collection was closed; and which could
    not be asked, and why (``Partly``: the rest of it was). ``objections``: whether what is of an objector has its own fate.
    Raises Refused before collection is closed."""
    if of.closed_on is None:
        raise Refused(
            "collection is not closed", about=of.number, next_step="use `quietus shutdown close-collection` on T0"
        )  # fmt: skip
    ours, held = {d.id: d for d in of.datasets(desk.catalogue)}, held_people(desk)
    catalogue = with_taken(
        desk.catalogue, desk.connections
    )  # of what we took over, the clocks that came count
    seen = see(catalogue, desk.connections, of.closed_on, held=held, everything=True, bare=True)
    there = (
        told_apart(desk, catalogue, of.number, seen.judged, held, of.closed_on) if objections else seen.judged
    )
    # Rows that nobody owns any more are judged with all others, and that they have no clock matters to no shutdown.
    unasked = {
        d: why for d, why in seen.unverified.items()
        if d in ours and not (isinstance(why, Partly) and ours[d].kind is DatasetKind.TABLE)
    }  # fmt: skip
    found = [
        (it, fate(catalogue, ours[it.dataset], it, of.closed_on, ends=of.scope == COMPANY))
        for it in there if isinstance(unasked.get(it.dataset, Partly()), Partly) and it.dataset in ours
    ]  # fmt: skip
    return found, unasked


def counted(
    desk: Desk, of: Order, *, objections: bool = True
) -> tuple[dict[str, Counter[Disposition]], dict[str, str]]:
    """The same as dataset -> fate -> items; a dataset of which nothing is there has no items. Raises Refused."""
    judged, unasked = fates(desk, of, objections=objections)
    asked = (d.id for d in of.datasets(desk.catalogue) if isinstance(unasked.get(d.id, Partly()), Partly))
    found = {d: Counter[Disposition]() for d in asked}
    for it, what in judged:
        found[it.dataset][what.disposition] += it.items
    return found, unasked


def locate(desk: Desk, number: str, *, as_of: date, actor: str) -> dict[str, str]:
    """Open the books of every dataset that has none, after T0; which could not be, and why. Again does what is left."""
    with desk.book() as conn:
        of, known = orders.order(conn, number), openings(conn, number)
    if set(known) >= {d.id for d in of.datasets(desk.catalogue)}:
        return {}
    since = observed_now()
    # Who objects may come later, and what does not go by that is told by the bags: the opening does not know of it.
    found, unasked = counted(desk, of, objections=False)
    with orders.deed(desk, number) as (conn, _):
        known = openings(conn, number)  # another may have counted meanwhile, and the first counts
        busy = {d for d, words in disposed(conn, since).items() if words}
        new = {d: of_it for d, of_it in found.items() if d not in known and d not in busy}
        if new:
            detail = {
                "since": since.isoformat(),
                "datasets": {d: {w.value: n for w, n in sorted(f.items())} for d, f in sorted(new.items())},
            }
            orders.say(desk, conn, number, LOCATED, as_of, actor, detail)
    left = dict.fromkeys(
        busy & set(found) - set(known), "it was disposed of while it was counted; count again"
    )
    return {d: why for d, why in unasked.items() if d not in known and d not in found} | left


def openings(conn: Conn, number: str) -> dict[str, Opening]:
    """Each dataset as it was first counted after T0."""
    found: dict[str, Opening] = {}
    for row in orders.history(conn, number):
        if row["what"] == LOCATED:
            since = datetime.fromisoformat(row["detail"]["since"])
            for dataset, fates in row["detail"]["datasets"].items():
                opened = {Disposition(w): int(n) for w, n in fates.items()}
                found.setdefault(dataset, Opening(opened, since))
    return found


def disposed(
    conn: Conn, since: datetime, *, only: Sequence[str] | None = None, but: Ground | None = None
) -> dict[str, Counter[Disposition]]:  # fmt: skip
    """What the stores' receipts say was done since a moment, of all copies: dataset -> deed -> items. ``only``: the cases
    whose receipts count, if not all; ``but``: a ground whose cases' do not."""
    rows = conn.execute(
        "SELECT d.key AS dataset, split_part(w.key, '@', 1) AS word, sum(w.value::bigint)::bigint AS items"
        " FROM casebook.receipt AS r, jsonb_each(r.body -> 'counts') AS d, jsonb_each_text(d.value) AS w"
        " WHERE r.verb = 'dispose' AND (r.body ->> 'done_at')::timestamptz >= %(since)s"
        " AND (%(only)s::text[] IS NULL OR r.case_no = ANY(%(only)s))"
        " AND (%(but)s::text IS NULL OR r.case_no NOT IN (SELECT case_no FROM casebook.case_ WHERE ground = %(but)s))"
        " GROUP BY 1, 2",
        {"since": since, "only": only if only is None else list(only), "but": but and but.value},
    ).fetchall()
    deeds = {w: d for d in Disposition if d.changes_data for w in (d.value, d.past)}
    found: dict[str, Counter[Disposition]] = {}
    for row in rows:
        if row["word"] in deeds and row["items"]:
            found.setdefault(row["dataset"], Counter())[deeds[row["word"]]] += int(row["items"])
    return found
