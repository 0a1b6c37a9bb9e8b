"""Whom a hold names, sealed under a key of its own, also when the row of the account is gone; what nights leave undecided."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.hold_subject (
    hold      text NOT NULL REFERENCES casebook.hold,
    token     bytea NOT NULL,
    sealed_id bytea NOT NULL,
    key_id    text NOT NULL,
    PRIMARY KEY (hold, token)
);
COMMENT ON TABLE casebook.hold_subject IS 'account ids of a hold, until it is released; one of an older version has none';
GRANT SELECT, INSERT, DELETE ON casebook.hold_subject TO quietus_case_writer;

CREATE TABLE casebook.undecided (
    undecided_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code          text NOT NULL CHECK (code IN ('empty_interval', 'no_rule')),
    dataset       text NOT NULL,
    what          text NOT NULL,
    items         bigint NOT NULL CHECK (items > 0),
    first_night   bigint NOT NULL REFERENCES casebook.night,
    last_night    bigint NOT NULL REFERENCES casebook.night,
    settled_night bigint REFERENCES casebook.night
);
CREATE UNIQUE INDEX one_while_it_lasts ON casebook.undecided (code, dataset, what) WHERE settled_night IS NULL;
CREATE INDEX ON casebook.undecided (first_night);
COMMENT ON TABLE casebook.undecided IS 'items over which two laws collide, or of which no rule speaks: a person decides';
GRANT SELECT, INSERT, UPDATE ON casebook.undecided TO quietus_case_writer;
GRANT SELECT ON casebook.undecided TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
