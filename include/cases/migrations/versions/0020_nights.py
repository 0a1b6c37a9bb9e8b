"""Nights of retention limits: what each found, what was expected of it, who let it go on, and how it stood afterwards."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.night (
    night_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no     text UNIQUE REFERENCES casebook.case_,
    schedule    text NOT NULL CHECK (schedule IN ('days', 'hours')),
    as_of       date NOT NULL,
    at          timestamptz,
    began_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    due         bigint NOT NULL,
    held        bigint NOT NULL,
    expected    bigint,
    needs_word  text,
    approved_by text,
    budget      bigint,
    gone        bigint,
    remaining   bigint,
    overdue     bigint,
    late        bigint,
    tomorrow    bigint,
    ended_at    timestamptz,
    CHECK ((schedule = 'hours') = (at IS NOT NULL)),
    CHECK (case_no IS NOT NULL OR due = 0)
);
CREATE INDEX ON casebook.night (schedule, as_of);
COMMENT ON TABLE casebook.night IS 'runs of retention limits; a night that found nothing due has no case';
COMMENT ON COLUMN casebook.night.expected IS 'what the night before forecast; null: nobody did';
COMMENT ON COLUMN casebook.night.needs_word IS 'why a person has to let it go on; null: it needs nobody';
COMMENT ON COLUMN casebook.night.budget IS 'at most so many items, the rest is for the nights after; null: all';
COMMENT ON COLUMN casebook.night.remaining IS 'due and not held when it had ended; overdue: of these since before that day';
COMMENT ON COLUMN casebook.night.late IS 'of periods under a day: minutes by which the oldest was late when it was found';
CREATE TABLE casebook.night_line (
    night_id  bigint NOT NULL REFERENCES casebook.night,
    rule      text NOT NULL,
    dataset   text NOT NULL,
    due       bigint NOT NULL,
    overdue   bigint NOT NULL,
    oldest    date,
    held      bigint NOT NULL,
    gone      bigint NOT NULL DEFAULT 0,
    needed    bigint NOT NULL DEFAULT 0,
    why_left  text,
    PRIMARY KEY (night_id, rule, dataset)
);
CREATE TABLE casebook.night_stop (
    stop_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor     text NOT NULL,
    why       text NOT NULL CHECK (why <> ''),
    lifted_at timestamptz,
    lifted_by text
);
CREATE UNIQUE INDEX one_night_stop ON casebook.night_stop ((true)) WHERE lifted_at IS NULL;
COMMENT ON TABLE casebook.night_stop IS 'emergency stops of the nights: between two pieces, and until somebody lifts it';
GRANT SELECT, INSERT ON casebook.night_stop TO quietus_case_writer;
GRANT UPDATE (lifted_at, lifted_by) ON casebook.night_stop TO quietus_case_writer;
GRANT SELECT ON casebook.night_stop TO quietus_reader;
GRANT SELECT, INSERT, UPDATE ON casebook.night, casebook.night_line TO quietus_case_writer;
GRANT SELECT ON casebook.night, casebook.night_line TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
