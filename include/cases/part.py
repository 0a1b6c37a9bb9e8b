"""The part of a person that a case is about, where its ground does not end the whole relation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from include.model.estate import Dataset
from include.model.flow import Reach


@dataclass(frozen=True)
class Part:
    """What a case about a part of a person reaches: of these datasets the rows whose column has this value, or (None) all of
    them. ``stays``: the law by which we go on with everything else; ``otherwise``: with these datasets by another."""

    rows: Mapping[str, tuple[str, str] | None]
    stays: str
    otherwise: Mapping[str, str] = field(default_factory=dict)

    def of(self, dataset: str, opens: Sequence[Dataset] = ()) -> Reach | None:
        """What it reaches of a dataset; None: all of it. A key is left alone unless all that it opens goes."""
        law = self.otherwise.get(dataset, self.stays)
        if opens and any(self.rows.get(d, ()) is not None for d in (dataset, *(o.id for o in opens))):
            return Reach(only=None, law=law)
        only = self.rows.get(dataset, ())
        return None if only is None else Reach(only=only or None, law=law)
