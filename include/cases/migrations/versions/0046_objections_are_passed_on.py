"""Of an objection to a handover every token of the person, as of a request (0039): by them it is passed on to the successor,
whatever key its bags were packed under. They end with the tokens of owners, once nothing of their order is passed on any more."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.shutdown_objection_token (
    number    text NOT NULL REFERENCES casebook.shutdown_order,
    token     bytea NOT NULL,
    objection bigint NOT NULL REFERENCES casebook.shutdown_objection,
    PRIMARY KEY (number, token)
);
CREATE INDEX shutdown_objection_token_objection ON casebook.shutdown_objection_token (objection);
COMMENT ON TABLE casebook.shutdown_objection_token IS
    'who objects: a token under each version of the key; of objections from before only one, until it is taken again';
INSERT INTO casebook.shutdown_objection_token (number, token, objection)
    SELECT number, token, objection FROM casebook.shutdown_objection;
ALTER TABLE casebook.shutdown_objection DROP COLUMN token, DROP COLUMN token_version;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_objection_token
    FOR EACH ROW EXECUTE FUNCTION casebook.token_of_request_ends();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.shutdown_objection_token
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT, DELETE ON casebook.shutdown_objection_token TO quietus_case_writer;
GRANT SELECT (number) ON casebook.shutdown_objection_token TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
