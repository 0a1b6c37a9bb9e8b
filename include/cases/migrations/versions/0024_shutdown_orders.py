"""Shutdown orders: what is to stop and when, to whom it goes, what was filed, and which rights to write were taken."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

SQL = b"""
CREATE SEQUENCE casebook.shutdown_number;
CREATE TABLE casebook.shutdown_order (
    number      text PRIMARY KEY CHECK (number ~ '^SO-[0-9]{6,}$'),
    scope       text NOT NULL CHECK (scope IN ('company', 'service')),
    services    text[] NOT NULL DEFAULT '{}',
    path        text NOT NULL CHECK (path IN ('voluntary', 'licence_revoked')),
    reason      text NOT NULL CHECK (reason <> ''),
    decided_on  date NOT NULL,
    document    text NOT NULL CHECK (document <> ''),
    digest      text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    approvers   text[] NOT NULL CHECK (cardinality(approvers) = 2),
    t0_announced date NOT NULL,
    t0          date NOT NULL CHECK (t0 >= decided_on),
    successor   text,
    successor_contact text,
    successor_certificate text CHECK (successor_certificate ~ '^[0-9a-f]{64}$'),
    successor_since date,
    renotify_from date,
    ministry_asked_on date,
    custodian   text,
    custodian_contact text,
    opened_on   date NOT NULL,
    opened_by   text NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    closing_at  timestamptz,
    closed_on   date,
    withdrawn_on date,
    withdrawn_document text,
    ended_on    date,
    CHECK ((scope = 'service') = (cardinality(services) > 0)),
    CHECK (split_part(approvers[1], '/', 2) <> split_part(approvers[2], '/', 2)),
    CHECK (num_nulls(successor, successor_contact, successor_certificate) IN (0, 3)),
    CHECK (successor_since IS NULL OR successor IS NOT NULL),
    CHECK ((withdrawn_on IS NULL) = (withdrawn_document IS NULL))
);
COMMENT ON TABLE casebook.shutdown_order IS 'policy 5.6; Electronic Signature Law 23: at most one is in force';
COMMENT ON COLUMN casebook.shutdown_order.t0 IS 'the day in force; never before what was filed allows';
COMMENT ON COLUMN casebook.shutdown_order.successor_since IS 'named on that day, after the order was opened';
COMMENT ON COLUMN casebook.shutdown_order.renotify_from IS 'a successor withdrew: no notice before that day counts';
COMMENT ON COLUMN casebook.shutdown_order.closing_at IS 'since when rights to write are being taken; null: none was';
CREATE UNIQUE INDEX one_shutdown_in_force ON casebook.shutdown_order ((true))
    WHERE withdrawn_on IS NULL AND ended_on IS NULL;

CREATE TABLE casebook.shutdown_gate (
    gate_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    gate        text NOT NULL CHECK (gate IN ('notified', 'reported', 'announced', 'successor_told', 'closed')),
    due         date NOT NULL,
    done_on     date NOT NULL,
    document    text NOT NULL CHECK (document <> ''),
    digest      text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    done_by     text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    void_on     date,
    void_why    text,
    CHECK ((void_on IS NULL) = (void_why IS NULL))
);
CREATE UNIQUE INDEX one_gate_in_force ON casebook.shutdown_gate (number, gate) WHERE void_on IS NULL;
COMMENT ON COLUMN casebook.shutdown_gate.due IS 'when it was due by the T0 of that moment';

CREATE TABLE casebook.shutdown_event (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    as_of       date NOT NULL,
    observed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text NOT NULL,
    what        text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}'
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_event
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.shutdown_event
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

-- Each right to write that is taken, before it is: what is here can be given back, and nothing else ever is.
CREATE TABLE casebook.shutdown_taken (
    taken_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    store       text NOT NULL,
    place       text NOT NULL,
    part        text NOT NULL DEFAULT '',
    privilege   text NOT NULL CHECK (privilege IN ('INSERT', 'UPDATE', 'PUT')),
    grantor     text NOT NULL,
    grantee     text NOT NULL,
    grantable   boolean NOT NULL DEFAULT false,
    given_back_at timestamptz,
    UNIQUE (number, store, place, part, privilege, grantor, grantee)
);
COMMENT ON COLUMN casebook.shutdown_taken.part IS 'the column, of a right to one column';

-- What each store looked like at T0, to be held against what it looks like later.
CREATE TABLE casebook.shutdown_picture (
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    store       text NOT NULL,
    taken_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    picture     jsonb NOT NULL,
    PRIMARY KEY (number, store)
);

-- What would become of everything, as it was counted last.
CREATE TABLE casebook.shutdown_preview (
    preview_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    as_of       date NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    body        jsonb NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON casebook.shutdown_order, casebook.shutdown_gate, casebook.shutdown_taken
    TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.shutdown_event, casebook.shutdown_picture, casebook.shutdown_preview TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.shutdown_order, casebook.shutdown_gate, casebook.shutdown_event, casebook.shutdown_taken,
    casebook.shutdown_picture, casebook.shutdown_preview TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
