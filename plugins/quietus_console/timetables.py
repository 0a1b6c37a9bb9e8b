"""When things run: only in the maintenance window, or only on the PRC's working days. Registered by the plugin.

A promise that names an hour has no start date: in a new house it begins at its next such hour, and not at once, while that is
still being furnished. Both keep Airflow's data intervals: each run stands for the time since the one before, so that a week that
was missed is made up for in order, and no logical date comes twice.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pendulum
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.interval import CronDataIntervalTimetable
from croniter import croniter  # type: ignore[import-untyped]

from include.cases.workdays import DAY, DEFAULT, Workdays
from include.model.times import PRC, observed_now

ZONE = "Asia/Shanghai"
OPENS, CLOSES = time(1, 0), time(6, 0)
"""The house's window, PRC time: what locks tables or deletes by the million begins in it or waits for the next."""
GRACE = timedelta(minutes=5)
"""For so long after its hour a promise that never ran yet still begins at it: Airflow may look late, and would skip it."""
_FORM = "%H:%M"


class MaintenanceWindow(CronDataIntervalTimetable):
    """A cron (PRC time) whose runs begin inside a window of the night. ``opens``, ``closes``: PRC times of one day.

    A run that was missed keeps its interval and is put off to the next window; by day nothing begins. Raises
    AirflowTimetableInvalid (at parsing) for a cron that fires outside the window.
    """

    def __init__(self, cron: str, opens: time = OPENS, closes: time = CLOSES) -> None:
        super().__init__(cron, ZONE)
        self._opens, self._closes = opens, closes
        described = getattr(self, "description", "")  # by the cron
        self.description = f"{described}, only between {opens:{_FORM}} and {closes:{_FORM}} ({ZONE})"

    @property
    def summary(self) -> str:
        """As lists of DAGs show it."""
        return f"{self._expression} in {self._opens:{_FORM}}-{self._closes:{_FORM}}"

    def serialize(self) -> dict[str, Any]:
        """For Airflow's database."""
        return {
            "expression": self._expression,
            "opens": self._opens.strftime(_FORM),
            "closes": self._closes.strftime(_FORM),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """What ``serialize`` gave."""
        return cls(data["expression"], _time(data["opens"]), _time(data["closes"]))

    def validate(self) -> None:
        """Raises AirflowTimetableInvalid for a window that is none, or a cron that fires outside it."""
        super().validate()
        if not self._opens < self._closes:
            raise AirflowTimetableInvalid("the window must open before it closes, on the same day")
        minutes, hours = croniter(self._expression).expanded[:2]
        for hour in range(24) if hours == ["*"] else hours:
            for minute in range(60) if minutes == ["*"] else minutes:
                if not self._opens <= time(int(hour), int(minute)) < self._closes:
                    raise AirflowTimetableInvalid(
                        f"it would run at {int(hour):02}:{int(minute):02}, outside {self._opens:{_FORM}}-{self._closes:{_FORM}}"
                    )

    def open_at(self, moment: datetime) -> bool:
        """Whether the window is open."""
        return self._opens <= moment.astimezone(PRC).time() < self._closes

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The cron's next run; begun when the window is open. The first, without a start date: at its next hour."""
        if last_automated_data_interval is None and restriction.earliest is None:
            slot = self._get_next(_moment(observed_now() - GRACE))
            return DagRunInfo.interval(self._get_prev(slot), slot)
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if info is None:
            return None
        return DagRunInfo(run_after=self._put_off(info.run_after), data_interval=info.data_interval)

    def _put_off(self, slot: pendulum.DateTime) -> pendulum.DateTime:
        now = observed_now()
        closes = datetime.combine(slot.astimezone(PRC).date(), self._closes, PRC)
        if now < closes or self.open_at(now):
            return slot
        today = now.astimezone(PRC)
        opening = datetime.combine(today.date(), self._opens, PRC)
        return _moment(opening if now < opening else opening + DAY)


class PrcWorkdays(Timetable):
    """Once on each working day of the PRC, at a time of that day. ``at``: PRC time.

    A day of a year whose days off are not announced counts as a working day if it could turn out to be one
    (``include.cases.workdays``): a look too many breaks nothing, one too few does.
    """

    def __init__(self, at: time = time(9, 0), workdays: Workdays = DEFAULT) -> None:
        self._at, self._workdays = at, workdays
        self.description = (
            f"At {at:{_FORM}} on PRC working days ({ZONE}); on days not announced yet, if it may be one"
        )

    @property
    def summary(self) -> str:
        """As lists of DAGs show it."""
        return f"{self._at:{_FORM}} on PRC working days"

    def serialize(self) -> dict[str, Any]:
        """For Airflow's database. The calendar is the code's: a notice that comes in is read at the next parsing."""
        return {"at": self._at.strftime(_FORM)}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """What ``serialize`` gave."""
        return cls(_time(data["at"]))

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """The last whole interval before a run that somebody triggered."""
        end = self._latest(run_after)
        return DataInterval(self._latest(end - timedelta(seconds=1)), end)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """From one working day to the next; without catching up, the one that ended last. The first, without a start date: at
        the next such hour."""
        if last_automated_data_interval is None and restriction.earliest is None:
            slot = self._next(observed_now() - GRACE)
            return DagRunInfo.interval(self._latest(slot - timedelta(seconds=1)), slot)
        start = None if restriction.earliest is None else self._next(restriction.earliest)
        if last_automated_data_interval is not None:
            after = self._next(last_automated_data_interval.end)
            start = after if start is None else max(start, after)
        if not restriction.catchup:
            ended = self._latest(_moment(observed_now()))
            latest = self._latest(ended - timedelta(seconds=1))
            start = latest if start is None else max(start, latest)
        if start is None or (restriction.latest is not None and start > restriction.latest):
            return None
        return DagRunInfo.interval(start, self._next(start + timedelta(seconds=1)))

    def _next(self, moment: datetime) -> pendulum.DateTime:
        """The first slot at or after a moment."""
        day = moment.astimezone(PRC).date()
        while not self._workdays.may_be_worked(day) or self._slot(day) < moment:
            day += DAY
        return self._slot(day)

    def _latest(self, moment: datetime) -> pendulum.DateTime:
        """The last slot at or before a moment."""
        day = moment.astimezone(PRC).date()
        while not self._workdays.may_be_worked(day) or self._slot(day) > moment:
            day -= DAY
        return self._slot(day)

    def _slot(self, day: date) -> pendulum.DateTime:
        return _moment(datetime.combine(day, self._at, PRC))


def _moment(moment: datetime) -> pendulum.DateTime:
    return pendulum.instance(moment).in_timezone("UTC")


def _time(text: str) -> time:
    return datetime.strptime(text, _FORM).time()  # noqa: DTZ007  a time of day, in the PRC
