"""Small companies that a night once got wrong, each with what was wrong; tried as the generated ones are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.model.estate import Bound, Link, Part, Start
from tests.stores.postgres.clearing.generated import LATER, Limited, Ordered
from tests.stores.postgres.clearing.test_properties import (
    test_a_night_takes_what_is_due_and_nothing_else as a_night,
)
from tests.stores.postgres.clearing.test_properties import (
    test_nothing_goes_sooner_for_what_went_before_it as no_sooner,
)
from tests.stores.postgres.clearing.test_properties import (
    test_whose_a_row_is_stays_known_until_it_goes as two_nights,
)
from tests.stores.postgres.generated import ACCOUNT, SHARED, Company, Reference, Row, Table
from tests.stores.postgres.test_properties import QUIET, Arena

LONG_AGO, LAST_SUMMER, AHEAD = date(2001, 2, 28), date(2026, 5, 23), date(2030, 1, 1)


def table(name: str, **more: Any) -> Table:
    """A table of one person's rows, with a date and two texts."""
    columns = {"id": "int", "memo": "text", "note": "text", "at": "date", "owner": "text"} | more.pop(
        "columns", {}
    )
    return Table(
        f"co.{name}", columns, ("id",), {"id", "note"}, {"owner"}, size=1, **{"links": [Link(column="owner")], **more}
    )  # fmt: skip


def row(id_: Any, at: date | None, **more: Any) -> Row:
    return {"id": id_, "memo": "memo", "note": "note", "at": at, **more}


def limited(
    tables: Sequence[Table], rows: Mapping[str, list[Row]], binds: Mapping[str, Sequence[Bound]], *, ended: date | None = None,
    account: Mapping[str, Any] | None = None, others: Mapping[str, date | None] | None = None,
    parts: Mapping[str, Part] | None = None, **more: Any,
) -> Limited:  # fmt: skip
    """A company of the account A and these tables. ``ended``: when the account was; ``account``: what it is bound by; ``others``:
    more accounts, and when they ended."""
    home = Table(
        ACCOUNT, {"id": "text", "memo": "text", "note": "text", "at": "date"}, ("id",), {"id", "note"}, {"id"},
        links=[Link(column="id")], **(account or {}),
    )  # fmt: skip
    every = {t.id: t for t in (home, *tables)}
    company = Company(
        every,
        {
            ACCOUNT: [row("A", ended), *(row(id_, day) for id_, day in (others or {}).items())],
            **{f"co.{t}": of for t, of in rows.items()},
        },
        ("A", *(others or ())),
        ("A",),
        (),
        False,
        (*every,),
        {},
    )
    by = {ACCOUNT: (Bound(rule="RS-01"),), **{f"co.{t}": tuple(of) for t, of in binds.items()}}
    return Limited(
        company, by, {f"co.{t}": (p,) for t, p in (parts or {}).items()},
        {f"co.{t}": b for t, b in more.get("ends", {}).items()}, {}, more.get("holds", ()), 2_000, 50_000,
    )  # fmt: skip


def by_date(rule: str) -> Bound:
    return Bound(rule=rule, start=Start(column="at"))


def part(set_: Mapping[str, str | None], *binds: Bound) -> Part:
    return Part(id="p0", title="columns", set=dict(set_), binds=binds)


def refers(column: str, to: str, on_delete: str = "NO ACTION") -> Reference:
    return Reference((column,), to, ("id",), True, on_delete)


FOUND = {
    # A hold over a table left those of its columns that end by themselves to the night.
    "a hold over a table holds its parts": limited(
        [table("t1")], {"t1": [row(1, LAST_SUMMER, owner="A")]}, {"t1": [by_date("RS-09")]},
        parts={"t1": part({"memo": None}, by_date("RS-02"))}, holds=(Ordered(None, ("co.t1",)),),
    ),
    # One link of a chain was kept for a row outside of it, and those behind it went: the server refused all of them.
    "what a kept row refers to is kept": limited(
        [
            table("t1", columns={"r0_id": "int"}, references=[refers("r0_id", "co.t1")]),
            table("t2", columns={"r0_id": "int"}, references=[refers("r0_id", "co.t1")]),
        ],
        {"t1": [row(n, LONG_AGO, owner="A", r0_id=n - 1 or None) for n in (1, 2, 3)],
         "t2": [row(1, AHEAD, owner="A", r0_id=3)]},
        {"t1": [by_date("RS-01")], "t2": [by_date("RS-01")]},
    ),
    # A bare account, kept for rows that lead through it without a foreign key, was due again every night.
    "what is kept bare for a link is not due again": limited(
        [table("t1")], {"t1": [row(1, AHEAD, owner="A")]}, {"t1": [by_date("RS-01")]}, ended=LONG_AGO,
        account={"cut": {"memo": "removed"}},
    ),
    # The row was cut, and nobody knew any more when the law's period that keeps its columns, too, had begun.
    "a part outlives the account's link, and goes": limited(
        [table("t1", action="deidentify", cut={"memo": "removed", "owner": None})], {"t1": [row(1, AHEAD, owner="A")]},
        {"t1": [Bound(rule="RS-06")]}, ended=LONG_AGO, parts={"t1": part({"note": ""}, by_date("RS-05"))},
        ends={"t1": by_date("RS-09")},
    ),
    # Its part went first, so that the row looked cut, and was passed over though the end of what is left of it was over.
    "a row that its part makes look cut goes as a whole": limited(
        [table("t1", columns={"extra": "text"}, action="deidentify", cut={"memo": "removed", "extra": None})],
        {"t1": [row(1, LONG_AGO, owner="A", extra=None)]}, {"t1": [by_date("RS-02")]},
        parts={"t1": part({"memo": "removed"}, by_date("RS-01"))}, ends={"t1": by_date("RS-02")},
    ),
    # The row of the party who is there still went by a date of its own, and what both own by the other's end.
    "what several own waits for each of them": limited(
        [
            table("t1", columns={"of": "int"}),
            table("t2", links=[Link(via="co.t1", on={"id": "of"}, ownership=SHARED)]),
        ],
        {"t1": [row(1, LONG_AGO, owner="A", of=1), row(2, AHEAD, owner="B", of=1)], "t2": [row(1, None, owner=None)]},
        {"t1": [by_date("RS-02")], "t2": [Bound(rule="RS-02")]}, others={"B": LONG_AGO},
    ),
    # The row between was cut, for the last one was known by it; the account above both went, and the last one's clock with it.
    "what a cut row leads through stays for whoever it is cut for": limited(
        [
            table("t1", cut={"memo": "removed"}),
            table("t2", columns={"up": "int"}, links=[Link(via="co.t1", on={"up": "id"})]),
        ],
        {"t1": [row(1, LAST_SUMMER, owner="A")], "t2": [row(1, LAST_SUMMER, owner=None, up=1)]},
        {"t1": [Bound(rule="RS-02")], "t2": [Bound(rule="RS-06")]}, ended=LAST_SUMMER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("pg_server", ["pg18"], indirect=True)
@pytest.mark.parametrize("name", FOUND)
def test_what_was_wrong_once_is_right(arena: Arena, name: str) -> None:
    @given(it=st.just(FOUND[name]))
    @settings(QUIET, max_examples=1)
    def tried(it: Limited) -> None:
        for property_ in (a_night, two_nights):
            property_.hypothesis.inner_test(arena, it)  # type: ignore[attr-defined]
        no_sooner.hypothesis.inner_test(arena, it, LATER)  # type: ignore[attr-defined]

    tried()
