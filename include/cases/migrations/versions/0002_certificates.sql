-- A certificate begins as a draft: trying again after a crash must say the same, to the second. The editions are
-- files for people outside; they are kept here too, so that losing a directory loses no receipt.
CREATE TABLE casebook.certificate (
    case_no   text NOT NULL REFERENCES casebook.case_,
    serial    integer NOT NULL CHECK (serial >= 1),
    kind      text NOT NULL CHECK (kind IN ('interim', 'final')),
    content   text NOT NULL, -- SHA-256 of what the draft says, without its moment: the same content is not issued twice
    draft     jsonb NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    person    text,
    auditor   text,
    entry     bigint, -- of the ledger, which fixes both editions
    issued_at timestamptz,
    PRIMARY KEY (case_no, serial),
    CHECK ((person IS NULL) = (issued_at IS NULL) AND (auditor IS NULL) = (issued_at IS NULL))
);

-- Once issued it stays as it is: a later certificate has a higher serial.
CREATE FUNCTION casebook.issued_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.issued_at IS NOT NULL
        OR (NEW.case_no, NEW.serial, NEW.kind, NEW.content, NEW.draft)
            IS DISTINCT FROM (OLD.case_no, OLD.serial, OLD.kind, OLD.content, OLD.draft)
    THEN
        RAISE EXCEPTION 'casebook.certificate is append-only' USING ERRCODE = 'QC001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER issued_once BEFORE UPDATE OR DELETE ON casebook.certificate
    FOR EACH ROW EXECUTE FUNCTION casebook.issued_once();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.certificate
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
REVOKE ALL ON FUNCTION casebook.issued_once() FROM PUBLIC;

GRANT SELECT, INSERT ON casebook.certificate TO quietus_case_writer;
GRANT UPDATE (person, auditor, entry, issued_at) ON casebook.certificate TO quietus_case_writer;
-- The draft names holds that are confidential; the reader serves both editions and needs only those.
GRANT SELECT (case_no, serial, kind, begun_at, person, auditor, entry, issued_at)
    ON casebook.certificate TO quietus_reader;
