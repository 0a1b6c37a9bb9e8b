"""Where certificates lie for people to fetch: two editions and the page of proofs, each written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from include.cases.certificates import Editions
from include.model.errors import NotReachable, Refused

_NAME = re.compile(r"CASE-\d{6,}\.\d+\.(person|auditor)\.json")


class Shelf:
    """A directory. Files are ``CASE-000001.1.person.json`` and ``CASE-000001.1.auditor.json`` (case, serial of the
    edition), and ``CASE-000001.1.proofs.html`` beside the auditor's: what an auditor is handed, to be read and
    checked without us."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def put(self, editions: Editions, proofs: str) -> str:
        """Lay out the page of proofs, then both editions; the name of the auditor's file.

        Raises NotReachable if it cannot be written.
        """
        name = f"{editions.case_no}.{editions.serial}.auditor.json"
        self._write(f"{editions.case_no}.{editions.serial}.proofs.html", proofs)
        self._write(f"{editions.case_no}.{editions.person_serial}.person.json", editions.person)
        self._write(name, editions.auditor)
        return name

    def get(self, name: str) -> bytes:
        """One file by its name. Raises Refused for a name that is none of ours, or is not there."""
        if not _NAME.fullmatch(name):
            raise Refused("this is not the name of a certificate", about="certificates")
        try:
            return (self.directory / name).read_bytes()
        except OSError:
            raise Refused(
                "there is no such certificate", about=name, next_step="see `quietus case show`"
            ) from None

    def names(self, case_no: str) -> tuple[str, ...]:
        """The certificates of one case, the oldest first; beside each lies its page of proofs."""
        if not self.directory.is_dir():
            return ()
        found = [p.name for p in self.directory.iterdir() if _NAME.fullmatch(p.name)]
        ours = [n for n in found if n.startswith(f"{case_no}.")]
        return tuple(sorted(ours, key=lambda n: (int(n.split(".")[1]), n)))

    def _write(self, name: str, text: str) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.directory, prefix=f".{name}.", delete=False
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(self.directory / name)
        except OSError:
            raise NotReachable(
                "the certificate could not be written", about=name,
                next_step="check the directory that the connection `certificates` names",
            ) from None  # fmt: skip
