"""``quietus anonymity release | releases | look-again | publish | published | gate``: sets are made, and given out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import figures
from include.model.times import observed_now, prc_date

Actor = Annotated[str, typer.Option(help="Who does it, as role/name.")]
WRONG = 3  # the exit status if something may not be called anonymous, or is read past the gate


def register(app: typer.Typer) -> None:
    """Add these commands to ``quietus anonymity``."""
    app.command("release")(release)
    app.command("releases")(listing)
    app.command("look-again")(look_again)
    app.command("publish")(publish)
    app.command("published")(published)
    app.command("gate")(gate)


def release(
    name: Annotated[str, typer.Argument(help="A release of releases.yaml.")],
    actor: Actor = "ops/command-line",
) -> None:
    """Make a set in which nobody is found, of everything that nobody holds; prove and certify it. The DAG does so by itself.

    Exit status 0: released; 1: too few people, or no declared level hides everybody, and nothing changed.
    """
    from include.cases import certifying
    from include.cases.retention import releases

    desk, today = common.desk(), prc_date(observed_now())
    done = releases.whole(desk, name, as_of=today, actor=actor)
    common.say(str(done))
    if isinstance(done, str):
        raise typer.Exit(1)
    certifying.certify(desk, done.case_no, as_of=today, actor=actor)
    raise typer.Exit(0 if done.released else 1)


def listing(as_json: AsJson = False) -> None:
    """Every release that was made or tried, newest first."""
    from include.cases.retention import release_runs

    with common.desk().book() as conn:
        rows = [
            {**asdict(r), "shown": release_runs.shown(conn, r.case_no)} for r in release_runs.latest(conn)
        ]
    if as_json:
        typer.echo(json.dumps({"releases": rows}, default=str, ensure_ascii=False))
        return
    figures(rows, ("release", "as_of", "case_no", "located", "released", "erased", "shown", "unhidden"))


def look_again(actor: Actor = "ops/command-line") -> None:
    """Try again the sets whose old rows still lay in the files: after `table_scrub`."""
    from include.cases.retention import releases

    done = releases.look_again(common.desk(), as_of=prc_date(observed_now()), actor=actor)
    common.say(f"{len(done)} are shown to be anonymous by now" + (f": {', '.join(done)}" if done else ""))


def publish(
    name: Annotated[
        str, typer.Argument(help="A release, or statistics of not_personal.yaml by schema.table.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write, as CSV; none of that name may be there.")],
    to: Annotated[str, typer.Option(help="To which organisation.")],
    purpose: Annotated[str, typer.Option(help="What for, without naming a person.")],
    document: Annotated[str, typer.Option(help="The number of the agreement or approval.")],
    actor: Actor,
) -> None:
    """Give a set out if it passes the test of re-identification at this moment. Exit status 3: it does not."""
    from include.cases import publishing
    from include.model.errors import NotProved

    try:
        done = publishing.publish(
            common.desk(), name, out, recipient=to, purpose=purpose, document=document,
            as_of=prc_date(observed_now()), actor=actor,
        )  # fmt: skip
    except NotProved as error:
        common.say(str(error))
        raise typer.Exit(WRONG) from None
    common.say(f"publication {done.number}: {done.rows} rows of {done.what} in {out}, SHA-256 {done.sha256}")


def published(
    file: Annotated[Path | None, typer.Option(help="A file: whether it came through the gate.")] = None,
    as_json: AsJson = False,
) -> None:
    """What was given out, and to whom. Exit status 3: the file that was named did not come this way."""
    from include.cases import publishing

    digest = publishing.digest_of(file) if file else None
    with common.desk().book() as conn:
        found = publishing.published(conn, digest)
    if as_json:
        typer.echo(json.dumps({"publications": [asdict(p) for p in found]}, default=str, ensure_ascii=False))
    else:
        columns = (
            "number",
            "what",
            "as_of",
            "rows",
            "recipient",
            "purpose",
            "document",
            "published_by",
            "sha256",
        )
        figures([asdict(p) for p in found], columns)
    if file and not found:
        common.say(f"{file} was not given out by this gate")
        raise typer.Exit(WRONG)


def gate() -> None:
    """Who may read a set, or what it is made of, and is not declared to: they could give it away untried. Exit status 3: some."""
    from include.cases import publishing

    found = publishing.who_else_reads(common.desk())
    for release_id, roles in found.items():
        common.say(f"{release_id}: " + (", ".join(roles) if roles else "nobody but those who are declared"))
    if any(found.values()):
        raise typer.Exit(WRONG)
