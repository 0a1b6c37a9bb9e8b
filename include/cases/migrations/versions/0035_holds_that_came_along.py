"""Holds that came along with what was taken over: their items are those that bear their number, and nobody's beside."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.hold_scope DROP CONSTRAINT hold_scope_side_check;
ALTER TABLE casebook.hold_scope ADD CONSTRAINT hold_scope_side_check
    CHECK (side IN ('case', 'subject', 'category', 'dataset', 'came'));
CREATE UNIQUE INDEX hold_came_once ON casebook.hold_scope (value) WHERE side = 'came';
COMMENT ON COLUMN casebook.hold_scope.side IS 'came: the items that came along under this number, and no others';
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
