"""What must be right about a rule and its periods before anything goes by them: the linter says it, and a night refuses it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from include.model.catalogue import Catalogue
from include.model.policy import Period
from include.model.times import Counting

DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
LAWLESS = ("it rests on no law", "cite what it rests on, with its rank")
"""Of a rule: what is wrong, and what to do."""


def faults(period: Period) -> Iterator[tuple[str, str]]:
    """What a period is not as it must be, and what to do: it names a time that can be counted, and a law that bears it."""
    parts = DURATION.fullmatch(period.duration)
    said = [i for i, n in enumerate(parts.groups()) if n is not None] if parts else []
    if not said:
        yield f"'{period.duration}' names no time", "write it like P5Y, P6M, P15D or PT24H"
    if period.counting is Counting.PRC_WORKING_DAYS and set(said) - {2, 3}:
        yield f"'{period.duration}' cannot be counted in working days", "use days, as P15D"
    if period.counting is Counting.PRC_WORKING_DAYS and period.restrains_deletion:
        # A year that is not announced yet is counted at its earliest: right for a deadline, too soon for what must stay.
        yield (
            "a floor forbids deleting for a number of working days, and they are counted at the earliest they could be",
            "write it in calendar days, as many as it may last at most",
        )
    if period.counting is Counting.FISCAL_YEARS and set(said) - {0, 1}:
        yield f"'{period.duration}' cannot be counted in fiscal years", "use years, as P10Y"
    if period.proposal and bool(period.proposal.owner) != bool(period.proposal.approved_on):
        yield "a company period has an owner and a day of approval, or neither yet", "give both"
    if not period.basis:
        yield "the period rests on no law", "cite what it rests on, with its rank"
    elif period.kind != "ceiling" and not period.proposal and not period.restrains_deletion:
        yield (
            "a floor that no statute sets restrains nothing (PIPL 47 para. 2)",
            "cite the law, make it a ceiling, or mark it as a proposal",
        )


def wrong(catalogue: Catalogue) -> Iterator[str]:
    """What is wrong with the rules that some data is bound to, each named as ``RS-nn`` or ``RS-nn/period``."""
    bound = {(b.rule, b.period) for d in catalogue.datasets for b in d.every_bind}
    for rule in catalogue.rules:
        if not rule.basis and any(r == rule.id for r, _ in bound):
            yield f"{rule.id}: {LAWLESS[0]}; {LAWLESS[1]}"
        for period in rule.periods:
            if (rule.id, period.name) in bound:
                yield from (f"{rule.id}/{period.name}: {what}; {do}" for what, do in faults(period))
