"""Of a request about what the successor alone has: every token of the person, under each version of the key and for each account
that was named. One said only what was packed under the same version."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0039"
down_revision = "0036"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.shutdown_request_token (
    number  text NOT NULL REFERENCES casebook.shutdown_order,
    token   bytea NOT NULL,
    request bigint NOT NULL REFERENCES casebook.shutdown_request,
    PRIMARY KEY (number, token)
);
CREATE INDEX shutdown_request_token_request ON casebook.shutdown_request_token (request);
COMMENT ON TABLE casebook.shutdown_request_token IS
    'who asks: a token for each account that was named, under each version of the key; of requests from before only one, until'
    ' it is taken again';
INSERT INTO casebook.shutdown_request_token (number, token, request) SELECT number, token, request FROM casebook.shutdown_request;
ALTER TABLE casebook.shutdown_request DROP COLUMN token;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_request_token
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT ON casebook.shutdown_request_token TO quietus_case_writer;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
