"""What is wrong with columns that end before their row is named: its file, its line and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.catalogue import load
from include.catalogue.lint import lint
from include.catalogue.loader import ITRUS

WRONG = {
    "a column that is not there": ("set: {proof: null}", "set: {prof: null}", "not among the columns"),
    "a key": ("set: {proof: null}", "set: {request_id: 0}", "is of its key, or leads to somebody"),
    "a link": ("set: {proof: null}", "set: {account_id: null}", "is of its key, or leads to somebody"),
    "what others lead through": ("    - {column: account_id}\n  binds:\n    - {rule: RS-19}\n",
                                 "    - {via: support.rights_request, on: {commission: proof}}\n  binds:\n    - {rule: RS-19}\n",
                                 "'proof' is of its key, or leads to somebody"),
    "what its row begins by": ("set: {proof: null}", "set: {closed_at: null}", "something of its row begins by"),
    "a column of two parts": ("  parts:\n", "  parts:\n    - {id: other, title: x, set: {proof: null}, binds: [{rule: RS-23}]}\n",
                              "is of another part, too"),
    "the cut's, set to something else": ("  parts:\n", "  cut: {set: {proof: gone, account_id: null}}\n  parts:\n",
                                         "the cut sets 'proof' to something else"),
    "all that the cut sets": ("  parts:\n", "  cut: {set: {proof: null}}\n  parts:\n", "would look cut that nobody cut"),
    "a clock that the cut takes": ("  parts:\n", "  cut: {set: {proof_checked_at: null}}\n  parts:\n",
                                   "not what this clock starts by"),
    "an unknown period": ("period: proof, start", "period: prooof, start", "prooof"),
    "an unknown start": ("start: {column: proof_checked_at}", "start: {column: checked_at}", "not among the columns"),
    "no column": ("set: {proof: null}", "set: {}", "it has no column, or no bind"),
    "a declared part": ("  address: support.rights_request\n",
                        "  address: support.rights_request\n  part_of: support.ticket\n", "a part is declared with its row"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    old, new, why = WRONG[name]
    root = tmp_path / "itrus"
    shutil.copytree(ITRUS, root)
    file = root / "datasets" / "support.yaml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    assert why in "\n".join(map(str, lint(root)))


def test_nights_see_each_part_as_a_dataset_and_nobody_else_does() -> None:
    catalogue = load()
    part = catalogue.dataset("support.rights_request.proof")
    assert (part.part_of, part.address, part.action) == (
        "support.rights_request",
        "support.rights_request",
        "erase",
    )
    assert part.id not in {d.id for d in catalogue.datasets} and part.id in {
        d.id for d in catalogue.in_parts.datasets
    }
    assert {d.address: d for d in catalogue.in_parts.datasets}[part.address].part_of is None
    assert catalogue.in_parts.in_parts == catalogue.in_parts
    assert [b.period for b in part.binds] == ["proof"]
