"""What Airflow loads: the intake in front of its API."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from quietus_console.intake import Intake


class Quietus(AirflowPlugin):
    """See docs/ops.md for what each part is for."""

    name = "quietus"
    fastapi_root_middlewares = [{"middleware": Intake, "name": "Quietus intake"}]
