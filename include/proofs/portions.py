"""A part of a picture: how many there are, and a sum over the digests of them."""

from __future__ import annotations

from include.model.flow import Flow


class Portion(Flow):
    """``name`` is that of the check it becomes. ``blind``: why it could not be looked at. ``declared``: that the
    disposal is declared to change it, and ``growth`` by how many rows at most."""

    name: str
    dataset: str | None = None
    items: int = 0
    digest: str = ""
    blind: str = ""
    declared: str = ""
    growth: int = 0

    def unseen(self, why: str) -> Portion:
        """The same, not looked at."""
        return self.model_copy(update={"blind": why})
