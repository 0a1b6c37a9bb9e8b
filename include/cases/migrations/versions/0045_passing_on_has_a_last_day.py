"""Of an ended order whose ledger never goes to its custodian the tokens of people have a last day, too: once the book says that
passing on has ended, they may go. How many there are, readers may count; whose they are, they may not see."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

SQL = b"""
CREATE OR REPLACE FUNCTION casebook.token_of_request_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND (
        EXISTS (SELECT FROM casebook.shutdown_event AS e
                 WHERE e.number = OLD.number AND e.what IN ('ledger handed over', 'passing on ended'))
        OR EXISTS (SELECT FROM casebook.shutdown_order AS o WHERE o.number = OLD.number AND o.withdrawn_on IS NOT NULL)
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'casebook.% is append-only until nothing of its order is passed on any more', TG_TABLE_NAME
        USING ERRCODE = 'QC001';
END $$;
GRANT SELECT (order_no, bag) ON casebook.handover_owner TO quietus_reader;
GRANT SELECT (number) ON casebook.shutdown_request_token TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
