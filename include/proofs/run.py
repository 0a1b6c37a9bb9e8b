"""Asking: a suite is run by Great Expectations over the prover's connection, and its results become checks.

Nothing of a result is kept but a number. A suite that the server refuses is asked in halves, and so on, until
the question that is refused stands alone: it is UNVERIFIED and says why; its neighbours are answered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg

from include.model.errors import NotReachable
from include.model.flow import Check
from include.proofs.asking import Question, Questionnaire
from include.proofs.server import Reader, meaning

if TYPE_CHECKING:
    import great_expectations as gx

_SILENT = ("great_expectations", "great_expectations.expectations.registry")


def quiet() -> None:
    """Great Expectations without telemetry, progress bars or hundreds of log lines. Before its import."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for name in _SILENT:
        # A logged exception would quote the server's message, and that may quote a row.
        logging.getLogger(name).setLevel(logging.CRITICAL)


def suite_of(name: str, questions: Sequence[Question]) -> gx.ExpectationSuite:
    """The suite: one expectation per question, under the question's name."""
    quiet()
    import great_expectations as gx

    from include.proofs.expectations import ExpectNamedCountToEqual

    return gx.ExpectationSuite(
        name=name,
        expectations=[
            ExpectNamedCountToEqual(count_name=q.id, value=q.expected, at_most=q.at_most, description=q.name)
            for q in questions
        ],
    )


def _context() -> Any:
    quiet()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def judge(
    kind: str, store: str, questions: Sequence[Question], counts: Mapping[str, int]
) -> tuple[Check, ...]:
    """Have a suite judge counts that were made elsewhere, such as by listing a bucket."""
    if not questions:
        return ()
    import pandas as pd  # type: ignore[import-untyped]

    name = f"{kind}.{store}"
    context = _context()
    asset = context.data_sources.add_pandas(name).add_dataframe_asset("counts")
    definition = asset.add_batch_definition_whole_dataframe("all")
    rows = [(q.id, counts[q.id]) for q in questions if q.id in counts]
    observed = _observed(
        definition,
        suite_of(name, questions),
        {"dataframe": pd.DataFrame(rows, columns=["name", "observed"])},
    )
    return tuple(
        q.unanswered("it was not counted") if (n := observed.get(q.id)) is None else q.check(n)
        for q in questions
    )


def ask(questionnaire: Questionnaire, reader: Reader) -> tuple[Check, ...]:
    """Put every question to the store, and say what was answered, in the order of the questions.

    Raises NotReachable if the server does not answer at all.
    """
    if not questionnaire.questions:
        return ()
    context = _context()
    refusals: list[psycopg.Error] = []
    source = context.data_sources.add_postgres(
        questionnaire.store,
        # The secret stays in the reader: Great Expectations would look for ${…} in a connection string.
        connection_string="postgresql+psycopg://prover@store/store",
        kwargs={"creator": reader.creator(refusals)},
    )
    try:
        answers = _ask(source, questionnaire, reader.about, refusals)
    finally:
        source.get_execution_engine().engine.dispose()
    return tuple(answers[q.id] for q in questionnaire.questions)


def _ask(
    source: Any, questionnaire: Questionnaire, about: str, refusals: list[psycopg.Error]
) -> dict[str, Check]:
    refusals.clear()
    questions = questionnaire.questions
    # A colon before a letter would be taken for a parameter of the statement.
    statement = _without_parameters(questionnaire.statement())
    name = f"{questionnaire.kind} {len(questions)} from {questions[0].id}"
    asset = source.add_query_asset(name=name, query=statement)
    observed = _observed(asset.add_batch_definition_whole_table("all"), suite_of(name, questions))
    if all(observed.get(q.id) is not None for q in questions):
        return {q.id: q.check(_int(observed[q.id])) for q in questions}
    if refusals and isinstance(said := meaning(refusals[-1], about), NotReachable):
        raise said
    if len(questions) == 1:
        why = meaning(refusals[-1], about).what if refusals else "the question was not answered"
        return {questions[0].id: questions[0].unanswered(why)}
    middle = len(questions) // 2
    return {
        **_ask(source, questionnaire.only(questions[:middle]), about, refusals),
        **_ask(source, questionnaire.only(questions[middle:]), about, refusals),
    }


def _observed(definition: Any, suite: Any, parameters: dict[str, Any] | None = None) -> dict[str, int | None]:
    """Run one suite over one batch: question -> count, None where something was raised.

    Not by a checkpoint: it would store suite, definition and result in the context first, and compare them with
    what it stored, which takes longer than the questions; and nothing of the context is kept.
    """
    ran = definition.get_batch(batch_parameters=parameters).validate(suite, result_format="BASIC")
    return {r.expectation_config.kwargs["count_name"]: _number(r) for r in ran.results}


def _number(result: Any) -> int | None:
    """The count of one result; None if it raised. The exception itself is not looked at: it may quote a row."""
    observed = (result.result or {}).get("observed_value")
    return observed if isinstance(observed, int) else None


def _int(number: int | None) -> int:
    assert number is not None  # noqa: S101 - narrowed above
    return number


def _without_parameters(statement: str) -> str:
    """Escape colons for SQLAlchemy's ``text``, except those of casts."""
    return statement.replace(":", "\\:").replace("\\:\\:", "::")


__all__ = ["ask", "judge", "suite_of"]
