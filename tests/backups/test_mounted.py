"""A volume that is not mounted leaves an empty directory: it is not one in which nobody is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.backups.basebackup import BaseBackups
from include.backups.dumps import Dumps
from include.backups.mounted import TRULY
from include.model.backups import BackupTool

READERS = {"basebackup": BaseBackups, "dump": Dumps}


@pytest.mark.parametrize("tool", sorted(READERS))
def test_an_empty_directory_says_nothing_unless_a_person_says_that_it_is_empty(
    tmp_path: Path, tool: str
) -> None:
    reader: BackupTool = READERS[tool]("nightly", str(tmp_path))
    (why,) = reader.look().problems
    assert "as if not mounted" in why
    (tmp_path / TRULY).touch()
    assert reader.look().problems == ()


def test_a_declared_archive_must_be_there_and_beside_a_copy_it_is_never_empty(tmp_path: Path) -> None:
    reader = BaseBackups("nightly", str(tmp_path), "archive")
    (tmp_path / TRULY).touch()
    (why,) = reader.look().problems
    assert why.startswith("its archive of the log is not there")
    home = tmp_path / "archive"
    home.mkdir()
    assert reader.look().problems == (), "nothing was ever archived"
    copy = tmp_path / "0001"
    copy.mkdir()
    (copy / "backup_label").write_text("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n")
    (why,) = reader.look().problems
    assert why.startswith("its archive of the log is not there, or empty")
    (home / "000000010000000000000002").touch()
    assert reader.look().problems == ()
