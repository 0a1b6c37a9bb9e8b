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
-- The clocks of a bag, one a row: an item's are found by its bag and its clock's number, however many a bag has. What was signed is
-- bag.clocks, in its own text; whoever writes that has these written, in the same transaction, also where triggers are off.
ALTER TABLE quietus_handover.bag ADD COLUMN IF NOT EXISTS as_of date;
COMMENT ON COLUMN quietus_handover.bag.as_of IS 'the day on which its sender''s service ended; null: it came before this was noted';
CREATE TABLE IF NOT EXISTS quietus_handover.bag_clock (
    order_no text NOT NULL,
    bag      text NOT NULL,
    no       integer NOT NULL,
    rule     text,
    law      text,
    earliest date,
    due      date,
    running  jsonb,
    PRIMARY KEY (order_no, bag, no),
    FOREIGN KEY (order_no, bag) REFERENCES quietus_handover.bag
);
ALTER TABLE quietus_handover.bag_clock ADD COLUMN IF NOT EXISTS since date;
COMMENT ON COLUMN quietus_handover.bag_clock.since IS
    'from when a clock counts that waits for the end of an account which is not here: its sender''s service ended, or it came';
COMMENT ON COLUMN quietus_handover.bag_clock.rule IS 'by which its items are due (rule/period)';
-- Every limit that some clock of a bag has: few, whatever the number of its clocks.
CREATE TABLE IF NOT EXISTS quietus_handover.bag_limit (
    order_no text NOT NULL,
    bag      text NOT NULL,
    dataset  text NOT NULL,
    side     text NOT NULL,
    rule     text NOT NULL,
    period   text NOT NULL,
    law      text NOT NULL,
    company  boolean NOT NULL,
    PRIMARY KEY (order_no, bag, side, rule, period, law),
    FOREIGN KEY (order_no, bag) REFERENCES quietus_handover.bag
);
CREATE OR REPLACE FUNCTION quietus_handover.spread(which_order text, which_bag text) RETURNS void LANGUAGE sql
 SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM quietus_handover.bag_clock WHERE order_no = which_order AND bag = which_bag;
  INSERT INTO quietus_handover.bag_clock (order_no, bag, no, rule, law, earliest, due, running, since)
  SELECT b.order_no, b.bag, t.n - 1, c.clock ->> 'by', c.clock ->> 'law', (c.clock ->> 'earliest')::date, (c.clock ->> 'due')::date,
         c.clock -> 'running', coalesce(b.as_of, (b.began_at AT TIME ZONE INTERVAL '8 hours')::date)
    FROM quietus_handover.bag AS b CROSS JOIN LATERAL unnest(b.clocks) WITH ORDINALITY AS t(said, n)
   CROSS JOIN LATERAL (SELECT t.said::jsonb) AS c(clock)
   WHERE b.order_no = which_order AND b.bag = which_bag AND jsonb_typeof(c.clock) = 'object';
  DELETE FROM quietus_handover.bag_limit WHERE order_no = which_order AND bag = which_bag;
  INSERT INTO quietus_handover.bag_limit (order_no, bag, dataset, side, rule, period, law, company)
  WITH came AS (SELECT b.order_no, b.bag, b.dataset, c.no, c.rule, c.law, c.due, r
                  FROM quietus_handover.bag_clock AS c JOIN quietus_handover.bag AS b USING (order_no, bag)
                  LEFT JOIN LATERAL jsonb_array_elements(c.running) AS r ON true
                 WHERE b.order_no = which_order AND b.bag = which_bag)
  SELECT DISTINCT order_no, bag, dataset, CASE WHEN r ->> 'ends' IS NULL THEN 'waits' ELSE 'floor' END, r ->> 'rule', r ->> 'period',
         CASE WHEN r ->> 'ends' IS NULL THEN '' ELSE r ->> 'law' END, false
    FROM came WHERE r IS NOT NULL AND (r ->> 'ends' IS NULL OR (r ->> 'floor')::boolean)
  UNION ALL
  SELECT order_no, bag, dataset, 'due', split_part(rule, '/', 1), split_part(rule, '/', 2), law,
         coalesce(bool_or((r ->> 'company')::boolean) FILTER (WHERE r ->> 'rule' || '/' || (r ->> 'period') = rule), false)
    FROM came WHERE due IS NOT NULL GROUP BY order_no, bag, dataset, rule, law
