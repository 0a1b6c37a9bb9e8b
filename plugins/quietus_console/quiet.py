"""Quiet hours, kept by the task too: Airflow remembers when the next run is to begin, and begins a missed night by day."""

from __future__ import annotations

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from quietus_console.timetables import CLOSES, OPENS

from include.model.times import PRC, observed_now


def is_night() -> bool:
    """Whether it is the maintenance window."""
    return OPENS <= observed_now().astimezone(PRC).time() < CLOSES


def only_at_night() -> None:
    """Skip what a schedule began outside the window; whoever triggers by hand has decided. Raises AirflowSkipException."""
    if get_current_context()["dag_run"].run_type == "scheduled" and not is_night():
        raise AirflowSkipException(
            f"put off: the maintenance window is from {OPENS:%H:%M} to {CLOSES:%H:%M}. Next: nothing, the next night does it"
        )
