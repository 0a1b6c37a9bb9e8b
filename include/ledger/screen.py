"""What may enter the log. Entries can never be taken out again, so they are screened going in.

This is the last line, not the first: callers write counts, names of datasets, digests and dates.
The screen knows the shapes of the identifiers that a person would be found by (``model.screening``: mobile
and identity numbers, e-mail addresses, credit codes, bank cards, account ids), and is stricter with numbers:
an entry has no reason to glue one to a word. It cannot know a name.
"""

from __future__ import annotations

import re
import unicodedata

import rfc8785

from include.model.errors import Refused
from include.model.screening import kind_of_identifier

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_INT = 2**53 - 1  # RFC 8785: beyond this, readers of JSON disagree

# Long lower-case hex is a digest; inside one, eleven digits in a row are chance.
_DIGEST = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{32,128}(?![0-9a-zA-Z])")
_GLUED = (
    ("a mobile number", re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)")),
    ("a resident identity number", re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?!\d)")),
    ("an e-mail address", re.compile(r"[\w.%+-]@[\w-]{1,63}(?:\.[\w-]{1,63})+")),
)


def screened(body: object) -> bytes:
    """The canonical JSON (RFC 8785) of a body that may enter the log.

    Allowed: objects, arrays, strings, booleans, null, and integers that every JSON reader agrees on.
    Raises Refused, naming the place and the shape, never the value.
    """
    _walk(body, "body", 0)
    try:
        canonical = rfc8785.dumps(body)  # type: ignore[arg-type]  # _walk has checked every type
    except (rfc8785.CanonicalizationError, UnicodeError):
        raise Refused("the body cannot be written as canonical JSON", about="ledger entry") from None
    if len(canonical) > MAX_BYTES:
        raise Refused(
            f"the body has {len(canonical)} bytes, more than {MAX_BYTES}",
            about="ledger entry",
            next_step="log a digest and keep the document elsewhere",
        )
    return canonical


def _walk(value: object, place: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused(f"the body is nested deeper than {MAX_DEPTH} levels", about="ledger entry")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _scan(value, place)
    elif isinstance(value, int):
        if abs(value) > MAX_INT:
            raise Refused(f"{place}: the number is too large for JSON", about="ledger entry")
        _scan(str(value), place)
    elif isinstance(value, dict):
        for number, (key, inner) in enumerate(value.items()):
            if not isinstance(key, str):
                raise Refused(f"{place}: a key is not a string", about="ledger entry")
            _scan(key, f"{place}, key {number}")
            _walk(inner, f"{place}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _walk(inner, f"{place}[{number}]", depth + 1)
    else:
        raise Refused(
            f"{place}: a {type(value).__name__} may not enter the ledger",
            about="ledger entry",
            next_step="use strings, integers, booleans, null, lists and objects",
        )


def _scan(text: str, place: str) -> None:
    seen = _DIGEST.sub("", unicodedata.normalize("NFKC", text))  # full-width digits are digits
    glued = (what for what, shape in _GLUED if shape.search(seen))
    if what := kind_of_identifier(seen, account_ids=True) or next(glued, None):
        raise Refused(
            f"{place} looks like it holds {what}; the ledger may hold no personal value",
            about="ledger entry",
            next_step="log counts, names of datasets and keyed digests only",
        )
