"""Objects that are due go, whosever they are. See ``clearing``."""

from include.stores.s3.clearing.chunk import LOCKED, LOCKED_UNTIL, NOT_DUE, REFUSED
from include.stores.s3.clearing.clearing import Clearing
from include.stores.s3.clearing.finding import Due

__all__ = ["LOCKED", "LOCKED_UNTIL", "NOT_DUE", "REFUSED", "Clearing", "Due"]
