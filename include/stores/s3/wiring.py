"""What the assembling room hands to the store, so that no store imports another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from include.model.carried import Came
from include.model.estate import Dataset
from include.model.flow import Floor, Step

# (subject_no, {template variable or record field: value}, whether somebody outside the cohort owns it too)
Key = tuple[int, Mapping[str, str], bool]

# The keys of a ``via`` dataset, in the variables of *this* dataset's template (``Link.on`` applied).
KeysOf = Callable[[Step, Dataset], Iterable[Key]]

# The rows of a named starting-point query for the cohort: its columns, and ``started_at`` (date,
# aware datetime, ISO text or None). The store joins them ``on`` the dataset's variables or fields.
StartsOf = Callable[[Step, str], Iterable[Mapping[str, object]]]

# With which clocks and holds the cohort's objects came that were taken over, by the variables of their paths.
CameOf = Callable[[Step, Dataset], Mapping[tuple[str, ...], Came]]

# The last day of a floor that is not counted in calendar periods (PRC working days need a calendar
# of holidays, which lives in another room).
UntilOf = Callable[[Floor, date], date]


def no_keys(step: Step, dataset: Dataset) -> Iterable[Key]:
    """The default for a store without ``via`` links; preflight refuses a catalogue that needs more."""
    raise LookupError(dataset.id)


def no_starts(step: Step, query: str) -> Iterable[Mapping[str, object]]:
    """The default for a store without starting-point queries."""
    raise LookupError(query)


def none_came(step: Step, dataset: Dataset) -> Mapping[tuple[str, ...], Came]:
    """The default for a store whose database took nothing over."""
    return {}
