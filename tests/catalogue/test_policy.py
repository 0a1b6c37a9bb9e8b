"""What the first policy says, held against the policy's own words and against the code that keeps them."""

from __future__ import annotations

import importlib
import re
from datetime import date
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from include.cases.planner import provide
from include.catalogue.coverage import REPOSITORY, Standing, coverage, exists, standing
from include.catalogue.loader import ITRUS, LISTS, files_of, load
from include.catalogue.matrix import PAGE, page
from include.catalogue.reach import is_reached
from include.catalogue.schema import first_line, schemas, stale
from include.model.catalogue import Control
from include.model.policy import Clause, NoControl
from include.model.words import Ground, LegalRank, Rung

POLICY = load()

WORDS = {
    "姓名": "001", "身份证号": "037", "证件号码": "004", "手机号": "005", "手机号码": "005", "银行卡号": "022",
    "人像图像": "038", "人脸照片": "019", "人脸视频": "020", "收集照片": "082", "识别银行卡信息": "022",
    "识别身份证信息": "032 033 034 035 036 037 039 040", "个人图像": "041", "车牌号": "074", "号牌种类": "075",
    "车架号": "076", "发动机号": "077", "识别驾驶证信息": "078", "几类卡": "079", "民族": "034", "地址": "080",
    "借款详情": "081", "数据包hash": "083",
}  # fmt: skip
"""The words of table 4.4, and the categories that each means."""


def test_everything_of_the_policy_is_there() -> None:
    assert [c.no for c in POLICY.clauses] == list(range(1, 132))
    assert [c.id for c in POLICY.categories] == [f"PI-{n:03}" for n in range(1, 89)]
    assert [r.id for r in POLICY.rules] == [f"RS-{n:02}" for n in range(1, 31)]
    assert len(POLICY.recipients) == 26


def test_the_recipients_are_the_rows_of_table_4_4() -> None:
    rows = {int(re.match(r"\d+", r.row).group()) for r in POLICY.recipients}  # type: ignore[union-attr]
    assert rows == set(range(1, 22))
    for recipient in POLICY.recipients:
        meant = {f"PI-{n}" for word in recipient.fields.split("、") for n in WORDS[word].split()}
        assert set(recipient.categories) == meant, recipient.id


def test_the_sandbox_hands_data_to_the_recipients_of_the_catalogue() -> None:
    world = YAML(typ="safe").load(Path("include/sandbox/recipients/recipients.yaml").read_text("utf-8"))
    assert {(b["id"], b["name"], b["role"]) for b in world} == {
        (r.id, r.name, r.role.value) for r in POLICY.recipients
    }


def test_every_period_that_restrains_a_deletion_cites_a_statute() -> None:
    restraining = {
        f"{rule.id}/{p.name}": (p.duration, [b.cite for b in p.basis if b.rank.restrains_deletion])
        for rule in POLICY.rules for p in rule.periods if p.restrains_deletion
    }  # fmt: skip
    assert restraining == {
        "RS-03/main": ("P5Y", ["ESL 24"]),
        "RS-04/main": ("P5Y", ["ESL 24"]),
        "RS-10/main": ("P5Y", ["ESL 24"]),
        "RS-12/main": ("P6M", ["Cybersecurity Law 23(3)"]),
        "RS-17/voucher": ("P30Y", ["Accounting Law 23", "Accounting Archives Measures annex 1"]),
        "RS-17/bank_statement": ("P10Y", ["Accounting Law 23", "Accounting Archives Measures annex 1"]),
        "RS-17/invoice_stub": ("P5Y", ["Invoice Measures 28"]),
        "RS-17/tax": ("P10Y", ["Tax Collection Rules 29"]),
        "RS-22/main": ("P3Y", ["PIPL 56", "NDSMR 12"]),
    }


