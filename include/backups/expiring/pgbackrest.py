"""pgBackRest's own ``expire``: a copy by ``--set``, with what leans on it; archived WAL by how many full backups it is kept for.

The company's own settings for how much is kept are overruled for these calls, so that exactly what is planned goes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from include.backups.calling import HOURS, called
from include.model.backups import SEGMENT, ArchiveCut, BackupCopy, segment

_ALL = "9999999"  # the most that its retention options take
_COPY = re.compile(r"remove expired backup (\S+)")
_WAL = re.compile(r"remove archive, start = \w+, stop = ([0-9A-F]{24})")
_REPOSITORY = re.compile(r"repository (\d+)")


class ExpirePgBackRest:
    def __init__(self, id: str, config: str, stanza: str) -> None:
        self._id, self._config, self._stanza = id, config, stanza

    def check(self, copy: BackupCopy) -> str | None:
        """By ``verify``, which reads every file of the copy, those of others that it refers to, and archived WAL."""
        said = self._said("verify", "--output=text", "--verbose", f"--set={copy.name}", log="off")
        wanted = rf"backup: {re.escape(copy.name)}, status: valid,"
        if re.search(wanted, said) and re.search(r"^ *status: ok\s*$", said, re.MULTILINE):
            return None
        return "pgBackRest's verify does not call it valid"

    def rehearse(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(
            gone
            for name in names
            for gone in _COPY.findall(self._said("expire", "--dry-run", f"--set={name}"))
        )

    def let_go(self, names: Sequence[str]) -> None:
        for name in names:
            self._said("expire", f"--set={name}")

    def rehearse_archive(self, staying: Collection[BackupCopy]) -> tuple[ArchiveCut, ...]:
        cuts = []
        for place, said in self._archive(staying, "--dry-run"):
            ends = [segment(last) + SEGMENT for last in _WAL.findall(said)]
            if ends:
                cuts.append(ArchiveCut(place, max(ends)))
        return tuple(cuts)

    def let_go_archive(self, staying: Collection[BackupCopy]) -> None:
        for _ in self._archive(staying):
            pass

    def _archive(self, staying: Collection[BackupCopy], *options: str) -> Iterator[tuple[str, str]]:
        """Of each repository what is archived from before its oldest full backup that stays."""
        for place in sorted({copy.location for copy in staying}):
            found = _REPOSITORY.fullmatch(place)
            fulls = sum(copy.location == place and not copy.leans_on for copy in staying)
            if found is None or not fulls:
                continue
            repo = f"--repo{found[1]}-retention"
            yield place, self._said(
                "expire", *options, f"--repo={found[1]}", f"{repo}-full-type=count", f"{repo}-full={_ALL}",
                f"{repo}-diff={_ALL}", f"{repo}-archive-type=full", f"{repo}-archive={fulls}",
            )  # fmt: skip

    def _said(self, command: str, *options: str, log: str = "detail") -> str:
        return called(
            [
                "pgbackrest", f"--config={self._config}", f"--stanza={self._stanza}", "--log-level-file=off",
                f"--log-level-console={log}", "--log-level-stderr=off", *options, command,
            ],
            about=self._id, seconds=HOURS,
        )  # fmt: skip
