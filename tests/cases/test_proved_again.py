"""What a blind night left in doubt is looked at again on real servers, also where the step's area is long gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

import include.proofs
from include.cases import papers, provers, verbs
from include.cases.controls import again, doubt
from include.cases.controls.results import Outcome
from include.commands import _common as common
from include.commands import proofs
from include.model.words import CaseState, Verdict
from include.proofs.values import Values
from tests.cases import blinded
from tests.cases.backed import ON, PERSON, Backed, backed
from tests.cases.small import TODAY
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres
PHONE = "13800138000"


@pytest.fixture
def shop(pg18: PgServer, case_book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backed]:
    # The shop's columns are no categories, so nothing would be sealed to look for.
    monkeypatch.setattr(include.proofs, "collect_values", lambda *_: Values(frozenset([PHONE])))
    with backed(pg18, pg18.conninfo(case_book, "case_writer"), tmp_path / "keys") as made:
        yield made


def at_rest(shop: Backed, *people: int) -> str:
    case_no = shop.erase(*people)
    provers.prove_gone(shop.desk, case_no, **ON)
    provers.prove_undeclared(shop.desk, case_no, **ON)
    verbs.rest(shop.desk, case_no, **ON)
    assert shop.state(case_no) is CaseState.WAITING
    return case_no


def night(shop: Backed, outcome: Outcome) -> None:
    blinded.night(shop.desk, outcome, store="company", proof="dragnet")


def findings(shop: Backed, case_no: str) -> list[str]:
    with shop.desk.book() as conn:
        return [f["code"] for f in papers.open_findings(conn, case_no)]


def areas(shop: Backed) -> list[str]:
    return [name for (name,) in shop.shop.sql(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'q\_%'")]


def test_a_case_at_rest_is_looked_at_again_and_nothing_is_left_of_the_look(
    shop: Backed, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_no, other = at_rest(shop, 1), at_rest(shop, 2)
    night(shop, Outcome.MISSED)
    assert findings(shop, case_no) == findings(shop, other) == [doubt.FINDING]
    status, said = typed(shop, monkeypatch)
    assert status == 1 and "0 cases were looked at again; not yet: dragnet in company, which misses" in said
    night(shop, Outcome.FOUND)
    before = rows(shop)
    done = again.prove_again(shop.desk, **ON)
    assert (done.cases, done.failed, done.blind) == (tuple(sorted((case_no, other))), (), ())
    assert findings(shop, case_no) == findings(shop, other) == []
    assert rows(shop) == before and areas(shop) == []
    with shop.desk.book() as conn:
        looks = [e for _, e in papers.evidence(conn, case_no) if e.kind == "dragnet"]
        assert len(looks) == 2 and {e.verdict for e in looks} == {Verdict.PASSED}
        assert looks[0].step == looks[1].step and looks[0].plan == looks[1].plan
        assert {c.name for c in looks[1].checks} >= {c.name for c in looks[0].checks}
    assert typed(shop, monkeypatch) == (0, "0 cases were looked at again"), "nothing is in doubt any more"


def test_whoever_was_overlooked_is_found_and_keeps_no_other_waiting(shop: Backed) -> None:
    """The night was blind for a reason: somebody had been copied beside."""
    case_no, other = at_rest(shop, 1), at_rest(shop, 2)
    night(shop, Outcome.MISSED)
    shop.shop.sql(f"CREATE TABLE account.copy AS SELECT '{PHONE}'::text AS phone")
    night(shop, Outcome.FOUND)
    done = again.prove_again(shop.desk, **ON)
    assert done.cases == () and len(done.failed) == 2  # both are sought by this number
    assert "dragnet.account.copy" in done.failed[0] and PHONE not in str(done)
    assert findings(shop, case_no) == ["dragnet_not_proved"] == findings(shop, other)
    shop.shop.sql("DELETE FROM account.copy")
    assert again.prove_again(shop.desk, **ON).cases == tuple(sorted((case_no, other))), (
        "the next night looks again"
    )
    assert findings(shop, case_no) == findings(shop, other) == []


def test_a_row_that_survived_the_disposal_is_no_row_that_is_kept(shop: Backed) -> None:
    case_no = at_rest(shop, 1)
    night(shop, Outcome.MISSED)
    with psycopg.connect(shop.shop.conninfo("quietus_admin"), autocommit=True) as live:
        live.execute("ALTER TABLE account.session DISABLE TRIGGER ALL")
        live.execute("INSERT INTO account.session VALUES (9001, %s, %s)", (PERSON(1), PHONE))
    night(shop, Outcome.FOUND)
    done = again.prove_again(shop.desk, **ON)
    assert done.cases == () and "dragnet.account.session" in done.failed[0]
    assert findings(shop, case_no) == ["dragnet_not_proved"]


def typed(shop: Backed, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """`quietus proofs again`: its exit status, and what it says."""
    monkeypatch.setattr(common, "desk", lambda: shop.desk)
    monkeypatch.setattr(common, "today", lambda: TODAY)
    result = CliRunner().invoke(proofs.app, ["again"], catch_exceptions=False)
    return result.exit_code, " ".join(result.output.split())


def rows(shop: Backed) -> dict[str, tuple[int, str]]:
    return {d.address: shop.shop.digest(d.address) for d in shop.desk.catalogue.datasets}
