-- The ledger: an append-only Merkle log. Applied by include.ledger.log.install; running it again
-- changes nothing. Writers put rows in the queue; one sequencer copies them to entry with a dense
-- index; nothing is ever changed or removed: not granted, and refused by triggers even to the owner.

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['quietus_ledger_writer', 'quietus_sequencer', 'quietus_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of the cluster was installed at the same moment
            END;
        END IF;
    END LOOP;
END
$roles$;

CREATE SCHEMA IF NOT EXISTS ledger;
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;

-- What writers hand in, in their own transactions. ``key`` makes a retried task append once.
-- ``digest`` is that of the entry without its nonce: what must be equal when a key comes again.
-- ``xid`` lets the sequencer tell which rows can still become visible (see ledger.batch).
CREATE TABLE IF NOT EXISTS ledger.queue (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 200),
    kind        text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_.]{0,63}$'),
    case_no     text CHECK (case_no ~ '^CASE-[0-9]{6,}$'),
    leaf        bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 2 AND 66560),
    digest      bytea NOT NULL CHECK (octet_length(digest) = 32),
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    queued_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    queued_by   text NOT NULL DEFAULT session_user
);
CREATE UNIQUE INDEX IF NOT EXISTS queue_in_order ON ledger.queue (xid, id);

-- The log. ``leaf`` is what is hashed: RFC 8785 JSON of body, case number, kind and a nonce, so that
-- the hashes in somebody's proof say nothing about their neighbours' entries.
CREATE TABLE IF NOT EXISTS ledger.entry (
    index        bigint PRIMARY KEY CHECK (index >= 0),
    queue_id     bigint NOT NULL UNIQUE REFERENCES ledger.queue (id),
    key          text NOT NULL UNIQUE,
    kind         text NOT NULL,
    case_no      text,
    leaf         bytea NOT NULL,
    leaf_hash    bytea NOT NULL CHECK (leaf_hash = sha256('\x00'::bytea || leaf)),
    sequenced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS entry_of_case ON ledger.entry (case_no, kind, index);

-- Hashes of perfect subtrees, level 1 upwards; level 0 is entry.leaf_hash.
CREATE TABLE IF NOT EXISTS ledger.node (
    level smallint NOT NULL CHECK (level BETWEEN 1 AND 62),
    index bigint NOT NULL CHECK (index >= 0),
    hash  bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, index)
);

-- How far the sequencer has come. Every queue row at or before (horizon_xid, horizon_id) is in the
-- log; transaction ids mean nothing in another cluster, so the horizon holds only where it was made.
CREATE TABLE IF NOT EXISTS ledger.batch (
    size_after  bigint PRIMARY KEY CHECK (size_after > 0),
    first_index bigint NOT NULL UNIQUE,
    horizon_xid xid8 NOT NULL,
    horizon_id  bigint NOT NULL,
    cluster     bigint NOT NULL,
    done_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (first_index >= 0 AND first_index < size_after)
);

-- The heads that the signer has signed.
CREATE TABLE IF NOT EXISTS ledger.checkpoint (
    size      bigint PRIMARY KEY CHECK (size > 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    note      text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- --- insert only, for everybody ---------------------------------------------------------------

CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'QL001';
END
$$;

DO $triggers$
DECLARE
    of_table text;
BEGIN
    FOREACH of_table IN ARRAY ARRAY['queue', 'entry', 'node', 'batch', 'checkpoint'] LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.%I
             FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', of_table);
        -- Also when a session plays the part of a replica, where ordinary triggers keep silent.
        EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER append_only', of_table);
    END LOOP;
END
$triggers$;

-- The writer may not read the queue, so the database itself compares a repeated key. Two writers of
-- one key at once: the second waits on the unique index, inserts nothing, and its client sends the
-- same INSERT again, which then meets the first row here. The stamps are ours, whatever was sent.
CREATE OR REPLACE FUNCTION ledger.receive() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    known bytea;
BEGIN
    NEW.xid := pg_current_xact_id();
    NEW.queued_at := clock_timestamp();
    NEW.queued_by := session_user;
    SELECT q.digest INTO known FROM ledger.queue q WHERE q.key = NEW.key;
    IF FOUND AND known <> NEW.digest THEN
        RAISE EXCEPTION 'this key was used for another entry' USING ERRCODE = 'QL002';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER receive BEFORE INSERT ON ledger.queue
    FOR EACH ROW EXECUTE FUNCTION ledger.receive();
ALTER TABLE ledger.queue ENABLE ALWAYS TRIGGER receive;

-- A batch that is not the next one, or leaves a gap, does not commit, whoever sends it.
CREATE OR REPLACE FUNCTION ledger.keep_dense() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    first bigint;
    last bigint;
    added bigint;
BEGIN
    SELECT min(a.index), max(a.index), count(*) INTO first, last, added FROM added a;
    IF added > 0 AND (
        last - first + 1 <> added
        OR (SELECT max(e.index) FROM ledger.entry e) <> last
        OR (first > 0 AND NOT EXISTS (SELECT FROM ledger.entry e WHERE e.index = first - 1))
    ) THEN
        RAISE EXCEPTION 'entries must follow each other without a gap' USING ERRCODE = 'QL003';
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER keep_dense AFTER INSERT ON ledger.entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.keep_dense();
ALTER TABLE ledger.entry ENABLE ALWAYS TRIGGER keep_dense;

-- --- who may do what --------------------------------------------------------------------------

REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC, quietus_ledger_writer, quietus_sequencer, quietus_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;

GRANT USAGE ON SCHEMA ledger TO quietus_ledger_writer, quietus_sequencer, quietus_reader;
GRANT INSERT (key, kind, case_no, leaf, digest) ON ledger.queue TO quietus_ledger_writer;
GRANT SELECT ON ledger.queue TO quietus_sequencer;
GRANT SELECT, INSERT ON ledger.entry, ledger.node, ledger.batch, ledger.checkpoint TO quietus_sequencer;
GRANT SELECT ON ledger.queue, ledger.entry, ledger.node, ledger.batch, ledger.checkpoint TO quietus_reader;
