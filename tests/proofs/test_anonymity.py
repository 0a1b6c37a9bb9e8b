"""What was released is measured by somebody else, and each planted fault is found by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.model.estate import Maintenance
from include.model.flow import Check, Evidence
from include.model.releases import Release, Sensitive
from include.model.words import Rung, Verdict
from include.proofs import anonymity, linkage
from include.proofs.linkage import Original
from include.proofs.names import POSTGRES
from include.proofs.server import Reader
from include.stores.postgres.physical.rewriting import Rewriting
from tests.conftest import PgServer
from tests.proofs.controls import control
from tests.stores.postgres import releasing
from tests.stores.postgres.making import Company, Fixed, step
from tests.stores.postgres.releasing import MOVED, fill, k_of, l_of, release, t_of

Maker = Callable[..., Company]
ORDERED = MOVED.model_copy(
    update={"sensitive": {"ill": Sensitive(l=2, t=0.4, ordered=True)}, "suppress_at_most": 0.3}
)
ILLS = ("flu", "cough", "gout")


def people(n: int) -> list[tuple[Any, ...]]:
    towns = list(releasing.TOWNS)
    return [
        (date(1990 + i % 2, 1 + i % 12, 5), towns[i % 4], 7 * (i % 5), ILLS[(i // 4) % 3]) for i in range(n)
    ]


def reader(there: Company) -> Reader:
    return Reader.of(Fixed(there.conninfo), "company", "company")


def sample(there: Company) -> tuple[Original, ...]:
    of: Release = there.catalogue.releases[0]
    return linkage.take(reader(there), there.catalogue.dataset(of.dataset), of)


def proved(there: Company, kept: tuple[Original, ...], directory: Path | None = None) -> Evidence:
    it = step("A1", restricting=False)
    return anonymity.prove(
        there.catalogue, Fixed(there.conninfo), there.catalogue.releases[0], it, kept, directory
    )


def checks(evidence: Evidence, what: str) -> Check:
    return next(c for c in evidence.checks if c.name.startswith(f"{what}."))


def failed(evidence: Evidence) -> set[str]:
    return {c.name.partition(".")[0] for c in evidence.checks if c.verdict is Verdict.FAILED}


@pytest.fixture
def done(new_company: Maker) -> tuple[Company, tuple[Original, ...]]:
    """Sixty people, released, and originals of some that were kept before."""
    there = releasing.company(new_company, ORDERED)
    fill(there, people(60))
    kept = sample(there)
    release(there)
    return there, kept


def plant(there: Company, *rows: tuple[Any, ...]) -> None:
    for row in rows:
        there.sql("INSERT INTO stat.released VALUES (%s, %s, %s, %s)", *row)


def test_a_sound_release_passes_but_for_the_files_that_wait(
    done: tuple[Company, tuple[Original, ...]],
) -> None:
    there, kept = done
    evidence = proved(there, kept)
    assert failed(evidence) == set()
    assert [c.name for c in evidence.checks if c.verdict is Verdict.UNVERIFIED] == ["originals.moved"]
    assert checks(evidence, "linkage").rung is Rung.R10
    assert anonymity.word(ORDERED, evidence.verdict).startswith("not shown"), (
        "k, l and t alone do not earn the word"
    )
    assert anonymity.word(ORDERED, Verdict.PASSED) == "anonymous"


def test_the_numbers_are_those_of_another_implementation(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, _ = done
    rows = there.sql("SELECT born, town, spent, ill FROM stat.released")
    for ordered in (True, False):
        of = ORDERED.model_copy(update={"sensitive": {"ill": Sensitive(ordered=ordered)}})
        found = anonymity.measure(reader(there), there.catalogue.dataset("stat.extract"), of)
        assert (found.rows, found.classes) == (len(rows), len(releasing.classes(rows, 3)))
        assert (found.k, found.l["ill"]) == (k_of(rows, 3), l_of(rows, 3))
        assert found.t["ill"] == pytest.approx(t_of(rows, 3, ordered=ordered))
        assert found.suppressed == 60 - len(rows)


@control("anonymity", "k", POSTGRES)
def test_a_row_that_stands_alone(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, kept = done
    plant(there, ("1990-03", "Futian", "[0, 10)", "flu"))
    evidence = proved(there, kept)
    assert {"k", "l"} <= failed(evidence)


@control("anonymity", "l", POSTGRES)
@control("anonymity", "t", POSTGRES)
def test_a_class_whose_people_share_one_secret(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, kept = done
    plant(there, *[("1990", "North", "[0, 50)", "gout")] * 8)
    assert failed(proved(there, kept)) == {"l", "t"}


@control("anonymity", "rare", POSTGRES)
def test_a_value_that_one_person_has(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, kept = done
    there.sql("UPDATE stat.released SET ill = 'leprosy' WHERE ctid = (SELECT min(ctid) FROM stat.released)")
    assert "rare" in failed(proved(there, kept))


@control("anonymity", "identifiers", POSTGRES)
def test_a_column_that_was_to_be_dropped(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, kept = done
    there.sql("ALTER TABLE stat.released ADD pseudonym int")
    evidence = proved(there, kept)
    assert failed(evidence) == {"identifiers"}


@control("anonymity", "pseudonyms", POSTGRES)
def test_a_pseudonym_that_outlived_its_rows(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, kept = done
    there.sql("INSERT INTO stat.pseudonym VALUES (1, 'A1')")
    assert failed(proved(there, kept)) == {"pseudonyms"}


@control("anonymity", "linkage", POSTGRES)
@pytest.mark.parametrize(
    "leak",
    ["a date that was left as it was", "a rare value", "a combination of two"],
    ids=lambda x: x.split()[1],
)
def test_who_knows_an_original_singles_it_out(new_company: Maker, leak: str) -> None:
    there = releasing.company(new_company, ORDERED)
    fill(there, [*people(60), (date(1977, 7, 7), "Pudong", 113, "leprosy")])
    kept = tuple(o for o in sample(there) if o.texts["town"] == "Pudong")
    assert len(kept) == 1, "the rarest is always of the sample"
    release(there)
    assert checks(proved(there, kept), "linkage").verdict is Verdict.PASSED
    planted = {
        "date": ("1977-07-07", "*", "*", "flu"), "rare": ("*", "*", "*", "leprosy"), "combination": ("1977", "East", "*", "flu"),
    }[leak.split()[1]]  # fmt: skip
    plant(there, planted)
    if leak.startswith("a combination"):  # each of the two is shared, the pair is not
        plant(there, *[("1977", "Tianhe", "*", "flu")] * 9, *[("1991", "East", "*", "flu")] * 9)
    assert checks(proved(there, kept), "linkage").verdict is Verdict.FAILED


def test_without_originals_nobody_tried(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, _ = done
    assert checks(proved(there, ()), "linkage").verdict is Verdict.UNVERIFIED


@control("anonymity", "originals", POSTGRES)
def test_an_original_in_a_dead_tuple(
    new_company: Maker, pg18: PgServer, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["pg_server"] != "pg18":
        pytest.skip("one server's files are enough")
    there = releasing.company(new_company, ORDERED)
    fill(there, people(60))
    there.sql("ALTER TABLE stat.extract SET (autovacuum_enabled = false)")  # it must stay dead
    there.sql("UPDATE stat.extract SET town = 'Nowhere-' || id WHERE id > 58")
    there.sql("VACUUM FULL stat.extract")
    kept, directory = sample(there), pg18.cluster.data
    release(there)
    there.sql("CHECKPOINT")
    found = checks(proved(there, kept, directory), "originals")
    assert found.verdict is Verdict.FAILED and "bytes" in found.why
    window = Maintenance(window="00:00-24:00", rewrite_limit="1 GB", head_room="1 GB")
    stores = tuple(s.model_copy(update={"maintenance": window}) for s in there.catalogue.stores)
    there.catalogue = there.catalogue.model_copy(update={"stores": stores})
    there.install()
    Rewriting(there.catalogue, "company", Fixed(there.conninfo), datasets={"stat.extract"}).run()
    there.sql("CHECKPOINT")
    evidence = proved(there, kept, directory)
    assert checks(evidence, "originals").verdict is Verdict.PASSED
    assert anonymity.word(ORDERED, evidence.verdict) == "anonymous"


@control("anonymity", "claimed", POSTGRES)
def test_what_is_only_deidentified_is_never_called_anonymous(
    done: tuple[Company, tuple[Original, ...]],
) -> None:
    there, kept = done
    releasing.redeclared(there, claims="deidentified", why="its numbers are known outside")
    evidence = proved(there, kept)
    assert failed(evidence) == {"claimed"}
    assert "still personal" in anonymity.word(there.catalogue.releases[0], Verdict.PASSED)


def test_no_value_of_a_person_is_in_what_the_proof_says(done: tuple[Company, tuple[Original, ...]]) -> None:
    there, kept = done
    said = proved(there, kept).model_dump_json() + repr(kept)
    assert "Futian" not in said and "1990-" not in said
