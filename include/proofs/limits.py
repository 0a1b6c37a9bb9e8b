"""Proofs of a night of retention limits: items that no person leads to any more than to anybody else.

The items are those that the step area names; that they are the ones which are due is not taken from it. The prover counts what is
due by itself, before and after (``seen``, ``due``), and what calls it due is judged by the calendar, not by the store.
"""

from __future__ import annotations

from collections.abc import Mapping

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.flow import Check, Evidence, Plan, Step
from include.model.times import observed_now
from include.model.words import Rung, Verdict
from include.proofs import limits_objects, suites
from include.proofs.asking import evidence
from include.proofs.bucket import WORK
from include.proofs.ciphertexts import Ciphertexts
from include.proofs.limits_records import Before, unread
from include.proofs.limits_sealed import Hunting
from include.proofs.relational import definitions, each_store
from include.proofs.run import ask
from include.proofs.standbys import replayed


def baseline(
    catalogue: Catalogue, connections: Connections, step: Step, plan: Plan, due: Mapping[str, int],
    kept: Ciphertexts | None = None, before: Before = unread, *, work: str = WORK,
) -> list[Evidence]:  # fmt: skip
    """Before anything is disposed of: every located item is there, and as many are due as were located. ``due``: by dataset,
    what the prover itself counts; ``kept``: to which this look adds ciphertexts of what is sealed, for the caller to seal (None:
    nothing is said of keys); ``before``: what it made of record files when it read them. ``work``: the bucket of the S3 stores'
    step areas. Raises NotReachable if a store does not answer."""
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        mine = [x for x in plan.located if catalogue.dataset(x.dataset).store == reader.store]
        if mine:
            checks = ask(suites.there(tables, plan), reader)
            checks += tuple(
                _counted(
                    "seen", x.dataset, x.items, due.get(x.dataset, 0), "other items are due than were located"
                )
                for x in mine
            )
            found.append(evidence("baseline", step, plan, reader.store, checks))
    for looking in limits_objects.stores(catalogue, connections, step, plan, work):
        found.append(limits_objects.baseline(looking, plan, due, kept, before))
    return found


def gone(
    catalogue: Catalogue, connections: Connections, step: Step, plan: Plan, kept: Ciphertexts | None = None,
    before: Before = unread, *, everywhere: bool = True, work: str = WORK,
) -> list[Evidence]:  # fmt: skip
    """After it, here and on standbys: no located row is there, or it is cut; no version, marker or upload of a located object;
    and nothing opens what was ``kept`` of sealed ones. ``everywhere``: keys are looked for in every table, else in those of keys
    alone. Raises NotReachable if a store does not answer."""
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        if any(catalogue.dataset(x.dataset).store == reader.store for x in plan.located):
            questionnaire = suites.gone_items(tables, plan, definitions(reader, tables))
            checks = ask(questionnaire, reader) + replayed(reader, tables, plan) + suites.beyond(tables, plan)
            found.append(evidence("gone", step, plan, reader.store, checks))
    hunting = Hunting(catalogue, connections, everywhere=everywhere)
    for looking in limits_objects.stores(catalogue, connections, step, plan, work):
        found.append(limits_objects.gone(looking, plan, kept, hunting, before))
    return found


def left(
    catalogue: Catalogue, step: Step, plan: Plan, due: Mapping[str, int], owned_up: Mapping[str, int],
    unverified: Mapping[str, str], partly: frozenset[str] = frozenset(), *, asked: frozenset[str] | None = None,
) -> list[Evidence]:  # fmt: skip
    """After it, over the whole estate: no more is due of any dataset than the night says that it left. ``due``: what the prover
    counts now; ``owned_up``: what was left, by receipts and refusals; ``unverified``: what could not be asked, and why;
    ``partly``: those of which only a part could not be, such as objects that lead to nobody: the rest is counted, and they are
    named. ``asked``: of which the night's schedule asks whether they are due (None: all); of the others nothing is said."""
    stores = dict.fromkeys(catalogue.dataset(x.dataset).store for x in plan.located)
    about = {
        store: [d for d in catalogue.of_store(store) if asked is None or d.id in asked or d.id in unverified]
        for store in stores
    }
    return [
        Evidence(
            kind="due", step=step.id, case_no=step.case_no, store=store, as_of=step.as_of, observed_at=observed_now(),
            plan=plan.fingerprint(),
            checks=tuple(
                Check(name=f"due.{d.id}", dataset=d.id, rung=Rung.R2, verdict=Verdict.UNVERIFIED, why=unverified[d.id])
                if d.id in unverified and d.id not in partly
                else _counted("due", d.id, owned_up.get(d.id, 0), due.get(d.id, 0),
                              "more is due than the night says that it left")
                for d in about[store]
            ) + tuple(
                Check(name=f"strays.{d.id}", dataset=d.id, rung=Rung.R4, verdict=Verdict.UNVERIFIED, why=unverified[d.id])
                for d in about[store] if d.id in partly
            ),
        )
        for store in stores if about[store]
    ]  # fmt: skip


def _counted(what: str, dataset: str, expected: int, observed: int, otherwise: str) -> Check:
    right = observed <= expected if what == "due" else observed == expected
    return Check(
        name=f"{what}.{dataset}", dataset=dataset, rung=Rung.R2 if what == "due" else Rung.R0,
        verdict=Verdict.PASSED if right else Verdict.FAILED, expected=expected, observed=observed,
        why="" if right else otherwise,
    )  # fmt: skip
