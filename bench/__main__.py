"""What it costs, into ``bench/RESULTS.md``: ``python -m bench [name ...]``. Runs each bench in a process of its own.

Machines are noisy: figures are ratios measured side by side in one run, and absolute times are budgets to
report, never gates. A bench that is named replaces its own part of the page; the others stay as they were.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).with_name("RESULTS.md")
BENCHES = {
    "postgres": "PostgreSQL: a cohort through the verbs, against reading and deleting the same rows",
    "s3": "S3: objects and record files",
    "residue": "The residue scan: raw bytes, against Hyperscan in memory",
    "scrub": "The scrub: tables written anew",
    "anonymity": "Releases: rows to k = 20, against a bare UPDATE, and measured against pycanon",
    "purge": "Waiting for backups: the daily look, with a million cases",
    "drill": "The restore drill, against restoring the same copy",
    "due": "What is due: looking for it, against a bare count",
    "night": "A night: what is due goes, against batches written by hand",
    "partitions": "Whole partitions that are due, against dropping them by hand and against their rows",
    "handover": "Handing over: bags, against COPY and reading with the same digests",
    "takeover": "Taking over: bags stored and counted again, against loading the same by hand",
    "keys": "Sealed objects: a key of their subject's own",
    "ledger": "The ledger",
    "notices": "Telling the recipients",
    "case": "One case through Airflow",
}
HEAD = """# Results

Ratios are measured side by side in one run; absolute times say what this machine did on that day.
"""


def machine() -> str:
    """Cores, memory and versions; no host's name."""
    cores = sum(1 for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor"))
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    gib = int(memory[1]) / 2**20 if memory else 0
    return f"{cores} cores, {gib:.0f} GiB, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHES)
    if unknown := set(wanted) - set(BENCHES):
        print(f"there is no bench called {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
        return 2
    parts = _parts()
    failed = 0
    for name in wanted:
        print(f"bench {name} ...", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(done.stderr[-2000:], file=sys.stderr)
            failed += 1
            continue
        print(done.stdout)
        parts[BENCHES[name]] = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}\n\n{done.stdout.strip()}\n"
        PAGE.write_text(
            HEAD + "".join(f"\n## {title}\n\n{parts[title]}" for title in BENCHES.values() if title in parts),
            "utf-8",
        )
    return 1 if failed else 0


def _parts() -> dict[str, str]:
    """The page as it is: title -> what stands under it."""
    if not PAGE.exists():
        return {}
    found = re.split(r"^## (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {title: body.strip() + "\n" for title, body in zip(found[::2], found[1::2], strict=True)}


if __name__ == "__main__":
    raise SystemExit(main())
