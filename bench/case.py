"""One case through Airflow on an idle scheduler, from the trigger to the interim certificate, and where its time goes.

    python -m bench.case [--people 2000] [--rounds 5]

Each round cancels one account through the real scheduler, as support and two colleagues would, and another account
of the same kind by the same verbs in this process, warm and without Airflow. The second is our own work; what the
first takes beyond it, people's waiting subtracted, is Airflow's. Prints Markdown.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.cases import provers, verbs
from include.cases.assembling import desk
from include.cases.decisions import Method
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.times import observed_now, prc_date
from include.model.words import Channel, Ground, Requester
from include.sandbox import demo
from include.sandbox.api import AirflowUser
from include.sandbox.company import environment, make_ready
from include.sandbox.stack.stack import Stack

ACTOR = "system/bench"


@dataclass(frozen=True)
class Round:
    """One person through Airflow, one by hand; in seconds, but for ``tasks``."""

    whole: float  # trigger to certificate
    people: float  # of it, waiting for answers
    tasks: int
    busy: float  # of it, in tasks that ran, from their start to their end
    ours: dict[str, float]  # verb -> seconds, in this process


def through_airflow(stack: Stack) -> tuple[float, float, int, float]:
    done = demo.cancel(stack, demo.somebody(stack), lambda _line: None)
    assert done.state == "success", done
    admin = AirflowUser(stack.airflow.url, "admin", stack.airflow.password("admin"))
    tasks = [t for t in admin.tasks(demo.DAG, done.run_id) if t.state == "success"]
    busy = sum(t.seconds for t in tasks if t.task_id not in demo.ANSWERS)
    return done.whole, done.waited_for_people, len(tasks), busy


def by_hand(at: Desk, account: str) -> dict[str, float]:
    """The verbs in the order of the promise: verb -> seconds."""
    spent: dict[str, float] = {}
    today = prc_date(observed_now())
    now: dict[str, Any] = {"as_of": today, "actor": ACTOR}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = work()
        spent[name] = time.perf_counter() - began
        return found

    case = timed(
        "open",
        lambda: verbs.open_case(
            at, account, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
            trigger_user="requester/bench", received_at=observed_now(),
        ),
    ).case_no  # fmt: skip
    verbs.ask_identity_if_due(at, case, **now)
    timed(
        "identity",
        lambda: verbs.record_identity(
            at, case, outcome="matched", method=Method.SIGNED_IN_SESSION.value, fields=("PI-001",), as_of=today,
            actor="identity/bench",
        ),
    )  # fmt: skip
    plan = timed("rehearse", lambda: verbs.rehearse(at, case, **now))
    timed(
        "approve",
        lambda: verbs.approve(at, case, approver="approver/other", as_of=today, plan=plan.fingerprint()),
    )
    timed("restrict", lambda: verbs.restrict(at, case, **now))
    timed("restrict: prove", lambda: provers.prove_restricted(at, case, **now))
    timed("plan", lambda: verbs.settle_and_plan(at, case, **now))
    timed("plan: prove", lambda: provers.prove_baseline(at, case, **now))
    timed("dispose", lambda: provers.carry_out(at, case, **now))
    timed("dispose: prove gone", lambda: provers.prove_gone(at, case, **now))
    timed("dispose: prove undeclared (dragnet)", lambda: provers.prove_undeclared(at, case, **now))
    timed("balance", lambda: verbs.balance(at, case, **now))
    timed(
        "open tracks, rest", lambda: (verbs.open_backup_track(at, case, **now), verbs.rest(at, case, **now))
    )
    timed("certify", lambda: verbs.certify(at, case, **now))
    return spent


def import_of_gx() -> float:
    """CPU seconds that importing Great Expectations costs a process which has nothing yet."""
    code = "import great_expectations, time; print(time.process_time())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(ran.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-", dir="/tmp"))
    stack = Stack(home)
    silent: Callable[[str], None] = lambda _line: None  # noqa: E731
    try:
        stack.up(silent)
        make_ready(stack, silent, people=options.people)
        at = desk(environment(stack), load())
        by_hand(at, demo.somebody(stack))  # warm: imports, plans, caches
        through_airflow(stack)
        rounds = [
            Round(*through_airflow(stack), by_hand(at, demo.somebody(stack))) for _ in range(options.rounds)
        ]
        report(options, rounds, import_of_gx())
    finally:
        stack.down(silent, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def report(options: argparse.Namespace, rounds: list[Round], gx: float) -> None:
    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(of(r) for r in rounds)

    net = median(lambda r: r.whole - r.people)
    ours = median(lambda r: sum(r.ours.values()))
    tasks = rounds[0].tasks
    busy = median(lambda r: r.busy)
    print(
        f"One account of {options.people:,} people, {tasks} tasks that ran, median of {options.rounds}. Budgets: 60 s in all,"
        " people's waiting subtracted; 5 s of our own work; 25 tasks.\n"
    )
    print("| | seconds |\n|---|---:|")
    print(f"| **trigger → interim certificate**, people's waiting subtracted | **{net:.1f}** |")
    print(f"| of it: our own work, as the same verbs take in a warm process | {ours:.1f} |")
    print(
        f"| of it: inside tasks beyond that: process, supervisor, connections, cold code | {busy - ours:.1f} |"
    )
    print(f"| of it: between tasks: scheduling, parking and waking for answers | {net - busy:.1f} |")
    print(f"| Airflow's share a task | {(net - ours) / tasks:.2f} |")
    print(
        f"| importing Great Expectations, CPU, once: the scheduler has it before it forks a task | {gx:.1f} |"
    )
    print("\nOur own work, verb by verb:\n\n| verb | seconds |\n|---|---:|")
    for verb in rounds[0].ours:
        print(f"| {verb} | {median(lambda r, verb=verb: r.ours[verb]):.2f} |")


if __name__ == "__main__":
    main()