def test_locked_evidence_is_kept_as_long_as_the_signature_it_holds() -> None:
    provided = provide(POLICY, Ground.CANCELLATION, date(2026, 11, 24), case_no="CASE-000001", tokens=("t",))
    of = {p.dataset: p for p in provided.provisions}
    kept = of["objects.locked_evidence"].floors
    assert [(f.rule, f.duration, f.law) for f in kept] == [("RS-10", "P5Y", "ESL 24")]
    assert kept == of["sign.signature"].floors


def test_a_citation_has_one_rank_wherever_it_stands() -> None:
    ranks: dict[str, set[LegalRank]] = {}
    for rule in POLICY.rules:
        for basis in (*rule.basis, *(b for p in rule.periods for b in p.basis)):
            ranks.setdefault(basis.cite.split(" ")[0], set()).add(basis.rank)
    ranks.pop("Accounting")  # the law, and the measures that it delegates
    mixed = {cite: found for cite, found in ranks.items() if len(found) > 1}
    assert mixed == {
        "Minors": {LegalRank.LAW, LegalRank.ADMINISTRATIVE_REGULATION}
    }  # the law, and the regulations


def test_biometrics_go_from_the_live_bytes_too() -> None:
    wiped = {c.id for c in POLICY.categories if c.rung is Rung.R4}
    assert wiped == {"PI-019", "PI-020", "PI-021", "PI-038", "PI-041", "PI-046", "PI-082"}
    assert all(c.sensitive for c in POLICY.categories if c.rung is Rung.R4)


def test_every_clause_is_answered_and_no_control_dangles() -> None:
    found = coverage(ITRUS, POLICY)
    assert [str(p) for p in found.dangling] == []
    assert sum(len(found.of(s)) for s in Standing) == len(POLICY.clauses)
    assert sum(found.reasons().values()) == len(found.of(Standing.OUTSIDE))


@pytest.mark.parametrize("control", POLICY.controls, ids=lambda c: c.id)
def test_the_code_of_a_control_can_be_imported(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "plugins")
    if ":" in control.code:
        module, _, path = control.code.partition(":")
        assert reduce(getattr, path.split("."), importlib.import_module(module)) is not None
    else:
        assert Path(control.code).is_file()


@pytest.mark.parametrize(
    "code",
    ["include.cases.planner:no_such", "include.cases.nowhere:provide", "include.stores.s3.objects:Objects.no_such",
     "dags/no_such.py"],
)  # fmt: skip
def test_code_that_is_not_there_does_not_exist(code: str) -> None:
    assert not exists(code)


@pytest.mark.parametrize(
    ("code", "test", "wrong"),
    [("include.cases.planner:no_such", None, "code"), (None, "tests/catalogue/test_policy.py::test_no_such", "test"),
     (None, "tests/catalogue/test_policy.py", "test"), (None, "tests/no_such.py::test_x", "test")],
)  # fmt: skip
def test_a_control_that_dangles_is_named_with_its_line(
    code: str | None, test: str | None, wrong: str
) -> None:
    first = POLICY.controls[0]
    bad = first.model_copy(update={"code": code or first.code, "test": test or first.test})
    found = coverage(ITRUS, POLICY.model_copy(update={"controls": (bad, *POLICY.controls[1:])}))
    (problem,) = found.dangling
    assert problem.key == f"{first.id}.{wrong}"
    line = (ITRUS / "controls.yaml").read_text("utf-8").splitlines()[problem.line - 1]
    assert line.strip().startswith(f"{wrong}:")


