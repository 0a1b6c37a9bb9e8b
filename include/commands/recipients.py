"""``quietus recipients``: how those answer who were told, and who is given nothing more."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from include.commands import _common as common
from include.commands import _synthetic
from include.commands._options import AsJson

app = typer.Typer(help="Who else was given data, and how they answer.", no_args_is_help=True)
app.add_typer(_synthetic.app, name="synthetic")

Name = Annotated[str, typer.Argument(help="As `quietus recipients list` has it.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Per recipient: notices, answers, the share that answered, days to the first answer, how true its word was, the codes."""
    from include.cases.notices import record

    with common.reader() as conn:
        rows = record.record(conn)
    columns = ("recipient", "told", "rate", "median", "p95", "open", "silent", "truthfulness", "codes")
    common.table(rows if as_json else [_short(row) for row in rows], columns, as_json)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """As a terminal has room for it: the share that answered, and days."""
    from include.cases.notices.record import truthfulness

    def days(value: float | None) -> str | None:
        return None if value is None else f"{value:.1f} d"

    return {
        "recipient": row["recipient"], "told": row["told"], "open": row["open"], "silent": row["escalated"],
        "rate": None if row["answer_rate"] is None else f"{row['answer_rate']:.0%}",
        "median": days(row["median_days"]), "p95": days(row["p95_days"]), "truthfulness": truthfulness(row),
        "codes": [f"{code} {n}" for code, n in row["codes"].items()],
    }  # fmt: skip


@app.command()
def stopped(as_json: AsJson = False) -> None:
    """To whom nothing more may be given: they did not answer. The company's systems ask this before they send."""
    from include.cases.notices import stopping

    with common.reader() as conn:
        common.table(stopping.listing(conn), ("recipient", "stopped_on", "case_no"), as_json)


@app.command()
def resume(
    recipient: Name, reason: Annotated[str, typer.Option(help="What has changed, without naming anybody.")]
) -> None:
    """Let data be given to a recipient again."""
    from include.cases.notices import stopping

    stopping.lift(common.desk(), recipient, reason=reason, as_of=common.today(), actor=common.me("ops"))
    common.say(f"{recipient}: data may be given to it again")


@app.command()
def decide(
    answer: Annotated[int, typer.Argument(help="Its number, as the errand says.")],
    reason: Annotated[str, typer.Option(help="On what law, without naming anybody.")],
    *,
    accept: Annotated[bool, typer.Option("--accept/--refuse", help="Whether it counts.")],
) -> None:
    """Decide of an answer that the machine cannot judge, with the law at hand."""
    from include.cases.notices import answering

    state = answering.decide(
        common.desk(), answer, accepted=accept, why=reason, as_of=common.today(), actor=common.me("legal")
    )
    common.say(f"answer {answer}: {'accepted' if accept else 'not accepted'}; the notice is {state.value}")


@app.command()
def confronted(
    case_no: Annotated[str, typer.Argument(help="The case over which it was caught.")],
    recipient: Name,
    reason: Annotated[str, typer.Option(help="What came of it, without naming anybody.")],
) -> None:
    """Record that somebody talked to a recipient that said it deleted and still knew: its finding is settled."""
    from include.cases.notices import truth

    truth.confronted(
        common.desk(), case_no, recipient, reason=reason, as_of=common.today(), actor=common.me("ops")
    )
    common.say(f"{case_no}: the finding about {recipient} is settled")


@app.command()
def explained(
    case_no: Annotated[str, typer.Argument(help="The case that has the finding.")],
    recipient: Name,
    reason: Annotated[
        str, typer.Option(help="What was found out, or on what ground it was given; name nobody.")
    ],
) -> None:
    """Answer for what the register of transfers lacks about a recipient, or has beyond the policy: its finding is settled."""
    from include.cases.notices import explaining

    explaining.explained(
        common.desk(), case_no, recipient, reason=reason, as_of=common.today(), actor=common.me("ops")
    )
    common.say(f"{case_no}: the finding about {recipient} is settled")
