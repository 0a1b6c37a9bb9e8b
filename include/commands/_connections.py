"""The connections that a command uses: the environment's, else those of the sandbox of this checkout."""

from __future__ import annotations

import os

from include.connections import PREFIXES, Environment


def connections() -> Environment:
    """The environment as it is; if it declares no connection at all, a running sandbox fills it in.

    Never a mixture: a half-declared production environment must not reach into a sandbox.
    """
    if any(name.startswith(PREFIXES) for name in os.environ):
        return Environment()
    from include.sandbox.stack.stack import Stack

    stack = Stack()
    if not any(line.running for line in stack.status()):
        return Environment()
    return Environment({f"{PREFIXES[0]}{i.upper()}": said for i, said in stack.connections().items()})
