"""Plugins are found as Airflow finds them: by their own directory."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cases.conftest import case_book, database, reader, writer

__all__ = ["case_book", "database", "reader", "writer"]

PLUGINS = str(Path(__file__).parents[2] / "plugins")
if PLUGINS not in sys.path:
    sys.path.insert(0, PLUGINS)
