-- The case book. Nothing personal in clear: sealed columns hold AES-256-GCM, tokens are HMAC-SHA-256, both
-- made by the client. quietus_reader sees neither (column grants at the end).

DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['quietus_case_writer', 'quietus_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END $$;

CREATE SEQUENCE casebook.case_number;
CREATE SEQUENCE casebook.hold_number;

CREATE TABLE casebook.case_ (
    case_no            text PRIMARY KEY CHECK (case_no ~ '^CASE-[0-9]{6,}$'),
    kind               text NOT NULL CHECK (kind IN ('request', 'nightly')),
    ground             text NOT NULL,
    channel            text NOT NULL,
    requester          text NOT NULL,
    opened_by          text NOT NULL,
    received_at        timestamptz NOT NULL,
    opened_on          date NOT NULL,
    state              text NOT NULL,
    key_id             text NOT NULL,
    verified_at        timestamptz,
    reply_due          date,
    reply_provisional  boolean NOT NULL DEFAULT false,
    finish_due         date,
    finish_provisional boolean NOT NULL DEFAULT false,
    approved_plan      text,
    told_at            timestamptz,
    parked_because     text,
    closed_at          timestamptz,
    CHECK ((verified_at IS NULL) = (reply_due IS NULL))
);
CREATE INDEX ON casebook.case_ (state);
CREATE INDEX ON casebook.case_ (reply_due) WHERE closed_at IS NULL;
COMMENT ON COLUMN casebook.case_.approved_plan IS 'fingerprint of the plan that was approved';

CREATE TABLE casebook.case_subject (
    case_no       text NOT NULL REFERENCES casebook.case_,
    subject_no    integer NOT NULL CHECK (subject_no >= 0),
    sealed_id     bytea NOT NULL,
    token         bytea NOT NULL,
    token_version integer NOT NULL,
    open          boolean NOT NULL DEFAULT true,
    solo          boolean NOT NULL,
    PRIMARY KEY (case_no, subject_no)
);
-- One open case per person. Members of a nightly cohort are not solo: a request may be opened beside it.
CREATE UNIQUE INDEX one_open_case ON casebook.case_subject (token) WHERE open AND solo;
CREATE INDEX ON casebook.case_subject (token);

CREATE TABLE casebook.unit (
    unit_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no       text NOT NULL REFERENCES casebook.case_,
    subject_no    integer NOT NULL CHECK (subject_no >= -1),
    category      text NOT NULL,
    dataset       text NOT NULL,
    copy_kind     text NOT NULL,
    part          integer NOT NULL DEFAULT 0,
    state         text NOT NULL,
    disposition   text,
    items         bigint NOT NULL,
    rule          text,
    law           text,
    until         date,
    waits_for     text,
    hold          text,
    rung_required smallint NOT NULL,
    rung_reached  smallint,
    UNIQUE (case_no, subject_no, category, dataset, copy_kind, part)
);
CREATE INDEX ON casebook.unit (until) WHERE state = 'restricted';
COMMENT ON COLUMN casebook.unit.subject_no IS '-1: the whole cohort of a case with many subjects';
COMMENT ON COLUMN casebook.unit.part IS 'items of one dataset may have several fates: one part each';

CREATE TABLE casebook.event (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no     text NOT NULL REFERENCES casebook.case_,
    unit_id     bigint REFERENCES casebook.unit,
    observed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    as_of       date NOT NULL,
    actor       text NOT NULL,
    what        text NOT NULL,
    from_state  text,
    to_state    text,
    law_row     smallint,
    detail      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON casebook.event (case_no, event_id);

CREATE TABLE casebook.identity_check (
    case_no     text NOT NULL REFERENCES casebook.case_,
    check_no    integer NOT NULL,
    method      text NOT NULL,
    fields      text[] NOT NULL CHECK (cardinality(fields) > 0),
    asked_at    timestamptz NOT NULL,
    asked_on    date NOT NULL,
    asked_by    text NOT NULL,
    answered_at timestamptz,
    answered_by text,
    outcome     text CHECK (outcome IN ('matched', 'mismatched', 'no_answer')),
    PRIMARY KEY (case_no, check_no),
    CHECK ((outcome IS NULL) = (answered_at IS NULL))
);
COMMENT ON COLUMN casebook.identity_check.fields IS 'names of the categories compared, never their values';

CREATE TABLE casebook.approval (
    case_no         text NOT NULL REFERENCES casebook.case_,
    approval_no     integer NOT NULL,
    decision        text NOT NULL CHECK (decision IN ('approve', 'refuse')),
    requester       text NOT NULL,
    approver        text NOT NULL,
    plan            text,
    scope           text[] NOT NULL DEFAULT '{}',
    ground          text,
    article         text,
    sealed_reasons  bytea,
    second_reviewer text,
    decided_at      timestamptz NOT NULL,
    PRIMARY KEY (case_no, approval_no),
    CHECK (split_part(approver, '/', 2) <> split_part(requester, '/', 2)),
    CHECK (decision <> 'refuse' OR (ground ~ '^11\.4\([1-8]\)$' AND article <> '' AND sealed_reasons IS NOT NULL
        AND second_reviewer <> '' AND second_reviewer <> approver AND cardinality(scope) > 0)),
    CHECK (decision <> 'approve' OR plan IS NOT NULL)
);

CREATE TABLE casebook.hold (
    hold             text PRIMARY KEY CHECK (hold ~ '^HOLD-[0-9]{6,}$'),
    basis            text NOT NULL CHECK (basis IN ('court', 'authority', 'statute', 'dispute')),
    document_no      text NOT NULL CHECK (document_no <> ''),
    issuing_body     text NOT NULL CHECK (issuing_body <> ''),
    law              text NOT NULL CHECK (law <> ''),
    confidential     boolean NOT NULL DEFAULT false,
    opened_on        date NOT NULL,
    opened_by        text NOT NULL,
    opened_in        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    review_due       date NOT NULL,
    released_on      date,
    released_by      text,
    release_document text,
    CHECK ((released_on IS NULL) = (release_document IS NULL))
);
CREATE TABLE casebook.hold_scope (
    hold    text NOT NULL REFERENCES casebook.hold,
    side    text NOT NULL CHECK (side IN ('case', 'subject', 'category', 'dataset')),
    value   text,
    token   bytea,
    removed_on date,
    CHECK ((side = 'subject') = (token IS NOT NULL) AND (side = 'subject') = (value IS NULL)),
    UNIQUE NULLS NOT DISTINCT (hold, side, value, token)
);

CREATE TABLE casebook.step (
    step_id     text PRIMARY KEY,
    case_no     text NOT NULL REFERENCES casebook.case_,
    kind        text NOT NULL CHECK (kind IN ('rehearsal', 'live')),
    step_no     integer NOT NULL,
    as_of       date NOT NULL,
    restricting boolean NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at   timestamptz,
    UNIQUE (case_no, kind, step_no)
);
CREATE TABLE casebook.plan (
    plan_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step_id     text NOT NULL REFERENCES casebook.step,
    case_no     text NOT NULL REFERENCES casebook.case_,
    fingerprint text NOT NULL,
    body        jsonb NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (step_id, fingerprint)
);
CREATE TABLE casebook.receipt (
    step_id text NOT NULL REFERENCES casebook.step,
    case_no text NOT NULL REFERENCES casebook.case_,
    store   text NOT NULL,
    verb    text NOT NULL CHECK (verb IN ('restrict', 'dispose')),
    chunk   integer NOT NULL,
    plan    text NOT NULL,
    body    jsonb NOT NULL,
    PRIMARY KEY (step_id, store, verb, chunk, plan)
);

CREATE TABLE casebook.outbox (
    notice_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no         text NOT NULL REFERENCES casebook.case_,
    recipient       text NOT NULL,
    channel         text NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    sealed_payload  bytea NOT NULL,
    items           bigint NOT NULL,
    state           text NOT NULL,
    written_at      timestamptz NOT NULL,
    remind_on       date NOT NULL,
    target_on       date NOT NULL,
    escalate_on     date NOT NULL,
    sent_at         timestamptz,
    answer_code     text,
    answer_digest   text,
    answered_at     timestamptz
);
CREATE INDEX ON casebook.outbox (case_no);
CREATE INDEX ON casebook.outbox (state, escalate_on);

CREATE TABLE casebook.backup_track (
    case_no          text NOT NULL REFERENCES casebook.case_,
    backup_set       text NOT NULL,
    store            text NOT NULL,
    state            text NOT NULL,
    opened_on        date NOT NULL,
    expected_horizon date NOT NULL,
    purged_on        date,
    PRIMARY KEY (case_no, backup_set)
);
CREATE INDEX ON casebook.backup_track (expected_horizon) WHERE purged_on IS NULL;

CREATE TABLE casebook.finding (
    finding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no    text NOT NULL REFERENCES casebook.case_,
    code       text NOT NULL,
    dataset    text,
    place      text NOT NULL,
    items      bigint,
    what       text NOT NULL,
    next_step  text NOT NULL,
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    settled_by text,
    settlement text
);
CREATE UNIQUE INDEX one_open_finding ON casebook.finding (case_no, code, place) WHERE settled_at IS NULL;

CREATE TABLE casebook.evidence_ref (
    ledger_key  text PRIMARY KEY,
    case_no     text NOT NULL REFERENCES casebook.case_,
    step_id     text NOT NULL,
    kind        text NOT NULL,
    store       text,
    verdict     text NOT NULL,
    fingerprint text NOT NULL,
    body        jsonb NOT NULL,
    observed_at timestamptz NOT NULL
);
CREATE INDEX ON casebook.evidence_ref (case_no, observed_at);

CREATE TABLE casebook.tombstone (
    kind          text NOT NULL,
    token         bytea NOT NULL,
    token_version integer NOT NULL,
    case_no       text NOT NULL REFERENCES casebook.case_,
    made_on       date NOT NULL,
    expires_on    date,
    PRIMARY KEY (kind, token)
);

-- The timeline, decisions, plans, receipts and evidence are append-only, for the owner too.
CREATE FUNCTION casebook.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'casebook.% is append-only', TG_TABLE_NAME USING ERRCODE = 'QC001';
END $$;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['event', 'approval', 'plan', 'receipt', 'evidence_ref'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.%I '
                       'FOR EACH ROW EXECUTE FUNCTION casebook.append_only()', name);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only()', name);
    END LOOP;
END $$;

-- A hold never widens: its items are written in the transaction that opens it, and later only removed.
CREATE FUNCTION casebook.hold_never_widens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF (SELECT opened_in FROM casebook.hold h WHERE h.hold = NEW.hold) <> pg_current_xact_id() THEN
            RAISE EXCEPTION 'a hold never widens' USING ERRCODE = 'QC002';
        END IF;
    ELSIF TG_OP = 'DELETE' OR OLD.removed_on IS NOT NULL OR NEW.removed_on IS NULL
        OR (NEW.hold, NEW.side, NEW.value, NEW.token) IS DISTINCT FROM (OLD.hold, OLD.side, OLD.value, OLD.token)
    THEN
        RAISE EXCEPTION 'a hold never widens' USING ERRCODE = 'QC002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER never_widens BEFORE INSERT OR UPDATE OR DELETE ON casebook.hold_scope
    FOR EACH ROW EXECUTE FUNCTION casebook.hold_never_widens();

REVOKE ALL ON SCHEMA casebook FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA casebook FROM PUBLIC;
GRANT USAGE ON SCHEMA casebook TO quietus_case_writer, quietus_reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA casebook TO quietus_case_writer;
GRANT UPDATE ON casebook.case_, casebook.case_subject, casebook.unit, casebook.identity_check, casebook.hold,
    casebook.hold_scope, casebook.step, casebook.outbox, casebook.backup_track, casebook.finding
    TO quietus_case_writer;
GRANT DELETE ON casebook.tombstone TO quietus_case_writer;

-- The reader sees every column but the sealed ones and the tokens.
DO $$
DECLARE seen record;
BEGIN
    FOR seen IN
        SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS columns
        FROM information_schema.columns
        WHERE table_schema = 'casebook' AND column_name NOT LIKE 'sealed%' AND column_name <> 'token'
          AND table_name <> 'alembic_version'
        GROUP BY table_name
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON casebook.%I TO quietus_reader', seen.columns, seen.table_name);
    END LOOP;
END $$;
