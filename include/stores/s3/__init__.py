"""Company data in an S3 server: whole objects under key templates, and records in shared files.

* ``store``        the five verbs (:class:`S3Store`)
* ``objects``      datasets whose whole objects belong to a subject
* ``records``      datasets whose files mix many subjects
* ``formats``      the Protocol of a record file; ``jsonl`` and ``parquet`` implement it
* ``listing``      every version, delete marker and open upload of a cohort, in few requests
* ``fate``         which disposition an item gets: holds, floors, ownership, locks
* ``restriction``  deny by tag, and whether this server enforces it
* ``area``         the step area: cohort, manifests, journal, receipts
* ``clearing``     objects that are due go at night, whosever they are
* ``server``       calls, errors, back-off, bulk deletes, guarded writes
"""

from include.stores.s3.store import S3Store
from include.stores.s3.wiring import Key, KeysOf, StartsOf, UntilOf

__all__ = ["Key", "KeysOf", "S3Store", "StartsOf", "UntilOf"]
