"""What a disposal would set off beyond the mapped rows (references, cascades, triggers, rules), and what it would miss."""

from __future__ import annotations

from collections.abc import Iterator

from include.model.flow import Finding
from include.stores.postgres.live import CASCADING
from include.stores.postgres.preflight.look import Look, finding


def references(look: Look) -> Iterator[Finding]:
    """Foreign keys into mapped tables: from tables nobody declared, and without an index on their side."""
    for key in look.live.foreign_keys:
        parent = look.mapped.get(key.parent)
        if parent is None:
            continue
        place = f"{key.child}.{key.child_columns[0]}"
        child = look.mapped.get(key.child)
        if child is None and key.on_delete in CASCADING:
            yield finding(
                "cascade_undeclared",
                parent,
                place,
                f"{key.name} is {CASCADING[key.on_delete]}: disposing here reaches a table nobody declared",
                "declare the table as a dataset",
            )
        elif child is None:
            yield finding(
                "undeclared_reference",
                parent,
                place,
                f"{key.name} refers to this table from one that nobody declared, and will block disposing",
                "declare the table as a dataset",
            )
        table = look.live.tables.get(key.child)
        if table and not table.led_by(*key.child_columns):
            yield finding(
                "unindexed_reference",
                child or parent,
                place,
                f"{key.name} has no index: each disposed row of {key.parent} would scan {key.child}",
                f"CREATE INDEX CONCURRENTLY ON {key.child} ({', '.join(key.child_columns)})",
            )


def triggers(look: Look) -> Iterator[Finding]:
    """A trigger whose code names a table that is neither its own nor a declared effect."""
    code = {
        name: str(source)
        for name, source in look.connection.execute(
            "SELECT n.nspname || '.' || p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE p.prorettype = 'trigger'::regtype"
        )
    }
    for trigger in look.live.triggers:
        d = look.mapped.get(look.live.tables[trigger.table].root)
        if d is None or not (trigger.on_delete or (trigger.on_update and d.cut)):
            continue
        effects = {e.table for e in d.effects} | {d.address}
        words = set(_names(code.get(trigger.function, "")))
        reached = sorted(
            t.address
            for t in look.live.tables.values()
            if t.root not in effects and t.kind in "rp" and t.address in words
        )
        if reached:
            yield finding(
                "trigger_undeclared",
                d,
                f"{trigger.table} ({trigger.name})",
                f"the trigger names {', '.join(reached)}, which is no declared effect",
                "declare the effect, or see that the trigger does not write there",
            )


def rules(look: Look) -> Iterator[Finding]:
    for address, rule in look.connection.execute(
        "SELECT n.nspname || '.' || c.relname, r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> '_RETURN'"
    ):
        if address in look.mapped:
            yield finding(
                "rule",
                look.mapped[address],
                f"{address} ({rule})",
                "a rewrite rule may turn a delete into something else",
                "drop the rule",
            )


def detached(look: Look) -> Iterator[Finding]:
    for d in look.datasets:
        parent = look.live.tables[d.address]
        if parent.kind != "p":
            continue
        shape = {(c.name, c.base) for c in parent.columns.values()}
        for table in look.live.tables.values():
            alike = {(c.name, c.base) for c in table.columns.values()} == shape
            if (
                table.kind == "r"
                and table.root == table.address
                and table.address not in look.mapped
                and alike
            ):
                yield finding(
                    "detached_partition",
                    d,
                    table.address,
                    "it has the columns of the partitioned table but is not attached to it",
                    "attach it, drop it, or declare it",
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
