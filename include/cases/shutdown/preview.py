"""What a shutdown would do, counted without changing anything: by dataset and rule what goes to the successor, what is deleted
or anonymised, what must stay with whom until when, what is held, and which recipients are to be told.

The stores are asked by the prover, in sessions that cannot write, with the question of retention
(:mod:`include.cases.retention.due`). Of a service, too, all are asked: a clock may start by a row of another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.book import Conn
from include.cases.retention.due import Judged, see
from include.cases.retention.held import held_people
from include.cases.retention.taken import with_taken
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.fates import Fate, fate
from include.cases.shutdown.objected import told_apart
from include.cases.shutdown.orders import COMPANY, Order
from include.model.catalogue import Catalogue
from include.model.declared import CategoryId
from include.model.flow import Finding
from include.model.policy import Recipient
from include.model.words import Disposition

NOBODY = "nobody is named yet"
MOVES, GOES, STAYS = "moves", "goes", "stays"
HELD = "held_here"
"""The finding that is told to whoever may hear of holds, and to nobody else."""
_PART: Mapping[Disposition, str] = {
    Disposition.TRANSFER: MOVES,
    Disposition.RETAIN: STAYS,
    Disposition.HOLD: STAYS,
}


@dataclass(frozen=True)
class Line:
    """Items of a dataset with one fate. ``custodian``: who keeps them then. ``first``, ``last``: of the last days until which
    they are kept; ``waits``: how many have none yet, since their clock has not started. ``held``: how many a hold names."""

    dataset: str
    disposition: str
    rule: str
    law: str
    items: int
    held: int
    custodian: str | None
    first: date | None
    last: date | None
    waits: int

    @property
    def part(self) -> str:
        """Whether they move, go or stay."""
        return _PART.get(Disposition(self.disposition), GOES)


@dataclass(frozen=True)
class Preview:
    """What would be, as of a day. ``unverified``: what could not be asked, and why: no zero."""

    order: str
    as_of: date
    t0: date
    lines: tuple[Line, ...]
    recipients: tuple[dict[str, str], ...]
    findings: tuple[Finding, ...]
    unverified: Mapping[str, str]

    @property
    def totals(self) -> dict[str, int]:
        """Items by disposition, in its past: they add up to what was located."""
        found: Counter[str] = Counter()
        for line in self.lines:
            found[Disposition(line.disposition).past] += line.items
        return {d.past: found[d.past] for d in Disposition if found[d.past]}

    @property
    def located(self) -> int:
        return sum(line.items for line in self.lines)

    def body(self) -> dict[str, Any]:
        """As JSON: counts, names of datasets and rules, days."""
        return {
            "order": self.order, "as_of": self.as_of.isoformat(), "t0": self.t0.isoformat(), "located": self.located,
            "totals": self.totals, "lines": [_told(line) for line in self.lines],
            "recipients": list(self.recipients), "findings": [f.model_dump(mode="json") for f in self.findings],
            "unverified": dict(self.unverified),
        }  # fmt: skip


def preview(desk: Desk, number: str, *, as_of: date) -> Preview:
    """Ask every store, count, and keep the answer for the console. Raises Refused, NotReachable."""
    with desk.book() as conn:
        order = orders.order(conn, number)
    named = {d.id for d in order.datasets(desk.catalogue)}
    held = held_people(desk)
    catalogue = with_taken(desk.catalogue, desk.connections)
    seen = see(catalogue, desk.connections, order.t0, held=held, everything=True, bare=True)
    there = told_apart(desk, catalogue, number, seen.judged, held, order.t0)
    found = made(
        catalogue, order, [j for j in there if j.dataset in named],
        {d: why for d, why in seen.unverified.items() if d in named}, as_of,
    )  # fmt: skip
    with desk.book() as conn, book.deed(conn, number):
        conn.execute(
            "INSERT INTO casebook.shutdown_preview (number, as_of, body) VALUES (%s, %s, %s)",
            (number, as_of, Jsonb(found.body())),
        )
    return found


def kept(conn: Conn, number: str) -> dict[str, Any] | None:
    """The newest preview, as it was kept; None: nobody has looked yet."""
    row = conn.execute(
        "SELECT body FROM casebook.shutdown_preview WHERE number = %s ORDER BY preview_id DESC LIMIT 1",
        (number,),
    ).fetchone()
    return None if row is None else dict(row["body"])


def without_holds(counted: Mapping[str, Any]) -> dict[str, Any]:
    """The same figures, as :meth:`Preview.body`, for who is not told of holds.

    All that stays is one line: its rules, laws and days would tell what only a hold keeps. So would a last day before T0 of what
    goes to the successor: it is told as T0.
    """
    lines = []
    for line in counted["lines"]:
        if line["part"] == MOVES:
            days = {k: line[k] and max(line[k], counted["t0"]) for k in ("first", "last")}
            lines.append({**line, **days, "held": 0})
        elif line["part"] == GOES:
            lines.append({**line, "held": 0})
    stays = [line for line in counted["lines"] if line["part"] == STAYS]
    if stays:
        kept = Line(
            "",
            Disposition.RETAIN.value,
            "",
            "",
            sum(x["items"] for x in stays),
            0,
            stays[0]["custodian"],
            None,
            None,
            0,
        )
        lines.append(_told(kept))
    totals = dict(counted["totals"])
    if hidden := totals.pop(Disposition.HOLD.past, 0):
        totals[Disposition.RETAIN.past] = totals.get(Disposition.RETAIN.past, 0) + hidden
    findings = [f for f in counted["findings"] if f["code"] != HELD]
    return {**counted, "lines": lines, "totals": totals, "findings": findings}


def made(
    catalogue: Catalogue, order: Order, judged: Iterable[Judged], unverified: Mapping[str, str], as_of: date
) -> Preview:  # fmt: skip
    """A preview of what the stores said."""
    fates = [
        (j, fate(catalogue, catalogue.dataset(j.dataset), j, order.t0, ends=order.scope == COMPANY))
        for j in judged
    ]
    lines = tuple(_lines(order, fates))
    return Preview(
        order.number, as_of, order.t0, lines, tuple(_recipients(catalogue, order)),
        tuple(_findings(order, fates, lines)), dict(unverified),
    )  # fmt: skip


def _lines(order: Order, fates: Iterable[tuple[Judged, Fate]]) -> Iterator[Line]:
    groups: dict[tuple[str, Disposition, str, str], list[tuple[Judged, Fate]]] = {}
    for it in fates:
        judged, what = it
        groups.setdefault((judged.dataset, what.disposition, what.rule, what.law), []).append(it)
    for (dataset, disposition, rule, law), of in sorted(groups.items()):
        untils = [f.until for _, f in of if f.until is not None]
        yield Line(
            dataset, disposition.value, rule, law, sum(j.items for j, _ in of), sum(j.items for j, _ in of if j.held),
            _custodian(order, disposition), min(untils, default=None), max(untils, default=None),
            sum(j.items for j, f in of if f.waits),
        )  # fmt: skip


def _custodian(order: Order, disposition: Disposition) -> str | None:
    """Who has it afterwards; None: nobody, for it is gone."""
    if disposition is Disposition.TRANSFER:
        return order.successor or NOBODY
    return (order.custodian or NOBODY) if disposition in _PART else None


def to_tell(catalogue: Catalogue, order: Order) -> Iterator[tuple[Recipient, tuple[CategoryId, ...]]]:
    """Whom the end is told: who is given a category of what it is about (policy 11.2), and which."""
    about = {c for d in order.datasets(catalogue) for c in d.all_categories}
    for r in catalogue.recipients:
        if mine := tuple(c for c in r.categories if c in about):
            yield r, mine


def _recipients(catalogue: Catalogue, order: Order) -> Iterator[dict[str, str]]:
    for r, _ in to_tell(catalogue, order):
        yield {"id": r.id, "name": r.name, "role": r.role.value, "channel": r.channel, "notice": r.notice}


def _findings(order: Order, fates: Iterable[tuple[Judged, Fate]], lines: Sequence[Line]) -> Iterator[Finding]:
    odd: Counter[tuple[str, str]] = Counter()
    for judged, found in fates:
        if found.odd:
            odd[judged.dataset, found.odd] += judged.items
    for (dataset, why), items in sorted(odd.items()):
        yield Finding(
            code="decide", dataset=dataset, place=dataset, items=items, what=why, next_step="let a person decide before T0"
        )  # fmt: skip
    for part, who, what in (
        (MOVES, order.successor, "nobody is named who takes it over"),
        (STAYS, order.custodian, "nobody is named who keeps it"),
    ):
        items = sum(line.items for line in lines if line.part == part)
        if items and who is None:
            yield Finding(
                code="no_custodian", dataset="", place=order.number, items=items, what=what,
                next_step="name somebody (`quietus shutdown successor`, `custodian`)",
            )  # fmt: skip

    if held := sum(line.held for line in lines if line.part == MOVES):
        yield Finding(
            code=HELD, dataset="", place=order.number, items=held,
            what="go to the successor under a hold that goes along, and stay here, too, for as long as it is open here",
            next_step="have whoever ordered it order it of the successor, and release it here by that document",
        )  # fmt: skip


def _told(line: Line) -> dict[str, Any]:
    days = {k: v.isoformat() if v else None for k, v in (("first", line.first), ("last", line.last))}
    return {**asdict(line), **days, "part": line.part}
