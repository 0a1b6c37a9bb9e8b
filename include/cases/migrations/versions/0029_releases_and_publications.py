"""Releases of sets that name nobody: which case made each, and to whom what was given out."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.release_run (
    case_no   text PRIMARY KEY REFERENCES casebook.case_,
    release   text NOT NULL,
    as_of     date NOT NULL,
    began_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    located   bigint NOT NULL CHECK (located > 0),
    released  bigint,
    erased    bigint,
    unhidden  text,
    ended_at  timestamptz,
    CHECK ((released IS NULL) = (erased IS NULL)),
    CHECK (ended_at IS NULL OR released IS NOT NULL)
);
CREATE UNIQUE INDEX one_release_under_way ON casebook.release_run (release) WHERE ended_at IS NULL;
COMMENT ON TABLE casebook.release_run IS 'policy 2.10, 3.3, 3.4: rows that were made a set in which nobody is found';
COMMENT ON COLUMN casebook.release_run.unhidden IS 'why nothing was released: no declared level hides everybody';

CREATE TABLE casebook.publication (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    what         text NOT NULL,
    recipient    text NOT NULL CHECK (recipient <> ''),
    purpose      text NOT NULL CHECK (purpose <> ''),
    document     text NOT NULL CHECK (document <> ''),
    sha256       text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    rows         bigint NOT NULL CHECK (rows > 0),
    report       jsonb NOT NULL,
    as_of        date NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_by text NOT NULL
);
COMMENT ON TABLE casebook.publication IS 'clause 34: no set is given out without its test of re-identification';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.publication
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.publication
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

GRANT SELECT, INSERT ON casebook.release_run TO quietus_case_writer;
GRANT UPDATE (released, erased, unhidden, ended_at) ON casebook.release_run TO quietus_case_writer;
GRANT SELECT, INSERT ON casebook.publication TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.release_run, casebook.publication TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
