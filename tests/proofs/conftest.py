"""The small company of the store's tests, and everything of a case that a proof needs."""

from tests.stores.postgres.conftest import new_company, shop

__all__ = ["new_company", "shop"]
