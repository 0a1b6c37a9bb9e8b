"""Of each sealed file of a data room whether it was ever put there: only what was is told of at its end."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

SQL = b"""
CREATE TABLE casebook.data_room_put (
    number     text NOT NULL,
    dataset    text NOT NULL,
    put        boolean NOT NULL,
    known_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, dataset),
    FOREIGN KEY (number, dataset) REFERENCES casebook.data_room_bag
);
COMMENT ON TABLE casebook.data_room_put IS 'a sealed file was put in its room, or never was; no row: nobody knows yet';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON casebook.data_room_put
    FOR EACH ROW EXECUTE FUNCTION casebook.append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON casebook.data_room_put
    FOR EACH STATEMENT EXECUTE FUNCTION casebook.append_only();

-- Where our copies are gone, or the counterparty has signed for its own, no look at the bucket tells any more.
INSERT INTO casebook.data_room_put (number, dataset, put)
SELECT b.number, b.dataset, true FROM casebook.data_room_bag AS b JOIN casebook.data_room AS r USING (number)
 WHERE r.ours_gone_on IS NOT NULL OR r.said IS NOT NULL;

GRANT SELECT, INSERT ON casebook.data_room_put TO quietus_case_writer;
GRANT SELECT ON casebook.data_room_put TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
