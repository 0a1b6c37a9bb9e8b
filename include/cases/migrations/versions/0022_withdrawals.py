"""Which withdrawn consents a case follows: by purpose and moment, so that none is followed twice."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.withdrawal (
    case_no      text NOT NULL REFERENCES casebook.case_,
    purpose      text NOT NULL,
    withdrawn_at timestamptz NOT NULL,
    PRIMARY KEY (case_no, purpose)
);
COMMENT ON TABLE casebook.withdrawal IS 'consents whose withdrawal a case follows; whose they were says its subject, sealed';
GRANT SELECT, INSERT ON casebook.withdrawal TO quietus_case_writer;
GRANT SELECT ON casebook.withdrawal TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
