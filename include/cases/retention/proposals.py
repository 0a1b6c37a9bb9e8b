"""What a rule must have before it disposes of anything: a law that bears it; and of a period of the company's own, in earnest,
somebody who owns and approved it."""

from __future__ import annotations

from include.catalogue.periods import wrong
from include.model.catalogue import Catalogue
from include.model.doors import Connections, in_sandbox
from include.model.errors import Refused


def unowned(catalogue: Catalogue) -> tuple[str, ...]:
    """``RS-nn/period`` of each bound company period without an owner or a day of approval."""
    bound = {(b.rule, b.period) for d in catalogue.datasets for b in d.every_bind}
    return tuple(
        f"{rule.id}/{p.name}"
        for rule in catalogue.rules
        for p in rule.periods
        if p.proposal and not (p.proposal.owner and p.proposal.approved_on) and (rule.id, p.name) in bound
    )


def in_earnest(catalogue: Catalogue, connections: Connections) -> None:
    """Raises Refused if a company period that nobody owns would decide about real people."""
    missing = unowned(catalogue)
    if missing and not in_sandbox(connections):
        raise Refused(
            f"{len(missing)} company periods have no owner or no day of approval: {', '.join(missing)}",
            about=f"catalogue {catalogue.name}",
            next_step="give each `proposal` its `owner` and `approved_on`; without them they hold in a sandbox only",
        )


def lawful(catalogue: Catalogue) -> None:
    """Raises Refused if a rule that data is bound to rests on no law, or is otherwise what `catalogue lint` refuses: nothing goes
    by it, nor by the rest of that catalogue."""
    if faults := list(wrong(catalogue)):
        raise Refused(
            f"nothing is disposed of by it: {'. '.join(faults)}", about=f"catalogue {catalogue.name}",
            next_step="mend the rules in `retention.yaml` and run `quietus catalogue lint`, then run the night again",
        )  # fmt: skip
