"""That it is gone: looked at by somebody other than the deleter, over a connection that can only read.

``baseline`` before, ``gone`` after. Every function returns :class:`Evidence` with counts and no values; what could
not be looked at is UNVERIFIED and says why. Imports only ``include.model``, and none of the deleters' queries.
"""

from include.proofs.relational import baseline, gone, restricted

__all__ = ["baseline", "gone", "restricted"]
