"""The case book's servers, for tests of pages and tasks that read it."""

from __future__ import annotations

from tests.cases.conftest import case_book, database, reader, writer

__all__ = ["case_book", "database", "reader", "writer"]
