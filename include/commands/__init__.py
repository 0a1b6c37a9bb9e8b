"""The command line, ``quietus``. One file per command or group of commands.

A module here whose name has no leading underscore is ``quietus <module>``. It holds either ``app``, a
typer application with commands of its own, or ``command``, a function that is the command. Nothing else
needs to know of it. What is heavy is imported inside the functions: ``quietus --help`` must stay quick.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from include.model.errors import QuietusError

FAILED = 1  # a QuietusError; 2 is typer's for a wrong command line, 130 for Ctrl-C


def build() -> typer.Typer:
    """The whole command line, from the modules that are here."""
    # Pretty tracebacks print local variables, which may be personal data.
    app = typer.Typer(
        name="quietus",
        help="Deletes what a privacy policy promises to delete, and proves it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback()
    def _top() -> None:
        pass

    for found in pkgutil.iter_modules(__path__):
        if found.name.startswith("_"):
            continue
        module = import_module(f"{__name__}.{found.name}")
        if isinstance(getattr(module, "app", None), typer.Typer):
            app.add_typer(module.app, name=found.name)
        else:
            app.command(name=found.name)(module.command)
    return app


def main() -> None:
    """Run it. An error that we know is one line on standard error, never a traceback."""
    try:
        build()()
    except QuietusError as error:
        Console(stderr=True, emoji=False).print(f"[red]quietus:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(FAILED)
