"""Proof of a restriction, by trying: as each business role, read the person's rows, and write them.

A flag in a column restricts nothing. So the prover acts as each business role in turn (``acting.py``), which must
see none of the rows that the prover finds by itself (``hiding.py``), and whose writes for the person must be refused
(``writing.py``). Roles that the catalogue does not declare are judged: ``undeclared.py``.

Only rows that are the person's alone, or whose every owner is restricted, must be hidden: a contract stays open to
its other party. How many rows stay open so is said (``enforced``), and no certificate claims that a dataset with
such rows is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from include.model.estate import Dataset
from include.model.flow import Check
from include.model.words import Rung, Verdict
from include.proofs.acting import Rights, Unable, act, not_acting, rights, told
from include.proofs.hiding import MustHide, must_hide, open_to_others
from include.proofs.server import Connection, Reader, meaning
from include.proofs.tables import Tables, quoted
from include.proofs.undeclared import judged_tables, judged_views, naming
from include.proofs.writing import Attempts, Writer, batches, keyed, matched, named_by, sample_row


@dataclass
class _Seen:
    """What was tried on one dataset, by all roles together."""

    rows: MustHide = field(default_factory=MustHide)
    others: int = 0
    sample: dict[str, str] = field(default_factory=dict)
    visible: int = 0
    to: list[str] = field(default_factory=list)
    writes: Attempts = field(default_factory=Attempts)
    unable: list[str] = field(default_factory=list)

    def read_by(self, role: str, n: int) -> None:
        self.visible += n
        self.to += [role] if n else []


def hidden(reader: Reader, tables: Tables, roles: Sequence[str]) -> tuple[Check, ...]:
    """``hidden.<dataset>`` (R1) and ``refused.<dataset>`` (R0), over all business roles of the store;
    ``enforced.<dataset>`` (R1), which is UNVERIFIED, where rows stay open to others; and ``undeclared.<dataset>`` (R1),
    over all others who hold a right."""
    seen = {d.id: _Seen() for d in tables.datasets}
    with reader.connect() as connection, reader.reaching():
        for dataset in tables.datasets:
            of = seen[dataset.id]
            try:
                of.rows = must_hide(connection, tables, dataset)
                of.others = open_to_others(connection, tables, dataset, len(of.rows.keys))
                of.sample = sample_row(connection, dataset)
            except psycopg.Error as error:
                of.unable.append(meaning(error, reader.about).what)
        places = {id: of.rows.places for id, of in seen.items()}
        judged = list(judged_tables(connection, tables, roles, places))
        connection.cursor_factory = psycopg.Cursor  # values apart from statements from here on
        connection.execute("SELECT set_config('row_security', 'on', false)")
        for role in roles:
            _as_role(connection, tables, role, seen, reader.about)
    tried = [check for d in tables.datasets if roles for check in _checks(d, seen[d.id])]
    return (*tried, *judged)


def views(reader: Reader, tables: Tables, roles: Sequence[str]) -> tuple[Check, ...]:
    """``hidden.<view>`` (R1): row security does not reach into a materialised view, nor always through a view.

    Looked at in every view that some business role may read: no text in it names the person. What others may read,
    ``undeclared.<view>``, the prover reads itself: a view reads with its owner's rights, whoever asks.
    """
    found: list[Check] = []
    with reader.connect() as connection, reader.reaching():
        connection.cursor_factory = psycopg.Cursor
        every = connection.execute(_READABLE_VIEWS, [list(roles)]).fetchall()
        connection.execute("SELECT set_config('row_security', 'on', false)")
        for address, role, columns in every:
            name = f"hidden.{address}.{role}"
            try:
                if why := not_acting(connection, role):
                    found.append(_unverified(name, None, Rung.R1, why))
                    continue
                n = act(
                    connection, role, naming(address, columns, "$1"), list(tables.step.subjects)
                ).counted()
            except (psycopg.Error, Unable) as error:
                found.append(_unverified(name, None, Rung.R1, told(error, reader.about)))
                continue
            found.append(
                _check(name, None, Rung.R1, 0, n, f"{role} still reads the person through this view")
            )
        found += judged_views(connection, tables, roles, reader.about)
    return tuple(found)


_READABLE_VIEWS = """
SELECT n.nspname || '.' || c.relname, r.rolname, array_agg(a.attname::text ORDER BY a.attnum)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname IN ('text', 'varchar', 'bpchar', 'uuid')
  JOIN pg_catalog.pg_roles r ON r.rolname = ANY(%s)
 WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^(pg_|information_schema$|quietus$|q_)'
   AND has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')
 GROUP BY 1, 2 ORDER BY 1, 2
