"""Airflow's own retention: limits from the catalogue, histories into the ledger, then the deletion, then another look.

limits      the catalogue binds each kind of Airflow's records to a rule; a statute's floor is never undercut
plan        what would go, and why the rest stays; changes nothing
tidy        for each batch of runs: history to a file, its digest to the ledger, and only then the runs; the rest by age
prove       nothing past its limit without a reason, nothing of a living run gone; UNVERIFIED where nobody could look
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from include.cases.periods import last_day
from include.cases.rooms import Desk
from include.hygiene import checking, logfiles, logobjects, others, runs, sweeping
from include.hygiene.checking import Check, Run
from include.hygiene.exports import Export, Exports
from include.hygiene.installing import tables_of
from include.hygiene.logfiles import Logs
from include.hygiene.logobjects import REMOTE, Place
from include.hygiene.opening import Conn, metadata
from include.hygiene.runs import Fate
from include.hygiene.tables import ARCHIVES, SWEPT
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, QuietusError, Stopped
from include.model.times import PRC, observed_now
from include.model.words import Role, Verdict

RUNS, AUDIT, LOGS, HISTORIES = "airflow_runs", "airflow_audit", "airflow_logs", "run_histories"
HISTORY, AUDITED, HYGIENE = (
    "run_history",
    "audit_history",
    "airflow_hygiene",
)  # kinds of entries in the ledger
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Limit:
    """``before``: what is older than this moment is past its limit on that business date."""

    what: str
    rule: str
    duration: str
    before: datetime


@dataclass(frozen=True)
class TaskLogs:
    """Where Airflow says that it writes them. ``remote``: where it copies them to; empty: nowhere."""

    base: Path
    template: str
    remote: str = ""


@dataclass
class Tidied:
    """What a night did. Everything in it may be told to Airflow and the ledger: names of tables, and counts."""

    as_of: date
    rows: Counter[str] = field(default_factory=Counter)
    locked: Counter[str] = field(default_factory=Counter)
    exports: list[Export] = field(default_factory=list)
    audits: list[Export] = field(default_factory=list)  # of the audit log
    archives: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()  # histories past their own limit
    logs: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        return [c for c in self.checks if c.verdict is not Verdict.PASSED]

    def body(self) -> dict[str, Any]:
        return {
            "as_of": self.as_of.isoformat(),
            "rows": dict(sorted(self.rows.items())),
            "locked": {t: n for t, n in sorted(self.locked.items()) if n},
            "exports": [{"name": e.name, "digest": e.digest, "runs": e.lines} for e in self.exports],
            "audits": [{"name": e.name, "digest": e.digest, "entries": e.lines} for e in self.audits],
            "archives": list(self.archives),
            "expired_histories": list(self.expired),
            "logs": dict(sorted(self.logs.items())),
            "checks": [{"name": c.name, "verdict": c.verdict.value, "said": c.said} for c in self.checks],
        }

    def __str__(self) -> str:
        told = [f"{n} rows of {t}" for t, n in sorted(self.rows.items())] or ["no row was due"]
        told += [f"{n} {what} logs" for what, n in sorted(self.logs.items())]
        told.append(f"{sum(e.lines for e in self.exports)} histories exported")
        told.append(f"{sum(e.lines for e in self.audits)} entries of the audit log exported")
        if self.archives:
            told.append(f"archives dropped: {', '.join(self.archives)}")
        told += [f"{c.name} {c.verdict.value}: {c.said}" for c in self.failed]
        return "; ".join(told)


def limits(catalogue: Catalogue, as_of: date) -> dict[str, Limit]:
    """The limit of each kind. Raises CatalogueError for a kind that the catalogue binds to no rule or period."""
    found = {}
    for kind in (RUNS, AUDIT, LOGS, HISTORIES):
        bound = next((o for o in catalogue.own_records if o.id == kind), None)
        if bound is None:
            raise CatalogueError(
                "nobody said how long it is kept",
                about=kind,
                next_step="bind it to a rule in own_records.yaml",
            )
        rule = catalogue.rule(bound.rule)
        periods = [p for p in rule.periods if p.name == bound.period or p.restrains_deletion]
        if bound.period not in {p.name for p in periods}:
            raise CatalogueError(
                f"{rule.id} has no period '{bound.period}'",
                about=kind,
                next_step="name one of the rule's periods",
            )
        # The longest: a statute's floor stands, whatever shorter period somebody bound.
        longest = min(periods, key=lambda p: _before(p.duration, as_of))
        found[kind] = Limit(kind, rule.id, longest.duration, _before(longest.duration, as_of))
    return found


def _before(duration: str, as_of: date) -> datetime:
    """The first moment (PRC) of the earliest day of which something is not past its period yet on ``as_of``."""
    day = as_of
    while last_day(day, duration) >= as_of:
        day -= DAY
    return datetime.combine(day + DAY, time.min, PRC)


def plan(desk: Desk, logs: TaskLogs, *, as_of: date) -> dict[str, tuple[Fate, ...]]:
    """What would go (``why`` is None) and why the rest stays, by table and kind of log. Changes nothing."""
    limit = limits(desk.catalogue, as_of)
    with metadata(desk.connections) as conn:
        found: dict[str, tuple[Fate, ...]] = {"dag_run": runs.fates(conn, limit[RUNS].before)}
        there = tables_of(conn)
        for table in SWEPT:
            if table.table in there:
                found[table.table] = others.fates(conn, table, limit[AUDIT].before)
        found["archives"] = tuple(Fate(name, None, 0) for name in others.archives(conn, ARCHIVES))
        known = set(checking.living(conn))
    for where, swept in _sweep_logs(desk, logs, known, limit[LOGS].before, dry=True).items():
        if isinstance(swept, Logs):
            found[where] = tuple(Fate(where, why, n) for why, n in swept.files.items() if n)
        else:
            found[where] = (Fate(where, f"not looked at: {swept}", 0),)
    return found


def tidy(desk: Desk, logs: TaskLogs, *, as_of: date) -> Tidied:
    """One night's work. Killed at any instant, the next does the rest, in the same order.

    Raises NotReachable, Refused if the janitor may not, or histories have nowhere to go; nothing is deleted then that was
    not exported; Stopped before the next batch of runs or logs, or the next table, while disposing is stopped.
    """
    desk.may_go_on()
    limit, done = limits(desk.catalogue, as_of), Tidied(as_of)
    exports = Exports(desk.connections.text(HISTORY))
    exports.clear()

    def keep(told: list[dict[str, Any]]) -> None:
        desk.may_go_on()
        export = exports.keep(told, as_of)
        _to_ledger(desk, export, HISTORY, "runs")
        done.exports.append(export)

    def keep_audit(told: list[dict[str, Any]]) -> None:
        desk.may_go_on()
        export = exports.keep(told, as_of)
        _to_ledger(desk, export, AUDITED, "entries")
        done.audits.append(export)

    with metadata(desk.connections) as conn:
        earlier = checking.possessions(conn)
        done.archives = others.drop_archives(conn)
        there = tables_of(conn)
        _add(done, sweeping.sweep_runs(conn, limit[RUNS].before, keep))
        for table in SWEPT:
            if table.table in there:
                desk.may_go_on()
                _add(done, sweeping.sweep_rows(conn, table, limit[AUDIT].before, keep=keep_audit))
        known = set(checking.living(conn))
        swept = _sweep_logs(desk, logs, known, limit[LOGS].before, dry=False)
        done.logs = {where: s.gone for where, s in swept.items() if isinstance(s, Logs)}
        desk.may_go_on()
        done.expired = exports.drop(limit[HISTORIES].before.date())
        done.checks = [
            *_of_metadata(conn, limit, earlier, done, there),
            *_of_logs(swept),
            _of_exports(exports, done),
        ]
    desk.record(HYGIENE, None, done.body(), f"{HYGIENE}:{as_of.isoformat()}:{observed_now().isoformat()}")
    return done


def _to_ledger(desk: Desk, export: Export, kind: str, lines: str) -> None:
    """The digest of a file, and of how many lines it is, once: killed after this, the same file is told under the same key."""
    body = {"name": export.name, "digest": export.digest, lines: export.lines}
    desk.record(kind, None, body, f"{kind}:{export.digest}")


def _add(done: Tidied, sweep: sweeping.Sweep) -> None:
    done.rows += sweep.rows
    done.locked += sweep.locked


def _of_metadata(
    conn: Conn, limit: Mapping[str, Limit], earlier: Mapping[Run, Counter[str]], done: Tidied, there: set[str]
) -> list[Check]:
    late = Counter[str]()
    for table in SWEPT:
        if table.table in there:
            late[table.table] = sum(
                f.rows for f in others.fates(conn, table, limit[AUDIT].before) if f.why is None
            )
    left = {t: n for t, n in late.items() if n and not done.locked[t]}
    said = f"{sum(late.values())} rows of other tables are past their limit"
    return [
        *checking.check(conn, limit[RUNS].before, earlier, done.locked),
        checking.audit_log(conn, limit[AUDIT].before, done.locked),
        Check("rows_in_their_limit", Verdict.FAILED if left else Verdict.PASSED, said),
        checking.every_table_known(conn, others.archives(conn, ARCHIVES)),
    ]


def _sweep_logs(
    desk: Desk, logs: TaskLogs, there: set[Run], before: datetime, *, dry: bool
) -> dict[str, Logs | str]:
    """Where logs are, and what was found there; or why nobody could look."""
    found: dict[str, Logs | str] = {}
    if not logs.template.startswith(logfiles.LAYOUT):
        found["disk"] = "the template of log files is not Airflow's own, so nobody knows whose they are"
    else:
        try:
            found["disk"] = logfiles.sweep(logs.base, there, before, dry=dry, may_go_on=desk.may_go_on)
        except OSError as error:
            found["disk"] = f"the directory of task logs cannot be read or written ({error.strerror})"
    if logs.remote:
        try:
            s3 = desk.connections.s3(REMOTE, Role.JANITOR)
            found["remote"] = logobjects.sweep(
                s3, Place.of(logs.remote), there, before, dry=dry, may_go_on=desk.may_go_on
            )
        except Stopped:
            raise
        except QuietusError as error:
            found["remote"] = str(error)
    return found


def _of_logs(swept: Mapping[str, Logs | str]) -> list[Check]:
    checks = []
    for where, found in swept.items():
        name = f"logs_{where}"
        if isinstance(found, str):
            checks.append(Check(name, Verdict.UNVERIFIED, found))
        elif found.unknown:
            said = (
                f"{len(found.unknown)} entries are no logs of a layout that we know, and were not looked into"
            )
            checks.append(Check(name, Verdict.UNVERIFIED, said))
        else:
            checks.append(
                Check(
                    name, Verdict.PASSED, f"{found.gone} went, {sum(found.files.values()) - found.gone} stay"
                )
            )
    return checks


def _of_exports(exports: Exports, done: Tidied) -> Check:
    written = [*done.exports, *done.audits]
    broken = [e.name for e in written if not exports.whole(e.name)]
    said = f"{len(written)} files of histories, {len(broken)} not whole"
    return Check("histories_whole", Verdict.FAILED if broken else Verdict.PASSED, said)
