"""What a medium held, and by which standard and how far its sanitisation was verified. Records of before do not say so."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.sanitisation
    ADD COLUMN store     text,
    ADD COLUMN datasets  text[],
    ADD COLUMN sensitive boolean,
    ADD COLUMN procedure text,
    ADD COLUMN standard  text,
    ADD COLUMN verified_percent smallint CHECK (verified_percent BETWEEN 1 AND 100),
    ADD CHECK (num_nulls(datasets, sensitive, procedure, standard, verified_percent) IN (0, 5)),
    ADD CHECK (cardinality(datasets) > 0),
    ADD CHECK (store IS NULL OR datasets IS NOT NULL);
COMMENT ON COLUMN casebook.sanitisation.store IS 'whose medium it was; null: of none, or a record of before does not say';
COMMENT ON COLUMN casebook.sanitisation.datasets IS 'what it held, by the catalogue; null: a record of before does not say';
COMMENT ON COLUMN casebook.sanitisation.procedure IS 'the entry of media.yaml that it was held against';
COMMENT ON COLUMN casebook.sanitisation.verified_percent IS 'how much of it was read back, or looked at';
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
