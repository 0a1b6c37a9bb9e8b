"""Rows that are to stay without their people: generalised as little as the declared thresholds allow, in one transaction."""

from include.stores.postgres.anonymise.run import Anonymiser, Released

__all__ = ["Anonymiser", "Released"]
