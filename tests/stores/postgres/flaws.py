"""What preflight must name: one thing wrong with a database, or with how the catalogue maps it.

A flaw is SQL that is run before Quietus is installed or after the rows are in, and the code of the finding.
Some make a step unsafe, some only slow or visible; whichever, a step that is tried all the same must either be
refused with nothing changed, or do what is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.stores.postgres.generated import Row, Table

STRANGER = "co.stranger"


@dataclass(frozen=True)
class Flaw:
    """``place``: how the finding's place begins. ``also``: other findings that the same flaw causes."""

    code: str
    place: str
    installed: str = ""  # before Quietus is
    filled: str = ""  # after the rows are in
    undo: str = ""  # so that the rows can be read again
    also: tuple[str, ...] = ()


def flaws(tables: dict[str, Table], rows: dict[str, list[Row]]) -> Iterator[Flaw]:
    """Every flaw that these tables can have."""
    referred = {r.parent for t in tables.values() for r in t.references}
    for t in tables.values():
        yield from _of_references(t)
        yield from _of_rights(t)
        yield Flaw("missing_table", t.id, filled=f"ALTER TABLE {t.id} RENAME TO moved",
                   undo=f"ALTER TABLE co.moved RENAME TO {t.name}",
                   also=("undeclared_reference", "cascade_undeclared", "missing_column"))  # fmt: skip
        for c, value in t.cut.items():
            yield Flaw("missing_column", f"{t.id}.{c}", filled=f"ALTER TABLE {t.id} RENAME {c} TO moved",
                       undo=f"ALTER TABLE {t.id} RENAME moved TO {c}",
                       also=("unindexed_link", "unindexed_reference"))  # fmt: skip
            if value is None and all(row[c] is not None for row in rows[t.id]):
                yield Flaw("cut_refused", f"{t.id}.{c}", f"ALTER TABLE {t.id} ALTER {c} SET NOT NULL")
        if t.partitioned:
            yield Flaw("detached_partition", f"{t.id}_apart", f"CREATE TABLE {t.id}_apart (LIKE {t.id})")
            continue
        yield Flaw("rule", t.id, f"CREATE RULE nothing AS ON DELETE TO {t.id} DO INSTEAD NOTHING")
        yield Flaw(
            "trigger_undeclared", t.id,
            f"CREATE TABLE {STRANGER} (it text); CREATE FUNCTION co.copy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            f" AS $$ BEGIN INSERT INTO {STRANGER} VALUES (OLD::text); RETURN NULL; END $$;"
            f" CREATE TRIGGER copy AFTER DELETE ON {t.id} FOR EACH ROW EXECUTE FUNCTION co.copy()",
        )  # fmt: skip
        if t.id not in referred and "code" not in t.columns:
            yield Flaw("key_not_unique", t.id, f"ALTER TABLE {t.id} DROP CONSTRAINT {t.name}_pkey",
                       f"INSERT INTO {t.id} SELECT * FROM {t.id}",
                       also=("unindexed_link", "unindexed_reference"))  # fmt: skip
        for link in t.links:
            mine = (link.column,) if link.column else tuple(link.on)
            if not {t.key[0], "code"} & set(mine):
                dropped = [f"co.{i}" for i, columns in t.indexes().items() if columns[0] in mine]
                yield Flaw("unindexed_link", t.id, f"DROP INDEX {', '.join(dropped)}",
                           also=("unindexed_reference",))  # fmt: skip


def _of_references(t: Table) -> Iterator[Flaw]:
    for code, action in (("undeclared_reference", "NO ACTION"), ("cascade_undeclared", "CASCADE"),
                         ("cascade_undeclared", "SET NULL")):  # fmt: skip
        key = ", ".join(t.key)
        yield Flaw(
            code, STRANGER,
            f"CREATE TABLE {STRANGER} ({', '.join(f'{c} {t.columns[c]}' for c in t.key)},"
            f" FOREIGN KEY ({key}) REFERENCES {t.id} ({key}) ON DELETE {action}); CREATE INDEX ON {STRANGER} ({key})",
            f"INSERT INTO {STRANGER} SELECT {key} FROM {t.id}",
        )  # fmt: skip


def _of_rights(t: Table) -> Iterator[Flaw]:
    yield Flaw("eraser_lacks", t.id, filled=f"REVOKE DELETE ON {t.id} FROM eraser")
    yield Flaw("role_not_restrained", "shop_batch", f"ALTER TABLE {t.id} OWNER TO shop_batch")
    yield Flaw("view_past_restriction", "co.seen",
               f"CREATE VIEW co.seen AS SELECT * FROM {t.id}; GRANT SELECT ON co.seen TO shop_app")  # fmt: skip
    if any(link.ownership.value != "access_only" for link in t.links):
        yield Flaw("not_restrictable", t.id, filled=f"ALTER TABLE {t.id} DISABLE ROW LEVEL SECURITY")
