"""Into which bucket an order's bags were sent: what is told of them later goes there and nowhere else, whatever the connection of
all orders points to by then."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.handover_inbox (
    inbox     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_no  text NOT NULL REFERENCES casebook.shutdown_order,
    successor text NOT NULL,
    endpoint  text NOT NULL,
    bucket    text NOT NULL,
    since     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX handover_inbox_of ON casebook.handover_inbox (order_no, successor, inbox);
COMMENT ON TABLE casebook.handover_inbox IS 'where a successor has its bags; of one order and successor the last row counts';
COMMENT ON COLUMN casebook.handover_inbox.endpoint IS 'address of the S3 server, without any key';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.handover_inbox
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.handover_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT ON casebook.handover_inbox TO quietus_case_writer;
GRANT SELECT ON casebook.handover_inbox TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
