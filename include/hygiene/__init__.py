"""Airflow's own records, kept as long as they must be and no longer: runs, audit log, task logs.

Airflow's ``db clean`` looks at ages only: it deletes a run that waits, and keeps copies. Here nothing of a run that
lives is touched, the history of a run is exported before it goes, and no copy is left.

* ``tables``      every table of Airflow's, and what becomes of its rows
* ``installing``  the role that may delete them, and no more; run as the owner of the tables
* ``opening``     a connection of that role, with its time-outs
* ``runs``        which runs go, which stay and why; a batch of them, deleted
* ``history``     what is told of a run before it goes
* ``exports``     files of such histories, named by their digest
* ``others``      rows that belong to no run, and archives
* ``logfiles``, ``logobjects``   task logs on disk and in S3
* ``checking``    another look afterwards, by other questions

``include.cases.tidying`` assembles them with the catalogue's limits and the ledger.
"""
