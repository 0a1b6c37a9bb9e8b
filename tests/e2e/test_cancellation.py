"""One person's account, cancelled as support, a reviewer and an auditor would live through it."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

from include.ledger.verify import verify
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Disposition
from tests.e2e.conftest import House

ROWS = """
SELECT (SELECT count(*) FROM account.person WHERE account_id = %(id)s),
       (SELECT count(*) FROM account.session WHERE account_id = %(id)s),
       (SELECT count(*) FROM account.credential WHERE account_id = %(id)s),
       (SELECT count(*) FROM usage.device WHERE account_id = %(id)s),
       (SELECT count(*) FROM ra.biometric WHERE account_id = %(id)s)
"""


def test_an_account_is_cancelled_and_its_certificate_verifies_anywhere(house: House, tmp_path) -> None:
    account = house.people["ordinary"]
    with house.company() as conn:
        assert sum(conn.execute(ROWS, {"id": account}).fetchone()) > 3
        certificates = conn.execute(
            "SELECT count(*) FROM cert.certificate WHERE account_id = %s", [account]
        ).fetchone()[0]
        assert certificates

    run = house.trigger(account).approved()
    assert run.ended() == "success", run.why()

    with house.company() as conn:
        assert conn.execute(ROWS, {"id": account}).fetchone() == (0, 0, 0, 0, 0)
        live = conn.execute(
            "SELECT count(*) FROM cert.certificate c WHERE c.account_id = %s AND c.status = 'valid'"
            " AND c.not_after > now()",
            [account],
        ).fetchone()
        assert live == (0,)
        unlisted = conn.execute(
            "SELECT count(*) FROM cert.certificate c LEFT JOIN cert.crl_entry l USING (serial)"
            " WHERE c.account_id = %s AND c.revoked_at IS NOT NULL AND l.serial IS NULL",
            [account],
        ).fetchone()
        assert unlisted == (0,)

    assert run.case().state is CaseState.WAITING
    assert run.findings() == []
    kept = [x for x in run.plan().lines if x.disposition is Disposition.RETAIN and "ESL 24" in x.law]
    today = prc_date(observed_now())
    # Five years after the chain ended: it was live, so it ended today, by revocation. What was put on a chain about a
    # contract waits for the certificates of all who signed it, and another party's goes on.
    kept = [x for x in kept if x.waits_for != "contract_signatures_ended"]
    assert kept and all(x.until and x.until >= today + timedelta(days=5 * 365) for x in kept)

    public = house.stack.ledger_home / "pub.pem"
    for name in run.certificates():
        envelope = (house.stack.certificates / name).read_bytes()
        assert verify(envelope, public.read_bytes()).problems == []
        assert account.encode() not in envelope
        broken = bytearray(envelope)
        broken[len(broken) // 2] ^= 1
        assert verify(bytes(broken), public.read_bytes()).problems
    assert [n.split(".")[2] for n in run.certificates()] == ["auditor", "person"]
    # Beside them lies what an auditor can be handed with them: the proofs, to be read offline.
    proofs = (house.stack.certificates / f"{run.case_no}.1.proofs.html").read_text("utf-8")
    assert run.case_no in proofs and "账目平衡" in proofs and account not in proofs
    assert "http" not in proofs.replace("http-equiv", "") and "<script" not in proofs

    command = [
        sys.executable,
        "-m",
        "include.commands",
        "verify",
        str(house.stack.certificates / name),
        "--key",
        str(public),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "VALID" in done.stdout, done.stdout + done.stderr
