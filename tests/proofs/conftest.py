"""The small companies of the stores' own tests: a database, and a few buckets."""

from tests.stores.postgres.conftest import new_company, shop
from tests.stores.s3.conftest import ceph_here, moto_here, on_moto, server, world

__all__ = ["ceph_here", "moto_here", "new_company", "on_moto", "server", "shop", "world"]
