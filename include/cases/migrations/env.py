"""Alembic's entry. The connection is handed over by ``include.cases.migrate``; raw SQL only."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, version_table_schema="casebook")
with context.begin_transaction():
    context.run_migrations()
