ALTER TABLE casebook.outbox
    ADD COLUMN request_id     uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN round          integer NOT NULL DEFAULT 1 CHECK (round >= 1),
    ADD COLUMN instruction    text NOT NULL DEFAULT 'erase'
        CHECK (instruction IN ('erase', 'preserve', 'inform', 'stop_anchoring')),
    ADD COLUMN erase          text[],
    ADD COLUMN preserve       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN because        text NOT NULL DEFAULT 'decision'
        CHECK (because IN ('decision', 'hold_released', 'retention_ended', 'not_deleted', 'reopened')),
    ADD COLUMN delivery       text NOT NULL DEFAULT 'waiting' CHECK (delivery IN
        ('waiting', 'sending', 'delivered', 'in_doubt', 'errand', 'refused', 'cancelled')),
    ADD COLUMN attempts       integer NOT NULL DEFAULT 0,
    ADD COLUMN asked          integer NOT NULL DEFAULT 0,
    ADD COLUMN due_at         timestamptz,
    ADD COLUMN reminded_on    date,
    ADD COLUMN receipt        text,
    ADD COLUMN expected_on    date,
    ADD COLUMN why            text,
    ADD COLUMN objection      text,
    ADD COLUMN retained_until date,
    ADD COLUMN ended_on       date,
    ADD COLUMN sealed_proof   bytea,
    ADD COLUMN destroyed_on   date,
    ALTER COLUMN sealed_payload DROP NOT NULL,
    ADD CHECK (sealed_payload IS NOT NULL OR destroyed_on IS NOT NULL),
    ADD UNIQUE (case_no, recipient, round);
-- What was written before. Told by hand is told; what is still to be told is the machine's from now on. A case that is
-- open keeps its clocks. Which categories an old notice was about stands in its seal: null is all of the recipient's.
UPDATE casebook.outbox SET
    instruction = CASE channel WHEN 'information' THEN 'inform' WHEN 'ledger' THEN 'stop_anchoring' ELSE 'erase' END,
    delivery = CASE WHEN sent_at IS NULL AND state = 'tp_notified' THEN 'waiting' ELSE 'delivered' END,
    ended_on = CASE WHEN state <> 'tp_notified' THEN (answered_at AT TIME ZONE 'Asia/Shanghai')::date END,
    due_at = CASE WHEN state <> 'tp_notified' THEN NULL WHEN sent_at IS NULL THEN clock_timestamp()
        ELSE remind_on::timestamp AT TIME ZONE 'Asia/Shanghai' END;
ALTER TABLE casebook.outbox ALTER COLUMN request_id DROP DEFAULT;
COMMENT ON COLUMN casebook.outbox.request_id IS 'the notice''s name to the recipient, however often it is sent';
COMMENT ON COLUMN casebook.outbox.due_at IS 'when the machine next has something to send or ask; null: it has nothing to do';
COMMENT ON COLUMN casebook.outbox.why IS 'how the last attempt ended; quotes nothing that the other side sent';
COMMENT ON COLUMN casebook.outbox.objection IS 'why an answer was not accepted: the recipient is still to be told';
-- A pass looks at what is due, and at nothing else, however many notices wait for an answer.
CREATE INDEX outbox_due ON casebook.outbox (recipient, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_cut_off ON casebook.outbox (recipient) WHERE delivery = 'sending';
CREATE INDEX outbox_errand ON casebook.outbox (case_no) WHERE delivery IN ('in_doubt', 'errand', 'refused');
CREATE INDEX outbox_retained ON casebook.outbox (retained_until) WHERE state = 'tp_retained';

CREATE TABLE casebook.answer (
    answer_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id      uuid NOT NULL REFERENCES casebook.outbox (request_id),
    case_no         text NOT NULL REFERENCES casebook.case_,
    recipient       text NOT NULL,
    digest          text NOT NULL,
    part            integer NOT NULL CHECK (part >= 1),
    code            text NOT NULL,
    categories      text[] NOT NULL,
    until           date,
    law             text,
    items           bigint,
    accepted        boolean NOT NULL,
    for_a_person    boolean NOT NULL DEFAULT false,
    why             text NOT NULL DEFAULT '',
    via             text NOT NULL CHECK (via IN ('callback', 'poll', 'person')),
    as_of           date NOT NULL,
    observed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed_evidence bytea,
    UNIQUE (request_id, digest, part)
);
CREATE INDEX ON casebook.answer (case_no);
CREATE INDEX ON casebook.answer (recipient, observed_at);
COMMENT ON COLUMN casebook.answer.digest IS 'SHA-256 of the message as it came: the same one again changes nothing';
-- What a person decided of a part that the machine cannot judge. It is decided once.
CREATE TABLE casebook.answer_decision (
    answer_id  bigint PRIMARY KEY REFERENCES casebook.answer,
    accepted   boolean NOT NULL,
    why        text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Answers are append-only, but for their evidence, which is destroyed when its years are over (RS-22).
CREATE FUNCTION casebook.answered_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.sealed_evidence IS NOT NULL
        OR to_jsonb(NEW) - 'sealed_evidence' IS DISTINCT FROM to_jsonb(OLD) - 'sealed_evidence'
    THEN
        RAISE EXCEPTION 'casebook.answer is append-only' USING ERRCODE = 'QC001';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION casebook.answered_once() FROM PUBLIC;
CREATE TRIGGER answered_once BEFORE UPDATE OR DELETE ON casebook.answer
    FOR EACH ROW EXECUTE FUNCTION casebook.answered_once();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.answer
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.answer_decision
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.answer_decision
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

-- Who is escalated is given nothing more, until a person lifts that. The company's systems read the view.
CREATE TABLE casebook.stop (
    stop_no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient  text NOT NULL,
    case_no    text NOT NULL REFERENCES casebook.case_,
    stopped_on date NOT NULL,
    lifted_on  date,
    lifted_by  text,
    reason     text,
    CHECK ((lifted_on IS NULL) = (lifted_by IS NULL) AND (lifted_on IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX one_stop ON casebook.stop (recipient) WHERE lifted_on IS NULL;
CREATE VIEW casebook.stopped_recipient AS
    SELECT recipient, stopped_on, case_no FROM casebook.stop WHERE lifted_on IS NULL;
COMMENT ON VIEW casebook.stopped_recipient IS 'to whom nothing more may be given';

-- How many notices a recipient was sent in the minute that runs.
CREATE TABLE casebook.pace (
    recipient text PRIMARY KEY,
    minute    timestamptz NOT NULL,
    sent      integer NOT NULL
);

GRANT SELECT, INSERT ON casebook.answer, casebook.answer_decision TO quietus_case_writer;
GRANT UPDATE (sealed_evidence) ON casebook.answer TO quietus_case_writer;
GRANT SELECT, INSERT, UPDATE ON casebook.stop, casebook.pace TO quietus_case_writer;
GRANT SELECT ON casebook.stopped_recipient TO quietus_case_writer, quietus_reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT (request_id, round, instruction, erase, preserve, because, delivery, attempts, asked, due_at, reminded_on,
    receipt, expected_on, why, objection, retained_until, ended_on, destroyed_on) ON casebook.outbox TO quietus_reader;
GRANT SELECT (answer_id, request_id, case_no, recipient, digest, part, code, categories, until, law, items, accepted,
    for_a_person, why, via, as_of, observed_at) ON casebook.answer TO quietus_reader;
GRANT SELECT ON casebook.answer_decision, casebook.stop TO quietus_reader;
