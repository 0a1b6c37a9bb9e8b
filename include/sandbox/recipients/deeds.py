"""What a body does with what it was asked, and answers: for what it was really given, by its stance."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from include.sandbox.recipients.bodies import Keeps, Stance
from include.sandbox.recipients.world import Behaviour

METHOD = "从生产库、索引、缓存和模型样本库中物理删除，备份按周期覆盖"
DOCKET = "(2026)京01民初1号"
_BY_REF = "SELECT ref, mark, categories, given_on FROM record WHERE body = ? AND ref = ?"
_ALL = "SELECT ref, mark, categories, given_on FROM record WHERE body = ?"
_BY_VALUE = "SELECT ref, mark, categories, given_on FROM record WHERE body = ? AND value = ?"
Part = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a body was asked. No ``erase``: everything that it has of them, but what it is to ``preserve``."""

    refs: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    erase: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()
    instruction: str = "erase"
    everybody: bool = False  # its sender's service stopped: it is about all that it has from there

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Asked:
        said = json.loads(text)
        refs, values, erase, preserve = (tuple(said[k]) for k in ("refs", "values", "erase", "preserve"))
        return cls(refs, values, erase, preserve, said["instruction"], said.get("everybody", False))


@dataclass
class Held:
    """One record that is meant. ``mine``: the categories in it that the notice is about."""

    ref: str
    mark: bytes
    categories: set[str]
    given_on: date
    mine: set[str]


def answer(db: sqlite3.Connection, how: Behaviour, asked: Asked, today: date) -> list[Part]:
    """Do it, in the caller's transaction; the answer, a part for each code."""
    body = how.body
    held = [
        Held(ref, mark, set(json.loads(said)), date.fromisoformat(given), set())
        for ref, mark, said, given in _meant(db, body.id, asked)
    ]
    wanted, preserve = set(asked.erase), set(asked.preserve)
    everything = not wanted and asked.instruction != "preserve"
    for one in held:
        one.mine = (one.categories if everything else one.categories & wanted) - preserve
    if how.stance is Stance.STRANGER:
        return [_part("REJECTED_IDENTITY", asked.erase)]
    has = {c for one in held for c in one.categories}
    parts: list[Part] = []
    if preserve & has:
        parts.append(_part("HELD_DISPUTE", sorted(preserve & has), dispute="依贵方保全通知"))
    if (wanted | preserve) - has or not has:
        parts.append(_passed_on(how, _part("NOTHING_HELD", sorted((wanted | preserve) - has))))
    if any(one.mine for one in held):
        parts += _done(db, how, held, today)
    return parts


def _meant(db: sqlite3.Connection, body: str, asked: Asked) -> list[tuple[str, bytes, str, str]]:
    found = {row[0]: row for row in db.execute(_ALL, (body,))} if asked.everybody else {}
    for query, said in ((_BY_REF, asked.refs), (_BY_VALUE, asked.values)):
        for one in said:
            found.update({row[0]: row for row in db.execute(query, (body, one))})
    return [found[ref] for ref in sorted(found)]


def _done(db: sqlite3.Connection, how: Behaviour, held: list[Held], today: date) -> Iterator[Part]:
    body = how.body
    mine = sorted({c for one in held for c in one.mine})
    match how.stance:
        case Stance.ERASING:
            yield _passed_on(how, _deleted(db, body.id, held))
        case Stance.BARE:
            _deleted(db, body.id, held)
            yield _part("DELETED", mine)
        case Stance.LYING:
            yield _said_deleted([one for one in held if one.mine])
        case Stance.RETAINING:
            yield from _retained(db, body.id, body.keeps, held, today)
        case Stance.LAWLESS:
            yield _part("RETAINED_BY_LAW", mine)
        case Stance.INDEPENDENT:
            yield _part("RETAINED_INDEPENDENT", mine, authorisation=body.mandate)
        case Stance.CHAIN:
            yield _part("CANNOT_ERASE_IMMUTABLE", mine)
        case Stance.DISPUTING:
            yield _part("HELD_DISPUTE", mine, dispute=DOCKET)
        case Stance.PARTIAL:
            later = set(mine[: max(1, len(mine) // 2)])
            for one in held:
                one.mine -= later
            if any(one.mine for one in held):
                yield _deleted(db, body.id, held)
            yield _part("PARTIAL", sorted(later), remains="离线归档中的副本，将于下次归档轮换时删除")
        case Stance.INCOMPLETE:
            yield _passed_on(how, _deleted(db, body.id, held) | {"code": "INCOMPLETE", "complete": False})
        case Stance.WORDLESS:
            _deleted(db, body.id, held)


def _passed_on(how: Behaviour, part: Part) -> Part:
    """With whom it passed the data on to, if it did; that these are all is what an incomplete one cannot say."""
    if not how.body.partners:
        return part
    return part | {"sub_recipients": list(how.body.partners), "complete": how.stance is not Stance.INCOMPLETE}


def _retained(
    db: sqlite3.Connection, body: str, keeps: Keeps, held: list[Held], today: date
) -> Iterator[Part]:
    """What a law keeps stays until the last of its dates; what it does not keep, or no longer, goes."""
    by_law: set[str] = set()
    last = today
    for one in held:
        until = months_after(one.given_on, keeps.months)
        stays = one.mine & set(keeps.categories) if keeps.categories else set(one.mine)
        if stays and until > today:
            by_law |= stays
            last = max(last, until)
            one.mine -= stays
    for one in held:
        one.mine -= by_law  # what it says of a category is true of all that it has of it
    if any(one.mine for one in held):
        yield _deleted(db, body, held)
    if by_law:
        yield _part("RETAINED_BY_LAW", sorted(by_law), article=keeps.article, until=last.isoformat())


def _deleted(db: sqlite3.Connection, body: str, held: list[Held]) -> Part:
    touched = [one for one in held if one.mine]
    for one in touched:
        left = one.categories - one.mine
        if left:
            db.execute(
                "UPDATE record SET categories = ? WHERE body = ? AND ref = ?",
                (json.dumps(sorted(left)), body, one.ref),
            )
            continue
        db.execute("DELETE FROM record WHERE body = ? AND ref = ?", (body, one.ref))
        db.execute(
            "INSERT INTO forgotten VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET records = records + 1",
            (one.mark, body),
        )
    return _said_deleted(touched)


def _said_deleted(touched: list[Held]) -> Part:
    return _part(
        "DELETED", sorted({c for one in touched for c in one.mine}), count=len(touched),
        at=datetime.now(UTC).isoformat(timespec="seconds"), method=METHOD, transactions=[one.ref for one in touched],
    )  # fmt: skip


def _part(code: str, categories: Any, **evidence: Any) -> Part:
    return {"code": code, "categories": list(categories), **evidence}


def months_after(day: date, months: int) -> date:
    """The same day so many months on, or the last of that month."""
    years, month = divmod(day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(day.year + years, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("a month has 28 days")
