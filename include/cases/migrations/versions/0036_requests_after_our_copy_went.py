"""Whose an item of a bag is, by keyed token; what its owner asks for once our copy went; and the successor's answers. And what
stays with a successor that withdrew; and of an order, whether a second regulator is told."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.handover_owner (
    order_no      text NOT NULL,
    bag           text NOT NULL,
    token         bytea NOT NULL,
    leaves        bytea NOT NULL CHECK (octet_length(leaves) % 32 = 0),
    PRIMARY KEY (order_no, bag, token),
    FOREIGN KEY (order_no, bag) REFERENCES casebook.handover_bag
);
CREATE INDEX handover_owner_token ON casebook.handover_owner (token);
COMMENT ON TABLE casebook.handover_owner IS
    'whose the items of a bag are, once nothing here says so any more; gone when no request can be passed on any more';
COMMENT ON COLUMN casebook.handover_owner.token IS 'keyed digest of the account id, as of the subjects of cases';
COMMENT ON COLUMN casebook.handover_owner.leaves IS 'digests of this owner''s items in the bag';

CREATE TABLE casebook.shutdown_request (
    request     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    token       bytea NOT NULL,
    asked_on    date NOT NULL,
    channel     text NOT NULL,
    method      text NOT NULL,
    fields      text[] NOT NULL CHECK (cardinality(fields) > 0),
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (number, token)
);
COMMENT ON TABLE casebook.shutdown_request IS 'of a person whose account is gone here: what the successor has of hers is to go';
COMMENT ON COLUMN casebook.shutdown_request.fields IS 'which kinds were compared to know who asks, never what they said';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_request
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();

CREATE TABLE casebook.handover_request (
    order_no    text NOT NULL,
    bag         text NOT NULL,
    request     int NOT NULL CHECK (request > 0),
    payload     bytea NOT NULL,
    envelope    bytea,
    asked       int NOT NULL CHECK (asked > 0),
    answer_by   date NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at     timestamptz,
    answered_at timestamptz,
    PRIMARY KEY (order_no, bag, request),
    FOREIGN KEY (order_no, bag) REFERENCES casebook.handover_bag,
    CHECK (sent_at IS NULL OR envelope IS NOT NULL),
    CHECK (answered_at IS NULL OR sent_at IS NOT NULL)
);
COMMENT ON TABLE casebook.handover_request IS 'items of a bag that the successor is asked to delete, since their owners ask';
CREATE FUNCTION casebook.request_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(NEW) - ARRAY['envelope', 'sent_at', 'answered_at'])
          <> (to_jsonb(OLD) - ARRAY['envelope', 'sent_at', 'answered_at'])
       OR (OLD.envelope IS NOT NULL AND NEW.envelope IS DISTINCT FROM OLD.envelope)
       OR (OLD.sent_at IS NOT NULL AND NEW.sent_at IS DISTINCT FROM OLD.sent_at)
       OR (OLD.answered_at IS NOT NULL AND NEW.answered_at IS DISTINCT FROM OLD.answered_at) THEN
        RAISE EXCEPTION 'a request only goes forward, and what it says does not change' USING ERRCODE = 'QT001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forward BEFORE UPDATE ON casebook.handover_request
    FOR EACH ROW EXECUTE FUNCTION casebook.request_goes_forward();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.handover_request
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

CREATE TABLE casebook.handover_request_receipt (
    receipt_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_no    text NOT NULL,
    bag         text NOT NULL,
    request     int NOT NULL,
    envelope    bytea NOT NULL,
    deleted     int NOT NULL,
    kept        int NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (order_no, bag, request) REFERENCES casebook.handover_request
);
COMMENT ON COLUMN casebook.handover_request_receipt.kept IS 'items that the successor restricted: a statute or hold keeps them';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.handover_request_receipt
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.handover_request_receipt
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

ALTER TABLE casebook.handover_bag ADD COLUMN left_items bigint CHECK (left_items >= 0),
    ADD COLUMN here_items bigint CHECK (here_items >= 0), ADD CHECK (num_nulls(left_items, here_items) IN (0, 2));
COMMENT ON COLUMN casebook.handover_bag.left_items IS
    'its successor withdrew: so many of its items stay with that company; 0: it counts no more; null: it is who takes over now';
COMMENT ON COLUMN casebook.handover_bag.here_items IS 'how many of its range were here then, and are packed anew';
CREATE OR REPLACE FUNCTION casebook.bag_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN
          (('packed', 'packed'), ('packed', 'sent'), ('sent', 'sent'), ('sent', 'received'), ('received', 'received'))
       OR (to_jsonb(NEW) - ARRAY['state', 'envelope', 'upload_id', 'sent_at', 'received_at', 'left_items', 'here_items'])
          <> (to_jsonb(OLD) - ARRAY['state', 'envelope', 'upload_id', 'sent_at', 'received_at', 'left_items', 'here_items'])
       OR (OLD.left_items IS NOT NULL AND to_jsonb(NEW) <> to_jsonb(OLD))
       OR (OLD.envelope IS NOT NULL AND NEW.envelope IS DISTINCT FROM OLD.envelope)
       OR (OLD.state = 'received' AND (NEW.sent_at, NEW.received_at) IS DISTINCT FROM (OLD.sent_at, OLD.received_at)) THEN
        RAISE EXCEPTION 'a bag only goes forward, and what it is does not change' USING ERRCODE = 'QT001';
    END IF;
    RETURN NEW;
END $$;
GRANT SELECT (left_items, here_items) ON casebook.handover_bag TO quietus_reader;

CREATE TABLE casebook.shutdown_left (
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    withdrew    bigint NOT NULL,
    company     text NOT NULL,
    contact     text NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, withdrew)
);
COMMENT ON TABLE casebook.shutdown_left IS 'a successor that withdrew, and keeps what it alone has: where people turn to';
COMMENT ON COLUMN casebook.shutdown_left.withdrew IS 'the event in which that was said';
GRANT SELECT, INSERT, UPDATE ON casebook.shutdown_left TO quietus_case_writer;
GRANT SELECT ON casebook.shutdown_left TO quietus_reader;

ALTER TABLE casebook.shutdown_order ADD COLUMN e_government boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN casebook.shutdown_order.e_government IS 'it has certificates for e-government: a second regulator is told';
ALTER TABLE casebook.shutdown_gate DROP CONSTRAINT shutdown_gate_gate_check, ADD CHECK (gate IN
    ('notified', 'reported', 'reported_e_government', 'announced', 'successor_told', 'closed'));

GRANT SELECT, INSERT, DELETE ON casebook.handover_owner TO quietus_case_writer;
GRANT UPDATE (leaves) ON casebook.handover_owner TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.shutdown_request, casebook.handover_request_receipt TO quietus_case_writer;
GRANT SELECT, INSERT, UPDATE ON casebook.handover_request TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT (request, number, asked_on, channel, method, recorded_by, recorded_at) ON casebook.shutdown_request
    TO quietus_reader;
GRANT SELECT ON casebook.handover_request, casebook.handover_request_receipt TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
