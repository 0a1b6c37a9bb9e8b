"""Where copies of the stores live: what each backup tool says that it keeps, and what keeps it.

- :mod:`basebackup`: directories of ``pg_basebackup``, full and incremental, with an archive of WAL beside them;
- :mod:`pgbackrest`: a stanza of pgBackRest;
- :mod:`barman`: a server of Barman;
- :mod:`dumps`: files of ``pg_dump``;
- :mod:`versions`: versions of objects in a bucket, by its :mod:`lifecycle`.

:mod:`horizon` says from that what can still be undone, and :mod:`expiring` lets go what is due. A new tool is one new file that
implements :class:`include.model.backups.BackupTool`, one for :class:`include.model.backups.BackupExpirer`, a line each in
:mod:`opening`, and a parameter of ``tests/backups/test_contract.py`` and its sibling in ``expiring``.
"""
