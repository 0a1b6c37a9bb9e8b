"""``quietus catalogue``: the declared policy, checked, held to its controls, and explained."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.model.errors import CatalogueError

if TYPE_CHECKING:
    from include.catalogue.problems import Compared, Problem
    from include.model.catalogue import Catalogue
    from include.model.doors import Connections

app = typer.Typer(help="What is promised, where data is, and what keeps the promises.", no_args_is_help=True)

Where = Annotated[
    Path | None,
    typer.Option(
        "--catalogue", help="A catalogue's directory; the first policy if left out.", file_okay=False
    ),
]


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


def _connections() -> Connections:
    from include.commands._connections import connections

    return connections()


def _load(where: Path | None) -> tuple[Path, Catalogue]:
    from include.catalogue import ITRUS, load

    return where or ITRUS, load(where)


def _print(line: str = "") -> None:
    # ":100:" is a line number here, and no emoji.
    Console(highlight=False, emoji=False).print(line, soft_wrap=True, markup=False)


def _stop(problems: Sequence[Problem], root: Path, what: str) -> None:
    """Print problems, each as an editor can open it, and fail if there are any."""
    for problem in problems:
        _print(f"{root / problem.file}:{problem.line}: {problem.key}: {problem.what}")
        _print(f"    {problem.next_step}")
    if problems:
        raise CatalogueError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {what}", about=f"catalogue {root.name}",
            next_step="correct the lines above",
        )  # fmt: skip


@app.command("lint")
def lint_(
    database: Annotated[bool, typer.Option(help="Compare with the live database and buckets too.")] = False,
    where: Where = None,
) -> None:
    """Check every reference, every promise and every map. Prints file, line and what to do."""
    from include.catalogue.lint import lint

    root, catalogue = _load(where)
    found = lint(root)
    _stop(found, root, "the declarations")
    _print(
        f"{catalogue.name}: {len(catalogue.datasets)} datasets, {len(catalogue.clauses)} clauses, no problem"
    )
    if database:
        live = _live(root, catalogue)
        for what in live.unverified:
            _print(f"UNVERIFIED: {what}")
        _stop(live.problems, root, "the map")
        so_far = ", as far as it was looked at" if live.unverified else ""
        _print(f"the map is that of {', '.join(s.id for s in catalogue.stores)}{so_far}")


def _live(root: Path, catalogue: Catalogue) -> Compared:
    from include.catalogue import buckets
    from include.catalogue import database as tables
    from include.catalogue.problems import Compared
    from include.model.words import Role, StoreKind

    connections = _connections()
    found: list[Compared] = []
    for store in catalogue.stores:
        if store.kind is StoreKind.POSTGRES:
            conninfo = connections.postgres(store.connection, Role.PROVER)
            found.append(tables.differences(root, catalogue, store.id, conninfo))
        else:
            client = connections.s3(store.connection, Role.PROVER)
            found.append(buckets.differences(root, catalogue, store.id, client))
    return Compared(
        tuple(sorted({problem for one in found for problem in one.problems})),
        tuple(what for one in found for what in one.unverified),
    )


@app.command()
def coverage(
    everything: Annotated[
        bool, typer.Option("--all", help="List every clause, not only what is open.")
    ] = False,
    lang: Annotated[Language, typer.Option(help="Chinese or English.")] = Language.EN,
    where: Where = None,
) -> None:
    """Every clause and the control that honours it. Fails if a control or its test does not exist."""
    from include.catalogue.coverage import Standing
    from include.catalogue.coverage import coverage as measure
    from include.catalogue.plain import REASON, STANDING, pick

    root, catalogue = _load(where)
    found = measure(root, catalogue)
    for what in found.unverified:
        _print(f"UNVERIFIED: {what}")
    _stop(found.dangling, root, "the controls")
    for stands in Standing:
        clauses = found.of(stands)
        _print(f"{len(clauses):4}  {found.share(stands):4.0%}  {pick(STANDING[stands], lang.value)}")
        if stands is Standing.OUTSIDE:
            for reason, count in found.reasons().items():
                _print(f"{count:10}  {pick(REASON[reason], lang.value)}")
        elif everything or stands in (Standing.OPEN, Standing.PARTLY):
            for c in clauses:
                _print(f"      {c.no:3} {c.art:12} {c.open or ', '.join(c.controls)}")
    owners = f"{len(found.proposals)} periods, procedures and readings of our own wait for an owner: {', '.join(found.proposals)}"
    _print(owners if found.proposals else "every period, procedure and reading of our own has an owner")


@app.command("explain")
def explain_(
    name: Annotated[str, typer.Argument(help="A dataset, PI-nnn, RS-nn, a clause's number or a recipient.")],
    lang: Annotated[Language, typer.Option(help="Chinese or English.")] = Language.ZH,
    where: Where = None,
) -> None:
    """What is this, what does it lead to, what does it rest on? In plain words."""
    from include.catalogue.explain import explain

    _, catalogue = _load(where)
    _print(explain(catalogue, name, lang.value))


@app.command("matrix")
def matrix_(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the page is not current.")
    ] = False,
) -> None:
    """Write docs/policy.md, the policy beside what honours it."""
    from include.catalogue import matrix

    root, catalogue = _load(None)
    if not check:
        matrix.write(root, catalogue)
    elif not matrix.PAGE.exists() or matrix.PAGE.read_text("utf-8") != matrix.page(root, catalogue):
        raise CatalogueError("it is not current", about=matrix.PAGE.name,
                             next_step="run `quietus catalogue matrix` and commit what it writes")  # fmt: skip


@app.command("schema")
def schema_(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a schema is not current.")
    ] = False,
) -> None:
    """Write the JSON Schemas that editors use, from the models."""
    from include.catalogue import schema

    if check:
        old = schema.stale()
        if old:
            raise CatalogueError(f"not current: {', '.join(old)}", about="schemas",
                                 next_step="run `quietus catalogue schema` and commit what it writes")  # fmt: skip
        return
    for file in schema.write():
        _print(str(file.relative_to(schema.SCHEMAS.parents[2])))
