"""What partners told us to delete: the request by its own number, and the case that it opened. No reference is kept.

And an index by which recipients that said they deleted are found while they may be asked whether that is true."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.upstream_request (
    partner      text NOT NULL,
    request_id   uuid NOT NULL,
    token        bytea NOT NULL,
    token_key    integer NOT NULL,
    case_no      text REFERENCES casebook.case_,
    opened       boolean NOT NULL,
    calls_back   boolean NOT NULL,
    received_at  timestamptz NOT NULL,
    expected_on  date NOT NULL,
    cancelled_at timestamptz,
    told_status  text,
    told_at      timestamptz,
    PRIMARY KEY (partner, request_id)
);
CREATE INDEX ON casebook.upstream_request (case_no);
COMMENT ON COLUMN casebook.upstream_request.token IS 'keyed digest of the reference: the same again is about the same person';
COMMENT ON COLUMN casebook.upstream_request.case_no IS 'null: nothing was held';
COMMENT ON COLUMN casebook.upstream_request.opened IS 'whether the case was opened by it, and not joined';
CREATE INDEX outbox_acked ON casebook.outbox (ended_on) WHERE state = 'tp_acked';
GRANT SELECT, INSERT, UPDATE ON casebook.upstream_request TO quietus_case_writer;
GRANT SELECT (partner, request_id, case_no, opened, received_at, expected_on, cancelled_at, told_status, told_at)
    ON casebook.upstream_request TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
