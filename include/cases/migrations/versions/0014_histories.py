"""Where each database stood when we last looked, what was noticed of restores, and replays as steps of their own kind.
A tombstone stands per case, for parts of a person too, and for strong identifiers."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.store_history (
    store     text PRIMARY KEY,
    system    bigint NOT NULL,
    timeline  integer NOT NULL,
    counter   bigint NOT NULL,
    intended  bigint NOT NULL,
    position  bigint NOT NULL,
    looked_at timestamptz NOT NULL,
    CHECK (intended >= counter)
);
COMMENT ON COLUMN casebook.store_history.intended IS 'how far we meant to bring its counter, written before we do';

CREATE TABLE casebook.restoration (
    restoration_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store          text NOT NULL,
    noticed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    noticed_by     text NOT NULL,
    because        text[] NOT NULL CHECK (cardinality(because) > 0),
    known          jsonb NOT NULL,
    found          jsonb NOT NULL,
    quarantined_at timestamptz,
    replayed_at    timestamptz,
    ended_at       timestamptz,
    counter        bigint,
    counts         jsonb,
    CHECK (ended_at IS NULL OR replayed_at IS NOT NULL)
);
CREATE UNIQUE INDEX one_restoration ON casebook.restoration (store) WHERE ended_at IS NULL;

ALTER TABLE casebook.step
    ADD COLUMN store text,
    DROP CONSTRAINT step_kind_check,
    ADD CONSTRAINT step_kind_check CHECK (kind IN ('rehearsal', 'live', 'replay')),
    ADD CONSTRAINT step_store_check CHECK ((kind = 'replay') = (store IS NOT NULL));
COMMENT ON COLUMN casebook.step.store IS 'the store that was restored; a replay is about one';
CREATE INDEX receipt_in_time ON casebook.receipt (store, (body->>'done_at'));

-- Two cases may have buried the same person, or parts of one: each is replayed by itself.
ALTER TABLE casebook.tombstone DROP CONSTRAINT tombstone_pkey, ADD PRIMARY KEY (kind, token, case_no);

-- How far each table was looked through for people who came back: rows that are newer are looked at next.
CREATE TABLE casebook.looked_through (
    store   text NOT NULL,
    dataset text NOT NULL,
    xid     bigint NOT NULL,
    day     date NOT NULL,
    PRIMARY KEY (store, dataset)
);
COMMENT ON COLUMN casebook.looked_through.xid IS 'no transaction before it was open any more';

GRANT SELECT, INSERT, UPDATE ON casebook.store_history, casebook.restoration, casebook.looked_through TO quietus_case_writer;
GRANT DELETE ON casebook.store_history, casebook.looked_through TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.store_history, casebook.restoration, casebook.looked_through TO quietus_reader;
GRANT SELECT (store) ON casebook.step TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
