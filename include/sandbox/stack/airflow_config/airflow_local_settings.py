"""Airflow imports this at start, in every component.

Every task is a fresh fork of the scheduler (with CeleryExecutor, of a worker), and inherits what that has imported.
Great Expectations alone costs some four seconds of processor time, the catalogue and the drivers another one: so they
are paid for once. The catalogue is kept by its files' digest, so one that was edited meanwhile is read anew; changed
code wants a restart.
"""

import logging
import sys

logging.getLogger("great_expectations").setLevel(logging.WARNING)

if sys.argv[1:2] in (["scheduler"], ["celery"]):
    try:
        import boto3  # noqa: F401
        import great_expectations  # noqa: F401

        from include import proofs  # noqa: F401
        from include.cases import progress, provers, verbs  # noqa: F401
        from include.catalogue import load

        load()
    except Exception as error:  # Airflow must start all the same, and its tasks will say what is wrong
        logging.getLogger(__name__).warning("tasks start cold: %s", type(error).__name__)
