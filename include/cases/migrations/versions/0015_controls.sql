-- A night of planted controls. The note says what is planted where, and is committed before anything is planted: a night
-- whose removed_at is null may have left something, and the next one removes it.
CREATE TABLE casebook.control_night (
    night_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day         date NOT NULL,
    key_id      text NOT NULL,
    sealed_note bytea NOT NULL,
    begun_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at  timestamptz,
    ended_at    timestamptz,
    verdict     text CHECK (verdict IN ('passed', 'failed')),
    named       integer,
    strangers   text[],
    ledger_key  text
);
CREATE INDEX ON casebook.control_night (day);
CREATE INDEX control_night_left ON casebook.control_night (night_id) WHERE removed_at IS NULL;
COMMENT ON COLUMN casebook.control_night.day IS 'in the PRC: the day whose evidence a missed control puts in doubt';
COMMENT ON COLUMN casebook.control_night.verdict IS 'null: the night did not come to its end';
COMMENT ON COLUMN casebook.control_night.strangers IS 'places that were named and where nothing was planted';

CREATE TABLE casebook.control_result (
    night_id bigint NOT NULL REFERENCES casebook.control_night,
    store    text NOT NULL,
    kind     text NOT NULL,
    proof    text NOT NULL,
    planted  integer NOT NULL,
    found    integer NOT NULL,
    outcome  text NOT NULL CHECK (outcome IN ('found', 'missed', 'not_applicable')),
    why      text NOT NULL DEFAULT '',
    PRIMARY KEY (night_id, store, kind)
);
COMMENT ON COLUMN casebook.control_result.proof IS 'the kind of evidence that must find it, and that is in doubt if it does not';
CREATE INDEX control_missed ON casebook.control_result (night_id) WHERE outcome = 'missed';

-- Who could take a missed control back could make that night's proofs count again.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.control_result
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.control_result
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
CREATE FUNCTION casebook.night_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (OLD.verdict IS NOT NULL
        AND to_jsonb(NEW) - 'removed_at' IS DISTINCT FROM to_jsonb(OLD) - 'removed_at')
    THEN
        RAISE EXCEPTION 'a night of controls is over once' USING ERRCODE = 'QC001';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION casebook.night_ends_once() FROM PUBLIC;
CREATE TRIGGER night_ends_once BEFORE UPDATE OR DELETE ON casebook.control_night
    FOR EACH ROW EXECUTE FUNCTION casebook.night_ends_once();

GRANT SELECT, INSERT ON casebook.control_night, casebook.control_result TO quietus_case_writer;
GRANT UPDATE (removed_at, ended_at, verdict, named, strangers, ledger_key) ON casebook.control_night
    TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT (night_id, day, begun_at, removed_at, ended_at, verdict, named, strangers, ledger_key)
    ON casebook.control_night TO quietus_reader;
GRANT SELECT ON casebook.control_result TO quietus_reader;
