"""What Airflow loads: the intake before its API, beside it the evidence console and the recipients' endpoint; and timetables."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from quietus_console.console import PREFIX, console
from quietus_console.intake import Intake
from quietus_console.timetables import MaintenanceWindow, PrcWorkdays
from quietus_recipients import app as endpoint


class Quietus(AirflowPlugin):
    """See docs/ops.md for what each part is for."""

    name = "quietus"
    fastapi_root_middlewares = [{"middleware": Intake, "name": "Quietus intake"}]
    timetables = [MaintenanceWindow, PrcWorkdays]
    # The first prefix that fits is served, so the longer one comes first.
    fastapi_apps = [
        {
            "app": endpoint.recipients,
            "url_prefix": endpoint.PREFIX,
            "name": "Quietus, for recipients and partners",
        },
        {"app": console, "url_prefix": PREFIX, "name": "Quietus console"},
    ]
    external_views = [
        {"name": "案件 Cases", "href": "quietus/cases", "destination": "nav", "category": "browse",
         "url_route": "quietus-cases"},
        {"name": "保存期限 Retention", "href": "quietus/retention", "destination": "nav", "category": "browse",
         "url_route": "quietus-retention"},
        {"name": "证据 Evidence", "href": "quietus/cases/{RUN_ID}", "destination": "dag_run",
         "url_route": "quietus-evidence"},
    ]  # fmt: skip