$$;
CREATE OR REPLACE FUNCTION quietus_handover.bag_written() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quietus_handover.spread(NEW.order_no, NEW.bag);
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION quietus_handover.spread(text, text), quietus_handover.bag_written() FROM PUBLIC;
CREATE OR REPLACE TRIGGER bag_written AFTER INSERT OR UPDATE OF clocks, as_of ON quietus_handover.bag
 FOR EACH ROW EXECUTE FUNCTION quietus_handover.bag_written();
ALTER TABLE quietus_handover.bag ENABLE ALWAYS TRIGGER bag_written;
-- What was received before there were rows of it. The trigger above has waited for whoever was writing a bag.
SELECT quietus_handover.spread(order_no, bag) FROM quietus_handover.bag AS b
 WHERE NOT EXISTS (SELECT FROM quietus_handover.bag_clock AS c WHERE c.order_no = b.order_no AND c.bag = b.bag AND c.since IS NOT NULL);
-- Where retention goes on: each item with the day on which it must have gone, as the clock ran when it was handed over.
CREATE OR REPLACE VIEW quietus_handover.running AS
SELECT i.order_no, i.bag, i.no, i.dataset, i.key, nullif(i.holds, '') AS holds, c.rule, c.law, c.earliest, c.due, c.running, i.restricted
  FROM quietus_handover.item AS i
  JOIN quietus_handover.bag_clock AS c ON c.order_no = i.order_no AND c.bag = i.bag AND c.no = i.clock
 WHERE i.fate IS NULL OR i.fate = 'kept';
COMMENT ON COLUMN quietus_handover.running.restricted IS 'only stored and protected: objection, case, or kept by a notice or request';
-- By what nights and cases judge an item that came: its clocks, and its holds, each with its order. What its sender deleted is due as soon as nothing forbids it.
CREATE OR REPLACE VIEW quietus_handover.clock AS
SELECT i.dataset, i.key, i.path, c.running,
       CASE WHEN i.fate = 'kept' THEN least(c.due, coalesce(i.until, (coalesce(r.done_at, n.done_at) AT TIME ZONE INTERVAL '8 hours')::date) + 1)
            ELSE c.due END AS due,
       CASE WHEN i.fate = 'kept' THEN 'RS-28/main' ELSE c.rule END AS by,
       CASE WHEN i.fate = 'kept' THEN {deleted} ELSE c.law END AS law,
       (SELECT coalesce(array_agg(i.order_no || '/' || h), '{{}}') FROM unnest(string_to_array(nullif(i.holds, ''), ',')) AS h) AS holds,
       c.since
  FROM quietus_handover.item AS i
  JOIN quietus_handover.bag_clock AS c ON c.order_no = i.order_no AND c.bag = i.bag AND c.no = i.clock
  LEFT JOIN quietus_handover.notice AS n ON n.order_no = i.order_no AND n.bag = i.bag AND n.notice = i.notice
  LEFT JOIN quietus_handover.request AS r ON r.order_no = i.order_no AND r.bag = i.bag AND r.request = i.request
 WHERE i.fate IS NULL OR i.fate = 'kept';
-- Every limit that some item came with, by dataset: few, and read before each night.
CREATE OR REPLACE VIEW quietus_handover.carried AS
SELECT dataset, side, rule, period, law, bool_or(company) AS company FROM quietus_handover.bag_limit
 GROUP BY dataset, side, rule, period, law
UNION
SELECT DISTINCT dataset, 'due', 'RS-28', 'main', {deleted}, false FROM quietus_handover.item WHERE fate = 'kept';
REVOKE ALL ON SCHEMA quietus_handover FROM PUBLIC;
GRANT USAGE ON SCHEMA quietus_handover TO {custodian};
GRANT SELECT, INSERT ON quietus_handover.bag, quietus_handover.item, quietus_handover.notice,
    quietus_handover.request TO {custodian};
GRANT UPDATE (stored_at, clocks) ON quietus_handover.bag TO {custodian};
GRANT UPDATE (notice, request, fate, until, why, restricted, key, body, path) ON quietus_handover.item TO {custodian};
GRANT SELECT ON quietus_handover.running, quietus_handover.clock, quietus_handover.carried TO {custodian};
