"""Roles that hold a right on the person's tables and that the catalogue does not declare.

The prover can act as declared roles only, and is given no more rights for the sake of this look. So these are judged:
who holds which right (through memberships and PUBLIC too), and whether row security or the restriction's trigger
holds that role. It is the same policy and the same trigger that are tried as the declared roles. A right that nothing
restrains fails ``undeclared.<table>`` and names the role; where a policy of the company's own decides, nobody has
looked, and it is UNVERIFIED. So it is of a role that the catalogue declares to be past any restriction (it makes
backups, say): that is no fault, and nothing it reads is called hidden. Views read with their owner's rights, so the
prover reads these itself.

Owners, superusers and who may become one of them are past any restriction; the check says who they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import psycopg
from psycopg import sql

from include.model.estate import Dataset
from include.model.flow import Check
from include.model.words import Rung, Verdict
from include.proofs.acting import text
from include.proofs.hiding import owning
from include.proofs.server import Connection, meaning
from include.proofs.tables import Tables, quoted

# Everybody but the declared, the prover, and the eraser, who is whoever writes receipts. A predefined role (pg_…)
# logs in as nobody; its members are looked at.
_ROLES = """
role AS (
  SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls
    FROM pg_catalog.pg_roles AS r
   WHERE r.rolname !~ '^pg_' AND r.rolname <> ALL(%(declared)s::text[]) AND r.rolname <> current_user
     AND (r.rolsuper OR to_regclass('quietus.receipt') IS NULL
          OR NOT has_table_privilege(r.oid, to_regclass('quietus.receipt')::oid, 'INSERT')
          OR pg_has_role(r.oid, (SELECT relowner FROM pg_class WHERE oid = to_regclass('quietus.receipt')), 'MEMBER'))
), mighty AS (
  SELECT s.oid FROM pg_catalog.pg_roles AS s WHERE s.rolsuper
)
"""

_TABLES = sql.SQL(
    """
