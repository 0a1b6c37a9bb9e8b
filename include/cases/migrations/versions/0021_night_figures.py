"""What ops read of the nights: since when what was found had been due, how the estate stood afterwards, and what was forecast."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.night_age (
    night_id bigint NOT NULL REFERENCES casebook.night,
    rule     text NOT NULL,
    dataset  text NOT NULL,
    due_at   timestamptz NOT NULL,
    items    bigint CHECK (items > 0),
    PRIMARY KEY (night_id, rule, dataset, due_at)
);
COMMENT ON TABLE casebook.night_age IS 'since when what a night found had been due, what was held left out';
COMMENT ON COLUMN casebook.night_age.items IS 'null: only the oldest is known, of periods under a day';
CREATE TABLE casebook.night_standing (
    night_id   bigint NOT NULL REFERENCES casebook.night,
    rule       text NOT NULL,
    dataset    text NOT NULL,
    due        bigint NOT NULL,
    overdue    bigint NOT NULL,
    oldest     date,
    held       bigint NOT NULL,
    late       bigint,
    basis      text NOT NULL,
    unverified text,
    PRIMARY KEY (night_id, rule, dataset)
);
COMMENT ON TABLE casebook.night_standing IS 'how the estate stood when a night had ended; what could not be asked has the rule -';
CREATE TABLE casebook.night_forecast (
    night_id bigint NOT NULL REFERENCES casebook.night,
    day      date NOT NULL,
    rule     text NOT NULL,
    items    bigint NOT NULL CHECK (items > 0),
    PRIMARY KEY (night_id, day, rule)
);
CREATE INDEX ON casebook.night_forecast (day);
COMMENT ON TABLE casebook.night_forecast IS 'what was forecast when a night had ended; the first day has what it left, too';
CREATE TABLE casebook.night_run (
    night_id bigint NOT NULL REFERENCES casebook.night,
    dag_id   text NOT NULL,
    run_id   text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (night_id, dag_id, run_id)
);
COMMENT ON TABLE casebook.night_run IS 'which run of the scheduler went through a night, or went on with it';
ALTER TABLE casebook.night ADD COLUMN foreseen date;
COMMENT ON COLUMN casebook.night.foreseen IS 'the last day that was forecast when it had ended; null: nothing was kept';
CREATE INDEX ON casebook.night (as_of DESC, night_id DESC);
-- The end of a night may be told again, after another look: what it said before is replaced.
GRANT SELECT, INSERT ON casebook.night_age, casebook.night_run TO quietus_case_writer;
GRANT SELECT, INSERT, DELETE ON casebook.night_standing, casebook.night_forecast TO quietus_case_writer;
GRANT SELECT ON casebook.night_age, casebook.night_standing, casebook.night_forecast, casebook.night_run
    TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
