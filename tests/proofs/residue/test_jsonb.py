"""What we hold to be a jsonb's bytes is what a server writes."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.proofs.residue.jsonb import stretches
from tests.proofs.residue.making import database

SEED, MANY = 11, 300


def number(dice: random.Random) -> Decimal:
    """Small and large, whole and not, of both signs, and zeros at either end."""
    scale = dice.choice((0, 0, 0, 1, 2, 5, 9))
    digits = dice.choice((1, 2, 3, 4, 5, 9, 17))
    return Decimal(dice.randrange(-(10**digits), 10**digits) * dice.choice((1, 1, 10_000))).scaleb(-scale)


def value(dice: random.Random) -> Any:
    rows = dice.choice((0, 1, 3, 40))
    if not rows:
        return [number(dice) for _ in range(dice.choice((5, 31, 32, 33, 70)))]
    return [[number(dice) for _ in range(dice.choice((0, 3, 3, 3, 34)))] for _ in range(rows)]


def written(said: Any) -> str:
    if isinstance(said, list):
        return f"[{', '.join(written(x) for x in said)}]"
    return format(said, "f") if isinstance(said, Decimal) else json.dumps(said)


@pytest.mark.parametrize("server", ["pg18", "pg15"])
def test_arrays_of_numbers_lie_in_the_file_as_we_say(request: pytest.FixtureRequest, server: str) -> None:
    dice = random.Random(SEED)
    texts = [f'{{"device": "pad", "strokes": {written(value(dice))}}}' for _ in range(MANY)]
    with database(request.getfixturevalue(server), "jsonb") as conn:
        conn.execute("CREATE TABLE t (v jsonb)")
        conn.execute("ALTER TABLE t ALTER v SET STORAGE PLAIN")
        kept = [t for t in texts if len(t) < 3000]  # what fits a page as it is
        with conn.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s)", [(t,) for t in kept])
        conn.execute("CHECKPOINT")
        row = conn.execute(
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('t')"
        ).fetchone()
        assert row is not None
        file = Path(row[0]).read_bytes()
        found = [stored(text, 16) for text in kept]
        missed = [
            t[:80] for t, piece in zip(kept, found, strict=True) if piece is not None and piece not in file
        ]
        assert missed == []
        assert sum(piece is not None for piece in found) > MANY / 2


def stored(text: str, least: int) -> bytes | None:
    found = max(stretches(text), key=len, default=b"")
    return found if len(found) >= least else None


def test_only_numbers_are_taken_and_of_no_json_nothing() -> None:
    for text in (
        '{"a": ["欧阳测试市样例路", "x"]}',
        '{"a": [1, null, 2]}',
        "[]",
        "7",
        '{"a": [1e300, 1e300]}',
        "no json",
    ):
        assert stored(text, 1) is None
    assert stored("[[1, 2], [3, 4]]", 16) and stored('{"a": {"b": [1, 2, 3]}, "c": "x"}', 16)


def test_numbers_of_more_digits_than_a_context_has_are_two() -> None:
    one, other = (stored(f"[{'1234567890' * 3}{n}0001]", 8) for n in (1, 2))
    assert one and other and one != other


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=5) | st.dictionaries(st.text(max_size=3), x, max_size=3)
)


@given(JSON)
def test_whatever_a_json_says_it_is_read_or_none(said: Any) -> None:
    piece = stored(json.dumps(said), 8)
    assert piece is None or len(piece) >= 8
