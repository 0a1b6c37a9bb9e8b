"""Tasks of Airflow's own retention, and where Airflow says that it writes task logs."""

from __future__ import annotations

from pathlib import Path

from airflow.configuration import conf
from quietus_console.quiet import only_at_night
from quietus_console.work import desk, step, today

from include.cases import tidying
from include.cases.tidying import TaskLogs
from include.model.errors import NotProved


def task_logs() -> TaskLogs:
    """By Airflow's settings."""
    remote = conf.getboolean("logging", "remote_logging", fallback=False)
    return TaskLogs(
        Path(conf.get("logging", "base_log_folder")),
        conf.get("logging", "log_filename_template", raw=True),
        conf.get("logging", "remote_base_log_folder", fallback="") if remote else "",
    )


@step
def keep_airflow_in_its_limits() -> str:
    """Histories first, then what is past its limit; red where something is left, or nobody could look."""
    only_at_night()
    done = tidying.tidy(desk(), task_logs(), as_of=today())
    if done.failed:
        raise NotProved(
            str(done), about="airflow_hygiene", next_step="see docs/ops.md, Airflow's own records"
        )
    return str(done)
