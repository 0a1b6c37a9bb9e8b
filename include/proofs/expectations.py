"""The one expectation that suites are made of: a named count of the batch is the expected number (or at most).

All expectations of a suite share one metric, which Great Expectations computes once per batch: so a suite is
one statement to the server, and one snapshot, whatever the number of its checks. The built-in expectations ask
per expectation, and their results may carry rows; this one knows nothing but numbers.

Importing this module imports Great Expectations (seconds): only ``run.py`` does, when something is asked.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility.sqlalchemy import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine, SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

METRIC = "quietus.counts"


class NamedCounts(TableMetricProvider):  # type: ignore[misc]
    """The batch's rows (``name``, ``observed``) as a dictionary."""

    metric_name = METRIC

    @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(
        cls,
        execution_engine: Any,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, int]:
        batch, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        rows = execution_engine.execute_query(
            sa.select(sa.column("name"), sa.column("observed")).select_from(batch)
        )
        return {str(name): int(observed) for name, observed in rows}

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls,
        execution_engine: Any,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, int]:
        batch, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return {str(n): int(o) for n, o in zip(batch["name"], batch["observed"], strict=True)}


class ExpectNamedCountToEqual(BatchExpectation):  # type: ignore[misc]
    """Expect the batch's row of this name to hold this count."""

    count_name: str
    value: int
    at_most: bool = False

    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    success_keys: ClassVar[tuple[str, ...]] = ("count_name", "value", "at_most")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        observed = metrics[METRIC].get(self.count_name)
        right = observed == self.value
        if self.at_most and observed is not None:
            right = observed <= self.value
        return {"success": right, "result": {"observed_value": observed}}


__all__ = ["ExpectNamedCountToEqual"]
