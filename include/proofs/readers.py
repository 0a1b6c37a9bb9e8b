"""Who may read what an anonymised set is made of, or the set itself: whoever may can give it away past every test.

Counted are log-ins and groups of the database, also by what they inherit, of the tables and of every view over them, and over
those views. Superusers and the owner are not: nobody keeps them from anything. Nor are the log-ins of our own duties, by name.
"""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.releases import Release
from include.proofs.server import Reader

_READERS = """
WITH RECURSIVE place AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname || '.' || c.relname = ANY({tables})
    UNION
    SELECT v.oid FROM place
      JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = place.oid
       AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
      JOIN pg_catalog.pg_class AS v ON v.oid = w.ev_class
      JOIN pg_catalog.pg_namespace AS n ON n.oid = v.relnamespace
     WHERE v.relkind IN ('v', 'm') AND n.nspname || '.' || v.relname <> ALL({counted})
), c AS (SELECT k.* FROM pg_catalog.pg_class AS k JOIN place ON place.oid = k.oid)
SELECT r.rolname FROM pg_catalog.pg_roles AS r, c
 WHERE NOT r.rolsuper AND r.oid <> c.relowner
   AND r.rolname !~ '^pg_' AND NOT pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')
   AND (pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT'))
   AND NOT r.rolname = ANY({known})
UNION
SELECT 'PUBLIC' FROM c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
 WHERE a.grantee = 0 AND a.privilege_type = 'SELECT'
UNION
SELECT 'PUBLIC' FROM c JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.oid
 CROSS JOIN LATERAL pg_catalog.aclexplode(b.attacl) AS a
 WHERE a.grantee = 0 AND a.privilege_type = 'SELECT'
 ORDER BY 1
"""


def undeclared(
    catalogue: Catalogue, reader: Reader, release: Release, ours: Collection[str]
) -> tuple[str, ...]:
    """Roles that may read the rows, their pseudonyms or the set, also by a view, and that the release does not declare.
    ``ours``: the names of our own log-ins. A view that is declared as statistics with `at_least` is counted again by itself.
    Raises NotReachable."""
    of = [release.dataset, *release.pseudonyms]
    tables = [catalogue.dataset(d).address for d in of] + ([release.into] if release.into else [])
    counted = [p.address for p in catalogue.not_personal if p.at_least]
    known = sorted({*ours, *release.readers})
    with reader.reaching(), reader.connect() as connection:
        rows = connection.execute(
            sql.SQL(_READERS).format(
                tables=sql.Literal(tables), counted=sql.Literal(counted), known=sql.Literal(known)
            )
        ).fetchall()
    return tuple(str(role) for (role,) in rows)
