"""What Airflow loads: the intake in front of its API, and the evidence console beside it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from quietus_console.console import PREFIX, console
from quietus_console.intake import Intake


class Quietus(AirflowPlugin):
    """See docs/ops.md for what each part is for."""

    name = "quietus"
    fastapi_root_middlewares = [{"middleware": Intake, "name": "Quietus intake"}]
    fastapi_apps = [{"app": console, "url_prefix": PREFIX, "name": "Quietus console"}]
    external_views = [
        {"name": "案件 Cases", "href": "quietus/cases", "destination": "nav", "category": "browse",
         "url_route": "quietus-cases"},
        {"name": "证据 Evidence", "href": "quietus/cases/{RUN_ID}", "destination": "dag_run",
         "url_route": "quietus-evidence"},
    ]  # fmt: skip
