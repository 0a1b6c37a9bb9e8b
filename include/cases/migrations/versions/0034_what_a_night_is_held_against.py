"""What a night is held against, by dataset; what a person was shown who let it go; plans by which a backlog goes in stages."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.night ADD COLUMN expects jsonb, ADD COLUMN asked jsonb, ADD COLUMN catalogue text;
COMMENT ON COLUMN casebook.night.expects IS 'by dataset: what of tomorrow is no stage of a backlog; null: nobody forecast it';
COMMENT ON COLUMN casebook.night.asked IS 'by dataset: what a person is shown who is asked to let it go on; null: nobody was';
COMMENT ON COLUMN casebook.night.catalogue IS 'digest of the one under which its size was judged last';

CREATE SEQUENCE casebook.backlog_number;
CREATE TABLE casebook.backlog_plan (
    number      text PRIMARY KEY CHECK (number ~ '^BP-[0-9]{6,}$'),
    counted_on  date NOT NULL,
    rate        bigint NOT NULL CHECK (rate > 0),
    until       date NOT NULL CHECK (until > counted_on),
    counted     jsonb NOT NULL,
    remaining   jsonb NOT NULL,
    catalogue   text NOT NULL,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by text,
    approved_at timestamptz,
    ended       text CHECK (ended IN ('burnt down', 'withdrawn')),
    ended_by    text,
    ended_why   text CHECK (ended_why <> ''),
    ended_at    timestamptz,
    CHECK (num_nulls(approved_by, approved_at) IN (0, 2)),
    CHECK (split_part(approved_by, '/', 2) <> split_part(proposed_by, '/', 2)),
    CHECK (num_nulls(ended, ended_by, ended_at) IN (0, 3)),
    CHECK ((ended = 'withdrawn') = (ended_why IS NOT NULL))
);
CREATE UNIQUE INDEX one_backlog_plan ON casebook.backlog_plan ((true)) WHERE ended IS NULL;
COMMENT ON TABLE casebook.backlog_plan IS 'by which a backlog goes in stages: proposed by one person, approved by another';
COMMENT ON COLUMN casebook.backlog_plan.rate IS 'so many items a night, over all datasets; what falls due since goes besides';
COMMENT ON COLUMN casebook.backlog_plan.until IS 'the last night that obeys it';
COMMENT ON COLUMN casebook.backlog_plan.counted IS 'by dataset: what was due, and not held, when it was proposed';
COMMENT ON COLUMN casebook.backlog_plan.remaining IS 'by dataset: what of that was there when a night had ended last';
GRANT USAGE ON SEQUENCE casebook.backlog_number TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.backlog_plan TO quietus_case_writer;
GRANT UPDATE (remaining, approved_by, approved_at, ended, ended_by, ended_why, ended_at) ON casebook.backlog_plan
    TO quietus_case_writer;
GRANT SELECT ON casebook.backlog_plan TO quietus_reader;

ALTER TABLE casebook.night ADD COLUMN backlog text REFERENCES casebook.backlog_plan, ADD COLUMN under jsonb,
    ADD COLUMN staged jsonb, ADD COLUMN planned bigint;
COMMENT ON COLUMN casebook.night.backlog IS 'the plan that it obeys; under: by dataset, what of what it found that covers';
COMMENT ON COLUMN casebook.night.staged IS 'by dataset: what went of what its plan covers';
COMMENT ON COLUMN casebook.night.planned IS 'of what is overdue when it had ended: what its plan covers';
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
