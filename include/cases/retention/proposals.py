"""Periods of the company's own: somebody must own and have approved each before it is used in earnest."""

from __future__ import annotations

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import Refused

SANDBOX = "sandbox"  # a plain connection that only a sandbox declares


def unowned(catalogue: Catalogue) -> tuple[str, ...]:
    """``RS-nn/period`` of each bound company period without an owner or a day of approval."""
    bound = {(b.rule, b.period) for d in catalogue.datasets for b in d.all_binds}
    return tuple(
        f"{rule.id}/{p.name}"
        for rule in catalogue.rules
        for p in rule.periods
        if p.proposal and not (p.proposal.owner and p.proposal.approved_on) and (rule.id, p.name) in bound
    )


def in_sandbox(connections: Connections) -> bool:
    """Whether these connections say that they are a sandbox's. Silence means no."""
    try:
        return bool(connections.text(SANDBOX))
    except Refused:
        return False


def in_earnest(catalogue: Catalogue, connections: Connections) -> None:
    """Raises Refused if a company period that nobody owns would decide about real people."""
    missing = unowned(catalogue)
    if missing and not in_sandbox(connections):
        raise Refused(
            f"{len(missing)} company periods have no owner or no day of approval: {', '.join(missing)}",
            about=f"catalogue {catalogue.name}",
            next_step="give each `proposal` its `owner` and `approved_on`; without them they hold in a sandbox only",
        )
