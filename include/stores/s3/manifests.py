"""The manifests of a step: what a survey located, and what was to become of it.

A manifest is one zip with a member per dataset (``<dataset>.jsonl``, a row per item) and one of findings. So a step's
rows are written in one request, which replaces the earlier survey whole or not at all, and fetched in one, however
many datasets the store has. Members are written and read as streams; the zip itself lies on local disk meanwhile.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from include.model.errors import Drifted
from include.model.flow import Finding
from include.stores.s3.items import Item

IN_MEMORY = 1 << 20  # larger manifests are held on disk
FINDINGS = "findings.json"


class Writing:
    """A manifest that is being made."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed

    def add(self, dataset: str, items: Iterable[Item]) -> None:
        """All rows of a dataset, in order."""
        with self._packed.open(_member(dataset), "w", force_zip64=True) as member:
            for item in items:
                member.write(item.line())

    def note(self, findings: Iterable[Finding]) -> None:
        """What a person must settle."""
        rows = [finding.model_dump(mode="json") for finding in findings]
        self._packed.writestr(FINDINGS, json.dumps(rows))


class Manifest:
    """A manifest that was fetched."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed

    def items(self, dataset: str) -> Iterator[Item]:
        """The rows of a dataset in order, as a stream. Raises Drifted if it has none."""
        try:
            member = self._packed.open(_member(dataset))
        except KeyError:
            raise Drifted(
                "the step's manifest does not know the dataset",
                about=dataset,
                next_step="survey and weigh again",
            ) from None
        with member:
            for line in member:
                yield Item.read(line)

    def findings(self) -> tuple[Finding, ...]:
        if FINDINGS not in self._packed.namelist():
            return ()
        return tuple(Finding.model_validate(row) for row in json.loads(self._packed.read(FINDINGS)))


def _member(dataset: str) -> str:
    return f"{dataset}.jsonl"


@contextmanager
def spooled() -> Iterator[IO[bytes]]:
    """A local file that is gone afterwards."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        yield cast("IO[bytes]", file)


@contextmanager
def packing(into: IO[bytes]) -> Iterator[Writing]:
    """Write a manifest into a local file, which is then rewound."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        yield Writing(packed)
    into.seek(0)


@contextmanager
def unpacking(body: IO[bytes]) -> Iterator[Manifest]:
    """Read a manifest from a stream. Any number of its datasets may be read at a time."""
    with spooled() as file:
        shutil.copyfileobj(body, file, 1 << 18)
        file.seek(0)
        with zipfile.ZipFile(file) as packed:
            yield Manifest(packed)
