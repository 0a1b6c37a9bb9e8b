"""At a successor: what came to be stored only (an objector's files, those of whom a case restricted) is hidden from its own
applications, row by row (PIPL 47 para. 2). Whoever it belongs to may be anybody's customer otherwise, so the item is what counts.
"""

from __future__ import annotations

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.handover import HANDED_OVER
from include.model.words import DatasetKind
from include.stores.postgres.install import base
from include.stores.postgres.live import Live
from include.stores.postgres.restriction import CAME
from include.stores.postgres.retention.carried import key_as_handed_over
from include.stores.postgres.server import Connection, joined, name

_HIDDEN = """
CREATE OR REPLACE FUNCTION quietus_handover.only_stored(which text, its_key text[]) RETURNS boolean LANGUAGE sql STABLE
 SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
  SELECT EXISTS (SELECT FROM quietus_handover.item AS i WHERE i.dataset = which AND i.key = its_key AND i.restricted IS NOT NULL
                    AND (i.fate IS NULL OR i.fate = 'kept'))
$$"""


def hide(connection: Connection, catalogue: Catalogue, store: str) -> None:
    """Policies on every table of which rows may come; again is a no-op. A role that is not there yet is met by the next `quietus
    handover prepare`."""
    wanted = catalogue.store(store).business_roles
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(wanted)])
    roles = sorted(str(r) for (r,) in rows)
    connection.execute(_HIDDEN.encode())
    if not roles:
        return
    live = Live.read(connection)
    for dataset in catalogue.of_store(store, DatasetKind.TABLE):
        if dataset.address not in live.tables or not {b.rule for b in dataset.all_binds} & set(HANDED_OVER):
            continue
        for address in (dataset.address, *live.partitions(dataset.address)):
            base(connection, live, address)
            for statement in _policy(live, dataset, address, roles):
                connection.execute(statement)


def _policy(live: Live, dataset: Dataset, address: str, roles: list[str]) -> list[sql.Composed]:
    table = name(address)
    seen = sql.SQL("(NOT quietus_handover.only_stored({}, {}))").format(
        sql.Literal(dataset.id), key_as_handed_over(live, dataset, address.split(".")[1])
    )
    return [
        sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(table),
        sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(name(CAME), table),
        sql.SQL("CREATE POLICY {} ON {} AS RESTRICTIVE FOR ALL TO {} USING ({}) WITH CHECK ({})").format(
            name(CAME), table, joined(", ", [name(r) for r in roles]), seen, seen
        ),
    ]
