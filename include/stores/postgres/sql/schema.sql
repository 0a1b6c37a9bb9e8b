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
-- What a business role may read of it: that somebody among many is restricted, so that a policy can pass over nearly
-- every row by one hash table and ask about the few that are left (is_restricted). It names nobody.
ALTER TABLE quietus.restriction
    ADD COLUMN IF NOT EXISTS slot int GENERATED ALWAYS AS (hashtext(subject_id) & 65535) STORED;
CREATE INDEX IF NOT EXISTS restriction_slot ON quietus.restriction (slot);

-- The transaction that restricted last. A sequence, because it must be seen by snapshots that are older than it.
CREATE SEQUENCE IF NOT EXISTS quietus.last_restriction MINVALUE 0 START 0 NO CYCLE;

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
-- Where the log stood once views and statistics, too, held nothing of what this receipt says: a copy that follows the
-- log is rid of all of it from there on.
ALTER TABLE quietus.receipt ADD COLUMN IF NOT EXISTS renewed_lsn pg_lsn;

-- A snapshot of the machine keeps system identifier and timeline; only a counter of our own tells that the
-- positions in older receipts may belong to another history.
CREATE TABLE IF NOT EXISTS quietus.epoch (
    no         int PRIMARY KEY,
    reason     text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO quietus.epoch (no, reason) VALUES (1, 'installed') ON CONFLICT DO NOTHING;

-- What files of tables were written anew: which file a table had afterwards, and the transaction before which everything that
-- was deleted is not in it. NULL: older snapshots were hidden, so that dead rows may have come along.
CREATE TABLE IF NOT EXISTS quietus.rewritten (
    relation     text PRIMARY KEY,
    filenode     oid NOT NULL,
    began        xid8 NOT NULL,
    ended        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    clean_before xid8,
    lsn          pg_lsn NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Partitions that went with their files because everything in them was due: one row each, in the transaction of the step's
-- receipt. ``bytes``: with indexes and TOAST. Of what went like this no dead row lies in any file that is left.
CREATE TABLE IF NOT EXISTS quietus.dropped (
    step      text NOT NULL,
    dataset   text NOT NULL,
    partition text NOT NULL,
    rows      bigint NOT NULL,
    bytes     bigint NOT NULL,
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What was released without its people: one row per release, step and chunk, committed with the deed. The levels are how coarse
-- each column became, 0 being the value itself.
CREATE TABLE IF NOT EXISTS quietus.released (
    step     text NOT NULL,
    chunk    int NOT NULL,
    release  text NOT NULL,
    dataset  text NOT NULL,
    levels   jsonb NOT NULL,
    rows     bigint NOT NULL,
    released bigint NOT NULL,
    xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (step, chunk, release)
);

-- Keys of sealed objects that were wrapped anew: how many rows of a table one transaction wrote for it. No data came by it.
CREATE TABLE IF NOT EXISTS quietus.rewrapped (
    relation text NOT NULL,
    kek      text NOT NULL,
    keys     bigint NOT NULL,
    xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (relation, xid)
);

-- When the database was closed because it had been restored, and who could connect before ('' is everybody).
CREATE TABLE IF NOT EXISTS quietus.closed (
    no        int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    granted   text[] NOT NULL,
    lifted_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS closed_once ON quietus.closed ((true)) WHERE lifted_at IS NULL;

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
-- A receipt is written once; only where the log stood after the commit is noted later.
REVOKE INSERT, UPDATE ON quietus.restriction, quietus.receipt, quietus.epoch FROM {eraser};
GRANT INSERT ON quietus.restriction, quietus.receipt, quietus.released, quietus.rewrapped TO {eraser};
GRANT UPDATE ON SEQUENCE quietus.last_restriction TO {eraser};
GRANT UPDATE (case_no, step, since, departed_at, lifted_at) ON quietus.restriction TO {eraser};
GRANT UPDATE (lsn, timeline, committed_at, renewed_lsn) ON quietus.receipt TO {eraser};
