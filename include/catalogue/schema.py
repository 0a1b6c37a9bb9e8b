"""JSON Schema for editors: one per kind of YAML file, made from the models and kept beside them.

``quietus catalogue schema`` writes them; a test fails when they are not those of the models. Each YAML file
names its own in its first line, so that an editor completes keys and marks what is wrong while one types.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from include.catalogue.loader import LISTS

SCHEMAS = Path(__file__).parent / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def name_of(field: str) -> str:
    """The schema file of one field of the catalogue: ``datasets.schema.json`` for ``datasets/*.yaml``."""
    pattern = LISTS[field][0]
    return f"{pattern.split('/', 1)[0].removesuffix('.yaml')}.schema.json"


def schemas() -> dict[str, str]:
    """File name -> JSON Schema, as it is to be committed."""
    made = {}
    for field, (pattern, model) in LISTS.items():
        schema: dict[str, Any] = TypeAdapter(list[model]).json_schema()  # type: ignore[valid-type]
        schema = {"$schema": DRAFT, "title": f"{pattern}: a list of {model.__name__}", **schema}
        made[name_of(field)] = json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    return made


def write(directory: Path = SCHEMAS) -> tuple[Path, ...]:
    """Write them all. Returns the files that changed."""
    directory.mkdir(exist_ok=True)
    changed = []
    for name, text in schemas().items():
        file = directory / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            changed.append(file)
    return tuple(changed)


def stale(directory: Path = SCHEMAS) -> tuple[str, ...]:
    """Names of schema files that are missing, not those of the models, or no model's."""
    wanted = schemas()
    there = {f.name: f.read_text("utf-8") for f in directory.glob("*.schema.json")}
    return tuple(sorted(n for n in wanted.keys() | there.keys() if wanted.get(n) != there.get(n)))


def first_line(root: Path, file: Path, field: str) -> str:
    """The line with which a YAML file names its schema to editors."""
    up = "../" * len(file.relative_to(root.parent).parent.parts)
    return f"# yaml-language-server: $schema={up}{SCHEMAS.name}/{name_of(field)}"
