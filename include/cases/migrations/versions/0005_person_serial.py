"""The serial of the person's edition beside the certificate's: who may not read drafts lists the person's editions by it."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Drafts from before the editions had serials of their own say nothing of one: then there was one for both.
SQL = b"""
ALTER TABLE casebook.certificate ADD COLUMN person_serial integer NOT NULL
    GENERATED ALWAYS AS (coalesce((draft ->> 'person_serial')::int, serial)) STORED;
GRANT SELECT (person_serial) ON casebook.certificate TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
