"""Every night of a year, by its logical date: after each nothing is overdue, and the year ends with every book balanced.

On the small shop, where a night takes seconds; a year of the first policy's nights, by leaps, is ``tests/sandbox``'s.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from include.cases import papers
from include.cases.retention import night as nightly
from include.cases.retention.nights import Night
from include.model.words import CaseState
from tests.cases.retention.house import DAY, House

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
YEAR = timedelta(days=365)
# Days on which a year's period began: it is over at the year's end, on 28 February and 1 March, at the ends of short and long
# months, twice in a row, and on the last night of all.
BEGAN = (
    date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 28), date(2026, 3, 1), date(2026, 4, 30), date(2026, 8, 31),
    date(2026, 11, 21), date(2026, 11, 22),
)  # fmt: skip
SPREAD = (
    "INSERT INTO u.visit SELECT {n} + i, 'acct_000000000001', date '{began}', '/' FROM generate_series(1, 3) i",
    "INSERT INTO s.ticket VALUES ({n}, 'acct_000000000002', date '{began}', 'b')",
    "INSERT INTO s.note VALUES ({n}, {n}, date '{began}')",
)


def test_every_night_of_a_year_leaves_nothing_overdue_and_ends_with_balanced_books(house: House) -> None:
    for n, began in enumerate(BEGAN):
        for statement in SPREAD:
            house.company.sql(statement.format(n=1000 + 10 * n, began=began))
    house.company.sql("DELETE FROM s.note WHERE id = 3")  # no ticket is needed by it then
    ends = {r.dataset: r.due for r in nightly.look(house.desk, DAY + YEAR).rows}
    played: list[Night] = []
    for day in (DAY + timedelta(days=n) for n in range(366)):
        night = house.night(day)
        assert (night.overdue, night.remaining) == (0, 0), f"something was left on {day}"
        played.append(night)
    assert len(played) == 366
    cases = [n for n in played if n.case_no is not None]
    due_on = {n.as_of for n in cases}
    assert {d.replace(year=d.year + 1) + timedelta(days=1) for d in BEGAN} <= due_on, (
        "on its day, and no other"
    )
    assert len(cases) < 25, "on most nights nothing is due, and no case is opened"
    assert sum(n.gone or 0 for n in cases) == sum(ends.values()), "what was to fall due, and nothing else"
    assert not [r for r in nightly.look(house.desk, DAY + YEAR).rows if r.due]
    with house.desk.book() as conn:
        words = Counter[str]()
        for night in cases:
            assert night.case_no is not None and not papers.open_findings(conn, night.case_no)
            books = [e for _, e in papers.evidence(conn, night.case_no) if e.kind == "balance"]
            assert books and all(e.verdict.value == "passed" for e in books)
            words[house.state(night).value] += 1
    assert set(words) <= {CaseState.WAITING.value, CaseState.CLOSED.value}
