"""Bags that are handed over to a successor, and what it signed of them. A bag only goes forward; a receipt never changes."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.handover_bag (
    order_no    text NOT NULL,
    bag         text NOT NULL,
    consignment text NOT NULL,
    dataset     text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('rows', 'objects', 'book')),
    shard       int NOT NULL CHECK (shard > 0),
    upto        text[],
    last        boolean NOT NULL,
    items       bigint NOT NULL CHECK (items >= 0),
    stays       jsonb NOT NULL DEFAULT '{}',
    root        text NOT NULL,
    salt        bytea NOT NULL CHECK (octet_length(salt) = 32),
    bytes       bigint NOT NULL CHECK (bytes > 0),
    sha256      text NOT NULL,
    statement   bytea NOT NULL,
    envelope    bytea,
    upload_id   text,
    state       text NOT NULL DEFAULT 'packed' CHECK (state IN ('packed', 'sent', 'received')),
    packed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at     timestamptz,
    received_at timestamptz,
    PRIMARY KEY (order_no, bag),
    UNIQUE (order_no, dataset, shard),
    CHECK ((state = 'packed') = (sent_at IS NULL)),
    CHECK ((state = 'received') = (received_at IS NOT NULL)),
    CHECK (state = 'packed' OR envelope IS NOT NULL)
);
COMMENT ON COLUMN casebook.handover_bag.consignment IS 'digest of the consignment it was packed by: of one order there is one';
COMMENT ON COLUMN casebook.handover_bag.upto IS 'key at which its range of the dataset ends; after the last bag nothing follows';
COMMENT ON COLUMN casebook.handover_bag.stays IS 'items of its range that do not go: how many, and why';
COMMENT ON COLUMN casebook.handover_bag.salt IS 'of its item digests. Whoever has it may try whether a known row was in the bag';
COMMENT ON COLUMN casebook.handover_bag.statement IS 'what is signed of it, before it is signed: a bag has one for ever';
CREATE FUNCTION casebook.bag_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (('packed', 'packed'), ('packed', 'sent'), ('sent', 'sent'), ('sent', 'received'))
       OR (to_jsonb(NEW) - ARRAY['state', 'envelope', 'upload_id', 'sent_at', 'received_at'])
          <> (to_jsonb(OLD) - ARRAY['state', 'envelope', 'upload_id', 'sent_at', 'received_at'])
       OR (OLD.envelope IS NOT NULL AND NEW.envelope IS DISTINCT FROM OLD.envelope) THEN
        RAISE EXCEPTION 'a bag only goes forward, and what it is does not change' USING ERRCODE = 'QT001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forward BEFORE UPDATE ON casebook.handover_bag
    FOR EACH ROW EXECUTE FUNCTION casebook.bag_goes_forward();

CREATE TABLE casebook.handover_receipt (
    receipt_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_no    text NOT NULL,
    bag         text NOT NULL,
    envelope    bytea NOT NULL,
    missing     int NOT NULL,
    changed     int NOT NULL,
    extra       int NOT NULL,
    reconciled  boolean NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (order_no, bag) REFERENCES casebook.handover_bag,
    CHECK (NOT reconciled OR missing + changed + extra = 0)
);
COMMENT ON TABLE casebook.handover_receipt IS 'receipts that the successor signed, those with differences too';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.handover_receipt
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.handover_receipt
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

GRANT SELECT, INSERT, UPDATE ON casebook.handover_bag TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.handover_receipt TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT (order_no, bag, consignment, dataset, kind, shard, upto, last, items, stays, root, bytes, sha256, statement,
              envelope, upload_id, state, packed_at, sent_at, received_at) ON casebook.handover_bag TO quietus_reader;
GRANT SELECT ON casebook.handover_receipt TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
