"""Over the whole catalogue and its schema: what is tried, what is said of it, and when the run is red."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from include.cases.keys import FileKeyStore
from include.cases.yearly.retesting import KIND, nobody_is_found, retest_all
from include.catalogue import load
from include.model.errors import NotProved, Refused
from include.model.words import Role, Verdict
from include.sandbox import seed as seeding
from include.stores.postgres import install
from tests.cases.small import TODAY, Places, World, world
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres
CATALOGUE = load()


class Company(Places):
    """Connections to the case book, and to a company with the whole schema."""

    def __init__(self, writer: str, server: PgServer, database: str) -> None:
        super().__init__(writer)
        self.server, self.database, self.sandbox = server, database, True

    def postgres(self, connection: str, role: Role) -> str:
        if connection == "records":
            return super().postgres(connection, role)
        return self.server.conninfo(self.database, role.value)

    def text(self, name: str) -> str:
        """A sandbox's: of the company's reading that grades nobody is the owner yet."""
        if name == "sandbox" and self.sandbox:
            return "yes"
        raise Refused("not declared", about=name)


@pytest.fixture(scope="module")
def schema(pg18: PgServer) -> Iterator[str]:
    database = pg18.fresh_database()
    seeding.apply_schema(pg18.conninfo(database))
    install(pg18.conninfo(database), CATALOGUE, "company")
    yield database
    pg18.drop_database(database)


@pytest.fixture
def w(writer: str, pg18: PgServer, schema: str, tmp_path: Path) -> World:
    made = world(
        writer, FileKeyStore(tmp_path / "keys", b"k" * 32), connections=Company(writer, pg18, schema)
    )
    with psycopg.connect(pg18.conninfo(schema)) as conn:
        conn.execute("TRUNCATE stat.monthly, stat.research_release")
        conn.execute(
            "INSERT INTO stat.monthly VALUES ('2026-01-01', '北京市', 20), ('2026-01-01', '广州市', 31)"
        )
        for region in ("华北", "华南"):
            conn.execute(
                "INSERT INTO stat.research_release SELECT '1980-1999', %s, n %% 3 FROM generate_series(1, 60) AS n",
                (region,),
            )
    return replace(made, desk=replace(made.desk, catalogue=CATALOGUE))


def sql(w: World, statement: str) -> None:
    places = w.desk.connections
    assert isinstance(places, Company)
    with psycopg.connect(places.server.conninfo(places.database)) as conn:
        conn.execute(statement.encode())


def test_every_set_of_the_catalogue_is_tried_and_the_ledger_has_figures_and_no_value(w: World) -> None:
    found = retest_all(w.desk, as_of=TODAY)
    assert {s.id: s.verdict for s in found.sets} == dict.fromkeys(
        ("certificates", "revocations", "issuances", "research", "stat.monthly"), Verdict.PASSED
    )
    assert "research: nobody found, k 60 in 120 rows" in nobody_is_found(found)
    grades = {s.id: s.grade for s in found.sets}
    assert grades == {
        "certificates": None,
        "revocations": None,
        "issuances": None,
        "research": 3,
        "stat.monthly": 4,
    }
    assert (
        "grade 4 by the company's reading of GB/T 42460-2023 clause 4 (nobody owns it yet"
        in nobody_is_found(found)
    )
    (said,) = (body for kind, _, body in w.said.values() if kind == KIND)
    research = next(s for s in said["sets"] if s["set"] == "research")
    assert (research["measured"]["k"], research["measured"]["l"]) == (60, {"services": 3})
    assert research["grade"] == 3 and research["graded"].startswith(
        "grade 3 by the company's reading of GB/T 42460-2023"
    )
    assert {c["name"].partition(".")[0] for c in research["checks"]} >= {"k", "l", "t", "linkage"}
    assert (
        "de-identified, so still personal"
        in next(s for s in said["sets"] if s["set"] == "certificates")["why"]
    )
    assert not any(value in repr(said) for value in ("华北", "华南", "1980-1999", "北京市"))


def test_outside_a_sandbox_nothing_is_graded_while_nobody_owns_the_reading(w: World) -> None:
    places = w.desk.connections
    assert isinstance(places, Company)
    places.sandbox = False
    found = {s.id: s for s in retest_all(w.desk, as_of=TODAY).sets}
    research, monthly = found["research"], found["stat.monthly"]
    assert research.verdict is Verdict.UNVERIFIED and [c.name for c in research.wrong] == ["grade.research"]
    assert (research.grade, monthly.grade, monthly.verdict) == (None, None, Verdict.PASSED)
    assert "nobody owns the reading of GB/T 42460-2023 clause 4" in research.graded


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "INSERT INTO stat.research_release VALUES ('1920-1939', '东北', 1)",
            "research failed.*k.research.*linkage.research",
        ),
        (
            "ALTER TABLE stat.monthly DROP CONSTRAINT monthly_accounts_check;"
            "INSERT INTO stat.monthly VALUES ('2026-02-01', '西安市', 19)",
            r"stat.monthly failed: k.stat.monthly.accounts \(rows count",
        ),
    ],
    ids=["a row that stands alone", "a count of too few"],
)
def test_a_set_in_which_somebody_is_found_is_red_and_says_what_to_do(
    w: World, statement: str, named: str
) -> None:
    sql(w, statement)
    found = retest_all(w.desk, as_of=TODAY)
    assert len(found.wrong) == 1 and any(kind == KIND for kind, _, _ in w.said.values()), "said all the same"
    with pytest.raises(NotProved, match=f"{named}.*personal data again"):
        nobody_is_found(found)
