"""Allowances that all processes of an endpoint share, and which signed messages were heard before. And why an answer does
not count as its sender is told it, beside how the operator reads it."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SQL = b"""
-- As if each message took its time, all would be done at free_at.
CREATE TABLE casebook.allowance (
    name    text PRIMARY KEY,
    free_at timestamptz NOT NULL
);
COMMENT ON TABLE casebook.allowance IS 'how much of what a sender may send is used up';
CREATE TABLE casebook.heard (
    request_id uuid NOT NULL REFERENCES casebook.outbox (request_id),
    digest     text NOT NULL,
    PRIMARY KEY (request_id, digest)
);
COMMENT ON TABLE casebook.heard IS 'SHA-256 of each signed message that was acted on: once';
ALTER TABLE casebook.answer ADD COLUMN told text NOT NULL DEFAULT '';
ALTER TABLE casebook.outbox ADD COLUMN objection_told text;
COMMENT ON COLUMN casebook.outbox.objection_told IS 'the objection as the recipient is told it; null: as it stands there';
GRANT SELECT, INSERT, UPDATE ON casebook.allowance TO quietus_case_writer;
GRANT SELECT, INSERT, DELETE ON casebook.heard TO quietus_case_writer;
GRANT SELECT (told) ON casebook.answer TO quietus_reader;
GRANT SELECT (objection_told) ON casebook.outbox TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
