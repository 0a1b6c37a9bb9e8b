"""The page of a case: whole, offline, in both languages, and incapable of hiding what failed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser

from include.model.flow import Check, Evidence, Line, Located, Plan
from include.model.words import CopyKind, Disposition, Rung, Verdict
from include.proofs.page import CertificateSummary, page

CASE = "CASE-000007"
AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def plan(located: int = 5) -> Plan:
    return Plan(
        step="s1", case_no=CASE, as_of=date(2026, 11, 24), catalogue="c" * 64, code="1",
        located=(Located(dataset="account.session", items=located, digest="d"),),
        lines=(
            Line(dataset="account.session", disposition=Disposition.ERASE, items=3, rule="RS-02", law="PIPL 47"),
            Line(dataset="account.session", disposition=Disposition.RETAIN, items=1, rule="RS-12",
                 law="CSL 23(3)", until=date(2027, 5, 1)),
            Line(dataset="account.session", disposition=Disposition.HOLD, items=1, rule="RS-12",
                 law="Arb. Law 58", hold="HOLD-000001"),
        ),
    )  # fmt: skip


def check(name: str, rung: Rung, verdict: Verdict, why: str = "", **more: object) -> Check:
    return Check(name=name, dataset="account.session", rung=rung, verdict=verdict, why=why, **more)  # type: ignore[arg-type]


def evidence(kind: str, *checks: Check, at: datetime = AT, case_no: str = CASE) -> Evidence:
    return Evidence(kind=kind, step="s1", case_no=case_no, store="company", as_of=date(2026, 11, 24),
                    observed_at=at, plan=None, checks=checks)  # fmt: skip


class Outside(HTMLParser):
    """Whatever a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in ("script", "link", "img", "iframe") or {"src", "href", "srcset"} & names.keys():
            self.found.append(tag)
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_loads_nothing_and_is_well_formed() -> None:
    html = page(CASE, [evidence("gone", check("gone.account.session", Rung.R2, Verdict.PASSED))], plan())
    seen = Outside()
    seen.feed(html)
    assert seen.found == [] and seen.open == []
    assert not re.search(r"https?://|@import|url\(", html)


def test_it_says_what_stays_until_when_on_which_law() -> None:
    html = page(CASE, [], plan())
    for said in ("2027-05-01", "CSL 23(3)", "HOLD-000001", "Arb. Law 58", "依法保存", "retained", "账目平衡"):
        assert said in html
    assert "尚未签发" in html


def test_books_that_do_not_balance_are_shown() -> None:
    assert "The books do not balance" in page(CASE, [], plan(located=6))


def test_a_failure_is_the_verdict_and_comes_first() -> None:
    html = page(
        CASE,
        [
            evidence("gone", check("gone.account.session", Rung.R2, Verdict.FAILED, "<b>3 & more</b>", observed=3),
                     check("beyond.account.session", Rung.R4, Verdict.UNVERIFIED, "not looked at")),
            evidence("restricted", check("hidden.account.session", Rung.R1, Verdict.PASSED)),
        ],
        plan(),
    )  # fmt: skip
    assert 'class="stamp failed"' in html
    assert "&lt;b&gt;3 &amp; more&lt;/b&gt;" in html
    first = html.index("What needs attention")
    assert first < html.index("gone.account.session") < html.index("beyond.account.session")


def test_without_a_check_nothing_is_called_proved() -> None:
    assert 'class="stamp unverified"' in page(CASE, [], plan())


def test_a_later_look_replaces_an_earlier_one_and_other_cases_are_left_out() -> None:
    late = AT.replace(hour=3)
    html = page(
        CASE,
        [
            evidence("gone", check("gone.account.session", Rung.R2, Verdict.PASSED), at=late),
            evidence("gone", check("gone.account.session", Rung.R2, Verdict.FAILED, "an old one")),
            evidence(
                "gone", check("x", Rung.R2, Verdict.FAILED, "a stranger"), case_no="CASE-000008", at=late
            ),
        ],
        plan(),
    )
    assert 'class="stamp passed"' in html and "an old one" not in html and "a stranger" not in html


def test_it_tells_of_the_certificate() -> None:
    summary = CertificateSummary(1, "interim", AT, 12, 40, ("R4 is to be reached",))
    html = page(CASE, [], plan(), summary)
    assert "interim certificate" in html and "R4 is to be reached" in html and "12 / 40" in html


def test_copies_are_told_apart() -> None:
    old = check("bytes.account.session", Rung.R4, Verdict.PASSED, copy_kind=CopyKind.OBJECT_VERSION)
    assert "object_version" in page(CASE, [evidence("gone", old)], plan())
