"""The console behind Airflow's own log-in: who gets in, who gets which edition, and that a download verifies."""

from __future__ import annotations

import requests

from include.ledger.verify import verify
from tests.e2e.conftest import House


def test_only_who_is_logged_in_reads_and_only_an_auditor_gets_the_auditors_edition(house: House) -> None:
    run = house.trigger(house.somebody()).approved()
    assert run.ended() == "success", run.why()
    base = f"{house.stack.airflow.url}/quietus/cases"

    nobody = requests.get(f"{base}/{run.case_no}", timeout=30, allow_redirects=False)
    assert nobody.status_code in (302, 307, 401, 403) and "timeline" not in nobody.text.lower()

    public = (house.stack.ledger_home / "pub.pem").read_bytes()
    for who, auditor in (("support", False), ("auditor", True)):
        user = house.user(who)
        page = user.page(f"/quietus/cases/{run.case_no}?lang=en")
        assert page.status_code == 200 and "What goes and what stays" in page.text
        assert ("auditor.json" in page.text) is auditor
        assert run.case_no in user.page("/quietus/cases").text
        assert user.page(f"/quietus/cases/{run.case_no}/proofs").status_code == (200 if auditor else 404)
        serial = page.text.split("/person.json")[0].rsplit("/", 1)[1]
        mine = user.page(f"/quietus/cases/{run.case_no}/certificate/{serial}/person.json")
        assert verify(mine.content, public).problems == []
        theirs = user.page(f"/quietus/cases/{run.case_no}/certificate/{serial}/auditor.json")
        assert theirs.status_code == (200 if auditor else 404)
        if auditor:
            assert verify(theirs.content, public).problems == []
