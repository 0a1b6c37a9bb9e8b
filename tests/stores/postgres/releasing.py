"""A small set of people to be released, its declaration, and k, l and t by an implementation of their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Cut
from include.model.flow import Step
from include.model.releases import Quasi, Release, Sensitive, Threshold
from include.stores.postgres.anonymise import Anonymiser, Released
from include.stores.postgres.server import Server
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, dataset, own, via

SCHEMA = """
CREATE SCHEMA stat;
CREATE TABLE stat.account (id text PRIMARY KEY);
CREATE TABLE stat.pseudonym (pseudonym int PRIMARY KEY, account_id text NOT NULL REFERENCES stat.account);
CREATE INDEX ON stat.pseudonym (account_id);
CREATE TABLE stat.extract (id int PRIMARY KEY, pseudonym int NOT NULL REFERENCES stat.pseudonym, born date, town text,
                           spent int, ill text, seen timestamptz);
CREATE INDEX ON stat.extract (pseudonym);
CREATE TABLE stat.released (born text, town text, spent text, ill text);
CREATE TABLE stat.visit (id int PRIMARY KEY, account_id text REFERENCES stat.account, at date, town text, ill text);
CREATE INDEX ON stat.visit (account_id);
"""
TOWNS = {
    "Futian": ("Shenzhen", "Guangdong"), "Nanshan": ("Shenzhen", "Guangdong"), "Tianhe": ("Guangzhou", "Guangdong"),
    "Haidian": ("Beijing", "North"), "Pudong": ("Shanghai", "East"),
}  # fmt: skip
QUASI = {
    "born": Quasi(date=("month", "quarter", "year")),
    "town": Quasi(map=TOWNS),
    "spent": Quasi(band=(10, 50)),
}
ACCOUNT = dataset("stat.account", "id", own("id"))
PSEUDONYM = dataset("stat.pseudonym", "pseudonym", own("account_id"))
EXTRACT = dataset("stat.extract", "id", via("stat.pseudonym", pseudonym="pseudonym"))
VISIT = dataset("stat.visit", "id", own("account_id"), action="deidentify", cut=Cut(set={"account_id": None}))
SAID = Threshold(cite="GB/T 42460-2023", text="test")
MOVED = Release(
    id="moved", title="moved", dataset="stat.extract", rule="RS-27", claims="anonymised", into="stat.released",
    person="pseudonym", latest="seen", drop=("id", "pseudonym", "seen"), quasi=QUASI, sensitive={"ill": Sensitive(l=2)},
    k=4, threshold=SAID, suppress_at_most=0.2, pseudonyms=("stat.pseudonym",),
)  # fmt: skip
IN_PLACE = Release(
    id="in_place", title="in place", dataset="stat.visit", rule="RS-04", claims="anonymised", marker="account_id",
    person="account_id", latest="at", drop=("account_id",),
    quasi={"at": Quasi(date=("month", "year")), "town": Quasi(map=TOWNS)}, sensitive={"ill": Sensitive(l=2)},
    plain={"id": "a number of ours that leads nowhere"}, k=4, threshold=SAID, suppress_at_most=0.2,
)  # fmt: skip
Row = tuple[Any, ...]


def company(new_company: Callable[..., Company], *releases: Release) -> Company:
    base = making.catalogue(ACCOUNT, PSEUDONYM, EXTRACT, VISIT, business_roles=())
    return new_company(
        base.model_copy(update={"releases": releases}), SCHEMA, f"releases {len(releases)}".replace(" ", "_")
    )


def redeclared(there: Company, **changes: Any) -> Release:
    """The first release with other thresholds; what is installed need not change for that."""
    release = there.catalogue.releases[0].model_copy(update=changes)
    there.catalogue = there.catalogue.model_copy(update={"releases": (release,)})
    return release


def fill(there: Company, rows: Iterable[Row], first: int = 1) -> None:
    """``rows``: born, town, spent, ill. A person each."""
    for no, row in enumerate(rows, first):
        there.sql("INSERT INTO stat.account VALUES (%s)", f"A{no}")
        there.sql("INSERT INTO stat.pseudonym VALUES (%s, %s)", no, f"A{no}")
        there.sql("INSERT INTO stat.extract VALUES (%s, %s, %s, %s, %s, %s, now())", no, no, *row)


def release(
    there: Company,
    it: Step | None = None,
    *,
    where: str = "true",
    chunk: int = 0,
    at: Callable[[str], None] = lambda _: None,
) -> Released:
    of: Catalogue = there.catalogue
    declared = of.releases[0]
    server = Server(lambda: there.conninfo("eraser"), "company", making.PATIENCE)
    keys = sql.SQL(f"SELECT id FROM {declared.dataset} WHERE {where}")  # type: ignore[arg-type]
    return Anonymiser(server, of, declared, at).run(it or making.step("A1", restricting=False), chunk, keys)


def classes(rows: Sequence[Row], known: int) -> dict[Row, list[Row]]:
    found: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[:known]].append(row[known:])
    return found


def k_of(rows: Sequence[Row], known: int) -> int:
    return min(map(len, classes(rows, known).values()), default=0)


def l_of(rows: Sequence[Row], known: int, column: int = 0) -> int:
    return min(
        (len({r[column] for r in c if r[column] is not None}) for c in classes(rows, known).values()),
        default=0,
    )


def t_of(rows: Sequence[Row], known: int, column: int = 0, *, ordered: bool = False) -> float:
    values = sorted({r[known + column] for r in rows if r[known + column] is not None})
    whole = Counter(r[known + column] for r in rows if r[known + column] is not None)
    farthest = 0.0
    for members in classes(rows, known).values():
        mine = Counter(m[column] for m in members if m[column] is not None)
        if not mine:
            continue
        over = [mine[v] / mine.total() - whole[v] / whole.total() for v in values]
        if not ordered:
            distance = sum(map(abs, over)) / 2
        else:
            carried, distance = 0.0, 0.0
            for x in over:
                carried += x
                distance += abs(carried)
            distance /= max(len(values) - 1, 1)
        farthest = max(farthest, distance)
    return farthest
