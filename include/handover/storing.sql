-- What a successor knows of what was handed over to it, beside the rows and objects themselves.
CREATE SCHEMA IF NOT EXISTS quietus_handover;
CREATE TABLE IF NOT EXISTS quietus_handover.bag (
    order_no  text NOT NULL,
    bag       text NOT NULL,
    kind      text NOT NULL,
    dataset   text NOT NULL,
    sender    text NOT NULL,
    statement text NOT NULL,
    salt      bytea NOT NULL,
    clocks    text[] NOT NULL,
    described jsonb NOT NULL,
    began_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    stored_at timestamptz,
    PRIMARY KEY (order_no, bag)
);
COMMENT ON COLUMN quietus_handover.bag.statement IS 'SHA-256 of what its sender signed';
COMMENT ON COLUMN quietus_handover.bag.clocks IS 'canonical JSON of the clocks that run; an item names one by its position, from 0';
CREATE TABLE IF NOT EXISTS quietus_handover.item (
    order_no text NOT NULL,
    bag      text NOT NULL,
    no       integer NOT NULL,
    dataset  text NOT NULL,
    key      text[] NOT NULL,
    clock    integer NOT NULL,
    holds    text NOT NULL,
    leaf     bytea NOT NULL,
    body     text,
    version  text,
    PRIMARY KEY (order_no, bag, no)
);
CREATE INDEX IF NOT EXISTS item_key ON quietus_handover.item (dataset, key);
COMMENT ON COLUMN quietus_handover.item.leaf IS 'its salted digest in the bag, by which a difference is named';
COMMENT ON COLUMN quietus_handover.item.body IS 'an object: what was said of it; a record of the case book: itself; a row: null';
COMMENT ON COLUMN quietus_handover.item.version IS 'an object: its version in this bucket';
ALTER TABLE quietus_handover.item ADD COLUMN IF NOT EXISTS notice integer, ADD COLUMN IF NOT EXISTS fate text
    CHECK (fate IN ('deleted', 'kept', 'replaced')), ADD COLUMN IF NOT EXISTS until date, ADD COLUMN IF NOT EXISTS why text;
COMMENT ON COLUMN quietus_handover.item.notice IS 'by which it is no item of the bag any more; null: it is one';
COMMENT ON COLUMN quietus_handover.item.fate IS 'kept: it was to be deleted, and a statute or hold keeps it until then: only stored';
CREATE TABLE IF NOT EXISTS quietus_handover.notice (
    order_no text NOT NULL,
    bag      text NOT NULL,
    notice   integer NOT NULL,
    digest   text NOT NULL,
    items    bigint NOT NULL,
    deleted  integer NOT NULL,
    kept     jsonb NOT NULL,
    done_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (order_no, bag, notice),
    FOREIGN KEY (order_no, bag) REFERENCES quietus_handover.bag
);
COMMENT ON COLUMN quietus_handover.notice.digest IS 'SHA-256 of what its sender signed';
ALTER TABLE quietus_handover.item ADD COLUMN IF NOT EXISTS request integer;
COMMENT ON COLUMN quietus_handover.item.request IS 'by which its owner had it deleted, or restricted, once the sender had it no more';
CREATE TABLE IF NOT EXISTS quietus_handover.request (
    order_no text NOT NULL,
    bag      text NOT NULL,
    request  integer NOT NULL,
    digest   text NOT NULL,
    deleted  integer NOT NULL,
    kept     jsonb NOT NULL,
    done_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (order_no, bag, request),
    FOREIGN KEY (order_no, bag) REFERENCES quietus_handover.bag
);
COMMENT ON COLUMN quietus_handover.request.digest IS 'SHA-256 of what its sender signed';
-- Where retention goes on: each item with the day on which it must have gone, as the clock ran when it was handed over.
CREATE OR REPLACE VIEW quietus_handover.running AS
SELECT i.order_no, i.bag, i.no, i.dataset, i.key, nullif(i.holds, '') AS holds, c.clock ->> 'by' AS rule,
       c.clock ->> 'law' AS law, (c.clock ->> 'earliest')::date AS earliest, (c.clock ->> 'due')::date AS due,
       c.clock -> 'running' AS running, coalesce(c.clock ->> 'restricted', CASE WHEN i.fate = 'kept' AND i.notice IS NULL THEN 'request' WHEN i.fate = 'kept' THEN 'notice' END) AS restricted
  FROM quietus_handover.item AS i JOIN quietus_handover.bag AS b USING (order_no, bag)
 CROSS JOIN LATERAL (SELECT b.clocks[i.clock + 1]::jsonb) AS c(clock)
 WHERE jsonb_typeof(c.clock) = 'object' AND i.fate IS DISTINCT FROM 'deleted' AND i.fate IS DISTINCT FROM 'replaced';
COMMENT ON COLUMN quietus_handover.running.restricted IS 'only stored and protected: objection, case, or kept by a notice or request';
REVOKE ALL ON SCHEMA quietus_handover FROM PUBLIC;
GRANT USAGE ON SCHEMA quietus_handover TO {custodian};
GRANT SELECT, INSERT ON quietus_handover.bag, quietus_handover.item, quietus_handover.notice,
    quietus_handover.request TO {custodian};
GRANT UPDATE (stored_at, clocks) ON quietus_handover.bag TO {custodian};
GRANT UPDATE (notice, request, fate, until, why) ON quietus_handover.item TO {custodian};
GRANT SELECT ON quietus_handover.running TO {custodian};
