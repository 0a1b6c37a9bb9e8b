"""The planter: each night it hides something of a made-up person wherever deleted data is known to hide.

Whether the proofs find it is what makes them worth believing, so they and the planter know nothing of each other: neither
imports the other (``tests/planting/test_apart.py``), and they meet in the stores alone. What is planted where is drawn
from a seed that nobody else sees before the proofs have spoken, and is written down (:mod:`note`) *before* it is planted,
so that whatever happens it can be removed.

- :mod:`made_up`: values and names that look like a person's, by the seed;
- :mod:`note`: what is to be planted where, and what must be gone afterwards;
- :mod:`postgres`, :mod:`s3`: planting and removing.

It works as a role of its own that may make a schema and buckets, and reads and changes nothing of the company's.
"""
