"""What the scans look for: a person's own values, sealed, kept until the case's key is destroyed."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.sought (
    case_no       text PRIMARY KEY REFERENCES casebook.case_,
    sealed_values bytea NOT NULL,
    taken_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE casebook.sought IS 'values that a residue scan looks for, read before disposal; dead with the key';
GRANT SELECT, INSERT, UPDATE, DELETE ON casebook.sought TO quietus_case_writer;
GRANT SELECT (case_no, taken_at) ON casebook.sought TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
