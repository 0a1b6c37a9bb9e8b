"""The case book: cases, subjects, units, timeline, decisions, holds, plans, outbox, tracks, tombstones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The driver's own connection: SQLAlchemy would take colons and percent signs for bind parameters.
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_suffix(".sql").read_bytes())
