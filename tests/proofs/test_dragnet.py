"""The person's own values, wherever they are: each planted place is found by name, and nobody else is accused."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from include import proofs
from include.model.catalogue import Column
from include.model.flow import Evidence, Plan, Step
from include.model.words import Verdict
from include.proofs.values import Values, strong
from tests.proofs.planter import Planter
from tests.proofs.test_gone import wrong
from tests.stores.postgres.making import ACCOUNT, Company, Fixed, shop_provisions, step

SEEDS = (1, 2)


class Case:
    """One person of the shop with real identifiers, cancelled; the scan's values were read before."""

    def __init__(self, shop: Company, seed: int) -> None:
        self.shop, self.plant = shop, Planter(shop, seed)
        shop.catalogue = shop.catalogue.model_copy(
            update={
                "datasets": tuple(
                    d.model_copy(update={"columns": {"phone": Column(category="PI-005"),
                                                     "name": Column(category="PI-006")}})
                    if d.id == ACCOUNT.id else d
                    for d in shop.catalogue.datasets
                )
            }
        )  # fmt: skip
        self.mobile, self.email = self.plant.mobile(), self.plant.email()
        shop.sql("UPDATE account.account SET phone = %s, name = %s WHERE id = 'A2'", self.mobile, self.email)
        self.step: Step = step("A2")
        store = shop.store()
        store.open(self.step)
        store.survey(self.step)
        self.values = proofs.collect_values(shop.catalogue, Fixed(shop.conninfo), self.step)
        self.plan: Plan
        self.plan, _ = shop.cancel(self.step, shop_provisions())

    def scan(self) -> Evidence:
        (found,) = proofs.dragnet(
            self.shop.catalogue, Fixed(self.shop.conninfo), self.step, self.plan, self.values
        )
        return found


@pytest.fixture(params=SEEDS)
def case(shop: Company, request: pytest.FixtureRequest) -> Case:
    return Case(shop, request.param)


def test_a_clean_company_has_no_hits(case: Case) -> None:
    assert len(case.values) == 2
    evidence = case.scan()
    assert wrong(evidence) == {}
    assert "dragnet.account.session" in {c.name for c in evidence.checks}


@pytest.mark.parametrize("kind", ["text", "varchar", "jsonb", "json", "text[]", "bytea", "bigint"])
def test_an_undeclared_table_is_named(case: Case, kind: str) -> None:
    written = {
        "jsonb": json.dumps({"a": [{"b": case.mobile}]}),
        "json": json.dumps({case.email: 1}),
        "text[]": "{x," + case.email.upper() + "}",
        "bigint": case.mobile,
        "bytea": "\\x" + f"tel:{case.mobile};".encode().hex(),
    }.get(kind, f"请致电 +86-{case.mobile[:3]} {case.mobile[3:7]} {case.mobile[7:]} 张先生")
    table = case.plant.table(kind, written, rows=3)
    evidence = case.scan()
    assert wrong(evidence) == {f"dragnet.{table}": Verdict.FAILED}
    (check,) = [c for c in evidence.checks if c.verdict is Verdict.FAILED]
    assert check.observed == 3
    said = evidence.canonical().decode()
    assert case.mobile not in said and case.email not in said


def test_a_digest_and_a_full_width_number_are_the_person_too(case: Case) -> None:
    digest = case.plant.table("text", hashlib.sha256(case.mobile.encode()).hexdigest())
    wide = case.plant.table("text", case.mobile.translate({ord(d): ord(d) + 0xFEE0 for d in "0123456789"}))
    broken = case.plant.table("text", f"call\n{case.mobile}\nn")
    assert wrong(case.scan()) == {f"dragnet.{t}": Verdict.FAILED for t in (digest, wide, broken)}


def test_free_text_about_the_person_in_a_row_of_somebody_else_is_found(case: Case) -> None:
    case.shop.sql("UPDATE sign.folder SET label = %s WHERE id = 5", f"see {case.email}.")
    assert wrong(case.scan()) == {"dragnet.sign.folder": Verdict.FAILED}


def test_another_person_with_the_same_phone_is_not_accused(case: Case) -> None:
    case.shop.sql("UPDATE account.account SET phone = %s WHERE id = 'A5'", case.mobile)
    assert wrong(case.scan()) == {}


def test_a_phone_that_is_another_persons_too_is_theirs_in_free_text_about_them(case: Case) -> None:
    catalogue = case.shop.catalogue
    case.shop.catalogue = catalogue.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"columns": {"label": Column(categories=("PI-028",))}})
                if d.id == "sign.folder" else d
                for d in catalogue.datasets
            )
        }
    )  # fmt: skip
    case.shop.sql("UPDATE sign.folder SET label = %s WHERE id = 5", f"call {case.mobile}")
    assert wrong(case.scan()) == {"dragnet.sign.folder": Verdict.FAILED}
    case.shop.sql("UPDATE account.account SET phone = %s WHERE id = 'A5'", case.mobile)
    assert wrong(case.scan()) == {}
    case.shop.sql("UPDATE sign.folder SET label = %s WHERE id = 5", f"call {case.mobile}, {case.email}")
    assert wrong(case.scan()) == {"dragnet.sign.folder": Verdict.FAILED}


def test_a_longer_number_is_not_the_person(case: Case) -> None:
    case.plant.table("text", f"9{case.mobile}7 x{case.email}")
    assert wrong(case.scan()) == {}


def test_what_the_plan_keeps_may_name_the_person(case: Case) -> None:
    case.shop.sql("ALTER TABLE cert.certificate DISABLE TRIGGER USER")
    case.shop.sql("UPDATE cert.certificate SET dn = %s WHERE account_id = 'A2'", case.email)
    assert wrong(case.scan()) == {}


def test_a_table_that_the_prover_may_not_read_is_no_zero(case: Case) -> None:
    table = case.plant.table("text", case.mobile)
    case.shop.sql(f"REVOKE ALL ON {table} FROM PUBLIC, prover")
    case.shop.sql("REVOKE pg_read_all_data FROM prover")
    try:
        assert wrong(case.scan()) == {f"dragnet.{table}": Verdict.UNVERIFIED}
    finally:
        case.shop.install()


def test_without_a_value_to_look_for_nothing_is_proved(case: Case) -> None:
    case.values = Values()
    assert case.scan().verdict is Verdict.UNVERIFIED


def test_values_are_sealed_as_text_and_never_shown(case: Case) -> None:
    assert Values.from_text(case.values.to_text()) == case.values
    assert case.mobile not in repr(case.values) and case.mobile not in str(case.values)


def test_only_identifiers_by_form_are_strong() -> None:
    dice = Planter(None, 3)  # type: ignore[arg-type]
    assert all(strong(v) for v in (dice.mobile(), dice.email(), dice.document_no()))
    weak = (
        "张三丰",
        "北京市海淀区",
        "2026-11-24 10:00",
        base64.b64encode(b"hello world").decode(),
        "12345678",
    )
    assert not any(strong(v) for v in weak)
