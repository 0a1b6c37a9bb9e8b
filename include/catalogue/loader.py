"""A directory of YAML and SQL, made into a frozen catalogue; or every error in it, by file, line and key.

    clauses.yaml categories.yaml retention.yaml recipients.yaml upstream.yaml laws.yaml controls.yaml   what is promised
    stores.yaml datasets/*.yaml exceptions.yaml not_personal.yaml derived.yaml releases.yaml grading.yaml   where the data is
    versions.yaml                   what each version of it promised of the company's own periods
    backups.yaml own_records.yaml   where copies of it are, and what we keep ourselves
    media.yaml                      how what held them is sanitised
    measures.yaml measures/*.sql starting_points/*.sql                          what only SQL can say

Each YAML file is a list of things of one kind (``include.model.policy``, ``include.model.estate``), YAML 1.2, no key unknown. A
policy that releases nothing needs no ``releases.yaml``, and one whose accounts do not say what was accepted no ``versions.yaml``;
without ``media.yaml`` no record of a medium is taken, and without ``grading.yaml`` nothing is graded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from yaml import YAMLError as PlainYAMLError

from include.catalogue import yaml12
from include.model.catalogue import Catalogue, Control
from include.model.declared import Declared
from include.model.errors import CatalogueError
from include.model.estate import BackupSet, Dataset, Derived, Excepted, Measure, NotPersonal, StoreDeclared
from include.model.media import MediaProcedure
from include.model.policy import Category, Clause, Law, OwnRecords, Recipient, RetentionRule, Upstream
from include.model.releases import Grading, Release
from include.model.versions import PolicyVersion

ITRUS = Path(__file__).parent / "itrus"

LISTS: Mapping[str, tuple[str, type[Declared]]] = {
    "clauses": ("clauses.yaml", Clause),
    "categories": ("categories.yaml", Category),
    "rules": ("retention.yaml", RetentionRule),
    "recipients": ("recipients.yaml", Recipient),
    "laws": ("laws.yaml", Law),
    "controls": ("controls.yaml", Control),
    "stores": ("stores.yaml", StoreDeclared),
    "datasets": ("datasets/*.yaml", Dataset),
    "exceptions": ("exceptions.yaml", Excepted),
    "not_personal": ("not_personal.yaml", NotPersonal),
    "derived": ("derived.yaml", Derived),
    "releases": ("releases.yaml", Release),
    "backups": ("backups.yaml", BackupSet),
    "measures": ("measures.yaml", Measure),
    "upstream": ("upstream.yaml", Upstream),
    "own_records": ("own_records.yaml", OwnRecords),
    "versions": ("versions.yaml", PolicyVersion),
    "media": ("media.yaml", MediaProcedure),
    "grading": ("grading.yaml", Grading),
}
"""Field of the catalogue -> its file or files, and what each entry is."""

OPTIONAL = frozenset({"releases", "versions", "media", "grading"})
"""Fields whose file may be missing: then nothing of the kind is declared."""

SHOWN = 20  # errors in one message; more would hide the first


def load(path: Path | None = None) -> Catalogue:
    """The catalogue in a directory (default: the first policy). Kept in memory, by the files' digest.

    Raises CatalogueError naming file, line and key of everything that does not fit its model.
    """
    root = path or ITRUS
    if not root.is_dir():
        raise CatalogueError(
            "there is no such directory", about=str(root), next_step="name a catalogue's directory"
        )
    return _load(root, _digest(root))


def sources(root: Path) -> tuple[Path, ...]:
    """Every file that the catalogue is made of, in a fixed order."""
    return tuple(sorted(p for p in root.rglob("*") if p.suffix in (".yaml", ".sql") and p.is_file()))


def files_of(root: Path, field: str) -> tuple[Path, ...]:
    """The YAML files of one field of the catalogue; a missing one is missing here too."""
    return tuple(sorted(root.glob(LISTS[field][0])))


def _digest(root: Path) -> str:
    """SHA-256 over names and contents. A plan is pinned to it."""
    digest = hashlib.sha256()
    for file in sources(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _load(root: Path, digest: str) -> Catalogue:
    errors: list[str] = []
    parts: dict[str, Any] = {}
    for field, (_, model) in LISTS.items():
        found: list[Any] = []
        files = files_of(root, field)
        if not files and field not in OPTIONAL:
            errors.append(f"{LISTS[field][0]}: the file is missing")
        for file in files:
            found += _entries(root, file, model, errors)
        parts[field] = tuple(found)
    if errors:
        more = f"\n  … and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        raise CatalogueError(
            f"{len(errors)} error{'s' if len(errors) > 1 else ''}:\n  " + "\n  ".join(errors[:SHOWN]) + more,
            about=f"catalogue {root.name}",
            next_step="correct the files; `quietus catalogue lint` checks them again",
        )
    return Catalogue(
        name=root.name,
        digest=digest,
        starting_points=_sql(root / "starting_points"),
        measure_sql=_sql(root / "measures"),
        stop=None,
        **parts,
    )


def _sql(directory: Path) -> dict[str, str]:
    """``<id>.sql`` -> its text, under ``<id>``; ``<id>.proof.sql`` under ``<id>.proof``."""
    return {p.name.removesuffix(".sql"): p.read_text("utf-8") for p in sorted(directory.glob("*.sql"))}


def _entries(root: Path, file: Path, model: type[Declared], errors: list[str]) -> list[Declared]:
    name = file.relative_to(root).as_posix()
    try:
        said = _said(file.read_text("utf-8"))
    except MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        errors.append(f"{name}:{mark.line + 1 if mark else 1}: {broken.problem or 'is not YAML'}")
        return []
    except (YAMLError, UnicodeDecodeError):
        errors.append(f"{name}:1: is not YAML in UTF-8")
        return []
    if not isinstance(said, list):
        errors.append(f"{name}:1: must be a list")
        return []
    made: list[Declared] = []
    for number, entry in enumerate(said):
        try:
            made.append(model.model_validate(entry))
        except ValidationError as wrong:
            for problem in wrong.errors(include_url=False, include_context=False):
                where = (number, *problem["loc"])
                key = ".".join(str(part) for part in problem["loc"]) or "entry"
                errors.append(
                    f"{name}:{line_of(file, where)}: {_label(entry, number)}{key}: {problem['msg']}"
                )
    return made


def _label(entry: Any, number: int) -> str:
    """Which entry of the list is meant, as a person would call it."""
    if isinstance(entry, Mapping):
        for key in ("id", "no", "address", "dataset"):
            if key in entry:
                return f"{entry[key]}: "
    return f"entry {number + 1}: "


@lru_cache(maxsize=64)
def _said(text: str) -> Any:
    """What a file says. Kept, for most files are as they were when one of them changes. Not to be changed."""
    try:
        return yaml12.read(text)
    except (PlainYAMLError, ValueError):
        return YAML(typ="safe").load(text)  # which says in its own words, and by line, what is wrong


@lru_cache(maxsize=64)
def marked(text: str) -> Any:
    """What a file says, and on which line. Not to be changed."""
    return YAML(typ="rt").load(text)


def line_of(file: Path, where: Sequence[str | int]) -> int:
    """The line (from 1) of a place in a YAML file; of the nearest thing around it, if it is missing."""
    node = marked(file.read_text("utf-8"))
    line = 1
    for part in where:
        marks = getattr(node, "lc", None)  # only lists and mappings of YAML have lines
        try:
            at = marks.key(part) if isinstance(node, dict) else marks.item(part)  # type: ignore[union-attr]
            line = at[0] + 1
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line
