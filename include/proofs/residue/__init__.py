"""The residue scan: a cohort's own values, looked for in the bytes of a cluster's files, whatever the server says.

A row that no query returns may still lie in a page's hole, in a TOAST chunk, an index page, ``pg_statistic``, a WAL
segment or its archive, or a backup. One pass over the files looks for everybody's values at once:

- :mod:`needles`: how a value is written in bytes, per type;
- :mod:`search`: many byte strings in one pass (Hyperscan);
- :mod:`pages`: what a relation's pages hold compressed, in rows or in holes;
- :mod:`toast`: values that were cut into chunks;
- :mod:`pglz`: the two compressions of values;
- :mod:`wal`: segments as one stream of records, with the pages in them;
- :mod:`files`: which files there are, and what kind each is;
- :mod:`scan`: the pass.

Nothing here asks a server, so it reads a live cluster, a base backup and an archive alike. What cannot be read is said
to be unread: a scan that did not look at everything says UNVERIFIED, never gone.
"""
