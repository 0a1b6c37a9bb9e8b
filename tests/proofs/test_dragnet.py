"""The person's own values, wherever they are: each planted place is found by name, and nobody else is accused."""

from __future__ import annotations

import base64
import hashlib
import json
import sys

import pytest

from include import proofs
from include.model.estate import Column
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


def test_a_detached_partition_is_a_table_like_any_other(case: Case) -> None:
    case.shop.sql("ALTER TABLE log.access DETACH PARTITION log.access_old")
    assert wrong(case.scan()) == {}
    case.shop.sql("INSERT INTO log.access_old VALUES ('2026-01-06', 99, NULL, %s)", f"/call/{case.mobile}")
    assert wrong(case.scan()) == {"dragnet.log.access_old": Verdict.FAILED}


def test_a_materialised_view_that_nobody_declared_is_read_as_it_stands(case: Case) -> None:
    view = f"sign.{case.plant.word()}"
    case.shop.sql("CREATE TABLE sign.calls (tel text)")
    case.shop.sql("INSERT INTO sign.calls VALUES (%s)", case.mobile)
    case.shop.sql(f"CREATE MATERIALIZED VIEW {view} AS SELECT tel FROM sign.calls")
    case.shop.sql("DELETE FROM sign.calls")
    assert wrong(case.scan()) == {f"dragnet.{view}": Verdict.FAILED}


def test_a_large_object_is_looked_into(case: Case) -> None:
    case.shop.sql("SELECT lo_from_bytea(0, convert_to(repeat('x ', 9000), 'UTF8'))")
    name = "dragnet.company.large_objects"
    assert wrong(case.scan()) == {name: Verdict.UNVERIFIED}
    case.shop.sql("SELECT lo_from_bytea(0, convert_to(repeat('x ', 9000) || %s::text, 'UTF8'))", case.mobile)
    case.shop.sql(
        "DO $$ DECLARE l oid; BEGIN FOR l IN SELECT oid FROM pg_largeobject_metadata LOOP"
        " EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO prover', l); END LOOP; END $$"
    )
    evidence = case.scan()
    assert wrong(evidence) == {name: Verdict.FAILED}
    assert next(c.observed for c in evidence.checks if c.name == name) == 1


def test_a_name_and_an_address_in_one_row_of_an_undeclared_table_are_the_person(shop: Company) -> None:
    columns = {"account.account": {"name": "PI-001"}, "cert.certificate": {"dn": "PI-028"}}
    shop.catalogue = shop.catalogue.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"columns": {c: Column(category=p) for c, p in columns.get(d.id, {}).items()}})
                for d in shop.catalogue.datasets
            )
        }
    )  # fmt: skip
    name, street = "欧阳震华", "杭州市西湖区文三路八号"
    shop.sql("UPDATE account.account SET name = %s WHERE id = 'A2'", name)
    shop.sql("UPDATE cert.certificate SET dn = %s WHERE serial = 'S2b'", street)
    it, store = step("A2"), shop.store()
    store.open(it)
    store.survey(it)
    values = proofs.collect_values(shop.catalogue, Fixed(shop.conninfo), it)
    assert values.weak == {name, street, "CN=name 2"}
    values = Values(frozenset(["13912345678"]), values.weak)
    assert Values.from_text(values.to_text()) == values
    plan, _ = shop.cancel(it, shop_provisions())
    shop.sql("CREATE TABLE log.both (who text, lives text); CREATE TABLE log.one (who text, lives text)")
    shop.sql("INSERT INTO log.both VALUES ('x', 'y'), (%s, %s)", f"{name}先生", f"寄往{street}3单元")
    shop.sql("INSERT INTO log.one VALUES (%s, 'x'), ('x', %s)", name, street)
    (evidence,) = proofs.dragnet(shop.catalogue, Fixed(shop.conninfo), it, plan, values)
    assert wrong(evidence) == {"dragnet.log.both": Verdict.FAILED}
    (check,) = [c for c in evidence.checks if c.verdict is Verdict.FAILED]
    assert (check.observed, check.why) == (1, "values of the person in columns: lives (1), who (1)")


def test_without_a_value_to_look_for_nothing_is_proved(case: Case) -> None:
    case.values = Values()
    assert case.scan().verdict is Verdict.UNVERIFIED


def test_values_are_sealed_as_text_and_never_shown(case: Case) -> None:
    assert Values.from_text(case.values.to_text()) == case.values
    assert case.mobile not in repr(case.values) and case.mobile not in str(case.values)


def test_only_identifiers_by_form_are_strong() -> None:
    dice = Planter(None, 3)  # type: ignore[arg-type]
    assert all(
        strong(v) for v in (dice.mobile(), dice.email(), dice.document_no(), "E12345678", "010-87654321")
    )
    weak = (
        "张三丰",
        "北京市海淀区",
        "2026-11-24 10:00",
        base64.b64encode(b"hello world").decode(),
        "12345678",
    )
    assert not any(strong(v) for v in weak)


def test_a_table_that_nobody_declared_and_that_was_dropped_meanwhile_is_no_doubt(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed, and is not there when it is read. One that is declared, or there and not readable, is a doubt."""
    room = sys.modules["include.proofs.dragnet"]
    tables = room.everybodys  # type: ignore[attr-defined]
    phantoms = [("sign.dropped", "r", {"id": "int4", "x": "text"})]
    monkeypatch.setattr(room, "everybodys", lambda *a, **k: [*tables(*a, **k), *phantoms])
    evidence = case.scan()
    assert wrong(evidence) == {} and "dragnet.sign.dropped" not in {c.name for c in evidence.checks}
    case.shop.sql("CREATE TABLE sign.dropped (y text)")  # another than was listed
    assert wrong(case.scan()) == {"dragnet.sign.dropped": Verdict.UNVERIFIED}
