"""The database in which companies that nobody thought of settle."""

from tests.stores.postgres.test_properties import arena

__all__ = ["arena"]
