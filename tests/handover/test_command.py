"""`quietus handover`, both sides, as an operator sees it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from include.cases import book
from include.commands import _common, _connections
from include.commands.handover import app
from include.handover import inboxes, stages
from include.ledger import signer
from include.model.errors import QuietusError, Refused
from include.model.words import Role
from tests.cases.test_migrate import CASE
from tests.handover.both import INBOX, ORDER, TABLES, Both, Side
from tests.stores.postgres.dated import CATALOGUE


class Named(Side):
    """Connections with a signer's address."""

    def text(self, name: str) -> str:
        return name

    def s3(self, connection: str, role: Role) -> Any:
        if connection == inboxes.own(ORDER) and connection not in self.stands_in:
            raise Refused("the connection is not declared", about=connection)
        return super().s3(connection, role)


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, QuietusError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def shell(both: Both, monkeypatch: pytest.MonkeyPatch) -> Both:
    """Commands find one side's servers, as :func:`becomes` says."""
    both.datasets = (TABLES[1],)
    becomes(both, both.ours, both.our_signer, monkeypatch)
    return both


def becomes(both: Both, side: Side, attesting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    named = Named(**vars(side))
    named.stands_in["successor_inbox"] = both.theirs.objects.client()
    desk = SimpleNamespace(
        catalogue=CATALOGUE,
        connections=named,
        book=both.book,
        record=lambda *said: both.ledger.append(said),
        keys=None,
    )
    monkeypatch.setattr(_common, "desk", lambda: desk)
    monkeypatch.setattr(_common, "catalogue", lambda: CATALOGUE)
    monkeypatch.setattr(_common, "reader", lambda: book.connect(named.postgres("records", Role.READER)))
    monkeypatch.setattr(_connections, "connections", lambda: named)
    for room in (signer, stages):
        monkeypatch.setattr(room, "SignerClient", lambda _: SimpleNamespace(attest=attesting))


def test_both_sides_from_the_command_line(
    shell: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consignment, home = tmp_path / "c.json", tmp_path / "bags"
    consignment.write_bytes(shell.consignment.canonical())
    shell.consigned()
    assert run("pack", consignment, "--dir", home) == (0, f"{ORDER}: 5 bags packed now")
    assert run("status", ORDER)[0] == 3
    assert run("send", consignment, "--dir", home, "--bucket", INBOX) == (0, f"{ORDER}: 5 bags sent now")
    code, said = run("verify-receipt", consignment, "--bucket", INBOX)
    assert code == 3 and said.count("no receipt yet") == 5

    becomes(shell, shell.theirs, shell.their_signer, monkeypatch)
    files = {"certificate": shell.consignment.successor.certificate, "sender-key": shell.our_signer.pem}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "key").write_bytes(
        shell.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    receive = ["receive", ORDER, "--bucket", INBOX, "--work", tmp_path / "work"]
    receive += [x for n in ("certificate", "key", "sender-key") for x in (f"--{n}", tmp_path / n)]
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(Refused, match="open to others"):
        run(*receive)
    (tmp_path / "key").chmod(0o600)
    assert run(*receive) == (0, f"{ORDER}: 5 bags stored and signed for, 0 of them with differences")

    becomes(shell, shell.ours, shell.our_signer, monkeypatch)
    code, said = run("verify-receipt", consignment, "--bucket", INBOX)
    assert code == 0 and said.count(": received") == 5
    code, said = run("status", ORDER, "--json")
    assert code == 0 and {row["state"] for row in json.loads(said)} == {"received"}
    assert [kind for kind, *_ in shell.ledger].count("handover.receipt") == 5
    # Whom we delete since follows, or it is said what is not at hand.
    again = ("tombstones", consignment, "--dir", home, "--bucket", INBOX)
    assert run(*again) == (0, f"{ORDER}: 0 bags packed now, 0 sent now")
    with psycopg.connect(shell.ours.server.conninfo(shell.ours.records), autocommit=True) as conn:
        conn.execute(CASE, ("CASE-900001",))
        conn.execute(
            "INSERT INTO casebook.tombstone VALUES ('account_id', 't', 1, 'CASE-900001', '2026-11-24')"
        )
    code, said = run(*again)
    assert code == 3 and said.startswith(f"{ORDER}: 1 bags packed now, 1 sent now left book.tombstone_key: ")
    assert run("status", ORDER)[0] == 3, "it waits for a receipt"
    # The successor's table changes: it signs that it does, and exits accordingly.
    shell.sql(
        shell.theirs, "DELETE FROM cert.crl_entry WHERE serial = (SELECT min(serial) FROM cert.crl_entry)"
    )
    becomes(shell, shell.theirs, shell.their_signer, monkeypatch)
    code, said = run(*receive)
    assert code == 3 and "1 missing, 0 changed, 0 too many" in said
    nothing = f"{ORDER}: of 0 items that are gone nothing but a digest is noted now"
    assert run("forget", ORDER) == (0, nothing), "it is missing before its time"
    with pytest.raises(Refused, match="nothing of it is stored here"):
        run("forget", ORDER, "--sender", "Somebody else")


def test_what_is_no_consignment(shell: Both, tmp_path: Path) -> None:
    wrong = tmp_path / "c.json"
    for content, words in (
        (b"{}", "no consignment"),
        (shell.consignment.model_copy(update={"order": "x"}).canonical(), "order"),
        (shell.consignment.canonical().replace(b"RS-04", b"RS-07"), "not handed over"),
    ):
        wrong.write_bytes(content)
        with pytest.raises(Refused, match=words):
            run("pack", wrong, "--dir", tmp_path)
    with pytest.raises(Refused, match="cannot be read"):
        run("pack", tmp_path / "none.json", "--dir", tmp_path)
    wrong.write_bytes(shell.consignment.canonical())
    with pytest.raises(Refused, match="nothing to verify"):
        run("verify-receipt", wrong)
