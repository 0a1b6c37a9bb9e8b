"""Letting copies go when their time is over: what may go is decided here, and each tool does it by its own command.

- :mod:`planning`: which copies go, which stay, and why; pure;
- :mod:`carrying_out`: the verb: look, plan, rehearse, compare, let go, look again;
- :mod:`directories`, :mod:`pgbackrest`, :mod:`barman`, :mod:`dumps`: one implementation of
  :class:`include.model.backups.BackupExpirer` each.
"""
