"""What is due by its own dates goes, whosever it is. See ``clearing``."""

from include.stores.postgres.clearing.clearing import Clearing
from include.stores.postgres.clearing.keys import Fates, Looks

__all__ = ["Clearing", "Fates", "Looks"]
