"""Of a request about what the successor alone has: every token of the person, under each version of the key and for each account
that was named. One said only what was packed under the same version. And what a nightly look finds of people whose tombstones
came along: a finding of a case of another authority, of which there is none here."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0039"
down_revision = "0037"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.shutdown_request_token (
    number  text NOT NULL REFERENCES casebook.shutdown_order,
    token   bytea NOT NULL,
    request bigint NOT NULL REFERENCES casebook.shutdown_request,
    PRIMARY KEY (number, token)
);
CREATE INDEX shutdown_request_token_request ON casebook.shutdown_request_token (request);
COMMENT ON TABLE casebook.shutdown_request_token IS
    'who asks: a token for each account that was named, under each version of the key; of requests from before only one, until'
    ' it is taken again';
INSERT INTO casebook.shutdown_request_token (number, token, request) SELECT number, token, request FROM casebook.shutdown_request;
ALTER TABLE casebook.shutdown_request DROP COLUMN token;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.shutdown_request_token
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT ON casebook.shutdown_request_token TO quietus_case_writer;

ALTER TABLE casebook.adopted_tombstone ADD COLUMN adopted_at timestamptz NOT NULL DEFAULT clock_timestamp();
GRANT SELECT (adopted_at) ON casebook.adopted_tombstone TO quietus_reader;
CREATE TABLE casebook.adopted_finding (
    finding    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    of_case    text NOT NULL,
    code       text NOT NULL,
    dataset    text NOT NULL,
    place      text NOT NULL,
    items      bigint,
    what       text NOT NULL,
    next_step  text NOT NULL,
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    settled_by text,
    document   text,
    CHECK ((settled_at IS NULL) = (settled_by IS NULL)),
    CHECK (document IS NULL OR settled_at IS NOT NULL)
);
CREATE UNIQUE INDEX one_open_adopted_finding ON casebook.adopted_finding (of_case, code, place) WHERE settled_at IS NULL;
COMMENT ON TABLE casebook.adopted_finding IS 'somebody whom an authority deleted, whose tombstone came along, is here';
COMMENT ON COLUMN casebook.adopted_finding.of_case IS 'order and case of that authority';
COMMENT ON COLUMN casebook.adopted_finding.document IS
    'a person answers for it by this: it is right that it is there; null: it is there no more';
CREATE TABLE casebook.adopted_look (
    store   text NOT NULL,
    dataset text NOT NULL,
    xid     bigint NOT NULL,
    upto    timestamptz NOT NULL,
    day     date NOT NULL,
    PRIMARY KEY (store, dataset)
);
COMMENT ON COLUMN casebook.adopted_look.xid IS 'no transaction before it was open any more';
COMMENT ON COLUMN casebook.adopted_look.upto IS 'by tombstones that were adopted up to then';
GRANT SELECT, INSERT, UPDATE ON casebook.adopted_finding, casebook.adopted_look TO quietus_case_writer;
GRANT DELETE ON casebook.adopted_look TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.adopted_finding, casebook.adopted_look TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
