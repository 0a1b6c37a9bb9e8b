"""The state machine of law.md section E: decisions as pure functions over ``guards`` and ``transitions``.

No I/O and no clock: the caller gathers :class:`Facts`, asks :func:`move`, and stores the answer.

Two machines share the table. *Units* (subject x category x dataset x copy; a backup set and a recipient are
copies too) carry the deletion itself. A *case* is rolled up from its units, so its own edges only ask
whether the units allow it.
"""

from __future__ import annotations

from include.cases.guards import Facts
from include.cases.transitions import TABLE, State, Transition
from include.model.errors import Refused
from include.model.words import CaseState

C = CaseState


def find(source: State | None, target: State) -> Transition:
    """The transition between two states. Raises Refused if there is none."""
    for t in TABLE:
        if _same(t.source, source) and _same(t.target, target):
            return t
    here = source.value if source is not None else "nothing"
    raise Refused(
        f"there is no way from {here} to {target.value}",
        about="state machine",
        next_step="see the allowed transitions in docs/cases.md",
    )


def move(source: State | None, target: State, facts: Facts, *, about: str = "") -> Transition:
    """The transition, if every guard holds. Raises Refused with the first guard that does not."""
    transition = find(source, target)
    for guard in transition.guards:
        if not guard.holds(facts):
            raise Refused(guard.otherwise, about=about or target.value, next_step=guard.next_step)
    return transition


def may(source: State | None, target: State, facts: Facts) -> bool:
    try:
        move(source, target, facts)
    except Refused:
        return False
    return True


def roll_up(state: CaseState, facts: Facts) -> CaseState:
    """Where the units put an acting, held or waiting case: the furthest state whose guards hold.

    CLOSED is never rolled up to: closing is an act of its own, with a certificate.
    """
    if state not in (C.ACTING, C.HELD, C.WAITING):
        return state
    base = C.ACTING
    for target in (C.HELD, C.WAITING):
        if may(base, target, facts):
            return target
    return base


def path(state: CaseState, target: CaseState) -> tuple[CaseState, ...]:
    """The steps from one rolled-up state to another: directly if there is an edge, else through ACTING."""
    if state is target:
        return ()
    if any(_same(t.source, state) and _same(t.target, target) for t in TABLE):
        return (target,)
    return (C.ACTING, target)


def _same(a: State | None, b: State | None) -> bool:
    # StrEnum members of different enums compare equal as strings ("held"): the kind must match too.
    return a is b
