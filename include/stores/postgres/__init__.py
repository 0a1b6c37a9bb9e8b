"""Company data in PostgreSQL: the five verbs, set-based.

* ``store``        :class:`PostgresStore`, the door
* ``install``      what is put into the company's database, once and after every schema change; ``rights`` who may do what
* ``preflight``    what would make a step fail, found before it starts: the map's ``shape``, ``effects``, ``roles``
* ``area``         the step's own schema: cohort and key tables
* ``survey``       from the cohort along the links to the keys of every row
* ``weigh``        one disposition per item; ``periods`` when a floor ends; ``closure`` what references keep
* ``restrict``     the restriction list, the measures, and waiting for who wrote before it; ``restriction`` its DDL
* ``dispose``      one plan, chunk by chunk; ``deed`` what is in a chunk's transaction; ``locks`` of shared items;
                   ``order``, ``chunks``, ``changes``, ``books``, ``receipts``; ``scope`` what survey, weigh and dispose share
* ``answers``      what other stores ask: whose an object is, when a clock began
* ``physical``     what lies below rows: who keeps the dead alive, tables written anew
* ``live``         the schema as it is; ``server`` connections, time-outs and errors without values
"""

from include.stores.postgres.install import install
from include.stores.postgres.server import Patience
from include.stores.postgres.store import PostgresStore

__all__ = ["Patience", "PostgresStore", "install"]
