"""What the other side signed, read only if it is to the byte what we would write of the same.

A reader that is kinder than the offline verifiers takes for good what they refuse for ever, once our copy went by it: `"3"` for
3, an object without its members for one whose members are empty.
"""

from __future__ import annotations

import json
from typing import TypeVar

from include.ledger import attest
from include.model.errors import LedgerError
from include.model.flow import Flow

F = TypeVar("F", bound=Flow)


def read(form: type[F], payload: bytes, about: str) -> F:
    """The signed ``payload`` as ``form``. Raises LedgerError if anything in it is missing, too much or written otherwise."""
    try:
        said = form.model_validate(json.loads(payload))
        exact = said.canonical() == payload
    except ValueError:
        exact = False
    if not exact:
        raise LedgerError(
            f"it is malformed: no {attest.parsed(payload)['format']} to the byte", about=about,
            next_step="nothing was marked; ask the other side to sign it anew, each member as docs/handover.md has it: numbers as"
            " numbers, lists as lists, times as RFC 3339 (what `quietus handover` writes there is taken)",
        )  # fmt: skip
    return said
