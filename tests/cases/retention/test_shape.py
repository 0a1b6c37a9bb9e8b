"""A column that changed its type since yesterday, or a key that is none any more, stops that dataset and no other; it is said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from include.cases.closing import open_hold
from include.cases.retention import shapes
from include.cases.retention.seen import look
from include.commands import _common as common
from include.commands import build
from include.model.errors import NotProved, Refused
from include.model.estate import Cut
from tests.cases.retention.house import DAY, GONE, TABLES, House

NEXT = DAY + timedelta(days=1)
FREE = "DROP POLICY quietus_restriction ON {}; "
OWNER = FREE.format("u.visit") + "ALTER TABLE u.visit DROP CONSTRAINT visit_account_id_fkey; "


def more_visits(house: House, first: int = 1000) -> None:
    """Ten that fall due the next night, of accounts that live."""
    house.company.sql(
        "INSERT INTO u.visit SELECT %s + i, 'acct_000000000003', date '2025-11-24', '/' FROM generate_series(1, 10) i", first
    )  # fmt: skip


def after(house: House, change: str, expect: str) -> list[str]:
    """A night, a change, rows that fall due everywhere, and the next night: what could not be asked by it."""
    house.night()
    more_visits(house)
    house.company.sql(
        "INSERT INTO u.click SELECT 1000 + i, 'acct_000000000003', date '2025-11-24' FROM generate_series(1, 7) i"
    )
    house.company.sql(change)
    with pytest.raises(NotProved, match="'due' is unverified"):
        house.night(NEXT)
    night = house.of_last()
    assert (night.gone, night.ended_at is not None) == (7, True), "the rest goes on"
    left = [x for x in house.left(night) if expect in x]
    assert left, house.left(night)
    return left


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE u.visit ALTER COLUMN at TYPE timestamp", "u.visit.at was date, and is timestamp without time zone"),
        ("ALTER TABLE u.visit ALTER COLUMN at TYPE timestamptz", "u.visit.at was date, and is timestamp with time zone"),
        ("ALTER TABLE u.visit ALTER COLUMN at TYPE text", "u.visit.at was date, and is text"),
        ("ALTER TABLE u.visit ALTER COLUMN id TYPE text", "u.visit.id was integer, and is text"),
        (OWNER + "ALTER TABLE u.visit ALTER COLUMN account_id TYPE bytea USING account_id::bytea",
         "u.visit.account_id was text, and is bytea"),
        ("ALTER TABLE u.visit DROP CONSTRAINT visit_pkey", "u.visit (id) was a unique key, and is none"),
        ("ALTER TABLE u.visit RENAME TO kept; CREATE VIEW u.visit AS SELECT * FROM u.kept;"
         "GRANT SELECT, DELETE ON u.visit TO PUBLIC", "u.visit (id) was a unique key, and is none"),
    ],
)  # fmt: skip
def test_a_changed_column_stops_its_dataset_and_the_rest_goes_on(
    house: House, change: str, said: str
) -> None:
    (left,) = after(house, change, "u.visit: ")
    assert said in left
    assert "Next: " in left
    assert house.company.sql("SELECT count(*) FROM u.visit WHERE id::int > 1000") == [(10,)]


def test_the_page_and_the_morning_s_look_say_it_too(house: House) -> None:
    after(house, "ALTER TABLE u.visit ALTER COLUMN at TYPE timestamp", "u.visit: its shape changed")
    seen = look(house.desk, NEXT)
    assert "its shape changed" in seen.unverified["u.visit"]
    ((why,),) = house.sql(
        "SELECT unverified FROM casebook.night_standing WHERE dataset = 'u.visit' AND night_id = %s", house.of_last().night_id
    )  # fmt: skip
    assert "u.visit.at was date" in str(why)


def test_an_account_s_end_that_is_no_date_stops_what_counts_by_it_and_nothing_else(house: House) -> None:
    """Before any night knew a shape: the type alone forbids it."""
    house.company.sql("ALTER TABLE a.account ALTER COLUMN ended TYPE text")
    with pytest.raises(NotProved, match="'due' is unverified"):
        house.night()
    night = house.of_last()
    assert night.gone == sum(GONE.values()) - 1
    (left,) = [x for x in house.left(night) if x.startswith("a.account")]
    assert "of type text, which is no date or time" in left


def test_an_account_s_end_of_another_type_stops_every_dataset_with_owners(house: House) -> None:
    """The end of an account starts clocks, and its key says whom a hold names."""
    house.night()
    house.company.sql("ALTER TABLE a.account ALTER COLUMN ended TYPE timestamptz")
    seen = look(house.desk, NEXT)
    assert seen.unverified.keys() == set(TABLES)
    (changed,) = shapes.changed(house.desk)
    assert set(changed.datasets) == set(TABLES)


def test_what_a_hold_names_does_not_go_when_its_owner_s_column_changes(house: House) -> None:
    """An owner of another type is named by no hold any more: without the stop, what is held would go."""
    open_hold(
        house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=DAY, actor="ops/li",
        account_ids=frozenset({"acct_000000000004"}),
    )  # fmt: skip
    house.night()
    held = "SELECT count(*) FROM u.visit WHERE at < '2025-11-25'"
    ((before,),) = house.company.sql(held)
    assert before
    house.company.sql(
        OWNER + "ALTER TABLE u.visit ALTER COLUMN account_id TYPE bytea USING account_id::bytea"
    )
    with pytest.raises(NotProved):
        house.night(NEXT)
    assert house.company.sql(held) == [(before,)]


def test_a_start_that_may_be_null_by_now_and_row_security_stop_nothing(house: House) -> None:
    house.company.sql("ALTER TABLE u.visit ALTER COLUMN at SET NOT NULL")
    house.night()
    more_visits(house)
    house.company.sql(
        "ALTER TABLE u.visit ALTER COLUMN at DROP NOT NULL; ALTER TABLE u.visit FORCE ROW LEVEL SECURITY"
    )
    assert house.night(NEXT).gone == 10


def test_a_new_column_stops_what_is_cut_until_it_is_declared_and_nothing_that_goes_whole(
    house: House,
) -> None:
    house.night()
    house.company.sql(
        "ALTER TABLE a.account ADD COLUMN phone text; ALTER TABLE u.visit ADD COLUMN phone text"
    )
    seen = look(house.desk, NEXT)
    assert seen.unverified.keys() == {"a.account"}
    assert "a.account.phone came since (text), and what is cut keeps it" in seen.unverified["a.account"]
    cat = house.company.catalogue
    cut = Cut(set={"name": None, "phone": None})
    house.company.catalogue = cat.model_copy(
        update={"datasets": tuple(d.model_copy(update={"cut": cut}) if d.id == "a.account" else d for d in cat.datasets)}
    )  # fmt: skip
    assert not look(house.desk, NEXT).unverified
    house.night(NEXT)
    assert "a.account.phone" in _known(house)


def test_a_person_accepts_it_by_a_document_and_the_next_night_takes_what_is_due(house: House) -> None:
    after(house, "ALTER TABLE u.visit ALTER COLUMN at TYPE timestamp", "u.visit: its shape changed")
    with pytest.raises(Refused, match="document"):
        shapes.accept(house.desk, "u.visit.at", " ", actor="ops/li")
    with pytest.raises(Refused, match="holds a mobile number"):
        shapes.accept(house.desk, "u.visit.at", "by 13912345678", actor="ops/li")
    with pytest.raises(Refused, match="as nights know it"):
        shapes.accept(house.desk, "u.visit.path", "CHG-7", actor="ops/li")
    (done,) = shapes.accept(house.desk, "u.visit.at", "CHG-7", actor="ops/li")
    assert done.datasets == ("u.visit",)
    assert house.ledger[-1][:2] == (
        "shape",
        {"store": "company", "place": "u.visit.at", "was": "date", "now": "timestamp without time zone", "actor": "ops/li",
         "document": "CHG-7", "datasets": ["u.visit"]},
    )  # fmt: skip
    assert shapes.changed(house.desk) == []
    night = house.night(NEXT + timedelta(days=1))
    assert (night.gone, [x for x in house.left(night) if x.startswith("u.visit")]) == (10, [])
    assert house.company.sql("SELECT count(*) FROM u.visit WHERE id::int > 1000") == [(0,)]
    assert len(house.certified) == 3, "with the one that could not be certified meanwhile"


def test_what_changes_between_the_look_and_the_deed_of_the_first_night_is_seen(house: House) -> None:
    house.begin()
    house.company.sql("ALTER TABLE u.visit ALTER COLUMN at TYPE timestamptz")
    with pytest.raises(NotProved):
        house.night()
    assert house.of_last().gone == sum(GONE.values()) - GONE["u.visit"]


def test_the_command_shows_what_changed_and_takes_the_word(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    house.night()
    assert CliRunner().invoke(build(), ["retention", "shape", "show"]).exit_code == 0
    house.company.sql("ALTER TABLE u.visit ALTER COLUMN at TYPE timestamptz")
    said = CliRunner().invoke(build(), ["retention", "shape", "show"])
    assert said.exit_code == 1
    assert "u.visit.at" in said.output and "timestamp with time zone" in said.output
    word = ["retention", "shape", "accept", "u.visit.at", "CHG-7", "--actor", "ops/li"]
    said = CliRunner().invoke(build(), word)
    assert (said.exit_code, "it goes on with u.visit" in said.output) == (0, True)
    assert CliRunner().invoke(build(), ["retention", "shape", "show"]).exit_code == 0
    ((night, actor, document),) = house.sql(
        "SELECT night, actor, document FROM casebook.shape WHERE place = 'u.visit.at' ORDER BY shape_id DESC LIMIT 1"
    )
    assert (night, actor, document) == (None, "ops/li", "CHG-7")


def _known(house: House) -> dict[str, str]:
    with house.desk.book() as conn:
        return shapes.known(conn)["company"]
