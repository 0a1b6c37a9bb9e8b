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
COMMENT ON COLUMN quietus_handover.item.fate IS 'kept: it was to be deleted, and a statute or hold keeps it until then: only stored; ended: it is gone';
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
ALTER TABLE quietus_handover.item ADD COLUMN IF NOT EXISTS path text[], ADD COLUMN IF NOT EXISTS restricted text;
ALTER TABLE quietus_handover.item DROP CONSTRAINT IF EXISTS item_fate_check;
ALTER TABLE quietus_handover.item ADD CONSTRAINT item_fate_check CHECK (fate IN ('deleted', 'kept', 'replaced', 'ended'));
CREATE INDEX IF NOT EXISTS item_path ON quietus_handover.item (dataset, path) WHERE path IS NOT NULL;
CREATE INDEX IF NOT EXISTS item_kept ON quietus_handover.item (dataset) WHERE fate = 'kept';
CREATE INDEX IF NOT EXISTS item_restricted ON quietus_handover.item (dataset, key) WHERE restricted IS NOT NULL;
COMMENT ON COLUMN quietus_handover.item.restricted IS 'only stored and protected: objection, case, or kept by a notice or request';
COMMENT ON COLUMN quietus_handover.item.path IS 'an object: what its key says, variable by variable of its dataset''s template';
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
       c.clock -> 'running' AS running, i.restricted
  FROM quietus_handover.item AS i JOIN quietus_handover.bag AS b USING (order_no, bag)
 CROSS JOIN LATERAL (SELECT b.clocks[i.clock + 1]::jsonb) AS c(clock)
 WHERE jsonb_typeof(c.clock) = 'object' AND (i.fate IS NULL OR i.fate = 'kept');
COMMENT ON COLUMN quietus_handover.running.restricted IS 'only stored and protected: objection, case, or kept by a notice or request';
-- By what nights and cases judge an item that came: its clocks, and its holds, each with its order. What its sender deleted is due as soon as nothing forbids it.
CREATE OR REPLACE VIEW quietus_handover.clock AS
SELECT i.dataset, i.key, i.path, c.clock -> 'running' AS running,
       CASE WHEN i.fate = 'kept' THEN least((c.clock ->> 'due')::date, coalesce(i.until, (coalesce(r.done_at, n.done_at) AT TIME ZONE INTERVAL '8 hours')::date) + 1)
            ELSE (c.clock ->> 'due')::date END AS due,
       CASE WHEN i.fate = 'kept' THEN 'RS-28/main' ELSE c.clock ->> 'by' END AS by,
       CASE WHEN i.fate = 'kept' THEN {deleted} ELSE c.clock ->> 'law' END AS law,
       (SELECT coalesce(array_agg(i.order_no || '/' || h), '{{}}') FROM unnest(string_to_array(nullif(i.holds, ''), ',')) AS h) AS holds
  FROM quietus_handover.item AS i JOIN quietus_handover.bag AS b USING (order_no, bag)
  LEFT JOIN quietus_handover.notice AS n ON n.order_no = i.order_no AND n.bag = i.bag AND n.notice = i.notice
  LEFT JOIN quietus_handover.request AS r ON r.order_no = i.order_no AND r.bag = i.bag AND r.request = i.request
 CROSS JOIN LATERAL (SELECT b.clocks[i.clock + 1]::jsonb) AS c(clock)
 WHERE jsonb_typeof(c.clock) = 'object' AND (i.fate IS NULL OR i.fate = 'kept');
-- Every limit that some item came with, by dataset: few, and read before each night.
CREATE OR REPLACE VIEW quietus_handover.carried AS
WITH came AS MATERIALIZED (
  SELECT DISTINCT b.dataset, t.clock::jsonb AS clock FROM quietus_handover.bag AS b CROSS JOIN LATERAL unnest(b.clocks) AS t(clock)
   WHERE t.clock <> 'null')
SELECT DISTINCT dataset, CASE WHEN r ->> 'ends' IS NULL THEN 'waits' ELSE 'floor' END AS side, r ->> 'rule' AS rule,
       r ->> 'period' AS period, CASE WHEN r ->> 'ends' IS NULL THEN '' ELSE r ->> 'law' END AS law, false AS company
  FROM came CROSS JOIN LATERAL jsonb_array_elements(clock -> 'running') AS r
 WHERE r ->> 'ends' IS NULL OR (r ->> 'floor')::boolean
UNION
SELECT dataset, 'due', split_part(clock ->> 'by', '/', 1), split_part(clock ->> 'by', '/', 2), clock ->> 'law',
       coalesce(bool_or((r ->> 'company')::boolean) FILTER (WHERE r ->> 'rule' || '/' || (r ->> 'period') = clock ->> 'by'), false)
  FROM came LEFT JOIN LATERAL jsonb_array_elements(clock -> 'running') AS r ON true
 WHERE clock ->> 'due' IS NOT NULL GROUP BY dataset, clock ->> 'by', clock ->> 'law'
UNION
SELECT DISTINCT dataset, 'due', 'RS-28', 'main', {deleted}, false FROM quietus_handover.item WHERE fate = 'kept';
REVOKE ALL ON SCHEMA quietus_handover FROM PUBLIC;
GRANT USAGE ON SCHEMA quietus_handover TO {custodian};
GRANT SELECT, INSERT ON quietus_handover.bag, quietus_handover.item, quietus_handover.notice,
    quietus_handover.request TO {custodian};
GRANT UPDATE (stored_at, clocks) ON quietus_handover.bag TO {custodian};
GRANT UPDATE (notice, request, fate, until, why, restricted, key, body, path) ON quietus_handover.item TO {custodian};
GRANT SELECT ON quietus_handover.running, quietus_handover.clock, quietus_handover.carried TO {custodian};
