"""The days between which a line of a plan lawfully goes, and in which tense it is told."""

from __future__ import annotations

from datetime import date

import pytest

from include.cases.became import Window, window
from include.cases.explain import sentence
from include.model.flow import Line
from include.model.words import Disposition
from tests.cases.small import TODAY, catalogue

LAST = date(2029, 6, 30)


def line(dataset: str, disposition: Disposition = Disposition.ERASE, **more: object) -> Line:
    return Line(dataset=dataset, disposition=disposition, items=2, rule="RS-03", law="ESL 24", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "began", "found"),
    [
        (line("account.session"), TODAY, Window(TODAY, "", TODAY, "RS-02/main: PIPL 19")),
        (line("ra.application"), TODAY, Window(TODAY, "RS-03/main: ESL 24", None, "RS-03/main: ESL 24")),
        (line("ra.application", Disposition.RETAIN, until=LAST), TODAY,
         Window(date(2029, 7, 1), "RS-03: ESL 24", LAST, "RS-03: ESL 24")),
        (line("ra.application", Disposition.RETAIN, waits_for="certificate_end"), TODAY,
         Window(None, "certificate end", None, "")),
        (line("web.log", Disposition.HOLD, hold="HOLD-000001"), TODAY, Window(None, "HOLD-000001", None, "")),
        # A night's: by the items' own dates, over by then.
        (line("ra.application"), None, Window(TODAY, "RS-03/main: ESL 24", date(2026, 11, 23), "RS-03/main: ESL 24")),
    ],
)  # fmt: skip
def test_a_line_has_its_first_and_last_day_with_what_says_so(
    of: Line, began: date | None, found: Window
) -> None:
    assert window(catalogue(), of, TODAY, began) == found


@pytest.mark.parametrize(
    ("disposition", "en", "zh"),
    [
        (Disposition.ERASE, "2 items were erased, on 2026-11-24 (", "2 项于 2026-11-24 已删除("),
        (Disposition.UNLINK, "2 items were unlinked: others' or to stay", "2 项于 2026-11-24 属于他人"),
        (
            Disposition.DEIDENTIFY,
            "2 items were de-identified, and what is left",
            "2 项于 2026-11-24 已去标识化",
        ),
    ],
)
def test_what_is_done_is_told_as_done(disposition: Disposition, en: str, zh: str) -> None:
    of = line("ca.certificate", disposition)
    assert sentence(of, "en", gone=TODAY).startswith(en) and sentence(of, "zh", gone=TODAY).startswith(zh)
    assert "will be" not in sentence(of, "en", gone=TODAY)
