"""The policy matrix, a page for auditors: every clause beside what honours it. Made from the catalogue, never by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from include.catalogue.coverage import REPOSITORY, Coverage, Standing, coverage
from include.catalogue.plain import REASON, STANDING, former, limit, pick
from include.model.catalogue import Catalogue
from include.model.policy import Clause

PAGE = REPOSITORY / "docs" / "policy.md"


def page(root: Path, catalogue: Catalogue) -> str:
    """The page in Markdown. The same catalogue gives the same bytes."""
    found = coverage(root, catalogue)
    return (
        "\n".join([*_head(catalogue, found), *_clauses(found), *_periods(catalogue), *_controls(catalogue)])
        + "\n"
    )


def write(root: Path, catalogue: Catalogue, file: Path = PAGE) -> bool:
    """Write it. Whether that changed anything."""
    text = page(root, catalogue)
    if file.exists() and file.read_text("utf-8") == text:
        return False
    file.write_text(text, "utf-8")
    return True


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _head(catalogue: Catalogue, found: Coverage) -> Iterable[str]:
    yield f"# The policy `{catalogue.name}`, clause by clause"
    yield ""
    yield "Made by `quietus catalogue matrix` from the catalogue; a test fails when it is not current."
    yield ""
    yield _row("clauses", "share", "")
    yield _row("---:", "---:", "---")
    for stands in Standing:
        yield _row(str(len(found.of(stands))), f"{found.share(stands):.0%}", pick(STANDING[stands], "en"))
    yield ""
    yield "Of those that no system control honours: " + "; ".join(
        f"{count} because {pick(REASON[reason], 'en')}" for reason, count in found.reasons().items()
    ) + "."  # fmt: skip
    yield ""


def _clauses(found: Coverage) -> Iterable[str]:
    yield "## Clauses"
    yield ""
    yield _row("no.", "article", "the policy says", "which means", "stands", "by, or why not", "missing")
    yield _row("---:", *["---"] * 6)
    for clause, stands in found.clauses:
        yield _row(
            str(clause.no), clause.art, clause.zh, clause.en, stands.value, _by(clause), clause.open or ""
        )
    yield ""


def _by(clause: Clause) -> str:
    if clause.no_control:
        return f"{pick(REASON[clause.no_control], 'en')}: {clause.reason}"
    return ", ".join(f"`{name}`" for name in clause.controls)


def _periods(catalogue: Catalogue) -> Iterable[str]:
    yield "## Periods"
    yield ""
    yield _row("rule", "data", "the clock starts", "period", "what it demands", "what may stay")
    yield _row(*["---"] * 6)
    for rule in catalogue.rules:
        for period in rule.periods:
            demands = limit(period, "en") + former(catalogue.formers(rule.id, period), period.counting, "en")
            yield _row(rule.id, rule.title, rule.starts, period.name, demands, rule.stays)
    yield ""


def _controls(catalogue: Catalogue) -> Iterable[str]:
    yield "## Controls"
    yield ""
    yield _row("control", "kind", "what it does", "code", "the test that turns red without it")
    yield _row(*["---"] * 5)
    for control in catalogue.controls:
        yield _row(f"`{control.id}`", control.kind, control.what, f"`{control.code}`", f"`{control.test}`")
