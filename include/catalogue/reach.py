"""Which of our code the product reaches: from its runs, its pages and its commands. What only tests reach keeps no promise.

Read from the source, nothing is imported. A name counts as reached if something that is reached speaks of it: a function or class
of a module by its imported name, a method by its name on anything, if its class is reached. So it may call too much reached, by a
method of the same name; it does not miss what is called in plain Python. The sandbox is a place to try the product in and no part
of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

ROOTS = ("dags/*.py", "plugins/**/*.py", "include/commands/*.py")
NO_PRODUCT = ("include/sandbox/", "include/commands/sandbox.py")

Name = tuple[
    str, str
]  # module, and name in it: "run", "Store", "Store.run"; "" for what runs when it is imported


@dataclass
class _Module:
    """``defined``: name -> its syntax; ``imported``: local name -> what it stands for."""

    name: str
    defined: dict[str, list[ast.AST]] = field(default_factory=dict)
    imported: dict[str, Name] = field(default_factory=dict)


@lru_cache(maxsize=4)
def reached(repository: Path) -> frozenset[Name]:
    """Every name that the product reaches. The source is read once for each repository."""
    modules = {m.name: m for m in _modules(repository)}
    roots = {
        _name(repository, f) for pattern in ROOTS for f in repository.glob(pattern) if _product(repository, f)
    }
    return frozenset(_Walk(modules).from_(roots))


def is_reached(code: str, repository: Path) -> bool:
    """Whether ``module:name`` is reached. A file is: it is read, not called."""
    module, colon, name = code.partition(":")
    return not colon or (module, name) in reached(repository)


def _product(repository: Path, file: Path) -> bool:
    return not file.relative_to(repository).as_posix().startswith(NO_PRODUCT)


def _name(repository: Path, file: Path) -> str:
    parts = file.relative_to(repository).with_suffix("").parts
    if parts[0] in ("plugins", "dags"):  # both are on Airflow's path
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules(repository: Path) -> Iterator[_Module]:
    for pattern in ("include/**/*.py", "dags/*.py", "plugins/**/*.py"):
        for file in repository.glob(pattern):
            if _product(repository, file):
                yield _read(_name(repository, file), file)


def _read(name: str, file: Path) -> _Module:
    module = _Module(name)
    tree = ast.parse(file.read_text("utf-8"))
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):  # imports inside of functions too
        if isinstance(node, ast.Import):
            for alias in node.names:
                module.imported[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*up, *([source] if source else [])])
            for alias in node.names:
                module.imported[alias.asname or alias.name] = (source, alias.name)
    _define(module, tree.body, "")
    return module


def _define(module: _Module, body: Iterable[ast.stmt], before: str) -> None:
    """Take a module's or a class's definitions apart; whatever defines nothing runs with the whole."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                module.defined.setdefault(before + name, []).append(node)
            case ast.ClassDef(name=name, body=inner):
                heads: list[ast.AST] = [*node.bases, *node.decorator_list, *(k.value for k in node.keywords)]
                module.defined.setdefault(before + name, []).extend(heads)
                _define(module, inner, f"{before}{name}.")
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                module.defined.setdefault(before + name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value, annotation=kind):
                module.defined.setdefault(before + name, []).extend(x for x in (value, kind) if x is not None)
                if before:  # a field's type belongs to its class
                    module.defined.setdefault(before.removesuffix("."), []).append(kind)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case _:
                module.defined.setdefault(before.removesuffix("."), []).append(node)


class _Walk:
    def __init__(self, modules: dict[str, _Module]) -> None:
        self.modules = modules
        self.seen: set[Name] = set()
        self.ahead: list[Name] = []
        self.spoken: set[str] = set()  # names after a dot, of anything
        self.waiting: dict[str, set[Name]] = {}  # method -> itself, of classes that are reached

    def from_(self, roots: Iterable[str]) -> set[Name]:
        for root in roots:
            self._reach((root, ""))
            for name in self.modules[root].defined:  # registered by a decorator, or found by Airflow
                self._reach((root, name))
        while self.ahead:
            module, name = self.ahead.pop()
            for node in self.modules[module].defined.get(name, ()):
                self._read(self.modules[module], node)
        return self.seen

    def _reach(self, what: Name) -> None:
        module, name = what
        if module not in self.modules or what in self.seen:
            return
        here = self.modules[module]
        if name in here.imported and name not in here.defined:  # handed on
            self.seen.add(what)
            self._resolve(here.imported[name])
            return
        self.seen.add(what)
        self.ahead.append(what)
        self._reach((module, ""))
        for member in here.defined:
            owner, _, method = member.rpartition(".")
            if owner == name and name:
                if method in self.spoken or (method.startswith("__") and method.endswith("__")):
                    self._reach((module, member))
                else:
                    self.waiting.setdefault(method, set()).add((module, member))

    def _resolve(self, source: Name) -> None:
        """Something imported: a name of a module, or a module itself."""
        module, name = source
        whole = f"{module}.{name}" if name else module
        if whole in self.modules:
            self._reach((whole, ""))
        elif module in self.modules:
            self._reach((module, name))

    def _read(self, module: _Module, node: ast.AST) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                if part.id in module.defined:
                    self._reach((module.name, part.id))
                elif part.id in module.imported:
                    self._resolve(module.imported[part.id])
            elif isinstance(part, ast.Attribute):
                self._speak(part.attr)
                if (owner := self._module_of(module, part.value)) is not None:
                    self._reach((owner, part.attr))

    def _speak(self, attribute: str) -> None:
        self.spoken.add(attribute)
        for method in self.waiting.pop(attribute, ()):
            self._reach(method)

    def _module_of(self, module: _Module, node: ast.expr) -> str | None:
        """The module that an expression such as ``closing`` or ``include.cases.closing`` stands for."""
        if isinstance(node, ast.Name) and node.id in module.imported:
            source, name = module.imported[node.id]
            whole = f"{source}.{name}" if name else source
            return whole if whole in self.modules else None
        if isinstance(node, ast.Attribute):
            before = self._module_of(module, node.value)
            inside = f"{before}.{node.attr}"
            return inside if before is not None and inside in self.modules else None
        return None
