"""Whether the files of the old table still hold what was released: an UPDATE leaves the original readable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from psycopg import sql

from include.model.estate import Dataset
from include.model.flow import Check
from include.model.releases import Release
from include.model.words import Rung, Verdict
from include.proofs.linkage import Original
from include.proofs.residue.files import Source, Unread, sources
from include.proofs.residue.scan import scan
from include.proofs.server import Reader
from include.proofs.values import Values

SHORTEST = 8
"""Characters of a value that is looked for in bytes: shorter ones are everywhere."""

_FILES = """
SELECT pg_catalog.pg_relation_filepath(f.oid), f.heap AND NOT coalesce(
         w.filenode::bigint = pg_catalog.pg_relation_filenode(f.oid) AND w.clean_before > x.xid, false)
  FROM (SELECT max(xid) AS xid FROM quietus.released WHERE release = {release} AND rows > 0) AS x
 CROSS JOIN (
    SELECT c.oid, true AS heap, n.nspname || '.' || c.relname AS relation FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND (c.oid = {table}::regclass
        OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree({table}::regclass)))
    UNION ALL SELECT i.indexrelid, false, NULL FROM pg_catalog.pg_index AS i WHERE i.indrelid = {table}::regclass
    UNION ALL SELECT c.reltoastrelid, false, NULL FROM pg_catalog.pg_class AS c
     WHERE c.oid = {table}::regclass AND c.reltoastrelid <> 0
  ) AS f
  LEFT JOIN quietus.rewritten AS w ON w.relation = f.relation
 WHERE x.xid IS NOT NULL
"""


def originals(
    reader: Reader, dataset: Dataset, release: Release, sample: Sequence[Original], directory: Path | None
) -> Check:
    """FAILED if a value of the sample is in the files; UNVERIFIED until ``table_scrub`` wrote these anew after the release."""
    schema, table = dataset.address.split(".")
    with reader.connect() as connection:
        files = connection.execute(
            sql.SQL(_FILES).format(
                release=sql.Literal(release.id),
                table=sql.Literal(sql.Identifier(schema, table).as_string(connection)),
            )
        ).fetchall()
    unwritten = sum(bool(old) for _, old in files)
    found = _in_bytes(directory, {str(path) for path, _ in files}, sample) if directory else 0
    verdict, why = Verdict.PASSED, ""
    if found:
        verdict, why = Verdict.FAILED, "originals are still in the bytes of the files"
    elif unwritten:
        verdict, why = (
            Verdict.UNVERIFIED,
            "its files were not written anew since, so old rows may lie in them: run table_scrub",
        )
    elif not files:
        verdict, why = Verdict.UNVERIFIED, "nothing was released yet"
    return Check(
        name=f"originals.{release.id}", dataset=dataset.id, rung=Rung.R4, verdict=verdict, expected=0,
        observed=found or unwritten, why=why,
    )  # fmt: skip


def _in_bytes(directory: Path, paths: set[str], sample: Sequence[Original]) -> int:
    """In how many places the sample's longer values are. WAL is another rung's."""
    values = {
        n: Values(frozenset(t for t in o.texts.values() if t is not None and len(t) >= SHORTEST))
        for n, o in enumerate(sample)
    }

    def theirs() -> Iterator[Source | Unread]:
        return (x for x in sources(directory) if isinstance(x, Source) and x.name in paths)

    return sum(scan(values, theirs()).places().values())


__all__ = ["originals"]
