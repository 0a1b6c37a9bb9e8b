"""Break one thing in the first policy, and lint names it: its file, its line and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.catalogue.lint import check, days, lint
from include.catalogue.loader import ITRUS, LISTS, files_of, line_of, load
from include.catalogue.problems import Problem
from include.model.catalogue import Catalogue

Path_ = tuple[str | int, ...]
FIRST = load()
SAID = FIRST.model_dump(mode="json")


def test_the_first_policy_has_no_problem() -> None:
    assert lint() == ()


def references() -> Iterator[tuple[str, int, Path_, str]]:
    """Every name in the first policy that must be declared elsewhere, and a name that is not."""

    def column(i: int, *key: str | int) -> tuple[str, int, Path_, str]:
        return "datasets", i, key, "no_such_column"

    for i, d in enumerate(SAID["datasets"]):
        yield "datasets", i, ("store",), "nowhere"
        for n, link in enumerate(d["links"]):
            if link["via"]:
                yield "datasets", i, ("links", n, "via"), "no.such_dataset"
            else:
                yield column(i, "links", n, "column")
            yield from (column(i, "links", n, "on", mine) for mine in link["on"])
        for n, bound in enumerate(d["binds"]):
            yield "datasets", i, ("binds", n, "rule"), "RS-99"
            if bound["period"] != "main":
                yield "datasets", i, ("binds", n, "period"), "no_such_period"
            if bound["start"] and bound["start"]["column"]:
                yield column(i, "binds", n, "start", "column")
            if bound["start"] and bound["start"]["query"]:
                yield "datasets", i, ("binds", n, "start", "query"), "no_such_query"
        yield from (column(i, "key", n) for n in range(len(d["key"])))
        for name, c in d["columns"].items():
            if c["category"]:
                yield "datasets", i, ("columns", name), "PI-999"
            if c["derived_from"]:
                yield "datasets", i, ("columns", name, "derived_from"), "no.such:column"
        yield from (("datasets", i, ("effects", n, "table"), "no.such") for n in range(len(d["effects"])))
    lists = (("clauses", "controls", "no_such_control"), ("categories", "rules", "RS-99"),
             ("recipients", "categories", "PI-999"), ("derived", "of", "no.such_dataset"),
             ("measures", "touches", "no.such_dataset"), ("not_personal", "categories", "PI-999"))  # fmt: skip
    for of, key, wrong in lists:
        for i, entry in enumerate(SAID[of]):
            yield from ((of, i, (key, n), wrong) for n in range(len(entry[key])))
    for of in ("not_personal", "derived", "backups", "measures"):
        yield from ((of, i, ("store",), "nowhere") for i in range(len(SAID[of])))
    yield from (("backups", i, ("rule",), "RS-99") for i in range(len(SAID["backups"])))


def broken(of: str, index: int, key: Path_, wrong: str) -> Catalogue:
    """The first policy with one of its references pointing nowhere."""
    entry = getattr(FIRST, of)[index].model_dump(mode="json")
    place: Any = entry
    for part in key[:-1]:
        place = place[part]
    if len(key) > 1 and key[-2] == "columns":
        place[key[-1]]["category"] = wrong
    else:
        place[key[-1]] = [wrong] if key[-1] == "derived_from" else wrong
    things = list(getattr(FIRST, of))
    things[index] = LISTS[of][1].model_validate(entry)
    return FIRST.model_copy(update={of: tuple(things)})


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(references())))
def test_a_name_that_is_declared_nowhere_is_named_with_its_line(ref: tuple[str, int, Path_, str]) -> None:
    of, index, key, wrong = ref
    found = check(ITRUS, broken(of, index, key, wrong))
    at = line_in(of, index, key)
    here = [p for p in found if (p.file, p.line) == at]
    assert any(wrong in p.what for p in here), [str(p) for p in found]


def line_in(of: str, index: int, key: Path_) -> tuple[str, int]:
    for file in files_of(ITRUS, of):
        entries = file.read_text("utf-8").count("\n- ") + file.read_text("utf-8").startswith("- ")
        if index < entries:
            return file.relative_to(ITRUS).as_posix(), line_of(file, (index, *key))
        index -= entries
    raise AssertionError("no such entry")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A copy of the first policy to break."""
    return Path(shutil.copytree(ITRUS, tmp_path / "policy"))


def edited(root: Path, file: str, old: str, new: str) -> tuple[str, int]:
    """Replace the only such text, and say where."""
    text = (root / file).read_text("utf-8")
    assert text.count(old) == 1, f"{text.count(old)} places in {file}"
    (root / file).write_text(text.replace(old, new), "utf-8")
    return file, text[: text.index(old)].count("\n") + 1


