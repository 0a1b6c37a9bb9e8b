"""What hides a restricted subject's rows, generated from the catalogue's links.

A row is hidden if a sole owner is restricted, or if it is shared and all its owners are. Business roles get a
RESTRICTIVE policy; every role but the eraser gets a trigger, so that an owner's or batch job's write is refused
as well. Links through other tables are followed inside a security definer function: a policy's own sub-select
would be filtered by the policies of the tables it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.words import Ownership
from include.stores.postgres.live import Live, LiveTable
from include.stores.postgres.server import name
from include.stores.postgres.survey import on

POLICY = "quietus_restriction"
CAME = "quietus_handover"
"""The policy of rows that were handed over to be stored only (``include.handover.restricting``)."""
BASE = "quietus_base"
TRIGGER = "quietus_restriction"


def restricted(value: sql.Composable) -> sql.Composed:
    """Inside functions of ours, which may read the list."""
    return sql.SQL(
        "EXISTS (SELECT FROM quietus.restriction AS qr WHERE qr.subject_id = {}::text AND qr.lifted_at IS NULL)"
    ).format(value)


def asked(value: sql.Composable) -> sql.Composed:
    """In a policy, which is checked with the rights of a role that may not read the list.

    EXISTS, not IN: the planner then has both, a probe for one row and a hash for a whole scan. A function for each
    row of a whole scan would cost twenty times as much as the scan; the slots let nearly all rows pass without it.
    """
    return sql.SQL(
        "(EXISTS (SELECT FROM quietus.restriction AS qr WHERE qr.slot = (hashtext({v}::text) & 65535))"
        " AND quietus.is_restricted({v}::text))"
    ).format(v=value)


@dataclass(frozen=True)
class Hiding:
    """Composes the condition for one dataset's row, whose columns are reached through ``alias``."""

    catalogue: Catalogue
    live: Live
    restricted: Callable[[sql.Composable], sql.Composed] = restricted

    def hidden(self, dataset: Dataset, alias: str, depth: int = 0) -> sql.Composed:
        sole: list[sql.Composable] = []
        shared: list[sql.Composable] = []
        for link in dataset.links:
            if link.ownership is Ownership.ACCESS_ONLY:
                continue
            if link.ownership is Ownership.SHARED:
                shared.append(self._some_owner(dataset, alias, link_index(dataset, link), depth, wanted=True))
            elif link.column is not None:
                sole.append(self.restricted(name(alias, link.column)))
            else:
                parent = self.catalogue.dataset(link.via or "")
                up = f"h{depth}"
                sole.append(
                    sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
                        name(parent.address),
                        name(up),
                        on(self.live, dataset, parent, link, alias, up),
                        self.hidden(parent, up, depth + 1),
                    )
                )
        parts = list(sole)
        if shared:
            free = [
                self._some_owner(dataset, alias, i, depth, wanted=False)
                for i, link in enumerate(dataset.links)
                if link.ownership is not Ownership.ACCESS_ONLY
            ]
            parts.append(
                sql.SQL("(({}) AND NOT ({}))").format(
                    sql.SQL(" OR ").join(shared), sql.SQL(" OR ").join(free)
                )
            )
        return sql.SQL("({})").format(sql.SQL(" OR ").join(parts)) if parts else sql.SQL("false").format()

    def _some_owner(self, dataset: Dataset, alias: str, i: int, depth: int, *, wanted: bool) -> sql.Composed:
        """Whether link ``i`` leads to an owner who is (``wanted``) or is not restricted."""
        link = dataset.links[i]
        if link.column is not None:
            column = name(alias, link.column)
            if wanted:
                return self.restricted(column)
            return sql.SQL("({} IS NOT NULL AND NOT {})").format(column, self.restricted(column))
        parent = self.catalogue.dataset(link.via or "")
        up = f"h{depth}"
        owners = [
            self._some_owner(parent, up, j, depth + 1, wanted=wanted)
            for j, theirs in enumerate(parent.links)
            if theirs.ownership is not Ownership.ACCESS_ONLY
        ]
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND ({}))").format(
            name(parent.address),
            name(up),
            on(self.live, dataset, parent, link, alias, up),
            sql.SQL(" OR ").join(owners) if owners else sql.SQL("false"),
        )

    def used_columns(self, dataset: Dataset) -> tuple[str, ...]:
        """The dataset's own columns that the condition reads."""
        found: dict[str, None] = {}
        for link in dataset.links:
            if link.ownership is not Ownership.ACCESS_ONLY:
                found.update(dict.fromkeys([link.column] if link.column else link.on))
        return tuple(found)

    def statements(self, dataset: Dataset, roles: tuple[str, ...], eraser: str) -> list[sql.Composed]:
        """DDL that protects one table and its partitions; again is a no-op."""
        table = self.live.tables[dataset.address]
        columns = self.used_columns(dataset)
        if not columns:
            return []
        direct = all(x.column for x in dataset.links if x.ownership is not Ownership.ACCESS_ONLY)
        made = [] if direct else [self._function(dataset, table, columns)]
        sequence = sql.Identifier("quietus", f"refused {dataset.address}")
        made.append(sql.SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(sequence))
        made.append(self._refusal(dataset, columns, sequence, eraser))
        made.append(
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION {}()"
            ).format(name(TRIGGER), name(dataset.address), _refuse(dataset))
        )
        # ALWAYS: rows that logical replication or a loading tool brings in under session_replication_role = replica.
        made.append(
            sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(name(dataset.address), name(TRIGGER))
        )
        if roles:
            for address in (dataset.address, *self.live.partitions(dataset.address)):
                made += self._policies(dataset, address, columns, roles, direct=direct)
        return made

    def _policies(
        self,
        dataset: Dataset,
        address: str,
        columns: tuple[str, ...],
        roles: tuple[str, ...],
        *,
        direct: bool,
    ) -> list[sql.Composed]:
        table = name(address)
        alias = address.split(".")[1]
        hidden = (
            replace(self, restricted=asked).hidden(dataset, alias)
            if direct
            else sql.SQL("{}({})").format(
                sql.Identifier("quietus", f"hidden {dataset.id}"),
                sql.SQL(", ").join(name(alias, c) for c in columns),
            )
        )
        subject = sql.SQL("{}::text").format(name(alias, columns[0])) if direct else sql.SQL("NULL")
        seen = sql.SQL("(NOT {} OR quietus.deny({}, {}))").format(
            hidden, sql.Literal(dataset.address), subject
        )
        return [
            sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(table),
            sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(name(POLICY), table),
            sql.SQL("CREATE POLICY {} ON {} AS RESTRICTIVE FOR ALL TO {} USING ({}) WITH CHECK ({})").format(
                name(POLICY), table, sql.SQL(", ").join(map(name, roles)), seen, seen
            ),
        ]

    def _function(self, dataset: Dataset, table: LiveTable, columns: tuple[str, ...]) -> sql.Composed:
        arguments = sql.SQL(", ").join(
            sql.SQL("{} {}").format(name(c), sql.SQL(table.columns[c].base)) for c in columns
        )
        function = sql.Identifier("quietus", f"hidden {dataset.id}")
        row = sql.SQL("(SELECT {}) AS t").format(
            sql.SQL(", ").join(
                sql.SQL("${} AS {}").format(sql.SQL(str(i + 1)), name(c)) for i, c in enumerate(columns)
            )
        )
        return sql.SQL(
            "CREATE OR REPLACE FUNCTION {}({}) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE"
            " SET search_path = pg_catalog, pg_temp SET row_security = off AS {}"
        ).format(
            function,
            arguments,
            sql.Literal(sql.SQL("SELECT {} FROM {}").format(self.hidden(dataset, "t"), row).as_string(None)),
        )

    def _refusal(
        self, dataset: Dataset, columns: tuple[str, ...], sequence: sql.Identifier, eraser: str
    ) -> sql.Composed:
        """The trigger function. A new row, or a row given to him, that names a restricted owner is refused
        even if it is shared; changing a shared row stays open to its other owners."""
        own = [x.column for x in dataset.links if x.column and x.ownership is not Ownership.ACCESS_ONLY]
        joins = any(x.via for x in dataset.links if x.ownership is not Ownership.ACCESS_ONLY)
        hidden: sql.Composable = (
            sql.SQL("{}({})").format(
                sql.Identifier("quietus", f"hidden {dataset.id}"),
                sql.SQL(", ").join(name("new", c) for c in columns),
            )
            if joins
            else self.hidden(dataset, "new")
        )
        plain = not joins and all(x.ownership is not Ownership.SHARED for x in dataset.links)
        new: list[sql.Composable] = [hidden]
        if not plain:
            new = [*(restricted(name("new", c)) for c in own), hidden]
        given = [
            sql.SQL("({} IS DISTINCT FROM {} AND {})").format(
                name("new", c), name("old", c), restricted(name("new", c))
            )
            for c in own
            if not plain  # else the row as it will be says it all
        ]
        body = sql.SQL(
            "BEGIN\n"
            " PERFORM quietus.refuse_old_snapshot();\n"
            " IF TG_OP = 'INSERT' THEN IF NOT ({new}) THEN RETURN NEW; END IF;\n"
            " ELSIF NOT ({given}) THEN RETURN NEW; END IF;\n"
            # Asked last: it is seldom reached.
            " IF quietus.actor() = {eraser} THEN RETURN NEW; END IF;\n"
            # nextval is not undone when the refused statement is rolled back.
            " PERFORM nextval({sequence}::regclass);\n"
            " RAISE LOG 'quietus: a write of % to % for a restricted subject was refused', quietus.actor(), {table};\n"
            " RAISE EXCEPTION 'the subject of this row is restricted: the write to % was refused', {table}\n"
            "  USING ERRCODE = 'insufficient_privilege', HINT = 'a case of Quietus has ended the processing of this subject';\n"
            "END"
        ).format(
            eraser=sql.Literal(eraser),
            new=sql.SQL(" OR ").join(new),
            given=sql.SQL(" OR ").join([*given, hidden]),
            sequence=sql.Literal(f'quietus."{f"refused {dataset.address}"}"'),
            table=sql.Literal(dataset.address),
        )
        return sql.SQL(
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp SET row_security = off AS {}"
        ).format(_refuse(dataset), sql.Literal(body.as_string(None)))


def _refuse(dataset: Dataset) -> sql.Identifier:
    return sql.Identifier("quietus", f"refuse {dataset.id}")


def link_index(dataset: Dataset, link: object) -> int:
    return next(i for i, mine in enumerate(dataset.links) if mine is link)
