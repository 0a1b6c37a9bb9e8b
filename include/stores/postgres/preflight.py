"""What would make a step fail, or be unsafe, in this database: named before anything is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from include.model.catalogue import Catalogue, Dataset, StoreDeclared
from include.model.flow import Finding
from include.model.words import DatasetKind, Ownership
from include.stores.postgres.area import RESERVED
from include.stores.postgres.live import CASCADING, Live
from include.stores.postgres.restriction import POLICY, TRIGGER
from include.stores.postgres.server import Connection
from include.stores.postgres.survey import parents_first

INDEXABLE = ("text", "varchar", "bpchar", "int2", "int4", "int8", "numeric", "uuid")


def preflight(
    connection: Connection, catalogue: Catalogue, store: StoreDeclared, prover: str | None
) -> tuple[Finding, ...]:
    """Every finding, in order of dataset. An empty answer means that a step can be carried out."""
    datasets = catalogue.of_store(store.id, DatasetKind.TABLE)
    parents_first(datasets)
    live = Live.read(connection)
    there = tuple(d for d in datasets if d.address in live.tables)
    look = _Look(connection, catalogue, store, live, there, prover)
    found: list[Finding] = list(_maps(datasets, live))
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        look.columns,
        look.cuts,
        look.keys,
        look.link_indexes,
        look.references,
        look.triggers,
        look.rules,
        look.detached,
        look.privileges,
        look.restriction,
        look.business_roles,
        look.views,
        look.texts,
    )
    for check in checks:
        found += check()
    return tuple(found)


def _maps(datasets: Sequence[Dataset], live: Live) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for d in datasets:
        table = live.tables.get(d.address)
        if table is None:
            yield _finding(
                "missing_table",
                d,
                d.address,
                "the mapped table is not in the database",
                "was it renamed or dropped? correct the dataset's address",
            )
        elif table.kind not in "rp" or table.root != d.address:
            yield _finding(
                "not_a_table",
                d,
                d.address,
                "it is a view, a foreign table or a single partition",
                "map the table itself",
            )
        if d.address in seen:
            yield _finding(
                "mapped_twice",
                d,
                d.address,
                f"{seen[d.address]} maps the same table",
                "merge the two datasets",
            )
        seen[d.address] = d.id


class _Look:
    """The checks over one database; each yields its findings."""

    def __init__(
        self,
        connection: Connection,
        catalogue: Catalogue,
        store: StoreDeclared,
        live: Live,
        datasets: tuple[Dataset, ...],
        prover: str | None,
    ) -> None:
        self.connection, self.catalogue, self.store = connection, catalogue, store
        self.live, self.datasets, self.prover = live, datasets, prover
        self.mapped = {d.address: d for d in datasets}

    def columns(self) -> Iterator[Finding]:
        for d in self.datasets:
            wanted = [*d.key, *(d.cut.set if d.cut else ())]
            for link in d.links:
                wanted += [link.column] if link.column else list(link.on)
                via = self.mapped.get(self.catalogue.dataset(link.via).address) if link.via else None
                for theirs in link.on.values() if via else ():
                    if via and theirs not in self.live.tables[via.address].columns:
                        yield self._no_column(via, theirs)
            for bound in d.binds:
                if bound.start:
                    wanted += [bound.start.column] if bound.start.column else list(bound.start.on)
            for column in dict.fromkeys(wanted):
                if column not in self.live.tables[d.address].columns:
                    yield self._no_column(d, column)

    @staticmethod
    def _no_column(d: Dataset, column: str) -> Finding:
        return _finding(
            "missing_column",
            d,
            f"{d.address}.{column}",
            "the mapped column is not in the database",
            "was it renamed or dropped? correct the dataset",
        )

    def cuts(self) -> Iterator[Finding]:
        """What anonymising and unlinking set to null must be allowed to be null."""
        for d in self.datasets:
            nulled = [c for c, value in d.cut.set.items() if value is None] if d.cut else []
            nulled += [x.column for x in d.links if x.column and x.ownership is Ownership.ACCESS_ONLY]
            live = self.live.tables[d.address].columns
            for column in dict.fromkeys(nulled):
                if column in live and live[column].not_null:
                    yield _finding(
                        "cut_refused",
                        d,
                        f"{d.address}.{column}",
                        "it is cut to null, and the column is NOT NULL",
                        "cut it to a constant, or allow null",
                    )

    def keys(self) -> Iterator[Finding]:
        for d in self.datasets:
            table = self.live.tables[d.address]
            if not set(d.key) <= set(table.columns):
                continue
            if not d.key or not table.unique_within(d.key):
                yield _finding(
                    "key_not_unique",
                    d,
                    d.address,
                    f"no unique index over not-null columns within ({', '.join(d.key)})",
                    "declare the primary key",
                )
            for column in set(d.key) & RESERVED:
                yield _finding(
                    "key_name_taken",
                    d,
                    f"{d.address}.{column}",
                    "key tables use this name themselves",
                    "key the dataset by another unique column",
                )

    def link_indexes(self) -> Iterator[Finding]:
        for d in self.datasets:
            table = self.live.tables[d.address]
            for link in d.links:
                mine = [link.column] if link.column else list(link.on)
                if not set(mine) <= set(table.columns):
                    continue
                place = f"{d.address}.{mine[0] if len(mine) == 1 else '(' + ', '.join(mine) + ')'}"
                if not table.led_by(*mine):
                    yield _finding(
                        "unindexed_link",
                        d,
                        place,
                        "the link to the subject has no index",
                        f"CREATE INDEX CONCURRENTLY ON {d.address} ({', '.join(mine)})",
                    )
                if link.column and table.columns[link.column].kind not in INDEXABLE:
                    yield _finding(
                        "unindexable_link",
                        d,
                        place,
                        f"its type {table.columns[link.column].kind} is compared as text, past its index",
                        "link through a column of a plain type",
                    )

    def references(self) -> Iterator[Finding]:
        """Foreign keys into mapped tables: from tables nobody declared, and without an index on their side."""
        for key in self.live.foreign_keys:
            parent = self.mapped.get(key.parent)
            if parent is None:
                continue
            place = f"{key.child}.{key.child_columns[0]}"
            child = self.mapped.get(key.child)
            if child is None and key.on_delete in CASCADING:
                yield _finding(
                    "cascade_undeclared",
                    parent,
                    place,
                    f"{key.name} is {CASCADING[key.on_delete]}: disposing here reaches a table nobody declared",
                    "declare the table as a dataset",
                )
            elif child is None:
                yield _finding(
                    "undeclared_reference",
                    parent,
                    place,
                    f"{key.name} refers to this table from one that nobody declared, and will block disposing",
                    "declare the table as a dataset",
                )
            table = self.live.tables.get(key.child)
            if table and not table.led_by(*key.child_columns):
                yield _finding(
                    "unindexed_reference",
                    child or parent,
                    place,
                    f"{key.name} has no index: each disposed row of {key.parent} would scan {key.child}",
                    f"CREATE INDEX CONCURRENTLY ON {key.child} ({', '.join(key.child_columns)})",
                )

    def triggers(self) -> Iterator[Finding]:
        """A trigger whose code names a table that is neither its own nor a declared effect."""
        code = {
            name: str(source)
            for name, source in self.connection.execute(
                "SELECT n.nspname || '.' || p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
                " WHERE p.prorettype = 'trigger'::regtype"
            )
        }
        for trigger in self.live.triggers:
            d = self.mapped.get(self.live.tables[trigger.table].root)
            if d is None or not (trigger.on_delete or (trigger.on_update and d.cut)):
                continue
            effects = {e.table for e in d.effects} | {d.address}
            words = set(_names(code.get(trigger.function, "")))
            reached = sorted(
                t.address
                for t in self.live.tables.values()
                if t.root not in effects and t.kind in "rp" and t.address in words
            )
            if reached:
                yield _finding(
                    "trigger_undeclared",
                    d,
                    f"{trigger.table} ({trigger.name})",
                    f"the trigger names {', '.join(reached)}, which is no declared effect",
                    "declare the effect, or see that the trigger does not write there",
                )

    def rules(self) -> Iterator[Finding]:
        for address, rule in self.connection.execute(
            "SELECT n.nspname || '.' || c.relname, r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> '_RETURN'"
        ):
            if address in self.mapped:
                yield _finding(
                    "rule",
                    self.mapped[address],
                    f"{address} ({rule})",
                    "a rewrite rule may turn a delete into something else",
                    "drop the rule",
                )

    def detached(self) -> Iterator[Finding]:
        for d in self.datasets:
            parent = self.live.tables[d.address]
            if parent.kind != "p":
                continue
            shape = {(c.name, c.base) for c in parent.columns.values()}
            for table in self.live.tables.values():
                alike = {(c.name, c.base) for c in table.columns.values()} == shape
                if (
                    table.kind == "r"
                    and table.root == table.address
                    and table.address not in self.mapped
                    and alike
                ):
                    yield _finding(
                        "detached_partition",
                        d,
                        table.address,
                        "it has the columns of the partitioned table but is not attached to it",
                        "attach it, drop it, or declare it",
                    )

    def privileges(self) -> Iterator[Finding]:
        for d in self.datasets:
            (lacks,) = self.connection.execute(
                "SELECT array_remove(ARRAY[CASE WHEN NOT has_table_privilege(o, 'SELECT') THEN 'SELECT' END,"
                " CASE WHEN NOT has_table_privilege(o, 'UPDATE') THEN 'UPDATE' END,"
                " CASE WHEN NOT has_table_privilege(o, 'DELETE') THEN 'DELETE' END], NULL) FROM (SELECT %s::oid AS o) AS t",
                [self.live.tables[d.address].oid],
            ).fetchone() or ([],)
            if lacks:
                yield _finding(
                    "eraser_lacks",
                    d,
                    d.address,
                    f"the eraser lacks {', '.join(lacks)}",
                    "run the store's install again",
                )
        names = [r for (r,) in self.connection.execute("SELECT current_user")] + (
            [self.prover] if self.prover else []
        )
        for role, sees in self.connection.execute(
            "SELECT rolname, rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = ANY(%s)", [names]
        ):
            if not sees:
                yield _finding(
                    "row_security_blind",
                    None,
                    role,
                    "row security may hide rows from this role",
                    "ALTER ROLE … BYPASSRLS, by an administrator",
                )
        row = self.connection.execute(
            "SELECT has_database_privilege(current_database(), 'CREATE')"
        ).fetchone()
        if not (row and row[0]):
            yield _finding(
                "eraser_lacks",
                None,
                "database",
                "the eraser may not make step areas (CREATE on the database)",
                "run the store's install again",
            )

    def restriction(self) -> Iterator[Finding]:
        if not self.store.modifiable:
            return
        (installed,) = self.connection.execute(
            "SELECT to_regclass('quietus.receipt') IS NOT NULL"
        ).fetchone() or (False,)
        if not installed:
            yield _finding("not_installed", None, "quietus", "the store has no quietus schema", "run install")
            return
        secured = {
            (address, policy)
            for address, policy in self.connection.execute(
                "SELECT n.nspname || '.' || c.relname, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relrowsecurity"
            )
        }
        guarded = {
            address
            for (address,) in self.connection.execute(
                "SELECT n.nspname || '.' || c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname = %s AND t.tgenabled = 'A'",
                [TRIGGER],
            )
        }
        for d in self.datasets:
            if all(link.ownership is Ownership.ACCESS_ONLY for link in d.links):
                continue
            for address in (d.address, *self.live.partitions(d.address)):
                if self.store.business_roles and (address, POLICY) not in secured:
                    yield _finding(
                        "not_restrictable",
                        d,
                        address,
                        "row security is not installed here",
                        "run the store's install again",
                    )
                if address not in guarded:
                    yield _finding(
                        "not_restrictable",
                        d,
                        address,
                        "the trigger that refuses late writes is not there",
                        "run the store's install again",
                    )

    def business_roles(self) -> Iterator[Finding]:
        for role, past in self.connection.execute(
            "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)",
            [list(self.store.business_roles)],
        ):
            if past:
                yield _finding(
                    "role_not_restrained",
                    None,
                    role,
                    "this business role is past row security",
                    "take SUPERUSER and BYPASSRLS from it",
                )
            owned = [d.address for d in self.datasets if self.live.tables[d.address].owner == role]
            if owned:
                yield _finding(
                    "role_not_restrained",
                    None,
                    role,
                    f"this business role owns {owned[0]}, and owners are past row security",
                    "let another role own the tables",
                )

    def views(self) -> Iterator[Finding]:
        """A view reads with its owner's rights, a materialised one is a copy: both show restricted rows."""
        if not self.store.business_roles:
            return
        for view, kind, address, role in self.connection.execute(
            "SELECT DISTINCT vn.nspname || '.' || v.relname, v.relkind::text, n.nspname || '.' || c.relname, r.rolname"
            " FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class JOIN pg_namespace vn ON vn.oid = v.relnamespace"
            " JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass"
            " JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " CROSS JOIN pg_roles r"
            " WHERE v.relkind IN ('v', 'm') AND c.oid <> v.oid AND r.rolname = ANY(%s)"
            " AND has_any_column_privilege(r.rolname, v.oid, 'SELECT')"
            " AND (v.relkind = 'm' OR NOT 'security_invoker=true' = ANY(coalesce(v.reloptions, '{}'))"
            " AND NOT 'security_invoker=on' = ANY(coalesce(v.reloptions, '{}'))) ORDER BY 1, 4",
            [list(self.store.business_roles)],
        ):
            if address in self.mapped:
                what = "materialised view" if kind == "m" else "view without security_invoker"
                yield _finding(
                    "view_past_restriction",
                    self.mapped[address],
                    view,
                    f"a {what} over {address} that {role} may read shows restricted rows",
                    "set security_invoker on it, or revoke SELECT",
                )

    def texts(self) -> Iterator[Finding]:
        for measure in self.catalogue.measures:
            if measure.store == self.store.id and measure.id not in self.catalogue.measure_sql:
                yield _finding(
                    "missing_sql", None, f"measures/{measure.id}.sql", "the measure has no SQL", "write it"
                )
        for d in self.datasets:
            for bound in d.binds:
                query = bound.start.query if bound.start else None
                if query and query not in self.catalogue.starting_points:
                    yield _finding(
                        "missing_sql",
                        d,
                        f"starting_points/{query}.sql",
                        "the starting point has no SQL",
                        "write it",
                    )


def _names(source: str) -> Iterator[str]:
    """Words of a function's body that could be ``schema.table``."""
    word = ""
    for c in source.replace('"', "") + " ":
        if c.isalnum() or c in "_.$":
            word += c
        else:
            if "." in word:
                yield word.lower()
            word = ""


def _finding(code: str, dataset: Dataset | None, place: str, what: str, next_step: str) -> Finding:
    return Finding(
        code=code,
        dataset=dataset.id if dataset else None,
        place=place,
        items=None,
        what=what,
        next_step=next_step,
    )
