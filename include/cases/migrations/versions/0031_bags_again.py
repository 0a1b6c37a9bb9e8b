"""Since when a bag's items are those that were packed: what was disposed of before explains no gap in it. And a bag that was
signed for may be sent again, once its successor lost something of it. A data room that is over has a certificate."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.handover_bag ADD COLUMN read_at timestamptz;
COMMENT ON COLUMN casebook.handover_bag.read_at IS
    'when its dataset began to be read, of rows by their server''s clock; null: of the case book, or from before it was kept';
CREATE OR REPLACE FUNCTION casebook.bag_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN
          (('packed', 'packed'), ('packed', 'sent'), ('sent', 'sent'), ('sent', 'received'), ('received', 'received'))
       OR (to_jsonb(NEW) - ARRAY['state', 'envelope', 'upload_id', 'sent_at', 'received_at'])
          <> (to_jsonb(OLD) - ARRAY['state', 'envelope', 'upload_id', 'sent_at', 'received_at'])
       OR (OLD.envelope IS NOT NULL AND NEW.envelope IS DISTINCT FROM OLD.envelope)
       OR (OLD.state = 'received' AND (NEW.sent_at, NEW.received_at) IS DISTINCT FROM (OLD.sent_at, OLD.received_at)) THEN
        RAISE EXCEPTION 'a bag only goes forward, and what it is does not change' USING ERRCODE = 'QT001';
    END IF;
    RETURN NEW;
END $$;
GRANT SELECT (read_at) ON casebook.handover_bag TO quietus_reader;

ALTER TABLE casebook.data_room ADD COLUMN certificate_envelope text CHECK (certificate_envelope IS NULL OR said IS NOT NULL);
COMMENT ON COLUMN casebook.data_room.certificate_envelope IS 'the signed certificate of its end, issued once';
GRANT UPDATE (certificate_envelope) ON casebook.data_room TO quietus_case_writer;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
