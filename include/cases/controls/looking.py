"""The proofs of the house, asked about the made-up person as they are asked about any other after a disposal.

A step is opened for the person in every store, surveyed and weighed before anything is planted: the stores hold nothing of
the person, so the plan has nothing to do, and after it nothing may be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from include.cases import planner, residue
from include.cases.rooms import Desk
from include.model.errors import Refused
from include.model.flow import Evidence, Line, Located, Plan, Step
from include.model.words import DatasetKind, Ground, StoreKind
from include.proofs.residue.files import Unread
from include.proofs.residue.scan import Residue
from include.proofs.values import Values

NOBODYS_CASE = "CASE-000000"
"""The number of a case that is nobody's: real ones begin with 1."""
FILES, LOG = "files", "log"
"""With the store's connection: the plain connections that name its data directory (`company_files`) and the file or
directory of its server's log (`company_log`)."""


@dataclass(frozen=True)
class InFiles:
    """What the residue scan saw of one store's files; or why there are none that it may read, or no log among them."""

    residue: Residue | None
    unread: tuple[Unread, ...] = ()
    why: str = ""
    no_log: str = ""


@dataclass(frozen=True)
class Looked:
    """What all proofs said, and of which values in which order the residue scan speaks."""

    evidence: tuple[Evidence, ...]
    files: Mapping[str, InFiles]
    numbers: Mapping[int, str]


def open_step(desk: Desk, step_id: str, subject: str, as_of: date) -> tuple[Step, Plan]:
    """A step about the made-up person in every store, with its plan. Raises NotReachable."""
    step = Step(id=step_id, case_no=NOBODYS_CASE, as_of=as_of, restricting=True, subjects=(subject,))
    provided = planner.provide(desk.catalogue, Ground.CANCELLATION, as_of, case_no=NOBODYS_CASE, tokens=("",))
    located: list[Located] = []
    lines: list[Line] = []
    for store in desk.stores():
        store.open(step)
        located += store.survey(step).located
        lines += store.weigh(step, provided.of_store(desk.catalogue, store.id))
    if any(x.items for x in located):
        raise Refused(
            "the stores hold something of a person whom the dice made up", about=step_id,
            next_step="audit again, with other dice; if it happens twice, see what the survey matches",
        )  # fmt: skip
    plan = Plan(
        step=step.id, case_no=step.case_no, as_of=as_of, catalogue=desk.catalogue.digest, code=desk.code,
        located=tuple(located), lines=tuple(lines),
    )  # fmt: skip
    return step, plan


def close_step(desk: Desk, step_id: str, subject: str, as_of: date) -> None:
    """Remove the step's areas, if they are there."""
    step = Step(id=step_id, case_no=NOBODYS_CASE, as_of=as_of, restricting=True, subjects=(subject,))
    for store in desk.stores():
        store.close(step)


def look(desk: Desk, step: Step, plan: Plan, values: Sequence[str]) -> Looked:
    """Ask the proofs that look for what should not be there. Raises NotReachable."""
    from include import proofs

    sought = Values(frozenset(values))
    evidence = (
        *proofs.dragnet(desk.catalogue, desk.connections, step, plan, sought),
        *proofs.objects_gone(desk.catalogue, desk.connections, step, plan),
    )
    numbers = dict(enumerate(sorted(values)))
    files = {
        store.id: _in_files(desk, store.id, store.connection, numbers)
        for store in desk.catalogue.stores
        if store.kind is StoreKind.POSTGRES and desk.catalogue.of_store(store.id, DatasetKind.TABLE)
    }
    return Looked(evidence, files, numbers)


def _in_files(desk: Desk, store: str, connection: str, numbers: Mapping[int, str]) -> InFiles:
    directory, why = _path(desk, f"{connection}_{FILES}")
    log, no_log = _path(desk, f"{connection}_{LOG}")
    if directory is None:
        return InFiles(None, why=why, no_log=no_log)
    sought = {n: Values(frozenset((value,))) for n, value in numbers.items()}
    found, unread = residue.scanned(desk, sought, [directory, *([log] if log else ())], store)
    return InFiles(found, tuple(unread), no_log=no_log)


def _path(desk: Desk, name: str) -> tuple[Path | None, str]:
    """Where a plain connection leads; or why it leads nowhere."""
    try:
        return Path(desk.connections.text(name)), ""
    except Refused:
        return None, f"no connection {name} says where it is"
