"""That a file does not lie in its data room at the deal's end says nothing: it may have been shown, and taken out since."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

SQL = b"""
COMMENT ON TABLE casebook.data_room_put IS
    'a sealed file was put in its room; false: not seen there once the deal had ended, it may have been; no row: not looked';

-- Each file was put before the next was begun: so all but the last one that was made were.
INSERT INTO casebook.data_room_put (number, dataset, put)
SELECT b.number, b.dataset, true FROM casebook.data_room_bag AS b
 WHERE b.exported_at < (SELECT max(l.exported_at) FROM casebook.data_room_bag AS l WHERE l.number = b.number)
ON CONFLICT DO NOTHING;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
