"""Ciphertexts that a key was seen to open, kept to see that nothing opens them once it is gone; sealed with the case's key."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.ciphertext (
    case_no  text PRIMARY KEY REFERENCES casebook.case_,
    sealed   bytea NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE casebook.ciphertext IS 'what a case keeps of sealed objects, to try keys on; dead with the case''s key';
GRANT SELECT, INSERT, UPDATE, DELETE ON casebook.ciphertext TO quietus_case_writer;
GRANT SELECT (case_no, taken_at) ON casebook.ciphertext TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
