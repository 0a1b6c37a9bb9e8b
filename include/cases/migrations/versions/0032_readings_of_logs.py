"""What was read of shared record files: versions do not change, so whoever read one need not read it again."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.reading (
    role     text NOT NULL,
    dataset  text NOT NULL,
    version  bytea NOT NULL,
    question text NOT NULL,
    said     text NOT NULL,
    read_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (role, dataset, version)
);
COMMENT ON TABLE casebook.reading IS 'how many records of which days a version of a log holds, as prover and eraser each read it';
COMMENT ON COLUMN casebook.reading.version IS 'a digest of what names its bytes; it says neither of which file nor of whom';
COMMENT ON COLUMN casebook.reading.question IS 'the code that read it, and what it asked: fields, a digest of whom holds name';
GRANT SELECT, INSERT, UPDATE, DELETE ON casebook.reading TO quietus_case_writer;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
