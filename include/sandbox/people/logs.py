"""Access logs that many people share: JSON lines of the web site by day, Parquet of the app by month.

Of the days of the last fourteen months every twelfth has a file, so that a sandbox stays quick to look through.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.sandbox import buckets
from include.sandbox.people.files import File
from include.sandbox.people.making import Making, address_of_net
from include.sandbox.people.person import source
from include.sandbox.people.usage import PAGES
from include.sandbox.people.values import hexed

SPAN = 425  # days
EVERY = 12  # days
ROW_GROUP = 2000  # records
_AGENTS = ("Mozilla/5.0 (Windows NT 10.0)", "Mozilla/5.0 (iPhone)", "Mozilla/5.0 (Linux; Android 15)")
_SCHEMA = pa.schema(
    [("account_id", pa.string()), ("occurred_at", pa.timestamp("us", tz="UTC")), ("page", pa.string()),
     ("ip", pa.string()), ("build", pa.int32())]
)  # fmt: skip


@dataclass
class Logs:
    """The records of everybody who was added."""

    seed: int
    today: date
    web: defaultdict[date, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    app: defaultdict[date, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, m: Making) -> None:
        """Somebody's records. Who left has those of the last six months only."""
        p = m.person
        if p.bare:
            return
        r = source(m.seed, p.number, "logs")
        for _ in range(14 if p.full else r.randrange(1, 5)):
            days = r.randrange(SPAN // EVERY) * EVERY
            if p.left is None or p.left <= days < 180:
                self._web(r, m.ago(days, r), p.account_id)
        for _ in range(12 if p.full else r.randrange(1, 4)):
            days = r.randrange(SPAN)
            if p.left is None or p.left <= days < 180:
                at = m.ago(days, r)
                self.app[at.date().replace(day=1)].append(
                    {"account_id": p.account_id, "occurred_at": at, "page": r.choice(PAGES),
                     "ip": address_of_net(r), "build": r.randrange(300, 420)}
                )  # fmt: skip

    def _web(self, r: Random, at: datetime, account_id: str | None) -> None:
        self.web[at.date()].append(
            {"occurred_at": at.isoformat(), "account_id": account_id, "page": r.choice(PAGES),
             "ip": address_of_net(r), "status": 200, "agent": r.choice(_AGENTS), "request_id": hexed(r, 16)}
        )  # fmt: skip

    def files(self) -> Iterator[File]:
        """Every third file has an older version that ends in the middle of its span."""
        for n, day in enumerate(sorted(self.web)):
            r = source(self.seed, n, "visitors")
            for _ in range(3):  # who looked around without an account
                noon = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
                self._web(r, noon, None)
            records = sorted(self.web[day], key=lambda x: (x["occurred_at"], x["request_id"]))
            older = (_lines(records[: len(records) // 2]),) if n % 3 == 0 else ()
            yield File(buckets.LOGS, f"web/{day:%Y/%m/%d}.jsonl.gz", _lines(records), before=older)
        for n, month in enumerate(sorted(self.app)):
            records = sorted(self.app[month], key=lambda x: (x["occurred_at"], x["ip"]))
            older = (_parquet(records[: len(records) // 2]),) if n % 3 == 0 else ()
            yield File(buckets.LOGS, f"app/{month:%Y-%m}.parquet", _parquet(records), before=older)


def _lines(records: list[dict[str, Any]]) -> bytes:
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    return gzip.compress(text.encode(), mtime=0)


def _parquet(records: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records, _SCHEMA), sink, row_group_size=ROW_GROUP, compression="zstd")
    return sink.getvalue()
