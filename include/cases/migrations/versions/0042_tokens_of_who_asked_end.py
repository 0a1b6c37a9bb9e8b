"""Tokens of people who asked for what the successor alone has end once nothing of their order is passed on any more: its ledger
is with the custodian, or it was withdrawn. Until then they are append-only as they were. Those of orders that are over already go
with the next yearly run."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0042"
down_revision = "0040"
branch_labels = None
depends_on = None

SQL = b"""
CREATE FUNCTION casebook.token_of_request_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND (
        EXISTS (SELECT FROM casebook.shutdown_event AS e WHERE e.number = OLD.number AND e.what = 'ledger handed over')
        OR EXISTS (SELECT FROM casebook.shutdown_order AS o WHERE o.number = OLD.number AND o.withdrawn_on IS NOT NULL)
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'casebook.% is append-only until nothing of its order is passed on any more', TG_TABLE_NAME
        USING ERRCODE = 'QC001';
END $$;
DROP TRIGGER append_only ON casebook.shutdown_request_token;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_request_token
    FOR EACH ROW EXECUTE FUNCTION casebook.token_of_request_ends();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.shutdown_request_token
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
GRANT DELETE ON casebook.shutdown_request_token TO quietus_case_writer;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
