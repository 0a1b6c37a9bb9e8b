"""Every test of this room runs on both servers: moto, and Ceph where it is installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.s3.world import Server, World


@pytest.fixture(scope="session")
def moto_here() -> Iterator[Server]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    moto = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [str(moto), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield Server("moto", f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def ceph_here() -> Server:
    """A Ceph Object Gateway that runs already: QUIETUS_TEST_CEPH=<endpoint> and, for the tests of
    business roles, QUIETUS_TEST_CEPH_CONF=<ceph.conf>."""
    endpoint = os.environ.get("QUIETUS_TEST_CEPH")
    if not endpoint:
        pytest.skip("no Ceph Object Gateway (QUIETUS_TEST_CEPH is not set)")
    return Server(
        "ceph",
        endpoint,
        os.environ.get("S3_ACCESS_KEY", "tester"),
        os.environ.get("S3_SECRET_KEY", "tester-secret"),
        os.environ.get("QUIETUS_TEST_CEPH_CONF", ""),
    )


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
