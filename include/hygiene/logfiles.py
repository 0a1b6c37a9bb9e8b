"""Task logs on disk: a run's directory goes when its run is no more and nobody wrote there since the limit.

<base>/dag_id=…/run_id=…/task_id=…/[map_index=…/]attempt=….log      Airflow's own layout; another is not guessed at
<base>/{dag_processor,scheduler,triggerer,…}/…                        components, file by file
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LAYOUT = "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/"
"""How the template of file names must begin."""
COMPONENTS = frozenset(
    {"dag_processor", "dag_processor_manager", "scheduler", "triggerer", "worker", "api_server"}
)
THERE = "its run is still there"
YOUNG = "its limit has not come"

Runs = Set[tuple[str, str]]  # (dag_id, run_id)


@dataclass
class Logs:
    """Files by what becomes of them: ``None`` goes. ``unknown``: names at the top that are no logs we know."""

    files: Counter[str | None] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)

    @property
    def gone(self) -> int:
        return self.files[None]


def sweep(
    base: Path,
    there: Runs,
    before: datetime,
    *,
    dry: bool = False,
    may_go_on: Callable[[], None] = lambda: None,
) -> Logs:
    """Remove what is past its limit; with ``dry`` count only. ``there``: every run that the metadata has. ``may_go_on`` is called
    before each run's directory, and each component's, and raises Stopped.

    A link is no log: it is removed where nothing else is left in its directory, and never followed. Raises OSError.
    """
    found = Logs()
    for top in sorted(os.scandir(base), key=lambda e: e.name):
        if top.is_dir(follow_symlinks=False) and top.name.startswith("dag_id="):
            _dag(Path(top.path), there, before, None if dry else may_go_on, found)
        elif top.is_dir(follow_symlinks=False) and top.name in COMPONENTS:
            if not dry:
                may_go_on()
            _component(Path(top.path), before, dry, found)
        else:
            found.unknown.append(top.name)
    return found


def _dag(
    directory: Path, there: Runs, before: datetime, remove: Callable[[], None] | None, found: Logs
) -> None:
    """``remove``: what is asked before each removal; without it nothing is."""
    dag_id = directory.name.removeprefix("dag_id=")
    for run in sorted(directory.iterdir()):
        if run.is_symlink() or not run.is_dir() or not run.name.startswith("run_id="):
            found.unknown.append(f"{directory.name}/{run.name}")
            continue
        files = list(_files(run))
        if (dag_id, run.name.removeprefix("run_id=")) in there:
            found.files[THERE] += len(files)
        elif any(_written(f) >= before for f in files):
            found.files[YOUNG] += len(files)
        else:
            found.files[None] += len(files)
            if remove is not None:
                remove()
                _remove(run, files)
    if remove is not None:
        _remove_if_empty(directory)


def _component(directory: Path, before: datetime, dry: bool, found: Logs) -> None:
    for file in _files(directory):
        if _written(file) >= before:
            found.files[YOUNG] += 1
            continue
        found.files[None] += 1
        if not dry:
            file.unlink(missing_ok=True)
    if not dry:
        for path, _, _ in os.walk(directory, topdown=False):
            if Path(path) != directory:
                _remove_if_empty(Path(path))


def _remove(run: Path, files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    for path, _, _ in os.walk(run, topdown=False):
        _remove_if_empty(Path(path))


def _remove_if_empty(directory: Path) -> None:
    """Links aside: what they point to is not theirs."""
    left = list(directory.iterdir())
    if all(p.is_symlink() and not p.exists() for p in left):
        for link in left:
            link.unlink()
        directory.rmdir()


def _files(directory: Path) -> Iterator[Path]:
    for path, _, names in os.walk(directory):
        for name in sorted(names):
            file = Path(path, name)
            if stat.S_ISREG(file.lstat().st_mode):
                yield file


def _written(file: Path) -> datetime:
    return datetime.fromtimestamp(file.lstat().st_mtime, UTC)
