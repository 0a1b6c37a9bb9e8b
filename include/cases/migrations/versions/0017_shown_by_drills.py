"""What a drill showed of a backup set: in which copies it found somebody of a night that was said to be gone from it."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.epoch_set
    ADD COLUMN found_in   text[] NOT NULL DEFAULT '{}',
    ADD COLUMN found_log  bigint,
    ADD COLUMN superseded text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN casebook.epoch_set.found_in IS 'copies that may hold somebody of the night, as a drill showed';
COMMENT ON COLUMN casebook.epoch_set.found_log IS 'the same of archived log, up to this position in bytes';
COMMENT ON COLUMN casebook.epoch_set.superseded IS 'the ledger''s entries that said gone before a drill showed that it was not';
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
