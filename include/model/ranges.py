"""Names that end in a number, said by ranges: an event has little room, and a dataset may have thousands of bags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

# As far as the verifier of a service (``every``), which stands by itself, reads them.
_NAME = re.compile(r"(.*-)([0-9]{1,6})")
_RANGE = re.compile(r"(.*-)([0-9]{1,6})\.\.([0-9]{1,6})")


def short(names: Iterable[str]) -> list[str]:
    """``a-0001``, ``a-0002``, ``a-0003`` as ``a-0001..0003``; others as they are. Sorted; :func:`long` undoes it."""
    said: list[str] = []
    first: tuple[str, str] | None = None
    last = ""
    for name in sorted(set(names)):
        found = _NAME.fullmatch(name)
        here = (found[1], found[2]) if found else None
        if (
            first
            and here
            and here[0] == first[0]
            and len(here[1]) == len(last)
            and int(here[1]) == int(last) + 1
        ):
            last = here[1]
            continue
        if first:
            said.append(_said(first, last))
        if here is None:
            said.append(name)
        first, last = here, here[1] if here else ""
    if first:
        said.append(_said(first, last))
    return said


def long(said: Iterable[str]) -> Iterator[str]:
    """The names, one by one."""
    for one in said:
        found = _RANGE.fullmatch(one)
        if found is None:
            yield one
            continue
        for number in range(int(found[2]), int(found[3]) + 1):
            yield f"{found[1]}{number:0{len(found[2])}d}"


def grouped(by_name: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by what is said of them, in ranges."""
    groups: dict[str, list[str]] = {}
    for name, what in by_name.items():
        groups.setdefault(what, []).append(name)
    return {what: short(names) for what, names in sorted(groups.items())}


def _said(first: tuple[str, str], last: str) -> str:
    return f"{first[0]}{first[1]}" + (f"..{last}" if last != first[1] else "")


__all__ = ["grouped", "long", "short"]
