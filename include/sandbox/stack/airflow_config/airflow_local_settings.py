"""Airflow imports this at start, in every component.

Importing Great Expectations costs some six seconds of processor time, and every task is a fresh fork. The
scheduler imports it once; the tasks, forked from the scheduler, inherit it.
"""

import logging
import sys

logging.getLogger("great_expectations").setLevel(logging.WARNING)

if "scheduler" in sys.argv[1:2]:
    try:
        import great_expectations  # noqa: F401
    except ImportError:
        logging.getLogger(__name__).warning("Great Expectations is not installed; proofs will not run")
