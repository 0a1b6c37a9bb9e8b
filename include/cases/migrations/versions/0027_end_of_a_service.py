"""The end of a service: identifiers that are sought in all that is left, as keyed digests; and the service's certificate."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.shutdown_needle (
    number text NOT NULL REFERENCES casebook.shutdown_order,
    digest bytea NOT NULL CHECK (octet_length(digest) = 16),
    owner  bytea NOT NULL CHECK (octet_length(owner) = 8),
    PRIMARY KEY (number, digest, owner)
);
COMMENT ON TABLE casebook.shutdown_needle IS
    'identifiers of everybody as keyed digests, with whose they are: sought in what is left, and emptied with the certificate';
GRANT SELECT, INSERT, DELETE ON casebook.shutdown_needle TO quietus_case_writer;

CREATE TABLE casebook.shutdown_certificate (
    number    text NOT NULL REFERENCES casebook.shutdown_order,
    serial    int NOT NULL CHECK (serial > 0),
    content   text NOT NULL,
    envelope  text NOT NULL,
    issued_on date NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, serial)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_certificate
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.shutdown_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT ON casebook.shutdown_certificate TO quietus_case_writer;
GRANT SELECT ON casebook.shutdown_certificate TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