WITH place AS (
  SELECT d.id AS dataset, d.address::regclass::oid AS root, p.oid
    FROM unnest(%(ids)s::text[], %(addresses)s::text[]) AS d(id, address)
   CROSS JOIN LATERAL (SELECT d.address::regclass::oid AS oid
                       UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree(d.address::regclass)) AS p
),"""  # noqa: S608 - of constants
    + _ROLES
    + """, held AS (
  SELECT p.dataset, p.root, c.oid, c.relrowsecurity, role.oid AS role, role.rolname, role.rolbypassrls, w.deed, w.cmd,
         role.oid = c.relowner AS owner,
         pg_has_role(role.oid, c.relowner, 'MEMBER')
           OR EXISTS (SELECT FROM mighty AS m WHERE pg_has_role(role.oid, m.oid, 'MEMBER')) AS past
    FROM place AS p
    JOIN pg_catalog.pg_class AS c ON c.oid = p.oid
   CROSS JOIN role
   CROSS JOIN (VALUES ('SELECT', 'r'), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')) AS w(deed, cmd)
   WHERE has_schema_privilege(role.oid, c.relnamespace, 'USAGE')
     AND CASE w.deed WHEN 'DELETE' THEN has_table_privilege(role.oid, c.oid, w.deed)
              ELSE has_any_column_privilege(role.oid, c.oid, w.deed) END
), bound AS (
  SELECT h.*, l.polname, l.polpermissive
    FROM held AS h
    LEFT JOIN pg_catalog.pg_policy AS l
      ON l.polrelid = h.oid AND l.polcmd IN ('*', h.cmd::"char") AND h.relrowsecurity AND NOT h.rolbypassrls
     AND (0 = ANY(l.polroles)
          OR EXISTS (SELECT FROM unnest(l.polroles) AS x(oid) WHERE x.oid <> 0 AND pg_has_role(h.role, x.oid, 'USAGE')))
)
SELECT b.dataset, b.rolname, b.deed, b.root = b.oid AS whole, b.oid, b.owner,
       CASE WHEN b.past THEN 'past'
            WHEN bool_or(b.polname = 'quietus_restriction' AND NOT b.polpermissive) THEN 'held'
            WHEN b.relrowsecurity AND NOT b.rolbypassrls AND NOT coalesce(bool_or(b.polpermissive), false) THEN 'held'
            WHEN b.cmd IN ('a', 'w') AND EXISTS (
                   SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = b.oid
                      AND g.tgname = 'quietus_restriction' AND g.tgenabled IN ('A', 'O')) THEN 'held'
            WHEN bool_or(b.polname <> 'quietus_base') THEN 'unknown'
            ELSE 'open' END
  FROM bound AS b
 GROUP BY b.dataset, b.rolname, b.deed, b.cmd, b.root, b.oid, b.owner, b.past, b.relrowsecurity, b.rolbypassrls
 ORDER BY 1, 2, 3, 5
"""
)

_VIEWS = sql.SQL(
    "WITH "
    + _ROLES
    + """
SELECT n.nspname || '.' || c.relname, role.rolname, array_agg(a.attname::text ORDER BY a.attnum)
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND t.typname IN ('text', 'varchar', 'bpchar', 'uuid')
 CROSS JOIN role
 WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^(pg_|information_schema$|quietus$|q_)'
   AND NOT coalesce(c.reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on']
   AND NOT pg_has_role(role.oid, c.relowner, 'MEMBER')
   AND NOT EXISTS (SELECT FROM mighty AS m WHERE pg_has_role(role.oid, m.oid, 'MEMBER'))
   AND has_schema_privilege(role.oid, n.oid, 'USAGE') AND has_column_privilege(role.oid, c.oid, a.attnum, 'SELECT')
 GROUP BY 1, 2 ORDER BY 1, 2
"""
)


def judged_tables(
    connection: Connection, tables: Tables, declared: Sequence[str], rows: Mapping[str, Counter[int]]
) -> Iterator[Check]:
    """One check for each dataset that can be somebody's. ``rows``: how many of its rows lie in which table."""
    datasets = [d for d in tables.datasets if owning(d) and d.address in tables.types]
    said: dict[str, list[tuple[str, str, str, int | None]]] = {d.id: [] for d in datasets}
    for dataset, role, deed, whole, oid, owner, verdict in connection.execute(
        _TABLES,
        {
            "ids": [d.id for d in datasets],
            "addresses": [text(d.address) for d in datasets],
            "declared": list(declared),
        },
    ):
        n = rows[dataset].total() if whole else rows[dataset][oid]
        if n or deed == "INSERT":
            how = "owner" if owner and verdict == "past" else verdict
            said[dataset].append((role, deed, how, n))
    excepted = _excepted(tables)
    for dataset in datasets:
        of = said[dataset.id]
        yield _judged(dataset, [x for x in of if not (x[0] in excepted and x[2] == "open")])
        for role in dict.fromkeys(role for role, _, how, _ in of if role in excepted and how == "open"):
            yield _past(f"enforced.{dataset.id}.{role}", dataset.id, role, excepted[role])


def _excepted(tables: Tables) -> dict[str, str]:
    """Roles that the catalogue declares to be past any restriction, with the reason."""
    return {x.role: x.reason for x in tables.catalogue.store(tables.store).past_restriction}


def _past(name: str, dataset: str | None, role: str, reason: str) -> Check:
    """No fault of the restriction, so no finding; but what the role reads is not called hidden."""
    return Check(
        name=name, dataset=dataset, rung=Rung.R1, verdict=Verdict.UNVERIFIED,
        why=f"{role} is past any restriction, as declared: {reason}",
    )  # fmt: skip


def _judged(dataset: Dataset, said: Sequence[tuple[str, str, str, int | None]]) -> Check:
    def by(*verdicts: str) -> list[str]:
        return list(dict.fromkeys(role for role, _, how, _ in said if how in verdicts))

    name, free = f"undeclared.{dataset.id}", by("open")
    if free:
        deeds = [
            f"{role} may {', '.join(dict.fromkeys(d for r, d, how, _ in said if r == role and how == 'open'))}"
            for role in free
        ]
        most = max(n or 0 for _, _, how, n in said if how == "open")
        return Check(
            name=name, dataset=dataset.id, rung=Rung.R1, verdict=Verdict.FAILED, expected=0, observed=len(free),
            why=f"roles that the catalogue does not declare are not restrained ({most} rows of the person):"
            f" {'; '.join(deeds)}: declare them and run the store's install again, or REVOKE",
        )  # fmt: skip
    if unknown := by("unknown"):
        return Check(
            name=name, dataset=dataset.id, rung=Rung.R1, verdict=Verdict.UNVERIFIED,
            why=f"a policy of the company's own decides what undeclared roles may do ({', '.join(unknown)}), and"
            " they cannot be tried: declare them",
        )  # fmt: skip
    remarks = []
    if held := by("held"):
        remarks.append(f"judged by rights, policies and trigger, not tried: {', '.join(held)}")
    if past := by("past", "owner"):
        remarks.append(f"past any restriction, as owner, superuser or member of one: {', '.join(past)}")
    return Check(
        name=name, dataset=dataset.id, rung=Rung.R1, verdict=Verdict.PASSED, expected=0, observed=0,
        why="; ".join(remarks),
    )  # fmt: skip


def judged_views(
    connection: Connection, tables: Tables, declared: Sequence[str], about: str
) -> Iterator[Check]:
    """One check for each view that an undeclared role may read past the row security of its tables."""
    excepted = _excepted(tables)
    for address, role, columns in connection.execute(_VIEWS, {"declared": list(declared)}).fetchall():
        name = f"undeclared.{address}.{role}"
        try:
            row = connection.execute(
                naming(address, columns, "%s"), [list(tables.step.subjects)] * len(columns)
            )
            (n,) = row.fetchone() or (0,)
        except psycopg.Error as error:
            yield Check(name=name, rung=Rung.R1, verdict=Verdict.UNVERIFIED, why=meaning(error, about).what)
            continue
        if n and role in excepted:
            yield _past(f"enforced.{address}.{role}", None, role, excepted[role])
            continue
        why = f"{role}, which the catalogue does not declare, reads the person through this view"
        yield Check(
            name=name, rung=Rung.R1, verdict=Verdict.FAILED if n else Verdict.PASSED, expected=0, observed=n,
            why=why if n else "",
        )  # fmt: skip


def naming(address: str, columns: Sequence[str], people: str) -> sql.Composed:
    """How many rows name one of the people in some column; ``people``: the parameter."""
    return sql.SQL("SELECT count(*) FROM {} AS v WHERE {}").format(
        quoted(address),
        sql.SQL(" OR ").join(
            sql.SQL("v.{}::text = ANY({})").format(sql.Identifier(c), sql.SQL(people)) for c in columns
        ),
    )


__all__ = ["judged_tables", "judged_views", "naming"]
