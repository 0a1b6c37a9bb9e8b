"""What of the case book goes with the data: open holds, suppression tombstones, recipients that still have to answer.

One line of canonical JSON each. Tombstones are keyed digests; their keys are in a bag of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import rfc8785

from include.cases.book import Conn

Row = dict[str, Any]
PAGE = 5_000

HOLDS = """
SELECT h.hold AS id, h.basis, h.document_no, h.issuing_body, h.law, h.confidential, h.opened_on, h.review_due,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('side', s.side, 'value', s.value, 'token', encode(s.token, 'hex'))
                                  ORDER BY s.side, s.value, s.token), '[]')
          FROM casebook.hold_scope AS s WHERE s.hold = h.hold AND s.removed_on IS NULL) AS scope
  FROM casebook.hold AS h WHERE h.released_on IS NULL AND h.hold > %(after)s ORDER BY h.hold LIMIT %(n)s"""
TOMBSTONES = """
SELECT kind || '/' || encode(token, 'hex') || '/' || case_no AS id, kind, encode(token, 'hex') AS token, token_version, case_no,
       made_on, expires_on
  FROM casebook.tombstone AS t
 WHERE (t.kind, t.token, t.case_no)
       > (split_part(%(after)s, '/', 1), decode(split_part(%(after)s, '/', 2), 'hex'), split_part(%(after)s, '/', 3))
   AND (%(upto)s::text IS NULL OR (t.kind, t.token, t.case_no)
       <= (split_part(%(upto)s, '/', 1), decode(split_part(%(upto)s, '/', 2), 'hex'), split_part(%(upto)s, '/', 3)))
 ORDER BY t.kind, t.token, t.case_no LIMIT %(n)s"""
RECIPIENTS = """
SELECT lpad(notice_id::text, 20, '0') AS id, case_no, recipient, channel, items, state, sent_at, remind_on, target_on,
       escalate_on, answer_code
  FROM casebook.outbox WHERE state NOT IN ('tp_acked', 'tp_unlinked', 'tp_superseded')
   AND lpad(notice_id::text, 20, '0') > %(after)s ORDER BY notice_id LIMIT %(n)s"""

PARTS = {"book.hold": HOLDS, "book.tombstone": TOMBSTONES, "book.recipient": RECIPIENTS}
"""Dataset of the bag -> how it is read, in order of ``id``, after one."""
TOMBSTONE_KEY = "book.tombstone_key"
"""The part that holds no records of the book, but the keys of its tombstones (``tombstone_keys``)."""
BAGS = (*PARTS, TOMBSTONE_KEY)
"""Of every order at least a bag each."""


def records(
    conn: Conn, part: str, after: str = "", upto: str | None = None
) -> Iterator[tuple[str, bytes, bool]]:
    """The records of one part, after one of them: id, line, and whether another follows. ``upto``: of tombstones, the last."""
    asked = {"upto": upto, "n": PAGE}
    rows = conn.execute(PARTS[part], {"after": after, **asked}).fetchall()
    while rows:
        following = conn.execute(PARTS[part], {"after": str(rows[-1]["id"]), **asked}).fetchall()
        for n, row in enumerate(rows, 1):
            line = rfc8785.dumps({k: _plain(v) for k, v in row.items()})
            yield str(row["id"]), line, n < len(rows) or bool(following)
        rows = following


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone().isoformat() if value.tzinfo is None else value.isoformat()
    return value.isoformat() if isinstance(value, date) else value
