"""What a recipient is told after the day of the decision: a hold that is opened, and a retained answer that has no last
day, each with a round of its own; and when a retained answer is to be asked about next."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.outbox
    ADD COLUMN ask_again_on date,
    DROP CONSTRAINT outbox_because_check,
    ADD CONSTRAINT outbox_because_check CHECK (because IN ('decision', 'hold_opened', 'hold_released',
        'retention_ended', 'still_retained', 'not_deleted', 'reopened'));
COMMENT ON COLUMN casebook.outbox.ask_again_on IS
    'when what it retained is asked about again; null: nothing is retained, or a later round asks';
-- What was answered before: the day after its last one, or half a year after an answer that had none.
UPDATE casebook.outbox o SET ask_again_on = coalesce(retained_until + 1, (ended_on + interval '6 months')::date)
    WHERE state = 'tp_retained' AND NOT EXISTS (SELECT FROM casebook.outbox later WHERE later.case_no = o.case_no
        AND later.recipient = o.recipient AND later.round > o.round AND later.because = 'retention_ended');
DROP INDEX casebook.outbox_retained;
CREATE INDEX outbox_ask_again ON casebook.outbox (ask_again_on) WHERE ask_again_on IS NOT NULL;
GRANT SELECT (ask_again_on) ON casebook.outbox TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
