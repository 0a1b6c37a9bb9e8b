"""What nights see of the columns by which they judge: types, which a night saw first or a person accepted; clocks that have not
begun; and what fell short of the forecast."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.shape (
    shape_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store    text NOT NULL,
    place    text NOT NULL CHECK (place <> ''),
    type     text NOT NULL CHECK (type <> ''),
    night    bigint REFERENCES casebook.night,
    actor    text,
    document text CHECK (document <> ''),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (num_nulls(actor, document) IN (0, 2)),
    CHECK (num_nonnulls(night, actor) = 1)
);
CREATE INDEX ON casebook.shape (store, place, shape_id DESC);
COMMENT ON TABLE casebook.shape IS 'types of the columns by which nights judge; of one place the last row counts';
COMMENT ON COLUMN casebook.shape.night IS 'that saw it first; null: a person accepted it, by a document';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shape
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT ON casebook.shape TO quietus_case_writer;
GRANT SELECT ON casebook.shape TO quietus_reader;

CREATE TABLE casebook.night_start (
    night_id    bigint NOT NULL REFERENCES casebook.night,
    dataset     text NOT NULL,
    start       text NOT NULL,
    rules       text[] NOT NULL,
    not_started bigint NOT NULL,
    ahead       bigint NOT NULL,
    never       bigint NOT NULL,
    PRIMARY KEY (night_id, dataset, start)
);
COMMENT ON TABLE casebook.night_start IS
    'by column that starts clocks, when a night began: rows without a date in it, or with one ahead';
COMMENT ON COLUMN casebook.night_start.never IS 'of these: nobody is left who would write it, or it is of a far year';
GRANT SELECT, INSERT ON casebook.night_start TO quietus_case_writer;
GRANT SELECT ON casebook.night_start TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
