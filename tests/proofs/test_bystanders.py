"""Nobody else is touched: each wrong row is seen by name, though the numbers agree."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from include import proofs
from include.model.flow import Evidence, Plan, Step
from include.model.words import Disposition, Verdict
from tests.proofs.test_gone import cancelled, gone, wrong
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, Effect, Fixed, shop_provisions, step
from tests.stores.postgres.test_rest import half_done

# Skips one of the person's rows, and does the same to somebody else's: as many rows as planned.
SWAP = """
CREATE FUNCTION account.swap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF pg_trigger_depth() > 1 THEN RETURN NEW; END IF;
  {catching_starts}
  UPDATE account.account SET name = 'not mine' WHERE id = 'A5';
  {catching_ends}
  RETURN NULL;
END $$;
CREATE TRIGGER swap BEFORE UPDATE ON account.account FOR EACH ROW EXECUTE FUNCTION account.swap();
"""
PLAIN = SWAP.format(catching_starts="", catching_ends="")
CATCHING = SWAP.format(catching_starts="BEGIN", catching_ends="EXCEPTION WHEN OTHERS THEN NULL; END;")


def touched(shop: Company, it: Step, plan: Plan) -> Evidence:
    (evidence,) = proofs.touched(shop.catalogue, Fixed(shop.conninfo), it, plan)
    return evidence


def pictures(
    shop: Company, it: Step, plan: Plan, like: Sequence[proofs.Picture] = ()
) -> list[proofs.Picture]:
    return proofs.picture(shop.catalogue, Fixed(shop.conninfo), it, plan, like=like)


def compared(shop: Company, it: Step, plan: Plan, before: Sequence[proofs.Picture]) -> Evidence:
    (evidence,) = proofs.unchanged(it, plan, before, pictures(shop, it, plan, before))
    return evidence


def prepared(shop: Company, *subjects: str) -> tuple[Step, Plan]:
    it, store = step(*subjects), shop.store()
    store.open(it)
    store.restrict(it)
    store.settle(it)
    return it, shop.prepare(it, shop_provisions(), store)[0]


def test_only_the_steps_own_rows_were_written(shop: Company) -> None:
    shop.sql("CREATE TABLE sign.undeclared (id int)")
    it, plan = cancelled(shop)
    evidence = touched(shop, it, plan)
    assert wrong(evidence) == {}
    assert evidence.kind == "bystanders"
    assert {c.name for c in evidence.checks} == {
        f"touched.{a}" for a in [d.address for d in making.SHOP.datasets] + ["sign.undeclared"]
    }


def test_chunks_of_a_night_are_all_looked_at(shop: Company) -> None:
    it = step("A2", "A4", "A6")
    plan, _ = shop.cancel(it, shop_provisions(), shop.store(chunk_subjects=1))
    assert wrong(touched(shop, it, plan)) == {}
    last = shop.value("SELECT max(xid::text::bigint) FROM quietus.receipt WHERE verb = 'dispose'")
    assert shop.value("SELECT count(*) FROM account.account WHERE xmin::text = %s", str(last)) == 1


def test_a_trigger_that_swaps_rows_is_seen_though_the_books_balance(shop: Company) -> None:
    shop.sql(PLAIN)
    it, plan = cancelled(shop)
    assert wrong(touched(shop, it, plan)) == {"touched.account.account": Verdict.FAILED}


def test_a_trigger_whose_rows_bear_another_id_leaves_it_unverified(shop: Company) -> None:
    shop.sql(CATCHING)
    it, plan = cancelled(shop)
    evidence = touched(shop, it, plan)
    assert wrong(evidence) == {"savepoints.company": Verdict.UNVERIFIED}
    assert "swap" in next(c.why for c in evidence.checks if c.name.startswith("savepoints"))


def test_a_function_that_only_raises_opens_no_subtransaction(shop: Company) -> None:
    shop.sql(
        "CREATE FUNCTION account.guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.id IS NULL THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$"
    )
    shop.sql(
        "CREATE TRIGGER guard BEFORE UPDATE ON account.account FOR EACH ROW EXECUTE FUNCTION account.guard()"
    )
    it, plan = cancelled(shop)
    assert wrong(touched(shop, it, plan)) == {}


def counting(shop: Company) -> Company:
    """A history that a trigger writes, which is declared row by row."""
    shop.sql("CREATE TABLE log.history (was text)")
    shop.sql(
        "CREATE FUNCTION log.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN INSERT INTO log.history VALUES ('a session'); RETURN NULL; END $$"
    )
    shop.sql("CREATE TRIGGER keep AFTER DELETE ON account.session FOR EACH ROW EXECUTE FUNCTION log.keep()")
    return declaring(shop, per_row=True)


def declaring(shop: Company, *, per_row: bool) -> Company:
    effect = Effect(table="log.history", operation="insert", per_row=per_row, reason="a history is kept")
    shop.catalogue = shop.catalogue.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"effects": (effect,)}) if d.id == "account.session" else d
                for d in shop.catalogue.datasets
            )
        }
    )
    return shop


def test_a_declared_effect_is_shown_and_bounded(shop: Company) -> None:
    counting(shop)
    it, plan = prepared(shop, "A2")
    before = pictures(shop, it, plan)
    shop.store().dispose(it, plan)
    evidence = touched(shop, it, plan)
    assert wrong(evidence) == {}
    (check,) = [c for c in evidence.checks if c.name == "declared.log.history"]
    assert (check.expected, check.observed) == (3, 3)
    (check,) = [c for c in compared(shop, it, plan, before).checks if c.name == "declared.log.history"]
    assert (check.verdict, check.expected, check.observed) == (Verdict.PASSED, 0, 3)
    assert "a history is kept" in check.why
    declaring(shop, per_row=False)  # had it been declared as one row for all
    assert wrong(touched(shop, it, plan)) == {"declared.log.history": Verdict.FAILED}


def test_what_was_written_under_a_plan_that_was_replaced_is_looked_at_as_well(shop: Company) -> None:
    it, plan = cancelled(shop)
    later = plan.model_copy(update={"code": "newer"})  # another store was planned again; this one was through
    assert wrong(touched(shop, it, later)) == {}


def test_a_row_that_was_swapped_before_the_rest_was_planned_anew_is_seen(shop: Company) -> None:
    shop.sql(PLAIN.replace("'A5'", "'A7'"))
    it, _ = half_done(shop)
    shop.sql("DROP TRIGGER swap ON account.account")
    second, _ = shop.prepare(it, shop_provisions())
    shop.store().dispose(it, second)
    assert wrong(touched(shop, it, second)) == {"touched.account.account": Verdict.FAILED}


def test_what_was_done_and_what_was_planned_anew_is_proved_alike(shop: Company) -> None:
    it, _ = half_done(shop)
    second, _ = shop.prepare(it, shop_provisions())
    shop.store().dispose(it, second)
    assert wrong(touched(shop, it, second)) == {}
    assert wrong(gone(shop, it, second)) == {}
    shop.sql("INSERT INTO account.session VALUES (51, 'A5', 'back')")  # of a person who was done before
    assert set(wrong(gone(shop, it, second))) == {"gone.account.session"}


def test_without_a_receipt_nothing_is_claimed(shop: Company) -> None:
    it, plan = prepared(shop, "A2")
    assert wrong(touched(shop, it, plan)) == {"touched.company": Verdict.UNVERIFIED}


def test_a_store_in_which_everything_stays_has_nothing_to_look_at(shop: Company) -> None:
    it, plan = prepared(shop, "A2")
    kept = tuple(x.model_copy(update={"disposition": Disposition.RETAIN}) for x in plan.lines)
    staying = plan.model_copy(update={"lines": kept})
    assert proofs.touched(shop.catalogue, Fixed(shop.conninfo), it, staying) == []


# --- pictures -------------------------------------------------------------------------------------


def test_everybody_else_is_the_same_after_a_disposal(shop: Company) -> None:
    it, plan = prepared(shop, "A2")
    before = pictures(shop, it, plan)
    shop.store().dispose(it, plan)
    evidence = compared(shop, it, plan, before)
    assert wrong(evidence) == {}
    others = next(c for c in evidence.checks if c.name == "unchanged.account.account")
    assert (others.expected, others.observed) == (7, 7)


def test_a_swapped_row_is_seen_in_the_pictures(shop: Company) -> None:
    shop.sql(PLAIN)
    it, plan = prepared(shop, "A2")
    before = pictures(shop, it, plan)
    shop.store().dispose(it, plan)
    assert wrong(compared(shop, it, plan, before)) == {"unchanged.account.account": Verdict.FAILED}


def test_a_picture_names_nobody_and_is_kept_as_text(shop: Company) -> None:
    it, plan = prepared(shop, "A2")
    (taken,) = pictures(shop, it, plan)
    text = taken.model_dump_json()
    assert "A5" not in text and "name 5" not in text
    assert proofs.Picture.model_validate_json(text) == taken


def test_two_pictures_that_were_not_taken_alike_prove_nothing(shop: Company) -> None:
    it, plan = prepared(shop, "A2")
    before, after = pictures(shop, it, plan), pictures(shop, it, plan)
    (evidence,) = proofs.unchanged(it, plan, before, after)
    assert wrong(evidence) == {"unchanged.company": Verdict.UNVERIFIED}


def test_a_table_that_came_or_went_is_a_difference(shop: Company) -> None:
    shop.sql("CREATE TABLE sign.here (id int)")
    it, plan = prepared(shop, "A2")
    before = pictures(shop, it, plan)
    shop.sql("DROP TABLE sign.here")
    shop.sql("CREATE TABLE sign.there AS SELECT 1 AS id")
    assert wrong(compared(shop, it, plan, before)) == {
        "unchanged.sign.here": Verdict.FAILED,
        "unchanged.sign.there": Verdict.FAILED,
    }


def test_a_table_that_nobody_declared_and_that_was_dropped_meanwhile_is_no_doubt(
    shop: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, plan = cancelled(shop)
    room = sys.modules["include.proofs.bystanders"]
    tables = room.everybodys  # type: ignore[attr-defined]
    phantoms = [("sign.dropped", "r", {"id": "int4"})]
    monkeypatch.setattr(room, "everybodys", lambda *a, **k: [*tables(*a, **k), *phantoms])
    evidence = touched(shop, it, plan)
    assert wrong(evidence) == {} and "touched.sign.dropped" not in {c.name for c in evidence.checks}
    shop.sql("CREATE VIEW sign.dropped AS SELECT 1 AS id")  # there, and not to be asked in this way
    assert wrong(touched(shop, it, plan)) == {"touched.sign.dropped": Verdict.UNVERIFIED}
