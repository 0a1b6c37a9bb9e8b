"""Files of a live database by the names of their tables, as the prover is told; and whose cluster they are of."""

from __future__ import annotations

from pathlib import Path

from include.proofs.residue import names
from include.proofs.residue.files import sources
from include.proofs.residue.scan import scan
from include.proofs.values import Values
from tests.conftest import PgServer
from tests.proofs.residue.making import PEOPLE, PERSON, database


class Direct:
    """The prover's connection to one database."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def postgres(self, connection: str, role: object) -> str:
        return self._conninfo


def test_every_file_of_a_table_has_its_name(pg_server: PgServer) -> None:
    with database(pg_server, "named") as conn:
        conn.execute("CREATE TABLE plain (id int PRIMARY KEY, v text)")
        conn.execute("CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id)")
        conn.execute("CREATE TABLE half PARTITION OF parted FOR VALUES FROM (0) TO (9)")
        conn.execute("CREATE INDEX ON parted (v)")
        conn.execute("INSERT INTO half VALUES (1, %s)", [PEOPLE[PERSON].document])
        conn.execute("INSERT INTO plain VALUES (1, %s)", [PEOPLE[PERSON].document])
        conn.execute("CHECKPOINT")
        conninfo = pg_server.cluster.superuser_conninfo("named")
        cluster = names.of(Direct(conninfo), "company", "company")  # type: ignore[arg-type]
        called = {name for name in cluster.files.values() if name.startswith("public.")}
        assert called == {
            "public.plain", "public.plain (index plain_pkey)", "public.plain (chunks)", "public.plain (index of its chunks)",
            "public.parted (partition half)", "public.parted (index half_v_idx)", "public.parted (chunks)",
            "public.parted (index of its chunks)",
        }  # fmt: skip
        row = conn.execute("SELECT current_setting('data_directory')").fetchone()
        assert row is not None
        residue = scan(
            {PERSON: Values(frozenset({PEOPLE[PERSON].document}))}, sources(Path(row[0])), cluster.files
        )
        assert {n for n in residue.places(PERSON) if n.startswith("public.")} == {
            "public.plain", "public.parted (partition half)", "public.parted (index half_v_idx)",
        }  # fmt: skip
        assert residue.systems == {cluster.system}
