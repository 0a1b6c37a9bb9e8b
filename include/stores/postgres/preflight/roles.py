"""Whether each role can do what it must, and whether a restriction would hold against the business roles."""

from __future__ import annotations

from collections.abc import Iterator

from include.model.flow import Finding
from include.model.words import Ownership
from include.stores.postgres.preflight.look import Look, finding
from include.stores.postgres.restriction import BASE, POLICY, TRIGGER


def privileges(look: Look) -> Iterator[Finding]:
    for d in look.datasets:
        (lacks,) = look.connection.execute(
            "SELECT array_remove(ARRAY[CASE WHEN NOT has_table_privilege(o, 'SELECT') THEN 'SELECT' END,"
            " CASE WHEN NOT has_table_privilege(o, 'UPDATE') THEN 'UPDATE' END,"
            " CASE WHEN NOT has_table_privilege(o, 'DELETE') THEN 'DELETE' END], NULL) FROM (SELECT %s::oid AS o) AS t",
            [look.live.tables[d.address].oid],
        ).fetchone() or ([],)
        if lacks:
            yield finding(
                "eraser_lacks",
                d,
                d.address,
                f"the eraser lacks {', '.join(lacks)}",
                "run the store's install again",
            )
    names = [r for (r,) in look.connection.execute("SELECT current_user")] + (
        [look.prover] if look.prover else []
    )
    for role, sees in look.connection.execute(
        "SELECT rolname, rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = ANY(%s)", [names]
    ):
        if not sees:
            yield finding(
                "row_security_blind",
                None,
                role,
                "row security may hide rows from this role",
                "ALTER ROLE … BYPASSRLS, by an administrator",
            )
    row = look.connection.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()
    if not (row and row[0]):
        yield finding(
            "eraser_lacks",
            None,
            "database",
            "the eraser may not make step areas (CREATE on the database)",
            "run the store's install again",
        )


def prover(look: Look) -> Iterator[Finding]:
    """A prover that may write could make its own proof come true. Read-only is a setting that it may change."""
    if look.prover is None:
        return
    for (role,) in look.connection.execute(
        "SELECT b.rolname FROM pg_roles b, pg_roles p WHERE b.rolname = ANY(%s) AND p.rolname = %s"
        " AND NOT p.rolsuper AND pg_has_role(p.oid, b.oid, 'MEMBER') ORDER BY 1",
        [list(look.store.business_roles), look.prover],
    ):
        yield finding(
            "prover_may_write",
            None,
            look.prover,
            f"it is a member of the business role {role}, and may write as that role",
            "run the store's install again as a superuser, or REVOKE the membership",
        )
    for d in look.datasets:
        (may,) = look.connection.execute(
            "SELECT coalesce(bool_or(has_table_privilege(p.oid, %s::oid, w)), false) FROM pg_roles p,"
            " unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS w WHERE p.rolname = %s",
            [look.live.tables[d.address].oid, look.prover],
        ).fetchone() or (False,)
        if may:
            yield finding(
                "prover_may_write",
                d,
                d.address,
                f"{look.prover} holds a right to write here",
                "REVOKE it: the prover only reads",
            )


def restriction(look: Look) -> Iterator[Finding]:
    if not look.store.modifiable:
        return
    (installed,) = look.connection.execute(
        "SELECT to_regclass('quietus.receipt') IS NOT NULL"
    ).fetchone() or (False,)
    if not installed:
        yield finding("not_installed", None, "quietus", "the store has no quietus schema", "run install")
        return
    secured = {
        (address, policy)
        for address, policy in look.connection.execute(
            "SELECT n.nspname || '.' || c.relname, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relrowsecurity"
        )
    }
    guarded = {
        address
        for (address,) in look.connection.execute(
            "SELECT n.nspname || '.' || c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname = %s AND t.tgenabled = 'A'",
            [TRIGGER],
        )
    }
    for d in look.datasets:
        if all(link.ownership is Ownership.ACCESS_ONLY for link in d.links):
            continue
        for address in (d.address, *look.live.partitions(d.address)):
            if look.store.business_roles and (address, POLICY) not in secured:
                yield finding(
                    "not_restrictable",
                    d,
                    address,
                    "row security is not installed here",
                    "run the store's install again",
                )
            if address not in guarded:
                yield finding(
                    "not_restrictable",
                    d,
                    address,
                    "the trigger that refuses late writes is not there",
                    "run the store's install again",
                )


def policies(look: Look) -> Iterator[Finding]:
    """Permissive policies are ORed: ours, beside one that the company made later, lets through what theirs stops."""
    for (address,) in look.connection.execute(
        "SELECT DISTINCT n.nspname || '.' || c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_policy o ON o.polrelid = p.polrelid"
        " WHERE p.polname = %s AND o.polpermissive AND o.polname NOT IN (%s, %s) ORDER BY 1",
        [BASE, BASE, POLICY],
    ):
        yield finding(
            "policy_voided",
            look.mapped.get(look.live.tables[address].root) if address in look.live.tables else None,
            address,
            f"our policy {BASE} lets through every row that a policy of the company's own would stop",
            "run the store's install again: it drops ours",
        )


def business_roles(look: Look) -> Iterator[Finding]:
    for role, past in look.connection.execute(
        "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)",
        [list(look.store.business_roles)],
    ):
        if past:
            yield finding(
                "role_not_restrained",
                None,
                role,
                "this business role is past row security",
                "take SUPERUSER and BYPASSRLS from it",
            )
        owned = [d.address for d in look.datasets if look.live.tables[d.address].owner == role]
        if owned:
            yield finding(
                "role_not_restrained",
                None,
                role,
                f"this business role owns {owned[0]}, and owners are past row security",
                "let another role own the tables",
            )


def views(look: Look) -> Iterator[Finding]:
    """A view reads with its owner's rights, a materialised one is a copy: both show restricted rows."""
    if not look.store.business_roles:
        return
    for view, kind, address, role in look.connection.execute(
        "SELECT DISTINCT vn.nspname || '.' || v.relname, v.relkind::text, n.nspname || '.' || c.relname, r.rolname"
        " FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class JOIN pg_namespace vn ON vn.oid = v.relnamespace"
        " JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass"
        " JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " CROSS JOIN pg_roles r"
        " WHERE v.relkind IN ('v', 'm') AND c.oid <> v.oid AND r.rolname = ANY(%s)"
        " AND has_any_column_privilege(r.rolname, v.oid, 'SELECT')"
        " AND (v.relkind = 'm' OR NOT 'security_invoker=true' = ANY(coalesce(v.reloptions, '{}'))"
        " AND NOT 'security_invoker=on' = ANY(coalesce(v.reloptions, '{}'))) ORDER BY 1, 4",
        [list(look.store.business_roles)],
    ):
        if address in look.mapped:
            what = "materialised view" if kind == "m" else "view without security_invoker"
            yield finding(
                "view_past_restriction",
                look.mapped[address],
                view,
                f"a {what} over {address} that {role} may read shows restricted rows",
                "set security_invoker on it, or revoke SELECT",
            )
