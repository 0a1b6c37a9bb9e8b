"""A question that a prover puts to a store, and what its answer means.

A question counts something and says what the count must be. It is data: the suite of expectations is made from
it, and so is the :class:`Check` that its answer becomes. Its SQL is one ``SELECT`` of one number over names of
the schema and of the step area; it holds no value of any person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.flow import Check, Evidence, Plan, Step
from include.model.times import observed_now
from include.model.words import CopyKind, Rung, Verdict
from include.proofs.names import unknown


@dataclass(frozen=True)
class Question:
    """What is counted, what the count must be, and what it means if it is not.

    ``source``: the rows that are counted, as a SELECT whose columns do not matter. ``parts``: names of common
    table expressions that it reads, see :class:`Questionnaire`. ``at_most``: fewer are right, too.
    """

    name: str
    dataset: str | None
    rung: Rung
    expected: int
    source: sql.Composable
    otherwise: str
    parts: tuple[str, ...] = ()
    copy_kind: CopyKind = CopyKind.LIVE
    at_most: bool = False

    @property
    def id(self) -> str:
        """Name and copy: unique within a suite."""
        return f"{self.name}@{self.copy_kind.value}"

    def check(self, observed: int) -> Check:
        """The check for an answer."""
        right = observed <= self.expected if self.at_most else observed == self.expected
        return Check(
            name=self.name,
            dataset=self.dataset,
            copy_kind=self.copy_kind,
            rung=self.rung,
            verdict=Verdict.PASSED if right else Verdict.FAILED,
            expected=self.expected,
            observed=observed,
            why="" if right else self.otherwise,
        )

    def unanswered(self, why: str) -> Check:
        """The check of a question that could not be answered: never a zero."""
        return Check(
            name=self.name,
            dataset=self.dataset,
            copy_kind=self.copy_kind,
            rung=self.rung,
            verdict=Verdict.UNVERIFIED,
            expected=self.expected,
            why=why,
        )


@dataclass(frozen=True)
class Part:
    """A common table expression that several questions read, and those that it reads itself."""

    name: str
    body: sql.Composable
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Questionnaire:
    """All questions of one kind to one store, answered together over one snapshot.

    ``parts`` are in an order in which each reads only earlier ones.
    """

    kind: str
    store: str
    questions: tuple[Question, ...]
    parts: tuple[Part, ...] = ()

    def only(self, questions: Sequence[Question]) -> Questionnaire:
        """The same with some of its questions."""
        return Questionnaire(self.kind, self.store, tuple(questions), self.parts)

    def statement(self) -> str:
        """One SELECT: a row (``name``, ``observed``) per question, whatever their number."""
        needed = self._needed()
        counts = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}::text AS name, count(*) AS observed FROM ({}) AS q").format(
                sql.Literal(q.id), q.source
            )
            for q in self.questions
        )
        with_: sql.Composable = sql.SQL("")
        if needed:
            # Materialised: each dataset's rows are looked for once, however many questions read them.
            with_ = sql.SQL("WITH {} ").format(
                sql.SQL(", ").join(
                    sql.SQL("{} AS MATERIALIZED ({})").format(sql.Identifier(p.name), p.body)
                    for p in self.parts
                    if p.name in needed
                )
            )
        return sql.SQL("SELECT a.name, a.observed FROM ({}{}) AS a").format(with_, counts).as_string(None)

    def _needed(self) -> set[str]:
        found = {name for q in self.questions for name in q.parts}
        for part in reversed(self.parts):
            if part.name in found:
                found.update(part.parts)
        return found


def evidence(
    kind: str, step: Step, plan: Plan | None, store: str | None, checks: Sequence[Check]
) -> Evidence:
    """What one look at one store gave, as it goes into the ledger. Every check's name is a declared one."""
    if strange := unknown(kind, checks):
        raise AssertionError(f"no such check is declared in proofs/names.py: {kind} {strange}")
    return Evidence(
        kind=kind,
        step=step.id,
        case_no=step.case_no,
        store=store,
        as_of=step.as_of,
        observed_at=observed_now(),
        plan=plan.fingerprint() if plan else None,
        checks=tuple(checks),
    )
