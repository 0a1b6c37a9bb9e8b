"""What became of media that held personal data: which, how, by whom, who checked, on what paper. Never changed."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.sanitisation (
    record_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    medium      text NOT NULL CHECK (medium IN ('disk', 'backup_volume', 'tape', 'bucket', 'key')),
    label       text NOT NULL CHECK (label <> ''),
    method      text NOT NULL CHECK (method IN ('erase', 'crypto_erase', 'physical')),
    technique   text NOT NULL CHECK (technique <> ''),
    sanitised_on date NOT NULL,
    operator    text NOT NULL,
    verifier    text NOT NULL,
    verified_by text NOT NULL CHECK (verified_by <> ''),
    document    text NOT NULL CHECK (document <> ''),
    backup_set  text,
    copies      text[] NOT NULL DEFAULT '{}',
    copies_seen_gone boolean,
    key_id      text,
    corrects    bigint UNIQUE REFERENCES casebook.sanitisation,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (split_part(operator, '/', 2) <> split_part(verifier, '/', 2)),
    CHECK (backup_set IS NOT NULL OR cardinality(copies) = 0),
    CHECK (method <> 'crypto_erase' OR key_id IS NOT NULL),
    CHECK (corrects < record_no)
);
COMMENT ON COLUMN casebook.sanitisation.verified_by IS 'how it was seen that nothing can be read any more';
COMMENT ON COLUMN casebook.sanitisation.copies_seen_gone IS 'the set was asked and had none of them; null: it could not be asked';
COMMENT ON COLUMN casebook.sanitisation.corrects IS 'the record that this one takes the place of';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.sanitisation
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.sanitisation
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();
GRANT SELECT, INSERT ON casebook.sanitisation TO quietus_case_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA casebook TO quietus_case_writer;
GRANT SELECT ON casebook.sanitisation TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
