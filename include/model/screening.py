"""What must never be typed into, or carried by, a place that is not built to hold personal data.

Airflow keeps what it is sent, even what it rejects (its audit log has the body of a refused request),
so requests, XComs and ledger entries are screened *before* they are stored. Only the **kind** of what
was found is ever returned: a screen that quoted its find would be the leak.

The screen knows forms, not people: mobile numbers, resident ID numbers, credit codes, bank cards,
e-mail addresses. A name has no form; names are kept out by never offering a free-text field.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from stdnum import luhn
from stdnum.cn import uscc

# Not glued to letters or digits: a UUID, a digest or a serial may hold eleven digits in a row.
_EDGE_BEFORE, _EDGE_AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"

MOBILE = re.compile(_EDGE_BEFORE + r"(?:(?:\+|00)?86[-\s]?)?1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}" + _EDGE_AFTER)
RESIDENT_ID = re.compile(
    _EDGE_BEFORE
    + r"[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
    + _EDGE_AFTER
)
EMAIL = re.compile(r"[\w.+-]@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
CREDIT_CODE = re.compile(_EDGE_BEFORE + r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}" + _EDGE_AFTER)
CARD = re.compile(_EDGE_BEFORE + r"\d{4}(?:[-\s]?\d{4}){3}(?:[-\s]?\d{1,3})?" + _EDGE_AFTER)

# The opaque account ids of the sandbox; a catalogue may declare another form.
ACCOUNT_ID = re.compile(r"acct_[0-9a-hjkmnp-tv-z]{12}")


def plain(text: str) -> str:
    """The text as a reader would see it: percent-decoded, full-width digits made plain (NFKC)."""
    return unicodedata.normalize("NFKC", unquote(text))


def kind_of_identifier(text: str, *, account_ids: bool = False) -> str | None:
    """The kind of personal identifier that ``text`` holds, or None. Never the identifier itself.

    ``account_ids``: also report opaque account ids, for places that must know case numbers only.
    """
    seen = plain(text)
    found = (
        ("an e-mail address", lambda: EMAIL.search(seen)),
        ("a resident ID number", lambda: RESIDENT_ID.search(seen)),
        ("a mobile number", lambda: MOBILE.search(seen)),
        ("a credit code", lambda: any(uscc.is_valid(m.group()) for m in CREDIT_CODE.finditer(seen.upper()))),
        (
            "a bank card number",
            lambda: any(luhn.is_valid(re.sub(r"\D", "", m.group())) for m in CARD.finditer(seen)),
        ),
        ("an account id", lambda: account_ids and ACCOUNT_ID.search(seen)),
    )
    return next((kind for kind, is_there in found if is_there()), None)
