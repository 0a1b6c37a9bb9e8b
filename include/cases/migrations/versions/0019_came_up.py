"""Who came up in a drill, kept before the drill is said: whatever is killed after that is taken up by the next look."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.came_up (
    ledger_key text PRIMARY KEY,
    backup_set text NOT NULL,
    store      text NOT NULL,
    body       jsonb NOT NULL,
    found      jsonb NOT NULL,
    place      text NOT NULL,
    copies     text[] NOT NULL,
    log        bigint,
    taken_at   timestamptz
);
CREATE INDEX came_up_left ON casebook.came_up (backup_set) WHERE taken_at IS NULL;
COMMENT ON TABLE casebook.came_up IS 'drills in which somebody came up who should be gone';
COMMENT ON COLUMN casebook.came_up.body IS 'what the ledger is to say of the drill';
COMMENT ON COLUMN casebook.came_up.found IS 'how much of each case came up';
COMMENT ON COLUMN casebook.came_up.copies IS 'copies that may hold them; log: or archived log up to there';
COMMENT ON COLUMN casebook.came_up.taken_at IS 'when their nights waited again and their cases went on; null: not yet';
GRANT SELECT, INSERT ON casebook.came_up TO quietus_case_writer;
GRANT UPDATE (taken_at) ON casebook.came_up TO quietus_case_writer;
GRANT SELECT ON casebook.came_up TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