def said(problems: tuple[Problem, ...]) -> str:
    return "\n".join(map(str, problems))


def test_all_problems_are_collected_and_each_names_its_line(policy: Path) -> None:
    one = edited(policy, "datasets/account.yaml", "{category: PI-007}", "{category: PI-777}")
    two = edited(policy, "datasets/cert.yaml", "- {rule: RS-05}", "- {rule: RS-05, period: other}")
    places = {(p.file, p.line) for p in lint(policy)}
    assert {one, two} <= places, said(lint(policy))


def test_a_category_that_lost_its_home_is_named(policy: Path) -> None:
    edited(policy, "datasets/cert.yaml", "key_serial: {category: PI-052}", "key_serial: {}")
    found = lint(policy)
    assert [(p.file, p.key) for p in found if "no dataset holds it" in p.what] == [
        ("categories.yaml", "PI-052.id")
    ]


def test_a_store_or_dataset_abroad_is_named(policy: Path) -> None:
    edited(policy, "stores.yaml", "connection: company\n", "connection: company\n  region: SG\n")
    found = [p for p in lint(policy) if "outside China" in p.what]
    assert [(p.file, p.key) for p in found] == [("stores.yaml", "company.region")]


CASES: dict[str, tuple[str, str, str, str]] = {
    # what is wrong: file, what is there, what is put there, what lint says
    "a circle": (
        "datasets/ent.yaml",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {column: account_id}",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {via: ent.contact, on: {account_id: contact_id}}",
        "leads back to",
    ),
    "nobody": (
        "datasets/ent.yaml",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {column: account_id}",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {via: ent.enterprise, on: {account_id: account_id}}",
        "it leads to nobody",
    ),
    "no way": (
        "datasets/usage.yaml",
        "- {via: usage.device, on: {device_id: device_id}}",
        "- {via: usage.device}",
        "nothing says which columns join",
    ),
    "column and via": (
        "datasets/usage.yaml",
        "- {via: usage.device, on: {device_id: device_id}}",
        "- {via: usage.device, column: device_id, on: {device_id: device_id}}",
        "give exactly one",
    ),
    "joining objects": (
        "datasets/usage.yaml",
        "- {via: usage.device, on: {device_id: device_id}}",
        "- {via: objects.seals, on: {device_id: account_id}}",
        "is no table",
    ),
    "a key that is cut": (
        "datasets/account.yaml",
        "user_name: null,",
        "account_id: null,",
        "a key is not cut",
    ),
    "a cut that cannot happen": (
        "datasets/usage.yaml",
        "title: Places\n",
        "title: Places\n  cut: {set: {map_tile: null}}\n",
        "nothing can make one stay",
    ),
    "no cut": (
        "datasets/cert.yaml",
        "  cut: {set: {subject_dn: null}}\n",
        "",
        "nothing says how to anonymise it",
    ),
    "less than the rule": (
        "datasets/usage.yaml",
        "title: Devices\n",
        "title: Devices\n  action: anonymise\n  cut: {set: {os_version: null}}\n",
        "RS-13 ends in: erase",
    ),
    "another's link uncut": (
        "datasets/ent.yaml",
        "cut: {set: {account_id: null}}",
        "cut: {set: {mobile: null}}",
        "nothing cuts it",
    ),
    "shared and sole": (
        "datasets/sign.yaml",
        "- {via: sign.contract_party, on: {contract_id: contract_id}, ownership: shared, role: a party}",
        "- {via: sign.contract_party, on: {contract_id: contract_id}, ownership: shared}\n"
        "    - {via: sign.signature, on: {contract_id: contract_id}}",
        "goes with one person by another",
    ),
    "one place twice": (
        "datasets/billing.yaml",
        "address: billing.voucher\n",
        "address: billing.invoice\n",
        "is at the same place",
    ),
    "overlapping paths": (
        "datasets/objects.yaml",
        'prefix: "handwriting/{account_id}/"',
        'prefix: "seal/{account_id}/x/"',
        "is at the same place",
    ),
    "a path to nobody": (
        "datasets/objects.yaml",
        'prefix: "handwriting/{account_id}/"',
        'prefix: "handwriting/"',
        "nothing in the path leads to a person",
    ),
    "a variable unmapped": (
        "datasets/objects.yaml",
        'prefix: "handwriting/{account_id}/"',
        'prefix: "handwriting/{account_id}/{seal_id}/"',
        "'seal_id' is not among the columns",
    ),
    "personal and not": (
        "not_personal.yaml",
        "address: ops.incident\n",
        "address: ops.incident_person\n",
        "it is dataset ops.incident_person too",
    ),
    "a rule for nothing": (
        "datasets/usage.yaml",
        "- {rule: RS-14}",
        "- {rule: RS-13}",
        "nothing is bound to it",
    ),
    "a rule that says it is unbound": (
        "retention.yaml",
        "- id: RS-14\n",
        "- id: RS-14\n  unbound: because\n",
        "it is bound, and says why it is not",
    ),
    "a clause without an answer": (
        "clauses.yaml",
        "  controls: [all_in_the_country]\n- no: 84",
        "- no: 84",
        "nothing honours this sentence",
    ),
    "both a control and none": (
        "clauses.yaml",
        '  no_control: never_expected\n  reason: "The company reports no news"',
        "  controls: [sealed_at_rest]\n  no_control: never_expected\n  reason: x",
        "keep either the reason",
    ),
    "a reason without words": (
        "clauses.yaml",
        '\n  reason: "The company reports no news"',
        "",
        "belong together",
    ),
    "a clause is missing": ("clauses.yaml", "- no: 131\n", "- no: 132\n", "clause 131 is missing"),
    "a control for nothing": (
        "controls.yaml",
        "- id: sealed_at_rest\n",
        "- id: sealed_twice\n",
        "it honours no clause",
    ),
    "a floor without a statute": (
        "retention.yaml",
        "[{cite: Invoice Measures 28, rank: administrative_regulation,",
        "[{cite: Invoice Measures 28, rank: departmental_rule,",
        "restrains nothing",
    ),
    "no time at all": ("retention.yaml", "- duration: P7D", "- duration: P", "names no time"),
    "years of working days": (
        "retention.yaml",
        "duration: P3D\n",
        "duration: P3M\n",
        "cannot be counted in working days",
    ),
    "a backup kept too long": ("backups.yaml", "keep: P14D", "keep: P2Y", "longer than RS-25 allows"),
    "a category under the wrong rule": (
        "datasets/usage.yaml",
        "- {rule: RS-15}",
        "- {rule: RS-14}",
        "no dataset that holds it",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_contradiction_is_named(name: str, policy: Path) -> None:
    file, old, new, what = CASES[name]
    edited(policy, file, old, new)
    found = lint(policy)
    assert what in said(found), said(found) or "nothing was found"
    assert all((policy / p.file).is_file() and p.line >= 1 and p.next_step for p in found)


Breaking = Callable[[Path], None]
FILES: dict[str, tuple[Breaking, str]] = {
    "a measure without its proof": (
        lambda r: (r / "measures/revoke_tokens.proof.sql").unlink(),
        "it has no proof",
    ),
    "a measure without its statement": (
        lambda r: (r / "measures/revoke_tokens.sql").unlink(),
        "nothing says how to do it",
    ),
    "a measure for everybody": (
        lambda r: void((r / "measures/revoke_tokens.sql").write_text("SELECT 1")),
        "reaches everybody",
    ),
    "a statement without a measure": (
        lambda r: void((r / "measures/other.sql").write_text("SELECT 1")),
        "nothing asks for it",
    ),
    "a starting point that is gone": (
        lambda r: (r / "starting_points/certificate_ended.sql").unlink(),
        "there is no starting_points/certificate_ended.sql",
    ),
    "a starting point nobody asks for": (
        lambda r: void((r / "starting_points/other.sql").write_text("SELECT 1")),
        "starting_points/other.sql:1: other: nothing asks for it",
    ),
    "a starting point without its column": (
        lambda r: void((r / "starting_points/certificate_ended.sql").write_text("SELECT serial FROM cohort")),
        "has no 'started_at'",
    ),
}


def void(_: object) -> None:
    return None


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_sql_that_does_not_fit_is_named(name: str, policy: Path) -> None:
    breaking, what = FILES[name]
    breaking(policy)
    assert what in said(lint(policy))


@pytest.mark.parametrize(
    "of",
    ["clauses", "categories", "rules", "recipients", "controls", "stores", "datasets", "backups", "measures"],
)
def test_what_is_declared_twice_is_named(of: str, policy: Path) -> None:
    file = files_of(policy, of)[0]
    text = file.read_text("utf-8")
    first = (
        "- " + text.split("\n- ", 1)[-1].split("\n- ")[0].strip("\n")
        if not text.startswith("- ")
        else (text.split("\n- ")[0])
    )
    file.write_text(text.rstrip("\n") + "\n" + first.rstrip("\n") + "\n", "utf-8")
    assert any(
        "is declared twice" in p.what and p.file == file.relative_to(policy).as_posix() for p in lint(policy)
    )


@pytest.mark.parametrize(
    ("duration", "most"), [("P5Y", 1830), ("P6M", 186), ("P2W", 14), ("PT24H", 1), ("P1DT12H", 1.5)]
)
def test_a_duration_lasts_at_most(duration: str, most: float) -> None:
    assert days(duration) == most
