"""Objects, and records in shared files, that are due go, whosever they are. See ``clearing``."""

from include.stores.s3.clearing.chunk import CHANGED, LOCKED, LOCKED_UNTIL, NOT_DUE, REFUSED
from include.stores.s3.clearing.clearing import Clearing
from include.stores.s3.clearing.finding import Due

__all__ = ["CHANGED", "LOCKED", "LOCKED_UNTIL", "NOT_DUE", "REFUSED", "Clearing", "Due"]
