"""What a request to Airflow carries, screened before Airflow reads, audits or stores it. No I/O.

Airflow's audit log keeps the body even of a request that it rejects, and the server's access log keeps the path.
So whatever looks like a person's own value is refused here, by kind, and never quoted.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote_plus

from include.model.screening import kind_of_identifier

SCREENED = ("/api/", "/ui/", "/execution/", "/quietus/")
OURS = ("/quietus/recipients/", "/quietus/errands/")
"""Bodies that Airflow never sees: a recipient's signed message, the proof of an errand. They are sealed where they go, and
held to limits of their own; their paths are screened like all."""
EXEMPT = ("/api/v2/connections", "/execution/connections", "/ui/auth", "/api/v2/monitor")
"""Connections carry secrets and host names, by design; health carries nothing."""

MAX_BODY = 4 * 2**20  # bytes; no request to Airflow's API has reason to be larger

# A JSON string may write a digit as an escape, and a name in Chinese; both are read after parsing.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:?\d\d)?")
# A request's number may, by chance, have sixteen digits in a row between its hyphens.
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
_LOOKUP_KEYS = frozenset({"state", "ti_id", "id", "token", "hostname", "unixname", "pid"})


def inside(path: str, root_path: str) -> str:
    """The path as the application routes it: without the prefix that Airflow is served under, if any."""
    root = root_path.rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def is_screened(path: str) -> bool:
    """Whether requests to this path (:func:`inside`) may not hold personal values."""
    return path.startswith(SCREENED) and not path.startswith(EXEMPT)


def body_is_screened(path: str) -> bool:
    """Whether what is sent to this path may hold no personal values either."""
    return not path.startswith(OURS)


def in_path(path: str, query: str) -> str | None:
    """The kind of personal value in a path or a query, or None."""
    return kind_in(unquote_plus(path)) or kind_in(unquote_plus(query))


def in_body(body: bytes, content_type: str) -> str | None:
    """The kind of personal value in a body, or None. What is no JSON is read as text."""
    if not body:
        return None
    if "json" in content_type or body[:1] in (b"{", b"["):
        try:
            return _in(json.loads(body))
        except (ValueError, RecursionError):
            pass
    return kind_in(unquote_plus(body.decode("utf-8", "replace")))


def _in(value: Any) -> str | None:
    """Every key and value of a JSON document, read as a person would read it."""
    stack: list[Any] = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            for key, inner in found.items():
                if kind := kind_in(str(key)):
                    return kind
                if key not in _LOOKUP_KEYS:
                    stack.append(inner)
        elif isinstance(found, list):
            stack.extend(found)
        elif isinstance(found, bool) or found is None:
            continue
        elif kind := kind_in(str(found)):
            return kind
    return None


def kind_in(text: str) -> str | None:
    """The kind of personal value in one piece of text, or None."""
    # Airflow names runs after the moment they began; a moment is nobody's number.
    return kind_of_identifier(_UUID.sub(" ", _TIMESTAMP.sub(" ", text)), account_ids=True)
