-- Synthetic people: accounts of our own that recipients take for customers. Which account each is, and under which
-- numbers a recipient knows it, is sealed with a key of its own: whoever reads the book cannot tell them apart.
CREATE SEQUENCE casebook.synthetic_number;
CREATE TABLE casebook.synthetic (
    name          text PRIMARY KEY CHECK (name ~ '^SYN-[0-9]{6,}$'),
    sealed_id     bytea NOT NULL,
    token         bytea NOT NULL UNIQUE,
    token_version integer NOT NULL,
    key_id        text NOT NULL,
    registered_on date NOT NULL,
    registered_by text NOT NULL
);
CREATE TABLE casebook.synthetic_at (
    name             text NOT NULL REFERENCES casebook.synthetic,
    recipient        text NOT NULL,
    reference_no     integer NOT NULL CHECK (reference_no >= 1),
    sealed_reference bytea NOT NULL,
    registered_on    date NOT NULL,
    registered_by    text NOT NULL,
    PRIMARY KEY (name, recipient, reference_no)
);
CREATE INDEX ON casebook.synthetic_at (recipient);
-- Said when the case is opened, under every living version of the token's key: later nothing need be looked up.
CREATE TABLE casebook.synthetic_case (
    case_no text PRIMARY KEY REFERENCES casebook.case_,
    name    text NOT NULL REFERENCES casebook.synthetic
);
CREATE INDEX ON casebook.synthetic_case (name);

CREATE TABLE casebook.probe (
    probe_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id  uuid NOT NULL REFERENCES casebook.outbox (request_id),
    case_no     text NOT NULL REFERENCES casebook.case_,
    recipient   text NOT NULL,
    phase       text NOT NULL CHECK (phase IN ('before', 'after')),
    known       boolean,
    as_of       date NOT NULL,
    observed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    to_say      boolean NOT NULL DEFAULT false,
    ledger_key  text
);
CREATE INDEX ON casebook.probe (request_id);
CREATE UNIQUE INDEX asked_after_once ON casebook.probe (request_id) WHERE phase = 'after';
CREATE INDEX probe_not_said ON casebook.probe (probe_id) WHERE to_say AND ledger_key IS NULL;
COMMENT ON COLUMN casebook.probe.phase IS 'before the notice was sent, or after the recipient said that it deleted';
COMMENT ON COLUMN casebook.probe.known IS 'whether it knows the person by one of its own numbers; null: it would not say';
COMMENT ON COLUMN casebook.probe.to_say IS 'whether it is evidence: of a synthetic person, or of whoever was caught';
COMMENT ON COLUMN casebook.probe.ledger_key IS 'of the entry that says this; null: none yet, if it is to be said';
-- What was asked before there was this table stands on the timeline.
INSERT INTO casebook.probe (request_id, case_no, recipient, phase, known, as_of, observed_at, to_say)
    SELECT (detail ->> 'request')::uuid, case_no, detail ->> 'recipient', 'after', (detail ->> 'known')::boolean,
        as_of, observed_at, (detail ->> 'known')::boolean IS TRUE
    FROM casebook.event WHERE what = 'looked at again' ORDER BY event_id
    ON CONFLICT DO NOTHING;

-- What a recipient said stays said; only where the ledger has it is added.
CREATE FUNCTION casebook.probed_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.ledger_key IS NOT NULL
        OR to_jsonb(NEW) - 'ledger_key' IS DISTINCT FROM to_jsonb(OLD) - 'ledger_key'
    THEN
        RAISE EXCEPTION 'casebook.probe is append-only' USING ERRCODE = 'QC001';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION casebook.probed_once() FROM PUBLIC;
CREATE TRIGGER probed_once BEFORE UPDATE OR DELETE ON casebook.probe
    FOR EACH ROW EXECUTE FUNCTION casebook.probed_once();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.probe
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

-- What the word that somebody is gone was worth. A no counts only after a yes.
CREATE VIEW casebook.word_kept AS
    SELECT o.request_id, o.case_no, o.recipient, o.round, s.name IS NOT NULL AS synthetic,
        b.known AS before, b.observed_at AS before_at, a.known AS after, a.observed_at AS after_at, a.as_of AS asked_on,
        a.probe_id, a.to_say, a.ledger_key,
        CASE WHEN a.known THEN 'caught' WHEN b.known AND NOT a.known THEN 'verified'
            WHEN NOT b.known AND NOT a.known THEN 'not_seen_before' ELSE 'unverified' END AS found
    FROM casebook.outbox o
    LEFT JOIN casebook.synthetic_case s USING (case_no)
    LEFT JOIN (SELECT DISTINCT ON (request_id) request_id, known, observed_at FROM casebook.probe
        WHERE phase = 'before' ORDER BY request_id, known DESC NULLS LAST, probe_id) b USING (request_id)
    LEFT JOIN casebook.probe a ON a.request_id = o.request_id AND a.phase = 'after'
    WHERE o.state = 'tp_acked' OR a.probe_id IS NOT NULL;
COMMENT ON VIEW casebook.word_kept IS 'a row for each notice that ended with "it is gone": what came of asking before and after';

GRANT SELECT, INSERT, DELETE ON casebook.synthetic, casebook.synthetic_at TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.synthetic_case, casebook.probe TO quietus_case_writer;
GRANT UPDATE (ledger_key) ON casebook.probe TO quietus_case_writer;
GRANT SELECT ON casebook.word_kept TO quietus_case_writer, quietus_reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT (name, token_version, key_id, registered_on, registered_by) ON casebook.synthetic TO quietus_reader;
GRANT SELECT (name, recipient, reference_no, registered_on, registered_by) ON casebook.synthetic_at TO quietus_reader;
GRANT SELECT ON casebook.synthetic_case, casebook.probe TO quietus_reader;
