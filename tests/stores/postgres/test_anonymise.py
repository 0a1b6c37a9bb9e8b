"""Rows are released without their people: as little generalised as the thresholds allow, or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.errors import BooksDoNotBalance, Refused
from include.stores.postgres.anonymise.lattice import Counted, Lattice, least
from tests.stores.postgres import releasing
from tests.stores.postgres.making import Company, step
from tests.stores.postgres.releasing import IN_PLACE, MOVED, fill, k_of, l_of, redeclared, release, t_of

Maker = Callable[..., Company]
ILLS = ("flu", "cough", "gout", "none")


def people(n: int) -> list[tuple[Any, ...]]:
    towns = list(releasing.TOWNS)
    return [
        (date(1990 + i % 2, 1 + i % 12, 5), towns[i % 4], 7 * (i % 5), ILLS[(i // 4) % 3]) for i in range(n)
    ]


def released(there: Company) -> list[tuple[Any, ...]]:
    return there.sql("SELECT born, town, spent, ill FROM stat.released")


def test_everybody_stands_among_k_and_nothing_leads_back(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(60))
    done = release(there)
    rows = released(there)
    assert len(rows) == done.released and done.rows == 60 and done.suppressed <= 12
    assert k_of(rows, 3) >= 4 and l_of(rows, 3) >= 2
    assert there.value("SELECT count(*) FROM stat.extract") == 0
    assert there.value("SELECT count(*) FROM stat.pseudonym") == 0
    assert there.value("SELECT count(*) FROM stat.account") == 60, "whoever is not of the dataset stays"
    counts = there.value("SELECT counts FROM quietus.receipt WHERE verb = 'dispose'")
    assert counts == {
        "stat.extract": {"anonymised": done.released, "erased": done.suppressed},
        "stat.pseudonym": {"erased": 60},
    }


def test_no_finer_node_would_have_done(new_company: Maker) -> None:
    """Every node below the chosen one's height fails, by counting in Python."""
    there = releasing.company(new_company, MOVED)
    raw = people(48)
    fill(there, raw)
    height = sum(release(there).levels.values())
    assert height > 0

    def label(value: Any, column: str, level: int) -> Any:
        quasi = releasing.QUASI[column]
        if level == 0:
            return value
        if level == quasi.top:
            return "*"
        if column == "born":
            return (value.year, (value.month, (value.month - 1) // 3)[level - 1]) if level < 3 else value.year
        return releasing.TOWNS[value][level - 1] if column == "town" else value // quasi.band[level - 1]

    for node in (n for h in range(height) for n in Lattice(((0, 4), (0, 3), (0, 3))).at(h)):
        rows = [
            (*(label(v, c, x) for v, c, x in zip(r, releasing.QUASI, node, strict=False)), r[3]) for r in raw
        ]
        groups = releasing.classes(rows, 3).values()
        small = sum(len(g) for g in groups if len(g) < 4 or len({x[0] for x in g}) < 2)
        assert small > 0.2 * 48, node


def test_one_less_than_k_is_too_few(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    redeclared(there, suppress_at_most=0.3)
    many, few = (date(1990, 1, 5), "Futian", 7), (date(1991, 6, 5), "Pudong", 99)
    fill(there, [*[(*many, ILLS[i % 2]) for i in range(8)], *[(*few, ILLS[i % 2]) for i in range(3)]])
    done = release(there)
    assert (done.released, sum(done.levels.values())) == (8, 0), "three are suppressed at the finest level"
    assert k_of(released(there), 3) == 8


def test_twice_changes_nothing(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(40))
    it = step("A1", restricting=False)
    first, before = release(there, it), there.digest("stat.released")
    assert release(there, it) == first
    assert there.digest("stat.released") == before
    assert there.value("SELECT count(*) FROM quietus.receipt WHERE verb = 'dispose'") == 1


def test_a_few_more_join_the_classes_that_are_there(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(60))
    release(there)
    one = there.sql("SELECT born, town, spent, ill FROM stat.released LIMIT 1")
    assert one
    fill(there, people(60)[:1], first=100)
    done = release(there, where="id = 100")
    assert done.released == 1, "one person alone, into a class of people who were released before"
    assert k_of(released(there), 3) >= 4


def test_one_person_alone_is_refused_and_stays(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(1))
    before = there.digest("stat.extract")
    with pytest.raises(Refused, match="of 1 people, no declared level"):
        release(there)
    assert there.digest("stat.extract") == before and released(there) == []
    assert there.value("SELECT count(*) FROM quietus.receipt WHERE verb = 'dispose'") == 0


def test_rows_of_one_person_are_not_counted_as_people(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(1))
    there.sql("INSERT INTO stat.extract SELECT i, 1, born, town, spent, (ARRAY['a', 'b'])[1 + i % 2], now()"
              " FROM stat.extract, generate_series(2, 20) i WHERE id = 1")  # fmt: skip
    with pytest.raises(Refused, match="of 1 people"):
        release(there)
    redeclared(there, latest=None)
    with pytest.raises(Refused, match="20 rows are of 1 people"):
        release(there)


def test_a_rare_sensitive_value_points_at_nobody(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, [*people(60), (date(1990, 3, 5), "Futian", 7, "leprosy")])
    release(there)
    assert "leprosy" not in {row[3] for row in released(there)}


def test_suppressed_rows_may_stay_at_the_top(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    redeclared(there, small="generalise", suppress_at_most=0.5)
    far = [(date(1950 + i, 1, 1), "Pudong" if i % 2 else "Haidian", 500 * i, ILLS[i % 2]) for i in range(12)]
    fill(there, [*[(date(1990, 1, 5), "Futian", 7, ILLS[i % 2]) for i in range(40)], *far])
    done = release(there)
    rows = released(there)
    assert ("*", "*", "*") in {r[:3] for r in rows} and done.suppressed == 0
    assert k_of(rows, 3) >= 4 and l_of(rows, 3) >= 2


def test_a_declared_distance_is_kept(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    sensitive = {"ill": MOVED.sensitive["ill"].model_copy(update={"t": 0.15})}
    redeclared(there, sensitive=sensitive)
    fill(there, people(72))
    done = release(there)
    assert done.released and t_of(released(there), 3) <= 0.15 + 1e-9


def test_in_place_the_rows_keep_their_number_and_lose_their_person(new_company: Maker) -> None:
    there = releasing.company(new_company, IN_PLACE.model_copy(update={"plain": {}, "drop": ("account_id",)}))
    for i in range(40):
        there.sql("INSERT INTO stat.account VALUES (%s)", f"A{i}")
        there.sql("INSERT INTO stat.visit VALUES (%s, %s, %s, %s, %s)", i, f"A{i}", date(2026, 1 + i % 3, 5 + i % 7),
                  list(releasing.TOWNS)[i % 3], ILLS[i % 2])  # fmt: skip
    done = release(there, where="id < 30")
    rows = there.sql("SELECT at, town, ill FROM stat.visit WHERE account_id IS NULL")
    assert len(rows) == done.released and k_of(rows, 2) >= 4 and l_of(rows, 2) >= 2
    assert all(at is None or at.day == 1 for at, _, _ in rows)
    assert there.value("SELECT count(*) FROM stat.visit WHERE id >= 30 AND account_id IS NOT NULL") == 10
    assert release(there, where="id < 30").rows == 0, (
        "what was released has no person any more, and is none of the next"
    )


def test_what_else_is_written_rolls_it_back(new_company: Maker) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(40))
    there.sql("CREATE TABLE stat.copy AS TABLE stat.extract WITH NO DATA")
    there.sql("GRANT INSERT ON stat.copy TO eraser")
    there.sql("CREATE FUNCTION stat.keep() RETURNS trigger LANGUAGE plpgsql AS"
              " 'BEGIN INSERT INTO stat.copy SELECT OLD.*; RETURN OLD; END'")  # fmt: skip
    there.sql("CREATE TRIGGER keep AFTER DELETE ON stat.extract FOR EACH ROW EXECUTE FUNCTION stat.keep()")
    with pytest.raises(BooksDoNotBalance, match=r"stat\.copy: insert 0 planned, 40 happened"):
        release(there)
    assert there.value("SELECT count(*) FROM stat.extract") == 40


POINTS = (
    "release.chosen",
    "release.pseudonyms_gone",
    "release.written",
    "release.before_commit",
    "release.after_commit",
)


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_ends_the_same(new_company: Maker, point: str) -> None:
    there = releasing.company(new_company, MOVED)
    fill(there, people(40))
    it = step("A1", restricting=False)
    child = os.fork()
    if child == 0:
        release(there, it, at=lambda p: os.kill(os.getpid(), signal.SIGKILL) if p == point else None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    after = there.value("SELECT count(*) FROM stat.extract")
    assert after == (0 if point == "release.after_commit" else 40)
    done = release(there, it)
    assert len(released(there)) == done.released and there.value("SELECT count(*) FROM stat.extract") == 0
    assert there.value("SELECT count(*) FROM quietus.receipt WHERE verb = 'dispose' AND lsn IS NOT NULL") == 1


def test_the_walk_goes_up_for_closeness_and_gives_up_with_reason() -> None:
    lattice = Lattice(((0, 2), (0, 1)))
    fine = Counted(0, 10, 1)
    assert least(lattice, lambda _: fine, 0, lambda n: n == (2, 0), halving=True) == (2, 0)
    assert least(
        lattice, lambda n: fine if sum(n) == 3 else Counted(5, 5, 1), 4, lambda _: True, halving=True
    ) == (2, 1)
    assert least(lattice, lambda _: Counted(0, 0, 0), 9, lambda _: True, halving=True) is None
    # Not monotone: only found when every height is looked at.
    assert least(
        lattice, lambda n: fine if n == (0, 0) else Counted(5, 5, 1), 0, lambda _: True, halving=False
    ) == (0, 0)


@pytest.fixture
def kept() -> dict[str, Any]:
    return {}


ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from([date(1990, 1, 5), date(1990, 1, 6), date(1990, 8, 1), date(1991, 8, 1)]),
        st.none() | st.sampled_from([*releasing.TOWNS, "Nowhere"]),
        st.none() | st.sampled_from([-3, 7, 8, 120]),
        st.none() | st.sampled_from(ILLS),
    ),
    min_size=1, max_size=60,
)  # fmt: skip


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(
    rows=ROWS, k=st.integers(2, 8), mixed=st.integers(1, 3), share=st.sampled_from([0.0, 0.1, 0.5]),
    t=st.none() | st.sampled_from([0.1, 0.4]), small=st.sampled_from(["delete", "generalise"]),
)  # fmt: skip
def test_whatever_is_released_holds_or_is_refused(
    new_company: Maker,
    kept: dict[str, Any],
    rows: list[Any],
    k: int,
    mixed: int,
    share: float,
    t: float | None,
    small: str,
) -> None:
    there = kept.get("there")
    if there is None:
        there = kept["there"] = releasing.company(new_company, MOVED)
    there.sql("TRUNCATE stat.released, stat.extract, stat.pseudonym, stat.account CASCADE")
    redeclared(
        there, k=k, suppress_at_most=share, small=small,
        sensitive={"ill": MOVED.sensitive["ill"].model_copy(update={"l": min(mixed, k), "t": t})},
    )  # fmt: skip
    fill(there, rows)
    there.sql("INSERT INTO stat.visit VALUES (1, NULL, '2026-01-01', 'Futian', 'flu') ON CONFLICT DO NOTHING")
    others = [there.digest(x) for x in ("stat.visit", "stat.account")]
    before = there.digest("stat.extract")
    it = step("A1", restricting=False)
    try:
        done = release(there, it)
    except Refused as why:
        assert f"of {len(rows)} people" in str(why)
        assert there.digest("stat.extract") == before and released(there) == []
    else:
        out = released(there)
        assert len(out) == done.released > 0 and done.suppressed <= share * len(rows)
        assert k_of(out, 3) >= k and l_of(out, 3) >= min(mixed, k)
        assert t is None or t_of(out, 3) <= t + 1e-9
        assert (
            there.value("SELECT count(*) FROM stat.extract")
            == there.value("SELECT count(*) FROM stat.pseudonym")
            == 0
        )
        assert release(there, it) == done
    assert [there.digest(x) for x in ("stat.visit", "stat.account")] == others
