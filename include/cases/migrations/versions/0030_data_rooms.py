"""Data rooms of deals: under which agreement what was shown to whom, and what the counterparty says became of it."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

SQL = b"""
CREATE SEQUENCE casebook.data_room_number;
CREATE TABLE casebook.data_room (
    number       text PRIMARY KEY CHECK (number ~ '^DR-[0-9]{6,}$'),
    deal         text NOT NULL CHECK (deal <> ''),
    counterparty text NOT NULL CHECK (counterparty <> ''),
    purpose      text NOT NULL CHECK (purpose <> ''),
    document     text NOT NULL UNIQUE CHECK (document <> ''),
    digest       text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    basis        text,
    approvers    text[] NOT NULL CHECK (cardinality(approvers) = 2),
    certificate  text NOT NULL,
    statement_key text NOT NULL,
    columns      jsonb NOT NULL,
    opened_on    date NOT NULL,
    opened_by    text NOT NULL,
    home         text,
    bucket       text,
    ended        text CHECK (ended IN ('closed', 'dropped')),
    ended_on     date,
    ended_document text,
    due_on       date,
    ours_gone_on date,
    said         text CHECK (said IN ('returned', 'destroyed')),
    said_on      date,
    said_envelope bytea,
    CHECK (split_part(approvers[1], '/', 2) <> split_part(approvers[2], '/', 2)),
    CHECK (num_nulls(home, bucket) IN (0, 2)),
    CHECK (num_nulls(ended, ended_on, ended_document, due_on) IN (0, 4)),
    CHECK (num_nulls(said, said_on, said_envelope) IN (0, 3)),
    CHECK (said IS NULL OR ended IS NOT NULL)
);
COMMENT ON TABLE casebook.data_room IS 'policy 4.3(7), RS-29: what is shown in a deal comes back or is destroyed';
COMMENT ON COLUMN casebook.data_room.basis IS 'by which law identifying or sensitive columns are shown; null: none are';
COMMENT ON COLUMN casebook.data_room.home IS 'with bucket: where all its bags are since the first export, and are cleared';
COMMENT ON COLUMN casebook.data_room.ours_gone_on IS 'no copy of the bags is left with us, seen by the prover';
COMMENT ON COLUMN casebook.data_room.said IS 'the counterparty signed that it gave everything back, or destroyed it: its word';

CREATE TABLE casebook.data_room_bag (
    number    text NOT NULL REFERENCES casebook.data_room,
    dataset   text NOT NULL,
    items     bigint NOT NULL,
    left_out  bigint NOT NULL,
    sha256    text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    bytes     bigint NOT NULL,
    exported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, dataset)
);
COMMENT ON COLUMN casebook.data_room_bag.left_out IS 'rows of people whom a case has restricted: they are not shown';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.data_room_bag
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.data_room_bag
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

GRANT SELECT, INSERT ON casebook.data_room TO quietus_case_writer;
GRANT UPDATE (home, bucket, ended, ended_on, ended_document, due_on, ours_gone_on, said, said_on, said_envelope)
    ON casebook.data_room TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.data_room_bag TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.data_room, casebook.data_room_bag TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
