"""What was read of record files, in the case book: prover and eraser each remember what they read themselves, and nothing else.

A night would read every log four times over otherwise, for most of which nothing is due. Of a version it is remembered how many
records of which days it holds, and the sum of their digests; by a digest of what names it, and by the question: other holds, or
another code of ours, and it is read anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import IO

from include.cases.rooms import Desk
from include.model.estate import Dataset
from include.model.words import Role
from include.stores.s3.once import Name, Once


@dataclass(frozen=True)
class Readings:
    """Implements ``include.stores.s3.once.Memory``. ``role``: whose it is."""

    desk: Desk
    role: Role

    def load(self, dataset: str) -> Iterable[tuple[Name, str, str]]:
        with self.desk.book() as conn:
            rows = conn.execute(
                "SELECT version, question, said FROM casebook.reading WHERE role = %s AND dataset = %s",
                (self.role.value, dataset),
            ).fetchall()
        for row in rows:
            code, _, question = str(row["question"]).rpartition(" ")
            yield bytes(row["version"]), question if code == self.desk.code else "", str(row["said"])

    def keep(self, dataset: str, question: str, read: Mapping[Name, str]) -> None:
        with self.desk.book() as conn, conn.transaction():
            conn.execute(
                "INSERT INTO casebook.reading (role, dataset, version, question, said)"
                " SELECT %s, %s, v, %s, s FROM unnest(%s::bytea[], %s::text[]) AS n(v, s) ORDER BY v"
                " ON CONFLICT (role, dataset, version) DO UPDATE"
                " SET question = excluded.question, said = excluded.said, read_at = clock_timestamp()",
                (self.role.value, dataset, f"{self.desk.code} {question}", list(read), list(read.values())),
            )

    def forget(self, dataset: str, versions: Collection[Name]) -> None:
        with self.desk.book() as conn, conn.transaction():
            conn.execute(
                "DELETE FROM casebook.reading WHERE role = %s AND dataset = %s AND version = ANY(%s)",
                (self.role.value, dataset, list(versions)),
            )


def remembering(desk: Desk) -> Once:
    """What the prover listed and reads, at one moment; record files that it read before it does not read again. Of those that it
    fetches it makes its own sums, too."""
    return Once(Readings(desk, Role.PROVER), _summed)


def _summed(dataset: Dataset, body: IO[bytes]) -> tuple[int, int] | None:
    """As whoever proves reads it, by code that is not the eraser's."""
    from include.proofs.bodies import Unreadable, summed

    try:
        return summed(body, dataset.format or "jsonl.gz")
    except Unreadable:
        return None
