"""Reviews of holds, and the document by which one was narrowed: who, when, on what paper."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.hold_review (
    hold        text NOT NULL REFERENCES casebook.hold,
    reviewed_on date NOT NULL,
    what        text NOT NULL CHECK (what IN ('reviewed', 'narrowed')),
    document    text NOT NULL CHECK (document <> ''),
    reviewed_by text NOT NULL,
    review_due  date NOT NULL,
    observed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (hold, observed_at)
);
COMMENT ON COLUMN casebook.hold_review.review_due IS 'the next review, as this one left it';
GRANT SELECT, INSERT ON casebook.hold_review TO quietus_case_writer;
GRANT SELECT ON casebook.hold_review TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
