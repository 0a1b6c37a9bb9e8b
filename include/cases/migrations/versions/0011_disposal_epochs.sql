-- Waiting for backups is per disposal epoch (store x night), so that a million waiting cases are a few hundred rows.
CREATE TABLE casebook.epoch (
    epoch_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store              text NOT NULL,
    opened_on          date NOT NULL,
    no                 int NOT NULL DEFAULT 1,
    system             bigint,
    timeline           int,
    counter            bigint,
    position           bigint,
    moment             timestamptz NOT NULL,
    rewrite_wanted     boolean NOT NULL DEFAULT false,
    rewritten_position bigint,
    rewritten_at       timestamptz,
    settled_at         timestamptz,
    UNIQUE (store, opened_on, no),
    CHECK (num_nulls(system, timeline, counter, position) IN (0, 4))
);
COMMENT ON TABLE casebook.epoch IS 'everything that was disposed of in one store in one night';
COMMENT ON COLUMN casebook.epoch.position IS 'bytes of the store''s log, read after the last commit; null: it has none';
COMMENT ON COLUMN casebook.epoch.moment IS 'by the store''s clock, after the last commit';
COMMENT ON COLUMN casebook.epoch.rewrite_wanted IS 'a category asks that the bytes go too: copies made before the rewrite count';

COMMENT ON COLUMN casebook.epoch.settled_at IS 'every set is gone, and every case that waited for that has been certified anew';
CREATE INDEX epoch_unsettled ON casebook.epoch (store, opened_on) WHERE settled_at IS NULL;

CREATE TABLE casebook.epoch_step (
    epoch_id bigint NOT NULL REFERENCES casebook.epoch,
    step_id  text NOT NULL REFERENCES casebook.step,
    case_no  text NOT NULL REFERENCES casebook.case_,
    PRIMARY KEY (epoch_id, step_id)
);
CREATE INDEX ON casebook.epoch_step (case_no);
CREATE INDEX ON casebook.epoch_step (step_id);

CREATE TABLE casebook.epoch_set (
    epoch_id   bigint NOT NULL REFERENCES casebook.epoch,
    backup_set text NOT NULL,
    state      text NOT NULL,
    horizon    date,
    because    text NOT NULL,
    holding    text[] NOT NULL DEFAULT '{}',
    looked_at  timestamptz,
    purged_on  date,
    ledger_key text,
    PRIMARY KEY (epoch_id, backup_set),
    CHECK ((state = 'backup_purged') = (purged_on IS NOT NULL))
);
CREATE INDEX epoch_set_waiting ON casebook.epoch_set (backup_set, epoch_id) WHERE purged_on IS NULL;
COMMENT ON COLUMN casebook.epoch_set.horizon IS 'last day on which something reaches back, by what is known; null: open';
COMMENT ON COLUMN casebook.epoch_set.holding IS 'copies of the set that reached back when it was looked at last';
COMMENT ON COLUMN casebook.epoch_set.ledger_key IS 'the ledger''s entry in which it was seen to be gone';

-- What waited before: no position was read then, so that only a copy's time can tell. Each case has an epoch of its own. What was
-- recorded as gone by hand waits again: nobody has seen it to be gone.
CREATE TEMP TABLE was ON COMMIT DROP AS
    SELECT t.case_no, t.store, min(t.opened_on) AS first_on, max(t.opened_on) AS opened_on,
           (SELECT s.step_id FROM casebook.step s WHERE s.case_no = t.case_no AND s.kind = 'live'
             ORDER BY s.step_no DESC LIMIT 1) AS step_id
      FROM casebook.backup_track t GROUP BY t.case_no, t.store;
DELETE FROM was WHERE step_id IS NULL;
ALTER TABLE was ADD COLUMN no int;
UPDATE was SET no = n.no FROM (SELECT case_no, store, row_number() OVER (PARTITION BY store, opened_on ORDER BY case_no) AS no
                                 FROM was) AS n WHERE (n.case_no, n.store) = (was.case_no, was.store);
INSERT INTO casebook.epoch (store, opened_on, no, moment)
    SELECT store, opened_on, no, (opened_on + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' FROM was;
INSERT INTO casebook.epoch_step (epoch_id, step_id, case_no)
    SELECT e.epoch_id, was.step_id, was.case_no FROM was JOIN casebook.epoch e USING (store, opened_on, no);
INSERT INTO casebook.epoch_set (epoch_id, backup_set, state, horizon, because)
    SELECT e.epoch_id, t.backup_set, 'backup_pending', t.expected_horizon, 'the set''s own period; nobody has looked yet'
      FROM casebook.backup_track t JOIN was USING (case_no, store)
      JOIN casebook.epoch e ON (e.store, e.opened_on, e.no) = (was.store, was.opened_on, was.no);
DROP TABLE casebook.backup_track;

GRANT SELECT, INSERT, UPDATE ON casebook.epoch, casebook.epoch_set TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.epoch_step TO quietus_case_writer;
GRANT SELECT ON casebook.epoch, casebook.epoch_step, casebook.epoch_set TO quietus_reader;
