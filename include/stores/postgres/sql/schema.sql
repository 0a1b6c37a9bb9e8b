-- Our memory inside the company's database. It is restored along with the data it speaks of, which is right for
-- a restriction list and for step receipts; the case book, ledger and tombstones live on another server.
CREATE SCHEMA IF NOT EXISTS quietus;
COMMENT ON SCHEMA quietus IS 'Quietus: restriction list, step receipts, refused attempts';

CREATE TABLE IF NOT EXISTS quietus.restriction (
    subject_id  text PRIMARY KEY,
    case_no     text NOT NULL,
    step        text NOT NULL,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    departed_at timestamptz,  -- all that was this person's alone has been disposed of, and nothing is held
    lifted_at   timestamptz
);

-- One row per verb and chunk of a step, committed with the deed itself. lsn and committed_at are read after
-- the commit; a run killed in between reads them late, which is safe: later is further.
CREATE TABLE IF NOT EXISTS quietus.receipt (
    step         text NOT NULL,
    verb         text NOT NULL CHECK (verb IN ('restrict', 'dispose')),
    chunk        int NOT NULL,
    plan         text NOT NULL,
    counts       jsonb NOT NULL,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    epoch        int NOT NULL,
    done_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lsn          pg_lsn,
    timeline     text,
    committed_at timestamptz,
    PRIMARY KEY (step, verb, chunk)
);

-- A snapshot of the machine keeps system identifier and timeline; only a counter of our own tells that the
-- positions in older receipts may belong to another history.
CREATE TABLE IF NOT EXISTS quietus.epoch (
    no         int PRIMARY KEY,
    reason     text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO quietus.epoch (no, reason) VALUES (1, 'installed') ON CONFLICT DO NOTHING;

-- Attempts of business roles to read or write rows of restricted subjects. Rows are only ever added, one per
-- statement and relation: a counter row would make the company's transactions wait for each other. No values.
CREATE TABLE IF NOT EXISTS quietus.denied (
    relation text NOT NULL,
    deed     text NOT NULL,
    role     text NOT NULL,
    case_no  text,
    minute   timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS denied_minute ON quietus.denied (minute);

-- A refused write rolls its own denied row back, so refusals are also counted in sequences ("refused s.t").
CREATE OR REPLACE VIEW quietus.refusals AS
SELECT substr(sequencename, 9) AS relation, coalesce(last_value, 0) AS attempts
  FROM pg_sequences WHERE schemaname = 'quietus' AND starts_with(sequencename, 'refused ');

GRANT USAGE ON SCHEMA quietus TO {eraser}, {prover};
GRANT SELECT ON ALL TABLES IN SCHEMA quietus TO {eraser}, {prover};
GRANT SELECT ON ALL SEQUENCES IN SCHEMA quietus TO {eraser}, {prover};
GRANT INSERT, UPDATE ON quietus.restriction, quietus.receipt, quietus.epoch TO {eraser};
