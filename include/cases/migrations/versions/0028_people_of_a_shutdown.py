"""People of a shutdown: who approved an order, who was told, who objects; and what a successor is told after bags were packed."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.shutdown_approval (
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    approver    text NOT NULL,
    approved_on date NOT NULL,
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, approver)
);
COMMENT ON TABLE casebook.shutdown_approval IS 'each of the two by himself; until both have, the order is not in force';
-- Orders from before: whoever opened them named both, and that counted.
INSERT INTO casebook.shutdown_approval (number, approver, approved_on)
SELECT number, unnest(approvers), opened_on FROM casebook.shutdown_order;

-- One telling of everybody: with which letter, and of which successor.
CREATE TABLE casebook.shutdown_telling (
    telling     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    letter      text NOT NULL CHECK (letter ~ '^[0-9a-f]{64}$'),
    successor   text,
    t0          date NOT NULL,
    began_on    date NOT NULL,
    began_by    text NOT NULL,
    whole_on    date,
    UNIQUE (number, letter)
);
COMMENT ON COLUMN casebook.shutdown_telling.letter IS 'SHA-256 of what everybody is told, which names nobody';
COMMENT ON COLUMN casebook.shutdown_telling.whole_on IS 'when every account there was had been come to';
CREATE TABLE casebook.shutdown_told (
    telling     bigint NOT NULL REFERENCES casebook.shutdown_telling,
    token       bytea NOT NULL,
    token_version int NOT NULL,
    state       text NOT NULL CHECK (state IN ('sending', 'told', 'no_address', 'refused', 'in_doubt', 'later')),
    tried_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (telling, token)
);
COMMENT ON COLUMN casebook.shutdown_told.token IS 'keyed digest of the account id, as of the subjects of cases';
COMMENT ON COLUMN casebook.shutdown_told.state IS 'sending: handed over, and nobody knows yet how that ended';

CREATE TABLE casebook.shutdown_objection (
    objection   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      text NOT NULL REFERENCES casebook.shutdown_order,
    token       bytea NOT NULL,
    token_version int NOT NULL,
    objected_on date NOT NULL,
    channel     text NOT NULL,
    method      text NOT NULL,
    fields      text[] NOT NULL CHECK (cardinality(fields) > 0),
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (number, token)
);
COMMENT ON TABLE casebook.shutdown_objection IS 'to the handover: lifts no ESL 23, 24; what goes by these goes restricted';
COMMENT ON COLUMN casebook.shutdown_objection.fields IS 'which kinds were compared to know who asks, never what they said';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_objection
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();

-- The digests of a bag's items, in their order: which of them are here still can be told item by item.
CREATE TABLE casebook.handover_leaves (
    order_no    text NOT NULL,
    bag         text NOT NULL,
    leaves      bytea NOT NULL CHECK (octet_length(leaves) % 32 = 0),
    PRIMARY KEY (order_no, bag),
    FOREIGN KEY (order_no, bag) REFERENCES casebook.handover_bag
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.handover_leaves
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();

CREATE TABLE casebook.handover_notice (
    order_no    text NOT NULL,
    bag         text NOT NULL,
    notice      int NOT NULL CHECK (notice > 0),
    payload     bytea NOT NULL,
    envelope    bytea,
    sealed      bytea,
    removed     int NOT NULL CHECK (removed >= 0),
    added       int NOT NULL CHECK (added >= 0),
    items       bigint NOT NULL CHECK (items >= 0),
    root        text NOT NULL,
    leaves      bytea NOT NULL CHECK (octet_length(leaves) % 32 = 0),
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at     timestamptz,
    followed_at timestamptz,
    PRIMARY KEY (order_no, bag, notice),
    FOREIGN KEY (order_no, bag) REFERENCES casebook.handover_bag,
    CHECK ((sealed IS NULL) = (added = 0)),
    CHECK (removed + added > 0),
    CHECK (sent_at IS NULL OR envelope IS NOT NULL),
    CHECK (followed_at IS NULL OR sent_at IS NOT NULL)
);
COMMENT ON TABLE casebook.handover_notice IS 'what became of packed items; items, root, leaves: of the bag from then on';
CREATE FUNCTION casebook.notice_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(NEW) - ARRAY['envelope', 'sent_at', 'followed_at'])
          <> (to_jsonb(OLD) - ARRAY['envelope', 'sent_at', 'followed_at'])
       OR (OLD.envelope IS NOT NULL AND NEW.envelope IS DISTINCT FROM OLD.envelope)
       OR (OLD.sent_at IS NOT NULL AND NEW.sent_at IS DISTINCT FROM OLD.sent_at)
       OR (OLD.followed_at IS NOT NULL AND NEW.followed_at IS DISTINCT FROM OLD.followed_at) THEN
        RAISE EXCEPTION 'a notice only goes forward, and what it says does not change' USING ERRCODE = 'QT001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forward BEFORE UPDATE ON casebook.handover_notice
    FOR EACH ROW EXECUTE FUNCTION casebook.notice_goes_forward();

CREATE TABLE casebook.handover_notice_receipt (
    receipt_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_no    text NOT NULL,
    bag         text NOT NULL,
    notice      int NOT NULL,
    envelope    bytea NOT NULL,
    kept        int NOT NULL,
    reconciled  boolean NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (order_no, bag, notice) REFERENCES casebook.handover_notice
);
COMMENT ON COLUMN casebook.handover_notice_receipt.kept IS 'items that the successor restricted: a statute or hold keeps them';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.handover_notice_receipt
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();

GRANT SELECT, INSERT ON casebook.shutdown_approval, casebook.shutdown_objection, casebook.handover_leaves,
    casebook.handover_notice_receipt TO quietus_case_writer;
GRANT SELECT, INSERT, UPDATE ON casebook.shutdown_telling, casebook.shutdown_told, casebook.handover_notice
    TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.shutdown_approval, casebook.shutdown_telling, casebook.handover_notice_receipt TO quietus_reader;
GRANT SELECT (telling, state, tried_at) ON casebook.shutdown_told TO quietus_reader;
GRANT SELECT (objection, number, objected_on, channel, method, recorded_by, recorded_at) ON casebook.shutdown_objection
    TO quietus_reader;
GRANT SELECT (order_no, bag, notice, payload, envelope, removed, added, items, root, made_at, sent_at, followed_at)
    ON casebook.handover_notice TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
