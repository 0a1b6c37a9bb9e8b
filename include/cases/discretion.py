"""What is told to those who may not know of a confidential hold (policy 11.4(4), clause 123): everybody but auditors.

Not a gap, which would tell as much: what such a hold keeps is told as kept, stored and not used, until it has been
reviewed. Airflow, which shows what it stores to whoever logs in, is told no more than that either: so no refusal of a
verb speaks of holds, of whatever kind, for silence about some would tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.cases.book import Case, Conn
from include.model.flow import Line, Plan
from include.model.notices import Instruction
from include.model.words import CaseState, Disposition

LAW = "PIPL 47"  # kept means: stored, protected, and not used
WAITS_FOR = "复核 a review"
OF_HOLDS = frozenset({"hold_opened", "hold_released"})
TOLD, CHANGED = "told", "changed"
_NUMBER = re.compile(r"HOLD-\d{6,}")
_PARTS = re.compile(r"; (?=HOLD-\d)")  # a law may have a semicolon of its own


@dataclass(frozen=True)
class Discretion:
    """How a case is told to somebody. ``hidden``: the holds, open or released, of which they may not know."""

    everything: bool
    hidden: frozenset[str] = frozenset()

    def plan(self, plan: Plan) -> Plan:
        """The plan as it may be read. Its fingerprint need not be that of the plan in the book."""
        return plan.model_copy(update={"lines": tuple(map(self._line, plan.lines))})

    def _line(self, line: Line) -> Line:
        if line.hold not in self.hidden and line.kept_for not in self.hidden:
            return line
        if not line.only_for_a_hold:
            return line.model_copy(update={"kept_for": None})  # it would stay all the same
        kept = {
            "disposition": Disposition.RETAIN,
            "hold": None,
            "kept_for": None,
            "until": None,
            "law": LAW,
            "waits_for": WAITS_FOR,
        }
        return line.model_copy(update=kept)

    def case(self, case: Case) -> Case:
        """The case as it may be read: parked for the holds that may be named, or waiting like any other."""
        if not self._mentioned(case.parked_because):
            return case
        named = self._because(case.parked_because or "")
        return replace(case, parked_because=named, state=case.state if named else CaseState.WAITING)

    def notices(self, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """What recipients were told. Who may not know everything is told that it changed, and not to what: whether
        something is to be kept there, and why a notice was written anew, is as telling as the hold."""
        if self.everything:
            return list(rows)
        return [
            {
                **row, "preserve": [],
                "instruction": TOLD if row["instruction"] == Instruction.PRESERVE.value else row["instruction"],
                "because": CHANGED if row["because"] in OF_HOLDS else row["because"],
            }
            for row in rows
        ]  # fmt: skip

    def looked_for(self, states: Collection[CaseState]) -> tuple[CaseState, ...]:
        """Where to look for cases that may be told to be in these states: one parked in silence waits."""
        silent = not self.everything and CaseState.WAITING in states
        return tuple({*states, CaseState.HELD} if silent else states)

    def timeline(self, events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """What happened. Who may not know everything is told no details, which count and name holds, of any case:
        were they missing in one, that would say why."""
        told = list(events)
        if self.everything:
            return told
        said = [str((e["detail"] or {}).get("because") or "") for e in told if e["what"] == "parked"]
        waited = any(self._mentioned(because) and not self._because(because) for because in said)
        return [e for e in (self._event(e, waited=waited) for e in told) if e is not None]

    def _event(self, event: Mapping[str, Any], *, waited: bool) -> Mapping[str, Any] | None:
        detail = event["detail"] or {}
        because = str(detail.get("because") or "")
        if detail.get("hold") in self.hidden or (self._mentioned(because) and not self._because(because)):
            return None
        moved = event["from_state"], event["to_state"]
        if waited and CaseState.HELD in moved:
            moved = tuple(CaseState.WAITING.value if s == CaseState.HELD else s for s in moved)  # type: ignore[assignment]
            if moved[0] == moved[1]:
                return None
        return {**event, "detail": {}, "from_state": moved[0], "to_state": moved[1]}

    def _because(self, because: str) -> str | None:
        """Why a case is parked, without the hidden holds; None if nothing is left of it."""
        head, _, tail = because.partition(": ")
        named = [part for part in _PARTS.split(tail) if not self._mentioned(part)]
        return f"{head}: {'; '.join(named)}" if named else None

    def _mentioned(self, text: str | None) -> bool:
        return not self.hidden.isdisjoint(_NUMBER.findall(text or ""))


EVERYTHING = Discretion(True)


def state_told(conn: Conn, case: Case) -> CaseState:
    """The state of a case as a message may name it."""
    return discretion(conn).case(case).state


def discretion(conn: Conn) -> Discretion:
    """For whoever may not know: every confidential hold, also one that was released, is hidden."""
    rows = conn.execute("SELECT hold FROM casebook.hold WHERE confidential").fetchall()
    return Discretion(False, frozenset(str(r["hold"]) for r in rows))
