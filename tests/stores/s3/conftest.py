"""Every test of this room runs on both servers: moto, and Ceph where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stores.s3.world import Server, World


@pytest.fixture(scope="session")
def moto_here(moto: Any) -> Server:
    return Server("moto", moto.endpoint, moto.access_key, moto.secret_key)


@pytest.fixture(scope="session")
def ceph_here(ceph: Any, session_home: Path) -> Server:
    config = session_home / "ceph" / "ceph.conf"
    return Server("ceph", ceph.endpoint, ceph.access_key, ceph.secret_key, str(config))


@pytest.fixture(params=["moto", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"{request.param}_here")
    return found


@pytest.fixture
def world(server: Server) -> World:
    return World(server)


@pytest.fixture
def on_moto(moto_here: Server) -> World:
    return World(moto_here)
