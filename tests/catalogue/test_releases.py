"""What is wrong with a release is named: its file, its line and what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from include.catalogue.lint import lint
from include.catalogue.loader import ITRUS, load

WRONG = {
    "a dataset without one": ("  dataset: cert.crl_entry\n", "  dataset: cert.usb_key\n", "nothing says what stays of it"),
    "an unknown dataset": ("dataset: stat.research_extract", "dataset: stat.nothing", "declared nowhere"),
    "a rule that does not bind": ("rule: RS-27", "rule: RS-04", "RS-04 does not bind"),
    "an unknown rule": ("rule: RS-27", "rule: RS-99", "declared nowhere"),
    "a column in no place": ("drop: [extract_id, pseudonym]", "drop: [pseudonym]", "'extract_id' is in none of them"),
    "a column in two": ("drop: [extract_id, pseudonym]", "drop: [extract_id, pseudonym, services]", "in two places"),
    "a column that is not there": ("latest: extract_id", "latest: no_such", "not among the columns"),
    "a link that is kept": (
        "  drop: [extract_id, pseudonym]\n", "  drop: [extract_id]\n  plain: {pseudonym: why not}\n", "leads to somebody",
    ),
    "a claim without its reason": ("  why: its serial is that of the certificate\n", "", "nothing says what keeps it"),
    "a claim with a reason against it": ("claims: anonymised\n", "claims: anonymised\n  why: well\n", "says why it is not"),
    "more values than rows": ("l: 3, t: 0.4}\n  k: 21", "l: 30, t: 0.4}\n  k: 21", "do not fit into"),
    "a table nobody declared": ("into: stat.research_release", "into: stat.elsewhere", "is not in not_personal.yaml"),
    "a table with other columns": ("into: stat.research_release", "into: stat.monthly", "with other columns"),
    "a marker of rows that move": ("  person: pseudonym", "  marker: pseudonym\n  person: pseudonym", "that move need none"),
    "another cut in place": (
        "drop: [reason]\n  plain:\n", "drop: []\n  plain:\n    reason: why not\n",
        "other columns than the dataset's cut",
    ),
    "a place in two": ("深圳市: [广东, 华南]", "深圳市: [广东, 华东]", "'广东' is in 华东 and in 华南"),
    "ancestors that are missing": ("深圳市: [广东, 华南]", "深圳市: [广东]", "fewer ancestors"),
    "a hierarchy of two kinds": ("    region:\n", "    region:\n      prefix: [2]\n", "of no kind, or of several"),
    "levels below the first": ("    region:\n", "    region:\n      at_least: 9\n", "may not be finer than 9"),
    "pseudonyms that lead nowhere": ("[stat.pseudonym]", "[cert.usb_key]", "no link of stat.research_extract"),
    "unknown pseudonyms": ("[stat.pseudonym]", "[stat.no_such]", "declared nowhere"),
    "a rhythm for what no run releases": (
        "  drop: [reason]\n", "  every: P1Y\n  drop: [reason]\n", "no run releases it",
    ),
    "a grade that its own k does not reach": (
        "l: 3, t: 0.4}\n  k: 21", "l: 3, t: 0.4}\n  k: 20", "a risk of 1/20, which is not below 0.05",
    ),
    "a grade without a threshold": (
        "    risk: 0.05\n    text: \"a risk below", "    text: \"a risk below", "a grade, and no threshold of the risk",
    ),
    "an anonymous set that may be at risk": ("  grade: 3\n", "  grade: 2\n", "claims to be anonymous, and grade 2 would do"),
    "a grade of statistics": ("  grade: 3\n", "  grade: 4\n", "a row for each person, and grade 4 is for statistics"),
    "a reader that is no role of the store": ("    app_bi:", "    app_nobody:", "is no business role"),
}  # fmt: skip
NESTING = {
    "a band that cuts through": ("band: [10, 25]", "no multiple"),
    "a date that gets finer": ("date: [year, month]", "do not get coarser"),
    "a prefix that gets longer": ("prefix: [2, 4]", "do not get shorter"),
}


def problems(tmp_path: Path, old: str, new: str) -> str:
    root = tmp_path / "itrus"
    shutil.copytree(ITRUS, root)
    file = root / "releases.yaml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    return "\n".join(map(str, lint(root)))


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    old, new, said = WRONG[name]
    found = problems(tmp_path, old, new)
    assert said in found
    assert re.search(r"^(releases|datasets/cert)\.yaml:\d+: ", found, re.MULTILINE)


@pytest.mark.parametrize("name", NESTING)
def test_levels_nest(tmp_path: Path, name: str) -> None:
    hierarchy, said = NESTING[name]
    text = (ITRUS / "releases.yaml").read_text("utf-8")
    whole = re.search(r"    age_band:\n      map:\n(?:        .*\n)+", text)
    assert whole
    assert said in problems(tmp_path, whole[0], f"    age_band:\n      {hierarchy}\n")


@pytest.mark.parametrize("dataset", ["stat.research_extract", "stat.pseudonym"])
def test_what_a_statute_keeps_is_not_released(tmp_path: Path, dataset: str) -> None:
    root = tmp_path / "itrus"
    shutil.copytree(ITRUS, root)
    file = root / "datasets" / "stat.yaml"
    head, found, tail = file.read_text("utf-8").partition(f"- id: {dataset}\n")
    assert found
    file.write_text(head + found + tail.replace("  binds:\n", "  binds:\n    - {rule: RS-03}\n", 1), "utf-8")
    said = "\n".join(map(str, lint(root)))
    assert re.search(rf"releases\.yaml:\d+: .*RS-03 forbids disposing of {dataset} too early", said), said


def test_a_policy_that_releases_nothing_needs_no_file_for_it(tmp_path: Path) -> None:
    root = tmp_path / "itrus"
    shutil.copytree(ITRUS, root)
    (root / "releases.yaml").unlink()
    assert load(root).releases == ()
    said = "\n".join(map(str, lint(root)))
    assert said.count("nothing says what stays of it") == 3, (
        "the three that are anonymised still ask for theirs"
    )
    assert "file is missing" not in said


READING = {
    "a reading that leaves a grade out": (
        "    4: nothing in it is about one person; it holds aggregates without identifiers\n", "",
        "it does not say what grade 4 means",
    ),
    "a reading with an owner and no day": (
        "  grades:\n", "  owner: legal\n  grades:\n", "an owner and a day of approval, or neither yet",
    ),
    "two readings": ("- id: gbt_42460\n", "- {id: other, cite: x, text: y, grades: {1: a, 2: b, 3: c, 4: d}}\n- id: gbt_42460\n",
                     "there are two readings, and a set has one grade"),
}  # fmt: skip


@pytest.mark.parametrize("name", READING)
def test_what_is_wrong_with_a_reading_is_named(tmp_path: Path, name: str) -> None:
    old, new, said = READING[name]
    root = tmp_path / "itrus"
    shutil.copytree(ITRUS, root)
    text = (root / "grading.yaml").read_text("utf-8")
    assert text.count(old) == 1
    (root / "grading.yaml").write_text(text.replace(old, new), "utf-8")
    assert said in "\n".join(map(str, lint(root)))


def test_without_a_reading_no_release_may_declare_a_grade(tmp_path: Path) -> None:
    root = tmp_path / "itrus"
    shutil.copytree(ITRUS, root)
    (root / "grading.yaml").unlink()
    assert "\n".join(map(str, lint(root))).count("nothing says what its grade means") == 4
