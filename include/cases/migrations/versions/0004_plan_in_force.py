"""The plan in force of a step, and the holds that it was weighed with: said, not inferred from what was stored last."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = b"""
ALTER TABLE casebook.step ADD COLUMN plan text, ADD COLUMN held text[];
UPDATE casebook.step s SET plan = (
    SELECT p.fingerprint FROM casebook.plan p WHERE p.step_id = s.step_id ORDER BY p.plan_id DESC LIMIT 1);
COMMENT ON COLUMN casebook.step.plan IS 'fingerprint of the plan in force: a plan may come back after another';
COMMENT ON COLUMN casebook.step.held IS 'what holds reached when it was weighed: dataset, hold, people; null: not known';
GRANT SELECT (plan, held) ON casebook.step TO quietus_reader;
"""


def upgrade() -> None:
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(SQL)
