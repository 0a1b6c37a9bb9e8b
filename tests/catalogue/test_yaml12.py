"""The fast reader says what the one says that knows lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from include.catalogue import yaml12
from include.catalogue.loader import ITRUS, load, sources
from include.model.errors import CatalogueError

WORDS = (
    "on", "off", "yes", "n", "Y", "012", "0o14", "0x1F", "1:30", "2026-01-01", "2026-01-01 10:00:00", "1e3", ".5", "1.", "+1",
    "-7", "~", "null", "Null", "", "'x'", '"07"', "true", "TRUE", "tRUE", ".inf", "-.Inf", "12e03", "0xG", "1.5e+3",
    "P5Y", "RS-03", "[1, no, 3]", "{on: off}", "|\n  two\n  lines", "&a x",
)  # fmt: skip


def slow(text: str) -> Any:
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    "file", [p for p in sources(ITRUS) if p.suffix == ".yaml"], ids=lambda p: str(p.name)
)
def test_every_file_of_the_first_policy_reads_the_same(file: Path) -> None:
    text = file.read_text("utf-8")
    assert repr(yaml12.read(text)) == repr(slow(text))


@pytest.mark.parametrize("word", WORDS)
def test_a_plain_word_is_what_yaml_1_2_says(word: str) -> None:
    text = f"a: {word}"
    assert repr(yaml12.read(text)) == repr(slow(text))


def test_a_merged_mapping_keeps_its_own_keys() -> None:
    text = "- &base {a: 1, b: 2}\n- {<<: *base, b: 3}\n"
    assert yaml12.read(text) == slow(text) == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]


@pytest.mark.parametrize("text", ["a: 1\na: 2", "- {a: [}", "a: !!python/object:os.system x", "\tx: 1"])
def test_what_is_no_document_of_ours_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        yaml12.read(text)


def test_a_key_that_comes_twice_is_told_by_its_line(tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(ITRUS, tmp_path / "policy"))
    file = root / "own_records.yaml"
    lines = file.read_text("utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  "))
    file.write_text("\n".join([*lines[: at + 1], lines[at], *lines[at + 1 :]]) + "\n", "utf-8")
    with pytest.raises(CatalogueError, match=rf"own_records\.yaml:{at + 2}: "):
        load(root)
