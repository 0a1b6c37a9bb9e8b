"""Planted controls of the PostgreSQL proofs: something random is planted, and the check of that name fails."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

import pytest

from include import proofs
from include.model.estate import Anchored, Cut, Derived, Digested
from include.model.flow import Evidence, Plan, Step
from include.model.words import Disposition, Verdict
from include.proofs.names import POSTGRES
from tests.conftest import PgServer
from tests.proofs.controls import control
from tests.proofs.planter import Planter
from tests.proofs.test_bystanders import PLAIN, compared, counting, declaring, pictures, prepared, touched
from tests.proofs.test_gone import cancelled, gone
from tests.proofs.test_restricted import restrict, restricted, with_proof
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, Fixed, own, shop_provisions, step

ME = "A2"
STAYING = (Disposition.RETAIN, Disposition.DEIDENTIFY, Disposition.UNLINK)


@pytest.fixture(scope="module")
def pg_server(pg18: PgServer) -> PgServer:
    """What is planted is found by the prover, not by the server: one version will do here."""
    return pg18


@pytest.fixture
def plant(shop: Company) -> Planter:
    seed = random.SystemRandom().randrange(10**6)
    sys.stderr.write(f"planted with seed {seed}\n")  # shown where the test fails
    return Planter(shop, seed)


def failed(evidence: Evidence) -> set[str]:
    return {c.name for c in evidence.checks if c.verdict is Verdict.FAILED}


def baseline(shop: Company, it: Step, plan: Plan) -> Evidence:
    (evidence,) = proofs.baseline(shop.catalogue, Fixed(shop.conninfo), it, plan)
    return evidence


# --- before the disposal --------------------------------------------------------------------------


@control("baseline", "seen", POSTGRES)
def test_a_prover_that_does_not_follow_a_link_is_blind(shop: Company, plant: Planter) -> None:
    it, plan = prepared(shop, ME)
    blind = plant.one_of(plan, *Disposition)
    shop.catalogue = shop.catalogue.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"links": ()}) if d.id == blind.id else d for d in shop.catalogue.datasets
            )
        }
    )
    assert f"seen.{blind.id}" in failed(baseline(shop, it, plan))


@control("baseline", "there", POSTGRES)
def test_as_many_items_but_other_ones_are_not_what_was_located(shop: Company, plant: Planter) -> None:
    it, plan = prepared(shop, ME)
    table, column, other = plant.dice.choice(
        (
            ("account.session", "id", "id + 10"),
            ("log.access", "id", "id + 1"),
            ("cert.certificate", "serial", "replace(serial, '2', '3')"),
        )
    )
    shop.sql(f'UPDATE q_{it.id}."{table}" SET {column} = {other}')
    assert failed(baseline(shop, it, plan)) >= {f"there.{table}"}
    assert f"seen.{table}" not in failed(baseline(shop, it, plan))


@control("baseline", "digest", POSTGRES)
def test_a_plan_that_was_made_of_other_items(shop: Company, plant: Planter) -> None:
    it, plan = prepared(shop, ME)
    which = plant.dice.choice([x.dataset for x in plan.located])
    digest = f"{plant.dice.getrandbits(128):032x}"
    other = plan.model_copy(
        update={
            "located": tuple(
                x.model_copy(update={"digest": digest}) if x.dataset == which else x for x in plan.located
            )
        }
    )
    assert failed(baseline(shop, it, other)) == {f"digest.{which}"}
    assert failed(baseline(shop, it, plan)) == set()


@control("baseline", "cohort", POSTGRES)
def test_a_step_area_that_is_about_somebody_else(shop: Company, plant: Planter) -> None:
    it, plan = prepared(shop, ME)
    other = plant.dice.choice(("A1", "A3", "A4"))
    seen = {"cohort.company", "seen.sign.folder", "there.sign.folder", "digest.sign.folder"}
    assert failed(baseline(shop, it.model_copy(update={"subjects": (other,)}), plan)) >= seen - {
        "seen.sign.folder"
    }
    shop.sql(f"UPDATE q_{it.id}.cohort SET subject_id = %s", other)
    assert failed(baseline(shop, it, plan)) == {"cohort.company"}


# --- restricted -----------------------------------------------------------------------------------


@control("restricted", "hidden", POSTGRES)
def test_a_table_that_a_role_reads_again(shop: Company, plant: Planter) -> None:
    it = restrict(shop, ME)
    table = plant.dice.choice(("account.session", "cert.certificate", "cert.application", "log.access"))
    shop.sql(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    assert failed(restricted(shop, it)) >= {f"hidden.{table}"}


@control("restricted", "refused", POSTGRES)
def test_a_table_that_takes_rows_again(shop: Company, plant: Planter) -> None:
    it = restrict(shop, ME)
    table = plant.dice.choice(("account.session", "cert.certificate", "log.access"))
    shop.sql(f"ALTER TABLE {table} DISABLE TRIGGER quietus_restriction")
    shop.sql(f"DROP POLICY quietus_restriction ON {table}")
    assert failed(restricted(shop, it)) >= {f"refused.{table}"}


@control("restricted", "undeclared", POSTGRES)
def test_a_role_that_nobody_declared(shop: Company, plant: Planter) -> None:
    it = restrict(with_proof(shop), ME)
    role = f"x{plant.word()}"
    table = plant.dice.choice(("account.session", "cert.certificate", "log.access", "sign.folder"))
    deed = plant.dice.choice(("SELECT", "DELETE", "SELECT, UPDATE"))
    shop.sql(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {table.split('.')[0]} TO {role}; GRANT {deed} ON {table} TO {role}"
    )
    try:
        evidence = restricted(shop, it)
    finally:
        shop.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert failed(evidence) == {f"undeclared.{table}"}
    assert role in next(c.why for c in evidence.checks if c.verdict is Verdict.FAILED)


@control("restricted", "listed", POSTGRES)
def test_somebody_who_is_not_on_the_restriction_list(shop: Company, plant: Planter) -> None:
    it = restrict(with_proof(shop), ME, "A4")
    shop.sql(
        "UPDATE quietus.restriction SET lifted_at = now() WHERE subject_id = %s",
        plant.dice.choice((ME, "A4")),
    )
    assert "listed.company" in failed(restricted(shop, it))


@control("restricted", "measure", POSTGRES)
def test_a_measure_that_does_not_hold(shop: Company, plant: Planter) -> None:
    it = restrict(with_proof(shop), ME)
    plant.past_everything(
        "cert.certificate", f"UPDATE cert.certificate SET revoked_on = NULL WHERE account_id = '{ME}'"
    )
    assert failed(restricted(shop, it)) == {"measure.revoke"}


# --- gone -----------------------------------------------------------------------------------------


@control("gone", "planned", POSTGRES)
def test_a_step_area_that_was_tampered_with(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    dataset = plant.one_of(plan, Disposition.ERASE, Disposition.RETAIN)
    line = plant.dice.choice([x for x in plan.lines_of(dataset.id) if x.items])
    area = plant.key_table(it, dataset)
    shop.sql(
        f"UPDATE {area} SET disposition = 'hold' WHERE ctid ="
        f" (SELECT ctid FROM {area} WHERE disposition = '{line.disposition}' LIMIT 1)"
    )
    assert f"planned.{dataset.id}.{line.disposition}" in failed(gone(shop, it, plan))


@control("gone", "anew", POSTGRES)
def test_rows_that_came_after_the_survey(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    table, n = plant.late_row(ME)
    evidence = gone(shop, it, plan)
    assert failed(evidence) == {f"anew.{table}"}
    assert next(c.observed for c in evidence.checks if c.name == f"anew.{table}") == n


@control("gone", "kept", POSTGRES)
def test_a_row_that_had_to_stay_is_missed(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    dataset = plant.one_of(plan, *STAYING)
    plant.past_everything(
        dataset.address,
        f"DELETE FROM {dataset.address} AS t USING {plant.key_table(it, dataset)} AS k"
        f" WHERE {plant.same_key(dataset)} AND k.disposition <> 'erase'",
    )
    assert f"kept.{dataset.id}" in failed(gone(shop, it, plan))


@control("gone", "frozen", POSTGRES)
def test_a_row_that_stays_was_written_since(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    dataset = plant.own_rows(it, plan, Disposition.RETAIN)
    column = plant.dice.choice(dataset.key)
    plant.past_everything(
        dataset.address,
        f"UPDATE {dataset.address} AS t SET {column} = t.{column} FROM {plant.key_table(it, dataset)} AS k"
        f" WHERE {plant.same_key(dataset)} AND k.disposition = 'retain' AND k.ownership = 'sole'",
    )
    assert failed(gone(shop, it, plan)) == {f"frozen.{dataset.id}"}


@control("gone", "unlinkable", POSTGRES)
def test_a_hash_on_a_chain_that_what_we_keep_still_gives(shop: Company, plant: Planter) -> None:
    """What stays of A2 are the applications of a live certificate: their ``id_card`` plays the digest of an original."""
    anchor = making.dataset(
        "sign.anchor", "id", own("account_id"),
        action="unlink", cut=Cut(set={"salt": None, "account_id": None}),
        anchored=Anchored(hash="hash", salt="salt", of=(Digested(dataset="cert.application", column="id_card"),)),
    )  # fmt: skip
    digest, salt = "(SELECT id_card FROM cert.application WHERE serial = 'S2b')", plant.word()

    def hashed(salt: str) -> str:
        return f"encode(sha256(convert_to('{salt}' || {digest}, 'UTF8')), 'hex')"

    shop.sql("CREATE TABLE sign.anchor (id int PRIMARY KEY, account_id text, hash text, salt text)")
    shop.sql("CREATE INDEX ON sign.anchor (account_id)")
    shop.sql(f"INSERT INTO sign.anchor SELECT 1, '{ME}', {hashed(salt)}, '{salt}'")
    shop.catalogue = shop.catalogue.model_copy(update={"datasets": (*shop.catalogue.datasets, anchor)})
    shop.install()
    it = step(ME)
    plan, _ = shop.cancel(it, shop_provisions(shop.catalogue))
    assert failed(gone(shop, it, plan)) == set()
    for planted in (
        f"UPDATE sign.anchor SET hash = {digest} WHERE id = 1",  # the original's own digest was put on the chain
        f"UPDATE sign.anchor SET hash = {hashed('')} WHERE id = 1",  # or was hashed without a salt
        f"UPDATE sign.anchor SET hash = {hashed(salt)} WHERE id = 1; INSERT INTO sign.anchor"
        f" SELECT 2, 'A4', hash, '{salt}' FROM sign.anchor WHERE id = 1",  # or somebody else's row keeps the salt
    ):
        plant.past_everything("sign.anchor", planted)
        assert failed(gone(shop, it, plan)) == {"unlinkable.sign.anchor"}
    shop.sql("UPDATE sign.anchor SET salt = salt || 'x' WHERE id = 2")
    assert failed(gone(shop, it, plan)) == set()


@control("gone", "gone", POSTGRES)
def test_a_row_that_came_back(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    table, values = plant.dice.choice(
        (
            ("account.session", f"k.id, '{ME}', 'x'"),
            ("log.access", f"k.at, k.id, '{ME}', '/x'"),
            ("sign.party", "k.contract_id, k.account_id"),
        )
    )
    plant.past_everything(
        table,
        f"INSERT INTO {table} SELECT {values} FROM q_{it.id}.\"{table}\" AS k WHERE k.disposition = 'erase' LIMIT 1",
    )
    assert f"gone.{table}" in failed(gone(shop, it, plan))


@control("gone", "cut", POSTGRES)
def test_a_value_that_was_cut_is_there_again(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    table, column, value = plant.dice.choice(
        (
            ("account.account", "name", plant.word()),
            ("account.account", "phone", plant.mobile()),
            ("sign.folder", "viewer_id", ME),
        )
    )
    key = plant.key_table(it, shop.catalogue.dataset(table))
    plant.past_everything(
        table,
        f"UPDATE {table} AS t SET {column} = '{value}' FROM {key} AS k"
        " WHERE t.id = k.id AND k.disposition IN ('deidentify', 'unlink')",
    )
    assert f"cut.{table}" in failed(gone(shop, it, plan))


@control("gone", "fresh", POSTGRES)
def test_a_view_that_was_not_refreshed(shop: Company, plant: Planter) -> None:
    view, (table, column) = (
        plant.word(),
        plant.dice.choice((("account.session", "ip"), ("log.access", "path"))),
    )
    shop.sql(f"CREATE MATERIALIZED VIEW sign.{view} AS SELECT account_id, {column} FROM {table}")
    it, plan = cancelled(shop)
    shop.catalogue = shop.catalogue.model_copy(
        update={
            "derived": (
                Derived(
                    store="company", address=f"sign.{view}", kind="matview", of=(table,),
                    subject_column=plant.dice.choice(("account_id", None)),
                ),
            )
        }
    )  # fmt: skip
    assert failed(gone(shop, it, plan)) == {f"fresh.sign.{view}.{table}"}


# --- bystanders -----------------------------------------------------------------------------------


@control("bystanders", "touched", POSTGRES)
def test_a_row_nobody_declared_that_the_disposal_wrote(shop: Company, plant: Planter) -> None:
    # Somebody else's row, in a declared or an undeclared table, in place of one of the person's own.
    if plant.dice.random() < 0.5:
        target, change = (
            "account.account",
            f"UPDATE account.account SET name = '{plant.word()}' WHERE id = 'A5'",
        )
    else:
        target = plant.table("text", plant.word(), rows=3)
        column = shop.value(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 2", target
        )
        change = f"UPDATE {target} SET {column} = '{plant.word()}' WHERE id = 2"
    shop.sql(PLAIN.replace("UPDATE account.account SET name = 'not mine' WHERE id = 'A5'", change))
    shop.sql("ALTER FUNCTION account.swap() SECURITY DEFINER")
    if target == "account.account":
        it, plan = cancelled(shop)
    else:
        # The numbers of another table would give it away: as if the eraser did not count.
        it, plan = prepared(shop, ME)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("include.stores.postgres.books.compare", lambda *_: None)
            shop.store().dispose(it, plan)
    assert failed(touched(shop, it, plan)) == {f"touched.{target}"}


@control("bystanders", "declared", POSTGRES)
def test_more_rows_than_were_declared(shop: Company, plant: Planter) -> None:
    counting(shop)
    it, plan = cancelled(shop)
    declaring(shop, per_row=False)
    assert failed(touched(shop, it, plan)) == {"declared.log.history"}


@control("pictures", "declared", POSTGRES)
def test_a_history_that_grew_by_more_than_was_declared(shop: Company, plant: Planter) -> None:
    counting(shop)
    it, plan = prepared(shop, ME)
    before = pictures(shop, it, plan)
    shop.store().dispose(it, plan)
    assert failed(compared(shop, it, plan, before)) == set()
    n = plant.dice.randint(1, 4)
    shop.sql("INSERT INTO log.history SELECT %s FROM generate_series(1, %s)", plant.word(), n)
    assert failed(compared(shop, it, plan, before)) == {"declared.log.history"}


def disposing(shop: Company) -> tuple[Step, Plan, Sequence[proofs.Picture]]:
    it, plan = prepared(shop, ME)
    before = pictures(shop, it, plan)
    shop.store().dispose(it, plan)
    assert failed(compared(shop, it, plan, before)) == set()
    return it, plan, before


@control("pictures", "unchanged", POSTGRES)
def test_a_row_of_somebody_else_that_differs(shop: Company, plant: Planter) -> None:
    it, plan, before = disposing(shop)
    table, column, value = plant.dice.choice(
        (
            ("account.account", "name", f"'{plant.word()}'"),
            ("account.session", "ip", f"'{plant.word()}'"),
            ("log.access", "path", f"'{plant.word()}'"),
            ("sign.contract", "title", "title || ' '"),
            ("cert.certificate", "revoked_on", "'2026-01-02'"),
        )
    )
    other = plant.somebody_elses(it, shop.catalogue.dataset(table))
    plant.past_everything(table, f"UPDATE {table} AS t SET {column} = {value} WHERE {other}")
    assert failed(compared(shop, it, plan, before)) == {f"unchanged.{table}"}


@control("pictures", "rest", POSTGRES)
def test_what_stays_of_the_person_differs_beyond_the_cut(shop: Company, plant: Planter) -> None:
    it, plan, before = disposing(shop)
    table, column = plant.dice.choice(
        (("sign.folder", "label"), ("cert.certificate", "dn"), ("cert.application", "id_card"))
    )
    dataset = shop.catalogue.dataset(table)
    plant.past_everything(
        table,
        f"UPDATE {table} AS t SET {column} = '{plant.word()}' FROM {plant.key_table(it, dataset)} AS k"
        f" WHERE {plant.same_key(dataset)}",
    )
    assert failed(compared(shop, it, plan, before)) == {f"rest.{table}"}


# --- everywhere -----------------------------------------------------------------------------------


@control("dragnet", "dragnet", POSTGRES)
def test_a_value_in_a_table_that_nobody_declared(shop: Company, plant: Planter) -> None:
    it, plan = cancelled(shop)
    value = plant.dice.choice((plant.mobile(), plant.email(), plant.document_no()))
    table = plant.table(plant.dice.choice(("text", "varchar", "bytea")), f"see {value}.", rows=2)
    (evidence,) = proofs.dragnet(
        shop.catalogue, Fixed(shop.conninfo), it, plan, proofs.Values(frozenset([value]))
    )
    assert failed(evidence) == {f"dragnet.{table}"}


@control("dragnet", "statistics", POSTGRES)
@pytest.mark.parametrize("kept", ("", "CREATE INDEX ON {t} (lower({c}))", "CREATE STATISTICS s1 (mcv) ON id, {c} FROM {t}",
                                  "CREATE STATISTICS s2 (mcv) ON (lower({c})), (id + 1) FROM {t}"),
                         ids=("column", "expression", "columns", "expressions"))  # fmt: skip
def test_statistics_that_outlive_their_rows(shop: Company, plant: Planter, kept: str) -> None:
    it, plan = cancelled(shop)
    value = plant.dice.choice((plant.mobile(), plant.email(), plant.document_no()))
    table = plant.table("text", value, rows=plant.dice.randint(2, 20))
    column = shop.value(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 2", table
    )
    if kept:
        shop.sql(kept.format(t=table, c=column))
    shop.sql(f"ANALYZE {table}")
    if kept:
        shop.sql("DELETE FROM pg_statistic WHERE starelid = %s::regclass", table)
    shop.sql(f"DELETE FROM {table}")
    (evidence,) = proofs.dragnet(
        shop.catalogue, Fixed(shop.conninfo), it, plan, proofs.Values(frozenset([value]))
    )
    assert failed(evidence) == {f"statistics.{table}"}
    shop.sql(f"TRUNCATE {table}; INSERT INTO {table} VALUES (1, 'x'); ANALYZE {table}")
    (evidence,) = proofs.dragnet(
        shop.catalogue, Fixed(shop.conninfo), it, plan, proofs.Values(frozenset([value]))
    )
    assert failed(evidence) == set()


def test_statistics_that_are_not_shown_are_not_called_clean(shop: Company, plant: Planter) -> None:
    """A database from before our function, as a drill restores it."""
    it, plan = cancelled(shop)
    table = plant.table("text", plant.word())
    shop.sql(f"CREATE STATISTICS s (mcv) ON (id + 1), (id + 2) FROM {table}")
    shop.sql("DROP FUNCTION quietus.extended_statistics()")
    (evidence,) = proofs.dragnet(
        shop.catalogue, Fixed(shop.conninfo), it, plan, proofs.Values(frozenset([plant.mobile()]))
    )
    assert {c.name for c in evidence.checks if c.verdict is Verdict.UNVERIFIED} == {f"statistics.{table}"}