def repository(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return root


PRODUCT = {
    "dags/night.py": "from include.verbs import run\nrun()\n",
    "include/verbs.py": "from include import rooms\nfrom include.rooms import Desk\n\nALL = (rooms.clean,)\n\n"
                        "def run():\n    from include.late import last\n    Desk().tidy()\n    return ALL, last\n\n"
                        "def close():\n    pass\n",
    "include/rooms.py": "class Desk:\n    def tidy(self):\n        self._dust()\n    def _dust(self):\n        pass\n"
                        "    def sell(self):\n        pass\n\ndef clean():\n    pass\n\ndef paint():\n    close()\n",
    "include/late.py": "from include.moved import last\n",
    "include/moved.py": "def last():\n    pass\n",
    "include/sandbox/play.py": "from include.rooms import paint\npaint()\n",
    "include/commands/sandbox.py": "from include.rooms import paint\npaint()\n",
    "tests/test_rooms.py": "from include.rooms import paint\npaint()\n",
}  # fmt: skip


def test_what_the_product_reaches_is_told_from_what_tests_and_sandbox_alone_do(tmp_path: Path) -> None:
    root = repository(tmp_path, PRODUCT)
    used = ["verbs:run", "verbs:ALL", "rooms:Desk.tidy", "rooms:Desk._dust", "rooms:clean", "moved:last"]
    idle = ["verbs:close", "rooms:paint", "rooms:Desk.sell"]
    assert [name for name in used + idle if is_reached(f"include.{name}", root)] == used


def test_code_that_tests_alone_reach_keeps_no_promise_that_misses_nothing() -> None:
    control = next(c for c in POLICY.controls if c.id == "released_among_k")
    assert is_reached(control.code, REPOSITORY), "releases by the calendar do"
    idle = "include.sandbox.legal:hold_open_disputes"
    assert not is_reached(idle, REPOSITORY)
    boasting = tuple(c.model_copy(update={"code": idle}) if c is control else c for c in POLICY.controls)
    (problem,) = coverage(ITRUS, POLICY.model_copy(update={"controls": boasting})).dangling
    assert problem.key == "released_among_k.code"
    assert "clause 39 misses nothing" in problem.what


def test_without_tests_at_hand_nobody_says_that_controls_have_theirs(tmp_path: Path) -> None:
    found = coverage(ITRUS, POLICY, repository(tmp_path, PRODUCT | {"tests/test_rooms.py": ""}))
    assert found.unverified == ()
    (tmp_path / "tests/test_rooms.py").unlink()
    (tmp_path / "tests").rmdir()
    assert "nobody looked" in coverage(ITRUS, POLICY, tmp_path).unverified[0]


@given(st.booleans(), st.none() | st.sampled_from(NoControl), st.none() | st.text(min_size=1))
def test_a_clause_stands_in_one_way(controls: bool, reason: NoControl | None, missing: str | None) -> None:
    clause = Clause(no=1, art="1", zh="x", en="x", workflows=(), evidence="", open=missing,
                    controls=("c",) if controls else (), no_control=reason, reason="r" if reason else None)  # fmt: skip
    expected = (Standing.OUTSIDE if reason else Standing.OPEN if not controls
                else Standing.PARTLY if missing else Standing.KEPT)  # fmt: skip
    assert standing(clause) is expected


def test_the_schemas_are_those_of_the_models() -> None:
    assert stale() == ()


def test_every_file_names_its_schema_in_its_first_line() -> None:
    for field in LISTS:
        for file in files_of(ITRUS, field):
            assert file.read_text("utf-8").splitlines()[0] == first_line(ITRUS, file, field), file.name
            named = file.parent / first_line(ITRUS, file, field).split("$schema=")[1]
            assert named.resolve().name in schemas()


def test_a_schema_that_is_old_or_nobodys_is_named(tmp_path: Path) -> None:
    for name, text in schemas().items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "clauses.schema.json").write_text("{}", "utf-8")
    (tmp_path / "other.schema.json").write_text("{}", "utf-8")
    assert stale(tmp_path) == ("clauses.schema.json", "other.schema.json")


def test_the_policy_matrix_is_that_of_the_catalogue() -> None:
    text = page(ITRUS, POLICY)
    assert PAGE.read_text("utf-8") == text, "run `quietus catalogue matrix`"
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {4, 6, 7, 8}
    assert all(f"| {c.no} | {c.art} |" in text for c in POLICY.clauses)
