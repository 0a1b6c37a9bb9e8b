"""Tombstones that came from an authority whose successor we are: whom it deleted is held back here, too, for as long as there."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.adopted_key (
    key_name text PRIMARY KEY,
    order_no text NOT NULL,
    ended_on date
);
COMMENT ON TABLE casebook.adopted_key IS 'keys of such tombstones, in our key store under this name; ended_on: destroyed';
CREATE TABLE casebook.adopted_tombstone (
    order_no text NOT NULL,
    kind     text NOT NULL,
    token    bytea NOT NULL,
    key_name text NOT NULL REFERENCES casebook.adopted_key,
    case_ref text NOT NULL,
    made_on  date NOT NULL,
    ends_on  date NOT NULL,
    PRIMARY KEY (order_no, kind, token, case_ref)
);
CREATE INDEX ON casebook.adopted_tombstone (kind, token);
CREATE INDEX ON casebook.adopted_tombstone (key_name);
COMMENT ON COLUMN casebook.adopted_tombstone.case_ref IS 'the case of the other authority';
COMMENT ON COLUMN casebook.adopted_tombstone.ends_on IS 'its last day, as it ran there: it does not start again';
GRANT SELECT, INSERT, DELETE ON casebook.adopted_tombstone TO quietus_case_writer;
GRANT SELECT, INSERT, UPDATE (ended_on) ON casebook.adopted_key TO quietus_case_writer;
GRANT SELECT (order_no, kind, key_name, case_ref, made_on, ends_on) ON casebook.adopted_tombstone TO quietus_reader;
GRANT SELECT ON casebook.adopted_key TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
