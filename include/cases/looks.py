"""What was proved about a case, by the ledger's own word, and what is missing before a certificate may say so.

The offline verifier judges a certificate by the same looks in the same way (``include.ledger.verify``), so nothing
is certified here that it would refuse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from include.cases import papers
from include.cases.book import Case, Conn
from include.cases.controls.doubt import Doubt, doubted, doubts
from include.cases.papers import StepDone
from include.ledger import certificate, log, verify
from include.ledger.verify import Look
from include.model.catalogue import Catalogue
from include.model.errors import NotProved
from include.model.estate import Dataset
from include.model.flow import Line
from include.model.words import Disposition, Rung, Verdict


@dataclass(frozen=True)
class Seen:
    """What the looks of a step say about the items of one line, and the ledger entries that say it."""

    indexes: tuple[int, ...]
    checks: tuple[tuple[Rung, Verdict], ...]
    blind: tuple[tuple[Rung, str], ...]  # rungs that could not be looked at, and why

    def without(self, rung: Rung, why: str) -> Seen:
        """The same, but for a rung that is not to be claimed yet, and why."""
        left = tuple(x for x in self.checks if x[0] is not rung)
        return Seen(self.indexes, left, self.blind if left == self.checks else (*self.blind, (rung, why)))

    def reached(self, required: Rung) -> Rung | None:
        """The highest rung proved with everything looked at below it; the required one must be among them."""
        rungs = {rung for rung, _ in self.checks}
        passed = {r for r in rungs if all(v is Verdict.PASSED for rung, v in self.checks if rung is r)}
        solid = {r for r in passed if not any(failed < r for failed in rungs - passed)}
        if required in solid:
            return max(solid)
        return max((r for r in solid if r < required), default=None)

    def unverified(self, reached: Rung | None, required: Rung) -> Iterator[certificate.UnverifiedRung]:
        """The rungs above that were tried and could not be looked at, or that nobody tried, and why."""
        told: set[Rung] = set()
        for rung, why in sorted(self.blind):
            if (reached is None or rung > reached) and rung not in told:
                told.add(rung)
                yield certificate.UnverifiedRung(rung=rung, why=why or "no reason given")
        if (reached is None or reached < required) and required not in told:
            yield certificate.UnverifiedRung(rung=required, why="no check of it was made")


@dataclass(frozen=True)
class Proofs:
    """All evidence of a case that is in the ledger, the look of each kind, step and store that counts, and the days on
    which a proof was seen to be blind."""

    indexes: tuple[int, ...]
    latest: dict[tuple[str, str, str | None], Look]
    doubts: tuple[Doubt, ...] = ()

    @classmethod
    def of(cls, conn: Conn, case: Case, reader: log.Conn) -> Proofs:
        """Raises NotProved if something that the book knows of is not in the ledger yet, or not whole."""
        kept = papers.evidence(conn, case.case_no)
        there = log.indexes_of_keys(reader, [k for keys, _ in kept for k in keys])
        missing = sorted({e.kind for keys, e in kept for k in keys if k not in there})
        if missing:
            raise NotProved(
                f"evidence is not in the ledger yet: {', '.join(missing)}", about=case.case_no,
                next_step="wait for the sequencer, then try again",
            )  # fmt: skip
        entries = {
            e.index: json.loads(e.leaf)
            for e in log.entries_of_case(reader, case.case_no)
            if e.kind == "evidence"
        }
        problems: list[str] = []
        latest = verify.latest(verify.looks(entries, case.case_no, problems))
        if problems:
            raise NotProved(problems[0], about=case.case_no, next_step="audit the ledger: entries are gone")
        return cls(tuple(sorted(entries)), latest, doubts(conn))

    def demand(self, case: Case, catalogue: Catalogue, done: Sequence[StepDone]) -> None:
        """Raises NotProved naming the first proof that is due and missing, outdated, or not passed.

        What a verifier cannot know is asked for here: a baseline must be of the plan in force, or of the one
        that the store's own receipt says it was begun with.
        """
        steps = [steps_of(step, catalogue) for step in done]
        problems = [
            *verify.evidence_missing(
                [s.model_dump(mode="json") for s in steps], self.latest, case.ground.value
            )
        ]
        for step, said in zip(done, steps, strict=True):
            for store in said.stores:
                look = self.latest.get(("baseline", step.row.step_id, store))
                begun = {r.plan for r in step.receipts if r.store == store}
                if look is not None and look.plan not in {said.plans[-1], *begun}:
                    problems.append(f"{look} is of another plan than the one carried out")
        problems += [what for look in self.latest.values() for what in verify.shortcomings(look)]
        for look in self.latest.values():
            if doubt := doubted(self.doubts, look.kind, look.store, look.at):
                problems.append(f"{look} must be made again: {doubt}")
        if problems:
            raise NotProved(
                problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""),
                about=case.case_no, next_step="run the proof again, and have it pass, before certifying",
            )  # fmt: skip

    def key_lasts(
        self,
        dataset: Dataset,
        catalogue: Catalogue,
        done: Sequence[StepDone],
        copies: Sequence[certificate.Copy],
    ) -> str | None:
        """Why the key of a sealed dataset is not destroyed yet, though no row of the live database opens anything: its own
        row must be gone from the files (R4), and from the backups of every store but the objects' own. None if it is."""
        assert dataset.sealed_by is not None  # noqa: S101 (asked of sealed datasets)
        keys = catalogue.dataset(dataset.sealed_by.dataset)
        gone = [
            self.about(step.row.step_id, line, keys.store).reached(Rung.R4)
            for step in done
            for line in step.plan.lines_of(keys.id)
            if line.disposition is Disposition.ERASE and line.items
        ]
        least = min((r for r in gone if r is not None), default=None)
        if least is None or None in gone:
            return "the row of its key is not proved gone"
        if least < Rung.R4:
            return f"the row of its key is proved gone to {least.name} only: files of the database may still have it"
        for copy in copies:
            if copy.gone_on is None and copy.store != dataset.store:
                return f"backup set {copy.backup_set} may still have the row of its key, wrapped"
        return None

    def about(self, step: str, line: Line, store: str) -> Seen:
        """What is known of one line's items: what stays by what speaks of staying, what went by the rest."""
        group: dict[str, Any] = line.model_dump(mode="json") | {"step": step}
        said = verify.seen_of(group, self.latest)
        blind = [(Rung(c["rung"]), c["why"]) for c in self._unverified(group)]
        # A server that refuses nobody anything is said of the store as a whole.
        if not line.disposition.changes_data:
            look = self.latest.get(("restricted", step, store))
            blind += [
                (Rung(c["rung"]), c["why"])
                for c in (look.checks if look else ())
                if c["dataset"] is None and c["name"] == f"enforced.{store}" and c["verdict"] == "unverified"
            ]
        return Seen(
            tuple(sorted({index for index, _, _ in said})),
            tuple((Rung(rung), Verdict(verdict)) for _, rung, verdict in said),
            tuple(blind),
        )

    def _unverified(self, group: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for look in self.latest.values():
            for check in look.checks:
                spoken = check["verdict"] == "unverified" and verify.speaks_of(group, look, check)
                if spoken and not verify.looked_at_since(look, check, self.latest):
                    yield check


def steps_of(done: StepDone, catalogue: Catalogue) -> certificate.StepDone:
    """A step as the certificate names it: its plans, and the stores that it is about."""
    return certificate.StepDone(
        step=done.row.step_id,
        plans=tuple(p.fingerprint() for p in done.plans),
        restricting=done.row.restricting,
        stores=tuple(sorted({catalogue.dataset(x.dataset).store for x in done.plan.located})),
    )
