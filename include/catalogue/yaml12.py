"""YAML 1.2 read by libyaml: a hundred times as fast as a reader in Python, and every command and task reads the catalogue first.

libyaml's own Python binding resolves plain words as YAML 1.1 does (``on`` is true, ``012`` is ten, a key that comes twice wins);
here they mean what the core schema of YAML 1.2.2 says, section 10.3.2, with the dates of 1.1 besides. Whoever needs to say where
something is wrong asks another reader, which knows lines (:mod:`include.catalogue.loader`).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_WORDS: tuple[tuple[str, str, str], ...] = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
     r"|\.(?:nan|NaN|NAN)",
     "-+0123456789."),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)  # fmt: skip


class _Reader(yaml.CSafeLoader):  # type: ignore[misc]
    """Words as YAML 1.2 has them, and no key twice."""

    yaml_implicit_resolvers: Any = {
        first: [(tag, form) for tag, form in of if tag == "tag:yaml.org,2002:timestamp"]
        for first, of in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode) and k.value != "<<"]
        if len(set(seen)) != len(seen):
            raise yaml.constructor.ConstructorError(None, None, "a key comes twice", node.start_mark)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made

    def whole(self, node: Any) -> int:
        said = str(self.construct_scalar(node))
        return int(said, 0) if said[:2] in ("0o", "0x") else int(said)


for _tag, _form, _first in _WORDS:
    _Reader.add_implicit_resolver(
        _tag, re.compile(f"^(?:{_form})$"), ["" if c == "\0" else c for c in _first]
    )
_Reader.add_constructor("tag:yaml.org,2002:int", _Reader.whole)


def read(text: str) -> Any:
    """What a document says, as lists, dicts and scalars. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Reader)  # noqa: S506 - a safe loader with other words


__all__ = ["read"]