"""


def _as_role(connection: Connection, tables: Tables, role: str, seen: dict[str, _Seen], about: str) -> None:
    if why := not_acting(connection, role):
        for of in seen.values():
            of.unable.append(why)
        return
    for dataset in tables.datasets:
        of = seen[dataset.id]
        try:
            may = rights(connection, role, dataset)
            _read(connection, tables, role, dataset, may, of)
            writer = Writer(connection, tables, role, dataset, may)
            writer.add(of.sample, of.writes)
            if why := writer.change(of.rows.keys, of.writes):
                of.unable.append(why)
        except (psycopg.Error, Unable) as error:
            of.unable.append(f"as {role}: {told(error, about)}")


def _read(
    connection: Connection, tables: Tables, role: str, dataset: Dataset, may: Rights, of: _Seen
) -> None:
    """All rows that must be hidden, by their keys; else by the column that names the person, where the role may read
    that one; else nobody can say what it sees."""
    if may.read >= set(dataset.key):
        count = sql.SQL("SELECT count(*) FROM ({}) AS k JOIN {} AS t ON {}").format(
            keyed(dataset), quoted(dataset.address), matched(tables, dataset)
        )
        n = sum(act(connection, role, count, values).counted() for values in batches(of.rows.keys))
        of.read_by(role, n)
    elif column := named_by(dataset, may):
        count = sql.SQL("SELECT count({0}) FROM {1} AS t WHERE t.{0}::text = ANY($1)").format(
            sql.Identifier(column), quoted(dataset.address)
        )
        of.read_by(role, act(connection, role, count, list(tables.step.subjects)).counted())
    elif may.read:
        columns = ", ".join(sorted(may.read))
        of.unable.append(f"{role} may read some columns ({columns}), but neither the key nor whose a row is")


def _checks(dataset: Dataset, seen: _Seen) -> Iterator[Check]:
    if seen.unable:
        yield _unverified(f"hidden.{dataset.id}", dataset.id, Rung.R1, "; ".join(dict.fromkeys(seen.unable)))
        return
    if seen.others:
        yield _unverified(
            f"enforced.{dataset.id}",
            dataset.id,
            Rung.R1,
            f"{seen.others} rows are others' too, and open to them",
        )
    yield _check(
        f"hidden.{dataset.id}", dataset.id, Rung.R1, 0, seen.visible,
        f"business roles still read rows of the person: {', '.join(seen.to)}",
    )  # fmt: skip
    writes = seen.writes
    if writes.tried:
        yield _check(
            f"refused.{dataset.id}", dataset.id, Rung.R0, writes.tried, writes.tried - len(writes.got_through),
            "business roles can still write rows of the person: "
            f"{', '.join(dict.fromkeys(writes.got_through))} (tried as {', '.join(sorted(writes.by))})",
        )  # fmt: skip


def _check(name: str, dataset: str | None, rung: Rung, expected: int, observed: int, otherwise: str) -> Check:
    right = expected == observed
    return Check(
        name=name, dataset=dataset, rung=rung, verdict=Verdict.PASSED if right else Verdict.FAILED,
        expected=expected, observed=observed, why="" if right else otherwise,
    )  # fmt: skip


def _unverified(name: str, dataset: str | None, rung: Rung, why: str) -> Check:
    return Check(name=name, dataset=dataset, rung=rung, verdict=Verdict.UNVERIFIED, why=why)
