"""What we owe: the declared policy, loaded, checked and explained. ``itrus/`` is the first policy.

* ``loader``     a directory of YAML and SQL to a frozen :class:`~include.model.catalogue.Catalogue`
* ``lint``       what a schema cannot say: names that lead nowhere, data without a home
* ``coverage``   every clause and the control that honours it, or why none does
* ``database``   the map held against the live schema; ``buckets`` against the live buckets
* ``explain``    any entry in plain words, Chinese or English; ``matrix`` the whole policy on a page
* ``schema``     JSON Schema for editors
"""

from include.catalogue.loader import ITRUS, load

__all__ = ["ITRUS", "load"]
