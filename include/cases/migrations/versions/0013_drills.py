"""When each backup set was last restored for a drill, and what that came to."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = b"""
CREATE TABLE casebook.drill (
    drill_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backup_set text NOT NULL,
    copy       text,
    as_of      date NOT NULL,
    drilled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    verdict    text NOT NULL,
    body       jsonb NOT NULL,
    ledger_key text NOT NULL UNIQUE
);
CREATE INDEX ON casebook.drill (backup_set, drilled_at DESC);
COMMENT ON TABLE casebook.drill IS 'each restore drill of a backup set, in counts; it names no case';
COMMENT ON COLUMN casebook.drill.copy IS 'the copy that was restored; null: only archived log was there, or nothing';
GRANT SELECT, INSERT ON casebook.drill TO quietus_case_writer;
GRANT SELECT ON casebook.drill TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(STATEMENTS)
