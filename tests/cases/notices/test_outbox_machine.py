"""The outbox under any interleaving; and that the machine which looks for trouble finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase

from include.cases.keys import FileKeyStore
from tests.cases.notices.mistakes import MISTAKES
from tests.cases.notices.outbox_machine import World, walk

pytestmark = pytest.mark.postgres

MET = (
    "killed before a commit",
    "killed after a commit",
    "tell: killed",
    "callback",
    "callback again",
)


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.mark.parametrize("repeatable", [True, False], ids=["requests", "letters"])
def test_any_interleaving_sends_each_notice_once_as_its_recipient_sees_it(
    repeatable: bool, writer: str, keys: FileKeyStore
) -> None:
    tally = walk(writer, keys, repeatable=repeatable, walks=20, steps=16, print_blob=True)
    print("\n" + "\n".join(f"{n:5}  {what}" for what, n in sorted(tally.items())))  # noqa: T201
    for what in MET:
        assert tally[what], f"no walk had this: {what}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_machine_finds_what_is_planted(
    mistake: str, writer: str, keys: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    MISTAKES[mistake].plant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        walk(
            writer, keys, repeatable=MISTAKES[mistake].repeatable, walks=100, steps=12,
            derandomize=True, database=None, phases=(Phase.generate,), report_multiple_bugs=False,
        )  # fmt: skip
    print(f"\n{World.tally['walks']} walks: {found.value}")  # noqa: T201
