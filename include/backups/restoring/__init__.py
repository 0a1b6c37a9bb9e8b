"""Restoring a copy, to look at it: into a scratch of its own, in quarantine, destroyed when the look is over.

- :mod:`place`: the declared directory in which scratches lie, its head-room, and the sweep of those left behind;
- :mod:`room`: one scratch, and how tools are run for it;
- :mod:`basebackup`, :mod:`pgbackrest`, :mod:`barman`, :mod:`dumps`: one tool each, all of one form (:class:`tool.RestoreTool`);
- :mod:`quarantine`: what the scratch's server may not do; :mod:`server`: that server;
- :mod:`scratch`: all of it, as a context manager.

The log that a copy is recovered with is fetched before the server starts, so that the server itself knows no repository.
A new tool is one new file, a line in :mod:`opening`, and a parameter of ``tests/backups/restoring``.
"""
