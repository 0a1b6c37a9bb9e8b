"""The catalogue in plain words, and its command line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.catalogue.explain import explain
from include.catalogue.loader import ITRUS, load
from include.catalogue.plain import AT_END, COUNTING, OWNERSHIP, RANK, REASON, STANDING, Language, length
from include.commands import catalogue as command
from include.model.errors import CatalogueError, Refused
from include.model.policy import NoControl
from include.model.times import Counting
from include.model.versions import PolicyVersion
from include.model.words import LegalRank, Ownership

POLICY = load()
NAMES = [
    *(d.id for d in POLICY.datasets),
    *(c.id for c in POLICY.categories),
    *(r.id for r in POLICY.rules),
    *(str(c.no) for c in POLICY.clauses),
    *(r.id for r in POLICY.recipients),
]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_everything_can_be_explained_in_both_languages(language: Language) -> None:
    for name in NAMES:
        said = explain(POLICY, name, language)
        assert len(said.splitlines()) >= 3, name
        assert "None" not in said, said
        assert "{" not in re.sub(r"\{(account_id|application_id|contract_id|serial)\}", "", said), said


def test_why_a_vetting_file_stays_is_answered_with_its_law_and_the_way_to_its_person() -> None:
    said = explain(POLICY, "ra.id_card", "en")
    assert "ra.id_card → ra.application → account_id" in said
    assert "exactly 5 years" in said and "ESL 24 (law)" in said and "forbids deletion before its end" in said


def test_a_ceiling_says_for_which_law_it_waits() -> None:
    ours = [x for x in explain(POLICY, "ra.id_card", "en").splitlines() if "RS-06 " in x]
    assert ours and all(x.endswith("waits for RS-03: law goes before policy") for x in ours)
    assert "waits for RS-10, as was decided" in explain(POLICY, "sign.chain_anchor", "en")
    assert "waits for" not in explain(POLICY, "ra.bank_card", "en")
    binds = [b.model_copy(update={"gives_way": ()}) for b in POLICY.dataset("sign.chain_anchor").binds]
    datasets = [
        d.model_copy(update={"binds": tuple(binds)}) if d.id == "sign.chain_anchor" else d
        for d in POLICY.datasets
    ]
    undecided = POLICY.model_copy(update={"datasets": tuple(datasets)})
    assert "where RS-10 runs longer a person decides" in explain(undecided, "sign.chain_anchor", "en")


def test_a_proposal_says_that_nobody_owns_it() -> None:
    assert "a proposal of ours: nobody owns it yet" in explain(POLICY, "RS-07", "en")
    assert "公司建议值: 尚无负责人" in explain(POLICY, "rs-07", "zh")


def test_a_clause_names_its_controls_or_what_is_missing() -> None:
    assert "include.cases.clocks:reply_due" in explain(POLICY, "118", "en")
    assert "Missing: a transfer to a new holder is not run" in explain(POLICY, "56", "en")
    assert "a permission that the company does not use" in explain(POLICY, "33", "en")


def test_an_unknown_name_is_refused_with_what_is_near_it() -> None:
    with pytest.raises(Refused, match=r"did you mean ra\.id_card\?"):
        explain(POLICY, "id_card")
    with pytest.raises(Refused, match="name a dataset, PI-nnn"):
        explain(POLICY, "PI-999")


def test_every_fixed_word_has_both_languages() -> None:
    for words, of in ((COUNTING, Counting), (RANK, LegalRank), (OWNERSHIP, Ownership), (REASON, NoControl)):
        assert set(words) == set(of)
    for table in (RANK, OWNERSHIP, AT_END, STANDING, REASON):
        assert all(zh and en for zh, en in table.values())


@pytest.mark.parametrize(
    ("duration", "zh", "en"),
    [("P5Y", "5 年", "5 years"), ("P1Y6M", "1 年 6 个月", "1 year 6 months"), ("PT24H", "24 小时", "24 hours"),
     ("PT10M", "10 分钟", "10 minutes"), ("P6M", "6 个月", "6 months"), ("P0D", "立即", "at once"),
     ("P1W", "1 周", "1 week")],
)  # fmt: skip
def test_a_length_of_time_is_said_in_words(duration: str, zh: str, en: str) -> None:
    assert (length(duration, "zh"), length(duration, "en")) == (zh, en)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_finds_the_first_policy_sound() -> None:
    assert "77 datasets, 131 clauses, no problem" in run("lint")
    run("schema", "--check")
    assert "PI-019 脸部图像" in run("explain", "PI-019")
    assert "Where it is" in run("explain", "PI-019", "--lang", "en")


def test_coverage_prints_what_is_open_and_the_share_of_each_reason() -> None:
    said = run("coverage")
    assert "not kept yet" in said and "a transfer to a new holder is not run by the system yet" in said
    assert "people keep it" in said and "%" in said
    assert "case_opened_or_joined" not in said and "case_opened_or_joined" in run("coverage", "--all")


def test_lint_prints_where_an_editor_should_open_and_fails(tmp_path: Path) -> None:
    root = Path(shutil.copytree(ITRUS, tmp_path / "policy"))
    file = root / "datasets/usage.yaml"
    file.write_text(file.read_text("utf-8").replace("- {rule: RS-14}", "- {rule: RS-77}"), "utf-8")
    result = CliRunner().invoke(command.app, ["lint", "--catalogue", str(root)])
    assert isinstance(result.exception, CatalogueError)
    line = file.read_text("utf-8").splitlines().index("    - {rule: RS-77}") + 1
    assert f"{file}:{line}: usage.location.binds.0.rule: 'RS-77' is declared nowhere" in result.output


def test_a_catalogue_that_does_not_load_says_file_line_and_key(tmp_path: Path) -> None:
    root = Path(shutil.copytree(ITRUS, tmp_path / "policy"))
    file = root / "stores.yaml"
    file.write_text(file.read_text("utf-8").replace("kind: s3", "kind: s4"), "utf-8")
    line = file.read_text("utf-8").splitlines().index("  kind: s4") + 1
    with pytest.raises(CatalogueError, match=rf"stores\.yaml:{line}: objects: kind"):
        load(root)


def test_a_longer_period_says_for_whom_the_shorter_one_holds_still() -> None:
    base = load()
    rules = tuple(
        r.model_copy(update={"periods": tuple(
            p.model_copy(update={"duration": "P24M"}) if p.name == "cap" else p for p in r.periods
        )}) if r.id == "RS-12" else r
        for r in base.rules
    )  # fmt: skip
    longer = base.model_copy(update={"rules": rules})
    assert "at most 24 months" in explain(longer, "RS-12", "en")
    assert "12 months still for everybody: no version of the policy says more" in explain(
        longer, "RS-12", "en"
    )
    newer = PolicyVersion(id="2026-10", says={"RS-12/cap": "P24M"})
    said = longer.model_copy(update={"versions": (*base.versions, newer)})
    for name in ("RS-12", "usage.access_log"):
        assert "12 months still for whoever has not accepted version 2026-10" in explain(said, name, "en")
        assert "未接受政策版本 2026-10 的仍为 12 个月" in explain(said, name, "zh")
    assert "still" not in explain(base, "RS-12", "en")
